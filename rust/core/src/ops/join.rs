//! Concatenation and stacking of tensors: along a dimension that they have, or along a new one. The gradient is cut
//! into views.

use smallvec::SmallVec;

use crate::dtype::with_element;
use crate::error::{Result, bail};
use crate::launch::{Cost, Operand, Operands, launch};
use crate::layout::{Layout, Shape, dimension, show};
use crate::tape::{Backward, Gradients};
use crate::tensor::Tensor;

struct CatBackward {
    dim: usize,
    lengths: SmallVec<[usize; 3]>,
}

impl Backward for CatBackward {
    // Each input's gradient is its part of the gradient.
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let mut start = 0;
        let parts = self.lengths.iter().map(|&length| {
            let mut layout = grad.layout().clone();
            layout.shape[self.dim] = length;
            if layout.count() > 0 {
                layout.offset =
                    layout.offset.wrapping_add_signed(start as isize * layout.strides[self.dim]);
            }
            start += length;
            Some(grad.view(layout))
        });
        Ok(parts.collect())
    }
}

impl Tensor {
    /// Tensors that agree in all other sizes, one after the other along `dim`.
    pub fn cat(tensors: &[&Self], dim: isize) -> Result<Self> {
        let Some(&first) = tensors.first() else {
            bail!(Value, "cat: expected at least one tensor, got none");
        };
        let dim = dimension("cat", dim, first.ndim())?;
        for (i, tensor) in tensors.iter().enumerate() {
            let fits = tensor.ndim() == first.ndim()
                && (0..first.ndim()).all(|d| d == dim || tensor.shape()[d] == first.shape()[d]);
            if !fits {
                let (own, shape) = (show(tensor.shape()), show(first.shape()));
                bail!(
                    Shape,
                    "cat: tensor {i} has shape {own}, which differs from {shape} outside dimension {dim}"
                );
            }
            first.dtype().require_same("cat", tensor.dtype())?;
        }
        let lengths: SmallVec<[usize; 3]> = tensors.iter().map(|t| t.shape()[dim]).collect();
        let mut shape: Shape = first.shape().into();
        shape[dim] = lengths.iter().sum();
        let out = Self::empty(&shape, first.dtype())?;
        if dim == 0 {
            let row: usize = shape[1..].iter().product();
            let mut start = 0;
            for tensor in tensors {
                let offset = start * row * usize::from(out.count() > 0);
                tensor.copy_into(
                    &out.view(Layout { offset, ..Layout::contiguous(tensor.shape()) }),
                )?;
                start += tensor.shape()[0];
            }
        } else {
            join(tensors, dim, &out)?;
        }
        Ok(out.recorded("cat", tensors, |_| CatBackward { dim, lengths }))
    }

    /// Tensors of one shape side by side along a new dimension.
    pub fn stack(tensors: &[&Self], dim: isize) -> Result<Self> {
        let Some(&first) = tensors.first() else {
            bail!(Value, "stack: expected at least one tensor, got none");
        };
        if let Some(other) = tensors.iter().find(|t| t.shape() != first.shape()) {
            let (one, other) = (show(first.shape()), show(other.shape()));
            bail!(Shape, "stack: expected tensors of one shape, got {one} and {other}");
        }
        let dim = dimension("stack", dim, first.ndim() + 1)? as isize;
        let raised: Vec<Self> = tensors.iter().map(|t| t.unsqueeze(dim)).collect::<Result<_>>()?;
        Self::cat(&raised.iter().collect::<Vec<_>>(), dim)
    }
}

/// Writes the tensors side by side along a dimension that is not the first, row by row.
fn join(tensors: &[&Tensor], dim: usize, out: &Tensor) -> Result<()> {
    let shape = out.shape();
    let rows = shape[0];
    let blocks: usize = shape[1..dim].iter().product();
    let after: usize = shape[dim + 1..].iter().product();
    let packed: Vec<Tensor> = tensors.iter().map(|t| t.packed()).collect::<Result<_>>()?;
    let widths: Vec<usize> = packed.iter().map(|t| t.shape()[dim] * after).collect();
    let total = shape[dim] * after;
    let mut operands: Operands = packed
        .iter()
        .zip(&widths)
        .map(|(tensor, width)| Operand::read_own(tensor, blocks * width))
        .collect();
    operands.push(Operand::write_own(out, blocks * total));
    let cost = Cost::elementwise(out.count(), 0.0, 2, out.dtype());
    with_element!(out.dtype(), T => launch("cat", rows, cost, operands, move |items, arguments| {
        let out = arguments.own_mut::<T>(widths.len(), &items);
        let mut start = 0;
        for (i, &width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
            let from = arguments.own::<T>(i, &items).chunks_exact(width);
            for (to, from) in out.chunks_exact_mut(total).zip(from) {
                to[start..start + width].copy_from_slice(from);
            }
            start += width;
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::layout::count;

    fn counted(shape: &[usize]) -> Tensor {
        let values: Vec<f64> = (0..count(shape).expect("small")).map(|i| i as f64).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    #[test]
    fn tensors_are_copied_side_by_side() {
        let x = counted(&[2, 3]);
        let y = Tensor::cat(&[&x, &x.flip(&[1]).expect("fits")], 1).expect("joins");
        assert_eq!(values(&y), [0., 1., 2., 2., 1., 0., 3., 4., 5., 5., 4., 3.]);
        let y = Tensor::cat(&[&x, &Tensor::zeros(&[0, 3], DType::F64).expect("empty"), &x], 0)
            .expect("joins");
        assert_eq!(y.shape(), [4, 3]);
        assert_eq!(values(&y)[6..], values(&x));
        let y = Tensor::stack(&[&x, &x], -1).expect("joins");
        assert_eq!((y.shape(), &values(&y)[..4]), (&[2, 3, 2][..], &[0., 0., 1., 1.][..]));
        assert!(Tensor::cat(&[], 0).is_err());
        assert!(Tensor::cat(&[&x, &counted(&[2, 2])], 0).is_err());
        assert!(Tensor::cat(&[&x, &x.cast(DType::F32).expect("casts")], 0).is_err());
    }
}
