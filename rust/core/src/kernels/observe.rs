//! What is measured of tensors while they train: moments, shares and spreads down their columns, and norms.
//!
//! A column is summed in `f64`, by its distances from its first row, p:
//!
//! ```text
//! s = Σ (x - p)      q = Σ (x - p)²      μ = p + s/n      M = q - s²/n
//! ```
//!
//! Nothing cancels where a mean is far from zero, equal rows have a spread of exactly 0, and squares of `f32` neither
//! overflow nor vanish. Columns join in their order, so that shape alone decides the bits.

use core::ops::Range;

use super::simd::{Kernel, Scalar, Simd, dispatch};

/// Columns of a block, which is looked at in one go: its sums stay in the fastest cache.
pub const BLOCK: usize = 64;
/// Rows that a group of columns takes at a time.
const CHUNK_ROWS: usize = 16;
/// Columns side by side, and elements of a norm that do not wait for each other.
const LANES: usize = 8;

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
    outside: [u32; BLOCK],
    /// Elements that are not finite.
    left_out: [u32; BLOCK],
}

impl Sums {
    #[inline(always)]
    fn new() -> Self {
        let (zeros, none) = ([0.0; BLOCK], [0; BLOCK]);
        Self { pivot: zeros, sum: zeros, squares: zeros, outside: none, left_out: none }
    }
}

impl<T: Scalar + Into<f64>> Columns<'_, T> {
    /// All rows; those that are not finite are left out if `CHECKED`, and else leave squares that are not finite either.
    #[inline(always)]
    fn add<const CHECKED: bool>(&self, sums: &mut Sums) {
        let count = self.columns.len();
        if self.rows > 0 {
            let first = &self.x[self.columns.clone()];
            for (pivot, &x) in sums.pivot.iter_mut().zip(first) {
                *pivot = if CHECKED && !x.is_finite() { 0.0 } else { x.into() };
            }
        }
        let mut row = 0;
        while row < self.rows {
            let rows = row..(row + CHUNK_ROWS).min(self.rows);
            let mut at = 0;
            while at + LANES <= count {
                self.group::<LANES, CHECKED>(rows.clone(), at, sums);
                at += LANES;
            }
            // What is left fills halves: a column has the same bits in each.
            if count & 4 > 0 {
                self.group::<4, CHECKED>(rows.clone(), at, sums);
                at += 4;
            }
            if count & 2 > 0 {
                self.group::<2, CHECKED>(rows.clone(), at, sums);
                at += 2;
            }
            if count & 1 > 0 {
                self.group::<1, CHECKED>(rows.clone(), at, sums);
            }
            row = rows.end;
        }
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "columns side by side, read as index equations")]
    fn group<const N: usize, const CHECKED: bool>(
        &self,
        rows: Range<usize>,
        at: usize,
        sums: &mut Sums,
    ) {
        let [low, high] = self.bounds;
        let mut pivot = [0.0; N];
        pivot.copy_from_slice(&sums.pivot[at..at + N]);
        let (mut sum, mut squares) = ([0.0; N], [0.0; N]);
        let (mut outside, mut left_out) = ([0_u32; N], [0_u32; N]);
        for row in rows {
            let mut x = [low; N];
            x.copy_from_slice(&self.x[row * self.width + self.columns.start + at..][..N]);
            for lane in 0..N {
                let mut distance = x[lane].into() - pivot[lane];
                if CHECKED {
                    let is_finite = x[lane].is_finite();
                    left_out[lane] += u32::from(!is_finite);
                    distance = if is_finite { distance } else { 0.0 };
                }
                sum[lane] += distance;
                squares[lane] += distance * distance;
                outside[lane] += u32::from(x[lane] <= low || x[lane] >= high);
            }
        }
        for lane in 0..N {
            sums.sum[at + lane] += sum[lane];
            sums.squares[at + lane] += squares[lane];
            sums.outside[at + lane] += outside[lane];
            sums.left_out[at + lane] += left_out[lane];
        }
    }

    /// What the columns come to. Their means join by distances from the first, as rows do.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "columns side by side, read as index equations")]
    fn summary(&self, sums: &Sums) -> Summary {
        let (count, rows) = (self.columns.len(), self.rows as f64);
        let first = sums.pivot[0] + sums.sum[0] / (rows - f64::from(sums.left_out[0])).max(1.0);
        let mut totals = [[0.0; LANES]; 10];
        for at in (0..count).step_by(LANES) {
            for lane in 0..LANES {
                let column = at + lane;
                // Beyond the last column nothing was added.
                let there = if column < count { 1.0 } else { 0.0 };
                let n = there * (rows - f64::from(sums.left_out[column]));
                let has_any = if n > 0.0 { 1.0 } else { 0.0 };
                let (sum, divisor) = (sums.sum[column], n.max(1.0));
                let distance = sums.pivot[column] + sum / divisor - first;
                let spread = sums.squares[column] - sum * sum / divisor;
                let spread = if spread < 0.0 { 0.0 } else { spread };
                let outside = f64::from(sums.outside[column]);
                let is_idle = if outside == rows { there } else { 0.0 };
                let numbers = [
                    n,
                    n * distance,
                    n * distance * distance,
                    spread,
                    has_any,
                    has_any * distance,
                    has_any * distance * distance,
                    spread / divisor,
                    outside,
                    is_idle,
                ];
                for (total, number) in totals.iter_mut().zip(numbers) {
                    total[lane] += number;
                }
            }
        }
        let [n, t, tt, spread, columns, d, dd, variances, outside, idle] = totals.map(fold);
        let moments = |n: f64, sum: f64, squares: f64, spread: f64| {
            let divisor = n.max(1.0);
            [n, first + sum / divisor, spread + (squares - sum * sum / divisor).max(0.0)]
        };
        Summary {
            elements: moments(n, t, tt, spread),
            columns: moments(columns, d, dd, 0.0),
            variances,
            outside,
            idle,
        }
    }
}

