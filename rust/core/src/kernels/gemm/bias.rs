//! Epilogue of a matrix product: bias and lowest value, while the finished product is still in registers.

use crate::kernels::simd::{Chain, Lane};

/// `c_ij = max((A B)_ij + b_j, lowest)`.
#[derive(Clone, Copy, Debug)]
pub struct AddBias<T> {
    /// One bias for each column of C.
    pub bias: *const T,
    /// 0 for a rectifier, which costs next to nothing here; -∞ to change nothing. What is no number stays so.
    pub lowest: T,
}

impl<T: Lane> AddBias<T> {
    /// The same for the columns from `col` on.
    #[inline(always)]
    pub(super) fn at(self, col: usize) -> Self {
        Self { bias: self.bias.wrapping_add(col), ..self }
    }

    /// The result for the first `lanes` lanes of `v`, which belong to the columns from `col` on.
    ///
    /// # Safety
    /// There is a bias for each of these columns.
    #[inline(always)]
    pub(super) unsafe fn apply<C: Chain<Elem = T>>(&self, v: C, col: usize, lanes: usize) -> C {
        // SAFETY: the caller's promise.
        v.plus(unsafe { C::read(self.bias.add(col), lanes) }).or_lowest(C::all(self.lowest))
    }
}
