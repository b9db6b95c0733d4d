//! Update rules of optimizers beside the triad. Throughput in bytes read and written: gradient, parameter and slots.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::kernels::simd::{Kernel, Simd, dispatch};
use evengrad_core::optim::{Adam, Around, Convention, Decay, Momentum, Optimizer, RmsProp, Sgd};
use evengrad_core::{DType, Tensor};

/// Parameters: what fits the second cache, and what fits none.
const SIZES: [usize; 2] = [10_000, 64 << 20];

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

fn triad(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("triad");
    for n in SIZES {
        let (mut a, b, c) = (vec![1.0_f32; n], vec![2.0_f32; n], vec![3.0_f32; n]);
        group.throughput(Throughput::Bytes((n * 12) as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |bench| {
            bench.iter(|| dispatch(Triad([&b, &c], black_box(&mut a))));
        });
    }
    group.finish();
}
fn rules(c: &mut Criterion) {
    let mut group = c.benchmark_group("update");
    let (convention, learning_rate, epsilon) = (Convention::Keras, 1e-3, 1e-7);
    let momentum =
        Momentum { learning_rate, momentum: 0.9, dampening: 0.0, nesterov: false, convention };
    let adam = Adam { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon, convention };
    let rms =
        RmsProp { learning_rate, rho: 0.9, momentum: 0.0, epsilon, centered: false, convention };
    let decay = Some((Decay::Decoupled, 0.01));
    for n in SIZES {
        let w = Tensor::zeros(&[n], DType::F32).expect("fits into memory");
        let g = Tensor::ones(&[n], DType::F32).expect("fits into memory");
        // Each rule with the arrays that it reads, and those that it writes.
        let rules = [
            ("sgd", Optimizer::new(Sgd { learning_rate }), 3),
            ("momentum", Optimizer::new(momentum), 5),
            ("rmsprop", Optimizer::new(rms), 5),
            ("adam", Optimizer::new(adam), 7),
            ("adamw", Optimizer::with(adam, decay, Around::default()), 7),
        ];
        for (name, optimizer, streams) in rules {
            let optimizer = optimizer.expect("fits into memory");
            group.throughput(Throughput::Bytes((n * streams * 4) as u64));
            group.bench_function(BenchmarkId::new(name, n), |bench| {
                bench.iter(|| optimizer.apply(&[&w], &[&g]).expect("shapes fit"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, triad, rules);
criterion_main!(benches);
