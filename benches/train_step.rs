//! A whole training step: gather, forward, loss, backward, update; eager, replayed, and replayed with each strategy
//! that its plan can take. And the answer to one row, likewise.

mod nets;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::plan::Plan;
use evengrad_core::{DType, Tensor, team};
use nets::{Net, Workload, captured, equally_wide};

const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "tabular",
        sizes: &[30, 64, 32, 2],
        batch: 32,
        activation: ("relu", &[]),
        adam: true,
    },
    Workload {
        name: "mnist",
        sizes: &[784, 300, 100, 10],
        batch: 50,
        activation: ("elu", &[1.0]),
        adam: false,
    },
    Workload {
        name: "five-by-100",
        sizes: &[784, 100, 100, 100, 100, 100, 5],
        batch: 20,
        activation: ("elu", &[1.0]),
        adam: true,
    },
    // Without the batch normalization of the race.
    Workload {
        name: "deep-20",
        sizes: &equally_wide::<22>(3072, 100),
        batch: 128,
        activation: ("elu", &[1.0]),
        adam: true,
    },
    Workload {
        name: "selu-100",
        sizes: &equally_wide::<102>(784, 100),
        batch: 128,
        activation: ("selu", &[]),
        adam: false,
    },
];
fn train_steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("train step");
    for workload in &WORKLOADS {
        group.throughput(Throughput::Elements(1));
        let net = Net::new(workload);
        group.bench_function(BenchmarkId::new("eager", workload.name), |bench| {
            bench.iter(|| net.step());
        });
        let mut plan = captured(|| net.step());
        group.bench_function(BenchmarkId::new("replay", workload.name), |bench| {
            bench.iter_custom(|steps| replay(&net, &mut plan, steps));
        });
        for (strategy, threads) in strategies(&plan) {
            plan.stay_with(strategy, threads);
            let id = BenchmarkId::new(format!("strategy {strategy} on {threads}"), workload.name);
            group.bench_function(id, |bench| {
                bench.iter_custom(|steps| replay(&net, &mut plan, steps));
            });
        }
    }
    group.finish();
}

/// All strategies of a plan, each on one thread and on all.
fn strategies(plan: &Plan) -> Vec<(usize, usize)> {
    let mut threads = vec![1, team::threads()];
    threads.dedup();
    (0..plan.strategies())
        .flat_map(|strategy| threads.iter().map(move |&count| (strategy, count)))
        .collect()
}

fn replay(net: &Net<'_>, plan: &mut Plan, steps: u64) -> Duration {
    let mut left = steps as usize;
    let start = Instant::now();
    while left > 0 {
        net.refill();
        let some = left.min(net.feed.remaining());
        left -= plan.replay(some, Duration::MAX).expect("refilled");
    }
    start.elapsed()
}

/// One row through the net, each answer a replay of its own.
fn one_row(c: &mut Criterion) {
    let mut group = c.benchmark_group("one row");
    for workload in &WORKLOADS[..3] {
        let net = Net::new(workload);
        let row = Tensor::ones(&[1, workload.sizes[0]], DType::F32).expect("fits");
        let mut plan = captured(|| drop(net.forward(&row)));
        for (strategy, threads) in strategies(&plan) {
            plan.stay_with(strategy, threads);
            let id = BenchmarkId::new(format!("strategy {strategy} on {threads}"), workload.name);
            group.bench_function(id, |bench| {
                bench.iter(|| plan.replay(1, Duration::MAX).expect("no feed"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, train_steps, one_row);
criterion_main!(benches);
