//! Softmax and cross-entropy of few classes: rows of few numbers side by side in vectors.

use core::mem::MaybeUninit;

use super::reduce::each_column;
use super::rows::{MOST_LANES, extreme};
use super::simd::{Scalar, Vector};

/// Up to so many classes rows go side by side, a row in a lane: along a row there is too little for a vector.
pub(super) const NARROW: usize = 16;

/// Rows of up to [`NARROW`] numbers, as many as a vector has lanes: a vector for each class.
pub(super) struct Classes<T>(MaybeUninit<[[T; MOST_LANES]; NARROW]>);

impl<T: Scalar> Classes<T> {
    /// Room for them.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Where a class of all rows lies.
    #[inline(always)]
    pub(super) fn at(&mut self, class: usize) -> *mut T {
        debug_assert!(class < NARROW);
        self.0.as_mut_ptr().cast::<T>().wrapping_add(class * MOST_LANES)
    }

    /// The first `count` rows of `rows`; lanes beyond them repeat the last.
    #[inline(always)]
    pub(super) fn of<V: Vector<Elem = T>>(rows: &[T], count: usize, width: usize) -> Self {
        assert!(rows.len() >= count * width && width <= NARROW);
        let mut all = Self::new();
        // SAFETY: so many rows are there, and no vector has more lanes than there is room for.
        unsafe {
            each_column::<V>(rows.as_ptr(), rows.len(), count, width, |class, x| {
                x.store(all.at(class));
            });
        }
        all
    }

    /// A class of all rows.
    ///
    /// # Safety
    /// It has been written.
    #[inline(always)]
    pub(super) unsafe fn class<V: Vector<Elem = T>>(&self, class: usize) -> V {
        debug_assert!(class < NARROW);
        // SAFETY: the caller's promise.
        unsafe { V::load(self.0.as_ptr().cast::<T>().add(class * MOST_LANES)) }
    }

    /// The largest number of each row; NaN wins over all.
    ///
    /// # Safety
    /// All `width` classes have been written, and there is one.
    #[inline(always)]
    pub(super) unsafe fn largest<V: Vector<Elem = T>>(&self, width: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let mut largest = self.class::<V>(0);
            for class in 1..width {
                largest = extreme::<V, true>(largest, self.class(class));
            }
            largest
        }
    }

    /// The sum of each row, in the order in which the lanes of a vector are summed.
    ///
    /// # Safety
    /// All `width` classes have been written.
    #[inline(always)]
    pub(super) unsafe fn sum<V: Vector<Elem = T>>(&self, width: usize) -> V {
        let zero = V::constant(0.0);
        let mut parts = [zero; NARROW];
        for (class, part) in parts.iter_mut().enumerate().take(width) {
            // SAFETY: the caller's promise.
            *part = unsafe { self.class(class) };
        }
        let mut half = width.next_power_of_two() / 2;
        while half > 0 {
            for i in 0..half {
                parts[i] = parts[i] + parts[i + half];
            }
            half /= 2;
        }
        // Zero has no sign, as where the sum starts from it.
        parts[0] + zero
    }

    /// Writes the first `count` rows to the beginning of `rows`.
    ///
    /// # Safety
    /// All `width` classes have been written.
    #[inline(always)]
    pub(super) unsafe fn write<V: Vector<Elem = T>>(
        &mut self,
        rows: &mut [T],
        count: usize,
        width: usize,
    ) {
        let len = count * width;
        assert!(rows.len() >= len && count <= V::LANES && width <= NARROW);
        // Whole vectors are written: what goes beyond the last row belongs to rows that follow, or lies in a copy.
        let mut copy = MaybeUninit::<[T; MOST_LANES * (NARROW + 1)]>::uninit();
        let fits = rows.len() >= len + V::LANES;
        let to = if fits { rows.as_mut_ptr() } else { copy.as_mut_ptr().cast() };
        // From the last block of classes to the first: what is written beyond a row's end belongs to what follows.
        for class in (0..width).step_by(V::LANES).rev() {
            let (from, classes) = (self.at(class), V::LANES.min(width - class));
            // SAFETY: the caller's promise; the last row begins a vector or more before the end of `to`.
            unsafe {
                V::transpose(from, MOST_LANES as isize, classes, to.add(class), width, count);
            }
        }
        if !fits {
            // SAFETY: all elements of the rows were written.
            unsafe { core::ptr::copy_nonoverlapping(to, rows.as_mut_ptr(), len) };
        }
    }
}
