use super::*;
use crate::plan::Plan;
use crate::{capture, team};

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape).expect("fits")
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F64).expect("small")
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_vec::<f64>().expect("float64")
}

/// Numbers around `center`, the same on every call.
fn noise(n: usize, center: f64, width: f64) -> Vec<f64> {
    let number = |i: usize| ((i * 7919 + 13) % 1009) as f64 / 1009.0 - 0.5;
    (0..n).map(|i| center + width * number(i)).collect()
}

fn plain(x: &Tensor) -> Observed<'_> {
    Observed { x, low: f64::NEG_INFINITY, high: f64::INFINITY, lived: None }
}

/// The same numbers, by the definitions.
fn expected(x: &[f64], width: usize, low: f64, high: f64) -> [f64; 9] {
    let finite = |x: &&f64| x.is_finite();
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let variance = |x: &[f64]| {
        let center = mean(x);
        mean(&x.iter().map(|x| (x - center) * (x - center)).collect::<Vec<_>>())
    };
    let all: Vec<f64> = x.iter().filter(finite).copied().collect();
    let columns: Vec<Vec<f64>> = (0..width)
        .map(|column| x[column..].iter().step_by(width).copied().collect::<Vec<f64>>())
        .collect();
    let outside = |x: &f64| *x <= low || *x >= high;
    let kept: Vec<Vec<f64>> = columns
        .iter()
        .map(|column| column.iter().filter(finite).copied().collect::<Vec<f64>>())
        .filter(|column| !column.is_empty())
        .collect();
    let root_mean_square = mean(&all.iter().map(|x| x * x).collect::<Vec<_>>()).sqrt();
    let variances: Vec<f64> = kept.iter().map(|column| variance(column)).collect();
    let means: Vec<f64> = kept.iter().map(|column| mean(column)).collect();
    let share = |part: usize, of: usize| part as f64 / of as f64;
    [
        mean(&all),
        variance(&all).sqrt(),
        root_mean_square,
        share(x.len() - all.len(), x.len()),
        share(x.iter().filter(|x| outside(x)).count(), x.len()),
        share(columns.iter().filter(|column| column.iter().all(outside)).count(), width),
        mean(&variances).sqrt() / root_mean_square,
        variance(&means).sqrt() / root_mean_square,
        share(x.len(), width),
    ]
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let near = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * b.abs();
        assert!(near, "number {i}: {a:e}, expected {b:e} (all: {found:?}, {expected:?})");
    }
}

#[test]
fn moments_and_shares_of_columns_by_hand() {
    let x = tensor(&[1., 0., -1., 3., 0., -2.], &[2, 3]);
    let (into, lived) = (zeros(&[9]), tensor(&[5., 5., 5.], &[3]));
    let of = Observed { x: &x, low: 0.0, high: f64::INFINITY, lived: Some(&lived) };
    observe_all(&into, &[of]).expect("fits");
    let (mean, square) = (1.0 / 6.0, 15.0 / 6.0);
    let spread = f64::sqrt((1.0 + 0.0 + 0.25) / 3.0 / square);
    let between = [2.0, 0.0, -1.5].map(|x: f64| (x - mean) * (x - mean)).iter().sum::<f64>() / 3.0;
    let by_hand = [
        mean,
        f64::sqrt(square - mean * mean),
        square.sqrt(),
        0.0,
        4.0 / 6.0,
        2.0 / 3.0,
        spread,
        f64::sqrt(between / square),
        2.0,
    ];
    assert_near(&values(&into), &by_hand, 1e-15);
    assert_eq!(values(&lived), [6., 5., 5.]);
}

#[test]
fn columns_of_any_number_in_both_types() {
    for width in [1, 3, 7, 8, 10, 63, 64, 65, 100, 131] {
        for rows in [1, 2, 16, 33, 100] {
            let x = noise(rows * width, 0.25, 2.0);
            let (low, high) = (-0.5, 1.0);
            let (wide, into) = (tensor(&x, &[rows, width]), zeros(&[2, 9]));
            let narrow = wide.cast(DType::F32).expect("casts");
            let of = |x| Observed { x, low, high, lived: None };
            observe_all(&into, &[of(&wide), of(&narrow)]).expect("fits");
            let rounded: Vec<f64> =
                narrow.to_vec::<f32>().expect("f32").into_iter().map(f64::from).collect();
            let found = values(&into);
            assert_near(&found[..9], &expected(&x, width, low, high), 1e-12);
            assert_near(&found[9..], &expected(&rounded, width, low, high), 1e-5);
        }
    }
}

