//! Gather: rows chosen by index, as batches and embeddings are.
//!
//! ```text
//! y[i] = x[k_i]             ∂C/∂x[r] = Σ ∂C/∂y[i] over the i with k_i = r, in the order of i
//! ```
//!
//! A negative number counts from the end. Numbers are checked before the launch, but a replay may find others in
//! the same memory and cannot raise: a row outside the tensor then reads as NaN (zero for integers and booleans)
//! and has no gradient.

use ndarray::Axis;
use smallvec::smallvec;

use crate::dtype::{DType, Element, with_element, with_float};
use crate::error::{Result, bail};
use crate::host_access;
use crate::kernels::gather::{add_rows, group, take_rows};
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Layout, Shape, show};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// The place of row `index` among `rows`, if it is one.
fn place(index: i64, rows: usize) -> Option<usize> {
    let from_start = if index < 0 { index.checked_add(rows as i64)? } else { index };
    usize::try_from(from_start).ok().filter(|&row| row < rows)
}

fn check(indices: &Tensor, rows: usize) -> Result<()> {
    let wrong = host_access::with(indices, |view| {
        view.iter()
            .enumerate()
            .find(|(_, index)| place(**index, rows).is_none())
            .map(|(i, k)| (i, *k))
    });
    match wrong {
        Some((at, index)) => bail!(
            Index,
            "take_rows: index {index} at position {at} is out of range for {rows} rows"
        ),
        None => Ok(()),
    }
}

struct TakeBackward {
    shape: Shape,
    indices: Saved,
}

impl Backward for TakeBackward {
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (indices, grad) = (self.indices.get()?, grad.packed()?);
        let (rows, taken) = (self.shape[0], indices.count());
        let out = Tensor::empty(&self.shape, grad.dtype())?;
        let row = out.count().checked_div(rows).unwrap_or(0);
        // The positions sorted by their row: those of row r are order[starts[r]..starts[r + 1]].
        let starts = Tensor::empty(&[rows + 1], DType::I64)?;
        let order = Tensor::empty(&[taken], DType::I64)?;
        let operands = smallvec![
            Operand::read(indices),
            Operand::write_own(&starts, rows + 1),
            Operand::write_own(&order, taken),
        ];
        let cost = Cost::elementwise(rows + taken, 2.0, 3, DType::I64);
        launch("take_rows order", 1, cost, operands, move |items, arguments| {
            let places = arguments.all::<i64>(0).iter().map(|&index| place(index, rows));
            group(places, arguments.own_mut(1, &items), arguments.own_mut(2, &items));
        })?;
        let operands = smallvec![
            Operand::read(&grad),
            Operand::read(&starts),
            Operand::read(&order),
            Operand::write_own(&out, row),
        ];
        let cost = Cost::elementwise(out.count() + grad.count(), 1.0, 1, grad.dtype());
        with_float!(grad.dtype(), "take_rows", T => launch("take_rows backward", rows, cost, operands,
        move |items, arguments| {
            let grad = arguments.all::<T>(0);
            let (starts, order) = (arguments.all::<i64>(1), arguments.all::<i64>(2));
            let out = arguments.own_mut::<T>(3, &items);
            if row > 0 {
                for (item, to) in items.zip(out.chunks_exact_mut(row)) {
                    let members = &order[starts[item] as usize..starts[item + 1] as usize];
                    add_rows(grad, members, to);
                }
            }
        }))?;
        Ok(smallvec![Some(out)])
    }
}

