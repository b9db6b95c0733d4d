//! Argmax kernels, whether a label is the argmax, and the shares of the gradient of a maximum or minimum. NaN wins over
//! all.
//!
//! They walk the middle of (before, reduced, after): `after` columns side by side, or rows where it is 1.

use num_traits::Float;

use super::math::Real;
use super::reduce::each_column;
use super::rows::{MOST_LANES, Tail};
use super::simd::{Kernel, Lane, Scalar, Simd, Vector, dispatch};

/// Rows shorter than so many vectors are compared side by side.
const SHORT_ROW: usize = 16;
/// Vectors of a longer row, or of columns, that are compared at a time, so that none waits for another.
const CHAINS: usize = 4;

/// The largest elements so far, lane by lane, and the numbers of the vectors that they came in.
#[derive(Clone, Copy)]
struct Largest<V: Vector> {
    value: V,
    /// Integers in the lanes.
    position: V,
    /// The number of the next vector.
    next: V::Bits,
}

impl<V: Vector<Elem: Scalar>> Largest<V> {
    #[inline(always)]
    fn new() -> Self {
        let none = V::bits_splat(0);
        let value = V::constant(f64::NEG_INFINITY);
        Self { value, position: V::from_bits(none), next: none }
    }

    /// Takes the next vector: only what is larger replaces what stands there.
    #[inline(always)]
    fn take(&mut self, x: V) {
        let new_nan = V::mask_and(x.is_nan(), V::mask_not(self.value.is_nan()));
        let better = V::mask_or(self.value.lt(x), new_nan);
        self.value = V::select(better, x, self.value);
        self.position = V::select(better, V::from_bits(self.next), self.position);
        self.next = V::bits_add(self.next, V::bits_splat(1));
    }

    /// The positions of the first lanes.
    #[inline(always)]
    fn write(self, out: &mut [i64]) {
        let mut lanes = [V::Elem::default(); MOST_LANES];
        // SAFETY: no vector has more lanes.
        unsafe { self.position.store(lanes.as_mut_ptr()) };
        for (to, from) in out.iter_mut().zip(&lanes) {
            *to = integer(from);
        }
    }

    /// The position of the first of all largest elements, where vector v of chain c is the vector v·[`CHAINS`] + c of one
    /// row.
    #[inline(always)]
    fn first(chains: &[Self; CHAINS]) -> i64 {
        let (mut values, mut positions) =
            ([V::Elem::default(); MOST_LANES], [V::Elem::default(); MOST_LANES]);
        let (mut best, mut at) = (V::Elem::neg_infinity(), i64::MAX);
        for (c, chain) in chains.iter().enumerate() {
            // SAFETY: no vector has more lanes.
            unsafe {
                chain.value.store(values.as_mut_ptr());
                chain.position.store(positions.as_mut_ptr());
            }
            let lanes = values.iter().zip(&positions).take(V::LANES);
            for (lane, (&value, position)) in lanes.enumerate() {
                let vector = integer(position) as usize * CHAINS + c;
                let position = (vector * V::LANES + lane) as i64;
                let better = best < value || (value.is_nan() && !best.is_nan());
                if better || (matches(value, best) && position < at) {
                    (best, at) = (value, position);
                }
            }
        }
        at
    }
}

/// The integer with the bits of a float.
#[inline(always)]
fn integer<T: Lane>(x: &T) -> i64 {
    // SAFETY: both have the same size, and every bit pattern is an integer.
    let x: T::Int = unsafe { core::mem::transmute_copy(x) };
    x.into()
}

/// True where an element is the extreme value of its row.
#[inline(always)]
fn matches<T: Scalar>(x: T, extreme: T) -> bool {
    x == extreme || (x.is_nan() && extreme.is_nan())
}

struct Positions<'a, T> {
    x: &'a [T],
    reduced: usize,
    after: usize,
    out: &'a mut [i64],
}

