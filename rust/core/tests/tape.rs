//! The tape as a whole: depth, repetition, mistakes, threads.

use evengrad_core::generator::Generator;
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::ops::slice::Span;
use std::sync::{Arc, Mutex};

use evengrad_core::tape::{Hook, backward, gradients, no_grad};
use evengrad_core::{DType, Error, HostError, Result, Tensor, team};

fn leaf(values: &[f64], shape: &[usize]) -> Tensor {
    let x = Tensor::from_slice(values, shape).expect("fits");
    x.set_requires_grad(true).expect("a float leaf");
    x
}

fn grad(x: &Tensor) -> Vec<f64> {
    x.grad().expect("reached").to_vec::<f64>().expect("float64")
}

/// x ↦ 1 - x, many times: the derivative is 1 after an even number.
fn deep_chain(depth: usize) -> Result<()> {
    let x = leaf(&[0.25], &[1]);
    let one = Tensor::ones(&[1], DType::F64)?;
    let mut y = x.clone();
    for _ in 0..depth {
        y = one.sub(&y)?;
    }
    backward(&y, None, true)?;
    assert_eq!((y.item()?, grad(&x)), (0.25, vec![1.0]));
    // The graph is dropped whole here, and once more below, half of it used.
    drop(y);
    let mut y = x.clone();
    for _ in 0..depth {
        y = y.neg()?;
    }
    backward(&y, None, false)
}

const DEPTH: usize = 200_000;

#[test]
fn deep_graphs_are_built_differentiated_and_dropped() {
    deep_chain(DEPTH).expect("no recursion");
}

#[test]
fn depth_needs_no_stack() {
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let outcome = small.spawn(|| deep_chain(DEPTH)).expect("a thread").join();
    outcome.expect("the stack is enough").expect("no recursion");
}

#[test]
fn one_tensor_used_very_often() {
    let x = leaf(&[2.0], &[]);
    let mut sum = x.clone();
    for _ in 0..9_999 {
        sum = sum.add(&x).expect("one shape");
    }
    // A square of products: the number of paths doubles at each of the 60 steps.
    let mut y = x.clone();
    for _ in 0..60 {
        y = y.add(&y).expect("one shape");
    }
    backward(&sum, None, false).expect("a graph");
    assert_eq!(grad(&x), [10_000.0]);
    x.set_grad(None).expect("none");
    backward(&y, None, false).expect("a graph");
    assert_eq!(grad(&x), [(1u64 << 60) as f64]);
}

#[test]
fn a_graph_is_used_once_unless_retained() {
    let x = leaf(&[3.0], &[]);
    let y = x.square().expect("float").exp().expect("float");
    backward(&y, None, true).expect("the first");
    let once = grad(&x);
    backward(&y, None, false).expect("the second");
    assert_eq!(grad(&x), [2.0 * once[0]]);
    let error = backward(&y, None, false).expect_err("freed");
    assert!(matches!(&error, Error::State(text) if text.contains("retain_graph")), "{error}");
    assert_eq!(grad(&x), [2.0 * once[0]]);
}

#[test]
fn what_changed_in_place_is_not_used() {
    let x = leaf(&[1.0, 2.0], &[2]);
    let factor = Tensor::from_slice(&[5.0, 7.0], &[2]).expect("fits");
    let y = x.mul(&factor).expect("one shape").sum(&[], false).expect("float");
    factor.fill(0.0).expect("contiguous");
    let error = backward(&y, None, false).expect_err("changed");
    assert!(matches!(&error, Error::State(text) if text.contains("changed in place")), "{error}");
    assert!(x.grad().is_none());
    // A view shares the memory, so a change through it counts too.
    let x = leaf(&[1.0, 2.0], &[1, 2]);
    let y = x.square().expect("float").sum(&[], false).expect("float");
    x.detach().reshape(&[2]).expect("a view").fill(1.0).expect("contiguous");
    assert!(backward(&y, None, false).is_err());
    // A sum keeps nothing, so nothing is spoilt.
    let y = x.sum(&[], false).expect("float");
    x.detach().fill(9.0).expect("contiguous");
    backward(&y, None, false).expect("nothing kept");
    assert_eq!(grad(&x), [1.0, 1.0]);
}

