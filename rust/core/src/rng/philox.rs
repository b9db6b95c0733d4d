//! Philox4x32-10: a keyed bijection of 128-bit counters (Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
//! as easy as 1, 2, 3", 2011). Each of ten rounds turns the counter `(a, b, c, d)` with the key `(k, l)` into
//!
//! ```text
//! (high(N c) ^ b ^ k, low(N c), high(M a) ^ d ^ l, low(M a))        (k, l) += (golden, silver)
//! ```

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
/// Inlined into a kernel, the loop over the blocks is compiled for its instruction set. Each word stands in a lane of
/// 64 bits, whose upper half may hold anything: products look at the lower half only and leave both their halves where
/// the next round wants them, so that a round is two products, two shifts and two exclusive ors of three.
#[inline(always)]
#[must_use]
pub fn philox_blocks<const B: usize>(key: [u32; 2], draw: u64, first_block: u64) -> [[u32; B]; 4] {
    const LOW: u64 = u32::MAX as u64;
    let mut keys = [[0; 2]; ROUNDS];
    let mut current = key;
    for words in &mut keys {
        *words = current.map(u64::from);
        current = next(current);
    }
    let mut words = [[0; B]; 4];
    for j in 0..B {
        let block = first_block.wrapping_add(j as u64);
        let [mut a, mut b, mut c, mut d] = [block, block >> 32, draw, draw >> 32];
        for [k, l] in keys {
            let (m, n) = ((a & LOW) * u64::from(M), (c & LOW) * u64::from(N));
            [a, b, c, d] = [(n >> 32) ^ b ^ k, n, (m >> 32) ^ d ^ l, m];
        }
        for (words, word) in words.iter_mut().zip([a, b, c, d]) {
            words[j] = word as u32;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn blocks_are_the_words_of_their_counters() {
        let key = [7, 11];
        // The block's high word changes within the range.
        let first = (5 << 32) - 3;
        let words = philox_blocks::<8>(key, (3 << 32) + 4, first);
        for j in 0..8 {
            let block = first + j as u64;
            let expected = philox4x32([block as u32, (block >> 32) as u32, 4, 3], key);
            assert_eq!(words.map(|word| word[j]), expected);
        }
    }
}