impl<T: Scalar + Real> Kernel for Positions<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let Self { x, reduced, after, out } = self;
        if after > 1 {
            for (x, out) in x.chunks_exact(reduced * after).zip(out.chunks_exact_mut(after)) {
                let mut column = 0;
                while column < after {
                    let left = after - column;
                    let from = x.as_ptr().wrapping_add(column);
                    // SAFETY: the columns lie in every row.
                    column += unsafe {
                        if left >= CHAINS * lanes {
                            let out = &mut out[column..column + CHAINS * lanes];
                            positions::<T::V<S>, CHAINS>(from, reduced, after, lanes, out)
                        } else {
                            let left = left.min(lanes);
                            let out = &mut out[column..column + left];
                            positions::<T::V<S>, 1>(from, reduced, after, left, out)
                        }
                    };
                }
            }
        } else if reduced < SHORT_ROW * lanes {
            let mut left = x.len();
            for (rows, out) in x.chunks(reduced * lanes).zip(out.chunks_mut(lanes)) {
                let mut largest = Largest::<T::V<S>>::new();
                // SAFETY: the rows lie in `x`, of which `left` elements stand from there on.
                unsafe {
                    each_column::<T::V<S>>(rows.as_ptr(), left, out.len(), reduced, |_, x| {
                        largest.take(x);
                    });
                }
                left -= rows.len();
                largest.write(out);
            }
        } else {
            let tail = Tail::<T::V<S>>::new(reduced);
            for (row, out) in x.chunks_exact(reduced).zip(out) {
                let mut chains = [Largest::<T::V<S>>::new(); CHAINS];
                let mut vectors = row[..tail.whole].chunks_exact(CHAINS * lanes);
                for vectors in &mut vectors {
                    for (vector, chain) in vectors.chunks_exact(lanes).zip(&mut chains) {
                        // SAFETY: it is a whole vector.
                        chain.take(unsafe { T::V::<S>::load(vector.as_ptr()) });
                    }
                }
                let rest = vectors.remainder().chunks_exact(lanes);
                let next = rest.len();
                for (vector, chain) in rest.zip(&mut chains) {
                    // SAFETY: as above.
                    chain.take(unsafe { T::V::<S>::load(vector.as_ptr()) });
                }
                if tail.left > 0 {
                    let none = T::V::<S>::constant(f64::NEG_INFINITY);
                    // SAFETY: the row is as long as the tail's.
                    chains[next].take(unsafe { tail.load(row.as_ptr(), none) });
                }
                *out = Largest::first(&chains);
            }
        }
    }
}

/// Positions in `K` vectors of columns, of which the last has `left` lanes; gives their number.
///
/// # Safety
/// Each of the rows, `stride` elements apart, is valid for reading those columns.
#[inline(always)]
unsafe fn positions<V: Vector<Elem: Scalar>, const K: usize>(
    x: *const V::Elem,
    rows: usize,
    stride: usize,
    left: usize,
    out: &mut [i64],
) -> usize {
    let mut largest = [Largest::<V>::new(); K];
    for row in 0..rows {
        for (k, largest) in largest.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let from = x.add(row * stride + k * V::LANES);
                largest.take(if k + 1 < K { V::load(from) } else { V::load_first(from, left) });
            }
        }
    }
    for (largest, out) in largest.into_iter().zip(out.chunks_mut(V::LANES)) {
        largest.write(out);
    }
    out.len()
}

/// The position along the middle of (before, reduced, after) of the first element that is the largest.
///
/// # Panics
/// Where the slices do not have the sizes that the arguments say, or nothing stands in the middle.
pub fn first_of_largest<T: Scalar + Real>(x: &[T], reduced: usize, after: usize, out: &mut [i64]) {
    assert!(reduced > 0 && after > 0 && out.len().is_multiple_of(after));
    assert!(x.len() == out.len() * reduced);
    dispatch(Positions { x, reduced, after, out });
}

/// Rows whose positions are found at a time, on the stack.
const ROWS: usize = 64;

