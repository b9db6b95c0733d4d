//! A whole training step: gather, forward, loss, backward, update; eager and replayed.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evengrad_core::feed::Feed;
use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::by_name;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::optim::{Adam, Convention, Momentum, Optimizer};
use evengrad_core::plan::Plan;
use evengrad_core::{DType, Tensor, capture, tape};

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
    // Without the batch normalisation of the race.
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

    fn step(&self) {
        self.refill();
        self.feed.next_batch().expect("refilled");
        let mut h = self.x.take_rows(self.feed.indices()).expect("rows exist");
        let y = self.y.take_rows(self.feed.indices()).expect("rows exist");
        let layers = self.parameters.len() / 2;
        for (i, pair) in self.parameters.chunks(2).enumerate() {
            let (name, parameters) = self.workload.activation;
            let activation = if i + 1 < layers { by_name(name, parameters) } else { None };
            h = dense(&h, &pair[0], Some(&pair[1]), activation).expect("shapes fit");
        }
        let loss = cross_entropy(&h, &y, 0.0, None, Reduction::Mean).expect("labels fit");
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
        capture::begin().expect("none is open");
        net.step();
        let mut plan = Plan::new(capture::end().expect("opened above")).expect("not empty");
        group.bench_function(BenchmarkId::new("replay", workload.name), |bench| {
            bench.iter_custom(|steps| {
                let mut left = steps as usize;
                let start = std::time::Instant::now();
                while left > 0 {
                    net.refill();
                    let some = left.min(net.feed.remaining());
                    left -= plan.replay(some, Duration::MAX).expect("refilled");
                }
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, train_steps);
criterion_main!(benches);
