//! Whole networks from the pure Rust crate: known examples, and the promises about bits, threads and replay.

use std::time::Duration;

use evengrad_core::feed::Feed;
use evengrad_core::generator::Generator;
use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::by_name;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::optim::{Adam, Convention, Optimizer, Sgd};
use evengrad_core::plan::Plan;
use evengrad_core::{DType, Result, Tensor, capture, tape, team};

fn leaf<T: evengrad_core::dtype::Element>(values: &[T], shape: &[usize]) -> Result<Tensor> {
    let tensor = Tensor::from_slice(values, shape)?;
    tensor.set_requires_grad(true)?;
    Ok(tensor)
}

fn close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{got} against {expected}");
    }
}

/// Mazur's worked example: a 2-2-2 logistic net, squared error, one step of descent at η = 0.5; biases stay.
#[test]
fn the_worked_two_by_two_example() -> Result<()> {
    let x = Tensor::from_slice(&[0.05, 0.10], &[1, 2])?;
    let target = Tensor::from_slice(&[0.01, 0.99], &[1, 2])?;
    // Kernels are (in, out): w1, w2 lead into the first hidden unit.
    let hidden = leaf(&[0.15, 0.25, 0.20, 0.30], &[2, 2])?;
    let output = leaf(&[0.40, 0.50, 0.45, 0.55], &[2, 2])?;
    let (b1, b2) = (Tensor::full(&[2], 0.35, DType::F64)?, Tensor::full(&[2], 0.60, DType::F64)?);
    let forward = || -> Result<(Tensor, Tensor, Tensor)> {
        let h = dense(&x, &hidden, Some(&b1), by_name("sigmoid", &[]))?;
        let o = dense(&h, &output, Some(&b2), by_name("sigmoid", &[]))?;
        let half = Tensor::full(&[], 0.5, DType::F64)?;
        let error = target.sub(&o)?.square()?.sum(&[], false)?.mul(&half)?;
        Ok((h, o, error))
    };
    let (h, o, error) = forward()?;
    close(&h.to_vec()?, &[0.593_269_992_1, 0.596_884_378_3], 5e-11);
    close(&o.to_vec()?, &[0.751_365_069_6, 0.772_928_465_3], 5e-11);
    close(&[error.item()?], &[0.298_371_108_76], 5e-12);
    tape::backward(&error, None, false)?;
    let gradient = |w: &Tensor| w.grad().expect("reached").to_vec::<f64>();
    close(
        &gradient(&output)?,
        &[0.082_167_040_6, -0.022_602_540_5, 0.082_667_627_8, -0.022_740_242_2],
        5e-11,
    );
    close(
        &gradient(&hidden)?,
        &[0.000_438_567_7, 0.000_497_712_7, 0.000_877_135_5, 0.000_995_425_5],
        5e-11,
    );
    let descent = Optimizer::new(Sgd { learning_rate: 0.5 })?;
    let step = |w: &[&Tensor], g: &[Tensor]| descent.apply(w, &g.iter().collect::<Vec<_>>());
    step(&[&hidden, &output], &[hidden.grad().expect("set"), output.grad().expect("set")])?;
    close(
        &output.to_vec()?,
        &[0.358_916_479_7, 0.511_301_270_2, 0.408_666_186_1, 0.561_370_121_1],
        5e-11,
    );
    close(
        &hidden.to_vec()?,
        &[0.149_780_716_1, 0.249_751_143_6, 0.199_561_432_3, 0.299_502_287_3],
        5e-11,
    );
    close(&[forward()?.2.item()?], &[0.291_027_773_7], 5e-11);
    for _ in 1..10_000 {
        let (_, _, error) = forward()?;
        let gradients = tape::gradients(&error, &[&hidden, &output], None, false)?;
        let gradients: Vec<Tensor> = gradients.into_iter().flatten().collect();
        step(&[&hidden, &output], &gradients)?;
    }
    let (_, o, error) = forward()?;
    close(&o.to_vec()?, &[0.015_913_620_4, 0.984_064_273_5], 5e-11);
    close(&[error.item()?], &[3.510_187_8e-5], 5e-13);
    Ok(())
}

