//! Random masks, computed where they are used.
//!
//! Element `i` of a draw looks at word `i / B % 4` of block `i / 4B · B + i % B`: so `B` neighbours take the same
//! word of `B` neighbouring blocks, as vectors compute them, and nothing is rearranged.

use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};
use crate::rng::{Key, philox_blocks};

/// Blocks that are computed side by side: several vectors of any instruction set, which wait less for each other.
const B: usize = 32;
/// Elements that they decide about.
const SPAN: usize = 4 * B;

/// Which elements survive.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    /// Seed and stream.
    pub key: Key,
    /// The number of the draw.
    pub draw: u64,
    /// The share of the elements that is dropped, from 0 to 1.
    pub rate: f64,
}

struct Apply<'a, T> {
    mask: Mask,
    first: u64,
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Scalar> Kernel for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { mask, mut first, mut x, mut out } = self;
        let key = mask.key.words();
        // Dropped are as many of the 2^32 words as come nearest to the rate: those below `lowest`, or all of them.
        let dropped = (mask.rate * 4_294_967_296.0).round() as u64;
        let Ok(lowest) = u32::try_from(dropped) else {
            out.fill(T::zero());
            return;
        };
        let scale = T::from(1.0 / (1.0 - mask.rate)).unwrap_or_else(T::zero);
        while !x.is_empty() {
            let skip = (first % SPAN as u64) as usize;
            let block = first / SPAN as u64 * B as u64;
            let words = philox_blocks::<S, B>(key, mask.draw, block);
            let len = (SPAN - skip).min(x.len());
            if len == SPAN {
                // SAFETY: there are as many elements as words, and lanes divide them.
                unsafe {
                    apply_span::<T::V<S>>(&words, lowest, scale, x.as_ptr(), out.as_mut_ptr());
                }
            } else {
                for (i, (x, out)) in x[..len].iter().zip(&mut out[..len]).enumerate() {
                    let kept = words[(skip + i) / B][(skip + i) % B] >= lowest;
                    *out = if kept { *x * scale } else { T::zero() };
                }
            }
            x = &x[len..];
            out = &mut out[len..];
            first += len as u64;
        }
    }
}

/// Drops or scales a whole span.
///
/// # Safety
/// `x` is valid for reading and `out` for writing `SPAN` elements.
#[inline(always)]
unsafe fn apply_span<V: Vector>(
    words: &[[u32; B]; 4],
    lowest: u32,
    scale: V::Elem,
    x: *const V::Elem,
    out: *mut V::Elem,
) {
    let words = words.as_flattened().as_ptr();
    let (scale, zero) = (V::splat(scale), V::constant(0.0));
    for at in (0..SPAN).step_by(V::LANES) {
        // SAFETY: the caller's promise; lanes divide a span.
        unsafe {
            let kept = V::at_least(words.add(at), lowest);
            V::select(kept, V::load(x.add(at)) * scale, zero).store(out.add(at));
        }
    }
}

/// The elements from `first` on, each either dropped to zero or divided by what survives on average.
///
/// # Panics
/// Where the slices differ in length.
pub fn apply<T: Scalar>(mask: Mask, first: u64, x: &[T], out: &mut [T]) {
    assert_eq!(x.len(), out.len());
    dispatch(Apply { mask, first, x, out });
}
