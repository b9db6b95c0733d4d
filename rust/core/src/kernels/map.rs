//! Lane-wise functions over rows: the loop behind every elementwise operation, update rule included.

use core::ops::Range;

use smallvec::SmallVec;

use super::math::{Real, VectorMath};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// A function of `N` numbers that is applied lane by lane.
pub trait Lanewise<const N: usize>: Copy + Send + Sync + 'static {
    /// Its value. Must be `#[inline(always)]`.
    fn apply<V: VectorMath>(self, x: [V; N]) -> V;
}

/// How one input is walked.
#[derive(Debug, Clone, Default)]
pub struct InputPattern {
    /// Elements from one row to the next, for each outer dimension.
    pub steps: SmallVec<[isize; 4]>,
    /// True where one element stands for the whole row.
    pub repeats: bool,
}

/// Rows of `inner` elements under outer dimensions; the output's rows follow each other without gaps.
///
/// With no outer dimension the units are the elements themselves, otherwise they are rows.
#[derive(Debug, Clone)]
pub struct RowPattern<const N: usize> {
    /// Sizes of the outer dimensions.
    pub outer: SmallVec<[usize; 4]>,
    /// Elements in a row.
    pub inner: usize,
    /// How each input is walked.
    pub inputs: [InputPattern; N],
}

impl<const N: usize> RowPattern<N> {
    /// Position of a row's first element in input `i`.
    #[inline]
    fn offset(&self, i: usize, mut row: usize) -> isize {
        let steps = &self.inputs[i].steps;
        if steps.len() == 1 {
            return row as isize * steps[0];
        }
        let mut offset = 0;
        for (&size, &step) in self.outer.iter().zip(steps).rev() {
            offset += (row % size) as isize * step;
            row /= size;
        }
        offset
    }
}

struct MapRows<'a, F, T, const N: usize> {
    function: F,
    pattern: &'a RowPattern<N>,
    units: Range<usize>,
    inputs: [*const T; N],
    out: *mut T,
}

impl<F: Lanewise<N>, T: Scalar + Real, const N: usize> Kernel for MapRows<'_, F, T, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.pattern.outer.is_empty() {
            let start = self.units.start;
            let inputs = core::array::from_fn(|i| {
                let from = self.inputs[i];
                if self.pattern.inputs[i].repeats { from } else { from.wrapping_add(start) }
            });
            // SAFETY: `map_rows` asks for it: the units are elements of every operand.
            unsafe { self.row::<S>(inputs, self.out.add(start), self.units.len()) };
            return;
        }
        for row in self.units.clone() {
            let inputs = core::array::from_fn(|i| {
                self.inputs[i].wrapping_offset(self.pattern.offset(i, row))
            });
            // SAFETY: as above, for the rows of every operand.
            unsafe {
                self.row::<S>(inputs, self.out.add(row * self.pattern.inner), self.pattern.inner);
            }
        }
    }
}

impl<F: Lanewise<N>, T: Scalar + Real, const N: usize> MapRows<'_, F, T, N> {
    /// # Safety
    /// `out` is valid for writing `len` elements and each input for reading `len` (one where it repeats).
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, inputs: [*const T; N], out: *mut T, len: usize) {
        let lanes = <T::V<S> as Vector>::LANES;
        // SAFETY (all blocks below): positions stay below `len`.
        let fixed: [T::V<S>; N] = core::array::from_fn(|i| {
            if self.pattern.inputs[i].repeats && len > 0 {
                T::V::<S>::splat(unsafe { *inputs[i] })
            } else {
                T::V::<S>::splat(T::zero())
            }
        });
        let mut at = 0;
        while at + lanes <= len {
            let x = core::array::from_fn(|i| {
                if self.pattern.inputs[i].repeats {
                    fixed[i]
                } else {
                    // SAFETY: see above.
                    unsafe { T::V::<S>::load(inputs[i].add(at)) }
                }
            });
            // SAFETY: see above.
            unsafe { self.function.apply(x).store(out.add(at)) };
            at += lanes;
        }
        if at < len {
            let left = len - at;
            let x = core::array::from_fn(|i| {
                if self.pattern.inputs[i].repeats {
                    fixed[i]
                } else {
                    // SAFETY: see above.
                    unsafe { T::V::<S>::load_first(inputs[i].add(at), left) }
                }
            });
            // SAFETY: see above.
            unsafe { self.function.apply(x).store_first(out.add(at), left) };
        }
    }
}

/// Applies `function` to the units of the rows that `pattern` describes. An input may be the output itself.
///
/// # Safety
/// Every input is valid for reading, and `out` for writing, at all positions that the pattern reaches for the
/// given units, and nobody else writes them meanwhile.
pub unsafe fn map_rows<F: Lanewise<N>, T: Scalar + Real, const N: usize>(
    function: F,
    pattern: &RowPattern<N>,
    units: Range<usize>,
    inputs: [*const T; N],
    out: *mut T,
) {
    dispatch(MapRows { function, pattern, units, inputs, out });
}
