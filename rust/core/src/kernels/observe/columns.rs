//! What columns look like: moments, shares and spreads.
//!
//! A column is summed by its distances from its first row, p:
//!
//! ```text
//! s = Σ (x - p)      q = Σ (x - p)²      μ = p + s/n      M = q - s²/n
//! ```
//!
//! Nothing cancels where a mean is far from zero, and equal rows have a spread of exactly 0. Columns join in their order,
//! so that shape alone decides the bits.

use core::ops::Range;

use super::norms::fold;
use super::{VANISHING, widen};
use crate::kernels::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Columns of a block, which is looked at in one go: few enough that clearing its sums takes no time to speak of.
pub const BLOCK: usize = 32;
/// Rows whose sums are taken in the type of their elements: few enough that these lose no digit that anybody looks at.
const NARROW_ROWS: usize = 32;
/// Sums over columns that do not wait for each other, the same for every instruction set.
const SUMS: usize = 8;
/// The places of a block.
const PLACES: [f64; BLOCK] = {
    let mut places = [0.0; BLOCK];
    let mut at = 1;
    while at < BLOCK {
        places[at] = places[at - 1] + 1.0;
        at += 1;
    }
    places
};

/// What some columns come to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// Finite elements, their mean, and the squares of their distances from it, summed.
    elements: [f64; 3],
    /// Columns with a finite element, the mean of their means, and the squares of the means' distances from it, summed.
    columns: [f64; 3],
    /// The columns' variances, summed.
    variances: f64,
    /// Elements outside of the bounds.
    outside: f64,
    /// Columns that are outside in every row.
    idle: f64,
}

impl Summary {
    /// Numbers of a summary.
    pub const LEN: usize = 9;
    /// Numbers of what is [observed](Self::observed).
    pub const OBSERVED: usize = 9;

    /// As numbers in memory.
    pub fn to_array(self) -> [f64; Self::LEN] {
        let ([n, mean, spread], [columns, of_means, between]) = (self.elements, self.columns);
        let (variances, outside, idle) = (self.variances, self.outside, self.idle);
        [n, mean, spread, columns, of_means, between, variances, outside, idle]
    }

    /// From what [`to_array`](Self::to_array) gave.
    pub fn from_array(numbers: [f64; Self::LEN]) -> Self {
        let [n, mean, spread, columns, of_means, between, variances, outside, idle] = numbers;
        let (elements, columns) = ([n, mean, spread], [columns, of_means, between]);
        Self { elements, columns, variances, outside, idle }
    }

    /// With columns that come after these.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self {
            elements: join(self.elements, other.elements),
            columns: join(self.columns, other.columns),
            variances: self.variances + other.variances,
            outside: self.outside + other.outside,
            idle: self.idle + other.idle,
        }
    }

    /// Mean, standard deviation and root mean square of the finite elements; the shares of elements that are not finite,
    /// of those outside of the bounds, and of columns outside in every row; the spreads over rows and over columns as parts
    /// of the root mean square; the rows.
    pub fn observed(self, rows: usize, width: usize) -> [f64; Self::OBSERVED] {
        let ([n, mean, spread], [columns, _, between]) = (self.elements, self.columns);
        let all = (rows * width) as f64;
        let mean = if n > 0.0 { mean } else { f64::NAN };
        let root_mean_square = (spread / n + mean * mean).sqrt();
        // Of nothing but zeros all rows and columns are the same.
        let part = |variance: f64| {
            if root_mean_square == 0.0 { 0.0 } else { variance.sqrt() / root_mean_square }
        };
        [
            mean,
            (spread / n).sqrt(),
            root_mean_square,
            (all - n) / all,
            self.outside / all,
            if rows > 0 { self.idle / width as f64 } else { f64::NAN },
            part(self.variances / columns),
            part(between / columns),
            rows as f64,
        ]
    }
}

/// Count, mean and sum of squared distances of two groups together.
fn join([n, mean, spread]: [f64; 3], [m, other_mean, other]: [f64; 3]) -> [f64; 3] {
    if n == 0.0 {
        return [m, other_mean, other];
    }
    if m == 0.0 {
        return [n, mean, spread];
    }
    let (all, delta) = (n + m, other_mean - mean);
    [all, mean + delta * (m / all), spread + other + delta * delta * (n * m / all)]
}

