//! Packing of matrices: copies with the elements in the order in which the microkernels read them.
//!
//! B is packed in panels of [`panel_width`] columns, the same on every instruction set: element (p, j) of a matrix
//! with k rows lies at `(j / W) * k * W + p * W + j % W`, and columns that fill the last panel up are zero.

use core::mem::MaybeUninit;

use super::MatRef;
use super::tile::{here, part};
use crate::kernels::caches::prefetch;
use crate::kernels::rows::MOST_LANES;
use crate::kernels::simd::{Chain, Kernel, Scalar, Simd, Vector, dispatch};

/// Columns of a panel: 128 bytes, two cache lines.
pub const fn panel_width<T>() -> usize {
    128 / size_of::<T>()
}

/// Elements that a packed matrix of k rows and n columns takes.
pub const fn packed_len<T>(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(panel_width::<T>())
}

/// A matrix in panels (see the module).
#[derive(Clone, Copy, Debug)]
pub struct PackedB<T> {
    /// The first panel.
    pub ptr: *const T,
    /// Rows of the whole matrix.
    pub k: usize,
}

impl<T> PackedB<T> {
    /// The matrix from column `col` on, which starts a panel.
    ///
    /// # Panics
    /// Where `col` starts none.
    #[must_use]
    pub fn columns_from(self, col: usize) -> Self {
        assert!(col.is_multiple_of(panel_width::<T>()), "column {col} starts no panel");
        Self { ptr: self.ptr.wrapping_add(col * self.k), k: self.k }
    }
}

/// Packs a matrix of k rows and n columns into `to`.
///
/// # Safety
/// `b` is valid for reading k rows of n columns, `to` for writing [`packed_len`] elements, and they are apart.
pub unsafe fn pack_b<T: Scalar>(k: usize, n: usize, b: MatRef<T>, to: *mut T) {
    struct PackAll<T>(usize, usize, MatRef<T>, *mut T);
    impl<T: Scalar> Kernel for PackAll<T> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Self(k, n, b, to) = self;
            let width = panel_width::<T>();
            let whole = n / width * width;
            // SAFETY: the promise of pack_b.
            unsafe {
                pack_panels::<T, S>(k, n, width, b, to);
                if whole < n {
                    for p in 0..k {
                        for j in n - whole..width {
                            *to.add(whole * k + p * width + j) = T::zero();
                        }
                    }
                }
            }
        }
    }
    dispatch(PackAll(k, n, b, to));
}

/// Packs k rows of `cols` columns in panels of `width`, whole vectors. What fills up the last vector is finite where the matrix is.
///
/// # Safety
/// `b` is valid for reading k rows of `cols` columns, `to` for writing k rows of whole panels.
#[inline(always)]
pub(super) unsafe fn pack_panels<T: Scalar, S: Simd>(
    k: usize,
    cols: usize,
    width: usize,
    b: MatRef<T>,
    to: *mut T,
) {
    // The columns of B are the rows that are interleaved. The width is a multiple of the lanes, so whole stores
    // stay in their row of the panel.
    S::outlined(Interleave { len: k, count: cols, width, from: b.transposed(), to, pitch: width });
}

/// Packs rows of A for tiles of at most `most` rows: for each tile of h rows and each p, h elements.
///
/// # Safety
/// `a` is valid for reading `rows` rows of k columns, `to` for writing `rows * k` elements and one vector more.
#[inline(always)]
pub(super) unsafe fn pack_a<T: Scalar, S: Simd>(
    rows: usize,
    k: usize,
    most: usize,
    a: MatRef<T>,
    to: *mut T,
) {
    let tiles = rows.div_ceil(most);
    let mut i = 0;
    while i < tiles {
        let (start, height) = part(rows, most, i);
        // Rows that lie side by side are read for all tiles of one height at once: for one after the other, lines at
        // distances of whole pages would be read piece by piece, and lose their place in the cache between.
        let mut next = i + 1;
        while a.row_stride == 1 && next < tiles && part(rows, most, next).1 == height {
            next += 1;
        }
        // SAFETY: the caller's promise. What a whole store writes too much lies at the next p or, after the last one, in
        // a tile that is written later, or in the spare vector.
        unsafe {
            let (from, to) = (a.at(start, 0), to.add(start * k));
            let count = (next - i) * height;
            S::outlined(Interleave { len: k, count, width: height, from, to, pitch: height });
        }
        i = next;
    }
}
/// `to[r / width * width * len + p * pitch + r % width] = from(r, p)` for r < count and p < len, by whole vectors of r.
///
/// It runs in a function of its own (there are many cases, and many callers), under this promise: `from` is valid for
/// reading `count` rows of `len` columns; `to` is valid for writing `width` elements, rounded up to whole vectors, at
/// each p, and those may be lost that belong to a later p.
struct Interleave<T> {
    len: usize,
    count: usize,
    width: usize,
    from: MatRef<T>,
    to: *mut T,
    pitch: usize,
}

