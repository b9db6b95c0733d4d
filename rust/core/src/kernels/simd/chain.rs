//! What tiles of a matrix product need of a vector: little enough for vectors that serve them alone.

use super::{Lane, Vector};

/// Lanes in each of which a sum of products grows.
pub trait Chain: Copy {
    /// The scalar type.
    type Elem: Lane;
    /// How many lanes.
    const WIDTH: usize;

    /// Empty sums.
    fn zero() -> Self;
    /// All lanes equal to `x`.
    fn all(x: Self::Elem) -> Self;
    /// Reads the first `n <= WIDTH` elements; the other lanes are zero and their memory is not touched.
    ///
    /// # Safety
    /// `p` is valid for reading `n` elements.
    unsafe fn read_first(p: *const Self::Elem, n: usize) -> Self;
    /// Reads `WIDTH` elements.
    ///
    /// # Safety
    /// `p` is valid for reading them.
    unsafe fn read_all(p: *const Self::Elem) -> Self;
    /// As [`read_first`](Self::read_first), by a whole load where all lanes exist: cheaper on most instruction sets.
    ///
    /// # Safety
    /// `p` is valid for reading `n` elements.
    #[inline(always)]
    unsafe fn read(p: *const Self::Elem, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { if n >= Self::WIDTH { Self::read_all(p) } else { Self::read_first(p, n) } }
    }
    /// Writes the first `n <= WIDTH` lanes.
    ///
    /// # Safety
    /// `p` is valid for writing `n` elements.
    unsafe fn write(self, p: *mut Self::Elem, n: usize);
    /// `self + a * b`, rounded once.
    fn add_product(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    fn plus(self, other: Self) -> Self;
    /// `lowest` where `self` is no more than that; what is no number stays so.
    fn or_lowest(self, lowest: Self) -> Self;
}

impl<V: Vector> Chain for V {
    type Elem = V::Elem;
    const WIDTH: usize = V::LANES;

    #[inline(always)]
    fn zero() -> Self {
        V::constant(0.0)
    }

    #[inline(always)]
    fn all(x: V::Elem) -> Self {
        V::splat(x)
    }

    #[inline(always)]
    unsafe fn read_first(p: *const V::Elem, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { V::load_first(p, n) }
    }

    #[inline(always)]
    unsafe fn read_all(p: *const V::Elem) -> Self {
        // SAFETY: the caller's promise.
        unsafe { V::load(p) }
    }

    #[inline(always)]
    unsafe fn write(self, p: *mut V::Elem, n: usize) {
        // SAFETY: the caller's promise. A whole store is cheaper on most instruction sets.
        unsafe { if n >= V::LANES { self.store(p) } else { self.store_first(p, n) } }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        a.mul_add(b, self)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn or_lowest(self, lowest: Self) -> Self {
        V::select(self.le(lowest), lowest, self)
    }
}
