//! Philox4x32-10: a keyed bijection of 128-bit counters (Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
//! as easy as 1, 2, 3", 2011). Each of ten rounds turns the counter `(a, b, c, d)` with the key `(k, l)` into
//!
//! ```text
//! (high(N c) ^ b ^ k, low(N c), high(M a) ^ d ^ l, low(M a))        (k, l) += (golden, silver)
//! ```

use crate::kernels::simd::{Simd, Vector};

const ROUNDS: usize = 10;
const M: u32 = 0xD251_1F53;
const N: u32 = 0xCD9E_8D57;
/// What the key grows by in each round: the fractions of the golden ratio and of the square root of 3.
const STEP: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The high and the low half of a product.
#[inline(always)]
fn halves(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[inline(always)]
fn round([a, b, c, d]: [u32; 4], [k, l]: [u32; 2]) -> [u32; 4] {
    let (high_m, low_m) = halves(M, a);
    let (high_n, low_n) = halves(N, c);
    [high_n ^ b ^ k, low_n, high_m ^ d ^ l, low_m]
}

#[inline(always)]
fn next(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(STEP[0]), key[1].wrapping_add(STEP[1])]
}

/// The four random words of a counter.
#[inline(always)]
#[must_use]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut x, mut key) = (counter, key);
    for _ in 0..ROUNDS {
        x = round(x, key);
        key = next(key);
    }
    x
}

/// The words of `B` counters `(block, draw)` with consecutive blocks: word `w` of block `j` is `[w][j]`.
///
/// Each word stands in a lane of 64 bits, whose upper half may hold anything: products look at the lower half only and
/// leave both their halves where the next round wants them, so that a round is two products, two shifts and two
/// exclusive ors of three. Even and odd blocks stand in vectors of their own, which one vector of words takes up in
/// the end.
#[inline(always)]
#[must_use]
pub fn philox_blocks<S: Simd, const B: usize>(
    key: [u32; 2],
    draw: u64,
    first_block: u64,
) -> [[u32; B]; 4] {
    let lanes = const { <S::F64 as Vector>::LANES };
    const { assert!(B.is_multiple_of(2 * <S::F64 as Vector>::LANES)) };
    let mut current = key;
    let mut keys = [[splat::<S>(0); 2]; ROUNDS];
    for words in &mut keys {
        *words = [splat::<S>(current[0].into()), splat::<S>(current[1].into())];
        current = next(current);
    }
    let low = splat::<S>(u32::MAX.into());
    // SAFETY: no vector has more lanes.
    let steps = unsafe { S::F64::load(EVEN.as_ptr().cast()).to_bits() };
    let mut words = Aligned([[0; B]; 4]);
    // Loops, and no closures: those are not always inlined, and then lose the instruction set.
    for start in (0..B).step_by(2 * lanes) {
        let first = first_block.wrapping_add(start as u64);
        let even = S::F64::bits_add(splat::<S>(first), steps);
        let odd = S::F64::bits_add(splat::<S>(first.wrapping_add(1)), steps);
        let (mut even, mut odd) = (counter::<S>(even, draw), counter::<S>(odd, draw));
        for key in keys {
            even = vector_round::<S>(even, key);
            odd = vector_round::<S>(odd, key);
        }
        for w in 0..4 {
            let odd = S::F64::bits_shl::<32>(odd[w]);
            let both = S::F64::bits_or(S::F64::bits_and(even[w], low), odd);
            // SAFETY: as many words as twice the lanes follow from `start` on, an even number from an aligned place.
            unsafe { S::F64::from_bits(both).store(words.0[w].as_mut_ptr().add(start).cast()) };
        }
    }
    words.0
}

/// Words where pairs of them may be written as one.
#[repr(align(64))]
struct Aligned<T>(T);

type Bits<S> = <<S as Simd>::F64 as Vector>::Bits;

#[inline(always)]
fn splat<S: Simd>(word: u64) -> Bits<S> {
    S::F64::bits_splat(word.cast_signed())
}

/// The words of the counters of some blocks before the first round.
#[inline(always)]
fn counter<S: Simd>(blocks: Bits<S>, draw: u64) -> [Bits<S>; 4] {
    [blocks, S::F64::bits_shr::<32>(blocks), splat::<S>(draw), splat::<S>(draw >> 32)]
}

/// [`round`] in each lane.
#[inline(always)]
fn vector_round<S: Simd>([a, b, c, d]: [Bits<S>; 4], [k, l]: [Bits<S>; 2]) -> [Bits<S>; 4] {
    let of_a = S::F64::bits_mul_low(a, splat::<S>(M.into()));
    let of_c = S::F64::bits_mul_low(c, splat::<S>(N.into()));
    let (high_a, high_c) = (S::F64::bits_shr::<32>(of_a), S::F64::bits_shr::<32>(of_c));
    let first = S::F64::bits_xor(S::F64::bits_xor(high_c, b), k);
    let third = S::F64::bits_xor(S::F64::bits_xor(high_a, d), l);
    [first, of_c, third, of_a]
}

/// From a block to the next but one, lane by lane.
const EVEN: [u64; 8] = [0, 2, 4, 6, 8, 10, 12, 14];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::{Isa, Kernel, dispatch_on};

    /// The known answers that the authors publish with their library Random123.
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([ones; 4], [ones; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let digits_of_pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox4x32(digits_of_pi, [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    struct Blocks {
        key: [u32; 2],
        first: u64,
    }

    impl Kernel for Blocks {
        type Output = [[u32; 32]; 4];

        #[inline(always)]
        fn run<S: Simd>(self) -> Self::Output {
            philox_blocks::<S, 32>(self.key, (3 << 32) + 4, self.first)
        }
    }

    #[test]
    fn blocks_are_the_words_of_their_counters() {
        let key = [7, 11];
        // The block's high word changes within the range, or the number starts again from zero.
        for (isa, first) in
            Isa::available().flat_map(|isa| [(isa, (5 << 32) - 3), (isa, u64::MAX - 4)])
        {
            let words = dispatch_on(isa, Blocks { key, first });
            for j in 0..32 {
                let block = first.wrapping_add(j as u64);
                let expected = philox4x32([block as u32, (block >> 32) as u32, 4, 3], key);
                assert_eq!(words.map(|word| word[j]), expected, "{isa}");
            }
        }
    }
}
