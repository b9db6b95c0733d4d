//! What is measured of tensors while they train: moments, shares and spreads down their columns, and norms.
//!
//! A column is summed in `f64`, by its distances from its first row, p:
//!
//! ```text
//! s = Σ (x - p)      q = Σ (x - p)²      μ = p + s/n      M = q - s²/n
//! ```
//!
//! Nothing cancels where a mean is far from zero, and equal rows have a spread of exactly 0. Columns join in their order,
//! so that shape alone decides the bits.
//!
//! Sums of a few rows, and of a row of a variable, are taken in the type of their elements, in which a vector holds more of
//! them; where squares overflow or vanish in it, or elements are not finite, everything is taken in `f64`.

use core::ops::Range;

use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Columns of a block, which is looked at in one go: few enough that clearing its sums takes no time to speak of.
pub const BLOCK: usize = 32;
/// Rows that are widened at a time.
const CHUNK_ROWS: usize = 8;
/// Rows whose sums are taken in the type of their elements: few enough that these lose no digit that anybody looks at.
const NARROW_ROWS: usize = 32;
/// Below this, squares of `f32` may have vanished from a sum, which is nothing to one above it.
const VANISHING: f64 = 1e-30;
/// Elements of a norm that are widened at a time.
const CHUNK: usize = 128;
/// The same of `f64`.
const SMALL: f64 = 1e-200;
/// Sums that do not wait for each other, the same for every instruction set.
const SUMS: usize = 16;
/// The same within a row of a variable.
const SUMS_OF_ROW: usize = 32;

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
    /// Elements that are not finite.
    left_out: [f64; BLOCK],
}

impl Sums {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [0.0; BLOCK];
        Self { pivot: zeros, sum: zeros, squares: zeros, outside: zeros, left_out: zeros }
    }
}

/// Elements as `f64`.
#[inline(always)]
fn widen<T: Scalar + Into<f64>>(x: &[T], to: &mut [f64]) {
    for (to, &x) in to.iter_mut().zip(x) {
        *to = x.into();
    }
}

/// Adds lanes to those of an array.
#[inline(always)]
fn add_to<V: Vector<Elem = f64>>(to: &mut [f64; BLOCK], at: usize, x: V) {
    let to = to[at..at + V::LANES].as_mut_ptr();
    // SAFETY: there is a vector.
    unsafe { (V::load(to) + x).store(to) };
}

/// Lanes of an array.
#[inline(always)]
fn take<V: Vector<Elem = f64>>(from: &[f64], at: usize) -> V {
    // SAFETY: there is a vector.
    unsafe { V::load(from[at..at + V::LANES].as_ptr()) }
}

