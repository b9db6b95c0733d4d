//! A product with few columns, as the transposed product: Cᵀ = Bᵀ·Aᵀ.
//!
//! Lanes run along the rows of C then, which are many, and not along its columns, which would leave most lanes idle.
//! Factors of a product may change places without a change of its bits.

use core::mem::MaybeUninit;

use super::{Gemm, MatMut, MatRef, Right};
use crate::kernels::rows::MOST_LANES;
use crate::kernels::simd::{Kernel, Scalar, Simd, Vector};

/// Elements of a block of Cᵀ, on the stack.
const BLOCK: usize = 4096;

/// Whether turning the product pays.
///
/// In multiply-adds of a vector for each p, a row of C costs one, if it fits a vector, and little more than half of one,
/// if it fits half a vector that multiplies in less time; a vector of rows costs n when turned, and some more where it has
/// to be transposed first.
#[inline(always)]
pub(super) fn is_thin<T: Scalar, S: Simd>(g: &Gemm<T>) -> bool {
    let lanes = T::V::<S>::LANES;
    let half = S::HALVES && g.n <= lanes / 2;
    let (extra, least) = match (g.a.row_stride, g.n) {
        (1, _) => (0, 4),
        // Its result need not be turned back.
        (_, 1) => (3, 16),
        _ => (if half { 7 } else { 5 }, 16),
    };
    let tenths = if half { 5 } else { 8 };
    g.n < lanes
        && g.m >= lanes
        && g.k >= least
        && 10 * (g.n + extra) * g.m.div_ceil(lanes) < tenths * g.m
}

/// Columns at the end of a product that are multiplied turned, so that the others fill whole vectors; mostly none.
///
/// Up to a quarter of a vector costs less so, where the rows of A lie side by side and the chains are long enough to pay
/// for one more product: most of all for a layer of 17 units, or 33.
#[inline(always)]
pub(super) fn last_turned<T: Scalar, S: Simd>(g: &Gemm<T>) -> usize {
    let lanes = T::V::<S>::LANES;
    let last = g.n % lanes;
    let pays = g.a.row_stride == 1 && g.n > lanes && g.m >= lanes && g.k >= LONG;
    if pays && last <= lanes / 4 { last } else { 0 }
}

/// Chains of so many multiply-adds are long.
const LONG: usize = 64;

/// The product.
pub(super) struct Thin<'a, T>(pub(super) &'a Gemm<T>, pub(super) MatRef<T>);

impl<T: Scalar> Kernel for Thin<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self(g, b) = self;
        let lanes = T::V::<S>::LANES;
        let turned = |row: usize, rows: usize, c: MatMut<T>| Gemm {
            m: g.n,
            n: rows,
            k: g.k,
            a: b.transposed(),
            b: Right::Matrix(g.a.at(row, 0).transposed()),
            c,
            accumulate: g.accumulate,
            bias: None,
        };
        if g.n == 1 && g.c.row_stride == 1 && g.bias.is_none() {
            // One column without gaps is its own transpose.
            S::outlined(turned(0, g.m, MatMut { ptr: g.c.ptr, row_stride: g.m as isize }));
            return;
        }
        let mut block = [const { MaybeUninit::<T>::uninit() }; BLOCK];
        let mut stage = [const { MaybeUninit::<T>::uninit() }; MOST_LANES * MOST_LANES];
        let (block, stage) = (block.as_mut_ptr().cast::<T>(), stage.as_mut_ptr().cast::<T>());
        // Whole vectors: there are far fewer columns than elements in a block.
        let pitch = (BLOCK / g.n).min(g.m.next_multiple_of(lanes)) / lanes * lanes;
        let mut row = 0;
        while row < g.m {
            let rows = pitch.min(g.m - row);
            // SAFETY: the block holds n rows of `pitch` elements, and `rows <= pitch`. All of its elements that are read
            // below are written before: those of the product by the product, those that fill up its last vectors by the
            // first loop. The stage holds a vector for each lane; C has the rows and columns that are touched.
            unsafe {
                for j in 0..g.n {
                    T::V::<S>::constant(0.0)
                        .store(block.add(j * pitch + (rows - 1) / lanes * lanes));
                    if g.accumulate {
                        for i in 0..rows {
                            *block.add(j * pitch + i) = *g.c.at(row + i, j).ptr;
                        }
                    }
                }
                S::outlined(turned(row, rows, MatMut { ptr: block, row_stride: pitch as isize }));
                for start in (0..rows).step_by(lanes) {
                    let here = lanes.min(rows - start);
                    T::V::<S>::transpose(block.add(start), pitch as isize, g.n, stage, lanes, here);
                    for i in 0..here {
                        let mut v = T::V::<S>::load(stage.add(i * lanes));
                        if let Some(bias) = &g.bias {
                            v = bias.apply(v, 0, g.n);
                        }
                        v.store_first(g.c.at(row + start + i, 0).ptr, g.n);
                    }
                }
            }
            row += rows;
        }
    }
}
