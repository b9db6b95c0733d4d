//! Chunks of wide batches: strips of columns go down the rows with sums that rest in the fastest cache, so that memory is
//! read along its rows. The arithmetic of a column is that of the narrow ones.

use core::mem::MaybeUninit;

use super::{CHUNK_ROWS, Join, take};
use crate::kernels::math::{Real, VectorMath};
use crate::kernels::reduce::add_rows;
use crate::kernels::simd::Scalar;

/// Columns of a strip: some rows of it and its sums fit the fastest cache together.
const STRIP: usize = 512;
/// Rows that a sum goes through on its way from the cache and back.
const ROWS: usize = 4;

/// Elements of a row from which it is wide.
pub(super) const WIDE: usize = 1024;

type Strip<T> = MaybeUninit<[T; STRIP]>;

/// Calls `$body` with the place of each vector of a strip and the lanes that it has there.
macro_rules! each_place {
    ($V:ty, $width:expr, |$at:ident, $left:ident| $body:block) => {
        let mut $at = 0;
        while $at < $width {
            let $left = ($width - $at).min(<$V>::LANES);
            $body
            $at += <$V>::LANES;
        }
    };
}

/// Adds the deviations of `N` rows from `sum`·`part`, and their squares, to what is there, or to nothing.
///
/// # Safety
/// The rows are valid for reading `width` elements, and `sum`, `rest` and `squares` for as many.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "three rows of sums")]
unsafe fn deviations<V: VectorMath<Elem: Scalar + Real>, const N: usize>(
    x: *const V::Elem,
    stride: usize,
    width: usize,
    first: bool,
    part: V,
    sum: *const V::Elem,
    rest: *mut V::Elem,
    squares: *mut V::Elem,
) {
    each_place!(V, width, |at, left| {
        // SAFETY: the caller's promise.
        unsafe {
            let near = take::<V>(sum.add(at), left) * part;
            let (mut r, mut s) = (V::constant(0.0), V::constant(0.0));
            if !first {
                (r, s) = (take::<V>(rest.add(at), left), take::<V>(squares.add(at), left));
            }
            for i in 0..N {
                let d = take::<V>(x.add(i * stride + at), left) - near;
                r = r + d;
                s = d.mul_add(d, s);
            }
            r.store_first(rest.add(at), left);
            s.store_first(squares.add(at), left);
        }
    });
}

/// Mean and sum of squared deviations of every column of a chunk.
///
/// # Safety
/// The chunk has `rows` rows of `width` elements, at least one, and `mean` and `spread` are valid for writing as many.
#[inline(always)]
pub(super) unsafe fn moments<V: VectorMath<Elem: Scalar + Real>>(
    x: *const V::Elem,
    rows: usize,
    width: usize,
    mean: *mut V::Elem,
    spread: *mut V::Elem,
) {
    let (mut sum, mut rest, mut squares) =
        (Strip::<V::Elem>::uninit(), Strip::<V::Elem>::uninit(), Strip::<V::Elem>::uninit());
    let sum = sum.as_mut_ptr().cast::<V::Elem>();
    let rest = rest.as_mut_ptr().cast::<V::Elem>();
    let squares = squares.as_mut_ptr().cast::<V::Elem>();
    for column in (0..width).step_by(STRIP) {
        let strip = STRIP.min(width - column);
        let mut row = 0;
        while row < rows {
            let count = CHUNK_ROWS.min(rows - row);
            let part = V::constant(1.0 / count as f64);
            let join = Join::new(row, count);
            // SAFETY: the caller's promise; a strip fits.
            unsafe {
                let from = x.add(row * width + column);
                add_rows::<V>(from, count, width, strip, sum);
                let mut r = 0;
                while r < count {
                    let (from, first) = (from.add(r * width), r == 0);
                    if count - r >= ROWS {
                        deviations::<V, ROWS>(from, width, strip, first, part, sum, rest, squares);
                        r += ROWS;
                    } else {
                        deviations::<V, 1>(from, width, strip, first, part, sum, rest, squares);
                        r += 1;
                    }
                }
                each_place!(V, strip, |at, left| {
                    let near = take::<V>(sum.add(at), left) * part;
                    let rest = take::<V>(rest.add(at), left);
                    // What rounding left out of the chunk's mean.
                    let off = rest * part;
                    let squares = take::<V>(squares.add(at), left);
                    let chunk = (near + off, off.neg_mul_add(rest, squares));
                    let (to_mean, to_spread) = (mean.add(column + at), spread.add(column + at));
                    let before = if row == 0 {
                        chunk
                    } else {
                        (take::<V>(to_mean, left), take::<V>(to_spread, left))
                    };
                    let (m, s) = join.apply(before, chunk);
                    m.store_first(to_mean, left);
                    s.store_first(to_spread, left);
                });
            }
            row += count;
        }
    }
}

