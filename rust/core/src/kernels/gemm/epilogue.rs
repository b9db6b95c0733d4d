//! What happens to a finished part of the product while it is still in the cache.

use crate::kernels::simd::{Chain, Scalar, Simd, Vector};

/// A function of the finished product and the place in it, applied before the result is stored.
///
/// It may also read or write memory of its own at that place (a mask, the value before the activation).
pub trait Epilogue<T: Scalar> {
    /// Whether it changes nothing, and need not run.
    const IDENTITY: bool = false;

    /// The result for lanes `0..lanes` of `v`, which are the elements `(row, col..col + lanes)` of C.
    ///
    /// Implementations are `#[inline(always)]`. The lanes from `lanes` on are arbitrary and not stored.
    ///
    /// # Safety
    /// Row and columns lie in the matrix that this epilogue was made for.
    unsafe fn apply<S: Simd>(&self, v: T::V<S>, row: usize, col: usize, lanes: usize) -> T::V<S>;
}

/// The product as it is.
#[derive(Clone, Copy, Debug)]
pub struct NoEpilogue;

impl<T: Scalar> Epilogue<T> for NoEpilogue {
    const IDENTITY: bool = true;

    #[inline(always)]
    unsafe fn apply<S: Simd>(&self, v: T::V<S>, _: usize, _: usize, _: usize) -> T::V<S> {
        v
    }
}

/// `c_ij = max((A B)_ij + b_j, lowest)`.
#[derive(Clone, Copy, Debug)]
pub struct AddBias<T> {
    /// One bias for each column of C.
    pub bias: *const T,
    /// 0 for a rectifier, which costs next to nothing here; -∞ to change nothing. What is no number stays so.
    pub lowest: T,
}

impl<T: Scalar> Epilogue<T> for AddBias<T> {
    #[inline(always)]
    unsafe fn apply<S: Simd>(&self, v: T::V<S>, _: usize, col: usize, lanes: usize) -> T::V<S> {
        // SAFETY: the bias has an element for each column, and these columns exist.
        let z = v + unsafe { load_lanes::<T, S>(self.bias.add(col), lanes) };
        let lowest = T::V::<S>::splat(self.lowest);
        T::V::<S>::select(z.le(lowest), lowest, z)
    }
}

/// A whole load where all lanes exist, which is cheaper on most instruction sets.
///
/// # Safety
/// `p` is valid for reading `lanes` elements.
#[inline(always)]
pub unsafe fn load_lanes<T: Scalar, S: Simd>(p: *const T, lanes: usize) -> T::V<S> {
    // SAFETY: the caller's promise.
    unsafe { Chain::read(p, lanes) }
}

/// A whole store where all lanes exist.
///
/// # Safety
/// `p` is valid for writing `lanes` elements.
#[inline(always)]
pub unsafe fn store_lanes<T: Scalar, S: Simd>(v: T::V<S>, p: *mut T, lanes: usize) {
    // SAFETY: the caller's promise.
    unsafe { Chain::write(v, p, lanes) }
}