/// Exclusive-or is the smallest thing that one layer cannot learn.
#[test]
fn exclusive_or_is_learned() -> Result<()> {
    let x = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[4, 2])?;
    let y = Tensor::from_slice(&[0_i64, 1, 1, 0], &[4])?;
    let generator = Generator::new(1, 0);
    let parameters = [
        Tensor::normal(&[2, 8], &generator, 0.0, 1.0, DType::F32)?,
        Tensor::zeros(&[8], DType::F32)?,
        Tensor::normal(&[8, 2], &generator, 0.0, 0.5, DType::F32)?,
        Tensor::zeros(&[2], DType::F32)?,
    ];
    for parameter in &parameters {
        parameter.set_requires_grad(true)?;
    }
    let [w1, b1, w2, b2] = &parameters;
    let logits = || dense(&dense(&x, w1, Some(b1), by_name("tanh", &[]))?, w2, Some(b2), None);
    let adam = Optimizer::new(adam(0.02))?;
    for _ in 0..300 {
        let loss = cross_entropy(&logits()?, &y, 0.0, None, Reduction::Mean)?;
        descend(&adam, &loss, &parameters)?;
    }
    assert_eq!(logits()?.argmax(&[1], false)?.to_vec::<i64>()?, [0, 1, 1, 0]);
    Ok(())
}

fn adam(learning_rate: f64) -> Adam {
    let convention = Convention::Keras;
    Adam { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, convention }
}

fn descend(optimizer: &Optimizer, loss: &Tensor, parameters: &[Tensor]) -> Result<()> {
    let parameters: Vec<&Tensor> = parameters.iter().collect();
    let gradients: Vec<Tensor> =
        tape::gradients(loss, &parameters, None, false)?.into_iter().flatten().collect();
    optimizer.apply(&parameters, &gradients.iter().collect::<Vec<_>>())
}

/// A net with dropout over shuffled batches: what `fit` does, by hand.
struct Net {
    sizes: Vec<usize>,
    parameters: Vec<Tensor>,
    optimizer: Optimizer,
    masks: Generator,
    feed: Feed,
    x: Tensor,
    y: Tensor,
    losses: Tensor,
}

const ROWS: usize = 240;

impl Net {
    fn new(sizes: &[usize], batch: usize) -> Result<Self> {
        let generator = Generator::new(7, 1);
        let mut parameters = Vec::new();
        for pair in sizes.windows(2) {
            let spread = (2.0 / pair[0] as f64).sqrt();
            parameters.push(Tensor::normal(pair, &generator, 0.0, spread, DType::F32)?);
            parameters.push(Tensor::zeros(&pair[1..], DType::F32)?);
        }
        for parameter in &parameters {
            parameter.set_requires_grad(true)?;
        }
        let classes = sizes[sizes.len() - 1];
        let labels: Vec<i64> = (0..ROWS).map(|i| (i % classes) as i64).collect();
        let order: Vec<i64> = (0..ROWS * 4).map(|i| ((i * 77) % ROWS) as i64).collect();
        let feed = Feed::new(batch)?;
        feed.load(order)?;
        Ok(Self {
            sizes: sizes.to_vec(),
            parameters,
            optimizer: Optimizer::new(adam(1e-3))?,
            masks: Generator::new(7, 2),
            feed,
            x: Tensor::normal(&[ROWS, sizes[0]], &generator, 0.0, 1.0, DType::F32)?,
            y: Tensor::from_slice(&labels, &[ROWS])?,
            losses: Tensor::zeros(&[], DType::F64)?,
        })
    }

    fn step(&self) -> Result<()> {
        self.feed.next_batch()?;
        let mut h = self.x.take_rows(self.feed.indices())?;
        let y = self.y.take_rows(self.feed.indices())?;
        for (i, pair) in self.parameters.chunks(2).enumerate() {
            let hidden = i + 2 < self.sizes.len();
            let activation = if hidden { by_name("elu", &[1.0]) } else { None };
            h = dense(&h, &pair[0], Some(&pair[1]), activation)?;
            if hidden {
                h = h.dropout(0.3, &self.masks)?;
            }
        }
        let loss = cross_entropy(&h, &y, 0.0, None, Reduction::Mean)?;
        self.losses.accumulate(&loss, 1.0)?;
        descend(&self.optimizer, &loss, &self.parameters)
    }

    /// All weights and the sum of losses, as bit patterns.
    fn bits(&self) -> Result<Vec<u64>> {
        let mut bits = vec![self.losses.item()?.to_bits()];
        for parameter in &self.parameters {
            bits.extend(parameter.to_vec::<f32>()?.iter().map(|x| u64::from(x.to_bits())));
        }
        Ok(bits)
    }

    fn captured(&self) -> Result<Plan> {
        capture::begin()?;
        let outcome = self.step();
        let recording = capture::end().expect("opened above");
        outcome?;
        Plan::new(recording)
    }
}

/// Wide enough that eager launches are split among threads.
const SIZES: [usize; 4] = [300, 700, 300, 10];
const STEPS: usize = 8;