impl<T: Scalar + Into<f64>> Columns<'_, T> {
    /// All rows in their own type; false where that says nothing of them, as some elements are not finite or too small.
    #[inline(always)]
    fn add_narrow<V: Vector<Elem = T>, const BOUNDED: bool>(&self, sums: &mut Sums) -> bool {
        let count = self.columns.len();
        if self.rows == 0 {
            return true;
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
        let mut found = sums.sum.iter().zip(&sums.squares).take(count);
        found.all(|(&sum, &squares)| {
            squares.is_finite() && (squares > VANISHING || sum == 0.0 || size_of::<T>() > 4)
        })
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
        for (place, to) in
            [&mut sums.sum, &mut sums.squares, &mut sums.outside].into_iter().enumerate()
        {
            let mut lanes = [T::default(); BLOCK];
            // SAFETY: there are more lanes.
            unsafe { (even[place] + odd[place]).store(lanes.as_mut_ptr()) };
            for (to, &x) in to[at..at + count].iter_mut().zip(&lanes) {
                *to += x.into();
            }
        }
    }

    /// All rows, without the elements that are not finite.
    #[inline(always)]
    fn add_wide<V: Vector<Elem = f64>>(&self, sums: &mut Sums) {
        let count = self.columns.len();
        // Beyond the last column all are zero.
        let mut wide = [[0.0; BLOCK]; CHUNK_ROWS];
        if self.rows > 0 {
            widen(&self.x[self.columns.clone()], &mut sums.pivot);
            for pivot in sums.pivot.iter_mut().filter(|pivot| !pivot.is_finite()) {
                *pivot = 0.0;
            }
        }
        let bounds = self.bounds.map(|bound| V::splat(bound.into()));
        for row in (0..self.rows).step_by(CHUNK_ROWS) {
            let rows = row..(row + CHUNK_ROWS).min(self.rows);
            let wide = &mut wide[..rows.len()];
            for (row, wide) in rows.zip(wide.iter_mut()) {
                let first = row * self.width + self.columns.start;
                widen(&self.x[first..first + count], wide);
            }
            for at in (0..count).step_by(V::LANES) {
                add_rows(wide, at, bounds, sums);
            }
        }
    }

    /// What the columns come to. Their means join by distances from the first, as rows do.
    #[inline(always)]
    fn summary<V: Vector<Elem = f64>>(&self, sums: &Sums) -> Summary {
        let (zero, one) = (V::constant(0.0), V::constant(1.0));
        let (count, rows) = (self.columns.len(), V::constant(self.rows as f64));
        let first_n = (self.rows as f64 - sums.left_out[0]).max(1.0);
        let first = sums.pivot[0] + sums.sum[0] / first_n;
        let mut numbers = [[0.0; BLOCK]; 9];
        let all = count.next_multiple_of(SUMS);
        for at in (0..count).step_by(V::LANES) {
            let n = rows - take(&sums.left_out, at);
            let has_any = V::select(zero.lt(n), one, zero);
            let (sum, divisor) = (take::<V>(&sums.sum, at), n.max(one));
            let mean = sum / divisor;
            let distance = take::<V>(&sums.pivot, at) + mean - V::splat(first);
            let spread = take::<V>(&sums.squares, at) - sum * mean;
            // NaN stays.
            let spread = V::select(spread.lt(zero), zero, spread);
            let is_idle = V::select(take::<V>(&sums.outside, at).eq(rows), one, zero);
            let of_columns = [has_any, has_any * distance, has_any * distance * distance];
            let of_elements = [n, n * distance, n * distance * distance];
            let others = [spread, spread / divisor, is_idle];
            let of_column = of_elements.into_iter().chain(of_columns).chain(others);
            for (to, x) in numbers.iter_mut().zip(of_column) {
                add_to(to, at, x);
            }
        }
        let total = |x: &mut [f64; BLOCK]| {
            x[count..all].fill(0.0);
            fold(&x[..all])
        };
        let [n, t, tt, columns, d, dd, spread, variances, idle] = numbers.each_mut().map(total);
        let moments = |n: f64, sum: f64, squares: f64, spread: f64| {
            let divisor = n.max(1.0);
            [n, first + sum / divisor, spread + (squares - sum * sum / divisor).max(0.0)]
        };
        Summary {
            elements: moments(n, t, tt, spread),
            columns: moments(columns, d, dd, 0.0),
            variances,
            outside: fold(&sums.outside[..all]),
            idle,
        }
    }
}

/// Adds some rows to the sums of a vector of columns.
#[inline(always)]
fn add_rows<V: Vector<Elem = f64>>(
    rows: &[[f64; BLOCK]],
    at: usize,
    [low, high]: [V; 2],
    sums: &mut Sums,
) {
    let (zero, one) = (V::constant(0.0), V::constant(1.0));
    let pivot = take::<V>(&sums.pivot, at);
    let (mut sum, mut squares, mut outside, mut left_out) = (zero, zero, zero, zero);
    for row in rows {
        let x = take::<V>(row, at);
        let is_finite = x.abs().lt(V::constant(f64::INFINITY));
        left_out = left_out + V::select(is_finite, zero, one);
        let distance = V::select(is_finite, x - pivot, zero);
        sum = sum + distance;
        squares = distance.mul_add(distance, squares);
        outside = outside + V::select(V::mask_or(x.le(low), high.le(x)), one, zero);
    }
    add_to(&mut sums.sum, at, sum);
    add_to(&mut sums.squares, at, squares);
    add_to(&mut sums.outside, at, outside);
    add_to(&mut sums.left_out, at, left_out);
}