impl<T: Scalar> Kernel for Interleave<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: the promise of the struct; each panel is a part of it.
        unsafe {
            if self.from.row_stride == 1 {
                self.copy::<S>();
                return;
            }
            for start in (0..self.count).step_by(self.width) {
                let panel = Self {
                    count: self.width.min(self.count - start),
                    from: self.from.at(start, 0),
                    to: self.to.add(start * self.len),
                    ..self
                };
                if self.from.col_stride == 1 {
                    panel.transpose::<S>();
                } else {
                    panel.gather::<S>();
                }
            }
        }
    }
}

/// Prefetch distance, in steps of p: rows of a large matrix lie in different pages, where no hardware prefetcher looks.
const AHEAD: usize = 8;

impl<T: Scalar> Interleave<T> {
    /// All panels side by side, since their elements for one p are neighbours.
    ///
    /// # Safety
    /// The promise of the struct, with rows one element apart.
    #[inline(always)]
    unsafe fn copy<S: Simd>(&self) {
        let lanes = T::V::<S>::LANES;
        for p in 0..self.len {
            for start in (0..self.count).step_by(self.width) {
                let count = self.width.min(self.count - start);
                let from = self.from.at(start, p).ptr;
                // From the end: what a whole store writes too much at the next p is repaired there.
                let mut r = count.next_multiple_of(lanes);
                while r > 0 {
                    r -= lanes;
                    prefetch(self.from.at(start + r, p + AHEAD).ptr);
                    // SAFETY: rows from start + r on exist up to `count`. After the last p the next panel follows, whose
                    // first elements are there already.
                    unsafe {
                        let v = T::V::<S>::read(from.add(r), count - r);
                        let to = self.to.add(start * self.len + p * self.pitch + r);
                        if p + 1 == self.len {
                            v.write(to, self.pitch - r);
                        } else {
                            v.store(to);
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// The promise of the struct for one panel, with columns one element apart.
    #[inline(always)]
    unsafe fn transpose<S: Simd>(&self) {
        let lanes = T::V::<S>::LANES;
        let mut stage = [const { MaybeUninit::<T>::uninit() }; MOST_LANES * MOST_LANES];
        let cols = lanes.min(self.len);
        let mut r = self.count.next_multiple_of(lanes);
        // Along few rows at a time: more streams than those no hardware prefetcher follows.
        while r > 0 {
            r -= lanes;
            let rows = lanes.min(self.count - r);
            for p in (0..self.len).step_by(lanes) {
                // The last block overlaps the one before it: what it writes twice is the same.
                let p = if self.len < lanes { 0 } else { p.min(self.len - lanes) };
                // SAFETY: the block's rows and columns exist; where it has fewer columns than a vector has
                // lanes, its rows are staged where whole vectors can be read.
                unsafe {
                    let to = self.to.add(p * self.pitch + r);
                    let block = self.from.at(r, p);
                    if cols == lanes {
                        let (from, stride) = (block.ptr, here(block.row_stride));
                        T::V::<S>::transpose(from, stride, rows, to, self.pitch, cols);
                    } else {
                        let staged = stage.as_mut_ptr().cast::<T>();
                        for i in 0..rows {
                            T::V::<S>::load_first(block.at(i, 0).ptr, cols)
                                .store(staged.add(i * lanes));
                        }
                        T::V::<S>::transpose(staged, lanes as isize, rows, to, self.pitch, cols);
                    }
                }
            }
        }
    }

    /// # Safety
    /// The promise of the struct for one panel.
    #[inline(always)]
    unsafe fn gather<S: Simd>(&self) {
        for p in 0..self.len {
            for r in 0..self.count.next_multiple_of(T::V::<S>::LANES) {
                // SAFETY: the row exists: the last one fills the vector up.
                unsafe {
                    *self.to.add(p * self.pitch + r) = *self.from.at(r.min(self.count - 1), p).ptr;
                }
            }
        }
    }
}
