//! A product cut into blocks that stay in the caches, and the packing of the blocks.

use super::epilogue::{Epilogue, load_lanes, store_lanes};
use super::pack::{pack_a, pack_panels, packed_len, panel_width};
use super::scratch::Room;
use super::tile::{Ahead, Column, RunColumn, part, tile_rows, tile_vectors};
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
    let room_a = if plan.pack.a { plan.rows * plan.depth + T::V::<S>::LANES } else { 0 };
    let room_b = if plan.pack.b {
        let cols = if plan.passing { TOGETHER * panel_width::<T>() } else { plan.cols };
        packed_len::<T>(plan.depth, cols.min(plan.cols))
    } else {
        0
    };
    let room_c = if plan.rest { packed_len::<T>(plan.group, plan.cols) } else { 0 };
    let room = Room::new::<T>([room_a, room_b, room_c]);
    // SAFETY: the caller's promise, and room for the blocks of the plan.
    unsafe { blocks::<T, E, S>(g, &plan, room.parts()) }
}

/// Which of the factors are packed.
#[derive(Clone, Copy)]
struct Pack {
    a: bool,
    b: bool,
}

/// How a product is cut into blocks, and what is packed. It changes the speed only, never a bit.
struct Plan {
    /// Rows of a block of A, which stays in the second-level cache.
    rows: usize,
    /// Columns of a block of B, which stays in the third-level cache.
    cols: usize,
    /// The inner length of a block: a panel of B stays near the first-level cache.
    depth: usize,
    pack: Pack,
    /// Whether packed panels of B are used by one block of rows only: then all of them pass through one small place
    /// that stays in the cache, and are never written to memory.
    passing: bool,
    /// Whether C is larger than the second-level cache.
    large: bool,
    /// Rows of C at a time.
    group: usize,
    /// Whether the chains of a group rest in panels of our own between blocks of the inner length, and not in C, whose
    /// rows may be pages apart: they then compete for the same lines of the cache.
    rest: bool,
}

impl Plan {
    #[inline(always)]
    fn new<T: Scalar, E, S: Simd>(g: &Gemm<T, E>) -> Self {
        let most = tile_rows(S::ISA, tile_vectors(S::ISA));
        let pack_b = match g.b {
            Right::Packed(_) => false,
            Right::Matrix(b) => {
                b.col_stride != 1
                    || (g.m >= 128 && g.k * g.n * size_of::<T>() > DIRECT_B)
                    || (g.m > 2 * most && aliasing::<T>(b.row_stride))
            }
        };
        // A panel that is read for one tile only need not stay anywhere.
        let once = g.m <= most && !pack_b;
        let packed = pack_b || matches!(g.b, Right::Packed(_));
        let large = packed && g.m >= 64 && g.m * g.n * size_of::<T>() >= LARGE;
        let depth = match (once, large) {
            (true, _) => g.k,
            (_, true) => g.k.min(DEPTH),
            (_, false) => g.k.min(if pack_b && g.m < 128 { DEPTH_FEW } else { DEPTH_SMALL }),
        }
        .max(1);
        let rest = large && g.k > depth;
        let group = if rest { GROUP.min(g.m) } else { g.m };
        let width = panel_width::<T>();
        let block_a = if large { BLOCK_A / size_of::<T>() } else { BLOCK_A_SMALL };
        let rows = (block_a / depth).max(most).min(group);
        Self {
            rows,
            // Whole panels: a packed matrix is cut nowhere else.
            cols: match (rest, pack_b) {
                (true, _) => {
                    (BLOCK_C / size_of::<T>() / group).min(BLOCK_B / depth).max(width) / width
                        * width
                }
                (false, true) => BLOCK_B / depth,
                (false, false) => g.n,
            }
            .min(g.n),
            depth,
            pack: Pack { a: pack_left(g), b: pack_b },
            passing: pack_b && rows == group,
            large,
            rest,
            group,
        }
    }
}

