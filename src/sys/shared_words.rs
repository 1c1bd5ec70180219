//! Words of memory that a process shares with every process forked from it.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// How many words there are.
pub(crate) const SHARED_WORDS: usize = 16;

/// Zero at first.
pub(crate) type SharedWords = [AtomicU64; SHARED_WORDS];

static WORDS: AtomicPtr<SharedWords> = AtomicPtr::new(ptr::null_mut());

/// Returns the words of this process and of those that it forks from now on.
///
/// If the kernel maps no shared memory, the words are this process's own: a forked process then has a copy.
pub(crate) fn shared_words() -> &'static SharedWords {
    let mut words = WORDS.load(Ordering::Acquire);
    if words.is_null() {
        words = publish(map().unwrap_or_else(|| Box::leak(Box::default())));
    }
    // SAFETY: not null, so `publish` has put it there: words that are zeroed at first and never freed.
    unsafe { &*words }
}

/// Makes `new` the words of this process, unless another thread was faster: then its words stay, and `new` is unused.
fn publish(new: *mut SharedWords) -> *mut SharedWords {
    match WORDS.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => new,
        Err(others) => others,
    }
}

fn map() -> Option<*mut SharedWords> {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new anonymous mapping, which no other code knows. It is zeroed and aligned to a page.
    let page =
        unsafe { libc::mmap(ptr::null_mut(), size_of::<SharedWords>(), protection, flags, -1, 0) };
    (page != libc::MAP_FAILED).then(|| page.cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g11_what_a_forked_process_writes_its_parent_reads() {
        // Not the words of the process, which other tests use.
        // SAFETY: just mapped.
        let words = unsafe { &*map().unwrap() };
        // SAFETY: the child stores a number and ends without running anything of the parent's.
        let child = unsafe { libc::fork() };
        if child == 0 {
            words[1].store(7, Ordering::SeqCst);
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }
        let mut status = -1;
        // SAFETY: our own child, and a live int.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((status, words[1].load(Ordering::SeqCst)), (0, 7));
        assert!(ptr::eq(shared_words(), shared_words()), "one for the process");
    }
}
