//! Block sizes of a matrix product, and what is packed. They change the speed only, never a bit.

use super::pack::panel_width;
use super::tile::{row_vectors, tile_rows, tile_vectors};
use super::{Gemm, MatRef, Right};
use crate::kernels::caches::first_level_bytes;
use crate::kernels::simd::{Isa, Scalar, Simd, Vector};

/// Which of the factors are packed.
#[derive(Clone, Copy)]
pub(super) struct Pack {
    pub(super) a: bool,
    pub(super) b: bool,
}

/// The cuts.
#[allow(
    clippy::struct_excessive_bools,
    reason = "answers to questions of their own, each asked in one place"
)]
pub(super) struct Plan {
    /// Rows of a block of A, which stays in the second-level cache.
    pub(super) rows: usize,
    /// Columns of a block of B, which stays in the third-level cache.
    pub(super) cols: usize,
    /// The inner length of a block: a panel of B stays near the first-level cache.
    pub(super) depth: usize,
    pub(super) pack: Pack,
    /// Columns of a packed panel of B.
    pub(super) width: usize,
    /// Whether packed panels of B are used by one block of rows only: then all of them pass through one small place
    /// that stays in the cache, and are never written to memory.
    pub(super) passing: bool,
    /// Whether C is larger than the second-level cache.
    pub(super) large: bool,
    /// Whether B comes from memory as it lies, in long pieces of a few of its rows.
    pub(super) stream: bool,
    /// Rows of C at a time.
    pub(super) group: usize,
    /// Whether the chains of a group rest in panels of our own between blocks of the inner length, and not in C, whose
    /// rows may be pages apart: they then compete for the same lines of the cache.
    pub(super) rest: bool,
}

impl Plan {
    #[inline(always)]
    pub(super) fn new<T: Scalar, S: Simd>(g: &Gemm<T>) -> Self {
        let most = tile_rows(S::ISA, tile_vectors(S::ISA));
        let pack_b = match g.b {
            Right::Packed(_) => false,
            Right::Matrix(b) => pack_right::<T, S>(g, b),
        };
        // A panel that is read for one tile only need not stay anywhere.
        let once = g.m <= most && !pack_b;
        let packed = pack_b || matches!(g.b, Right::Packed(_));
        let large = packed && g.m >= 64 && g.m * g.n * size_of::<T>() >= LARGE;
        let cuts = Cuts::here();
        let wide = if g.m <= tile_rows(S::ISA, 8) { 8 } else { 4 } * T::V::<S>::LANES;
        let wide = (pack_b && g.m <= tile_rows(S::ISA, 4)).then_some(wide);
        let stream = !pack_b && matches!(g.b, Right::Matrix(_)) && streams::<T, S>(g);
        let depth = match (once, large, wide) {
            _ if stream => g.k.min(DEPTH_STREAM),
            (true, ..) => g.k,
            (_, true, _) => cuts.depth_of(g.k),
            (.., Some(width)) => g.k.min(NEAR / size_of::<T>() / width),
            _ => g.k.min(if pack_b && g.m < 128 { DEPTH_FEW } else { DEPTH_SMALL }),
        }
        .max(1);
        let rest = large && g.k > depth;
        let group = if rest { GROUP.min(g.m) } else { g.m };
        let width = panel_width::<T>();
        let block_a = if large { cuts.block_a / size_of::<T>() } else { BLOCK_A_SMALL };
        let rows =
            if group * depth <= block_a { group } else { (block_a / depth).max(most).min(group) };
        Self {
            rows,
            // Whole panels: a packed matrix is cut nowhere else.
            cols: match (rest, pack_b, wide) {
                (true, ..) => {
                    (BLOCK_C / size_of::<T>() / group).min(BLOCK_B / depth).max(width) / width
                        * width
                }
                (.., Some(width)) => width,
                (false, true, _) => BLOCK_B / depth,
                (false, false, _) => g.n,
            }
            .min(g.n),
            depth,
            width: wide.unwrap_or(width),
            pack: Pack { a: pack_left(g), b: pack_b },
            passing: pack_b && rows == group,
            large,
            stream,
            rest,
            group,
        }
    }
}

/// The cuts of a large product, by what the first-level cache holds. Both sets were measured, and are flat around these
/// numbers: docs/adr/0005-cache-blocking-of-large-matrix-products.md.
struct Cuts {
    /// Inner length of a block.
    depth: usize,
    /// Inner length up to which it is not cut.
    whole: usize,
    /// Bytes of a block of A: the fewer blocks, the fewer times the panels of B come from afar.
    block_a: usize,
    /// Bytes of B up to which it is read where it lies, by however many rows: that costs less than packing it.
    direct_b: usize,
}

