//! Random numbers as a pure function of where they are used.
//!
//! Element `i` of draw `d` under a [`Key`] is a function of `(seed, stream, d, i)` alone: its block `i / 4` (or
//! `i / 2` for `f64`) and `d` are the counter of [`philox4x32`]. No state is advanced, so a tensor may be filled in
//! any pieces, in any order, on any number of threads and with any instruction set, and a mask may be computed
//! again instead of stored.

mod laws;
mod philox;

pub use laws::Random;
pub use philox::{philox_blocks, philox4x32};

use crate::kernels::simd::dispatch;
use laws::{BATCH, Bits, Fill, Normal, TruncatedNormal, Uniform};

/// Which random numbers: those of a seed, and among them those of a stream (one for each variable or purpose).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// What the user chose.
    pub seed: u64,
    /// Who draws, as of [`derive_stream`].
    pub stream: u64,
}

impl Key {
    /// The generator's key: both numbers hashed into 64 bits. For a fixed seed, streams map one to one.
    #[inline]
    #[must_use]
    pub fn words(self) -> [u32; 2] {
        let mixed = mix(mix(self.seed) ^ self.stream);
        [mixed as u32, (mixed >> 32) as u32]
    }
}

/// The finalizer of `SplitMix64`: a bijection whose every output bit depends on every input bit.
#[inline]
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The stream of a named user of random numbers, such as the path of a variable.
///
/// It is the 64-bit FNV-1a hash of the path's bytes, started from the seed and passed through the finalizer of
/// `SplitMix64`. It never changes: stored models and seeds stay reproducible.
#[must_use]
pub fn derive_stream(seed: u64, path: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let start = OFFSET ^ mix(seed);
    mix(path.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

/// Fills `out` with the elements from `first` on of a draw: 32 random bits each.
pub fn fill_bits(key: Key, draw: u64, first: u64, out: &mut [u32]) {
    dispatch(Fill { law: Bits, key, draw, first, out });
}

/// Fills `out` with the elements from `first` on of a draw: uniform in `[0, 1)`, a multiple of `2^-24` (`f32`) or
/// `2^-53` (`f64`).
pub fn fill_uniform<T: Random>(key: Key, draw: u64, first: u64, out: &mut [T]) {
    dispatch(Fill { law: Uniform, key, draw, first, out });
}

/// Fills `out` with the elements from `first` on of a draw: standard normal (mean 0, deviation 1).
pub fn fill_normal<T: Random>(key: Key, draw: u64, first: u64, out: &mut [T]) {
    dispatch(Fill { law: Normal, key, draw, first, out });
}

/// Fills `out` with the elements from `first` on of a draw: standard normal under the condition `|x| <= 2` (not
/// rescaled: its deviation is 0.8796).
pub fn fill_truncated_normal<T: Random>(key: Key, draw: u64, first: u64, out: &mut [T]) {
    dispatch(Fill { law: TruncatedNormal, key, draw, first, out });
}

/// A uniformly random permutation of `0..n` (Fisher and Yates).
#[must_use]
pub fn shuffle_permutation(key: Key, draw: u64, n: usize) -> Vec<i64> {
    let mut words = Stream::new(key, draw);
    let mut order: Vec<i64> = (0..n as i64).collect();
    for last in (1..n).rev() {
        order.swap(last, words.below(last as u64 + 1) as usize);
    }
    order
}

/// The words of a draw one after the other, for laws that need an unknown number of them.
struct Stream {
    key: Key,
    draw: u64,
    next: u64,
    buffer: [u32; BATCH],
}

impl Stream {
    const fn new(key: Key, draw: u64) -> Self {
        Self { key, draw, next: 0, buffer: [0; BATCH] }
    }

    fn word(&mut self) -> u64 {
        let at = (self.next % BATCH as u64) as usize;
        if at == 0 {
            fill_bits(self.key, self.draw, self.next, &mut self.buffer);
        }
        self.next += 2;
        (u64::from(self.buffer[at]) << 32) | u64::from(self.buffer[at + 1])
    }

    /// Uniform in `0..bound`. The high half of `word * bound` takes some values once more often than others; words
    /// whose low half is below `2^64 mod bound` are what makes the difference, and are drawn again (Lemire, 2019).
    fn below(&mut self, bound: u64) -> u64 {
        loop {
            let product = u128::from(self.word()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::laws::{Law, WITHIN_TWO};
    use super::*;
    use crate::kernels::math::VectorMath;
    use crate::kernels::simd::{Isa, Kernel, Simd, Vector, dispatch_on};

    const KEY: Key = Key { seed: 20, stream: 3 };
    type Filler<T> = fn(Key, u64, u64, &mut [T]);

    fn fill<T: Random>(filler: Filler<T>, draw: u64, first: u64, n: usize) -> Vec<T> {
        let mut out = vec![T::default(); n];
        filler(KEY, draw, first, &mut out);
        out
    }

    fn check_splitting<T: Random>(filler: Filler<T>) {
        let whole = fill(filler, 9, 0, 1000);
        for (first, n) in [(0, 1), (1, 1), (2, 3), (3, 500), (127, 2), (129, 871), (999, 1), (5, 0)]
        {
            assert_eq!(fill(filler, 9, first as u64, n), whole[first..first + n], "{first}, {n}");
        }
        // Across the block number's low word.
        let far = 4 * (1_u64 << 32) - 6;
        assert_eq!(fill(filler, 9, far + 5, 7), fill(filler, 9, far, 12)[5..]);
    }

    #[test]
    fn pieces_are_the_whole() {
        check_splitting::<f32>(fill_uniform);
        check_splitting::<f64>(fill_uniform);
        check_splitting::<f32>(fill_normal);
        check_splitting::<f64>(fill_normal);
        check_splitting::<f32>(fill_truncated_normal);
        check_splitting::<f64>(fill_truncated_normal);
        let (mut whole, mut part) = ([0; 300], [0; 150]);
        fill_bits(KEY, 1, 0, &mut whole);
        fill_bits(KEY, 1, 77, &mut part);
        assert_eq!(whole[77..227], part);
    }

    fn check_sets<T: Random>(law: impl Law<T>) {
        let values = |isa| {
            let mut out = vec![T::default(); 5000];
            dispatch_on(isa, Fill { law, key: KEY, draw: 1, first: 3, out: &mut out });
            out
        };
        let expected = values(Isa::Portable);
        for isa in Isa::available() {
            assert!(values(isa) == expected, "{isa}");
        }
    }

    #[test]
    fn every_instruction_set_draws_the_same() {
        check_sets::<f32>(Uniform);
        check_sets::<f64>(Uniform);
        check_sets::<f32>(Normal);
        check_sets::<f64>(Normal);
        check_sets::<f32>(TruncatedNormal);
        check_sets::<f64>(TruncatedNormal);
    }

    #[test]
    fn bits_are_the_generator_s_words() {
        let mut bits = [0; 9];
        fill_bits(KEY, (2 << 32) + 1, 4, &mut bits);
        let block = |b| philox4x32([b, 0, 1, 2], KEY.words());
        assert_eq!(bits[..4], block(1));
        assert_eq!(bits[4..8], block(2));
        assert_eq!(bits[8], block(3)[0]);
    }

    #[test]
    fn seed_stream_and_draw_all_matter() {
        let draw = |seed, stream, draw| {
            let mut out = [0; 4];
            fill_bits(Key { seed, stream }, draw, 0, &mut out);
            out
        };
        let draws = [draw(1, 1, 1), draw(2, 1, 1), draw(1, 2, 1), draw(1, 1, 2), draw(2, 2, 1)];
        for (i, a) in draws.iter().enumerate() {
            for b in &draws[..i] {
                assert!(a.iter().zip(b).all(|(a, b)| a != b));
            }
        }
    }

    /// Literals from an independent implementation in Python.
    #[test]
    fn streams_are_stable() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(derive_stream(0, ""), 0x5b21_f68f_fa77_f14c);
        assert_eq!(derive_stream(0, "a"), 0x2a5a_3f02_a610_14a9);
        assert_eq!(derive_stream(42, "layer1/weight"), 0x2c60_150d_bf3d_7c6d);
        assert_eq!(derive_stream(42, "layer1/bias"), 0xef24_9329_c627_0c90);
    }

    /// Moments, the distance of Kolmogorov and Smirnov, and the correlation of neighbours, against what chance
    /// exceeds once in more than ten thousand samples.
    fn check_law<T: Random>(
        filler: Filler<T>,
        cdf: impl Fn(f64) -> f64,
        deviation: f64,
        mean: f64,
    ) {
        let n = 200_000;
        let mut x: Vec<f64> =
            fill(filler, 4, 0, n).iter().map(|x| x.to_f64().expect("a float")).collect();
        let size = n as f64;
        let centred = |x: f64| (x - mean) / deviation;
        let moment = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(centred(x))).sum::<f64>() / size;
        assert!(moment(&|x| x).abs() < 4.0 / size.sqrt());
        // The kurtosis of the three laws is at most 3, so the variance of the square at most 2.
        assert!((moment(&|x| x * x) - 1.0).abs() < 4.0 * (2.0 / size).sqrt());
        assert!(moment(&|x| x.powi(3)).abs() < 4.0 * (15.0 / size).sqrt());
        for lag in [1, 2, 3, 4, 128] {
            let correlation: f64 =
                x.iter().zip(&x[lag..]).map(|(&a, &b)| centred(a) * centred(b)).sum();
            assert!(correlation.abs() / size < 4.0 / size.sqrt(), "lag {lag}: {correlation}");
        }

        x.sort_by(f64::total_cmp);
        let distance = x.iter().enumerate().fold(0.0_f64, |distance, (i, &x)| {
            let p = cdf(x);
            distance.max((p - i as f64 / size).abs()).max(((i + 1) as f64 / size - p).abs())
        });
        assert!(distance * size.sqrt() < 2.23, "distance {distance}");
    }

    fn normal_cdf(x: f64) -> f64 {
        struct Cdf(f64);
        impl Kernel for Cdf {
            type Output = f64;
            #[inline(always)]
            fn run<S: Simd>(self) -> f64 {
                S::F64::splat(self.0).normal_cdf().reduce_add() / S::F64::LANES as f64
            }
        }
        dispatch(Cdf(x))
    }

    #[test]
    fn the_laws_are_what_they_say() {
        let deviation = (1.0_f64 / 12.0).sqrt();
        check_law::<f32>(fill_uniform, |x| x, deviation, 0.5);
        check_law::<f64>(fill_uniform, |x| x, deviation, 0.5);
        check_law::<f32>(fill_normal, normal_cdf, 1.0, 0.0);
        check_law::<f64>(fill_normal, normal_cdf, 1.0, 0.0);
        let cut = |x| (normal_cdf(x) - normal_cdf(-2.0)) / WITHIN_TWO;
        // 1 - 4 φ(2) / erf(sqrt(2)), with φ the normal density.
        let deviation = 0.773_741_303_549_923_2_f64.sqrt();
        check_law::<f32>(fill_truncated_normal, cut, deviation, 0.0);
        check_law::<f64>(fill_truncated_normal, cut, deviation, 0.0);
    }

    #[test]
    fn ranges_are_kept_and_filled() {
        let uniform: Vec<f32> = fill(fill_uniform, 0, 0, 1 << 16);
        assert!(
            uniform.iter().all(|x| (0.0..1.0).contains(x) && (x * 16_777_216.0).fract() == 0.0)
        );
        assert_eq!(<f32 as Random>::unit(u32::MAX), 1.0 - f32::EPSILON / 2.0);
        assert_eq!(<f64 as Random>::unit(u64::MAX), 1.0 - f64::EPSILON / 2.0);
        assert!(<f32 as Random>::positive(0) > 0.0 && <f64 as Random>::positive(0) > 0.0);
        assert_eq!(<f32 as Random>::positive(u32::MAX), 1.0);

        let cut: Vec<f32> = fill(fill_truncated_normal, 0, 0, 1 << 16);
        assert!(cut.iter().all(|x| x.abs() <= 2.0));
        assert!(cut.iter().any(|&x| x > 1.999) && cut.iter().any(|&x| x < -1.999));
        // The tail beyond 3 has probability 0.0027: 708 of 2^18 expected, with deviation 26.6.
        let normal: Vec<f32> = fill(fill_normal, 0, 0, 1 << 18);
        let far = normal.iter().filter(|x| x.abs() > 3.0).count();
        assert!((far as f64 - 707.7).abs() < 4.0 * 26.6, "{far}");
    }

    #[test]
    fn permutations_are_uniform() {
        // All 24 of four elements, 24000 times: chi-square with 23 degrees of freedom is below 58 but for 1e-4.
        let mut counts = std::collections::HashMap::new();
        for draw in 0..24_000 {
            *counts.entry(shuffle_permutation(KEY, draw, 4)).or_insert(0_i32) += 1;
        }
        assert_eq!(counts.len(), 24);
        let chi_square: f64 =
            counts.values().map(|&count| f64::from(count - 1000).powi(2) / 1000.0).sum();
        assert!(chi_square < 58.0, "{chi_square}");

        let mut sorted = shuffle_permutation(KEY, 0, 1000);
        assert_ne!(sorted, (0..1000).collect::<Vec<i64>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<i64>>());
        assert!(shuffle_permutation(KEY, 0, 0).is_empty());
    }

    #[test]
    fn bounded_integers_are_unbiased_where_bias_would_show() {
        // Without rejection every third value of a bound of 3/4 2^64 would come twice as often.
        let bound = 3 << 62;
        let mut words = Stream::new(KEY, 0);
        let mut counts = [0_i32; 3];
        for _ in 0..30_000 {
            counts[(words.below(bound) % 3) as usize] += 1;
        }
        for count in counts {
            assert!((count - 10_000).abs() < 4 * 82, "{counts:?}");
        }
    }
}