/// The lanes summed in a fixed tree order.
#[inline(always)]
fn fold(x: [f64; LANES]) -> f64 {
    ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

impl<T: Scalar + Into<f64>> Kernel for Columns<'_, T> {
    type Output = Summary;

    #[inline(always)]
    fn run<S: Simd>(mut self) -> Summary {
        let mut sums = Sums::new();
        self.add::<false>(&mut sums);
        if !sums.squares.iter().all(|squares| squares.is_finite()) {
            sums = Sums::new();
            self.add::<true>(&mut sums);
        }
        let summary = self.summary(&sums);
        for (lived, &outside) in
            self.lived.iter_mut().flat_map(|lived| lived.iter_mut()).zip(&sums.outside)
        {
            *lived += if (outside as usize) < self.rows { 1.0 } else { 0.0 };
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

struct Norm<'a, T, const FROM: bool> {
    x: &'a [T],
    from: &'a [T],
}

impl<T: Scalar + Into<f64>, const FROM: bool> Norm<'_, T, FROM> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "elements side by side, read as index equations")]
    fn squares(&self, scale: f64) -> f64 {
        const TOGETHER: usize = 2 * LANES;
        let mut sums = [0.0; TOGETHER];
        let mut add = |x: &[T], from: &[T]| {
            for lane in 0..x.len() {
                let x: f64 = x[lane].into();
                let x = scale * if FROM { x - from[lane].into() } else { x };
                sums[lane] += x * x;
            }
        };
        let (x, left) = self.x.as_chunks::<TOGETHER>();
        let (from, from_left) = self.from.as_chunks::<TOGETHER>();
        for (x, from) in x.iter().zip(from) {
            add(x, from);
        }
        add(left, from_left);
        let (low, high) = sums.split_at(LANES);
        fold(core::array::from_fn(|lane| low[lane] + high[lane]))
    }
}

impl<T: Scalar + Into<f64>, const FROM: bool> Kernel for Norm<'_, T, FROM> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        root(|scale| self.squares(scale))
    }
}

/// √Σ x², from sums of (x·scale)²: scaled where squares would overflow or vanish.
#[inline(always)]
fn root(squares: impl Fn(f64) -> f64) -> f64 {
    /// 2⁶⁰⁰.
    const LARGE: f64 = f64::from_bits((1023 + 600) << 52);
    /// Squares that have vanished from a sum above it would not have changed it.
    const SMALL: f64 = 1e-200;
    let sum = squares(1.0);
    if sum < SMALL {
        squares(LARGE).sqrt() / LARGE
    } else if sum == f64::INFINITY {
        squares(1.0 / LARGE).sqrt() * LARGE
    } else {
        sum.sqrt()
    }
}

/// √Σ x².
pub fn norm<T: Scalar + Into<f64>>(x: &[T]) -> f64 {
    dispatch(Norm::<T, false> { x, from: x })
}

/// √Σ (x - from)².
///
/// # Panics
/// Where one is longer than the other.
pub fn distance<T: Scalar + Into<f64>>(x: &[T], from: &[T]) -> f64 {
    assert!(x.len() == from.len());
    dispatch(Norm::<T, true> { x, from })
}

/// √Σ x² of a few numbers, such as the norms of parts.
pub fn norm_of(numbers: &(impl Iterator<Item = f64> + Clone)) -> f64 {
    root(|scale| numbers.clone().map(|x| x * scale).map(|x| x * x).sum())
}
