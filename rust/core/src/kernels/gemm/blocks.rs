//! Cache blocking of a matrix product, and the packing of the blocks.

use super::bias::AddBias;
use super::pack::{pack_a, pack_panels, packed_len, panel_width};
use super::plan::{Plan, TOGETHER, is_direct, widest};
use super::thin::{Thin, is_thin, last_turned};
use super::tile::{Column, Prefetch, RunColumn, RunHalf, part, parts, tile_rows, tile_vectors};
use super::{Gemm, MatRef, Right};
use crate::kernels::scratch::Room;
use crate::kernels::simd::{Isa, Kernel, Scalar, Simd, Vector};

/// The product.
///
/// # Safety
/// The promise of `gemm`; there are rows and columns.
#[inline(always)]
pub(super) unsafe fn run<T: Scalar, S: Simd>(g: &Gemm<T>) {
    if let Right::Matrix(b) = g.b {
        if is_thin::<T, S>(g) {
            S::outlined(Thin(g, b));
            return;
        }
        let last = last_turned::<T, S>(g);
        if last > 0 {
            let col = g.n - last;
            let bias = g.bias.map(|bias| bias.at(col));
            let whole = Gemm { n: col, ..*g };
            let rest = Gemm { n: last, c: g.c.at(0, col), bias, ..*g };
            S::outlined(whole);
            S::outlined(Thin(&rest, b.at(0, col)));
            return;
        }
        if is_direct::<T, S>(g, b) {
            // SAFETY: the caller's promise.
            unsafe { direct::<T, S>(g, b) }
            return;
        }
    }
    S::outlined(Blocked(g));
}

/// One block as it lies. For small products, planning more would take as long as multiplying.
///
/// # Safety
/// The promise of `gemm`; there are rows and columns, and B's columns are one element apart.
#[inline(always)]
unsafe fn direct<T: Scalar, S: Simd>(g: &Gemm<T>, b: MatRef<T>) {
    let column = Column {
        rows: g.m,
        depth: g.k,
        a: g.a.ptr,
        a_row: g.a.row_stride,
        a_col: g.a.col_stride,
        packed_a: false,
        b: core::ptr::null(),
        b_row: 0,
        c: g.c.ptr,
        c_row: g.c.row_stride,
        lanes: 0,
        from: core::ptr::null(),
        from_row: g.c.row_stride,
        bias: None,
        prefetch: Prefetch::NOTHING,
    };
    let panels = Panels {
        b,
        room: None,
        width: panel_width::<T>(),
        packed: false,
        passing: false,
        prefetches: false,
    };
    let place = Place { ptr: g.c.ptr, row_stride: g.c.row_stride, panels: 1 };
    let from = g.accumulate.then_some(place);
    // SAFETY: the caller's promise.
    unsafe { panels.each::<S>(g.n, column, (from, place), g.bias) }
}

/// A product of several blocks, or with packed factors, in a function of its own: it needs more room on the stack
/// than the small ones should pay for.
struct Blocked<'a, T>(&'a Gemm<T>);

impl<T: Scalar> Kernel for Blocked<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let g = self.0;
        let plan = Plan::new::<T, S>(g);
        // One vector more: packing writes whole vectors.
        let room_a = if plan.pack.a { plan.rows * plan.depth + T::V::<S>::LANES } else { 0 };
        let room_b = if plan.pack.b {
            let cols = if plan.passing { TOGETHER * plan.width } else { plan.cols };
            plan.depth * cols.min(plan.cols).next_multiple_of(plan.width)
        } else {
            0
        };
        let room_c = if plan.rest { packed_len::<T>(plan.group, plan.cols) } else { 0 };
        let room = Room::new::<T>([room_a, room_b, room_c]);
        // SAFETY: the promise of `gemm`, and room for the blocks of the plan.
        unsafe { blocks::<T, S>(g, &plan, room.parts()) }
    }
}

/// All blocks of a product: columns outside, then the inner index (whose chains rest in C), then rows.
///
/// # Safety
/// The promise of `gemm`; the rooms hold the blocks of A and B that the plan packs.
#[inline(always)]
unsafe fn blocks<T: Scalar, S: Simd>(
    g: &Gemm<T>,
    plan: &Plan,
    [room_a, room_b, room_c]: [*mut T; 3],
) {
    let most = tile_rows(S::ISA, tile_vectors(S::ISA));
    // Without inner length there is one block of depth zero, which still stores and adds the bias.
    let depths = parts(g.k, plan.depth).max(1);
    let mut col = 0;
    while col < g.n {
        let cols = plan.cols.min(g.n - col);
        for i in 0..parts(g.m, plan.group) {
            let (top, group) = part(g.m, plan.group, i);
            for d in 0..depths {
                let (p, depth) = if g.k == 0 { (0, 0) } else { part(g.k, plan.depth, d) };
                for r in 0..parts(group, plan.rows) {
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
                        bias: None,
                        prefetch: Prefetch::NOTHING,
                    };
                    let right = match g.b {
                        Right::Packed(b) => Panels {
                            b: MatRef {
                                ptr: b.ptr.wrapping_add(col * b.k + p * panel_width::<T>()),
                                row_stride: panel_width::<T>() as isize,
                                col_stride: b.k as isize,
                            },
                            room: None,
                            width,
                            packed: true,
                            passing: false,
                            prefetches: plan.large,
                        },
                        Right::Matrix(b) if plan.pack.b => Panels {
                            b: MatRef {
                                ptr: room_b,
                                row_stride: plan.width as isize,
                                col_stride: depth as isize,
                            },
                            room: (r == 0).then_some((b.at(p, col), room_b)),
                            width: plan.width,
                            packed: true,
                            passing: plan.passing,
                            prefetches: plan.large,
                        },
                        Right::Matrix(b) => Panels {
                            b: b.at(p, col),
                            room: None,
                            width,
                            packed: false,
                            passing: false,
                            prefetches: plan.stream,
                        },
                    };
                    let bias = g.bias.filter(|_| d + 1 == depths).map(|bias| bias.at(col));
                    // SAFETY: the caller's promise.
                    unsafe { right.each::<S>(cols, column, (from, to), bias) }
                }
            }
        }
        col += cols;
    }
}

