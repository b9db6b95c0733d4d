//! Dense nets and their training step, for the benches of steps and of planning.

use evengrad_core::feed::Feed;
use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::by_name;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::optim::{Adam, Convention, Momentum, Optimizer};
use evengrad_core::plan::Plan;
use evengrad_core::{DType, Tensor, capture, tape};

/// A dense net and how it learns.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) sizes: &'static [usize],
    pub(crate) batch: usize,
    pub(crate) activation: (&'static str, &'static [f64]),
    pub(crate) adam: bool,
}

/// Layers of equal width between the inputs and 10 classes.
pub(crate) const fn equally_wide<const LEN: usize>(inputs: usize, width: usize) -> [usize; LEN] {
    let mut sizes = [width; LEN];
    sizes[0] = inputs;
    sizes[LEN - 1] = 10;
    sizes
}

/// Batches in the data.
const BATCHES: usize = 32;

/// The net with its data.
pub(crate) struct Net<'a> {
    workload: &'a Workload,
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    x: Tensor,
    y: Tensor,
    pub(crate) feed: Feed,
}

impl<'a> Net<'a> {
    pub(crate) fn new(workload: &'a Workload) -> Self {
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

    /// Begins the data anew where all of it was visited.
    pub(crate) fn refill(&self) {
        if self.feed.remaining() == 0 {
            let rows = (BATCHES * self.workload.batch) as i64;
            self.feed.load((0..rows).map(|i| (i * 7919) % rows).collect()).expect("whole batches");
        }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let layers = self.parameters.len() / 2;
        let mut h = x.clone();
        for (i, pair) in self.parameters.chunks(2).enumerate() {
            let (name, parameters) = self.workload.activation;
            let activation = if i + 1 < layers { by_name(name, parameters) } else { None };
            h = dense(&h, &pair[0], Some(&pair[1]), activation).expect("shapes fit");
        }
        h
    }

    /// Gather, forward, loss, backward, update.
    pub(crate) fn step(&self) {
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

/// The plan of a step.
pub(crate) fn captured(step: impl FnOnce()) -> Plan {
    capture::begin().expect("none is open");
    step();
    Plan::new(capture::end().expect("opened above")).expect("not empty")
}
