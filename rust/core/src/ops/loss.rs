//! Cross-entropy of rows of logits, and what all losses share: weights of rows and reductions.
//!
//! ```text
//! cross-entropy          l = Σ_k t_k (ln Σ_j e^(z_j - m) - (z_k - m))       ∂l/∂z = softmax(z) Σ t - t
//!   labels               t = one at the label       smoothed with ε over c classes: (1 - ε) t + ε / c
//! ```
//!
//! A weight for each row multiplies that row's loss. The mean divides by the number of elements of the unreduced
//! loss (rows, for cross-entropy), not by the sum of the weights: Keras' `sum_over_batch_size`. One pass over the
//! rows gives a loss for each and keeps what the gradient needs; a fold of its own adds them up, so that nothing
//! in the pass waits for other rows.

use std::ops::Range;

use smallvec::smallvec;

use crate::dtype::{DType, Element, with_float};
use crate::error::{Result, bail};
use crate::host_access;
use crate::kernels::cross_entropy::{
    self as kernels, Statistics, Target, cross_entropy_rows, cross_entropy_rows_backward,
};
use crate::kernels::reduce::sum_row;
use crate::launch::{Arguments, Cost, Operand, Operands, launch, push};
use crate::layout::show;
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// What becomes of the losses of rows or elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum divided by their number.
    Mean,
    /// Their sum.
    Sum,
    /// They stay as they are.
    None,
}

impl Reduction {
    /// The reduction of that name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            "none" => Ok(Self::None),
            _ => bail!(Value, "reduction: expected \"mean\", \"sum\" or \"none\", got \"{name}\""),
        }
    }

    /// What `n` losses are multiplied with before they are added.
    pub(crate) fn scale(self, n: usize) -> f64 {
        if self == Self::Mean { 1.0 / n as f64 } else { 1.0 }
    }

    /// The losses of rows, of `n` elements in all, made one number where asked for.
    pub(crate) fn fold(self, losses: Tensor, n: usize) -> Result<Tensor> {
        if self == Self::None {
            return Ok(losses);
        }
        let out = Tensor::empty(&[], losses.dtype())?;
        let divisor = if self == Self::Mean { n as f64 } else { 1.0 };
        let cost = Cost::elementwise(losses.count(), 1.0, 1, losses.dtype());
        let operands = smallvec![Operand::read(&losses), Operand::write_own(&out, 1)];
        with_float!(losses.dtype(), "loss", T => launch("loss fold", 1, cost, operands,
        move |items, arguments| {
            let sum = sum_row(arguments.all::<T>(0));
            arguments.own_mut::<T>(1, &items)[0] = T::from_f64(sum / divisor);
        }))?;
        Ok(out)
    }
}

/// The weights of `rows` rows as elements of `dtype`.
pub(crate) fn row_weights(
    name: &str,
    weight: Option<&Tensor>,
    rows: usize,
    dtype: DType,
) -> Result<Option<Tensor>> {
    let Some(weight) = weight else { return Ok(None) };
    if weight.shape() != [rows] {
        let got = show(weight.shape());
        bail!(Shape, "{name}: expected a weight for each row, shape ({rows},), got {got}");
    }
    if weight.requires_grad() {
        bail!(State, "{name}: weights have no gradient here; pass weight.detach()");
    }
    Ok(Some(weight.cast(dtype)?.packed()?))
}

/// Labels as (rows,), or shares of each class as (rows, classes).
fn checked_target(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (rows, classes) = (logits.shape()[0], logits.shape()[1]);
    if target.dtype() == DType::I64 {
        if target.shape() != [rows] && target.shape() != [rows, 1] {
            let (z, got) = (show(logits.shape()), show(target.shape()));
            bail!(
                Shape,
                "cross_entropy: expected int64 labels of shape ({rows},) for logits of shape {z}, got {got}"
            );
        }
        let labels = target.with_shape(&[rows])?.packed()?;
        let wrong = host_access::with(&labels, |labels| {
            let inside = |label: i64| usize::try_from(label).is_ok_and(|label| label < classes);
            labels.iter().position(|&label| !inside(label)).map(|row| (row, labels[row]))
        });
        if let Some((row, label)) = wrong {
            let last = classes as isize - 1;
            bail!(
                Value,
                "cross_entropy: labels must be 0..{last} for {classes} classes; row {row} has {label}"
            );
        }
        return Ok(labels);
    }
    if target.shape() != logits.shape() {
        let (z, got) = (show(logits.shape()), show(target.shape()));
        bail!(
            Shape,
            "cross_entropy: expected probabilities of the logits' shape {z}, or int64 labels of shape ({rows},); got {} \
             of shape {got}",
            target.dtype().name()
        );
    }
    if target.requires_grad() {
        bail!(State, "cross_entropy: the target has no gradient here; pass target.detach()");
    }
    target.cast(logits.dtype())?.packed()
}