// The blocks of a large product, measured on Zen 5 (48 KiB + 1 MiB of cache) and flat around these numbers: see
// docs/adr/0005-blocks-of-large-products.md.

/// Bytes of C from which a product is large: it no longer stays in the second-level cache.
const LARGE: usize = 1 << 20;
/// Inner length of a block of a large product: a panel of B (16 KiB) and two tiles' rows of A (14 KiB) stay in the
/// first-level cache together. At 256 they do not, and three points of the peak are lost.
const DEPTH: usize = 128;
/// Inner length of a block where C is small: everything is near, and fewer passes over C win a few points.
const DEPTH_SMALL: usize = 512;
/// Inner length of a block of B that is packed for few rows: a panel of 32 KiB.
const DEPTH_FEW: usize = 256;
/// Bytes of a block of A of a large product, half of a second-level cache of 1 MiB: the fewer blocks, the fewer
/// times the panels of B come from afar.
const BLOCK_A: usize = 512 << 10;
/// Elements of a block of A where C is small: it shares the cache with C.
const BLOCK_A_SMALL: usize = 64 << 10;
/// Elements of a block of B: a part of the third-level cache.
const BLOCK_B: usize = 2 << 20;
/// Bytes of B up to which it is read where it lies, by however many rows: it stays in the second- and third-level
/// caches, and reading it costs less than packing.
const DIRECT_B: usize = 4 << 20;
/// Rows whose chains rest at a time. B is packed once for each group: a cost of one part in hundreds.
const GROUP: usize = 1024;
/// Bytes of the resting chains, which bounds the memory that a thread keeps.
const BLOCK_C: usize = 16 << 20;
/// How many panels are packed together: they stay in the second-level cache until they are used, and longer pieces
/// of each row of B are read.
const TOGETHER: usize = 4;

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
    [room_a, room_b, room_c]: [*mut T; 3],
) {
    let most = tile_rows(S::ISA, tile_vectors(S::ISA));
    // Without inner length there is one block of depth zero, which still stores and applies the epilogue.
    let depths = g.k.div_ceil(plan.depth).max(1);
    let mut col = 0;
    while col < g.n {
        let cols = plan.cols.min(g.n - col);
        for i in 0..g.m.div_ceil(plan.group) {
            let (top, group) = part(g.m, plan.group, i);
            for d in 0..depths {
                let (p, depth) = if g.k == 0 { (0, 0) } else { part(g.k, plan.depth, d) };
                for r in 0..group.div_ceil(plan.rows) {
                    let (below, rows) = part(group, plan.rows, r);
                    let row = top + below;
                    let mut a = g.a.at(row, p);
                    if plan.pack.a {
                        // SAFETY: the caller's promise.
                        unsafe { pack_a::<T, S>(rows, depth, most, a, room_a) }
                        a.ptr = room_a;
                    }
                    let width = panel_width::<T>();
                    let c = g.c.at(row, col);
                    let place = Place { ptr: c.ptr, row_stride: c.row_stride, panels: 1 };
                    let resting = Place {
                        ptr: room_c.wrapping_add(below * width),
                        row_stride: width as isize,
                        panels: group,
                    };
                    let to = if plan.rest && d + 1 < depths { resting } else { place };
                    let from = if d == 0 {
                        g.accumulate.then_some(place)
                    } else {
                        Some(if plan.rest { resting } else { place })
                    };
                    let column = Column {
                        rows,
                        tiles: 0..0,
                        depth,
                        a: a.ptr,
                        a_row: a.row_stride,
                        a_col: a.col_stride,
                        packed_a: plan.pack.a,
                        b: core::ptr::null(),
                        b_row: 0,
                        c: to.ptr,
                        c_row: to.row_stride,
                        lanes: 0,
                        from: core::ptr::null(),
                        from_row: from.map_or(to.row_stride, |from| from.row_stride),
                        ahead: Ahead::NOTHING,
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
                            passing: false,
                            ahead: plan.large,
                        },
                        Right::Matrix(b) if plan.pack.b => Panels {
                            b: MatRef {
                                ptr: room_b,
                                row_stride: panel_width::<T>() as isize,
                                col_stride: depth as isize,
                            },
                            room: (r == 0).then_some((b.at(p, col), room_b)),
                            packed: true,
                            passing: plan.passing,
                            ahead: plan.large,
                        },
                        Right::Matrix(b) => Panels {
                            b: b.at(p, col),
                            room: None,
                            packed: false,
                            passing: false,
                            ahead: false,
                        },
                    };
                    let finish = (d + 1 == depths).then_some((&g.epilogue, row, col));
                    // SAFETY: the caller's promise.
                    unsafe { right.each::<E, S>(cols, column, (from, to), finish) }
                }
            }
        }
        col += cols;
    }
}