impl Cuts {
    /// From 48 KiB: a panel of B (16 KiB) and two tiles' rows of A (14 KiB) stay there together. At a depth of 256 they
    /// do not, and three points of the peak are lost. Measured on Zen 5.
    const ROOMY: Self = Self { depth: 128, whole: 128, block_a: 512 << 10, direct_b: 4 << 20 };
    /// 32 KiB: they do not stay at any useful depth, and come from the second-level cache in time. Fewer passes over C
    /// and over the panels count then, and a block of A may take all of that cache. Measured on Zen 4.
    const TIGHT: Self = Self { depth: 512, whole: 1024, block_a: 1 << 20, direct_b: 2 << 20 };

    #[inline(always)]
    fn here() -> &'static Self {
        if first_level_bytes() < 48 << 10 { &Self::TIGHT } else { &Self::ROOMY }
    }

    #[inline(always)]
    fn depth_of(&self, k: usize) -> usize {
        if k <= self.whole { k } else { self.depth }
    }
}

/// Bytes of C from which a product is large: it no longer stays in the second-level cache.
const LARGE: usize = 1 << 20;
/// Inner length of a block where C is small: everything is near, and fewer passes over C win a few points.
const DEPTH_SMALL: usize = 512;
/// Inner length of a block of B that comes from memory as it lies: so many of its rows are read side by side.
const DEPTH_STREAM: usize = 32;
/// Bytes of B from which it comes from memory rather than from the third-level cache (of 32 MiB).
const STREAM: usize = 16 << 20;
/// The same for tiles so wide that pieces of half a KiB are read anyway.
const STREAM_WIDE: usize = 48 << 20;
/// Inner length of a block of B that is packed for few rows: a panel of 32 KiB.
const DEPTH_FEW: usize = 256;
/// Bytes of a panel of B that is packed for a tile's rows or fewer: it stays in the first-level cache.
const NEAR: usize = 32 << 10;
/// Elements of a block of A where C is small: it shares the cache with C.
const BLOCK_A_SMALL: usize = 64 << 10;
/// Elements of a block of B: a part of the third-level cache.
const BLOCK_B: usize = 2 << 20;
/// Rows whose chains rest at a time. B is packed once for each group: a cost of one part in hundreds.
const GROUP: usize = 1024;
/// Bytes of the resting chains, which bounds the memory that a thread keeps.
const BLOCK_C: usize = 16 << 20;
/// How many panels are packed together: they stay in the second-level cache until they are used, and longer pieces
/// of each row of B are read.
pub(super) const TOGETHER: usize = 4;

/// Whether rows so far apart compete for the same lines of the first-level cache.
#[inline(always)]
fn aliasing<T>(stride: isize) -> bool {
    let bytes = stride.unsigned_abs() * size_of::<T>();
    bytes >= 2048 && bytes.is_multiple_of(1024)
}

/// Whether B is packed: where its columns lie apart, and where rows read it so often that the copy pays.
#[inline(always)]
fn pack_right<T: Scalar, S: Simd>(g: &Gemm<T>, b: MatRef<T>) -> bool {
    let most = tile_rows(S::ISA, tile_vectors(S::ISA));
    b.col_stride != 1
        || (g.m >= 128 && g.k * g.n * size_of::<T>() > Cuts::here().direct_b)
        || (g.m > 2 * most && aliasing::<T>(b.row_stride))
}

/// Whether B is so large that it comes from memory.
#[inline(always)]
fn streams<T, S: Simd>(g: &Gemm<T>) -> bool {
    let bytes = g.k * g.n * size_of::<T>();
    bytes > if g.m <= tile_rows(S::ISA, 8) { STREAM_WIDE } else { STREAM }
}

/// Whether a product is one block of which nothing is packed.
#[inline(always)]
pub(super) fn is_direct<T: Scalar, S: Simd>(g: &Gemm<T>, b: MatRef<T>) -> bool {
    let one_block = g.m <= tile_rows(S::ISA, tile_vectors(S::ISA))
        || (g.k <= DEPTH_SMALL && g.m * g.k <= BLOCK_A_SMALL);
    one_block && !streams::<T, S>(g) && !pack_right::<T, S>(g, b) && !pack_left(g)
}

/// Whether packing A pays: it is read once for every panel of B.
#[inline(always)]
fn pack_left<T>(g: &Gemm<T>) -> bool {
    let panels = g.n / panel_width::<T>();
    g.m > 3
        && if g.a.row_stride == 1 {
            aliasing::<T>(g.a.col_stride) && panels >= 8
        } else {
            panels >= 16 || (panels >= 3 && aliasing::<T>(g.a.row_stride))
        }
}

/// How many vectors wide the tiles of a panel are: wide ones for few rows, so that enough chains run at once and
/// long pieces of B are read, for one row from end to end if it can be.
#[inline(always)]
pub(super) fn widest(isa: Isa, rows: usize, left: usize) -> usize {
    if left > 8 && rows == 1 && row_vectors(isa) > 8 {
        left.min(row_vectors(isa))
    } else if left > 4 && rows <= tile_rows(isa, 8) {
        left.min(8)
    } else if left > 2 && rows <= tile_rows(isa, 4) {
        left.min(4)
    } else {
        left.min(tile_vectors(isa))
    }
}