/// The sum of numbers, some of which side by side: as many as a whole multiple of those.
#[inline(always)]
fn fold(x: &[f64]) -> f64 {
    let (x, _) = x.as_chunks::<SUMS>();
    let mut sums = [0.0; SUMS];
    for x in x {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += x;
        }
    }
    let mut half = SUMS / 2;
    while half > 0 {
        for at in 0..half {
            sums[at] += sums[at + half];
        }
        half /= 2;
    }
    sums[0]
}

impl<T: Scalar + Into<f64>> Kernel for Columns<'_, T> {
    type Output = Summary;

    #[inline(always)]
    fn run<S: Simd>(mut self) -> Summary {
        let count = self.columns.len();
        let mut sums = Sums::new();
        let is_known = if self.bounds.iter().all(|bound| bound.is_nan()) {
            self.add_narrow::<T::V<S>, false>(&mut sums)
        } else {
            self.add_narrow::<T::V<S>, true>(&mut sums)
        };
        if !is_known {
            sums = Sums::new();
            self.add_wide::<S::F64>(&mut sums);
        }
        // Beyond the last column nothing is counted.
        sums.outside[count..].fill(0.0);
        let summary = self.summary::<S::F64>(&sums);
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

/// Numbers, or their distances from others.
struct Norm<'a, T, const FROM: bool> {
    x: &'a [T],
    from: &'a [T],
}

impl<T: Scalar + Into<f64>, const FROM: bool> Norm<'_, T, FROM> {
    #[inline(always)]
    fn squares<V: Vector<Elem = f64>>(&self, scale: f64) -> f64 {
        let scale = V::splat(scale);
        let mut sums = [V::constant(0.0); SUMS];
        let (mut x, mut from) = ([0.0; CHUNK], [0.0; CHUNK]);
        let mut first = 0;
        while first < self.x.len() {
            let stop = (first + CHUNK).min(self.x.len());
            let all = (stop - first).next_multiple_of(SUMS);
            x[stop - first..all].fill(0.0);
            from[stop - first..all].fill(0.0);
            widen(&self.x[first..stop], &mut x);
            if FROM {
                widen(&self.from[first..stop], &mut from);
            }
            for at in (0..all).step_by(SUMS) {
                for (place, sum) in sums.iter_mut().enumerate().take(SUMS / V::LANES) {
                    let at = at + place * V::LANES;
                    let x = if FROM { take::<V>(&x, at) - take(&from, at) } else { take(&x, at) };
                    let x = x * scale;
                    *sum = x.mul_add(x, *sum);
                }
            }
            first = stop;
        }
        let mut lanes = [0.0; SUMS];
        for (lanes, sum) in lanes.chunks_exact_mut(V::LANES).zip(sums) {
            // SAFETY: there are as many lanes.
            unsafe { sum.store(lanes.as_mut_ptr()) };
        }
        fold(&lanes)
    }
}

impl<T: Scalar + Into<f64>, const FROM: bool> Kernel for Norm<'_, T, FROM> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        // In a loop, for what is called at one place is inlined there.
        let mut scale = 1.0;
        loop {
            let sum = self.squares::<S::F64>(scale);
            match other_scale(sum, scale) {
                Some(other) => scale = other,
                None => return sum.sqrt() / scale,
            }
        }
    }
}

/// By what numbers have to be multiplied before a sum of their squares, where it has been found too small or too large; none
/// where it has not, or where they have been multiplied already.
#[inline(always)]
fn other_scale(sum: f64, scale: f64) -> Option<f64> {
    /// 2⁶⁰⁰.
    const LARGE: f64 = f64::from_bits((1023 + 600) << 52);
    if scale != 1.0 {
        None
    } else if sum < SMALL {
        Some(LARGE)
    } else {
        (sum == f64::INFINITY).then_some(1.0 / LARGE)
    }
}

