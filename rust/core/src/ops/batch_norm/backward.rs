//! The backward pass of batch normalization.

use smallvec::smallvec;

use super::fixed;
use crate::dtype::with_float;
use crate::error::Result;
use crate::kernels::batch_norm::{
    RowsBackward, Sums, SumsOf, chunk_rows, chunk_sums, column_sums, normalize_backward,
};
use crate::launch::{Cost, Operand, launch};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// What the backward pass keeps.
pub(super) struct BatchNormBackward {
    pub(super) x: Saved,
    pub(super) mean: Saved,
    pub(super) inverse: Saved,
    pub(super) scale: Saved,
    pub(super) has_gamma: bool,
    pub(super) training: bool,
}

/// ∂β, ∂γ and what rows need of them, (features,) each.
struct ColumnSums {
    beta: Tensor,
    gamma: Tensor,
    shift: Tensor,
    tilt: Tensor,
}

impl BatchNormBackward {
    /// The first half of the sums, for chunks of rows: those are the work items. None where no size of chunks divides
    /// the batch.
    fn sums_of_chunks(&self, grad: &Tensor) -> Result<Option<Tensor>> {
        let x = self.x.get()?;
        let (m, n) = (x.shape()[0], x.shape()[1]);
        let Some(rows) = chunk_rows(m).filter(|_| n > 0) else { return Ok(None) };
        let out = Tensor::empty(&[m / rows, 2, n], x.dtype())?;
        let operands = smallvec![
            Operand::read_own(grad, rows * n),
            Operand::read_own(x, rows * n),
            Operand::read(self.mean.get()?),
            Operand::write_own(&out, 2 * n),
        ];
        let cost = Cost::elementwise(x.count(), 4.0, 2, x.dtype());
        with_float!(x.dtype(), "batch_norm", T => launch("batch_sums", m / rows, cost, operands,
        move |items, arguments| {
            let batch = [arguments.own::<T>(0, &items), arguments.own(1, &items)];
            chunk_sums(batch, arguments.all(2), rows, arguments.own_mut(3, &items));
        }))?;
        Ok(Some(out))
    }

    /// Sums down the columns: features are the work items.
    fn sums(&self, grad: &Tensor) -> Result<ColumnSums> {
        let (x, mean, inverse) = (self.x.get()?, self.mean.get()?, self.inverse.get()?);
        let (m, n) = (x.shape()[0], x.shape()[1]);
        let new = || Tensor::empty(&[n], x.dtype());
        let sums = ColumnSums { beta: new()?, gamma: new()?, shift: new()?, tilt: new()? };
        let chunks = self.sums_of_chunks(grad)?;
        let chunked = chunks.is_some();
        // An operand more than chunks need, so that all others have one place.
        let (first, second) = match &chunks {
            Some(chunks) => (chunks, chunks),
            None => (grad, x),
        };
        let cost = Cost::elementwise(first.count(), 4.0, if chunked { 1 } else { 2 }, x.dtype());
        let operands = smallvec![
            Operand::read(first),
            Operand::read(second),
            Operand::read_own(mean, 1),
            Operand::read_own(inverse, 1),
            Operand::write_own(&sums.beta, 1),
            Operand::write_own(&sums.gamma, 1),
            Operand::write_own(&sums.shift, 1),
            Operand::write_own(&sums.tilt, 1),
        ];
        with_float!(x.dtype(), "batch_norm", T => launch("batch_sums", n, cost, operands,
        move |items, arguments| {
            let (first, second) = (arguments.all(0), arguments.all(1));
            column_sums(Sums::<T> {
                of: if chunked {
                    SumsOf::Chunks(first)
                } else {
                    SumsOf::Rows { grad: first, x: second }
                },
                rows: m,
                width: n,
                columns: items.clone(),
                mean: arguments.own(2, &items),
                inverse: arguments.own(3, &items),
                beta: arguments.own_mut(4, &items),
                gamma: arguments.own_mut(5, &items),
                shift: arguments.own_mut(6, &items),
                tilt: arguments.own_mut(7, &items),
            });
        }))?;
        Ok(sums)
    }

    /// ∂x of a training pass: rows are the work items.
    fn rows(&self, grad: &Tensor, sums: &ColumnSums) -> Result<Tensor> {
        let x = self.x.get()?;
        let (m, n) = (x.shape()[0], x.shape()[1]);
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let operands = smallvec![
            Operand::read_own(grad, n),
            Operand::read_own(x, n),
            Operand::write_own(&out, n),
            Operand::read(self.mean.get()?),
            Operand::read(self.scale.get()?),
            Operand::read(&sums.shift),
            Operand::read(&sums.tilt),
        ];
        let items = if n == 0 { 0 } else { m };
        let cost = Cost::elementwise(x.count(), 5.0, 3, x.dtype());
        with_float!(x.dtype(), "batch_norm", T => launch("batch_norm", items, cost, operands,
        move |items, arguments| {
            normalize_backward(RowsBackward::<T> {
                grad: arguments.own(0, &items),
                x: arguments.own(1, &items),
                mean: arguments.all(3),
                scale: arguments.all(4),
                shift: arguments.all(5),
                tilt: arguments.all(6),
                out: arguments.own_mut(2, &items),
            });
        }))?;
        Ok(out)
    }
}

impl Backward for BatchNormBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let grad = grad.packed()?;
        let mut out: Gradients = smallvec![None; needs.len()];
        let of_parameters = needs[1..].contains(&true);
        let sums = if of_parameters || self.training { Some(self.sums(&grad)?) } else { None };
        if needs[0] {
            out[0] = Some(match &sums {
                Some(sums) if self.training => self.rows(&grad, sums)?,
                _ => fixed::product(&grad, self.scale.get()?)?,
            });
        }
        if let Some(sums) = sums {
            let beta = if self.has_gamma { 2 } else { 1 };
            if self.has_gamma && needs[1] {
                out[1] = Some(sums.gamma);
            }
            if needs.get(beta) == Some(&true) {
                out[beta] = Some(sums.beta);
            }
        }
        Ok(out)
    }
}