/// Some columns of a matrix.
pub struct Columns<'a, T> {
    /// The matrix, row by row.
    pub x: &'a [T],
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub width: usize,
    /// Those to look at, at most [`BLOCK`].
    pub columns: Range<usize>,
    /// What is at most the first or at least the second is outside; nothing is beyond NaN.
    pub bounds: [T; 2],
    /// Has one element for each of the columns, and gets 1 more where a row is not outside.
    pub lived: Option<&'a mut [f64]>,
}

/// What is known of each column of a block.
struct Sums {
    pivot: [f64; BLOCK],
    sum: [f64; BLOCK],
    squares: [f64; BLOCK],
    outside: [f64; BLOCK],
}

impl Sums {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [0.0; BLOCK];
        Self { pivot: zeros, sum: zeros, squares: zeros, outside: zeros }
    }
}

impl<T: Scalar + Into<f64>> Columns<'_, T> {
    /// All rows in their own type. What is finite and has not vanished is right.
    #[inline(always)]
    fn add_narrow<V: Vector<Elem = T>, const BOUNDED: bool>(&self, sums: &mut Sums) {
        let count = self.columns.len();
        if self.rows == 0 {
            return;
        }
        widen(&self.x[self.columns.clone()], &mut sums.pivot);
        for row in (0..self.rows).step_by(NARROW_ROWS) {
            let rows = row..(row + NARROW_ROWS).min(self.rows);
            for at in (0..count).step_by(V::LANES) {
                if at + V::LANES <= count {
                    self.add_some::<V, BOUNDED, true>(rows.clone(), at, sums);
                } else {
                    self.add_some::<V, BOUNDED, false>(rows.clone(), at, sums);
                }
            }
        }
        // What was loaded beyond the last column is no element.
        sums.outside[count..].fill(0.0);
    }

    /// Adds some rows to the sums of a vector of columns, of which all are there if `WHOLE`.
    #[inline(always)]
    fn add_some<V: Vector<Elem = T>, const BOUNDED: bool, const WHOLE: bool>(
        &self,
        rows: Range<usize>,
        at: usize,
        sums: &mut Sums,
    ) {
        let count = (self.columns.len() - at).min(V::LANES);
        let first = self.columns.start + at;
        let take = |row: usize| {
            let x = self.x[row * self.width + first..][..count].as_ptr();
            // SAFETY: there are so many.
            unsafe { if WHOLE { V::load(x) } else { V::load_first(x, count) } }
        };
        let (zero, one) = (V::constant(0.0), V::constant(1.0));
        let [low, high] = self.bounds.map(V::splat);
        let pivot = take(0);
        // Of every second row, so that sums wait for half of them.
        let mut found = [[zero; 3]; 2];
        for row in rows {
            let [sum, squares, outside] = &mut found[row % 2];
            let x = take(row);
            let distance = x - pivot;
            *sum = *sum + distance;
            *squares = distance.mul_add(distance, *squares);
            if BOUNDED {
                let is_outside = V::mask_or(x.le(low), high.le(x));
                *outside = *outside + V::select(is_outside, one, zero);
            }
        }
        let [even, odd] = found;
        let add = |to: &mut [f64; BLOCK], place: usize| {
            let mut lanes = [T::default(); BLOCK];
            // SAFETY: there are more lanes.
            unsafe { (even[place] + odd[place]).store(lanes.as_mut_ptr()) };
            for (to, &x) in to[at..at + V::LANES].iter_mut().zip(&lanes) {
                *to += x.into();
            }
        };
        add(&mut sums.sum, 0);
        add(&mut sums.squares, 1);
        if BOUNDED {
            add(&mut sums.outside, 2);
        }
    }

    /// What the columns come to whose elements are all finite; none where they are not, or where squares have vanished.
    /// Their means join by distances from the first, as rows do.
    #[inline(always)]
    fn summary<V: Vector<Elem = f64>>(&self, sums: &Sums) -> Option<Summary> {
        let (zero, one) = (V::constant(0.0), V::constant(1.0));
        let (count, rows) = (self.columns.len() as f64, self.rows as f64);
        let share = 1.0 / rows;
        let first = sums.pivot[0] + sums.sum[0] * share;
        // Nothing vanishes from sums in `f64` that anybody looks at.
        let least = V::constant(if size_of::<T>() == 4 { VANISHING } else { -1.0 });
        let vectors = SUMS / V::LANES;
        let mut found = [[zero; SUMS]; 6];
        for at in (0..self.columns.len()).step_by(V::LANES) {
            let take = |x: &[f64; BLOCK]| {
                // SAFETY: there is a vector.
                unsafe { V::load(x[at..at + V::LANES].as_ptr()) }
            };
            let (sum, squares) = (take(&sums.sum), take(&sums.squares));
            let is_there = take(&PLACES).lt(V::splat(count));
            let mean = sum * V::splat(share);
            let distance = take(&sums.pivot) + mean - V::splat(first);
            let distance = V::select(is_there, distance, zero);
            let spread = (squares - sum * mean).max(zero);
            let is_large = V::mask_or(least.lt(squares), sum.eq(zero));
            let is_known = V::mask_and(squares.lt(V::constant(f64::INFINITY)), is_large);
            let outside = take(&sums.outside);
            let idle = V::select(outside.eq(V::splat(rows)), one, zero);
            let unknown = V::select(is_known, zero, one);
            let place = at / V::LANES % vectors;
            let all = [distance, distance * distance, spread, outside, idle, unknown];
            for (sums, x) in found.iter_mut().zip(all) {
                sums[place] = sums[place] + x;
            }
        }
        let [d, dd, spread, outside, idle, unknown] =
            found.each_mut().map(|sums| fold(&mut sums[..vectors]));
        if unknown > 0.0 {
            return None;
        }
        let (mean, between) = (first + d / count, (dd - d * d / count).max(0.0));
        Some(Summary {
            elements: [rows * count, mean, spread + rows * between],
            columns: [count, mean, between],
            variances: spread * share,
            outside,
            idle,
        })
    }

    /// What the columns come to without the elements that are not finite; counts what is outside.
    #[inline(always)]
    fn summary_of_finite(&self, outside: &mut [f64; BLOCK]) -> Summary {
        let count = self.columns.len();
        let mut pivot = [0.0; BLOCK];
        widen(&self.x[self.columns.clone()], &mut pivot);
        for pivot in pivot.iter_mut().filter(|pivot| !pivot.is_finite()) {
            *pivot = 0.0;
        }
        let [low, high]: [f64; 2] = self.bounds.map(Into::into);
        let (mut n, mut sum, mut squares) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        *outside = [0.0; BLOCK];
        for row in 0..self.rows {
            let first = row * self.width + self.columns.start;
            for (at, &x) in self.x[first..first + count].iter().enumerate() {
                let x: f64 = x.into();
                let is_finite = x.is_finite();
                let distance = if is_finite { x - pivot[at] } else { 0.0 };
                n[at] += if is_finite { 1.0 } else { 0.0 };
                sum[at] += distance;
                squares[at] += distance * distance;
                outside[at] += if x <= low || x >= high { 1.0 } else { 0.0 };
            }
        }
        let columns = (0..count).map(|at| {
            let divisor = f64::max(n[at], 1.0);
            let mean = pivot[at] + sum[at] / divisor;
            let spread = (squares[at] - sum[at] * sum[at] / divisor).max(0.0);
            Summary {
                elements: [n[at], mean, spread],
                columns: [f64::min(n[at], 1.0), mean, 0.0],
                variances: spread / divisor,
                outside: outside[at],
                idle: if outside[at] == self.rows as f64 { 1.0 } else { 0.0 },
            }
        });
        columns.fold(Summary::default(), Summary::join)
    }
}

