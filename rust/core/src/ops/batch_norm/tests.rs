use super::*;
use crate::DType;
use crate::tape::{backward, gradients};
use crate::testing::assert_close;

const PLAIN: Affine<'static> = Affine { gamma: None, beta: None, epsilon: 1e-3 };

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape).expect("fits")
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_vec::<f64>().expect("float64")
}

/// Numbers from -3 to 3 that look random.
fn some(m: usize, n: usize, seed: usize) -> Vec<f64> {
    (0..m * n).map(|i| ((i + seed) * 7919 % 6007) as f64 / 1001.0 - 3.0).collect()
}

fn fresh(n: usize, dtype: DType) -> (Tensor, Tensor) {
    (Tensor::zeros(&[n], dtype).expect("small"), Tensor::ones(&[n], dtype).expect("small"))
}

/// Mean and biased variance of a column.
fn column(x: &[f64], m: usize, n: usize, c: usize) -> (f64, f64) {
    let mean = (0..m).map(|r| x[r * n + c]).sum::<f64>() / m as f64;
    (mean, (0..m).map(|r| (x[r * n + c] - mean).powi(2)).sum::<f64>() / m as f64)
}

#[test]
fn moving_statistics_of_each_convention() {
    for (rate, unbiased, expected) in
        [(0.01, false, [0.015, 1.0025]), (0.1, true, [0.15, 0.9 + 0.1 * 5.0 / 3.0])]
    {
        let x = tensor(&[0.0, 1.0, 2.0, 3.0], &[4, 1]);
        let (mean, variance) = fresh(1, DType::F64);
        let moving = MovingStatistics { mean: &mean, variance: &variance, rate, unbiased };
        let y = batch_norm(&x, PLAIN, Some(moving)).expect("valid");
        assert_close(&mean, &expected[..1], 1e-15);
        assert_close(&variance, &expected[1..], 1e-15);
        let r = 1.0 / 1.251f64.sqrt();
        assert_close(&y, &[-1.5 * r, -0.5 * r, 0.5 * r, 1.5 * r], 1e-15);
    }
}

/// Shapes around the chunks of rows and the vectors of columns.
#[test]
fn values_of_every_shape() {
    for m in [1, 2, 3, 15, 16, 17, 32, 33, 100] {
        for n in [1, 2, 7, 8, 9, 31, 64, 65, 130, 1030] {
            let data = some(m, n, m + n);
            let (gamma, beta) = (tensor(&some(1, n, 5), &[n]), tensor(&some(1, n, 9), &[n]));
            let affine = Affine { gamma: Some(&gamma), beta: Some(&beta), epsilon: 1e-5 };
            let (mean, variance) = fresh(n, DType::F64);
            let moving =
                MovingStatistics { mean: &mean, variance: &variance, rate: 0.25, unbiased: true };
            let x = tensor(&data, &[m, n]);
            let y = batch_norm(&x, affine, Some(moving)).expect("valid");
            let (mut expected, mut means, mut variances) = (vec![0.0; m * n], vec![], vec![]);
            let (g, b) = (values(&gamma), values(&beta));
            for c in 0..n {
                let (mu, var) = column(&data, m, n, c);
                for r in 0..m {
                    let at = r * n + c;
                    expected[at] = (data[at] - mu) / (var + 1e-5).sqrt() * g[c] + b[c];
                }
                means.push(0.25 * mu);
                let correction = if m > 1 { m as f64 / (m - 1) as f64 } else { 1.0 };
                variances.push(0.75 + 0.25 * var * correction);
            }
            assert_close(&y, &expected, 1e-12);
            assert_close(&mean, &means, 1e-13);
            assert_close(&variance, &variances, 1e-13);
            let fixed = batch_norm_inference(&x, &mean, &variance, affine).expect("valid");
            for c in 0..n {
                for r in 0..m {
                    let at = r * n + c;
                    let x_hat = (data[at] - means[c]) / (variances[c] + 1e-5).sqrt();
                    expected[at] = x_hat * g[c] + b[c];
                }
            }
            assert_close(&fixed, &expected, 1e-12);
        }
    }
}

/// The deviation of numbers far from zero is what single precision can hold, not what cancellation leaves.
#[test]
fn nothing_cancels_far_from_zero() {
    let m = 1000;
    let data: Vec<f32> = (0..m).map(|i| 10_000.0 + (i % 8) as f32).collect();
    let x = Tensor::from_slice(&data, &[m, 1]).expect("fits");
    let y = batch_norm(&x, Affine { epsilon: 0.0, ..PLAIN }, None).expect("valid");
    let deviation = 5.25f64.sqrt();
    let expected: Vec<f64> = (0..m).map(|i| ((i % 8) as f64 - 3.5) / deviation).collect();
    assert_close(&y, &expected, 1e-4);
    let huge = Tensor::from_slice(&[3e25f32, 1.0, -3e25, 2.0], &[2, 2]).expect("fits");
    let y = batch_norm(&huge, PLAIN, None).expect("valid").to_vec::<f32>().expect("float32");
    // The first column's variance overflows: its rows are at no distance from the mean.
    assert_eq!(y[0].to_bits() << 1, 0);
    assert!(y[1] < -0.9 && y[3] > 0.9);
}

