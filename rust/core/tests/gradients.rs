//! Every operation's gradient against central differences, in float64, over the layouts that tensors come in.

use evengrad_core::generator::Generator;
use evengrad_core::ops::batch_norm::{Affine, batch_norm, batch_norm_inference};
use evengrad_core::ops::dense::dense;
use evengrad_core::ops::elementwise::{TABLE, by_name};
use evengrad_core::ops::loss::{Reduction, cross_entropy};
use evengrad_core::ops::pair_loss::{binary_cross_entropy_with_logits, mse_loss};
use evengrad_core::ops::recurrent::{Cell, Recurrence, recurrent};
use evengrad_core::ops::slice::Span;
use evengrad_core::testing::gradcheck;
use evengrad_core::{DType, Result, Tensor};

/// A number from 0 to 1 that looks random, and of which no two are equal below a million.
fn scattered(i: usize) -> f64 {
    ((i * 618_033 + 12_345) % 1_000_003) as f64 / 1_000_003.0
}

/// Values from `low` to `high` that keep their distance from the kinks.
#[derive(Clone, Copy)]
struct Domain {
    low: f64,
    high: f64,
    kinks: &'static [f64],
}

const SMOOTH: Domain = Domain { low: -2.0, high: 2.0, kinks: &[] };

impl Domain {
    fn value(self, i: usize) -> f64 {
        let x = self.low + (self.high - self.low) * scattered(i);
        let near = |kink: &&f64| (x - **kink).abs() < 1e-3;
        x + if self.kinks.iter().any(|kink| near(&kink)) { 3e-3 } else { 0.0 }
    }

    fn tensor(self, shape: &[usize], seed: usize) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f64> = (0..n).map(|i| self.value(i + 1000 * seed)).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }
}

/// A tensor of every layout. Repeated elements make ties, which an extremum cannot be differentiated at.
fn layouts(domain: Domain, ties: bool) -> Result<Vec<(&'static str, Tensor)>> {
    let every_other = Span { start: None, stop: None, step: 2 };
    let backward = Span { start: None, stop: None, step: -3 };
    let mut all = vec![
        ("contiguous", domain.tensor(&[3, 4], 1)),
        ("long", domain.tensor(&[2, 37], 2)),
        ("transposed", domain.tensor(&[4, 3], 3).transpose(0, 1)?),
        ("flipped", domain.tensor(&[3, 4], 4).flip(&[0, 1])?),
        ("sliced", domain.tensor(&[6, 12], 5).slice(&[every_other, backward])?),
        ("without rows", domain.tensor(&[0, 4], 6)),
        ("without columns", domain.tensor(&[3, 0], 7)),
        ("a scalar", domain.tensor(&[], 8)),
        ("a repeated scalar in memory", domain.tensor(&[5], 9).index(0, -2)?),
    ];
    if ties {
        all.push(("repeated rows", domain.tensor(&[1, 4], 10).expand(&[3, 4])?));
        all.push(("repeated columns", domain.tensor(&[3, 1], 11).expand(&[3, 4])?));
    }
    Ok(all)
}

fn check(name: &str, layout: &str, f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) {
    if let Err(error) = gradcheck(f, inputs) {
        panic!("{name}, {layout}: {error}");
    }
}

/// Checks an operation of one tensor on every layout that `suits` it.
fn each_layout(
    name: &str,
    domain: Domain,
    ties: bool,
    suits: impl Fn(&Tensor) -> bool,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) {
    for (layout, x) in layouts(domain, ties).expect("valid views") {
        if suits(&x) {
            check(name, layout, |x| f(&x[0]), &[x]);
        }
    }
}

#[test]
fn elementwise_functions() {
    for row in TABLE {
        let (low, high) = row.domain;
        let f = by_name(row.name, row.example.1).expect("the example has all parameters");
        let domain = Domain { low, high, kinks: row.kinks };
        each_layout(row.name, domain, true, |_| true, |x| f.value(x));
    }
    let positive = Domain { low: 0.2, high: 4.0, kinks: &[] };
    each_layout("pow_scalar", positive, true, |_| true, |x| x.pow_scalar(2.5));
}

#[test]
fn examples_of_elementwise_functions() -> Result<()> {
    for row in TABLE {
        let (input, arguments, expected) = row.example;
        let f = by_name(row.name, arguments).expect("the example has all parameters");
        let found = f.value(&Tensor::from_slice(input, &[input.len()])?)?.to_vec::<f64>()?;
        let rounded: Vec<f64> = found.iter().map(|y| (y * 1e4).round() / 1e4).collect();
        assert_eq!(rounded, expected, "{}", row.name);
    }
    Ok(())
}

