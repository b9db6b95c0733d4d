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

/// Puts the values of each block one after the other: all of a block at a time, which vectors do.
#[inline(always)]
fn interleave<E: Copy>(values: &[[E; BLOCKS]; 4], per_block: usize, out: &mut [E; BATCH]) {
    let [first, second, third, fourth] = values;
    if per_block == 4 {
        for (j, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *out = [first[j], second[j], third[j], fourth[j]];
        }
    } else {
        for (j, out) in out.as_chunks_mut::<2>().0.iter_mut().take(BLOCKS).enumerate() {
            *out = [first[j], second[j]];
        }
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
        interleave(words, 4, out);
    }
}

#[derive(Clone, Copy)]
pub(super) struct Uniform;

impl<T: Random> Law<T> for Uniform {
    const PER_BLOCK: usize = T::PER_BLOCK;

    #[inline(always)]
    fn values<S: Simd>(self, words: &Words, out: &mut [T; BATCH]) {
        let mut values = [[T::default(); BLOCKS]; 4];
        for (which, values) in values.iter_mut().enumerate().take(T::PER_BLOCK) {
            *values = T::words(words, which).map(T::unit);
        }
        interleave(&values, T::PER_BLOCK, out);
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
        let mut values = [[T::default(); BLOCKS]; 4];
        for (pair, values) in values.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            if 2 * pair >= T::PER_BLOCK {
                break;
            }
            let radius = T::words(words, 2 * pair).map(T::positive);
            let angle = T::words(words, 2 * pair + 1).map(T::signed);
            let [x, y] = values;
            for j in (0..BLOCKS).step_by(T::V::<S>::LANES) {
                // SAFETY: BLOCKS is a multiple of the lanes.
                unsafe {
                    let u = T::V::<S>::load(radius.as_ptr().add(j));
                    let v = T::V::<S>::load(angle.as_ptr().add(j));
                    let r = (u.ln() * Vector::constant(-2.0)).sqrt();
                    let (sine, cosine) = (v * Vector::constant(PI)).sin_cos();
                    (cosine * r).store(x.as_mut_ptr().add(j));
                    (sine * r).store(y.as_mut_ptr().add(j));
                }
            }
        }
        interleave(&values, T::PER_BLOCK, out);
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
        let mut values = [[T::default(); BLOCKS]; 4];
        for (which, x) in values.iter_mut().enumerate().take(T::PER_BLOCK) {
            *x = T::words(words, which).map(T::signed);
            map::<T, S>(x, |v| {
                let x = (v * Vector::constant(WITHIN_TWO)).normal_quantile_central();
                // Rounding may go one unit beyond.
                x.min(Vector::constant(2.0)).max(Vector::constant(-2.0))
            });
        }
        interleave(&values, T::PER_BLOCK, out);
    }
}
