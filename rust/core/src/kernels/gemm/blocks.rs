//! A product cut into blocks that stay in the caches, and the packing of the blocks.

use super::epilogue::{Epilogue, load_lanes, store_lanes};
use super::pack::{pack_a, pack_panels, packed_len, panel_width};
use super::scratch::Room;
use super::tile::{Column, RunColumn, part, tile_rows, tile_vectors};
use super::{Gemm, MatRef, Right};
use crate::kernels::simd::{Isa, Scalar, Simd, Vector};

/// The product.
///
/// # Safety
/// The promise of `gemm`; there are rows and columns.
#[inline(always)]
pub(super) unsafe fn run<T: Scalar, E: Epilogue<T>, S: Simd>(g: &Gemm<T, E>) {
    let plan = Plan::new::<T, E, S>(g);
    // One vector more: packing writes whole vectors.
    let room_a = if plan.pack_a { plan.rows * plan.depth + T::V::<S>::LANES } else { 0 };
    let room_b = if plan.pack_b { packed_len::<T>(plan.depth, plan.cols) } else { 0 };
    let room = Room::new::<T>(room_a, room_b);
    // SAFETY: the caller's promise, and room for the blocks of the plan.
    unsafe { blocks::<T, E, S>(g, &plan, room.first(), room.second()) }
}

/// How a product is cut into blocks, and what is packed. It changes the speed only, never a bit.
struct Plan {
    /// Rows of a block of A, which stays in the second-level cache.
    rows: usize,
    /// Columns of a block of B, which stays in the third-level cache.
    cols: usize,
    /// The inner length of a block: a panel of B stays near the first-level cache.
    depth: usize,
    pack_a: bool,
    pack_b: bool,
}

impl Plan {
    #[inline(always)]
    fn new<T: Scalar, E, S: Simd>(g: &Gemm<T, E>) -> Self {
        let most = tile_rows(S::ISA, tile_vectors(S::ISA));
        let pack_b = match g.b {
            Right::Packed(_) => false,
            Right::Matrix(b) => {
                b.col_stride != 1 || g.m >= 128 || (g.m > 2 * most && aliasing::<T>(b.row_stride))
            }
        };
        // A panel that is read for one tile only need not stay anywhere.
        let once = g.m <= most && !pack_b;
        let depth = if once { g.k } else { DEPTH.min(g.k) }.max(1);
        Self {
            rows: (BLOCK_A / depth).max(most).min(g.m),
            cols: if pack_b { (BLOCK_B / depth).min(g.n) } else { g.n },
            depth,
            pack_a: pack_left(g),
            pack_b,
        }
    }
}

/// Inner length of a block: a longer one makes fewer passes over C.
const DEPTH: usize = 512;
/// Elements of a block of A: a part of the second-level cache that scattered pages still leave whole, and tiles
/// enough to make up for fetching each panel of B.
const BLOCK_A: usize = 64 << 10;
/// Elements of a block of B: a part of the third-level cache.
const BLOCK_B: usize = 2 << 20;

/// Whether rows so far apart compete for the same lines of the first-level cache.
#[inline(always)]
fn aliasing<T>(stride: isize) -> bool {
    let bytes = stride.unsigned_abs() * size_of::<T>();
    bytes >= 2048 && bytes.is_multiple_of(1024)
}

/// Whether packing A pays: it is read once for every panel of B.
#[inline(always)]
fn pack_left<T, E>(g: &Gemm<T, E>) -> bool {
    let panels = g.n / panel_width::<T>();
    g.m > 3
        && if g.a.row_stride == 1 {
            aliasing::<T>(g.a.col_stride) && panels >= 8
        } else {
            panels >= 16 || (panels >= 3 && aliasing::<T>(g.a.row_stride))
        }
}

