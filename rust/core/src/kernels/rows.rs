//! What kernels over rows share: vectors beyond a row's end, its largest element, sums of vectors.

use num_traits::{Float, One, Zero};

use super::math::{Real, VectorMath};
use super::simd::{Scalar, Vector};

/// Elements that one vector chain sums before the partial sum goes to `f64`: long chains in `f32` drift.
pub(super) const CHUNK: usize = 1024;
/// Lanes of the widest vector there is.
pub(super) const MOST_LANES: usize = 16;

/// Bytes of a result that are more than caches keep.
pub(super) const FAR_BYTES: usize = 8 << 20;

/// True where a result, written in one go, is more than any cache would keep for whoever reads it next.
#[inline]
pub fn is_beyond_caches<T>(out: &[T]) -> bool {
    size_of_val(out) >= FAR_BYTES
}

/// True where rows of `width` are so many that they are better written past the caches, and can be: in whole vectors,
/// each in its place.
#[inline(always)]
pub(super) fn is_far<V: Vector>(out: &[V::Elem], width: usize) -> bool {
    is_beyond_caches(out) && has_whole_vectors::<V>(out, width)
}

/// True where rows of `width` are whole vectors, each in its place.
#[inline(always)]
pub(super) fn has_whole_vectors<V: Vector>(out: &[V::Elem], width: usize) -> bool {
    width.is_multiple_of(V::LANES)
        && out.as_ptr().addr().is_multiple_of(V::LANES * size_of::<V::Elem>())
}

/// Where the last, partly filled vector of every row of one width stands.
#[derive(Clone, Copy)]
pub(super) struct Tail<V: Vector> {
    /// Elements in whole vectors.
    pub(super) whole: usize,
    /// Elements after them.
    pub(super) left: usize,
    present: V::Mask,
}

impl<V: Vector<Elem: Scalar>> Tail<V> {
    #[inline(always)]
    pub(super) fn new(width: usize) -> Self {
        let left = width % V::LANES;
        let ones = [V::Elem::one(); MOST_LANES];
        // SAFETY: `left` is less than the lanes, of which there are no more than ones.
        let flags = unsafe { V::load_first(ones.as_ptr(), left) };
        Self { whole: width - left, left, present: flags.eq(V::constant(1.0)) }
    }

    /// The last elements of a row, and `other` in the lanes beyond.
    ///
    /// # Safety
    /// `row` is valid for reading the width that this was made for.
    #[inline(always)]
    pub(super) unsafe fn load(&self, row: *const V::Elem, other: V) -> V {
        // SAFETY: the caller's promise.
        let x = unsafe { V::load_first(row.add(self.whole), self.left) };
        V::select(self.present, x, other)
    }

    /// `x` in the lanes that exist, zero in the others.
    #[inline(always)]
    pub(super) fn or_zero(&self, x: V) -> V {
        V::select(self.present, x, V::constant(0.0))
    }
}

/// The first lane.
#[inline(always)]
pub(super) fn first<V: Vector<Elem: Scalar>>(x: V) -> V::Elem {
    let mut lane = V::Elem::zero();
    // SAFETY: there is room for one lane.
    unsafe { x.store_first(&raw mut lane, 1) };
    lane
}

/// The natural logarithm of one number.
#[inline(always)]
pub(super) fn ln<V: VectorMath<Elem: Scalar + Real>>(x: V::Elem) -> V::Elem {
    first(V::splat(x).ln())
}

/// The larger lane (or the smaller, where `!LARGEST`); NaN in any lane wins.
#[inline(always)]
pub(super) fn extreme<V: Vector, const LARGEST: bool>(best: V, x: V) -> V {
    // Either gives its second operand where one is NaN: a NaN in `best` stays.
    let better = if LARGEST { x.max(best) } else { x.min(best) };
    V::select(x.is_nan(), x, better)
}

/// The largest lane (or the smallest, where `!LARGEST`); NaN wins over all.
#[inline(always)]
pub(super) fn extreme_across<V: Vector<Elem: Scalar>, const LARGEST: bool>(x: V) -> V::Elem {
    let mut lanes = [V::Elem::zero(); MOST_LANES];
    // SAFETY: no vector has more lanes.
    unsafe { x.store(lanes.as_mut_ptr()) };
    let mut half = V::LANES / 2;
    while half > 0 {
        for i in 0..half {
            let (a, b) = (lanes[i], lanes[i + half]);
            let better = if LARGEST { a < b } else { b < a };
            lanes[i] = if better || b.is_nan() { b } else { a };
        }
        half /= 2;
    }
    lanes[0]
}

/// The largest element of a row (or the smallest, where `!LARGEST`); NaN wins over all.
///
/// # Safety
/// `row` is valid for reading the width that `tail` was made for.
#[inline(always)]
pub(super) unsafe fn row_extreme<V: Vector<Elem: Scalar>, const LARGEST: bool>(
    row: *const V::Elem,
    tail: &Tail<V>,
) -> V::Elem {
    let worst = V::constant(if LARGEST { f64::NEG_INFINITY } else { f64::INFINITY });
    let mut best = worst;
    let mut at = 0;
    while at < tail.whole {
        // SAFETY: a whole vector stands at `at`.
        best = extreme::<V, LARGEST>(best, unsafe { V::load(row.add(at)) });
        at += V::LANES;
    }
    if tail.left > 0 {
        // SAFETY: the caller's promise.
        best = extreme::<V, LARGEST>(best, unsafe { tail.load(row, worst) });
    }
    extreme_across::<V, LARGEST>(best)
}

/// A sum of vectors of `T`, widened to `f64` after every chunk of elements.
pub(super) struct Sum<V> {
    chunk: V,
    elements: usize,
    total: f64,
}

impl<V: Vector<Elem: Scalar>> Sum<V> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { chunk: V::constant(0.0), elements: 0, total: 0.0 }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, x: V) {
        self.chunk = self.chunk + x;
        self.elements += V::LANES;
        if self.elements >= CHUNK {
            self.total += widen(self.chunk.reduce_add());
            self.chunk = V::constant(0.0);
            self.elements = 0;
        }
    }

    #[inline(always)]
    pub(super) fn total(self) -> f64 {
        self.total + widen(self.chunk.reduce_add())
    }
}

#[inline(always)]
pub(super) fn widen<T: Scalar>(x: T) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

#[inline(always)]
pub(super) fn narrow<T: Scalar>(x: f64) -> T {
    T::from(x).unwrap_or_else(T::nan)
}