#[test]
fn threads_and_replay_do_not_change_a_bit() -> Result<()> {
    let mut all = Vec::new();
    for threads in [1, 2, 3, 8] {
        team::set_threads(threads)?;
        let eager = Net::new(&SIZES, 120)?;
        for _ in 0..STEPS {
            eager.step()?;
        }
        all.push((threads, "eager", eager.bits()?));
        let replayed = Net::new(&SIZES, 120)?;
        let mut plan = replayed.captured()?;
        assert_eq!(plan.replay(STEPS - 1, Duration::MAX)?, STEPS - 1);
        assert_eq!(plan.steps_done(), STEPS as u64 - 1);
        assert_eq!(replayed.optimizer.iterations(), STEPS as u64);
        all.push((threads, "replay", replayed.bits()?));
    }
    for (threads, how, bits) in &all {
        assert!(*bits == all[0].2, "{how} on {threads} threads differs");
    }
    Ok(())
}

/// Large weights may be cut by columns, and the way back of a deep net by layers: whichever a plan takes, and however the
/// shares are cut again by what they take, bits are the same.
#[test]
fn every_strategy_has_the_same_bits() -> Result<()> {
    let mut deep = vec![500];
    deep.extend([128; 40]);
    deep.push(10);
    for (sizes, strategies) in [(vec![20, 30, 3], 1), (SIZES.to_vec(), 2), (deep, 3)] {
        let eager = Net::new(&sizes, 60)?;
        for _ in 0..STEPS {
            eager.step()?;
        }
        let expected = eager.bits()?;
        for (strategy, threads) in
            (0..strategies).flat_map(|strategy| [1, 2, 3, 5].map(|n| (strategy, n)))
        {
            let net = Net::new(&sizes, 60)?;
            let mut plan = net.captured()?;
            assert_eq!(plan.strategies(), strategies);
            plan.stay_with(strategy, threads);
            // In two goes, so that the second has the shares that the first one's times suggest.
            for steps in [STEPS - 3, 2] {
                assert_eq!(plan.replay(steps, Duration::MAX)?, steps);
            }
            let plan = plan.explain();
            assert!(
                net.bits()? == expected,
                "strategy {strategy} on {threads} threads differs:\n{plan}"
            );
        }
    }
    Ok(())
}

/// Workers read replicas of weights: they follow what another plan, the host or another number of threads does
/// meanwhile.
#[test]
fn replicas_follow_changes_from_elsewhere() -> Result<()> {
    let run = |threads: [usize; 2]| -> Result<Vec<u64>> {
        let net = Net::new(&[60, 80, 70, 10], 60)?;
        let mut plans = [net.captured()?, net.captured()?];
        let mut go = |plan: usize, threads: usize, steps: usize| -> Result<()> {
            plans[plan].stay_with(0, threads);
            assert_eq!(plans[plan].replay(steps, Duration::MAX)?, steps);
            Ok(())
        };
        go(0, threads[0], 2)?;
        go(1, threads[1], 2)?;
        go(0, threads[0], 1)?;
        let halves: Vec<f32> = net.parameters[2].to_vec()?.iter().map(|x: &f32| x / 2.0).collect();
        net.parameters[2].write(&halves)?;
        go(0, threads[0], 2)?;
        go(0, threads[1], 2)?;
        go(0, 1, 1)?;
        go(0, threads[0], 1)?;
        net.step()?;
        go(0, threads[0], 1)?;
        net.bits()
    };
    let expected = run([1, 1])?;
    for threads in [[2, 3], [3, 2], [4, 4], [2, 1]] {
        assert!(run(threads)? == expected, "{threads:?} threads");
    }
    Ok(())
}

/// A single row leaves nothing to share among threads but the columns of large weights.
#[test]
fn one_row_has_the_same_bits_by_columns() -> Result<()> {
    let net = Net::new(&[784, 301, 10], 1)?;
    let [w1, b1, w2, b2] = &net.parameters[..] else { panic!("two layers") };
    let x = Tensor::zeros(&[1, 784], DType::F32)?;
    let answer = || {
        let h = dense(&x, &w1.detach(), Some(&b1.detach()), by_name("relu", &[]))?;
        dense(&h, &w2.detach(), Some(&b2.detach()), None)
    };
    capture::begin()?;
    let out = answer();
    let mut plan = Plan::new(capture::end().expect("opened above"))?;
    let out = out?;
    assert_eq!(plan.strategies(), 2);
    for (strategy, threads) in [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)] {
        let row: Vec<f32> = (0..784).map(|i| (i % (7 + strategy + threads)) as f32 - 3.0).collect();
        x.write(&row)?;
        plan.stay_with(strategy, threads);
        plan.replay(1, Duration::MAX)?;
        assert_eq!(out.to_vec::<f32>()?, answer()?.to_vec::<f32>()?, "{}", plan.explain());
    }
    assert!(plan.explain().contains("19 items: dense"), "{}", plan.explain());
    Ok(())
}