#[test]
fn gradients_of_results_on_request() {
    let x = leaf(&[2.0], &[]);
    let middle = x.square().expect("float");
    middle.retain_grad().expect("on the tape");
    let y = middle.mul(&x).expect("one shape");
    let other = leaf(&[1.0], &[]);
    let found = gradients(&y, &[&middle, &x, &other], None, true).expect("a graph");
    let item = |t: &Option<Tensor>| t.as_ref().map(|t| t.item().expect("one"));
    assert_eq!(found.iter().map(item).collect::<Vec<_>>(), [Some(2.0), Some(12.0), None]);
    assert!(x.grad().is_none());
    backward(&y, None, false).expect("a graph");
    assert!(grad(&middle).iter().all(|&g| g > 0.0) && !middle.is_leaf());
    assert_eq!(grad(&x), [12.0]);
    assert!(y.grad().is_none());
}

#[test]
fn nothing_is_recorded_without_being_asked_for() {
    let x = leaf(&[2.0], &[]);
    let quiet = no_grad();
    let y = x.exp().expect("float");
    assert!(!y.requires_grad() && y.is_leaf());
    drop(quiet);
    assert!(x.exp().expect("float").requires_grad());
    assert!(!x.detach().exp().expect("float").requires_grad());
    let error = backward(&y, None, false).expect_err("not recorded");
    assert!(matches!(error, Error::State(_)));
    let vector = leaf(&[1.0, 2.0], &[2]).exp().expect("float");
    let error = backward(&vector, None, false).expect_err("not a scalar");
    assert!(matches!(&error, Error::Shape(text) if text.contains("(2,)")), "{error}");
    assert!(x.cast(DType::I64).expect("casts").set_requires_grad(true).is_err());
}

/// Everything that splits among threads, at sizes that do.
fn large_step() -> Result<Vec<Vec<u32>>> {
    let generator = Generator::new(1, 0);
    let (m, k, n) = (600, 300, 700);
    let uniform = |shape: &[usize]| Tensor::uniform(shape, &generator, -1.0, 1.0, DType::F32);
    let (x, table, w) = (uniform(&[m, k])?, uniform(&[50, n])?, uniform(&[n])?);
    for t in [&x, &table, &w] {
        t.set_requires_grad(true)?;
    }
    let rows: Vec<i64> = (0..m as i64).map(|i| i * i % 50).collect();
    let rows = Tensor::from_slice(&rows, &[m])?;
    let wide = Tensor::cat(&[&x, &x.flip(&[1])?, &x.square()?], 1)?;
    let wide = wide.slice(&[Span::ALL, Span::range(0..n)])?;
    let h = wide.mul(&w)?.add(&table.take_rows(&rows)?)?.elu(1.0)?.dropout(0.3, &generator)?;
    let h = h.sub(&h.mean(&[0], true)?)?.softmax(0)?.add(&h.log_softmax(1)?)?;
    let spread = h.var(&[], 1.0, false)?.add(&h.amax(&[], false)?)?;
    let loss = cross_entropy(&h, &rows, 0.1, None, Reduction::Mean)?.add(&spread)?;
    let loss = loss.add(&h.logsumexp(&[0], false)?.sum(&[], false)?)?;
    backward(&loss, None, false)?;
    let grads = [&x, &table, &w].map(Tensor::grad);
    let mut all: Vec<Tensor> = grads.into_iter().flatten().collect();
    all.push(loss);
    all.iter().map(|t| Ok(t.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())).collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let before = team::threads();
    team::set_threads(1).expect("a count");
    let alone = large_step().expect("a step");
    assert!(alone.iter().flatten().all(|&bits| f32::from_bits(bits).is_finite()));
    for count in [2, 3, 8] {
        team::set_threads(count).expect("a count");
        assert!(large_step().expect("a step") == alone, "{count} threads");
    }
    team::set_threads(before).expect("a count");
}

