//! Matrix products.
//!
//! ```text
//! C = A·B        ∂A = ∂C·Bᵀ        ∂B = Aᵀ·∂C
//! ```
//! Operands may lie in any strides: a transposed view is multiplied as it is, without a copy. Each element of C is
//! summed over k in one order that k alone decides, so a row has the same bits alone and inside any batch.

use std::ops::Range;

use smallvec::smallvec;

use crate::dtype::{DType, Float, with_float};
use crate::error::{Result, bail};
use crate::kernels::gemm::{AddBias, Gemm, MatMut, MatRef, gemm};
use crate::launch::{Access, Arguments, ByColumns, Cost, Operand, launch, launch_either};
use crate::layout::{Layout, Shape, broadcast, show};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// What a product costs.
pub(crate) fn product_cost(m: usize, k: usize, n: usize, dtype: DType) -> Cost {
    Cost {
        flops: 2.0 * m as f64 * k as f64 * n as f64,
        bytes: ((m * k + k * n + m * n) * dtype.size()) as f64,
    }
}

/// Row and column steps of a two-dimensional tensor.
fn steps(x: &Tensor) -> (isize, isize) {
    (x.strides()[0], x.strides()[1])
}

/// Operand for a matrix whose rows are the work items: their own where rows follow each other without gaps.
pub(crate) fn rows_operand(x: &Tensor) -> Operand {
    if x.layout().is_contiguous() { Operand::read_own(x, x.shape()[1]) } else { Operand::read(x) }
}

/// A product of strided matrices, as kernels run it: operands 0 and 1 are the factors, 2 the result, which is
/// row-major without gaps.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    m: usize,
    k: usize,
    n: usize,
    a: (isize, isize),
    b: (isize, isize),
}

impl Product {
    pub(crate) fn new(a: &Tensor, b: &Tensor) -> Self {
        let (m, k, n) = (a.shape()[0], a.shape()[1], b.shape()[1]);
        Self { m, k, n, a: steps(a), b: steps(b) }
    }

    /// Computes rows of the result; operand `bias` holds one number for each column to add, after which nothing is less
    /// than `lowest`.
    pub(crate) fn rows<T: Float>(
        self,
        arguments: &Arguments<'_>,
        rows: &Range<usize>,
        bias: Option<(usize, f64)>,
    ) {
        let a = matrix(arguments.pointer::<T>(0), self.a).at(rows.start, 0);
        let b = matrix(arguments.pointer::<T>(1), self.b);
        let c = MatMut { ptr: arguments.pointer::<T>(2), row_stride: self.n as isize };
        let bias = bias.map(|(i, lowest)| (arguments.pointer::<T>(i), lowest));
        let size = (rows.len(), self.n, self.k);
        multiply(Gemm::new(size, a, b, c.at(rows.start, 0)), bias);
    }

    /// The same for columns of the result, given as items of [`ByColumns`].
    pub(crate) fn columns<T: Float>(
        self,
        arguments: &Arguments<'_>,
        items: &Range<usize>,
        bias: Option<(usize, f64)>,
    ) {
        let columns = ByColumns::range::<T>(items, self.n);
        let a = matrix(arguments.pointer::<T>(0), self.a);
        let b = if arguments.has_columns(1) {
            let (first, row) = arguments.columns::<T>(1, items);
            matrix(first, (row as isize, 1))
        } else {
            matrix(arguments.pointer::<T>(1), self.b).at(0, columns.start)
        };
        let (first, row) = arguments.columns::<T>(2, items);
        let c = MatMut { ptr: first, row_stride: row as isize };
        let bias =
            bias.map(|(i, lowest)| (arguments.pointer::<T>(i).wrapping_add(columns.start), lowest));
        multiply(Gemm::new((self.m, columns.len(), self.k), a, b, c), bias);
    }
}

pub(crate) fn matrix<T>(ptr: *mut T, (row_stride, col_stride): (isize, isize)) -> MatRef<T> {
    MatRef { ptr: ptr.cast_const(), row_stride, col_stride }
}

/// The product, with a bias for each column added and nothing less than a number if given.
pub(crate) fn multiply<T: Float>(product: Gemm<T>, bias: Option<(*mut T, f64)>) {
    let bias = bias.map(|(bias, lowest)| AddBias {
        bias: bias.cast_const(),
        lowest: T::from(lowest).unwrap_or_else(T::neg_infinity),
    });
    // SAFETY: the operands are whole matrices of the sizes that `Product::new` read off the tensors, of which callers
    // take as many rows and columns as their items have, or one matrix each out of batches; the result is new memory
    // that overlaps neither factor, and the bias has an element for each column.
    #[allow(unsafe_code, reason = "the one call of the matrix kernel")]
    unsafe {
        gemm(Gemm { bias, ..product });
    }
}

/// How items by columns touch `a`, `b` and `out` of a product.
pub(crate) fn columns_access(b: &Tensor, out: &Tensor) -> Option<[Access; 3]> {
    Some([Access::All, ByColumns::access(b).unwrap_or(Access::All), ByColumns::access(out)?])
}

/// `out = a·b` for matrices; `out` has no gaps.
pub(crate) fn product_into(name: &'static str, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
    let product = Product::new(a, b);
    let Product { m, k, n, .. } = product;
    if k == 0 {
        return out.fill(0.0);
    }
    let cost = product_cost(m, k, n, out.dtype());
    let operands = smallvec![rows_operand(a), Operand::read(b), Operand::write_own(out, n)];
    with_float!(out.dtype(), name, T => launch_either(name, m, cost, operands,
    move |rows, arguments| {
        product.rows::<T>(arguments, &rows, None);
    },
    || ByColumns::new(columns_access(b, out)?.into_iter().collect(),
    move |items, arguments| {
        product.columns::<T>(arguments, &items, None);
    })))
}

