//! Microkernels of the matrix product: a tile of C in registers, and a column of tiles.
//!
//! `c_ij <- fma(a_ip, b_pj, c_ij)` for ascending p: each element is one chain, and its order depends on nothing
//! else. A chain may rest in C between two blocks of p without a change of its value.

use super::bias::AddBias;
use crate::kernels::caches::{prefetch, prefetch_near};
use crate::kernels::simd::{Chain, Isa, Kernel, Scalar, Simd};

/// The tallest tile of any instruction set.
const TALLEST: usize = 14;

/// The body for each row `i < MR` of a tile. Loops of this length are not always unrolled, and the accumulators
/// are registers only when each has a constant index.
macro_rules! each_row {
    ($i:ident => $body:block) => {
        each_row!(@ $i $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident $body:block $($n:literal)*) => {$(
        if const { $n < MR } {
            let $i = $n;
            $body
        }
    )*};
}

/// Vectors in a row of an ordinary tile.
pub(super) const fn tile_vectors(isa: Isa) -> usize {
    match isa {
        Isa::Neon => 4,
        Isa::Avx512 | Isa::Avx2 | Isa::Portable => 2,
    }
}

/// The most vectors in a tile of one row: all accumulators in one row, so that a long piece of B is read at a time.
pub(super) const fn row_vectors(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 24,
        Isa::Avx2 => 12,
        Isa::Neon | Isa::Portable => 8,
    }
}

/// Rows of a tile `vectors` wide: its accumulators, a row of B and an element of A fill the registers.
pub(super) const fn tile_rows(isa: Isa, vectors: usize) -> usize {
    match (isa, vectors) {
        (Isa::Avx512, 1 | 2) => TALLEST,
        (Isa::Avx512 | Isa::Avx2, 3 | 4) => {
            if matches!(isa, Isa::Avx512) {
                6
            } else {
                3
            }
        }
        (Isa::Neon, 1..=4) | (Isa::Avx2, 1 | 2) => 6,
        (Isa::Portable, 1 | 2) => 4,
        (Isa::Avx512 | Isa::Neon, 5..=8) => 3,
        (Isa::Avx2, 5..=8) => 1,
        (_, wide) if wide > 8 && wide <= row_vectors(isa) => 1,
        _ => 0,
    }
}

/// How many parts of at most `most` there are in `len`. Most products are one part in every direction, and each
/// division that they are spared is a good part of their time.
#[inline(always)]
pub(super) fn parts(len: usize, most: usize) -> usize {
    if len <= most { usize::from(len > 0) } else { len.div_ceil(most) }
}

/// The block `i` of `len` cut into equal parts of at most `most`: where it starts, and its length.
///
/// Equal parts have no short last one, which would leave the multipliers idle.
#[inline(always)]
pub(super) fn part(len: usize, most: usize, i: usize) -> (usize, usize) {
    if len <= most {
        return (0, len);
    }
    let parts = len.div_ceil(most);
    let (base, longer) = (len / parts, len % parts);
    (i * base + i.min(longer), base + usize::from(i < longer))
}

/// A column of tiles: the product of `rows` rows of A with a panel of B.
pub(super) struct Column<T> {
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// The first element of A; `packed_a` says how the others follow.
    pub(super) a: *const T,
    pub(super) a_row: isize,
    pub(super) a_col: isize,
    /// A is packed: a tile's h rows are interleaved, h elements for each p.
    pub(super) packed_a: bool,
    pub(super) b: *const T,
    pub(super) b_row: isize,
    pub(super) c: *mut T,
    pub(super) c_row: isize,
    /// Columns that exist in the last vector of the panel.
    pub(super) lanes: usize,
    /// Where the chains rested, or null where they start. Not always C: see `Plan::rest`.
    pub(super) from: *const T,
    pub(super) from_row: isize,
    /// What is added where the chains end.
    pub(super) bias: Option<AddBias<T>>,
    /// What is read after this column, prefetched while its tiles run.
    pub(super) prefetch: Prefetch<T>,
}

