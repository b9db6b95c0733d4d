//! Lane-wise functions over rows: the loop behind every elementwise operation, update rule included.

use core::ops::Range;

use smallvec::SmallVec;

use super::math::{Real, VectorMath};
use super::simd::{Chain, Kernel, Scalar, Simd, Vector, dispatch};

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
/// With no outer dimension the items are the elements themselves, otherwise they are rows.
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
    /// `count` elements of each operand, one after the other.
    pub fn flat(count: usize) -> Self {
        Self {
            outer: SmallVec::new(),
            inner: count,
            inputs: core::array::from_fn(|_| InputPattern::default()),
        }
    }

    /// How many elements of input `i` belong to one item alone, where its items lie one after the other; `None` where
    /// items share elements, such as a row that is repeated.
    pub fn own(&self, i: usize) -> Option<usize> {
        let InputPattern { steps, repeats } = &self.inputs[i];
        if self.outer.is_empty() {
            return (!repeats).then_some(1);
        }
        let own = if *repeats { 1 } else { self.inner };
        let mut expected = own as isize;
        for (&size, &step) in self.outer.iter().zip(steps).rev() {
            if step != expected {
                return None;
            }
            expected *= size as isize;
        }
        Some(own)
    }

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
    items: Range<usize>,
    inputs: [*const T; N],
    out: *mut T,
}

impl<F: Lanewise<N>, T: Scalar + Real, const N: usize> Kernel for MapRows<'_, F, T, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        // Elements are one row as long as their range.
        let flat = self.pattern.outer.is_empty();
        let start = self.items.start;
        let (rows, length) =
            if flat { (0..1, self.items.len()) } else { (self.items.clone(), self.pattern.inner) };
        for row in rows {
            let inputs = core::array::from_fn(|i| {
                let input = &self.pattern.inputs[i];
                self.inputs[i].wrapping_offset(match (flat, input.repeats) {
                    (true, true) => 0,
                    (true, false) => start as isize,
                    (false, _) => self.pattern.offset(i, row),
                })
            });
            let out = self.out.wrapping_add(if flat { start } else { row * length });
            // SAFETY: `map_rows` asks for it: every operand is valid for these items.
            unsafe { self.row::<S>(inputs, out, length) };
        }
    }
}

impl<F: Lanewise<N>, T: Scalar + Real, const N: usize> MapRows<'_, F, T, N> {
    /// One loop for whole vectors and the rest of a row: the function's code is there once, which keeps the table of
    /// functions quick to compile and small.
    ///
    /// # Safety
    /// `out` is valid for writing `length` elements and each input for reading `length` (one where it repeats).
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, inputs: [*const T; N], out: *mut T, length: usize) {
        let lanes = <T::V<S> as Vector>::LANES;
        if length == 0 {
            return;
        }
        let mut repeated = [T::V::<S>::splat(T::zero()); N];
        for i in 0..N {
            // SAFETY: a row has at least one element.
            repeated[i] = T::V::<S>::splat(unsafe { *inputs[i] });
        }
        let mut at = 0;
        while at < length {
            let left = length - at;
            let mut x = repeated;
            for i in 0..N {
                if !self.pattern.inputs[i].repeats {
                    // SAFETY: `left` elements follow from `at` on.
                    x[i] = unsafe { T::V::<S>::read(inputs[i].add(at), left) };
                }
            }
            // SAFETY: as above.
            unsafe { self.function.apply(x).write(out.add(at), left) }
            at += lanes;
        }
    }
}

/// Applies `function` to the items of the rows that `pattern` describes. An input may be the output itself.
///
/// # Safety
/// Every input is valid for reading, and `out` for writing, at all positions that the pattern reaches for the
/// given items, and nobody else writes them meanwhile.
pub unsafe fn map_rows<F: Lanewise<N>, T: Scalar + Real, const N: usize>(
    function: F,
    pattern: &RowPattern<N>,
    items: Range<usize>,
    inputs: [*const T; N],
    out: *mut T,
) {
    dispatch(MapRows { function, pattern, items, inputs, out });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(outer: &[usize], inner: usize, steps: &[isize], repeats: bool) -> RowPattern<1> {
        let input = InputPattern { steps: steps.into(), repeats };
        RowPattern { outer: outer.into(), inner, inputs: [input] }
    }

    #[test]
    fn only_elements_of_one_unit_are_its_own() {
        assert_eq!(pattern(&[4], 4, &[4], false).own(0), Some(4), "rows of a matrix");
        assert_eq!(
            pattern(&[4], 4, &[1], true).own(0),
            Some(1),
            "a column, an element for each row"
        );
        // As many elements as rows, but every row reads all of them.
        assert_eq!(pattern(&[4], 4, &[0], false).own(0), None, "a row that is repeated");
        assert_eq!(pattern(&[4], 4, &[0], true).own(0), None, "a number that is repeated");
        assert_eq!(
            pattern(&[2, 3], 5, &[15, 5], false).own(0),
            Some(5),
            "rows in three dimensions"
        );
        assert_eq!(pattern(&[2, 3], 5, &[5, 0], false).own(0), None, "repeated in the middle");
        assert_eq!(RowPattern::<1>::flat(7).own(0), Some(1), "elements");
    }
}