/// √Σ x².
pub fn norm<T: Scalar + Into<f64>>(x: &[T]) -> f64 {
    dispatch(Norm::<T, false> { x, from: x })
}

/// Norms of the rows of a matrix, or of their distances from those of another.
struct Rows<'a, T, const FROM: bool> {
    x: &'a [T],
    from: &'a [T],
    width: usize,
    to: &'a mut [f64],
}

/// Σ x² or Σ (x - from)², in the type of the elements.
#[inline(always)]
fn squares_of_row<V: Vector, const FROM: bool>(x: &[V::Elem], from: &[V::Elem]) -> V::Elem {
    let mut sums = [V::constant(0.0); SUMS_OF_ROW];
    let vectors = SUMS_OF_ROW / V::LANES;
    let whole = x.len() / SUMS_OF_ROW * SUMS_OF_ROW;
    for first in (0..whole).step_by(SUMS_OF_ROW) {
        for (place, sum) in sums.iter_mut().enumerate().take(vectors) {
            let at = first + place * V::LANES;
            let load = |x: &[V::Elem]| {
                // SAFETY: there is a vector.
                unsafe { V::load(x[at..at + V::LANES].as_ptr()) }
            };
            let x = if FROM { load(x) - load(from) } else { load(x) };
            *sum = x.mul_add(x, *sum);
        }
    }
    for (place, at) in (whole..x.len()).step_by(V::LANES).enumerate() {
        let load = |x: &[V::Elem]| {
            let rest = &x[at..x.len().min(at + V::LANES)];
            // SAFETY: there are so many.
            unsafe { V::load_first(rest.as_ptr(), rest.len()) }
        };
        let x = if FROM { load(x) - load(from) } else { load(x) };
        sums[place] = x.mul_add(x, sums[place]);
    }
    let mut half = vectors / 2;
    while half > 0 {
        for place in 0..half {
            sums[place] = sums[place] + sums[place + half];
        }
        half /= 2;
    }
    sums[0].reduce_add()
}

impl<T: Scalar + Into<f64>, const FROM: bool> Kernel for Rows<'_, T, FROM> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let rows = self.x.chunks_exact(self.width);
        // Without others, they stand for themselves.
        for ((x, from), to) in rows.zip(self.from.chunks_exact(self.width)).zip(self.to) {
            let sum: f64 = squares_of_row::<T::V<S>, FROM>(x, from).into();
            let is_known = sum > if size_of::<T>() == 4 { VANISHING } else { SMALL };
            // Rows of zeros are common, as the weights of a pixel that is black in all pictures.
            let is_zero = || {
                let mut all = x.iter().zip(from);
                all.all(|(x, from)| if FROM { x == from } else { *x == T::default() })
            };
            *to = if is_known && sum.is_finite() {
                sum.sqrt()
            } else if sum == 0.0 && is_zero() {
                0.0
            } else {
                S::outlined(Norm::<T, FROM> { x, from })
            };
        }
    }
}

/// √Σ x² of each row.
///
/// # Panics
/// Where there are not as many rows as places.
pub fn norms_of_rows<T: Scalar + Into<f64>>(x: &[T], width: usize, to: &mut [f64]) {
    assert!(x.len() == width * to.len());
    dispatch(Rows::<T, false> { x, from: x, width, to });
}

/// √Σ (x - from)² of each row.
///
/// # Panics
/// Where there are not as many rows as places, or one has more than the other.
pub fn distances_of_rows<T: Scalar + Into<f64>>(x: &[T], from: &[T], width: usize, to: &mut [f64]) {
    assert!(x.len() == from.len() && x.len() == width * to.len());
    dispatch(Rows::<T, true> { x, from, width, to });
}

/// √Σ x² of a few numbers, such as the norms of parts.
pub fn norm_of(numbers: &(impl Iterator<Item = f64> + Clone)) -> f64 {
    let mut scale = 1.0;
    loop {
        let sum: f64 = numbers.clone().map(|x| x * scale).map(|x| x * x).sum();
        match other_scale(sum, scale) {
            Some(other) => scale = other,
            None => return sum.sqrt() / scale,
        }
    }
}
