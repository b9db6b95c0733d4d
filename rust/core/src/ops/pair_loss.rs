//! Losses of pairs of numbers: binary cross-entropy from logits, squared error.
//!
//! ```text
//! binary cross-entropy   l = max(z, 0) - z y + ln(1 + e^-|z|)     ∂l/∂z = sigmoid(z) - y      ∂l/∂y = -z
//! squared error          l = (x - y)²                            ∂l/∂x = 2 (x - y)           ∂l/∂y = -2 (x - y)
//! ```
//!
//! Predictions and targets have one shape. The only difference that is forgiven is a last dimension of 1, (m,)
//! against (m, 1), where broadcasting would silently compare every row with every other: the target then takes
//! the shape of the predictions. The mean divides by the number of elements; a weight for each row (m,)
//! multiplies its elements and does not change the divisor.

use smallvec::{SmallVec, smallvec};

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::loss::sum_pairs_rows;
use crate::kernels::map::Lanewise;
use crate::kernels::math::VectorMath;
use crate::launch::{Cost, Operand, Operands, launch};
use crate::layout::{Layout, show};
use crate::ops::lanewise::map;
use crate::ops::loss::{Reduction, row_weights};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// A loss of a prediction and its target.
trait PairLoss: Copy + Send + Sync + 'static {
    const NAME: &'static str;
    fn value<V: VectorMath>(self, x: V, y: V) -> V;
    /// Its derivative by the prediction.
    fn slope<V: VectorMath>(self, x: V, y: V) -> V;
    /// Its derivative by the target.
    fn target_slope<V: VectorMath>(self, x: V, y: V) -> V;
}

#[derive(Clone, Copy)]
struct BinaryCrossEntropy;

impl PairLoss for BinaryCrossEntropy {
    const NAME: &'static str = "binary_cross_entropy_with_logits";
    /// max(z, 0) - z y = |z| times the share of the other side: no difference of large numbers.
    #[inline(always)]
    fn value<V: VectorMath>(self, z: V, y: V) -> V {
        let (zero, size) = (V::constant(0.0), z.abs());
        let other = V::select(z.lt(zero), y, V::constant(1.0) - y);
        let linear = V::select(other.eq(zero), zero, size * other);
        linear + (-size).exp().log1p()
    }
    #[inline(always)]
    fn slope<V: VectorMath>(self, z: V, y: V) -> V {
        z.sigmoid() - y
    }
    #[inline(always)]
    fn target_slope<V: VectorMath>(self, z: V, _y: V) -> V {
        -z
    }
}

#[derive(Clone, Copy)]
struct SquaredError;

impl PairLoss for SquaredError {
    const NAME: &'static str = "mse_loss";
    #[inline(always)]
    fn value<V: VectorMath>(self, x: V, y: V) -> V {
        let d = x - y;
        d * d
    }
    #[inline(always)]
    fn slope<V: VectorMath>(self, x: V, y: V) -> V {
        V::constant(2.0) * (x - y)
    }
    #[inline(always)]
    fn target_slope<V: VectorMath>(self, x: V, y: V) -> V {
        V::constant(2.0) * (y - x)
    }
}

#[derive(Clone, Copy)]
struct Value<L>(L);

impl<L: PairLoss> Lanewise<2> for Value<L> {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [x, y]: [V; 2]) -> V {
        self.0.value(x, y)
    }
}

impl<L: PairLoss> Lanewise<3> for Value<L> {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [x, y, weight]: [V; 3]) -> V {
        self.0.value(x, y) * weight
    }
}

#[derive(Clone, Copy)]
struct Slope<L> {
    loss: L,
    scale: f64,
    of_target: bool,
}

impl<L: PairLoss> Slope<L> {
    #[inline(always)]
    fn of<V: VectorMath>(self, x: V, y: V, grad: V) -> V {
        let slope =
            if self.of_target { self.loss.target_slope(x, y) } else { self.loss.slope(x, y) };
        slope * (grad * V::constant(self.scale))
    }
}

impl<L: PairLoss> Lanewise<3> for Slope<L> {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [x, y, grad]: [V; 3]) -> V {
        self.of(x, y, grad)
    }
}

impl<L: PairLoss> Lanewise<4> for Slope<L> {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [x, y, grad, weight]: [V; 4]) -> V {
        self.of(x, y, grad * weight)
    }
}

