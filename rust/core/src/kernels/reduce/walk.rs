//! Folds as kernels see them, and the walks that they share: along a row, down columns, across transposed blocks.

use core::mem::MaybeUninit;

use crate::kernels::rows::{MOST_LANES, Tail, extreme, extreme_across, widen};
use crate::kernels::simd::{Scalar, Vector};

/// Elements of a row that vectors join before the result goes to `f64`: long chains of sums in `f32` drift.
const ROW_CHUNK: usize = 1024;
/// Elements that one lane joins before its result goes to the outer chain, for the same reason.
pub(super) const LANE_CHUNK: usize = 128;
/// Columns that go down the rows together: they stay in the fastest cache.
const STRIP: usize = 1024;

/// A fold as kernels see it.
pub(super) trait Join: Copy {
    /// What changes nothing that it is joined to.
    const START: f64;
    fn lanes<V: Vector<Elem: Scalar>>(a: V, x: V) -> V;
    /// All lanes of one vector, in an order that their number decides.
    fn across<V: Vector<Elem: Scalar>>(x: V) -> V::Elem;
    fn wide(a: f64, x: f64) -> f64;
}

#[derive(Clone, Copy)]
pub(super) struct Sum;

impl Join for Sum {
    const START: f64 = 0.0;

    #[inline(always)]
    fn lanes<V: Vector<Elem: Scalar>>(a: V, x: V) -> V {
        a + x
    }

    #[inline(always)]
    fn across<V: Vector<Elem: Scalar>>(x: V) -> V::Elem {
        x.reduce_add()
    }

    #[inline(always)]
    fn wide(a: f64, x: f64) -> f64 {
        a + x
    }
}

#[derive(Clone, Copy)]
pub(super) struct Extreme<const LARGEST: bool>;

impl<const LARGEST: bool> Join for Extreme<LARGEST> {
    const START: f64 = if LARGEST { f64::NEG_INFINITY } else { f64::INFINITY };

    #[inline(always)]
    fn lanes<V: Vector<Elem: Scalar>>(a: V, x: V) -> V {
        extreme::<V, LARGEST>(a, x)
    }

    #[inline(always)]
    fn across<V: Vector<Elem: Scalar>>(x: V) -> V::Elem {
        extreme_across::<V, LARGEST>(x)
    }

    #[inline(always)]
    fn wide(a: f64, x: f64) -> f64 {
        let better = if LARGEST { a < x } else { x < a };
        if better || x.is_nan() { x } else { a }
    }
}

/// Vectors in memory.
pub(super) type Lanes<T> = [T; MOST_LANES * MOST_LANES];

#[inline(always)]
pub(super) fn start<F: Join, V: Vector>() -> V {
    V::constant(F::START)
}

/// A row by parts of [`ROW_CHUNK`], each in four chains of vectors.
///
/// # Safety
/// `x` is valid for reading the `length` that `tail` was made for.
#[inline(always)]
pub(super) unsafe fn row<F: Join, V: Vector<Elem: Scalar>>(
    x: *const V::Elem,
    length: usize,
    tail: &Tail<V>,
) -> f64 {
    let mut total = F::START;
    let mut at = 0;
    while at < length {
        let stop = (at + ROW_CHUNK).min(length);
        let mut chains = [start::<F, V>(); 4];
        // SAFETY: as many elements follow from `at` on; only the last part has a tail.
        unsafe {
            while at + 4 * V::LANES <= stop {
                for (k, chain) in chains.iter_mut().enumerate() {
                    *chain = F::lanes(*chain, V::load(x.add(at + k * V::LANES)));
                }
                at += 4 * V::LANES;
            }
            while at + V::LANES <= stop {
                chains[0] = F::lanes(chains[0], V::load(x.add(at)));
                at += V::LANES;
            }
            if at < stop {
                chains[1] = F::lanes(chains[1], tail.load(x, start::<F, V>()));
                at = stop;
            }
        }
        let [a, b, c, d] = chains;
        let part = F::across(F::lanes(F::lanes(a, b), F::lanes(c, d)));
        total = F::wide(total, widen(part));
    }
    total
}