/// All blocks of a product: columns outside, then the inner index (whose chains rest in C), then rows.
///
/// # Safety
/// The promise of `gemm`; the rooms hold the blocks of A and B that the plan packs.
#[inline(always)]
unsafe fn blocks<T: Scalar, E: Epilogue<T>, S: Simd>(
    g: &Gemm<T, E>,
    plan: &Plan,
    room_a: *mut T,
    room_b: *mut T,
) {
    let most = tile_rows(S::ISA, tile_vectors(S::ISA));
    // Without inner length there is one block of depth zero, which still stores and applies the epilogue.
    let depths = g.k.div_ceil(plan.depth).max(1);
    let row_blocks = g.m.div_ceil(plan.rows);
    let mut col = 0;
    while col < g.n {
        let cols = plan.cols.min(g.n - col);
        for d in 0..depths {
            let (p, depth) = if g.k == 0 { (0, 0) } else { part(g.k, plan.depth, d) };
            for r in 0..row_blocks {
                let (row, rows) = part(g.m, plan.rows, r);
                let mut a = g.a.at(row, p);
                if plan.pack_a {
                    // SAFETY: the caller's promise.
                    unsafe { pack_a::<T, S>(rows, depth, most, a, room_a) }
                    a.ptr = room_a;
                }
                let c = g.c.at(row, col);
                let column = Column {
                    rows,
                    tiles: 0..0,
                    depth,
                    a: a.ptr,
                    a_row: a.row_stride,
                    a_col: a.col_stride,
                    packed_a: plan.pack_a,
                    b: core::ptr::null(),
                    b_row: 0,
                    c: c.ptr,
                    c_row: c.row_stride,
                    lanes: 0,
                    from_c: g.accumulate || d > 0,
                };
                let right = match g.b {
                    Right::Packed(b) => Panels {
                        b: MatRef {
                            ptr: b.ptr.wrapping_add(col * b.k + p * panel_width::<T>()),
                            row_stride: panel_width::<T>() as isize,
                            col_stride: b.k as isize,
                        },
                        room: None,
                        packed: true,
                    },
                    Right::Matrix(b) if plan.pack_b => Panels {
                        b: MatRef {
                            ptr: room_b,
                            row_stride: panel_width::<T>() as isize,
                            col_stride: depth as isize,
                        },
                        room: (r == 0).then_some((b.at(p, col), room_b)),
                        packed: true,
                    },
                    Right::Matrix(b) => Panels { b: b.at(p, col), room: None, packed: false },
                };
                let finish = (d + 1 == depths).then_some((&g.epilogue, row, col));
                // SAFETY: the caller's promise.
                unsafe { right.each::<E, S>(cols, column, finish) }
            }
        }
        col += cols;
    }
}

/// How many tiles are finished before the epilogue passes over them.
const FINISHED: usize = 4;

/// How many panels are packed together: they stay in the second-level cache until they are used.
const TOGETHER: usize = 4;

/// The panels of a block of B.
struct Panels<T> {
    /// Where they are: packed, or in a matrix whose columns are one element apart. If packed, `col_stride` is
    /// the distance of panels divided by their width.
    b: MatRef<T>,
    /// What to pack the panels from and where, just before their first use.
    room: Option<(MatRef<T>, *mut T)>,
    packed: bool,
}

impl<T: Scalar> Panels<T> {
    /// Runs a column of tiles for each panel, and the epilogue where the chains end.
    ///
    /// # Safety
    /// B, A and C are valid for the shape of the column and `cols` columns.
    #[inline(always)]
    unsafe fn each<E: Epilogue<T>, S: Simd>(
        &self,
        cols: usize,
        mut column: Column<T>,
        finish: Option<(&E, usize, usize)>,
    ) {
        let lanes = T::V::<S>::LANES;
        let width = panel_width::<T>();
        let c = column.c;
        // Transposed panels are packed one by one: nothing is gained by more, and one stays nearer.
        let together = match self.room {
            Some((from, _)) if from.col_stride == 1 => TOGETHER * width,
            _ => width,
        };
        let mut j = 0;
        while j < cols {
            let left = (cols - j).div_ceil(lanes);
            let vectors = if self.packed {
                left.min(tile_vectors(S::ISA))
            } else {
                widest(S::ISA, column.rows, left)
            };
            let here = (cols - j).min(vectors * lanes);
            // SAFETY: the caller's promise, for columns j..j + here.
            unsafe {
                if let Some((from, to)) = self.room
                    && j.is_multiple_of(together)
                {
                    let to = to.add(j * column.depth);
                    let together = together.min(cols - j);
                    pack_panels::<T, S>(column.depth, together, from.at(0, j), to);
                }
                column.b = if self.packed {
                    let within = j % width;
                    self.b.at(0, j - within).ptr.add(within)
                } else {
                    self.b.at(0, j).ptr
                };
                column.b_row = self.b.row_stride;
                column.c = c.add(j);
                column.lanes = here - (vectors - 1) * lanes;
                let edge = !self.packed && column.lanes < lanes;
                let most = tile_rows(S::ISA, vectors);
                let tiles = column.rows.div_ceil(most);
                match finish {
                    Some((epilogue, row, col)) if !E::IDENTITY => {
                        for first in (0..tiles).step_by(FINISHED) {
                            column.tiles = first..tiles.min(first + FINISHED);
                            run_column::<T, S>(&column, vectors, edge);
                            apply::<T, E, S>(epilogue, &column, most, here, (row, col + j));
                        }
                    }
                    _ => {
                        column.tiles = 0..tiles;
                        run_column::<T, S>(&column, vectors, edge);
                    }
                }
            }
            j += here;
        }
    }
}