#[test]
fn nothing_cancels_overflows_or_vanishes() {
    for (center, size) in [(1e6, 1.0), (0.0, 1e-30), (0.0, 1e30), (-3e4, 0.01), (1e-20, 1e-25)] {
        let x: Vec<f32> = noise(40 * 20, center, size).into_iter().map(|x| x as f32).collect();
        let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let (x, into) = (Tensor::from_slice(&x, &[40, 20]).expect("fits"), zeros(&[9]));
        observe_all(&into, &[plain(&x)]).expect("fits");
        assert_near(&values(&into), &expected(&wide, 20, f64::NAN, f64::NAN), 1e-5);
        let norm = zeros(&[]);
        observe_norms(&norm, &[&x]).expect("fits");
        let by_hand = wide.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert_near(&values(&norm), &[by_hand], 1e-13);
    }
}

#[test]
fn equal_rows_and_equal_columns_have_no_spread() {
    let row: Vec<f32> = (0..70).map(|i| 0.1 + i as f32 / 3.0).collect();
    let (rows, into) = (row.repeat(37), zeros(&[3, 9]));
    let columns: Vec<f32> = (0..37).flat_map(|i| vec![0.1 + i as f32 / 3.0; 70]).collect();
    let [rows, columns] = [rows, columns].map(|x| Tensor::from_slice(&x, &[37, 70]).expect("fits"));
    let nothing = Tensor::zeros(&[37, 70], DType::F32).expect("small");
    observe_all(&into, &[plain(&rows), plain(&columns), plain(&nothing)]).expect("fits");
    let found = values(&into);
    assert_eq!((found[6], found[9 + 7], &found[18..26]), (0.0, 0.0, &[0.0; 8][..]));
    assert!(found[7] > 0.1 && found[9 + 6] > 0.1);
}

#[test]
fn numbers_that_are_not_finite_are_counted_and_left_out() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    let mut x = noise(20 * 70, 3.0, 1.0);
    for (at, bad) in [(0, nan), (1, infinity), (71, -infinity), (700, nan)] {
        x[at] = bad;
    }
    // A whole column.
    (0..20).for_each(|row| x[row * 70 + 69] = infinity);
    for (low, high) in [(2.9, infinity), (-infinity, 3.1), (2.9, 3.1)] {
        let (wide, into, lived) = (tensor(&x, &[20, 70]), zeros(&[9]), zeros(&[70]));
        let of = Observed { x: &wide, low, high, lived: Some(&lived) };
        observe_all(&into, &[of]).expect("fits");
        let bound = |x: f64| if x.is_finite() { x } else { nan };
        assert_near(&values(&into), &expected(&x, 70, bound(low), bound(high)), 1e-12);
        let lives = if high.is_finite() { 0.0 } else { 1.0 };
        assert_eq!(values(&lived)[69], lives, "{low} {high}");
    }
    let (all_bad, into) = (tensor(&[nan, infinity], &[1, 2]), zeros(&[9]));
    observe_all(&into, &[plain(&all_bad)]).expect("fits");
    assert_near(&values(&into), &[nan, nan, nan, 1., 0., 0., nan, nan, 1.], 0.0);
    let no_rows = zeros(&[0, 2]);
    observe_all(&into, &[plain(&no_rows)]).expect("fits");
    assert_near(&values(&into), &[nan, nan, nan, nan, nan, nan, nan, nan, 0.], 0.0);
}

#[test]
fn the_same_tensor_is_looked_at_once() {
    let x = tensor(&noise(12, 1.0, 1.0), &[3, 4]);
    let (into, lived) = (zeros(&[4, 9]), zeros(&[4]));
    let bounded = Observed { low: 1.0, ..plain(&x) };
    capture::begin().expect("none is open");
    let counted = Observed { lived: Some(&lived), ..bounded };
    observe_all(&into, &[plain(&x), bounded, plain(&x.detach()), counted]).expect("fits");
    let launches = capture::end().expect("opened above");
    let plan = Plan::new(launches).expect("not empty");
    assert!(plan.explain().contains("3 items"), "{}", plan.explain());
    let found = values(&into);
    assert_near(&found[..9], &expected(&values(&x), 4, f64::NAN, f64::NAN), 1e-12);
    assert_near(&found[9..18], &expected(&values(&x), 4, 1.0, f64::NAN), 1e-12);
    assert_eq!((&found[18..27], &found[27..]), (&found[..9], &found[9..18]));
}

