//! Probability laws: how the generator's words become values.

use core::f64::consts::PI;

use super::{Key, philox_blocks};
use crate::kernels::math::{Real, VectorMath};
use crate::kernels::simd::{Kernel, Scalar, Simd, Vector};

/// How many blocks a kernel computes at once.
const BLOCKS: usize = 32;
/// The most values they give.
pub(super) const BATCH: usize = 4 * BLOCKS;

type Words = [[u32; BLOCKS]; 4];

/// A scalar that random words turn into.
pub trait Random: Scalar + Real {
    /// As many random bits as one value uses.
    type Word: Copy + Default;
    /// How many values a block gives.
    const PER_BLOCK: usize;

    /// The `which`-th value's bits of each block.
    fn words(words: &Words, which: usize) -> [Self::Word; BLOCKS];
    /// Uniform in `[0, 1)`: 24 bits for `f32`, 53 for `f64`.
    fn unit(word: Self::Word) -> Self;
    /// Uniform in `(0, 1]`, small values with all the word's bits.
    fn positive(word: Self::Word) -> Self;
    /// Uniform in `[-1, 1]`, small values with all the word's bits.
    fn signed(word: Self::Word) -> Self;
}

impl Random for f32 {
    type Word = u32;
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn words(words: &Words, which: usize) -> [u32; BLOCKS] {
        words[which]
    }
    #[inline(always)]
    fn unit(word: u32) -> Self {
        const SCALE: f32 = 1.0 / (1 << 24) as f32;
        // 24 bits fit a signed integer, whose conversion every instruction set has.
        ((word >> 8) as i32) as Self * SCALE
    }
    #[inline(always)]
    fn positive(word: u32) -> Self {
        const SCALE: f32 = 1.0 / (1_u64 << 32) as f32;
        (word as Self + 0.5) * SCALE
    }
    #[inline(always)]
    fn signed(word: u32) -> Self {
        const SCALE: f32 = 1.0 / (1_u32 << 31) as f32;
        (word as i32) as Self * SCALE
    }
}

impl Random for f64 {
    type Word = u64;
    const PER_BLOCK: usize = 2;

    #[inline(always)]
    fn words(words: &Words, which: usize) -> [u64; BLOCKS] {
        let (high, low) = (&words[2 * which], &words[2 * which + 1]);
        core::array::from_fn(|j| (u64::from(high[j]) << 32) | u64::from(low[j]))
    }
    #[inline(always)]
    fn unit(word: u64) -> Self {
        const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
        (word >> 11) as Self * SCALE
    }
    #[inline(always)]
    fn positive(word: u64) -> Self {
        const SCALE: f64 = 1.0 / (1_u128 << 64) as f64;
        (word as Self + 0.5) * SCALE
    }
    #[inline(always)]
    fn signed(word: u64) -> Self {
        const SCALE: f64 = 1.0 / (1_u64 << 63) as f64;
        (word as i64) as Self * SCALE
    }
}

/// A probability law: how the words of a batch of blocks become values.
pub(super) trait Law<E>: Copy {
    /// How many values a block gives.
    const PER_BLOCK: usize;
    /// Writes the values of all blocks, in the order of the elements.
    fn values<S: Simd>(self, words: &Words, out: &mut [E; BATCH]);
}

/// Fills a range of elements.
pub(super) struct Fill<'a, E, L> {
    pub(super) law: L,
    pub(super) key: Key,
    pub(super) draw: u64,
    pub(super) first: u64,
    pub(super) out: &'a mut [E],
}

impl<E: Copy + Default, L: Law<E>> Kernel for Fill<'_, E, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { law, key, draw, first, mut out } = self;
        let key = key.words();
        let mut values = [E::default(); BATCH];
        let mut block = first / L::PER_BLOCK as u64;
        let mut skip = (first % L::PER_BLOCK as u64) as usize;
        while !out.is_empty() {
            law.values::<S>(&philox_blocks::<S, BLOCKS>(key, draw, block), &mut values);
            let batch = &values[skip..BLOCKS * L::PER_BLOCK];
            let (head, rest) = out.split_at_mut(batch.len().min(out.len()));
            head.copy_from_slice(&batch[..head.len()]);
            out = rest;
            skip = 0;
            block = block.wrapping_add(BLOCKS as u64);
        }
    }
}