/// How many vectors wide the tiles of a panel are: wide ones for few rows, so that enough chains run at once and
/// long pieces of B are read.
#[inline(always)]
fn widest(isa: Isa, rows: usize, left: usize) -> usize {
    if left >= 8 && rows <= tile_rows(isa, 8) {
        8
    } else if left >= 4 && rows <= tile_rows(isa, 4) {
        4
    } else {
        left.min(tile_vectors(isa))
    }
}

/// # Safety
/// The column is valid, and `vectors` wide.
#[inline(always)]
unsafe fn run_column<T: Scalar, S: Simd>(column: &Column<T>, vectors: usize, edge: bool) {
    // Guards are constants: what an instruction set does not use is not compiled for it. On AVX-512 a masked load
    // costs nothing more, and edges need no code of their own.
    match vectors {
        1 => either::<T, S, 1>(column, edge),
        2 => either::<T, S, 2>(column, edge),
        3 if const { tile_vectors(S::ISA) > 2 } => either::<T, S, 3>(column, edge),
        4 if const { tile_rows(S::ISA, 4) > 0 } => either::<T, S, 4>(column, edge),
        8 if const { tile_rows(S::ISA, 8) > 0 } => either::<T, S, 8>(column, edge),
        _ => unreachable!("no tile is {vectors} vectors wide"),
    }
}

/// A column with or without an edge.
#[inline(always)]
fn either<T: Scalar, S: Simd, const NV: usize>(column: &Column<T>, edge: bool) {
    if const { matches!(S::ISA, Isa::Avx512) } || edge {
        S::outlined(RunColumn::<T, NV, true>(column));
    } else {
        S::outlined(RunColumn::<T, NV, false>(column));
    }
}

/// The epilogue on finished tiles, which are still in the cache.
///
/// A pass of its own, so that the tiles are compiled once for all epilogues: it costs one load and one store
/// for each vector of the result, against `depth` multiplications.
///
/// # Safety
/// C is valid for the tiles and `cols` columns; the column's place in the matrix is (row, col).
#[inline(always)]
unsafe fn apply<T: Scalar, E: Epilogue<T>, S: Simd>(
    epilogue: &E,
    column: &Column<T>,
    most: usize,
    cols: usize,
    (row, col): (usize, usize),
) {
    let lanes = T::V::<S>::LANES;
    let (start, _) = part(column.rows, most, column.tiles.start);
    let (last, height) = part(column.rows, most, column.tiles.end - 1);
    let mut j = 0;
    while j < cols {
        let here = lanes.min(cols - j);
        for i in start..last + height {
            // SAFETY: the caller's promise.
            unsafe {
                let p = column.c.offset(i as isize * column.c_row).add(j);
                let v = load_lanes::<T, S>(p, here);
                let v = epilogue.apply::<S>(v, row + i, col + j, here);
                store_lanes::<T, S>(v, p, here);
            }
        }
        j += lanes;
    }
}