#[test]
fn operators_of_two_tensors() {
    type Operator = fn(&Tensor, &Tensor) -> Result<Tensor>;
    let table: &[(&str, Operator)] = &[
        ("add", Tensor::add),
        ("sub", Tensor::sub),
        ("mul", Tensor::mul),
        ("div", Tensor::div),
        ("pow", Tensor::pow),
        ("maximum", Tensor::maximum),
        ("minimum", Tensor::minimum),
        ("prelu", |x, slope| x.sub(&Tensor::full(&[], 1.0, x.dtype())?)?.prelu(slope)),
    ];
    let domain = Domain { low: 0.3, high: 3.0, kinks: &[] };
    for (name, f) in table {
        for (layout, x) in layouts(domain, true).expect("valid views") {
            let last = x.shape().last().copied().unwrap_or(1);
            for (i, shape) in [x.shape(), &[last], &[], &[2, 1, 1]].into_iter().enumerate() {
                let y = domain.tensor(shape, 20 + i);
                check(name, layout, |t| f(&t[0], &t[1]), &[x.clone(), y.clone()]);
                check(name, layout, |t| f(&t[0], &t[1]), &[y, x.clone()]);
            }
            check(name, layout, |t| f(&t[0], &t[0].square()?), &[x]);
        }
    }
    let mask = Tensor::from_slice(&[1u8, 0, 0, 1], &[4]).expect("fits");
    for (layout, x) in layouts(SMOOTH, true).expect("valid views") {
        if x.shape().last() == Some(&4) {
            let y = SMOOTH.tensor(&[1, 4], 30);
            check("where", layout, |t| Tensor::select(&mask, &t[0], &t[1]), &[x, y]);
        }
    }
}

#[test]
fn reductions() {
    let filled = |x: &Tensor| x.count() > 0;
    for dims in [&[][..], &[0], &[-1], &[1, 0]] {
        for keepdim in [false, true] {
            let fits = |x: &Tensor| x.ndim() == 2 || dims.is_empty();
            let suits = |x: &Tensor| fits(x) && filled(x);
            each_layout("sum", SMOOTH, true, fits, |x| x.sum(dims, keepdim));
            each_layout("mean", SMOOTH, true, suits, |x| x.mean(dims, keepdim));
            each_layout("logsumexp", SMOOTH, true, suits, |x| x.logsumexp(dims, keepdim));
            each_layout("amax", SMOOTH, false, suits, |x| x.amax(dims, keepdim));
            each_layout("amin", SMOOTH, false, suits, |x| x.amin(dims, keepdim));
            each_layout("var", SMOOTH, true, suits, |x| x.var(dims, 0.0, keepdim));
        }
    }
    // Dimensions in the middle and apart, through strides.
    let x = SMOOTH.tensor(&[4, 3, 5], 40).permute(&[2, 0, 1]).expect("an order");
    for dims in [&[1][..], &[0, 2], &[0, 1], &[2, 1]] {
        for (name, f) in [
            ("sum", Tensor::sum as fn(&Tensor, &[isize], bool) -> Result<Tensor>),
            ("logsumexp", Tensor::logsumexp),
            ("amax", Tensor::amax),
        ] {
            check(name, &format!("{dims:?}"), |t| f(&t[0], dims, false), std::slice::from_ref(&x));
        }
    }
}

#[test]
fn shapes() {
    let any = |_: &Tensor| true;
    let matrix = |x: &Tensor| x.ndim() == 2;
    each_layout("reshape", SMOOTH, true, any, |x| x.reshape(&[x.count() as isize, 1]));
    each_layout("reshape", SMOOTH, true, matrix, |x| {
        x.transpose(0, 1)?.reshape(&[x.count() as isize])?.square()
    });
    each_layout("flatten", SMOOTH, true, any, |x| x.flatten(0)?.square());
    each_layout("transpose", SMOOTH, true, matrix, |x| x.transpose(0, -1)?.square());
    each_layout("permute", SMOOTH, true, matrix, |x| x.unsqueeze(0)?.permute(&[2, 0, 1])?.exp());
    each_layout("squeeze", SMOOTH, true, any, |x| x.unsqueeze(-1)?.squeeze(None)?.exp());
    each_layout("expand", SMOOTH, true, matrix, |x| {
        x.unsqueeze(1)?.expand(&[2, x.shape()[0], 3, x.shape()[1]])?.exp()
    });
    each_layout("expand", SMOOTH, true, |x| x.ndim() == 0, |x| x.expand(&[2, 3])?.exp());
    each_layout("flip", SMOOTH, true, matrix, |x| x.flip(&[1])?.exp());
    for (start, stop, step) in
        [(None, None, 2), (Some(-1), None, -2), (Some(1), Some(2), 1), (Some(2), Some(1), 1)]
    {
        let span = Span { start, stop, step };
        each_layout("slice", SMOOTH, true, matrix, |x| x.slice(&[span])?.exp());
        each_layout("slice", SMOOTH, true, matrix, |x| x.slice(&[Span::ALL, span])?.exp());
        each_layout("slice", SMOOTH, true, matrix, |x| x.slice(&[span, span])?.exp());
    }
    each_layout("index", SMOOTH, true, |x| x.count() > 3, |x| x.index(0, -1)?.exp());
    each_layout("index", SMOOTH, true, |x| x.count() > 3, |x| x.index(1, 2)?.exp());
    for dim in [0isize, 1, -1] {
        for (layout, x) in layouts(SMOOTH, true).expect("valid views") {
            if x.ndim() == 2 {
                let mut shape = [x.shape()[0], x.shape()[1]];
                shape[dim.rem_euclid(2) as usize] = 2;
                let y = SMOOTH.tensor(&shape, 50);
                check("cat", layout, |t| Tensor::cat(&[&t[0], &t[1], &t[0]], dim), &[x.clone(), y]);
            }
            let y = SMOOTH.tensor(x.shape(), 51);
            if dim < x.ndim() as isize {
                check("stack", layout, |t| Tensor::stack(&[&t[0], &t[1]], dim), &[x, y]);
            }
        }
    }
}

