//! Vector and matrix kernels alone, on data that is ready: what a launch costs before tape, plan and threads.

mod product;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::kernels::simd::{Isa, Kernel, Scalar, Simd, Vector, dispatch, dispatch_on};
use product::{LAYOUTS, Product};

/// Does nothing, so that what is left is the dispatch itself.
struct Nothing;

impl Kernel for Nothing {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        black_box(());
    }
}

/// Fused multiply-adds in registers: the most that an instruction set can do, to judge kernels by.
struct MultiplyAdds;

impl MultiplyAdds {
    /// Independent sums, enough to hide the latency of one multiply-add on processors with two units.
    const SUMS: usize = 12;
    /// Multiply-adds of each sum.
    const DEPTH: usize = 1000;
}

impl Kernel for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self) -> f32 {
        let factor = S::F32::splat(black_box(0.5));
        let mut sums = [S::F32::splat(black_box(1.0)); Self::SUMS];
        for _ in 0..Self::DEPTH {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, factor);
            }
        }
        sums.into_iter().reduce(|a, b| a + b).map_or(0.0, Vector::reduce_add)
    }
}

/// How many floats a vector of the instruction set holds.
struct Lanes;

impl Kernel for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self) -> usize {
        S::F32::LANES
    }
}

fn dispatching(criterion: &mut Criterion) {
    criterion.bench_function("dispatch", |bencher| bencher.iter(|| dispatch(Nothing)));
}

fn multiply_adds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("multiply_adds");
    for isa in Isa::available() {
        // Floating-point operations, as of the products below: "Gelem/s" reads GFLOP/s.
        let count = 2 * MultiplyAdds::SUMS * MultiplyAdds::DEPTH * dispatch_on(isa, Lanes);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(isa.name(), |bencher| {
            bencher.iter(|| dispatch_on(isa, MultiplyAdds));
        });
    }
    group.finish();
}

/// Layers of usual networks, one row of a batch, thin results, and matrices larger than caches.
const SIZES: [(usize, usize, usize); 20] = [
    (1, 4, 16),
    (1, 30, 64),
    (1, 100, 100),
    (1, 784, 300),
    (1, 4096, 4096),
    (14, 4096, 4096),
    (32, 30, 64),
    (32, 64, 32),
    (20, 100, 100),
    (128, 100, 1),
    (128, 100, 10),
    (128, 100, 100),
    (128, 3072, 100),
    (1024, 1024, 1),
    (50, 784, 300),
    (200, 784, 300),
    (256, 1024, 1024),
    (512, 784, 2048),
    (32, 3000, 3000),
    (1024, 4096, 4096),
];

fn products(criterion: &mut Criterion) {
    products_of::<f32>(criterion, "gemm f32");
    products_of::<f64>(criterion, "gemm f64");
}

/// GFLOP/s on one thread, shown as Gelem/s; shares of the peak are those of `multiply_adds` in the same run.
fn products_of<T: Scalar>(criterion: &mut Criterion, name: &str) {
    let mut group = criterion.benchmark_group(name);
    for size @ (m, k, n) in SIZES {
        let product = Product::<T>::new(size);
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        for (layout, turned) in LAYOUTS {
            group.bench_function(BenchmarkId::new(layout, format!("{m}x{k}x{n}")), |bencher| {
                bencher.iter(|| black_box(&product).run(turned));
            });
        }
    }
    group.finish();
}

/// Products of about 100 columns, each as wide as its name says. Without half vectors (docs/adr/0018) a masked vector
/// takes as long as a full one, so that 100 columns take the time of 112: what they take less is what half vectors are
/// worth. Only AVX-512 has them; elsewhere vectors are so short that 100 and 104 columns fill them.
fn last_columns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("last columns f32");
    for (m, k) in [(20, 100), (128, 100), (100, 128)] {
        for n in [96, 100, 104, 112] {
            let product = Product::<f32>::new((m, k, n));
            for (layout, turned) in LAYOUTS {
                group.bench_function(BenchmarkId::new(layout, format!("{m}x{k}x{n}")), |bencher| {
                    bencher.iter(|| black_box(&product).run(turned));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, dispatching, multiply_adds, products, last_columns);
criterion_main!(benches);
