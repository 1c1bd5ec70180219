//! Maps memory that a forked child shares with its parent, or finds zeroed, in place of the usual copy.
//!
//! A *word* is an `AtomicU64`.

#![allow(unsafe_code, reason = "memory mapping; each block is argued for")]

use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// What a forked child finds in mapped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFork {
    /// The memory of its parent: each process sees what the other one writes.
    Shared,
    /// Zeros (`MADV_WIPEONFORK`, Linux 4.14).
    Zeroed,
}

/// Maps `N` words that are zero at first and never unmapped. Returns `None` if the kernel refuses.
pub(super) fn map_words<const N: usize>(on_fork: OnFork) -> Option<&'static [AtomicU64; N]> {
    let flags = match on_fork {
        OnFork::Shared => MapFlags::SHARED,
        OnFork::Zeroed => MapFlags::PRIVATE,
    };
    let (size, protection) = (size_of::<[AtomicU64; N]>(), ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: a new anonymous mapping at an address that the kernel chooses, so no other code uses the memory.
    // MADV_WIPEONFORK changes nothing in this process. The mapping is aligned to a page, zeroed, at least `size` bytes
    // long and, once returned, never unmapped; zero is a valid AtomicU64.
    unsafe {
        let words = mmap_anonymous(ptr::null_mut(), size, protection, flags).ok()?;
        if on_fork == OnFork::Zeroed && madvise(words, size, Advice::LinuxWipeOnFork).is_err() {
            let _ = munmap(words, size);
            return None;
        }
        Some(&*words.cast())
    }
}

/// Maps `length` bytes, at least 1, that are zero at first. A forked child finds zeros, if the kernel supports that. Returns
/// `None` if there is no memory.
pub(super) fn map_wiped_bytes(length: usize) -> Option<NonNull<u8>> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at an address that the kernel chooses, so no other code uses the memory.
    // MADV_WIPEONFORK changes nothing in this process; before Linux 4.14 it fails, and children have copies.
    unsafe {
        let start = mmap_anonymous(ptr::null_mut(), length, protection, MapFlags::PRIVATE).ok()?;
        let _ = madvise(start, length, Advice::LinuxWipeOnFork);
        NonNull::new(start.cast())
    }
}

/// Unmaps `length` bytes from `start` on.
///
/// # Safety
///
/// [`map_wiped_bytes`] has returned `start` for the same `length`, and the memory is not used any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, length: usize) {
    // SAFETY: the caller promises it. An error is impossible for such a range.
    let _ = unsafe { munmap(start.as_ptr().cast(), length) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::test_fork::is_true_in_child;
    use super::*;

    #[test]
    fn g11_shared_words_written_by_a_child_are_read_by_its_parent() {
        let [word] = map_words(OnFork::Shared).unwrap();
        let write = || word.fetch_add(7, Ordering::SeqCst) == 1;
        word.store(1, Ordering::SeqCst);
        assert!(is_true_in_child(write));
        assert_eq!(word.load(Ordering::SeqCst), 8);
    }

    #[test]
    fn g11_zeroed_words_are_zero_in_a_child_and_kept_in_its_parent() {
        let [word] = map_words(OnFork::Zeroed).unwrap();
        word.store(1, Ordering::SeqCst);
        assert!(is_true_in_child(|| word.fetch_add(7, Ordering::SeqCst) == 0));
        assert_eq!(word.load(Ordering::SeqCst), 1);
    }
}