/// `N` rows joined to `out`, or to nothing where they are the first ones.
///
/// # Safety
/// The rows, `stride` elements apart, are valid for reading `width` elements, and `out` for writing them.
#[inline(always)]
unsafe fn pass<F: Join, V: Vector<Elem: Scalar>, const N: usize>(
    x: *const V::Elem,
    stride: usize,
    width: usize,
    first: bool,
    out: *mut V::Elem,
) {
    let whole = width - width % V::LANES;
    let mut at = 0;
    while at < whole {
        // SAFETY: a whole vector stands at `at` of every row.
        unsafe {
            let mut a = if first { start::<F, V>() } else { V::load(out.add(at)) };
            for i in 0..N {
                a = F::lanes(a, V::load(x.add(i * stride + at)));
            }
            a.store(out.add(at));
        }
        at += V::LANES;
    }
    let left = width - whole;
    if left > 0 {
        // SAFETY: `left` elements stand at `at` of every row.
        unsafe {
            let mut a = if first { start::<F, V>() } else { V::load_first(out.add(at), left) };
            for i in 0..N {
                a = F::lanes(a, V::load_first(x.add(i * stride + at), left));
            }
            a.store_first(out.add(at), left);
        }
    }
}

/// Up to [`LANE_CHUNK`] rows, eight at a time.
///
/// # Safety
/// As for [`pass`], for all rows; there is at least one.
#[inline(always)]
unsafe fn few_rows<F: Join, V: Vector<Elem: Scalar>>(
    x: *const V::Elem,
    rows: usize,
    stride: usize,
    width: usize,
    out: *mut V::Elem,
) {
    let mut row = 0;
    macro_rules! take {
        ($count:literal) => {{
            // SAFETY: the caller's promise.
            unsafe { pass::<F, V, $count>(x.add(row * stride), stride, width, row == 0, out) };
            row += $count;
        }};
    }
    while row < rows {
        match rows - row {
            8.. => take!(8),
            4.. => take!(4),
            2.. => take!(2),
            _ => take!(1),
        }
    }
}

/// Columns that lie side by side, strip by strip; each in the order of its rows.
///
/// # Safety
/// The rows, `stride` elements apart, are valid for reading `width` elements, and `out` for writing them.
#[inline(always)]
pub(super) unsafe fn columns<F: Join, V: Vector<Elem: Scalar>>(
    x: *const V::Elem,
    rows: usize,
    stride: usize,
    width: usize,
    out: *mut V::Elem,
) {
    let mut chunk = MaybeUninit::<[V::Elem; STRIP]>::uninit();
    let chunk = chunk.as_mut_ptr().cast::<V::Elem>();
    let mut column = 0;
    while column < width {
        let strip = STRIP.min(width - column);
        // SAFETY: the caller's promise; a strip fits into `chunk`.
        unsafe {
            let to = out.add(column);
            let mut row = 0;
            while row < rows {
                let count = LANE_CHUNK.min(rows - row);
                let from = x.add(row * stride + column);
                if row == 0 {
                    few_rows::<F, V>(from, count, stride, strip, to);
                } else {
                    few_rows::<F, V>(from, count, stride, strip, chunk);
                    pass::<F, V, 1>(chunk, 0, strip, false, to);
                }
                row += count;
            }
        }
        column += strip;
    }
}

/// Hands out the columns of up to `LANES` blocks, each as a vector with a lane for each block.
///
/// # Safety
/// `x` is valid for reading `blocks` times `width` elements from the first of the blocks on, and `all` says how many
/// elements follow it.
#[inline(always)]
pub(in crate::kernels) unsafe fn each_column<V: Vector<Elem: Scalar>>(
    x: *const V::Elem,
    all: usize,
    blocks: usize,
    width: usize,
    mut visit: impl FnMut(usize, V),
) {
    let lanes = V::LANES;
    let mut turned = MaybeUninit::<Lanes<V::Elem>>::uninit();
    let turned = turned.as_mut_ptr().cast::<V::Elem>();
    let mut first = 0;
    while first < width {
        let count = lanes.min(width - first);
        // SAFETY: a transposition reads whole vectors from every block; where the last one's would reach beyond the
        // elements, they are copied together first.
        unsafe {
            let (mut from, mut stride) = (x.add(first), width);
            let mut copy = MaybeUninit::<[V::Elem; MOST_LANES * (MOST_LANES + 1)]>::uninit();
            if (blocks - 1) * width + first + lanes > all {
                let to = copy.as_mut_ptr().cast::<V::Elem>();
                if width <= lanes {
                    core::ptr::copy_nonoverlapping(from, to, blocks * width);
                    // The vector of the last one reaches no further than this.
                    V::constant(0.0).store(to.add(blocks * width));
                } else {
                    for block in 0..blocks {
                        let to = to.add(block * lanes);
                        V::constant(0.0).store(to);
                        core::ptr::copy_nonoverlapping(from.add(block * width), to, count);
                    }
                    stride = lanes;
                }
                from = to;
            }
            V::transpose(from, stride as isize, blocks, turned, lanes, count);
            for column in 0..count {
                visit(first + column, V::load(turned.add(column * lanes)));
            }
        }
        first += count;
    }
}
