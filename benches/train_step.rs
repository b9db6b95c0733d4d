//! A whole training step: gather, forward, loss, backward, update; eager, replayed, and replayed in each execution strategy
//! of its plan. And inference on one row, likewise.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::feed::Feed;
use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::by_name;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::optim::{Adam, Convention, Momentum, Optimizer};
use evengrad_core::plan::Plan;
use evengrad_core::{DType, Tensor, capture, tape, team};

struct Workload {
    name: &'static str,
    sizes: &'static [usize],
    batch: usize,
    activation: (&'static str, &'static [f64]),
    adam: bool,
}

/// Layers of 100 units between the inputs and 10 classes.
const fn hundreds<const LEN: usize>(inputs: usize) -> [usize; LEN] {
    let mut sizes = [100; LEN];
    sizes[0] = inputs;
    sizes[LEN - 1] = 10;
    sizes
}

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
        sizes: &hundreds::<22>(3072),
        batch: 128,
        activation: ("elu", &[1.0]),
        adam: true,
    },
    Workload {
        name: "selu-100",
        sizes: &hundreds::<102>(784),
        batch: 128,
        activation: ("selu", &[]),
        adam: false,
    },
];
/// Batches in the data.
const BATCHES: usize = 32;

struct Net<'a> {
    workload: &'a Workload,
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    x: Tensor,
    y: Tensor,
    feed: Feed,
}

impl<'a> Net<'a> {
    fn new(workload: &'a Workload) -> Self {
        let mut state = 1_u64;
        let mut noise = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        let mut parameters = Vec::new();
        for pair in workload.sizes.windows(2) {
            // Uniform values of the variance that keeps the signal: LeCun's for SELU, else He's.
            let gain = if workload.activation.0 == "selu" { 1.0 } else { 2.0 };
            let scale = (3.0 * gain / pair[0] as f32).sqrt();
            let w: Vec<f32> = (0..pair[0] * pair[1]).map(|_| noise() * scale).collect();
            parameters.push(Tensor::from_slice(&w, pair).expect("fits"));
            parameters.push(Tensor::zeros(&pair[1..], DType::F32).expect("fits"));
        }
        for parameter in &parameters {
            parameter.set_requires_grad(true).expect("float32");
        }
        let rows = BATCHES * workload.batch;
        let classes = workload.sizes[workload.sizes.len() - 1];
        let x: Vec<f32> = (0..rows * workload.sizes[0]).map(|_| noise()).collect();
        let y: Vec<i64> = (0..rows).map(|i| (i % classes) as i64).collect();
        let convention = Convention::Keras;
        let optimizer = if workload.adam {
            Optimizer::new(Adam {
                learning_rate: 1e-4,
                beta_1: 0.9,
                beta_2: 0.999,
                epsilon: 1e-7,
                convention,
            })
        } else {
            Optimizer::new(Momentum {
                learning_rate: 1e-3,
                momentum: 0.9,
                dampening: 0.0,
                nesterov: false,
                convention,
            })
        };
        Self {
            workload,
            parameters,
            optimizer: optimizer.expect("fits"),
            x: Tensor::from_slice(&x, &[rows, workload.sizes[0]]).expect("fits"),
            y: Tensor::from_slice(&y, &[rows]).expect("fits"),
            feed: Feed::new(workload.batch).expect("not empty"),
        }
    }

    fn refill(&self) {
        if self.feed.remaining() == 0 {
            let rows = (BATCHES * self.workload.batch) as i64;
            self.feed.load((0..rows).map(|i| (i * 7919) % rows).collect()).expect("whole batches");
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let layers = self.parameters.len() / 2;
        let mut h = x.clone();
        for (i, pair) in self.parameters.chunks(2).enumerate() {
            let (name, parameters) = self.workload.activation;
            let activation = if i + 1 < layers { by_name(name, parameters) } else { None };
            h = dense(&h, &pair[0], Some(&pair[1]), activation).expect("shapes fit");
        }
        h
    }

    fn step(&self) {
        self.refill();
        self.feed.next_batch().expect("refilled");
        let x = self.x.take_rows(self.feed.indices()).expect("rows exist");
        let y = self.y.take_rows(self.feed.indices()).expect("rows exist");
        let loss =
            cross_entropy(&self.forward(&x), &y, 0.0, None, Reduction::Mean).expect("labels fit");
        let parameters: Vec<&Tensor> = self.parameters.iter().collect();
        let gradients: Vec<Tensor> = tape::gradients(&loss, &parameters, None, false)
            .expect("recorded")
            .into_iter()
            .map(|gradient| gradient.expect("every parameter is used"))
            .collect();
        let gradients: Vec<&Tensor> = gradients.iter().collect();
        self.optimizer.apply(&parameters, &gradients).expect("shapes fit");
    }
}

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
        for (way, threads) in ways(&plan) {
            plan.stay_with(way, threads);
            let id = BenchmarkId::new(format!("way {way} on {threads}"), workload.name);
            group.bench_function(id, |bench| {
                bench.iter_custom(|steps| replay(&net, &mut plan, steps));
            });
        }
    }
    group.finish();
}

fn captured(step: impl FnOnce()) -> Plan {
    capture::begin().expect("none is open");
    step();
    Plan::new(capture::end().expect("opened above")).expect("not empty")
}

/// All ways of a plan, each on one thread and on all.
fn ways(plan: &Plan) -> Vec<(usize, usize)> {
    let mut threads = vec![1, team::threads()];
    threads.dedup();
    (0..plan.ways()).flat_map(|way| threads.iter().map(move |&count| (way, count))).collect()
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
        for (way, threads) in ways(&plan) {
            plan.stay_with(way, threads);
            let id = BenchmarkId::new(format!("way {way} on {threads}"), workload.name);
            group.bench_function(id, |bench| {
                bench.iter(|| plan.replay(1, Duration::MAX).expect("no feed"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, train_steps, one_row);
criterion_main!(benches);
