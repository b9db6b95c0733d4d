//! Reshape, transpose, expand: other shapes of the same elements, views where strides can say it, copies elsewhere.
//!
//! A view shares the memory of its tensor and costs no launch; its backward pass sees the gradient through the
//! inverse view. An element that a view repeats has the sum of its gradients.

use smallvec::SmallVec;

use crate::error::{Result, bail};
use crate::layout::{Layout, Shape, Strides, count, dimension, row_major, show};
use crate::ops::reduce::in_own_order;
pub use crate::ops::slice::Span;
use crate::tensor::Tensor;

/// The strides that show `layout` as `shape` without moving an element, where there are such.
fn reshaped(layout: &Layout, shape: &[usize]) -> Option<Strides> {
    if shape.contains(&0) || layout.is_contiguous() {
        return Some(row_major(shape));
    }
    // Runs of elements at equal steps, outermost first; dimensions that continue each other make one run.
    let mut runs: SmallVec<[(usize, isize); 4]> = SmallVec::new();
    for (&size, &step) in layout.shape.iter().zip(&layout.strides) {
        match runs.last_mut() {
            _ if size == 1 => {}
            Some(run) if run.1 == step * size as isize => *run = (run.0 * size, step),
            _ => runs.push((size, step)),
        }
    }
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    let (mut left, mut step) = (1, 1);
    for (&size, stride) in shape.iter().zip(&mut strides).rev().filter(|(size, _)| **size != 1) {
        if left == 1 {
            (left, step) = runs.pop()?;
        }
        if left % size != 0 {
            return None;
        }
        *stride = step;
        left /= size;
        step *= size as isize;
    }
    Some(strides)
}

/// Fills in the one size that is given as -1.
fn complete(x: &Tensor, sizes: &[isize]) -> Result<Shape> {
    let wanted = || {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        format!("({})", sizes.join(", "))
    };
    let mut open = None;
    let mut shape = Shape::with_capacity(sizes.len());
    for (i, &size) in sizes.iter().enumerate() {
        if size < -1 || (size == -1 && open.replace(i).is_some()) {
            let wanted = wanted();
            bail!(Value, "reshape: expected non-negative sizes and at most one -1, got {wanted}");
        }
        shape.push(size.max(1) as usize * usize::from(size != 0));
    }
    let known = count(&shape)?;
    if let Some(open) = open
        && known > 0
    {
        shape[open] = x.count() / known;
    }
    if count(&shape)? != x.count() || (open.is_some() && known == 0) {
        let (n, own, wanted) = (x.count(), show(x.shape()), wanted());
        bail!(Shape, "reshape: the {n} elements of shape {own} cannot take the shape {wanted}");
    }
    Ok(shape)
}

