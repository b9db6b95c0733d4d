//! Cache sizes of this processor, by which blocks are cut, and software prefetch. All of it changes the speed only,
//! never a bit.

use std::sync::OnceLock;

/// What is taken where the processor does not say: the smallest of those in use.
const USUAL: usize = 32 << 10;

/// Bytes of data that the first-level cache of a core holds.
#[inline]
pub(super) fn first_level_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| ask().unwrap_or(USUAL))
}

/// The answer of the CPUID instruction: the leaf that lists caches one by one, AMD's or Intel's.
#[cfg(target_arch = "x86_64")]
fn ask() -> Option<usize> {
    use core::arch::x86_64::{__cpuid, __cpuid_count};

    let basic = __cpuid(0).eax;
    let extended = __cpuid(0x8000_0000).eax;
    // AMD's leaf holds only where its feature bit (topology extensions) is set.
    let is_amd = extended >= 0x8000_001d && __cpuid(0x8000_0001).ecx >> 22 & 1 == 1;
    let leaf = match () {
        () if is_amd => 0x8000_001d,
        () if basic >= 4 => 4,
        () => return None,
    };
    (0..8).map(|index| __cpuid_count(leaf, index)).find_map(|cache| {
        let (kind, level) = (cache.eax & 31, cache.eax >> 5 & 7);
        // Kind 1 holds data alone, and 3 instructions too; each number is stored less one.
        let part = |shift: u32, bits: u32| (cache.ebx >> shift & ((1 << bits) - 1)) as usize + 1;
        let bytes = part(22, 10) * part(12, 10) * part(0, 12) * (cache.ecx as usize + 1);
        (level == 1 && (kind == 1 || kind == 3)).then_some(bytes)
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn ask() -> Option<usize> {
    None
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Prefetches the cache line of `p`, which need not exist.
#[inline(always)]
pub(super) fn prefetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch faults at no address, and SSE is part of the target.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Prefetches so many bytes from `from` on, which need not exist, into the second-level cache.
#[inline(always)]
pub(super) fn prefetch_near<T>(from: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for byte in (0..bytes).step_by(LINE) {
        // SAFETY: as above.
        unsafe {
            use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(from.wrapping_byte_add(byte).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_level_has_the_size_that_the_system_tells() {
        let bytes = first_level_bytes();
        assert!((8 << 10..=1 << 20).contains(&bytes), "{bytes}");
        // Linux lists the caches of a processor; which of them is which differs, so that all are looked at.
        let reported = (0..8).find_map(|index| {
            let read = |name| {
                let cache = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
                std::fs::read_to_string(cache).ok()
            };
            let is_first = read("level")?.trim() == "1" && read("type")?.trim() != "Instruction";
            let kibibytes = read("size")?.trim().strip_suffix('K')?.parse::<usize>().ok()?;
            is_first.then_some(kibibytes << 10)
        });
        if let Some(reported) = reported.filter(|_| cfg!(target_arch = "x86_64")) {
            assert_eq!(bytes, reported);
        }
    }
}
