//! Operations as a person calls them in eager mode: products, dense layers, activations, losses, updates.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::generator::Generator;
use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::by_name;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::ops::recurrent::{Cell, Recurrence, recurrent};
use evengrad_core::optim::{Adam, Convention, Momentum, Optimizer};
use evengrad_core::{DType, Tensor, tape};

/// Numbers between -1 and 1 that look random.
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

/// Throughput in multiply-adds, printed as elements a second.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("matmul");
    for (m, k, n) in [
        (32, 30, 64),
        (20, 100, 100),
        (50, 784, 300),
        (128, 100, 100),
        (512, 784, 2048),
        (1024, 1024, 1024),
    ] {
        let (a, b) = (noise(&[m, k]), noise(&[k, n]));
        let (a_t, b_t) = (noise(&[k, m]), noise(&[n, k]));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        let size = format!("{m}x{k}x{n}");
        group.bench_function(BenchmarkId::new("A·B", &size), |bench| {
            bench.iter(|| a.matmul(black_box(&b)).expect("shapes fit"));
        });
        let turned = a_t.transpose(0, 1).expect("two dimensions");
        group.bench_function(BenchmarkId::new("Aᵀ·B", &size), |bench| {
            bench.iter(|| turned.matmul(black_box(&b)).expect("shapes fit"));
        });
        let turned = b_t.transpose(0, 1).expect("two dimensions");
        group.bench_function(BenchmarkId::new("A·Bᵀ", &size), |bench| {
            bench.iter(|| a.matmul(black_box(&turned)).expect("shapes fit"));
        });
    }
    group.finish();
}

fn dense_layers(c: &mut Criterion) {
    let mut group = c.benchmark_group("dense");
    for (m, k, n) in [(32, 64, 32), (50, 784, 300), (512, 784, 2048)] {
        let (x, w, b) = (noise(&[m, k]), leaf(&[k, n]), leaf(&[n]));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        let size = format!("{m}x{k}x{n}");
        let forward = || dense(&x, &w, Some(&b), by_name("relu", &[])).expect("shapes fit");
        group.bench_function(BenchmarkId::new("forward", &size), |bench| bench.iter(forward));
        let seed = noise(&[m, n]);
        group.bench_function(BenchmarkId::new("forward and backward", &size), |bench| {
            bench.iter(|| {
                let y = forward();
                tape::gradients(&y, &[&w, &b], Some(&seed), false).expect("recorded")
            });
        });
    }
    group.finish();
}

/// Masks are drawn where they are used: throughput in elements, each of which takes a random word.
fn dropouts(c: &mut Criterion) {
    let mut group = c.benchmark_group("dropout");
    let generator = Generator::new(1, 2);
    for n in [2000, 1 << 20] {
        let x = noise(&[n]);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |bench| {
            bench.iter(|| black_box(&x).dropout(0.5, &generator).expect("a rate below one"));
        });
    }
    group.finish();
}

/// Throughput in bytes read and written.
fn activations(c: &mut Criterion) {
    let mut group = c.benchmark_group("activation");
    for n in [4096, 1 << 20] {
        let x = noise(&[n]);
        group.throughput(Throughput::Bytes((n * 8) as u64));
        for (name, parameters) in [
            ("relu", &[][..]),
            ("elu", &[1.0]),
            ("selu", &[]),
            ("tanh", &[]),
            ("sigmoid", &[]),
            ("gelu", &[]),
            ("silu", &[]),
        ] {
            let f = by_name(name, parameters).expect("a row of the table");
            group.bench_function(BenchmarkId::new(name, n), |bench| {
                bench.iter(|| f.value(black_box(&x)).expect("float32"));
            });
        }
    }
    group.finish();
}

fn losses(c: &mut Criterion) {
    let mut group = c.benchmark_group("cross_entropy");
    for (m, classes) in [(50, 10), (1024, 1000)] {
        let logits = leaf(&[m, classes]);
        let labels: Vec<i64> = (0..m).map(|i| (i % classes) as i64).collect();
        let labels = Tensor::from_slice(&labels, &[m]).expect("fits");
        group.throughput(Throughput::Elements((m * classes) as u64));
        group.bench_function(
            BenchmarkId::new("forward and backward", format!("{m}x{classes}")),
            |bench| {
                bench.iter(|| {
                    let loss = cross_entropy(&logits, &labels, 0.0, None, Reduction::Mean)
                        .expect("labels fit");
                    tape::gradients(&loss, &[&logits], None, false).expect("recorded")
                });
            },
        );
    }
    group.finish();
}

/// Throughput in bytes read and written.
fn updates(c: &mut Criterion) {
    let mut group = c.benchmark_group("update");
    let convention = Convention::Keras;
    for n in [10_000, 16 << 20] {
        let (w, g) = (Tensor::zeros(&[n], DType::F32).expect("fits"), noise(&[n]));
        let adam =
            Adam { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, convention };
        let momentum = Momentum {
            learning_rate: 1e-3,
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
            convention,
        };
        let rules = [("adam", Optimizer::new(adam), 7), ("momentum", Optimizer::new(momentum), 5)];
        for (name, optimizer, streams) in rules {
            let optimizer = optimizer.expect("fits");
            group.throughput(Throughput::Bytes((n * streams * 4) as u64));
            group.bench_function(BenchmarkId::new(name, n), |bench| {
                bench.iter(|| optimizer.apply(&[&w], &[&g]).expect("shapes fit"));
            });
        }
    }
    group.finish();
}

/// All steps of an LSTM, throughput in multiply-adds of its recurrent products.
fn recurrences(c: &mut Criterion) {
    let mut group = c.benchmark_group("lstm");
    for (rows, steps, units) in [(32, 50, 32), (64, 50, 128)] {
        let (x, u) = (leaf(&[rows, steps, 4 * units]), leaf(&[units, 4 * units]));
        let zeros = Tensor::zeros(&[rows, units], DType::F32).expect("fits into memory");
        group.throughput(Throughput::Elements((rows * steps * units * 4 * units) as u64));
        let first = [&zeros, &zeros];
        let of = Recurrence {
            cell: Cell::Lstm,
            kernel: &u,
            bias: None,
            first: &first,
            mask: None,
            counts: None,
        };
        let forward = || recurrent(black_box(&x), of).expect("shapes fit");
        let size = format!("{rows}x{steps}x{units}");
        group.bench_function(BenchmarkId::new("forward", &size), |bench| bench.iter(forward));
        let seed = noise(&[rows, steps, 2 * units]);
        group.bench_function(BenchmarkId::new("forward and backward", &size), |bench| {
            bench.iter(|| {
                let states = forward();
                tape::gradients(&states, &[&x, &u], Some(&seed), false).expect("recorded")
            });
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    products,
    dense_layers,
    dropouts,
    activations,
    losses,
    recurrences,
    updates
);
criterion_main!(benches);
