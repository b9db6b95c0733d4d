//! Sums, extrema and positions over last, middle and first dimensions, and what those who watch a training look at.
//! Throughput in bytes read.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::ops::observe::{Observed, observe_all, observe_norms};
use evengrad_core::{DType, Tensor, tape};

/// Shapes and the dimension to reduce: what fits the first cache, the second, and none.
const SHAPES: [(&[usize], isize); 10] = [
    (&[5000, 2], 1),
    (&[1000, 10], 1),
    (&[128, 100], 1),
    (&[512, 4096], 1),
    (&[50, 2, 100], 1),
    (&[64, 50, 3], 1),
    (&[1000, 3], 0),
    (&[200, 300], 0),
    (&[4096, 4096], 0),
    (&[1 << 24], 0),
];

fn noise(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    let values: Vec<f32> =
        (0..n).map(|i| ((i * 2_654_435_761) % 2001) as f32 / 1000.0 - 1.0).collect();
    Tensor::from_slice(&values, shape).expect("fits into memory")
}

fn each_shape(c: &mut Criterion, name: &str, of: impl Fn(&Tensor, isize) -> Tensor) {
    let mut group = c.benchmark_group(name);
    for (shape, dim) in SHAPES {
        let x = noise(shape);
        group.throughput(Throughput::Bytes((x.count() * 4) as u64));
        group.bench_function(
            BenchmarkId::from_parameter(format!("{shape:?} over {dim}")),
            |bench| {
                bench.iter(|| of(black_box(&x), dim));
            },
        );
    }
    group.finish();
}

fn sums(c: &mut Criterion) {
    each_shape(c, "sum", |x, dim| x.sum(&[dim], false).expect("float32"));
}

fn extrema(c: &mut Criterion) {
    each_shape(c, "amax", |x, dim| x.amax(&[dim], false).expect("float32"));
    each_shape(c, "argmax", |x, dim| x.argmax(&[dim], false).expect("float32"));
}

/// Forward and backward; throughput counts the elements once.
fn gradients(c: &mut Criterion) {
    each_shape(c, "amax with its gradient", |x, dim| {
        let x = x.detach();
        x.set_requires_grad(true).expect("float32");
        let y = x.amax(&[dim], false).expect("float32");
        let seed = Tensor::ones(y.shape(), y.dtype()).expect("fits into memory");
        let found = tape::gradients(&y, &[&x], Some(&seed), false).expect("recorded");
        found.into_iter().flatten().next().expect("reached")
    });
}

/// Activations of batches, and weights.
const OBSERVED: [&[usize]; 5] = [&[32, 4], &[32, 100], &[128, 1000], &[4096, 100], &[784, 300]];

fn observed(c: &mut Criterion) {
    for (name, each) in [("observe_all", 9), ("observe_norms", 1)] {
        let mut group = c.benchmark_group(name);
        let into = Tensor::zeros(&[each], DType::F64).expect("small");
        for shape in OBSERVED {
            let x = noise(shape);
            let (low, high) = (0.0, f64::INFINITY);
            let given = Observed { x: &x, low, high, lived: None };
            group.throughput(Throughput::Bytes((x.count() * 4) as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("{shape:?}")), |bench| {
                bench.iter(|| match each {
                    1 => observe_norms(&into, &[black_box(&x)]),
                    _ => observe_all(&into, &[black_box(given)]),
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, sums, extrema, gradients, observed);
criterion_main!(benches);