/// Puts the `which`-th value of each block in its place.
#[inline(always)]
fn interleave<E: Copy>(values: &[E; BLOCKS], which: usize, per_block: usize, out: &mut [E; BATCH]) {
    for (out, &value) in out.chunks_exact_mut(per_block).zip(values) {
        out[which] = value;
    }
}

/// Applies a function of vectors to the values of a batch.
#[inline(always)]
fn map<T: Random, S: Simd>(x: &mut [T; BLOCKS], f: impl Fn(T::V<S>) -> T::V<S>) {
    for chunk in x.chunks_exact_mut(T::V::<S>::LANES) {
        // SAFETY: the chunk has LANES elements; BLOCKS is a multiple of them.
        unsafe { f(T::V::<S>::load(chunk.as_ptr())).store(chunk.as_mut_ptr()) };
    }
}

#[derive(Clone, Copy)]
pub(super) struct Bits;

impl Law<u32> for Bits {
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn values<S: Simd>(self, words: &Words, out: &mut [u32; BATCH]) {
        for (which, words) in words.iter().enumerate() {
            interleave(words, which, 4, out);
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Uniform;

impl<T: Random> Law<T> for Uniform {
    const PER_BLOCK: usize = T::PER_BLOCK;

    #[inline(always)]
    fn values<S: Simd>(self, words: &Words, out: &mut [T; BATCH]) {
        for which in 0..T::PER_BLOCK {
            interleave(&T::words(words, which).map(T::unit), which, T::PER_BLOCK, out);
        }
    }
}

/// Box and Muller: two independent uniforms make the radius and the angle of two independent normals,
///
/// ```text
/// r = sqrt(-2 ln u),  φ = π v,  (r cos φ, r sin φ)        u in (0, 1], v in [-1, 1]
/// ```
#[derive(Clone, Copy)]
pub(super) struct Normal;

impl<T: Random> Law<T> for Normal {
    const PER_BLOCK: usize = T::PER_BLOCK;

    #[inline(always)]
    fn values<S: Simd>(self, words: &Words, out: &mut [T; BATCH]) {
        for pair in (0..T::PER_BLOCK).step_by(2) {
            let mut radius = T::words(words, pair).map(T::positive);
            let angle = T::words(words, pair + 1).map(T::signed);
            map::<T, S>(&mut radius, |u| (u.ln() * Vector::constant(-2.0)).sqrt());
            let (mut x, mut y) = (angle, angle);
            map::<T, S>(&mut x, |v| (v * Vector::constant(PI)).cos());
            map::<T, S>(&mut y, |v| (v * Vector::constant(PI)).sin());
            for j in 0..BLOCKS {
                x[j] = x[j] * radius[j];
                y[j] = y[j] * radius[j];
            }
            interleave(&x, pair, T::PER_BLOCK, out);
            interleave(&y, pair + 1, T::PER_BLOCK, out);
        }
    }
}

/// The normal law under the condition `|x| <= 2`, by inversion: `erf(x / sqrt(2))` is uniform there.
#[derive(Clone, Copy)]
pub(super) struct TruncatedNormal;

/// `erf(sqrt(2))`, the probability of two standard deviations.
pub(super) const WITHIN_TWO: f64 = 0.954_499_736_103_641_6;

impl<T: Random> Law<T> for TruncatedNormal {
    const PER_BLOCK: usize = T::PER_BLOCK;

    #[inline(always)]
    fn values<S: Simd>(self, words: &Words, out: &mut [T; BATCH]) {
        for which in 0..T::PER_BLOCK {
            let mut x = T::words(words, which).map(T::signed);
            map::<T, S>(&mut x, |v| {
                let x = (v * Vector::constant(WITHIN_TWO)).normal_quantile_central();
                // Rounding may go one unit beyond.
                x.min(Vector::constant(2.0)).max(Vector::constant(-2.0))
            });
            interleave(&x, which, T::PER_BLOCK, out);
        }
    }
}