struct PairBackward<L> {
    loss: L,
    x: Saved,
    y: Saved,
    /// Shaped so that it broadcasts over each row.
    weight: Option<Saved>,
    reduction: Reduction,
}

impl<L: PairLoss> Backward for PairBackward<L> {
    // Slope · g · w, divided by the elements for a mean.
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let (x, y) = (self.x.get()?, self.y.get()?);
        let scale = self.reduction.scale(x.count());
        let slope = |of_target| {
            let slope = Slope { loss: self.loss, scale, of_target };
            match &self.weight {
                Some(weight) => map(L::NAME, slope, [x, y, grad, weight.get()?]),
                None => map(L::NAME, slope, [x, y, grad]),
            }
        };
        Ok(smallvec![
            needs[0].then(|| slope(false)).transpose()?,
            needs[1].then(|| slope(true)).transpose()?,
        ])
    }
}

/// The target in the shape of the predictions, where it differs by a last dimension of 1 at most.
fn matched(name: &str, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let y = y.cast(x.dtype())?;
    if x.shape() == y.shape() {
        return Ok(y);
    }
    match (x.shape(), y.shape()) {
        ([m], [n, 1]) if m == n => y.squeeze(Some(1)),
        ([m, 1], [n]) if m == n => y.unsqueeze(1),
        _ => {
            let (expected, got) = (show(x.shape()), show(y.shape()));
            bail!(
                Shape,
                "{name}: expected a target of the predictions' shape {expected}, got {got}"
            )
        }
    }
}

fn pair_loss<L: PairLoss>(
    loss: L,
    x: &Tensor,
    y: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    x.dtype().require_float(L::NAME)?;
    let y = &matched(L::NAME, x, y)?;
    let rows = x.shape().first().copied().unwrap_or(1);
    if weight.is_some() && x.ndim() == 0 {
        bail!(Shape, "{}: a prediction of shape () has no rows to weight", L::NAME);
    }
    let weight = row_weights(L::NAME, weight, rows, x.dtype())?;
    let spread = weight.as_ref().map(|weight| {
        let mut shape: SmallVec<[usize; 4]> = SmallVec::from_elem(1, x.ndim());
        shape[0] = rows;
        weight.view(Layout { offset: weight.layout().offset, ..Layout::contiguous(&shape) })
    });
    let n = x.count();
    let losses = if reduction == Reduction::None || n <= rows {
        match &spread {
            Some(weight) => map(L::NAME, Value(loss), [x, y, weight])?,
            None => map(L::NAME, Value(loss), [x, y])?,
        }
    } else {
        sum_rows(loss, x, y, weight.as_ref(), rows)?
    };
    Ok(reduction.fold(losses, n)?.recorded(L::NAME, &[x, y], |_| PairBackward {
        loss,
        x: Saved::new(x),
        y: Saved::new(y),
        weight: spread.as_ref().map(Saved::new),
        reduction,
    }))
}

/// The sum of each row's losses.
fn sum_rows<L: PairLoss>(
    loss: L,
    x: &Tensor,
    y: &Tensor,
    weight: Option<&Tensor>,
    rows: usize,
) -> Result<Tensor> {
    let (x, y) = (x.packed()?, y.packed()?);
    let width = x.count() / rows;
    let out = Tensor::empty(&[rows], x.dtype())?;
    let mut operands: Operands = smallvec![
        Operand::read_own(&x, width),
        Operand::read_own(&y, width),
        Operand::write_own(&out, 1),
    ];
    operands.extend(weight.map(|weight| Operand::read_own(weight, 1)));
    let weighted = weight.is_some();
    let cost = Cost::elementwise(x.count(), 24.0, 2, x.dtype());
    with_float!(x.dtype(), L::NAME, T => launch(L::NAME, rows, cost, operands,
    move |items, arguments| {
        sum_pairs_rows(
            Value(loss),
            arguments.own::<T>(0, &items),
            arguments.own(1, &items),
            width,
            weighted.then(|| arguments.own(3, &items)),
            arguments.own_mut(2, &items),
        );
    }))?;
    Ok(out)
}

/// Cross-entropy of the probability sigmoid(z) with a target from 0 to 1, for each element.
pub fn binary_cross_entropy_with_logits(
    logits: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    pair_loss(BinaryCrossEntropy, logits, target, weight, reduction)
}