#[test]
fn gradients_keep_their_invariants() {
    let (m, n, epsilon) = (37, 21, 0.3);
    let x = tensor(&some(m, n, 1), &[m, n]);
    let gamma = tensor(&some(1, n, 2), &[n]);
    let grad = tensor(&some(m, n, 3), &[m, n]);
    x.set_requires_grad(true).expect("a float leaf");
    let y =
        batch_norm(&x, Affine { gamma: Some(&gamma), beta: None, epsilon }, None).expect("valid");
    backward(&y, Some(&grad), false).expect("a graph");
    let (dx, dy, data, g) =
        (values(&x.grad().expect("reached")), values(&grad), values(&x), values(&gamma));
    for c in 0..n {
        let (mean, variance) = column(&data, m, n, c);
        let r = 1.0 / (variance + epsilon).sqrt();
        let of = |i: usize| (data[i * n + c] - mean) * r;
        let sum: f64 = (0..m).map(|i| dx[i * n + c]).sum();
        assert!(sum.abs() < 1e-12, "{sum}");
        let along: f64 = (0..m).map(|i| dx[i * n + c] * of(i)).sum();
        let tilt: f64 = (0..m).map(|i| dy[i * n + c] * of(i)).sum();
        let expected = g[c] * r * tilt * epsilon / (variance + epsilon);
        assert!((along - expected).abs() < 1e-12, "{along}, {expected}");
    }
}

#[test]
fn one_row_has_no_deviation() {
    let x = tensor(&[5.0, -1e9], &[1, 2]);
    let (beta, (mean, variance)) = (tensor(&[0.5, -2.0], &[2]), fresh(2, DType::F64));
    x.set_requires_grad(true).expect("a float leaf");
    let moving = MovingStatistics { mean: &mean, variance: &variance, rate: 0.1, unbiased: true };
    let affine = Affine { beta: Some(&beta), ..PLAIN };
    let y = batch_norm(&x, affine, Some(moving)).expect("valid");
    assert_eq!(values(&y), [0.5, -2.0]);
    assert_eq!(values(&variance), [0.9, 0.9]);
    backward(&y, Some(&tensor(&[1.0, 3.0], &[1, 2])), false).expect("a graph");
    assert_eq!(values(&x.grad().expect("reached")), [0.0, 0.0]);
}

/// Every instruction of both passes, in single precision, with any number of threads.
#[test]
fn threads_do_not_change_bits() {
    let (m, n) = (600, 301);
    let single = |data: Vec<f64>, shape: &[usize]| {
        let t = tensor(&data, shape).cast(DType::F32).expect("casts");
        t.set_requires_grad(true).expect("a float leaf");
        t
    };
    let run = || {
        let x = single(some(m, n, 4), &[m, n]);
        let (gamma, beta) = (single(some(1, n, 5), &[n]), single(some(1, n, 6), &[n]));
        let grad = single(some(m, n, 7), &[m, n]).detach();
        let (mean, variance) = fresh(n, DType::F32);
        let moving =
            MovingStatistics { mean: &mean, variance: &variance, rate: 0.1, unbiased: false };
        let affine = Affine { gamma: Some(&gamma), beta: Some(&beta), epsilon: 1e-3 };
        let y = batch_norm(&x, affine, Some(moving)).expect("valid");
        let found = gradients(&y, &[&x, &gamma, &beta], Some(&grad), false).expect("a graph");
        let mut all = vec![y.detach(), mean, variance];
        all.extend(found.into_iter().flatten());
        assert_eq!(all.len(), 6);
        let bits = |t: &Tensor| {
            t.to_vec::<f32>().expect("float32").into_iter().map(f32::to_bits).collect()
        };
        all.iter().map(bits).collect::<Vec<Vec<u32>>>()
    };
    let before = crate::team::threads();
    crate::team::set_threads(1).expect("a count");
    let expected = run();
    for threads in [2, 3, 8] {
        crate::team::set_threads(threads).expect("a count");
        assert!(run() == expected, "{threads} threads");
    }
    crate::team::set_threads(before).expect("a count");
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = tensor(&some(3, 2, 0), &[3, 2]);
    let (mean, variance) = fresh(2, DType::F64);
    let moving = |mean, variance| MovingStatistics { mean, variance, rate: 0.1, unbiased: false };
    let text = |outcome: Result<Tensor>| outcome.expect_err("not valid").to_string();
    let three = tensor(&[1.0; 3], &[3]);
    let affine = Affine { gamma: Some(&three), ..PLAIN };
    assert!(text(batch_norm(&x, affine, None)).contains("gamma of shape (2,)"));
    assert!(text(batch_norm_inference(&x, &mean, &three, PLAIN)).contains("moving variance"));
    assert!(text(batch_norm(&three, PLAIN, None)).contains("(rows, features)"));
    let none = Tensor::zeros(&[0, 2], DType::F64).expect("empty");
    assert!(text(batch_norm(&none, PLAIN, None)).contains("at least one row"));
    let empty = batch_norm_inference(&none, &mean, &variance, PLAIN).expect("no rows");
    assert_eq!(empty.shape(), [0, 2]);
    let negative = Affine { epsilon: -1.0, ..PLAIN };
    assert!(text(batch_norm(&x, negative, None)).contains("epsilon"));
    let single = variance.cast(DType::F32).expect("casts");
    assert!(text(batch_norm_inference(&x, &mean, &single, PLAIN)).contains("float32"));
    assert!(text(batch_norm(&x, PLAIN, Some(moving(&mean, &mean)))).contains("share memory"));
    let row = x.index(0, 0).expect("a row");
    assert!(text(batch_norm(&x, PLAIN, Some(moving(&row, &variance)))).contains("share memory"));
    assert_eq!((values(&mean), values(&variance)), (vec![0.0; 2], vec![1.0; 2]));
    mean.set_requires_grad(true).expect("a float leaf");
    assert!(text(batch_norm(&x, PLAIN, Some(moving(&mean, &variance)))).contains("gradient"));
}