/// One for each row whose first largest element is the one that its label numbers, and no NaN; else zero.
///
/// # Panics
/// Where the slices do not have the sizes that the arguments say, or rows are empty.
pub fn rows_where_largest<T: Scalar + Real>(
    x: &[T],
    classes: usize,
    mut labels: impl Iterator<Item = f64>,
    out: &mut [T],
) {
    let mut positions = [0; ROWS];
    for (x, out) in x.chunks(ROWS * classes).zip(out.chunks_mut(ROWS)) {
        let positions = &mut positions[..out.len()];
        first_of_largest(x, classes, 1, positions);
        let rows = x.chunks_exact(classes).zip(&*positions).zip(&mut labels);
        for (((row, &at), label), out) in rows.zip(out) {
            let right = at as f64 == label && !row[at as usize].is_nan();
            *out = if right { T::one() } else { T::zero() };
        }
    }
}

/// Elements of a block with their extreme values, and where the gradient goes.
#[derive(Clone, Copy)]
pub struct Shares<T> {
    /// The elements, `reduced` rows of `after`.
    pub x: *const T,
    /// The extreme value of each column.
    pub extreme: *const T,
    /// Its gradient.
    pub grad: *const T,
    /// The gradient of the elements.
    pub out: *mut T,
    /// Rows.
    pub reduced: usize,
    /// Columns.
    pub after: usize,
    /// Of which so many, from the first one that the pointers stand at, are to be filled.
    pub columns: usize,
}

impl<T: Scalar + Real> Shares<T> {
    /// One row.
    #[inline(always)]
    unsafe fn row<V: Vector<Elem = T>>(&self) {
        let tail = Tail::<V>::new(self.reduced);
        let (one, zero) = (V::constant(1.0), V::constant(0.0));
        // SAFETY: `share_gradient` asks for it.
        unsafe {
            let extreme = V::splat(*self.extreme);
            let mut count = zero;
            let mut at = 0;
            while at < tail.whole {
                let x = V::load(self.x.add(at));
                count = count + V::select(is_extreme(x, extreme), one, zero);
                at += V::LANES;
            }
            if tail.left > 0 {
                let x = V::load_first(self.x.add(at), tail.left);
                count = count + tail.or_zero(V::select(is_extreme(x, extreme), one, zero));
            }
            let share = V::splat(*self.grad) / V::splat(count.reduce_add());
            at = 0;
            while at < tail.whole {
                let x = V::load(self.x.add(at));
                V::select(is_extreme(x, extreme), share, zero).store(self.out.add(at));
                at += V::LANES;
            }
            if tail.left > 0 {
                let x = V::load_first(self.x.add(at), tail.left);
                let y = V::select(is_extreme(x, extreme), share, zero);
                y.store_first(self.out.add(at), tail.left);
            }
        }
    }

    /// `K` vectors of columns, of which the last has `left` lanes.
    #[inline(always)]
    unsafe fn columns<V: Vector<Elem = T>, const K: usize>(&self, column: usize, left: usize) {
        let (one, zero) = (V::constant(1.0), V::constant(0.0));
        let lanes = |k: usize| if k + 1 < K { V::LANES } else { left };
        // SAFETY: `share_gradient` asks for it.
        unsafe {
            let take = |from: *const T, k: usize| V::load_first(from.add(k * V::LANES), lanes(k));
            let (mut extreme, mut count) = ([zero; K], [zero; K]);
            for (k, extreme) in extreme.iter_mut().enumerate() {
                *extreme = take(self.extreme.add(column), k);
            }
            for row in 0..self.reduced {
                let from = self.x.add(row * self.after + column);
                for k in 0..K {
                    let found = V::select(is_extreme(take(from, k), extreme[k]), one, zero);
                    count[k] = count[k] + found;
                }
            }
            let mut share = [zero; K];
            for (k, share) in share.iter_mut().enumerate() {
                *share = take(self.grad.add(column), k) / count[k];
            }
            for row in 0..self.reduced {
                let at = row * self.after + column;
                let (from, to) = (self.x.add(at), self.out.add(at));
                for k in 0..K {
                    let y = V::select(is_extreme(take(from, k), extreme[k]), share[k], zero);
                    y.store_first(to.add(k * V::LANES), lanes(k));
                }
            }
        }
    }