/// The squared difference of prediction and target, for each element.
pub fn mse_loss(
    prediction: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    pair_loss(SquaredError, prediction, target, weight, reduction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::tape::backward;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    /// Values from the specification, and the symmetric ones.
    #[test]
    fn extreme_logits_keep_their_digits() {
        let infinite = f64::INFINITY;
        let z = tensor(&[100., -100., 1e9, 100., -100., 0., infinite], &[7]);
        let y = tensor(&[0., 0., 0., 1., 1., 1., 1.], &[7]);
        let loss = binary_cross_entropy_with_logits(&z, &y, None, Reduction::None).expect("fits");
        let tiny = 3.720_075_976_020_836e-44;
        let expected = [100., tiny, 1e9, tiny, 100., std::f64::consts::LN_2, 0.];
        for (loss, expected) in values(&loss).into_iter().zip(expected) {
            assert!((loss - expected).abs() <= 4e-16 * expected, "{loss} is not {expected}");
        }
    }

    #[test]
    fn the_mean_divides_by_elements_and_weights_multiply_rows() {
        let x = tensor(&[1., 2., 3., 4., 5., 6.], &[2, 3]);
        let y = Tensor::zeros(&[2, 3], DType::F64).expect("small");
        let weight = tensor(&[2., 0.5], &[2]);
        let mse = |reduction, weight| mse_loss(&x, &y, weight, reduction).expect("fits");
        assert_eq!(values(&mse(Reduction::Sum, None)), [91.]);
        assert_eq!(values(&mse(Reduction::Mean, Some(&weight))), [(28. + 38.5) / 6.]);
        let each = mse(Reduction::None, Some(&weight));
        assert_eq!((each.shape(), values(&each)), (&[2, 3][..], vec![2., 8., 18., 8., 12.5, 18.]));
    }

    #[test]
    fn both_sides_get_their_gradient() {
        let (x, y) = (tensor(&[3., 1.], &[2, 1]), tensor(&[1., 5.], &[2]));
        for t in [&x, &y] {
            t.set_requires_grad(true).expect("a float leaf");
        }
        let loss = mse_loss(&x, &y, Some(&tensor(&[1., 10.], &[2])), Reduction::Mean);
        backward(&loss.expect("fits"), None, false).expect("a graph");
        assert_eq!(values(&x.grad().expect("reached")), [2., -40.]);
        assert_eq!(values(&y.grad().expect("reached")), [-2., 40.]);
    }

    #[test]
    fn shapes_never_broadcast_silently() {
        let x = Tensor::zeros(&[3, 1], DType::F32).expect("small");
        for bad in [&[1][..], &[3, 3], &[1, 3], &[]] {
            let y = Tensor::zeros(bad, DType::F32).expect("small");
            let text = mse_loss(&x, &y, None, Reduction::Mean).expect_err("differs").to_string();
            assert!(text.contains("mse_loss") && text.contains("(3, 1)"), "{text}");
        }
        let labels = Tensor::from_slice(&[0i64, 1, 1], &[3]).expect("fits");
        let loss =
            binary_cross_entropy_with_logits(&x, &labels, None, Reduction::None).expect("fits");
        assert_eq!(loss.shape(), [3, 1]);
        let nothing = Tensor::zeros(&[0, 4], DType::F32).expect("empty");
        let loss = mse_loss(&nothing, &nothing, None, Reduction::Sum).expect("fits");
        assert_eq!(loss.item().expect("one"), 0.0);
    }

    /// Long rows, in vectors and a rest, against sums in another order.
    #[test]
    fn rows_sum_to_what_their_elements_sum_to() {
        let data: Vec<f64> = (0..2 * 1031).map(|i| f64::from(i % 97) / 9.0 - 5.0).collect();
        let (z, y) = (tensor(&data, &[2, 1031]), Tensor::full(&[2, 1031], 0.3, DType::F64));
        let y = y.expect("small");
        let each = binary_cross_entropy_with_logits(&z, &y, None, Reduction::None).expect("fits");
        let sum = binary_cross_entropy_with_logits(&z, &y, None, Reduction::Sum).expect("fits");
        let expected: f64 = values(&each).iter().sum();
        assert!((sum.item().expect("one") - expected).abs() < 1e-9);
    }
}