/// a·b for matrices, off the tape.
pub(crate) fn product(name: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let out = Tensor::empty(&[a.shape()[0], b.shape()[1]], a.dtype())?;
    product_into(name, a, b, &out)?;
    Ok(out)
}

/// The transposed view of a matrix, or of each matrix of a batch, off the tape.
pub(crate) fn flipped(x: &Tensor) -> Tensor {
    let mut layout: Layout = x.layout().clone();
    let n = layout.shape.len();
    layout.shape.swap(n - 2, n - 1);
    layout.strides.swap(n - 2, n - 1);
    x.view(layout)
}

/// a·b for each pair of a batch of matrices without gaps: one work item for each pair.
fn batched(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (a.packed()?, b.packed()?);
    let (count, m, k, n) = (a.shape()[0], a.shape()[1], a.shape()[2], b.shape()[2]);
    let out = Tensor::empty(&[count, m, n], a.dtype())?;
    if k == 0 {
        out.fill(0.0)?;
        return Ok(out);
    }
    let one = product_cost(m, k, n, a.dtype());
    let cost = Cost { flops: one.flops * count as f64, bytes: one.bytes * count as f64 };
    let operands = smallvec![
        Operand::read_own(&a, m * k),
        Operand::read_own(&b, k * n),
        Operand::write_own(&out, m * n),
    ];
    with_float!(a.dtype(), "matmul", T => launch("matmul", count, cost, operands,
    move |pairs, arguments| {
        for pair in pairs {
            let a = matrix(arguments.pointer::<T>(0).wrapping_add(pair * m * k), (k as isize, 1));
            let b = matrix(arguments.pointer::<T>(1).wrapping_add(pair * k * n), (n as isize, 1));
            let ptr = arguments.pointer::<T>(2).wrapping_add(pair * m * n);
            multiply(Gemm::new((m, n, k), a, b, MatMut { ptr, row_stride: n as isize }), None);
        }
    }))?;
    Ok(out)
}

struct ProductBackward {
    a: Saved,
    b: Saved,
}

impl Backward for ProductBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let (a, b) = (self.a.get()?, self.b.get()?);
        let grad = grad.packed()?;
        Ok(smallvec![
            needs[0].then(|| either_product(&grad, &flipped(b))).transpose()?,
            needs[1].then(|| either_product(&flipped(a), &grad)).transpose()?,
        ])
    }
}

/// The product of two matrices, or of two equally long batches of matrices.
fn either_product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.ndim() == 3 { batched(a, b) } else { product("matmul", a, b) }
}

fn recorded_product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let out = either_product(a, b)?;
    Ok(out.recorded("matmul", &[a, b], |_| ProductBackward { a: Saved::new(a), b: Saved::new(b) }))
}

impl Tensor {
    /// The matrix product by NumPy's rules: (m, k)·(k, n), with leading dimensions broadcast; a one-dimensional operand
    /// counts as a row on the left and as a column on the right.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        let dtype = self.dtype().max(other.dtype());
        dtype.require_float("matmul")?;
        if self.ndim() == 0 || other.ndim() == 0 {
            bail!(Shape, "matmul: expected matrices or vectors, got a scalar; use * to scale");
        }
        let (a, b) = (self.cast(dtype)?, other.cast(dtype)?);
        let row = a.ndim() == 1;
        let column = b.ndim() == 1;
        let a = if row { a.unsqueeze(0)? } else { a };
        let b = if column { b.unsqueeze(1)? } else { b };
        let (k, rows) = (a.shape()[a.ndim() - 1], b.shape()[b.ndim() - 2]);
        if k != rows {
            let (x, y) = (show(self.shape()), show(other.shape()));
            bail!(
                Shape,
                "matmul: inner dimensions differ: {x} @ {y} ({k} columns against {rows} rows)"
            );
        }
        let out =
            if b.ndim() == 2 { rows_times_matrix(&a, &b)? } else { batch_times_batch(&a, &b)? };
        let out = if row { out.squeeze(Some(-2))? } else { out };
        if column { out.squeeze(Some(-1)) } else { Ok(out) }
    }
}

/// (..., m, k)·(k, n): the leading dimensions are rows like any others.
fn rows_times_matrix(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.ndim() == 2 {
        return recorded_product(a, b);
    }
    let mut shape: Shape = a.shape().into();
    let k = shape[shape.len() - 1];
    let rows: usize = shape[..shape.len() - 1].iter().product();
    let out = recorded_product(&a.reshape(&[rows as isize, k as isize])?, b)?;
    let last = shape.len() - 1;
    shape[last] = b.shape()[1];
    out.reshape(&signed(&shape))
}

/// (..., m, k)·(..., k, n) with broadcast leading dimensions.
fn batch_times_batch(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let leading = |x: &Tensor| Shape::from_slice(&x.shape()[..x.ndim() - 2]);
    let shared = broadcast("matmul", &leading(a), &leading(b))?;
    let count: usize = shared.iter().product();
    let spread = |x: &Tensor| -> Result<Tensor> {
        let matrix = &x.shape()[x.ndim() - 2..];
        let mut full = shared.clone();
        full.extend_from_slice(matrix);
        x.expand(&full)?.reshape(&[count as isize, matrix[0] as isize, matrix[1] as isize])
    };
    let (a, b) = (spread(a)?, spread(b)?);
    let out = recorded_product(&a, &b)?;
    let mut full = shared;
    full.extend_from_slice(&[a.shape()[1], b.shape()[2]]);
    out.reshape(&signed(&full))
}

fn signed(shape: &[usize]) -> Vec<isize> {
    shape.iter().map(|&size| size as isize).collect()
}