    /// Up to `LANES` rows of less than a vector each, side by side; `all` elements stand from the first one on.
    #[inline(always)]
    unsafe fn short_rows<V: Vector<Elem = T>>(&self, rows: usize, all: usize) {
        let (one, zero) = (V::constant(1.0), V::constant(0.0));
        let width = self.reduced;
        let mut turned = [T::default(); MOST_LANES * MOST_LANES];
        let mut packed = [T::default(); MOST_LANES * MOST_LANES];
        // SAFETY: `share_gradient` asks for it; a transposition writes whole vectors, the last of them at less than
        // LANES² - LANES.
        unsafe {
            let extreme = V::load_first(self.extreme, rows);
            let mut count = zero;
            each_column::<V>(self.x, all, rows, width, |column, x| {
                count = count + V::select(is_extreme(x, extreme), one, zero);
                x.store(turned.as_mut_ptr().add(column * V::LANES));
            });
            let share = V::load_first(self.grad, rows) / count;
            for column in 0..width {
                let to = turned.as_mut_ptr().add(column * V::LANES);
                V::select(is_extreme(V::load(to), extreme), share, zero).store(to);
            }
            let stride = V::LANES as isize;
            V::transpose(turned.as_ptr(), stride, width, packed.as_mut_ptr(), width, rows);
            core::ptr::copy_nonoverlapping(packed.as_ptr(), self.out, rows * width);
        }
    }

    /// The same shares, so many blocks further on.
    #[inline(always)]
    fn further(self, blocks: usize) -> Self {
        let (elements, results) = (blocks * self.reduced * self.after, blocks * self.after);
        Self {
            x: self.x.wrapping_add(elements),
            out: self.out.wrapping_add(elements),
            extreme: self.extreme.wrapping_add(results),
            grad: self.grad.wrapping_add(results),
            ..self
        }
    }
}

#[inline(always)]
fn is_extreme<V: Vector>(x: V, extreme: V) -> V::Mask {
    V::mask_or(x.eq(extreme), V::mask_and(x.is_nan(), extreme.is_nan()))
}

struct Share<T> {
    first: Shares<T>,
    blocks: usize,
}

impl<T: Scalar + Real> Kernel for Share<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let Self { first, blocks } = self;
        // SAFETY: `share_gradient` asks for it, for every block.
        unsafe {
            if first.after == 1 && first.reduced < lanes {
                for block in (0..blocks).step_by(lanes) {
                    let left = blocks - block;
                    first
                        .further(block)
                        .short_rows::<T::V<S>>(left.min(lanes), left * first.reduced);
                }
            } else if first.after == 1 {
                for block in 0..blocks {
                    first.further(block).row::<T::V<S>>();
                }
            } else {
                for block in 0..blocks {
                    let block = first.further(block);
                    let mut column = 0;
                    while column < block.columns {
                        let left = block.columns - column;
                        if left >= CHAINS * lanes {
                            block.columns::<T::V<S>, CHAINS>(column, lanes);
                            column += CHAINS * lanes;
                        } else {
                            block.columns::<T::V<S>, 1>(column, left.min(lanes));
                            column += lanes;
                        }
                    }
                }
            }
        }
    }
}

/// The gradient of each extreme value shared equally by the elements that have it; zero for the others. Blocks follow
/// each other without gaps.
///
/// # Safety
/// All pointers are valid for the columns of every row of every block, and nobody else touches those of `out`.
pub unsafe fn share_gradient<T: Scalar + Real>(first: Shares<T>, blocks: usize) {
    dispatch(Share { first, blocks });
}
