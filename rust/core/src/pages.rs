//! Huge pages: memory straight from the system for large buffers, zero without being written.
//!
//! A weight of 4096 x 4096 lies in 16 384 ordinary pages, more than a processor keeps translations of, and each costs a
//! fault at first touch. On systems without `mmap` the allocator serves large buffers too.

use std::ptr::NonNull;

/// A huge page on x86-64 and on most aarch64 systems; buffers of this size and more come from here.
pub(crate) const HUGE: usize = 2 << 20;

/// Zeroed memory of `bytes` (a multiple of the page size), aligned to a huge page; none where the system refuses.
#[cfg(unix)]
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let room = bytes.checked_add(HUGE)?;
    // SAFETY: a new anonymous mapping touches no memory of ours.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            room,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    let before = start as usize % HUGE;
    let lead = if before == 0 { 0 } else { HUGE - before };
    let start = start.cast::<u8>();
    // SAFETY: lead and tail are parts of the new mapping outside of what is returned; the advice changes no contents.
    unsafe {
        let aligned = start.add(lead);
        if lead > 0 {
            libc::munmap(start.cast(), lead);
        }
        libc::munmap(aligned.add(bytes).cast(), room - lead - bytes);
        #[cfg(target_os = "linux")]
        libc::madvise(aligned.cast(), bytes, libc::MADV_HUGEPAGE);
        NonNull::new(aligned)
    }
}

/// Gives back what [`map`] gave.
///
/// # Safety
/// `start` came from `map(bytes)` and nothing refers to the memory any more.
#[cfg(unix)]
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}

/// Lets the system have the pages back; those touched again are new, and hold zeros or what they held.
///
/// # Safety
/// `start` came from `map(bytes)`, and nothing that stands there is needed.
#[cfg(unix)]
pub(crate) unsafe fn forget(start: NonNull<u8>, bytes: usize) {
    // A refusal costs memory and nothing else.
    // SAFETY: the caller's promise; the range stays mapped and initialized.
    unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
}

/// No mapping on this system: the allocator serves.
#[cfg(not(unix))]
pub(crate) fn map(_bytes: usize) -> Option<NonNull<u8>> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn mapped_memory_is_zero_aligned_and_writable() {
        for bytes in [HUGE, HUGE + (512 << 10), 3 * HUGE] {
            let start = map(bytes).expect("a few MiB");
            assert_eq!(start.as_ptr() as usize % HUGE, 0);
            // SAFETY: the mapping has `bytes` bytes and is used here alone.
            unsafe {
                let all = std::slice::from_raw_parts_mut(start.as_ptr(), bytes);
                assert!(all.iter().all(|&byte| byte == 0));
                all[0] = 1;
                all[bytes - 1] = 2;
                unmap(start, bytes);
            }
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(map(usize::MAX & !4095).is_none());
        assert!(map(1 << 60).is_none());
    }
}