#[test]
fn rows_and_their_losses() {
    let matrix = |x: &Tensor| x.ndim() == 2;
    let filled = |x: &Tensor| x.ndim() == 2 && x.count() > 0;
    for dim in [0, 1, -2] {
        each_layout("softmax", SMOOTH, true, matrix, |x| x.softmax(dim));
        each_layout("log_softmax", SMOOTH, true, matrix, |x| x.log_softmax(dim));
    }
    let taken = Tensor::from_slice(&[1i64, 0, -1, 1, 1, 0], &[3, 2]).expect("fits");
    each_layout(
        "take_rows",
        SMOOTH,
        true,
        |x| x.ndim() == 2 && x.shape()[0] > 0,
        |x| x.take_rows(&taken),
    );
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        for weighted in [false, true] {
            for smoothing in [0.0, 0.3] {
                each_layout("cross_entropy", SMOOTH, true, filled, |z| {
                    let (m, c) = (z.shape()[0], z.shape()[1]);
                    let weight = weighted.then(|| SMOOTH.tensor(&[m], 60));
                    let labels: Vec<i64> = (0..m).map(|i| (i * 5 % c) as i64).collect();
                    let labels = Tensor::from_slice(&labels, &[m])?;
                    let by_label =
                        cross_entropy(z, &labels, smoothing, weight.as_ref(), reduction)?;
                    let shares = SMOOTH.tensor(&[c, m], 61).softmax(0)?.transpose(0, 1)?;
                    let by_share =
                        cross_entropy(z, &shares, smoothing, weight.as_ref(), reduction)?;
                    by_label.add(&by_share.square()?)
                });
            }
            each_layout(
                "pair losses",
                SMOOTH,
                true,
                // The mean of nothing is NaN.
                |x| x.count() > 0 || reduction != Reduction::Mean,
                |x| {
                    let weight =
                        (weighted && x.ndim() > 0).then(|| SMOOTH.tensor(&x.shape()[..1], 62));
                    let y = SMOOTH.tensor(x.shape(), 63).sigmoid()?;
                    let binary =
                        binary_cross_entropy_with_logits(x, &y, weight.as_ref(), reduction)?;
                    binary.add(&mse_loss(&y, x, weight.as_ref(), reduction)?)
                },
            );
        }
    }
    each_layout("dropout", SMOOTH, true, |_| true, |x| x.dropout(0.4, &Generator::new(3, 1)));
}

#[test]
fn conversion_carries_the_gradient_back() {
    let x = SMOOTH.tensor(&[3, 2], 70);
    x.set_requires_grad(true).expect("a float leaf");
    let y = x.cast(DType::F32).expect("casts").square().expect("float");
    let ones = Tensor::ones(&[3, 2], DType::F32).expect("small");
    evengrad_core::tape::backward(&y, Some(&ones), false).expect("a graph");
    let grad = x.grad().expect("reached");
    assert_eq!(grad.dtype(), DType::F64);
    let expected: Vec<f64> = x.to_vec::<f64>().expect("float64").iter().map(|x| 2.0 * x).collect();
    evengrad_core::testing::assert_close(&grad, &expected, 1e-6);
}