/// Rows of memory that are prefetched, a share with each tile: all at once would fill the
/// queue of outstanding reads.
#[derive(Clone, Copy)]
pub(super) struct Prefetch<T> {
    from: *const T,
    row_stride: isize,
    rows: usize,
    /// Bytes of each row.
    bytes: usize,
}

impl<T> Prefetch<T> {
    pub(super) const NOTHING: Self =
        Self { from: core::ptr::null(), row_stride: 0, rows: 0, bytes: 0 };

    /// `rows` pieces of `len` elements.
    #[inline(always)]
    pub(super) fn new(from: *const T, row_stride: isize, rows: usize, len: usize) -> Self {
        Self { from, row_stride, rows, bytes: len * size_of::<T>() }
    }

    /// Prefetches the share of tile `i` of `tiles`.
    #[inline(always)]
    fn issue(&self, i: usize, tiles: usize) {
        let each = self.rows.div_ceil(tiles);
        for r in i * each..self.rows.min((i + 1) * each) {
            let row = self.from.wrapping_offset(r as isize * self.row_stride);
            prefetch_near(row, self.bytes);
        }
    }
}

/// Runs a column whose panel is `NV` vectors wide; with `EDGE`, B has no more than `lanes` columns in the last.
pub(super) struct RunColumn<'a, T, const NV: usize, const EDGE: bool>(pub(super) &'a Column<T>);

impl<T: Scalar, const NV: usize, const EDGE: bool> Kernel for RunColumn<'_, T, NV, EDGE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        run_tiles::<T::V<S>, S, NV, EDGE>(self.0);
    }
}

/// Runs a column of no more than half a vector.
pub(super) struct RunHalf<'a, T>(pub(super) &'a Column<T>);

impl<T: Scalar> Kernel for RunHalf<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        run_tiles::<T::Half<S>, S, 1, true>(self.0);
    }
}

/// Runs the tiles of a column that is `NV` of these vectors wide.
#[inline(always)]
fn run_tiles<C: Chain, S: Simd, const NV: usize, const EDGE: bool>(column: &Column<C::Elem>) {
    let most = const { tile_rows(S::ISA, NV) };
    let tiles = parts(column.rows, most);
    let (base, longer) =
        if tiles == 1 { (column.rows, 0) } else { (column.rows / tiles, column.rows % tiles) };
    for i in 0..tiles {
        // As in `part`.
        let (start, height) = (i * base + i.min(longer), base + usize::from(i < longer));
        if column.prefetch.rows > 0 {
            column.prefetch.issue(i, tiles);
        }
        let tile = Tile::<C, NV, EDGE> { column, start };
        macro_rules! each_height {
            ($($rows:literal)*) => {
                match height {
                    $($rows if const { tile_rows(S::ISA, NV) >= $rows } => tile.run::<$rows>(),)*
                    _ => unreachable!("a part is at most as long as asked"),
                }
            };
        }
        // SAFETY: the caller vouches for the column, and the tile is a part of it. The guards are
        // constants: tiles that the instruction set has no registers for are not compiled.
        unsafe {
            each_height!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        }
    }
}

/// One tile of a column, from row `start`.
struct Tile<'a, C: Chain, const NV: usize, const EDGE: bool> {
    column: &'a Column<C::Elem>,
    start: usize,
}

