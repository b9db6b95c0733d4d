use super::*;
use crate::capture;
use crate::optim::{Adam, Convention, Sgd};
use crate::plan::Plan;

fn zeros(count: usize) -> Tensor {
    Tensor::zeros(&[count], DType::F64).expect("small")
}

fn values(t: &Tensor) -> Vec<f64> {
    t.cast(DType::F64).and_then(|t| t.to_vec()).expect("numbers")
}

/// Numbers around a center, the same on every call.
fn noise(shape: &[usize], center: f64, dtype: DType) -> Tensor {
    let count = shape.iter().product();
    let number = |i: usize| center + ((i * 7919 + 13) % 1009) as f64 / 1009.0;
    let numbers: Vec<f64> = (0..count).map(number).collect();
    Tensor::from_slice(&numbers, shape).and_then(|t| t.cast(dtype)).expect("fits")
}

fn sgd(learning_rate: f64) -> Optimizer {
    Optimizer::new(Sgd { learning_rate }).expect("small")
}

fn adam() -> Optimizer {
    let (beta_1, beta_2, epsilon, convention) = (0.9, 0.999, 1e-7, Convention::Keras);
    Optimizer::new(Adam { learning_rate: 0.01, beta_1, beta_2, epsilon, convention })
        .expect("small")
}

fn norm(x: impl Iterator<Item = f64>) -> f64 {
    x.map(|x| x * x).sum::<f64>().sqrt()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        let near = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * b.abs();
        assert!(near, "{found:?}, expected {expected:?}");
    }
}

#[test]
fn updates_are_those_of_others_and_measured() {
    for shape in
        [&[][..], &[1], &[31], &[100], &[3, 2], &[7, 31], &[784, 3], &[2, 1100], &[4, 3, 5]]
    {
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-12)] {
            let gradient = noise(shape, -0.5, dtype);
            let [plain, watched] = [(); 2].map(|()| noise(shape, 0.25, dtype));
            let (before, into, optimizer) = (values(&plain), zeros(3), adam());
            adam().apply(&[&plain], &[&gradient]).expect("fits");
            optimizer.observe(&into, &[&watched]).expect("fits");
            optimizer.apply(&[&watched], &[&gradient]).expect("fits");
            let after = values(&watched);
            assert_eq!(after, values(&plain), "{shape:?}");
            let moved = norm(after.iter().zip(&before).map(|(a, b)| a - b));
            let expected = [moved, norm(before.into_iter()), norm(values(&gradient).into_iter())];
            assert_near(&values(&into), &expected, tolerance);
            optimizer.observe_nothing();
            optimizer.apply(&[&watched], &[&gradient]).expect("fits");
            assert_near(&values(&into), &expected, tolerance);
        }
    }
}

#[test]
fn what_is_not_updated_keeps_its_numbers() {
    let [a, b, c] = [2.0, 3.0, 4.0].map(|x| Tensor::full(&[1], x, DType::F64).expect("small"));
    let (into, optimizer) = (Tensor::full(&[3, 3], 7.0, DType::F64).expect("small"), sgd(0.5));
    optimizer.observe(&into, &[&c, &b, &a]).expect("fits");
    let one = Tensor::ones(&[1], DType::F64).expect("small");
    optimizer.apply(&[&a, &c], &[&one, &one]).expect("fits");
    assert_eq!(values(&into), [0.5, 4.0, 1.0, 7.0, 7.0, 7.0, 0.5, 2.0, 1.0]);
    let other = zeros(1);
    optimizer.apply(&[&other], &[&one]).expect("fits");
    assert_eq!(values(&other), [-0.5]);
}

#[test]
fn neither_overflows_nor_vanishes() {
    let single = |x: [f32; 4]| Tensor::from_slice(&x, &[4, 1]).expect("fits");
    let infinity = f32::INFINITY;
    for (x, norm) in [
        ([3e-30, 4e-30, 0.0, 0.0], 5e-30),
        ([3e30, 0.0, 0.0, 4e30], 5e30),
        ([3e-25, 0.0, 1.0, 0.0], 1.0),
        ([0.0, -0.0, 0.0, 0.0], 0.0),
        ([infinity, 0.0, 1.0, 0.0], f64::INFINITY),
        ([f32::NAN, 0.0, 1.0, 0.0], f64::NAN),
    ] {
        let (weight, into) = (single([0.0; 4]), zeros(3));
        let optimizer = sgd(1.0);
        optimizer.observe(&into, &[&weight]).expect("fits");
        optimizer.apply(&[&weight], &[&single(x)]).expect("fits");
        assert_near(&values(&into), &[norm, 0.0, norm], 1e-6);
    }
}

#[test]
fn in_a_plan_pieces_are_measured_where_they_are_updated() {
    let x = noise(&[40, 30], -0.5, DType::F32);
    let step = |weight: &Tensor, optimizer: &Optimizer| {
        let y = x.matmul(&weight.detach()).expect("fits");
        let gradient = x.transpose(0, 1).and_then(|x| x.matmul(&y)).expect("fits");
        optimizer.apply(&[weight], &[&gradient]).expect("fits");
    };
    let made = || {
        let (weight, into) = (noise(&[30, 20], 1.0, DType::F32), zeros(3));
        let optimizer = adam();
        optimizer.observe(&into, &[&weight]).expect("fits");
        (weight, into, optimizer)
    };
    let (eager, expected, optimizer) = made();
    (0..3).for_each(|_| step(&eager, &optimizer));
    for threads in 1..=crate::team::threads().max(3) {
        let (weight, into, optimizer) = made();
        capture::begin().expect("none is open");
        step(&weight, &optimizer);
        let mut plan = Plan::new(capture::end().expect("opened above")).expect("not empty");
        let explained = plan.explain();
        assert!(explained.contains("matmul > adam"), "{explained}");
        plan.stay_with(0, threads);
        plan.replay(2, std::time::Duration::MAX).expect("no step fails");
        assert_eq!(values(&into), values(&expected));
        assert_eq!(values(&weight), values(&eager));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (weight, optimizer) = (zeros(2), sgd(0.1));
    let refused = |into: &Tensor, parameters: &[&Tensor]| {
        optimizer.observe(into, parameters).expect_err("no fit").to_string()
    };
    assert!(refused(&zeros(4), &[&weight]).contains("expected 3 numbers"));
    assert!(refused(&zeros(0), &[]).contains("got none"));
    let narrow = Tensor::zeros(&[3], DType::F32).expect("small");
    assert!(refused(&narrow, &[&weight]).contains("float32"));
}