/// How many tiles are finished before the epilogue passes over them.
const FINISHED: usize = 4;

/// Where chains rest: element (i, j) at `ptr + i * row_stride + j % W + (j / W) * W * panels`.
#[derive(Clone, Copy)]
struct Place<T> {
    ptr: *mut T,
    row_stride: isize,
    panels: usize,
}

impl<T> Place<T> {
    #[inline(always)]
    fn at(self, j: usize) -> *mut T {
        let within = j % panel_width::<T>();
        self.ptr.wrapping_add((j - within) * self.panels + within)
    }
}

/// The panels of a block of B.
struct Panels<T> {
    /// Where they are: packed, or in a matrix whose columns are one element apart. If packed, `col_stride` is
    /// the distance of panels divided by their width.
    b: MatRef<T>,
    /// What to pack the panels from and where, just before their first use.
    room: Option<(MatRef<T>, *mut T)>,
    packed: bool,
    /// See `Plan::passing`.
    passing: bool,
    /// Ask for the next panels while tiles run.
    ahead: bool,
}

impl<T: Scalar> Panels<T> {
    /// What the panels after the one at column `j` are read from, asked for while its tiles run: they come from the
    /// third-level cache or from memory, and the first tile of a panel would wait for them.
    #[inline(always)]
    fn ahead(&self, j: usize, cols: usize, together: usize, depth: usize) -> Ahead<T> {
        let width = panel_width::<T>();
        let next = if self.room.is_some() { j + together } else { j + width };
        if !self.ahead || next >= cols || !j.is_multiple_of(width) {
            return Ahead::NOTHING;
        }
        match self.room {
            None => Ahead::new(self.b.at(0, next).ptr, width as isize, depth, width),
            Some((from, _)) => {
                let cols = width.min(cols - next);
                let from = from.at(0, next);
                if from.col_stride == 1 {
                    Ahead::new(from.ptr, from.row_stride, depth, cols)
                } else if from.row_stride == 1 {
                    Ahead::new(from.ptr, from.col_stride, cols, depth)
                } else {
                    Ahead::NOTHING
                }
            }
        }
    }

    /// Runs a column of tiles for each panel, and the epilogue where the chains end.
    ///
    /// # Safety
    /// B, A and C are valid for the shape of the column and `cols` columns.
    #[inline(always)]
    unsafe fn each<E: Epilogue<T>, S: Simd>(
        &self,
        cols: usize,
        mut column: Column<T>,
        (chains, result): (Option<Place<T>>, Place<T>),
        finish: Option<(&E, usize, usize)>,
    ) {
        let lanes = T::V::<S>::LANES;
        let width = panel_width::<T>();
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
                    let to = if self.passing { to } else { to.add(j * column.depth) };
                    let together = together.min(cols - j);
                    pack_panels::<T, S>(column.depth, together, from.at(0, j), to);
                }
                column.b = if self.packed {
                    let within = j % width;
                    let panel = if self.passing { j % together } else { j };
                    self.b.at(0, panel - within).ptr.add(within)
                } else {
                    self.b.at(0, j).ptr
                };
                column.b_row = self.b.row_stride;
                column.from = chains.map_or(core::ptr::null(), |place| place.at(j).cast_const());
                column.c = result.at(j);
                column.ahead = self.ahead(j, cols, together, column.depth);
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