#[test]
fn norms_of_numbers() {
    for count in [1, 5, 16, 100, CHUNK, 3 * CHUNK + 17] {
        let (before, after) = (noise(count, 0.5, 3.0), noise(count, 0.25, 1.0));
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let [x, y] = [&before, &after].map(|x| tensor(x, &[count]));
        let both = zeros(&[2]);
        observe_norms(&both, &[&x, &y]).expect("fits");
        assert_near(&values(&both), &[norm(&before), norm(&after)], 1e-12);
    }
    // Beyond the squares of float64 too, and nothing at all.
    let all = [&[3e200, -4e200][..], &[3e-200, 4e-200], &[f64::INFINITY, 1.0], &[f64::NAN], &[]];
    let all: Vec<Tensor> = all.iter().map(|x| tensor(x, &[x.len()])).collect();
    let into = zeros(&[5]);
    observe_norms(&into, &all.iter().collect::<Vec<_>>()).expect("fits");
    assert_near(&values(&into), &[5e200, 5e-200, f64::INFINITY, f64::NAN, 0.0], 1e-15);
}

#[test]
fn parts_of_other_tensors_are_looked_at_as_they_lie() {
    let x = tensor(&noise(60, 1.0, 1.0), &[3, 4, 5]);
    let turned = x.permute(&[2, 0, 1]).expect("three dimensions");
    let into = zeros(&[2, 9]);
    observe_all(&into, &[plain(&x), plain(&turned)]).expect("fits");
    let found = values(&into);
    assert_near(&found[..9], &expected(&values(&x), 5, f64::NAN, f64::NAN), 1e-12);
    assert_near(&found[9..], &expected(&values(&turned), 4, f64::NAN, f64::NAN), 1e-12);
}

#[test]
fn replays_have_the_bits_of_eager_calls_with_any_number_of_threads() {
    let x = tensor(&noise(300 * 150, 0.0, 2.0), &[300, 150]).cast(DType::F32).expect("casts");
    let weight = tensor(&noise(150 * 150, 0.1, 1.0), &[150, 150]).cast(DType::F32).expect("casts");
    let state = || (zeros(&[2, 9]), zeros(&[150]), zeros(&[1]));
    let step = |(into, lived, norm): &(Tensor, Tensor, Tensor)| {
        let z = x.matmul(&weight).expect("fits");
        let y = z.relu().expect("float");
        let of = Observed { x: &y, low: 0.0, high: f64::INFINITY, lived: Some(lived) };
        observe_all(into, &[plain(&z), of]).expect("fits");
        observe_norms(norm, &[&y]).expect("fits");
    };
    let all =
        |state: &(Tensor, Tensor, Tensor)| [&state.0, &state.1, &state.2].map(values).concat();
    let eager = state();
    (0..3).for_each(|_| step(&eager));
    for threads in 1..=team::threads().max(3) {
        let replayed = state();
        capture::begin().expect("none is open");
        step(&replayed);
        let mut plan = Plan::new(capture::end().expect("opened above")).expect("not empty");
        plan.stay_with(0, threads);
        plan.replay(2, std::time::Duration::MAX).expect("no step fails");
        assert_eq!(all(&replayed), all(&eager), "{threads} threads");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (x, into) = (zeros(&[2, 3]), zeros(&[9]));
    let refused =
        |into: &Tensor, of: Observed<'_>| observe_all(into, &[of]).expect_err("no fit").to_string();
    assert!(refused(&zeros(&[8]), plain(&x)).contains("expected 9 numbers"));
    let narrow = Tensor::zeros(&[9], DType::F32).expect("small");
    assert!(refused(&narrow, plain(&x)).contains("float32"));
    assert!(refused(&into, plain(&zeros(&[]))).contains("(..., units)"));
    assert!(refused(&into, plain(&zeros(&[2, 0]))).contains("(..., units)"));
    let integers = Tensor::zeros(&[2, 3], DType::I64).expect("small");
    assert!(refused(&into, plain(&integers)).contains("int64"));
    assert!(refused(&into, Observed { low: 1.0, high: 0.0, ..plain(&x) }).contains("low=1"));
    let (two, lived) = (zeros(&[2]), zeros(&[3]));
    assert!(refused(&into, Observed { lived: Some(&two), ..plain(&x) }).contains("3 units"));
    let shared = Observed { lived: Some(&lived), ..plain(&x) };
    let twice = observe_all(&zeros(&[18]), &[shared, shared]).expect_err("twice").to_string();
    assert!(twice.contains("twice"), "{twice}");
    assert_eq!(values(&lived), [0.0; 3]);
    assert!(observe_all(&zeros(&[0]), &[]).is_err());
    assert!(observe_norms(&into, &[&x]).is_err());
    assert!(observe_norms(&two, &[&x, &integers]).is_err());
}