impl Tensor {
    /// The same elements in row-major order as `shape`, off the tape: a view where strides allow it.
    pub(crate) fn with_shape(&self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self.detach());
        }
        let (x, strides) = match reshaped(self.layout(), shape) {
            Some(strides) => (self.detach(), strides),
            None => (self.packed()?, row_major(shape)),
        };
        Ok(x.view(Layout { shape: shape.into(), strides, offset: x.layout().offset }))
    }

    /// Puts the same elements in another shape on the tape.
    fn reshaped_from(self, x: &Self) -> Self {
        self.recorded_of("reshape", x, |_| {
            let shape = Shape::from(x.shape());
            move |grad| grad.with_shape(&shape)
        })
    }

    /// The same elements, read in row-major order, with other sizes; one size may be -1 and follows from the others.
    /// A view where strides allow it, else a copy.
    pub fn reshape(&self, sizes: &[isize]) -> Result<Self> {
        let shape = complete(self, sizes)?;
        Ok(self.with_shape(&shape)?.reshaped_from(self))
    }

    /// The dimensions from `start_dim` on merged into one.
    pub fn flatten(&self, start_dim: isize) -> Result<Self> {
        if self.ndim() == 0 {
            return self.reshape(&[1]);
        }
        let start = dimension("flatten", start_dim, self.ndim())?;
        let mut sizes: Vec<isize> = self.shape()[..start].iter().map(|&n| n as isize).collect();
        sizes.push(self.shape()[start..].iter().product::<usize>() as isize);
        self.reshape(&sizes)
    }

    /// A view with the dimensions in another order.
    pub fn permute(&self, dims: &[isize]) -> Result<Self> {
        let order: SmallVec<[usize; 4]> = dims
            .iter()
            .map(|&dim| dimension("permute", dim, self.ndim()))
            .collect::<Result<_>>()?;
        let complete = (0..self.ndim()).all(|dim| order.contains(&dim));
        if order.len() != self.ndim() || !complete {
            let n = self.ndim();
            bail!(Value, "permute: expected each of the {n} dimensions once, got {dims:?}");
        }
        let y = self.view(self.layout().permute(&order));
        // Dimension order[i] came to place i: it goes back.
        Ok(y.recorded_of("permute", self, |_| move |grad| Ok(in_own_order(grad, &order))))
    }

    /// A view with two dimensions exchanged.
    pub fn transpose(&self, dim0: isize, dim1: isize) -> Result<Self> {
        let a = dimension("transpose", dim0, self.ndim())?;
        let b = dimension("transpose", dim1, self.ndim())?;
        let mut order: SmallVec<[isize; 4]> = (0..self.ndim() as isize).collect();
        order.swap(a, b);
        self.permute(&order)
    }

    /// A view without a dimension of size 1, or without all of them. Another size stays.
    pub fn squeeze(&self, dim: Option<isize>) -> Result<Self> {
        let only = dim.map(|dim| dimension("squeeze", dim, self.ndim())).transpose()?;
        let mut layout = self.layout().clone();
        for dim in (0..self.ndim()).rev() {
            if layout.shape[dim] == 1 && only.is_none_or(|only| only == dim) {
                layout.shape.remove(dim);
                layout.strides.remove(dim);
            }
        }
        Ok(self.view(layout).reshaped_from(self))
    }

    /// A view with a dimension of size 1 inserted before `dim`.
    pub fn unsqueeze(&self, dim: isize) -> Result<Self> {
        let dim = dimension("unsqueeze", dim, self.ndim() + 1)?;
        let mut layout = self.layout().clone();
        layout.shape.insert(dim, 1);
        layout.strides.insert(dim, 0);
        Ok(self.view(layout).reshaped_from(self))
    }

    /// A view in which dimensions of size 1, and new ones in front, are repeated.
    pub fn expand(&self, shape: &[usize]) -> Result<Self> {
        count(shape)?;
        let y = self.view(self.layout().broadcast_to("expand", shape)?);
        // An element that is read many times has the sum of their gradients.
        Ok(y.recorded_of("expand", self, |_| {
            let shape = Shape::from(self.shape());
            move |grad| grad.sum_to(&shape)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn counted(shape: &[usize]) -> Tensor {
        let values: Vec<f64> = (0..count(shape).expect("small")).map(|i| i as f64).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    fn shares_memory(a: &Tensor, b: &Tensor) -> bool {
        std::sync::Arc::ptr_eq(a.buffer(), b.buffer())
    }

    #[test]
    fn reshape_views_where_it_can() {
        let x = counted(&[2, 3, 4]);
        let y = x.reshape(&[-1, 4]).expect("fits");
        assert_eq!(y.shape(), [6, 4]);
        assert!(shares_memory(&x, &y));
        // The columns 0..2 of rows: runs of two elements cannot merge with the rows.
        let part = x.slice(&[Span::ALL, Span::ALL, Span::range(0..2)]).expect("inside");
        let split = part.reshape(&[6, 2, 1]).expect("fits");
        assert!(shares_memory(&x, &split));
        assert_eq!(values(&split), values(&part));
        let packed = part.reshape(&[12]).expect("fits");
        assert!(!shares_memory(&x, &packed));
        assert_eq!(values(&packed), [0., 1., 4., 5., 8., 9., 12., 13., 16., 17., 20., 21.]);
        // A flipped tensor splits into flipped parts.
        let flipped = counted(&[6]).flip(&[0]).expect("one dim");
        let square = flipped.reshape(&[2, 3]).expect("fits");
        assert!(shares_memory(&flipped, &square));
        assert_eq!(values(&square), [5., 4., 3., 2., 1., 0.]);
        let repeated = counted(&[1]).expand(&[6]).expect("repeats");
        assert_eq!(values(&repeated.reshape(&[3, 2]).expect("fits")), [0.; 6]);
        for bad in [&[-1, -1][..], &[5, -1], &[7], &[-2, 3], &[0, -1], &[]] {
            let text = x.reshape(bad).expect_err("refused").to_string();
            assert!(text.contains("reshape"), "{text}");
        }
        let empty = Tensor::zeros(&[0, 3], DType::F64).expect("empty");
        assert_eq!(empty.reshape(&[-1, 5]).expect("fits").shape(), [0, 5]);
        assert!(empty.reshape(&[0, -1]).is_err());
        let scalar = counted(&[1]).reshape(&[]).expect("fits");
        assert_eq!(
            (scalar.ndim(), scalar.reshape(&[1, 1]).expect("fits").shape()),
            (0, &[1, 1][..])
        );
    }

    #[test]
    fn views_share_memory() {
        let x = counted(&[2, 3]);
        for view in [
            x.transpose(0, 1).expect("two dims"),
            x.flip(&[0, 1]).expect("two dims"),
            x.unsqueeze(-1).expect("fits"),
            x.squeeze(None).expect("nothing to do"),
            x.expand(&[4, 2, 3]).expect("repeats"),
        ] {
            assert!(shares_memory(&x, &view));
        }
        assert_eq!(values(&x.transpose(-1, 0).expect("two dims")), [0., 3., 1., 4., 2., 5.]);
    }
}