#[allow(clippy::needless_range_loop, reason = "tiles read as index equations")]
impl<C: Chain, const NV: usize, const EDGE: bool> Tile<'_, C, NV, EDGE> {
    /// # Safety
    /// `MR` rows from `start` on exist in the column, and its pointers and strides are valid for them.
    #[inline(always)]
    unsafe fn run<const MR: usize>(&self) {
        let t = self.column;
        let lanes = C::WIDTH;
        let mut acc = [[C::zero(); NV]; MR];
        let (c_row, from_row) = (here(t.c_row), here(t.from_row));
        // SAFETY: the caller's promise; vector v of row i starts at column v * lanes of the panel, and only
        // the columns that exist are touched.
        unsafe {
            let c = t.c.offset(self.start as isize * c_row);
            if !t.from.is_null() {
                let from = t.from.offset(self.start as isize * from_row);
                each_row!(i => {
                    for v in 0..NV {
                        let p = from.offset(i as isize * from_row).add(v * lanes);
                        acc[i][v] = C::read(p, self.lanes_of(v));
                    }
                });
            }
            let more = self.start + MR < t.rows;
            if more {
                each_row!(i => {
                    for v in 0..NV {
                        // The next tile's place in C, which this one's multiplications give time to come.
                        prefetch(c.wrapping_offset((MR + i) as isize * c_row).wrapping_add(v * lanes));
                    }
                });
            }
            if more && from_row != c_row {
                // The chains rested elsewhere: the same for them.
                let from = t.from.wrapping_offset(self.start as isize * from_row);
                each_row!(i => {
                    for v in 0..NV {
                        prefetch(from.wrapping_offset((MR + i) as isize * from_row).wrapping_add(v * lanes));
                    }
                });
            }
            acc = self.multiply(acc);
            if let Some(bias) = &t.bias {
                for v in 0..NV {
                    let lanes = self.lanes_of(v);
                    each_row!(i => { acc[i][v] = bias.apply(acc[i][v], v * C::WIDTH, lanes); });
                }
            }
            each_row!(i => {
                for v in 0..NV {
                    let p = c.offset(i as isize * c_row).add(v * lanes);
                    acc[i][v].write(p, self.lanes_of(v));
                }
            });
        }
    }

    /// Columns that exist in vector `v`.
    #[inline(always)]
    fn lanes_of(&self, v: usize) -> usize {
        if v + 1 == NV { self.column.lanes } else { C::WIDTH }
    }

    /// The chains of a tile over the depth of the block.
    ///
    /// # Safety
    /// As for [`Self::run`].
    #[inline(always)]
    unsafe fn multiply<const MR: usize>(&self, mut acc: [[C; NV]; MR]) -> [[C; NV]; MR] {
        let t = self.column;
        let lanes = C::WIDTH;
        // SAFETY: the caller's promise: rows start..start + MR of A and the panel of B exist for each p below
        // `depth`. Pointers are moved by wrapping arithmetic, since after the last p they point nowhere.
        unsafe {
            let (a, a_row, a_col) = if t.packed_a {
                (t.a.add(self.start * t.depth), 1, MR as isize)
            } else {
                (t.a.offset(self.start as isize * t.a_row), here(t.a_row), t.a_col)
            };
            // A pointer for every three rows: the others are reached by scaled addressing, so that the
            // pointers of a tile fit the registers.
            let mut a_rows = [a; TALLEST.div_ceil(3)];
            for (g, p) in a_rows.iter_mut().enumerate() {
                *p = opaque(a.wrapping_offset(3 * g as isize * a_row));
            }
            let mut b = t.b;
            for _ in 0..t.depth {
                let mut row = [C::zero(); NV];
                for v in 0..NV {
                    row[v] = if EDGE && v + 1 == NV {
                        C::read_first(b.add(v * lanes), t.lanes)
                    } else {
                        C::read_all(b.add(v * lanes))
                    };
                }
                each_row!(i => {
                    let x = C::all(*a_rows[i / 3].offset((i % 3) as isize * a_row));
                    for v in 0..NV {
                        acc[i][v] = acc[i][v].add_product(x, row[v]);
                    }
                });
                for p in &mut a_rows[..MR.div_ceil(3)] {
                    *p = p.wrapping_offset(a_col);
                }
                b = b.wrapping_offset(t.b_row);
            }
        }
        acc
    }
}

/// The same pointer, of whose origin the compiler knows nothing: it would rather walk one pointer from row to row,
/// and that chain of additions takes as long as the multiplications.
#[inline(always)]
fn opaque<T>(mut p: *const T) -> *const T {
    // SAFETY: no instructions.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) p, options(pure, readonly, nostack, preserves_flags));
    }
    p
}

/// The same number, of which the compiler knows nothing before this point: it would rather compute the multiples of a
/// stride for tiles of all heights before the first tile, which takes longer than a small tile.
#[inline(always)]
pub(super) fn here(mut stride: isize) -> isize {
    // SAFETY: no instructions.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) stride, options(nomem, nostack, preserves_flags));
    }
    stride
}