/// What the target operand holds.
fn target<'a, T: Element>(
    arguments: &Arguments<'a>,
    i: usize,
    labels: bool,
    items: &Range<usize>,
) -> Target<'a, T> {
    if labels {
        Target::Labels(arguments.own(i, items))
    } else {
        Target::Shares(arguments.own(i, items))
    }
}

struct CrossEntropyBackward {
    logits: Saved,
    target: Saved,
    largest: Saved,
    log: Saved,
    mass: Option<Saved>,
    weight: Option<Saved>,
    smoothing: f64,
    reduction: Reduction,
}

impl Backward for CrossEntropyBackward {
    // (softmax · Σ t - t) · g · w, divided by the rows for a mean.
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (logits, kept, grad) = (self.logits.get()?, self.target.get()?, grad.packed()?);
        let (rows, width) = (logits.shape()[0], logits.shape()[1]);
        let labels = kept.dtype() == DType::I64;
        let out = Tensor::empty(logits.shape(), logits.dtype())?;
        let each = self.reduction == Reduction::None;
        let mut operands: Operands = smallvec![
            Operand::read_own(logits, width),
            Operand::read_own(kept, if labels { 1 } else { width }),
            Operand::read_own(self.largest.get()?, 1),
            Operand::read_own(self.log.get()?, 1),
            if each { Operand::read_own(&grad, 1) } else { Operand::read(&grad) },
            Operand::write_own(&out, width),
        ];
        let read = |kept: &Option<Saved>| -> Result<Option<Operand>> {
            let kept = kept.as_ref().map(Saved::get).transpose()?;
            Ok(kept.map(|kept| Operand::read_own(kept, 1)))
        };
        let mass = push(&mut operands, read(&self.mass)?);
        let weight = push(&mut operands, read(&self.weight)?);
        let (smoothing, scale) = (self.smoothing, self.reduction.scale(rows));
        let cost = Cost::elementwise(logits.count(), 24.0, 2, logits.dtype());
        let items = if width == 0 { 0 } else { rows };
        with_float!(logits.dtype(), "cross_entropy", T => launch("cross_entropy backward", items, cost, operands,
        move |items, arguments| {
            cross_entropy_rows_backward(kernels::CrossEntropyBackward::<T> {
                logits: arguments.own(0, &items),
                width,
                target: target(arguments, 1, labels, &items),
                smoothing,
                weight: weight.map(|i| arguments.own(i, &items)),
                statistics: Statistics {
                    largest: arguments.own(2, &items),
                    log: arguments.own(3, &items),
                    mass: mass.map_or(&[], |i| arguments.own(i, &items)),
                },
                grad: if each { arguments.own(4, &items) } else { arguments.all(4) },
                scale,
                out: arguments.own_mut(5, &items),
            });
        }))?;
        Ok(smallvec![Some(out)])
    }
}

