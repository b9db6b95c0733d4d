//! Sums in a fixed order: along contiguous rows, and down the columns of a row-major block.

use core::ops::Range;

use super::math::Real;
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Elements of a row that one vector chain sums before the partial sum goes to `f64`: long chains in `f32` drift.
const ROW_CHUNK: usize = 1024;
/// Rows that one chain of a column sum adds before it goes to the outer sum, for the same reason.
const COLUMN_CHUNK: usize = 128;

struct SumRow<'a, T>(&'a [T]);

impl<T: Scalar + Real> Kernel for SumRow<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let lanes = <T::V<S> as Vector>::LANES;
        let mut total = 0.0;
        for chunk in self.0.chunks(ROW_CHUNK) {
            let mut sum = T::V::<S>::splat(T::zero());
            let mut at = 0;
            while at < chunk.len() {
                let left = (chunk.len() - at).min(lanes);
                // SAFETY: `left` elements stand at `at`.
                let x = unsafe { T::V::<S>::load_first(chunk.as_ptr().add(at), left) };
                sum = sum + x;
                at += lanes;
            }
            total += sum.reduce_add().to_f64().unwrap_or(f64::NAN);
        }
        total
    }
}

/// Σ x, in an order that the length alone decides.
pub fn sum_row<T: Scalar + Real>(x: &[T]) -> f64 {
    dispatch(SumRow(x))
}

struct SumColumns<'a, T> {
    x: &'a [T],
    rows: usize,
    width: usize,
    columns: Range<usize>,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for SumColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let mut column = self.columns.start;
        while column < self.columns.end {
            let left = (self.columns.end - column).min(lanes);
            let mut total = T::V::<S>::splat(T::zero());
            let mut row = 0;
            while row < self.rows {
                let stop = (row + COLUMN_CHUNK).min(self.rows);
                let mut sum = T::V::<S>::splat(T::zero());
                while row < stop {
                    // SAFETY: the row has `width` elements and `column + left <= width`.
                    let x = unsafe {
                        T::V::<S>::load_first(self.x.as_ptr().add(row * self.width + column), left)
                    };
                    sum = sum + x;
                    row += 1;
                }
                total = total + sum;
            }
            // SAFETY: `out` has one element for each column of the range.
            unsafe {
                let to = self.out.as_mut_ptr().add(column - self.columns.start);
                total.store_first(to, left);
            }
            column += lanes;
        }
    }
}

/// `out[c] = Σ_r x[r, c]` for the columns of the range; `x` is row-major and `width` wide. Each column is summed in
/// an order that the number of rows alone decides.
///
/// # Panics
/// Where the slices do not have the sizes that the arguments say.
pub fn sum_columns<T: Scalar + Real>(
    x: &[T],
    rows: usize,
    width: usize,
    columns: Range<usize>,
    out: &mut [T],
) {
    assert!(x.len() >= rows * width && columns.end <= width && out.len() == columns.len());
    dispatch(SumColumns { x, rows, width, columns, out });
}