/// So many rows keep the multipliers busy with one vector each: a shorter tile waits for its chains.
const ENOUGH_ROWS: usize = 8;

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
    /// Columns of a panel.
    width: usize,
    packed: bool,
    /// See `Plan::passing`.
    passing: bool,
    /// Prefetch the next panels while tiles run.
    prefetches: bool,
}

impl<T: Scalar> Panels<T> {
    /// What the panels after the one at column `j` are read from, prefetched while its tiles run: they come from the
    /// third-level cache or from memory, and the first tile of a panel would wait for them.
    #[inline(always)]
    fn prefetch(
        &self,
        j: usize,
        cols: usize,
        together: usize,
        depth: usize,
        here: usize,
    ) -> Prefetch<T> {
        if !self.packed {
            let next = j + 2 * here;
            if !self.prefetches || next >= cols {
                return Prefetch::NOTHING;
            }
            return Prefetch::new(
                self.b.at(0, next).ptr,
                self.b.row_stride,
                depth,
                here.min(cols - next),
            );
        }
        let width = self.width;
        let next = if self.room.is_some() { j + together } else { j + width };
        if !self.prefetches || next >= cols || !j.is_multiple_of(width) {
            return Prefetch::NOTHING;
        }
        match self.room {
            None => Prefetch::new(self.b.at(0, next).ptr, width as isize, depth, width),
            Some((from, _)) => {
                let cols = width.min(cols - next);
                let from = from.at(0, next);
                if from.col_stride == 1 {
                    Prefetch::new(from.ptr, from.row_stride, depth, cols)
                } else if from.row_stride == 1 {
                    Prefetch::new(from.ptr, from.col_stride, cols, depth)
                } else {
                    Prefetch::NOTHING
                }
            }
        }
    }

    /// Runs a column of tiles for each panel; with a bias where the chains end.
    ///
    /// # Safety
    /// B, A and C are valid for the shape of the column and `cols` columns.
    #[inline(always)]
    unsafe fn each<S: Simd>(
        &self,
        cols: usize,
        mut column: Column<T>,
        (chains, result): (Option<Place<T>>, Place<T>),
        bias: Option<AddBias<T>>,
    ) {
        let lanes = T::V::<S>::LANES;
        let width = self.width;
        // Transposed panels are packed one by one: nothing is gained by more, and one stays nearer.
        let together = match self.room {
            Some((from, _)) if from.col_stride == 1 => TOGETHER * width,
            _ => width,
        };
        let mut j = 0;
        while j < cols {
            let left = (cols - j).div_ceil(lanes);
            let vectors = if self.packed && width == panel_width::<T>() {
                left.min(tile_vectors(S::ISA))
            } else {
                widest(S::ISA, column.rows, left)
            };
            // Few columns more than a vector are worth a pass of their own, half a vector wide.
            let ends_in_half = S::HALVES && (left - 1) * lanes + lanes / 2 >= cols - j;
            let apart = ends_in_half && vectors == 2 && left == 2 && column.rows >= ENOUGH_ROWS;
            let vectors = if apart { 1 } else { vectors };
            let half = ends_in_half && left == 1;
            let here = (cols - j).min(vectors * lanes);
            // SAFETY: the caller's promise, for columns j..j + here.
            unsafe {
                if let Some((from, to)) = self.room
                    && j.is_multiple_of(together)
                {
                    let to = if self.passing { to } else { to.add(j * column.depth) };
                    let together = together.min(cols - j);
                    pack_panels::<T, S>(column.depth, together, width, from.at(0, j), to);
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
                column.prefetch = self.prefetch(j, cols, together, column.depth, here);
                column.lanes = here - (vectors - 1) * lanes;
                let edge = !self.packed && column.lanes < lanes;
                column.bias = bias.map(|bias| bias.at(j));
                run_column::<T, S>(&column, vectors, half, edge);
            }
            j += here;
        }
    }
}

/// # Safety
/// The column is valid, and `vectors` wide, or up to half a vector.
#[inline(always)]
unsafe fn run_column<T: Scalar, S: Simd>(
    column: &Column<T>,
    vectors: usize,
    half: bool,
    edge: bool,
) {
    if const { S::HALVES } && half {
        S::outlined(RunHalf(column));
        return;
    }
    // Guards are constants: what an instruction set does not use is not compiled for it. On AVX-512 a masked load
    // costs nothing more, and edges need no code of their own.
    macro_rules! of_width {
        ($($n:literal)*) => {
            match vectors {
                $($n if const { tile_rows(S::ISA, $n) > 0 } => either::<T, S, $n>(column, edge),)*
                _ => unreachable!("no tile is {vectors} vectors wide"),
            }
        };
    }
    of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24);
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
