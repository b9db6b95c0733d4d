//! What is measured of tensors while they train: moments, shares and spreads down their columns; norms; how far updates go.
//!
//! Sums of a few elements are taken in the type of these, in which a vector holds more of them; where squares overflow or
//! vanish in it, or elements are not finite, everything is taken in `f64`.

mod columns;
mod norms;
mod updates;

pub use columns::{BLOCK, Columns, Summary, summarize};
pub use norms::{norm, norm_of};
pub use updates::{Cut, PIECE, join_updates, measure_update};

use super::simd::Scalar;

/// Below this, squares of `f32` may have vanished from a sum, which is nothing to one above it.
const VANISHING: f64 = 1e-30;
/// The same of `f64`.
const SMALL: f64 = 1e-200;

/// Elements as `f64`.
#[inline(always)]
fn widen<T: Scalar + Into<f64>>(x: &[T], to: &mut [f64]) {
    for (to, &x) in to.iter_mut().zip(x) {
        *to = x.into();
    }
}