/// Cross-entropy of rows of logits (m, c) with int64 labels (m,), or with probabilities (m, c).
///
/// Labels are checked here; a replay that finds a wrong one gives NaN for its row.
pub fn cross_entropy(
    logits: &Tensor,
    target_rows: &Tensor,
    label_smoothing: f64,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    logits.dtype().require_float("cross_entropy")?;
    if logits.ndim() != 2 || (logits.shape()[1] == 0 && logits.shape()[0] > 0) {
        let got = show(logits.shape());
        bail!(Shape, "cross_entropy: expected logits of shape (rows, classes), got {got}");
    }
    if !(0.0..=1.0).contains(&label_smoothing) {
        bail!(Value, "cross_entropy: expected label_smoothing from 0 to 1, got {label_smoothing}");
    }
    let (rows, width) = (logits.shape()[0], logits.shape()[1]);
    let kept = checked_target(logits, target_rows)?;
    let weight = row_weights("cross_entropy", weight, rows, logits.dtype())?;
    let labels = kept.dtype() == DType::I64;
    let x = logits.packed()?;
    let each = || Tensor::empty(&[rows], x.dtype());
    let (losses, largest, log) = (each()?, each()?, each()?);
    let mass = if labels { None } else { Some(each()?) };
    let mut operands: Operands = smallvec![
        Operand::read_own(&x, width),
        Operand::read_own(&kept, if labels { 1 } else { width }),
        Operand::write_own(&losses, 1),
        Operand::write_own(&largest, 1),
        Operand::write_own(&log, 1),
    ];
    let to_mass = push(&mut operands, mass.as_ref().map(|mass| Operand::write_own(mass, 1)));
    let of_weight = push(&mut operands, weight.as_ref().map(|weight| Operand::read_own(weight, 1)));
    let cost = Cost::elementwise(x.count(), 24.0, 1, x.dtype());
    with_float!(x.dtype(), "cross_entropy", T => launch("cross_entropy", rows, cost, operands,
    move |items, arguments| {
        cross_entropy_rows(kernels::CrossEntropy::<T> {
            logits: arguments.own(0, &items),
            width,
            target: target(arguments, 1, labels, &items),
            smoothing: label_smoothing,
            weight: of_weight.map(|i| arguments.own(i, &items)),
            losses: arguments.own_mut(2, &items),
            statistics: Statistics {
                largest: arguments.own_mut(3, &items),
                log: arguments.own_mut(4, &items),
                mass: to_mass.map_or(&mut [], |i| arguments.own_mut(i, &items)),
            },
        });
    }))?;
    let loss = reduction.fold(losses, rows)?;
    Ok(loss.recorded("cross_entropy", &[logits], |_| CrossEntropyBackward {
        logits: Saved::new(&x),
        target: Saved::new(&kept),
        largest: Saved::new(&largest),
        log: Saved::new(&log),
        mass: mass.as_ref().map(Saved::new),
        weight: weight.as_ref().map(Saved::new),
        smoothing: label_smoothing,
        reduction,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::backward;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn labels(values: &[i64]) -> Tensor {
        Tensor::from_slice(values, &[values.len()]).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() <= 1e-14 * (1.0 + y.abs()), "{a:?} is not {b:?}");
        }
    }

    #[test]
    fn extreme_logits_are_exact() {
        let z = tensor(&[1000., 0., -1000.].repeat(3), &[3, 3]);
        let loss =
            cross_entropy(&z, &labels(&[0, 1, 2]), 0.0, None, Reduction::None).expect("fits");
        assert_eq!(values(&loss), [0., 1000., 2000.]);
        let z = z.cast(DType::F32).expect("casts");
        let loss =
            cross_entropy(&z, &labels(&[0, 1, 2]), 0.0, None, Reduction::Mean).expect("fits");
        assert_eq!(loss.item().expect("one"), 1000.0);
        // A class that cannot be has no share in the loss, and no gradient.
        let z = tensor(&[f64::NEG_INFINITY, 3., 3.], &[1, 3]);
        z.set_requires_grad(true).expect("a float leaf");
        let t = tensor(&[0., 0.25, 0.75], &[1, 3]);
        let loss = cross_entropy(&z, &t, 0.0, None, Reduction::Sum).expect("fits");
        close(&values(&loss), &[2f64.ln()]);
        backward(&loss, None, false).expect("a graph");
        close(&values(&z.grad().expect("reached")), &[0., 0.25, -0.25]);
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        for classes in [1usize, 2, 3, 10, 17, 33, 2000] {
            let z = Tensor::full(&[4, classes], -3.5, DType::F64).expect("small");
            for smoothing in [0.0, 0.1, 1.0] {
                let loss = cross_entropy(&z, &labels(&[0; 4]), smoothing, None, Reduction::Mean);
                close(&[loss.expect("fits").item().expect("one")], &[(classes as f64).ln()]);
            }
        }
    }

    #[test]
    fn labels_and_their_one_hot_rows_agree() {
        let data: Vec<f64> = (0..60).map(|i| f64::from((i * 29) % 23) / 5.0 - 2.0).collect();
        let z = tensor(&data, &[3, 20]);
        z.set_requires_grad(true).expect("a float leaf");
        let mut hot = vec![0.0; 60];
        for (row, label) in [19, 0, 7].into_iter().enumerate() {
            hot[row * 20 + label] = 1.0;
        }
        let (by_label, by_share) = (labels(&[19, 0, 7]), tensor(&hot, &[3, 20]));
        let weight = tensor(&[0.5, 2., 1.], &[3]);
        for smoothing in [0.0, 0.2] {
            let mut found = Vec::new();
            for target in [&by_label, &by_share] {
                z.set_grad(None).expect("none");
                let loss = cross_entropy(&z, target, smoothing, Some(&weight), Reduction::Mean);
                let loss = loss.expect("fits");
                backward(&loss, None, false).expect("a graph");
                found.push((values(&loss), values(&z.grad().expect("reached"))));
            }
            close(&found[0].0, &found[1].0);
            close(&found[0].1, &found[1].1);
        }
        // The composed form.
        let picked = z.log_softmax(1).expect("float").mul(&by_share).expect("one shape");
        let rows = picked.sum(&[1], false).expect("float").mul(&weight).expect("one shape");
        let fused =
            cross_entropy(&z, &by_label, 0.0, Some(&weight), Reduction::Mean).expect("fits");
        close(&values(&fused), &[-values(&rows).iter().sum::<f64>() / 3.0]);
    }

    #[test]
    fn mistakes_are_named() {
        let z = Tensor::zeros(&[2, 10], DType::F32).expect("small");
        let none = Reduction::None;
        let error =
            |t: &Tensor| cross_entropy(&z, t, 0.0, None, none).expect_err("wrong").to_string();
        let text = error(&labels(&[9, 10]));
        assert!(text.contains("0..9") && text.contains("row 1 has 10"), "{text}");
        assert!(error(&labels(&[-1, 0])).contains("row 0 has -1"));
        assert!(error(&labels(&[1, 2, 3])).contains("(2,)"));
        assert!(error(&Tensor::zeros(&[2], DType::F32).expect("small")).contains("(2, 10)"));
        let right = labels(&[1, 2]);
        assert!(cross_entropy(&right, &right, 0.0, None, none).is_err());
        assert!(cross_entropy(&z, &right, 1.5, None, none).is_err());
        assert!(cross_entropy(&z, &right, f64::NAN, None, none).is_err());
        let short = Tensor::ones(&[1], DType::F32).expect("small");
        assert!(cross_entropy(&z, &right, 0.0, Some(&short), none).is_err());
        assert!(Reduction::parse("avg").is_err());
        assert_eq!(Reduction::parse("none"), Ok(none));
        let nothing = Tensor::zeros(&[0, 10], DType::F32).expect("empty");
        let loss = cross_entropy(&nothing, &labels(&[]), 0.0, None, Reduction::Sum).expect("fits");
        assert_eq!(loss.item().expect("one"), 0.0);
    }

    #[test]
    fn a_replay_with_a_wrong_label_gives_nan_for_its_row() {
        let z = tensor(&[1., 2., 3., 4.], &[2, 2]);
        let target = labels(&[0, 1]);
        crate::capture::begin().expect("none is open");
        let loss = cross_entropy(&z, &target, 0.0, None, Reduction::None).expect("fits");
        let recording = crate::capture::end().expect("open");
        let before = values(&loss);
        target.write(&[i64::MIN, 1]).expect("fits");
        for launched in &recording.launches {
            let addresses = crate::launch::pointers(&launched.operands);
            let arguments = Arguments::new(&addresses, &launched.operands);
            (launched.kernel)(0..launched.items, &arguments);
        }
        let after = values(&loss);
        assert!(after[0].is_nan() && after[1] == before[1], "{after:?}");
    }
}
