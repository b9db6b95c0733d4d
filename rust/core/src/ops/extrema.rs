//! Maximum, minimum, argmax and argmin over dimensions.
//!
//! ```text
//! y = max x          ∂C/∂x[i] = ∂C/∂y / k where x[i] = y, for the k elements that are, else 0
//! ```
//!
//! NaN counts as the largest and as the smallest, so that it is never hidden. Nothing has no largest element: an
//! empty dimension is an error. Of scores of classes, `argmax_equals` asks in one pass whether the largest is the
//! label's, and a number.

use smallvec::{SmallVec, smallvec};

use crate::dtype::{DType, Element, with_element, with_float};
use crate::error::{Result, bail};
use crate::kernels::extrema::{Shares, first_of_largest, rows_where_largest, share_gradient};
use crate::kernels::reduce::Fold;
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Layout, Shape, show};
use crate::ops::reduce::{Split, fold, in_own_order, split};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// A tensor with something to choose from, or an error.
fn filled(name: &str, x: &Tensor, dims: &[isize]) -> Result<Split> {
    x.dtype().require_float(name)?;
    let s = split(name, x, dims)?;
    if s.reduced == 0 {
        bail!(Value, "{name}: an empty dimension of shape {} has no extremum", show(x.shape()));
    }
    Ok(s)
}

struct ExtremeBackward {
    name: &'static str,
    /// The elements as blocks, and the extreme value of each column.
    x: Saved,
    y: Saved,
    reduced: usize,
    after: usize,
    order: Option<SmallVec<[usize; 4]>>,
}

impl Backward for ExtremeBackward {
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (x, y, grad) = (self.x.get()?, self.y.get()?, grad.packed()?);
        let (reduced, after) = (self.reduced, self.after);
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let cost = Cost::elementwise(x.count(), 2.0, 3, x.dtype());
        // One block has columns that threads can share, several are shared themselves.
        let one = y.count() == after && after > 1;
        let items = if one { after } else { y.count().checked_div(after).unwrap_or(0) };
        let operands = if one {
            smallvec![
                Operand::read(x),
                Operand::read_own(y, 1),
                Operand::read_own(&grad, 1),
                Operand::write_scattered(&out),
            ]
        } else {
            smallvec![
                Operand::read_own(x, reduced * after),
                Operand::read_own(y, after),
                Operand::read_own(&grad, after),
                Operand::write_own(&out, reduced * after),
            ]
        };
        with_float!(x.dtype(), self.name, T => launch(self.name, items, cost, operands,
        move |items, arguments| {
            // Columns of the one block, or whole blocks.
            let (columns, blocks) = if one { (items.len(), 1) } else { (after, items.len()) };
            let elements = items.start * if one { 1 } else { reduced * after };
            let results = items.start * if one { 1 } else { after };
            let first = Shares::<T> {
                x: arguments.pointer::<T>(0).wrapping_add(elements),
                extreme: arguments.pointer::<T>(1).wrapping_add(results),
                grad: arguments.pointer::<T>(2).wrapping_add(results),
                out: arguments.pointer::<T>(3).wrapping_add(elements),
                reduced,
                after,
                columns,
            };
            // SAFETY: the operands are contiguous tensors of these blocks, and the items of one call are its own.
            #[allow(unsafe_code, reason = "the one call of the kernel; columns of a block are no slice")]
            unsafe { share_gradient(first, blocks) };
        }))?;
        Ok(smallvec![Some(match &self.order {
            Some(order) => in_own_order(&out, order),
            None => out,
        })])
    }
}

fn extreme(
    name: &'static str,
    which: Fold,
    x: &Tensor,
    dims: &[isize],
    keepdim: bool,
) -> Result<Tensor> {
    let s = filled(name, x, dims)?;
    let y = fold(name, which, &s)?;
    let out = if keepdim { y.clone() } else { y.view(Layout::contiguous(&s.squeezed)) };
    Ok(out.recorded(name, &[x], |_| ExtremeBackward {
        name,
        x: Saved::new(&s.x),
        y: Saved::new(&y),
        reduced: s.reduced,
        after: s.after,
        order: s.order.clone(),
    }))
}

impl Tensor {
    /// The largest element over `dims` (all where empty); equal ones share the gradient.
    pub fn amax(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        extreme("amax", Fold::Largest, self, dims, keepdim)
    }

