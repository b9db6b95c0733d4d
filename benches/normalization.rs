//! Normalization of batches and rows, beside the triad. Throughput in bytes that have to be moved: a pass that reads what
//! the one before has left in a cache counts nothing.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::kernels::simd::{Kernel, Simd, dispatch};
use evengrad_core::ops::batch_norm::{Affine, batch_norm};
use evengrad_core::ops::layer_norm::layer_norm;
use evengrad_core::{DType, Tensor, tape};

/// Rows and features: what fits the first cache, the second, and none.
const SIZES: [(usize, usize); 4] = [(128, 100), (200, 300), (256, 4096), (16_384, 2048)];

fn noise(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    let values: Vec<f32> =
        (0..n).map(|i| ((i * 2_654_435_761) % 2001) as f32 / 1000.0 - 1.0).collect();
    Tensor::from_slice(&values, shape).expect("fits into memory")
}

fn leaf(shape: &[usize]) -> Tensor {
    let tensor = noise(shape);
    tensor.set_requires_grad(true).expect("float32");
    tensor
}

/// One pass of `a = b + s·c`.
struct Triad<'a>([&'a [f32]; 2], &'a mut [f32]);

impl Kernel for Triad<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let s = black_box(0.5_f32);
        // Plain safe code: inlined into the function for the instruction set, it is vectorized for it.
        for ((a, b), c) in self.1.iter_mut().zip(self.0[0]).zip(self.0[1]) {
            *a = c.mul_add(s, *b);
        }
    }
}

/// Of as many elements as the largest batch: what memory gives.
fn triad(criterion: &mut Criterion) {
    let n = 1 << 25;
    let (mut a, b, c) = (vec![1.0_f32; n], vec![2.0_f32; n], vec![3.0_f32; n]);
    let mut group = criterion.benchmark_group("triad");
    group.throughput(Throughput::Bytes((n * 12) as u64));
    group.bench_function("one thread", |bench| {
        bench.iter(|| dispatch(Triad([&b, &c], black_box(&mut a))));
    });
    group.finish();
}

/// Forward reads twice and writes once; backward reads two arrays twice and writes one.
fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch_norm");
    for (m, n) in SIZES {
        let (x, gamma, beta) = (leaf(&[m, n]), leaf(&[n]), leaf(&[n]));
        let of = Affine { gamma: Some(&gamma), beta: Some(&beta), epsilon: 1e-3 };
        let size = format!("{m}x{n}");
        group.throughput(Throughput::Bytes((m * n * 3 * 4) as u64));
        let forward = || batch_norm(black_box(&x), of, None).expect("shapes fit");
        group.bench_function(BenchmarkId::new("forward", &size), |bench| bench.iter(forward));
        let (y, seed) = (forward(), Tensor::ones(&[m, n], DType::F32).expect("fits into memory"));
        group.throughput(Throughput::Bytes((m * n * 5 * 4) as u64));
        group.bench_function(BenchmarkId::new("backward", &size), |bench| {
            bench.iter(|| {
                tape::gradients(&y, &[&x, &gamma, &beta], Some(&seed), true).expect("recorded")
            });
        });
    }
    group.finish();
}

/// Rows go through caches: forward reads once and writes once, backward reads two arrays for ∂x, two for the sums of the
/// columns, and writes one.
fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("layer_norm");
    for (m, n) in SIZES {
        let (x, gamma, beta) = (leaf(&[m, n]), leaf(&[n]), leaf(&[n]));
        let of = Affine { gamma: Some(&gamma), beta: Some(&beta), epsilon: 1e-3 };
        let size = format!("{m}x{n}");
        group.throughput(Throughput::Bytes((m * n * 2 * 4) as u64));
        let forward = || layer_norm(black_box(&x), n, of).expect("shapes fit");
        group.bench_function(BenchmarkId::new("forward", &size), |bench| bench.iter(forward));
        let (y, seed) = (forward(), Tensor::ones(&[m, n], DType::F32).expect("fits into memory"));
        group.throughput(Throughput::Bytes((m * n * 5 * 4) as u64));
        group.bench_function(BenchmarkId::new("backward", &size), |bench| {
            bench.iter(|| {
                tape::gradients(&y, &[&x, &gamma, &beta], Some(&seed), true).expect("recorded")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, triad, batches, rows);
criterion_main!(benches);