/// Adds g and g·(x - μ) of `N` rows to what is there, or to nothing.
///
/// # Safety
/// The rows are valid for reading `width` elements, and `mean`, `sum` and `product` for as many.
#[inline(always)]
unsafe fn products<V: VectorMath<Elem: Scalar + Real>, const N: usize>(
    [grad, x]: [*const V::Elem; 2],
    stride: usize,
    width: usize,
    first: bool,
    mean: *const V::Elem,
    [sum, product]: [*mut V::Elem; 2],
) {
    each_place!(V, width, |at, left| {
        // SAFETY: the caller's promise.
        unsafe {
            let center = take::<V>(mean.add(at), left);
            let (mut s, mut p) = (V::constant(0.0), V::constant(0.0));
            if !first {
                (s, p) = (take::<V>(sum.add(at), left), take::<V>(product.add(at), left));
            }
            for i in 0..N {
                let g = take::<V>(grad.add(i * stride + at), left);
                s = s + g;
                p = g.mul_add(take::<V>(x.add(i * stride + at), left) - center, p);
            }
            s.store_first(sum.add(at), left);
            p.store_first(product.add(at), left);
        }
    });
}

/// Σ g and Σ g·(x - μ) of every column of a chunk.
///
/// # Safety
/// The chunk has `rows` rows of `width` elements, at least one; `mean` is valid for reading as many, and what is in `to`
/// for writing.
#[inline(always)]
pub(super) unsafe fn sums<V: VectorMath<Elem: Scalar + Real>>(
    [grad, x]: [*const V::Elem; 2],
    rows: usize,
    width: usize,
    mean: *const V::Elem,
    to: [*mut V::Elem; 2],
) {
    let (mut sum, mut product) = (Strip::<V::Elem>::uninit(), Strip::<V::Elem>::uninit());
    let parts = [sum.as_mut_ptr().cast::<V::Elem>(), product.as_mut_ptr().cast::<V::Elem>()];
    for column in (0..width).step_by(STRIP) {
        let strip = STRIP.min(width - column);
        let mut row = 0;
        while row < rows {
            let count = CHUNK_ROWS.min(rows - row);
            // SAFETY: the caller's promise; a strip fits.
            unsafe {
                let mean = mean.add(column);
                let mut r = 0;
                while r < count {
                    let from = [grad, x].map(|x| x.add((row + r) * width + column));
                    if count - r >= ROWS {
                        products::<V, ROWS>(from, width, strip, r == 0, mean, parts);
                        r += ROWS;
                    } else {
                        products::<V, 1>(from, width, strip, r == 0, mean, parts);
                        r += 1;
                    }
                }
                for (part, to) in parts.into_iter().zip(to) {
                    each_place!(V, strip, |at, left| {
                        let (part, to) = (take::<V>(part.add(at), left), to.add(column + at));
                        let total = if row == 0 { part } else { take::<V>(to, left) + part };
                        total.store_first(to, left);
                    });
                }
            }
            row += count;
        }
    }
}