    /// The smallest element over `dims` (all where empty); equal ones share the gradient.
    pub fn amin(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        extreme("amin", Fold::Smallest, self, dims, keepdim)
    }

    /// The position of the first largest element over `dims` (all where empty), counted in row-major order of those
    /// dimensions; NaN counts as the largest. Not differentiable.
    pub fn argmax(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        let s = filled("argmax", self, dims)?;
        let (reduced, after) = (s.reduced, s.after);
        let out = Self::empty(&s.kept, DType::I64)?;
        let operands =
            smallvec![Operand::read_own(&s.x, reduced * after), Operand::write_own(&out, after)];
        let cost = Cost::elementwise(s.x.count(), 2.0, 1, s.x.dtype());
        let items = if out.count() == 0 { 0 } else { s.before };
        with_float!(self.dtype(), "argmax", T => launch("argmax", items, cost, operands,
        move |items, arguments| {
            first_of_largest(arguments.own::<T>(0, &items), reduced, after, arguments.own_mut(1, &items));
        }))?;
        let shape: &Shape = if keepdim { &s.kept } else { &s.squeezed };
        Ok(out.view(Layout::contiguous(shape)))
    }

    /// One for each row (last dimension) whose first largest element is the one that `labels` numbers, else zero; rows
    /// with NaN have none. Labels of any type are compared as numbers. Not differentiable.
    pub fn argmax_equals(&self, labels: &Self) -> Result<Self> {
        const NAME: &str = "argmax_equals";
        let s = filled(NAME, self, &[-1])?;
        let classes = s.reduced;
        if labels.shape() != s.squeezed.as_slice() {
            let (expected, got) = (show(&s.squeezed), show(labels.shape()));
            bail!(Shape, "{NAME}: expected a label for each row, shape {expected}, got {got}");
        }
        let labels = labels.packed()?;
        let out = Self::empty(&s.squeezed, self.dtype())?;
        let operands = smallvec![
            Operand::read_own(&s.x, classes),
            Operand::read_own(&labels, 1),
            Operand::write_own(&out, 1),
        ];
        let cost = Cost::elementwise(s.x.count(), 2.0, 1, s.x.dtype());
        with_float!(self.dtype(), NAME, T => with_element!(labels.dtype(), L => launch(NAME, out.count(), cost, operands,
        move |items, arguments| {
            let labels = arguments.own::<L>(1, &items).iter().map(|label| label.to_f64());
            rows_where_largest(arguments.own::<T>(0, &items), classes, labels, arguments.own_mut(2, &items));
        })))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::backward;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn zeros_of(shape: &[usize], dtype: DType) -> Tensor {
        Tensor::zeros(shape, dtype).expect("small")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    #[test]
    fn values_and_positions() {
        let x = tensor(&[3., -7., 5., 5., -2., -9.], &[2, 3]);
        assert_eq!(values(&x.amax(&[1], false).expect("filled")), [5., 5.]);
        assert_eq!(values(&x.amin(&[0], true).expect("filled")), [3., -7., -9.]);
        assert_eq!(x.amin(&[0], true).expect("filled").shape(), [1, 3]);
        assert_eq!(x.amax(&[], false).expect("filled").item().expect("one"), 5.0);
        assert_eq!(
            x.argmax(&[0], false).expect("filled").to_vec::<i64>().expect("int64"),
            [1, 1, 0]
        );
        assert_eq!(x.argmax(&[], false).expect("filled").item().expect("one"), 2.0);
        let nan = tensor(&[1., f64::NAN, 9., f64::NAN], &[4]);
        assert!(nan.amax(&[], false).expect("filled").item().expect("one").is_nan());
        assert!(nan.amin(&[0], false).expect("filled").item().expect("one").is_nan());
        assert_eq!(nan.argmax(&[0], false).expect("filled").item().expect("one"), 1.0);
        let low = tensor(&[f64::NEG_INFINITY; 3], &[3]);
        assert_eq!(low.argmax(&[0], false).expect("filled").item().expect("one"), 0.0);
        assert_eq!(low.amax(&[0], false).expect("filled").item().expect("one"), f64::NEG_INFINITY);
        let empty = Tensor::zeros(&[3, 0], DType::F32).expect("empty");
        assert!(matches!(empty.amax(&[1], false), Err(crate::Error::Value(_))));
        assert_eq!(empty.amax(&[0], false).expect("no rows").shape(), [0]);
    }

    #[test]
    fn long_rows_and_every_length() {
        for n in [1usize, 2, 7, 15, 16, 17, 33, 20_000, 100_003] {
            // A permutation of 0..n, so that the largest stands somewhere inside.
            let data: Vec<f32> = (0..n).map(|i| ((i * 7919 + 13) % n) as f32).collect();
            let best = data.iter().position(|&x| x as usize == n - 1);
            let x = Tensor::from_slice(&data, &[1, n]).expect("fits");
            assert_eq!(
                x.argmax(&[1], false).expect("filled").item().expect("one"),
                best.expect("there is one") as f64
            );
            assert_eq!(x.amin(&[], false).expect("filled").item().expect("one"), 0.0);
        }
    }

    #[test]
    fn rows_whose_largest_is_the_label() {
        let nan = f64::NAN;
        let rows: [([f64; 3], f64, f64); 10] = [
            ([1., 3., 2.], 1., 1.),
            ([1., 3., 2.], 2., 0.),
            // Of those that tie the first counts.
            ([3., 3., 2.], 0., 1.),
            ([3., 3., 2.], 1., 0.),
            ([nan, 9., 2.], 0., 0.),
            ([nan, 9., 2.], 1., 0.),
            ([1., 9., nan], 1., 0.),
            ([1., f64::INFINITY, 2.], 1., 1.),
            // No class has such a number.
            ([1., 3., 2.], 1.5, 0.),
            ([1., 3., 2.], nan, 0.),
        ];
        // More than the kernel asks for at a time.
        let many = 300;
        let of = |i: usize| &rows[i % rows.len()];
        let scores: Vec<f64> = (0..many).flat_map(|i| of(i).0).collect();
        let labels: Vec<f64> = (0..many).map(|i| of(i).1).collect();
        let expected: Vec<f64> = (0..many).map(|i| of(i).2).collect();
        let (x, labels) = (tensor(&scores, &[many, 3]), tensor(&labels, &[many]));
        assert_eq!(values(&x.argmax_equals(&labels).expect("labels of rows")), expected);
        let steps = x.with_shape(&[3, 100, 3]).expect("fits");
        let right = steps.argmax_equals(&labels.with_shape(&[3, 100]).expect("fits"));
        assert_eq!(values(&right.expect("labels of steps")), expected);
        let turned = tensor(&[1., 5., 4., 2.], &[2, 2]).transpose(0, 1).expect("two dims");
        let zeros = Tensor::from_slice(&[0i64, 0], &[2]).expect("fits");
        assert_eq!(values(&turned.argmax_equals(&zeros).expect("int64 labels")), [0., 1.]);
    }

    #[test]
    fn a_label_for_each_row_or_an_error() {
        let x = tensor(&[1., 2., 3., 4.], &[2, 2]);
        let error = x.argmax_equals(&tensor(&[0.], &[1])).expect_err("two rows").to_string();
        assert!(error.contains("shape (2,), got (1,)"), "{error}");
        assert!(zeros_of(&[2], DType::I64).argmax_equals(&zeros_of(&[], DType::I64)).is_err());
        let none = zeros_of(&[2, 0], DType::F32).argmax_equals(&zeros_of(&[2], DType::I64));
        assert!(matches!(none, Err(crate::Error::Value(_))));
        let no_rows = zeros_of(&[0, 2], DType::F32).argmax_equals(&zeros_of(&[0], DType::I64));
        assert_eq!(no_rows.expect("nothing asked").shape(), [0]);
    }

    #[test]
    fn ties_share_the_gradient() {
        let x = tensor(&[1., 4., 4., 4., 0., 2.], &[2, 3]);
        x.set_requires_grad(true).expect("a float leaf");
        backward(&x.amax(&[1], true).expect("filled"), Some(&tensor(&[6., 1.], &[2, 1])), false)
            .expect("a graph");
        assert_eq!(values(&x.grad().expect("reached")), [0., 3., 3., 1., 0., 0.]);
        x.set_grad(None).expect("none");
        backward(&x.amin(&[0], false).expect("filled"), Some(&tensor(&[1., 2., 3.], &[3])), false)
            .expect("a graph");
        assert_eq!(values(&x.grad().expect("reached")), [1., 0., 0., 0., 2., 3.]);
    }
}