impl<T: Scalar + Into<f64>> Kernel for Columns<'_, T> {
    type Output = Summary;

    #[inline(always)]
    fn run<S: Simd>(mut self) -> Summary {
        let mut sums = Sums::new();
        if self.bounds.iter().all(|bound| bound.is_nan()) {
            self.add_narrow::<T::V<S>, false>(&mut sums);
        } else {
            self.add_narrow::<T::V<S>, true>(&mut sums);
        }
        let summary = match self.summary::<S::F64>(&sums) {
            _ if self.rows == 0 => Summary::default(),
            Some(summary) => summary,
            None => self.summary_of_finite(&mut sums.outside),
        };
        let lived = self.lived.iter_mut().flat_map(|lived| lived.iter_mut());
        for (lived, &outside) in lived.zip(&sums.outside) {
            *lived += if outside < self.rows as f64 { 1.0 } else { 0.0 };
        }
        summary
    }
}

/// Looks at some columns.
///
/// # Panics
/// Where the slices do not have the sizes that the fields say, or there are too many rows or columns.
pub fn summarize<T: Scalar + Into<f64>>(columns: Columns<'_, T>) -> Summary {
    let (range, count) = (&columns.columns, columns.columns.len());
    assert!(range.end <= columns.width && count <= BLOCK && u32::try_from(columns.rows).is_ok());
    assert!(columns.x.len() == columns.rows * columns.width);
    assert!(columns.lived.as_ref().is_none_or(|lived| lived.len() == count));
    dispatch(columns)
}