impl Tensor {
    /// The rows (along dimension 0) whose numbers `indices` holds: shape `indices.shape + self.shape[1..]`.
    pub fn take_rows(&self, indices: &Self) -> Result<Self> {
        if indices.dtype() != DType::I64 {
            bail!(Type, "take_rows: expected int64 indices, got {}", indices.dtype().name());
        }
        let Some((&rows, inner)) = self.shape().split_first() else {
            bail!(Shape, "take_rows: a tensor of shape {} has no rows", show(self.shape()));
        };
        check(indices, rows)?;
        let indices = indices.packed()?;
        let shape: Shape = indices.shape().iter().chain(inner).copied().collect();
        let out = Self::empty(&shape, self.dtype())?;
        let row: usize = inner.iter().product();
        let whole = self.layout().is_contiguous();
        let layout = Layout { offset: 0, ..self.layout().clone() };
        let cost = Cost::elementwise(out.count(), 0.0, 2, self.dtype());
        let operands = smallvec![
            Operand::read_own(&indices, 1),
            Operand::read(self),
            Operand::write_own(&out, row)
        ];
        with_element!(self.dtype(), T => launch("take_rows", indices.count(), cost, operands,
        move |items, arguments| {
            let absent = T::from_f64(if T::DTYPE.is_float() { f64::NAN } else { 0.0 });
            let indices = arguments.own::<i64>(0, &items);
            let out = arguments.own_mut::<T>(2, &items);
            if row == 0 {
                return;
            }
            if row == 1 && whole {
                // Labels and the like: a copy of one element is not worth a call.
                let from = arguments.all::<T>(1);
                for (&index, to) in indices.iter().zip(out) {
                    *to = place(index, rows).map_or(absent, |k| from[k]);
                }
                return;
            }
            let places = indices.iter().map(|&index| place(index, rows));
            if whole {
                take_rows(arguments.all::<T>(1), row, places, absent, out);
                return;
            }
            let x = arguments.view::<T>(1, &layout);
            for (place, to) in places.zip(out.chunks_exact_mut(row)) {
                match place {
                    None => to.fill(absent),
                    Some(k) => {
                        let from = x.index_axis(Axis(0), k);
                        to.iter_mut().zip(from.iter()).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }))?;
        Ok(out.recorded("take_rows", &[self], |_| TakeBackward {
            shape: self.shape().into(),
            indices: Saved::new(&indices),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Arguments;
    use crate::tape::backward;

    fn indices(values: &[i64]) -> Tensor {
        Tensor::from_slice(values, &[values.len()]).expect("fits")
    }

    #[test]
    fn rows_of_any_type_and_layout() {
        let x = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0], &[3, 2]).expect("fits");
        let y = x.take_rows(&indices(&[2, 0, -1])).expect("inside");
        assert_eq!(y.to_vec::<f32>().expect("float32"), [4., 5., 0., 1., 4., 5.]);
        let y = x.transpose(0, 1).expect("two dims").take_rows(&indices(&[1])).expect("inside");
        assert_eq!(
            (y.shape(), y.to_vec::<f32>().expect("float32")),
            (&[1, 3][..], vec![1., 3., 5.])
        );
        let labels = Tensor::from_slice(&[7i64, 8, 9], &[3]).expect("fits");
        let which = Tensor::from_slice(&[1i64, 1, 0, 2], &[2, 2]).expect("fits");
        let y = labels.take_rows(&which).expect("inside");
        assert_eq!((y.shape(), y.to_vec::<i64>().expect("int64")), (&[2, 2][..], vec![8, 8, 7, 9]));
        let mask = Tensor::from_slice(&[1u8, 0], &[2]).expect("fits");
        let y = mask.take_rows(&indices(&[1, 0])).expect("inside");
        assert_eq!(y.to_vec::<u8>().expect("bool"), [0, 1]);
        let none = x.take_rows(&indices(&[])).expect("nothing");
        assert_eq!(none.shape(), [0, 2]);
    }

    #[test]
    fn a_wrong_index_is_named() {
        let x = Tensor::zeros(&[3, 2], DType::F32).expect("small");
        for (bad, text) in [(3, "index 3 at position 1"), (-4, "index -4"), (i64::MIN, "index -9")]
        {
            let error = x.take_rows(&indices(&[0, bad])).expect_err("outside").to_string();
            assert!(error.contains(text) && error.contains("3 rows"), "{error}");
        }
        assert!(x.take_rows(&x).is_err());
        assert!(Tensor::zeros(&[], DType::F32).expect("small").take_rows(&indices(&[0])).is_err());
    }

    #[test]
    fn a_replay_with_a_wrong_index_gives_nan() {
        let x = Tensor::from_slice(&[1.0f32, 2.0], &[2]).expect("fits");
        let which = indices(&[1, 0]);
        crate::capture::begin().expect("none is open");
        let y = x.take_rows(&which).expect("inside");
        let recording = crate::capture::end().expect("open");
        which.write(&[5i64, 1]).expect("fits");
        let launched = &recording.launches[0];
        let addresses = crate::launch::pointers(&launched.operands);
        let arguments = Arguments::new(&addresses, &launched.operands);
        (launched.kernel)(0..launched.items, &arguments);
        let y = y.to_vec::<f32>().expect("float32");
        assert!(y[0].is_nan() && y[1] == 2.0, "{y:?}");
    }

    #[test]
    fn repeated_rows_add_up() {
        let x = Tensor::zeros(&[4, 2], DType::F64).expect("small");
        x.set_requires_grad(true).expect("a float leaf");
        let y = x.take_rows(&indices(&[3, 0, 3, -1])).expect("inside");
        let g: Vec<f64> = (1..9).map(f64::from).collect();
        backward(&y, Some(&Tensor::from_slice(&g, &[4, 2]).expect("fits")), false)
            .expect("a graph");
        let grad = x.grad().expect("reached").to_vec::<f64>().expect("float64");
        assert_eq!(grad, [3., 4., 0., 0., 0., 0., 1. + 5. + 7., 2. + 6. + 8.]);
    }
}