#[test]
fn matrix_products() {
    let right = SMOOTH.tensor(&[5, 4], 80).transpose(0, 1).expect("two dims");
    let bias = SMOOTH.tensor(&[5], 81);
    for (layout, x) in layouts(SMOOTH, true).expect("valid views") {
        if x.shape().last() != Some(&4) {
            continue;
        }
        check("matmul", layout, |t| t[0].matmul(&t[1]), &[x.clone(), right.clone()]);
        let square = |t: &[Tensor]| t[0].matmul(&t[0].transpose(0, 1)?);
        check("matmul", layout, square, std::slice::from_ref(&x));
        for activation in ["tanh", "silu"] {
            let layer = |t: &[Tensor]| dense(&t[0], &t[1], Some(&t[2]), by_name(activation, &[]));
            check("dense", layout, layer, &[x.clone(), right.clone(), bias.clone()]);
        }
        check("dense", layout, |t| dense(&t[0], &t[1], None, None), &[x, right.clone()]);
    }
}

#[test]
fn batch_normalization() {
    for (layout, x) in layouts(SMOOTH, true).expect("valid views") {
        if x.ndim() != 2 || x.shape()[0] == 0 {
            continue;
        }
        let n = x.shape()[1];
        let of = |seed| SMOOTH.tensor(&[n], seed);
        let (gamma, beta) = (of(90), of(91).flip(&[0]).expect("one dim"));
        let (mean, variance) =
            (of(92), Domain { low: 0.5, high: 2.0, kinks: &[] }.tensor(&[n], 93));
        for (scale, center) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut inputs = vec![x.clone()];
            inputs.extend(scale.then(|| gamma.clone()));
            inputs.extend(center.then(|| beta.clone()));
            let affine = |t: &[Tensor]| {
                (scale.then(|| t[1].clone()), center.then(|| t[t.len() - 1].clone()))
            };
            let training = |t: &[Tensor]| {
                let (gamma, beta) = affine(t);
                let affine = Affine { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon: 0.1 };
                batch_norm(&t[0], affine, None)?.exp()
            };
            check("batch_norm", layout, training, &inputs);
            let inference = |t: &[Tensor]| {
                let (gamma, beta) = affine(t);
                let affine = Affine { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon: 0.1 };
                batch_norm_inference(&t[0], &mean, &variance, affine)?.exp()
            };
            check("batch_norm, moving statistics", layout, inference, &inputs);
        }
    }
    // Several chunks of rows, several vectors of columns.
    let x = SMOOTH.tensor(&[37, 70], 94);
    let affine = Affine { gamma: None, beta: None, epsilon: 1e-3 };
    check("batch_norm", "large", |t| batch_norm(&t[0], affine, None), &[x]);
}

#[test]
fn recurrences() {
    for cell in [Cell::Simple, Cell::Lstm, Cell::Gru] {
        // Widths of less and more than a vector; rows that go one by one and together.
        for (rows, steps, units) in [(2, 3, 2), (3, 1, 9), (1, 2, 3)] {
            let wide = cell.gates() * units;
            let of = |shape: &[usize], seed| SMOOTH.tensor(shape, seed);
            let mut inputs = vec![of(&[rows, steps, wide], 95), of(&[units, wide], 96)];
            inputs.extend((0..cell.states()).map(|i| of(&[rows, units], 97 + i)));
            inputs.extend((cell == Cell::Gru).then(|| of(&[wide], 99)));
            let fixed = of(&[rows, units], 100);
            for mask in [None, Some(&fixed)] {
                let run = |t: &[Tensor]| {
                    let first: Vec<&Tensor> = t[2..2 + cell.states()].iter().collect();
                    let bias = (cell == Cell::Gru).then(|| &t[t.len() - 1]);
                    let of =
                        Recurrence { cell, kernel: &t[1], bias, first: &first, mask, counts: None };
                    recurrent(&t[0], of)
                };
                check("recurrent", &format!("{cell:?} {rows} {steps} {units}"), run, &inputs);
            }
        }
    }
}

#[test]
fn a_rectifier_within_a_layer_gives_the_bits_of_one_after_it() -> Result<()> {
    let x = Tensor::uniform(&[37, 19], &Generator::new(3, 4), -1.0, 1.0, DType::F32)?;
    let kernel = Tensor::uniform(&[19, 21], &Generator::new(5, 6), -1.0, 1.0, DType::F32)?;
    let mut values = vec![0.0f32; 21];
    (values[1], values[2], values[3]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let bias = Tensor::from_slice(&values, &[21])?;
    let within = dense(&x, &kernel, Some(&bias), by_name("relu", &[]))?;
    let after = dense(&x, &kernel, Some(&bias), None)?.relu()?;
    let bits = |t: &Tensor| -> Result<Vec<u32>> {
        Ok(t.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())
    };
    assert_eq!(bits(&within)?, bits(&after)?);
    let values = within.to_vec::<f32>()?;
    assert!(values[1].is_nan() && values[2].is_infinite() && values[3] == 0.0);
    Ok(())
}
