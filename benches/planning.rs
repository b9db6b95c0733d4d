//! What a fresh model pays before its first replay: the captured step, the plan of it, and the first replay, which
//! builds the program of its workers.

mod nets;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use evengrad_core::capture::{self, Recording};
use evengrad_core::plan::Plan;
use nets::{Net, Workload, captured, equally_wide};

const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "3 layers",
        sizes: &equally_wide::<4>(16, 32),
        batch: 32,
        activation: ("relu", &[]),
        adam: true,
    },
    Workload {
        name: "100 layers",
        sizes: &equally_wide::<101>(16, 32),
        batch: 32,
        activation: ("relu", &[]),
        adam: true,
    },
];

fn recorded(net: &Net<'_>) -> Recording {
    capture::begin().expect("none is open");
    net.step();
    capture::end().expect("opened above")
}

/// The time of `work` alone, for what `prepare` makes.
fn time_of<T, R>(
    count: u64,
    mut prepare: impl FnMut() -> T,
    mut work: impl FnMut(T) -> R,
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..count {
        let prepared = prepare();
        let start = Instant::now();
        let made = work(prepared);
        total += start.elapsed();
        drop(made);
    }
    total
}

fn planning(c: &mut Criterion) {
    let mut group = c.benchmark_group("planning");
    for workload in &WORKLOADS {
        let net = Net::new(workload);
        // Slots of the optimizer are made by the first step.
        net.step();
        group.bench_function(BenchmarkId::new("eager", workload.name), |bench| {
            bench.iter(|| net.step());
        });
        group.bench_function(BenchmarkId::new("capture", workload.name), |bench| {
            bench.iter_custom(|count| time_of(count, || (), |()| recorded(&net)));
        });
        group.bench_function(BenchmarkId::new("plan", workload.name), |bench| {
            bench.iter_custom(|count| {
                time_of(count, || recorded(&net), |r| Plan::new(r).expect("not empty"))
            });
        });
        let first = |mut plan: Plan| {
            plan.replay(1, Duration::MAX).expect("refilled");
            plan
        };
        group.bench_function(BenchmarkId::new("first replay", workload.name), |bench| {
            let prepare = || {
                net.refill();
                let plan = captured(|| net.step());
                net.refill();
                plan
            };
            bench.iter_custom(|count| time_of(count, prepare, first));
        });
    }
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