/// However deep the net, a step is two phases: rows through the net and back, then the weights.
#[test]
fn a_dense_net_is_two_phases() -> Result<()> {
    for depth in [1, 5, 12] {
        let mut sizes = vec![20];
        sizes.extend(std::iter::repeat_n(16, depth));
        sizes.push(4);
        let plan = Net::new(&sizes, 24)?.captured()?;
        assert_eq!(plan.describe().phases, 2, "depth {depth}:\n{}", plan.explain());
        let rows = plan.explain().lines().filter(|line| line.contains("take_rows")).count();
        assert_eq!(rows, 1, "one chain of rows:\n{}", plan.explain());
    }
    Ok(())
}

#[test]
fn a_replay_stops_where_its_batches_end_and_can_go_on() -> Result<()> {
    let net = Net::new(&[10, 8, 3], 60)?;
    let mut plan = net.captured()?;
    let error = plan.replay(1000, Duration::MAX).expect_err("the feed ends");
    assert!(error.to_string().contains("feed"), "{error}");
    assert_eq!(plan.steps_done(), 15);
    assert_eq!(net.optimizer.iterations(), 16);
    net.feed.load((0..ROWS as i64).collect())?;
    assert_eq!(plan.replay(4, Duration::MAX)?, 4);
    // A limit that has passed still makes one whole step.
    net.feed.load((0..ROWS as i64).collect())?;
    assert_eq!(plan.replay(4, Duration::ZERO)?, 1);
    Ok(())
}

#[test]
fn one_thread_may_replay_while_others_use_the_same_optimizer() -> Result<()> {
    let net = Net::new(&[10, 8, 3], 60)?;
    let mut plan = net.captured()?;
    let other = leaf(&[0.0_f32; 4], &[4])?;
    let gradient = Tensor::ones(&[4], DType::F32)?;
    std::thread::scope(|scope| -> Result<()> {
        let worker = scope.spawn(|| -> Result<()> {
            for _ in 0..200 {
                net.feed.load((0..ROWS as i64).collect())?;
                plan.replay(4, Duration::MAX)?;
            }
            Ok(())
        });
        for _ in 0..2000 {
            net.optimizer.apply(&[&other], &[&gradient])?;
        }
        worker.join().expect("no panic")
    })?;
    assert_eq!(net.optimizer.iterations(), 1 + 800 + 2000);
    Ok(())
}

/// The gradient of a weight lives for a block at a time: the plan holds no array for it.
#[test]
fn gradients_of_weights_take_no_memory_in_a_plan() -> Result<()> {
    let batch = 24;
    let net = Net::new(&SIZES, batch)?;
    let weights: usize = SIZES.windows(2).map(|pair| pair[0] * pair[1] * 4).sum();
    let activations: usize = SIZES.iter().map(|size| size * batch * 4).sum();
    let data = ROWS * (SIZES[0] * 4 + 8);
    // Weights and Adam's two slots; the values, their gradients and the dropped-out values of a batch.
    let needed = 3 * weights + 4 * activations + data;
    let memory = net.captured()?.describe().memory;
    assert!(memory < needed + weights / 2, "{memory} bytes, expected about {needed}");
    Ok(())
}

/// A row that is added to every row of a square matrix is no row's own, though there are as many elements as rows.
#[test]
fn a_repeated_row_waits_for_all_of_it() -> Result<()> {
    team::set_threads(3)?;
    let n = 96;
    let values: Vec<f32> = (0..n * n).map(|i| (i % 37) as f32).collect();
    let (x, out) = (Tensor::from_slice(&values, &[n, n])?, Tensor::zeros(&[n, n], DType::F32)?);
    capture::begin()?;
    // The means of the rows come from the launch before, a row each, and are then used as a row.
    let means = x.mean(&[1], false)?;
    out.assign(&x.add(&means)?)?;
    let mut plan = Plan::new(capture::end().expect("opened above"))?;
    let expected = out.to_vec::<f32>()?;
    for shift in 1..4_u8 {
        let moved: Vec<f32> = values.iter().map(|v| v + f32::from(shift)).collect();
        x.write(&moved)?;
        plan.replay(1, Duration::MAX)?;
        let wanted: Vec<f32> = expected.iter().map(|v| v + 2.0 * f32::from(shift)).collect();
        let got = out.to_vec::<f32>()?;
        let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "off by {worst}:\n{}", plan.explain());
    }
    Ok(())
}