/// A hook made of a closure.
struct Call<F>(F);

impl<F: Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync> Hook for Call<F> {
    fn call(&self, gradient: &Tensor) -> Result<Option<Tensor>> {
        (self.0)(gradient)
    }
}

#[test]
fn hooks_see_complete_gradients_in_order_and_may_replace_them() -> Result<()> {
    let x = leaf(&[3.0], &[1]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str, factor: f64| {
        let seen = Arc::clone(&seen);
        Arc::new(Call(move |gradient: &Tensor| {
            seen.lock().expect("no panic").push((name, gradient.item()?));
            Ok(Some(gradient.mul(&Tensor::full(&[], factor, DType::F64)?)?))
        }))
    };
    let y = x.square()?;
    y.retain_grad()?;
    y.hooks()?.add(note("y", 10.0));
    let first = x.hooks()?.add(note("first", 2.0));
    x.hooks()?.add(note("second", 5.0));
    // y is used twice, x three times: each hook runs once, on the sum.
    backward(&y.add(&y)?.add(&x)?, None, true)?;
    // dy = 2, times 10; dx = 20 * 6 + 1.
    assert_eq!(*seen.lock().expect("no panic"), [("y", 2.0), ("first", 121.0), ("second", 242.0)]);
    assert_eq!((grad(&y), grad(&x)), (vec![20.0], vec![1210.0]));
    assert!(x.hooks()?.remove(first) && !x.hooks()?.remove(first));
    let found = gradients(&y, &[&x, &y], None, false)?;
    let found: Vec<f64> = found.iter().flatten().map(|g| g.item().expect("one")).collect();
    assert_eq!(found, [10.0 * 6.0 * 5.0, 10.0]);
    Ok(())
}

#[test]
fn a_failing_hook_leaves_no_gradient_anywhere() -> Result<()> {
    let (x, z) = (leaf(&[3.0], &[1]), leaf(&[1.0], &[1]));
    let y = x.mul(&z)?;
    y.retain_grad()?;
    let problem = || std::io::Error::other("the host's own");
    let hooks = [
        x.hooks()?
            .add(Arc::new(Call(move |_: &Tensor| Err(Error::Host(HostError::new(problem())))))),
        x.hooks()?.add(Arc::new(Call(|_: &Tensor| Ok(Some(Tensor::ones(&[2], DType::F64)?))))),
    ];
    let Err(Error::Host(error)) = backward(&y, None, true) else { panic!("the hook fails") };
    assert_eq!(error.get::<std::io::Error>().expect("its type").to_string(), "the host's own");
    x.hooks()?.remove(hooks[0]);
    let text = backward(&y, None, true).expect_err("another shape").to_string();
    assert!(text.contains("a gradient of shape (1,) and dtype float64, got shape (2,)"), "{text}");
    assert!(x.grad().is_none() && y.grad().is_none() && z.grad().is_none());
    x.hooks()?.remove(hooks[1]);
    backward(&y, None, true)?;
    assert_eq!((grad(&x), grad(&y), grad(&z)), (vec![1.0], vec![1.0], vec![3.0]));
    assert!(Tensor::ones(&[1], DType::F64)?.hooks().is_err());
    Ok(())
}

#[test]
fn hooks_of_a_result_go_with_its_graph() -> Result<()> {
    let x = leaf(&[3.0], &[1]);
    let y = x.square()?;
    let witness = Arc::new(());
    // The hook holds the tensor it is the hook of.
    let held = (y.clone(), Arc::clone(&witness));
    y.hooks()?.add(Arc::new(Call(move |_: &Tensor| {
        let _ = &held;
        Ok(None)
    })));
    backward(&y, None, false)?;
    drop(y);
    assert_eq!(Arc::strong_count(&witness), 1);
    Ok(())
}
