//! Kernels alone, on data that is ready: what a launch costs before tape, plan and threads.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::kernels::simd::{Isa, Kernel, Simd, Vector, dispatch, dispatch_on};

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
        let count = MultiplyAdds::SUMS * MultiplyAdds::DEPTH * dispatch_on(isa, Lanes);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(isa.name(), |bencher| {
            bencher.iter(|| dispatch_on(isa, MultiplyAdds));
        });
    }
    group.finish();
}

criterion_group!(benches, dispatching, multiply_adds);
criterion_main!(benches);
