//! Which process this is: tells a process from those forked from it.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Tells a process from those that were forked from it.
///
/// A process id would not do: a child in a namespace of its own may have the number of its parent, and
/// asking for it is a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForkGeneration(u64);

/// A page that the kernel wipes in a child (`MADV_WIPEONFORK`, Linux 4.14): its first word is the era.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Stands in [`PAGE`] where there is no such page; then process ids have to do.
static NO_PAGE: AtomicU64 = AtomicU64::new(0);
/// The newest era that this process, or one that it was forked from, has begun.
static NEWEST: AtomicU64 = AtomicU64::new(0);

impl ForkGeneration {
    const NONE: Self = Self(0);

    /// The era of this process.
    pub(crate) fn now() -> Self {
        let mut page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            page = prepare_page();
        }
        if ptr::eq(page, &raw const NO_PAGE) {
            return Self(std::process::id().into());
        }
        // SAFETY: not null, so `prepare_page` has put it there: a page that is never unmapped, aligned
        // to more than a word, and zeroed or holding an era.
        let word = unsafe { &*page };
        if word.load(Ordering::SeqCst) == 0 {
            let next = NEWEST.fetch_add(1, Ordering::SeqCst) + 1;
            // Another thread may have been faster; its era is as new.
            let _ = word.compare_exchange(0, next, Ordering::SeqCst, Ordering::SeqCst);
        }
        Self(word.load(Ordering::SeqCst))
    }

    /// Whether this is the era of this process. Async-signal-safe: loads and, where the kernel wipes
    /// no page, `getpid(2)`.
    pub(crate) fn is_now(self) -> bool {
        self == Self::begun()
    }

    /// The era of this process; none, which equals no era that has begun, where it has not begun one.
    fn begun() -> Self {
        let page = PAGE.load(Ordering::Acquire);
        if page.is_null() {
            return Self::NONE;
        }
        if ptr::eq(page, &raw const NO_PAGE) {
            // SAFETY: takes nothing, and always succeeds.
            return Self(u64::from(unsafe { libc::getpid() }.cast_unsigned()));
        }
        // SAFETY: as in `now`.
        Self(unsafe { &*page }.load(Ordering::SeqCst))
    }
}

/// The era in which something is rung for; kept where signal handlers read it.
#[derive(Debug)]
pub(crate) struct ForkGenerationCell(AtomicU64);

impl ForkGenerationCell {
    /// Of no process so far.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(ForkGeneration::NONE.0))
    }

    pub(crate) fn set(&self, era: ForkGeneration) {
        self.0.store(era.0, Ordering::SeqCst);
    }

    /// Whether it is of this process. Async-signal-safe, as [`ForkGeneration::is_now`].
    pub(crate) fn is_now(&self) -> bool {
        let era = ForkGeneration(self.0.load(Ordering::SeqCst));
        era != ForkGeneration::NONE && era.is_now()
    }
}

#[cold]
fn prepare_page() -> *mut AtomicU64 {
    let new = wiped_page().unwrap_or((&raw const NO_PAGE).cast_mut());
    match PAGE.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => new,
        // Two threads came first; the page that lost stays where it is, unused.
        Err(others) => others,
    }
}

fn wiped_page() -> Option<*mut AtomicU64> {
    const SIZE: usize = 4096;
    // SAFETY: a new anonymous mapping, of which nobody else knows; MADV_WIPEONFORK changes nothing in
    // this process, and is refused by kernels that do not know it.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page =
            libc::mmap(ptr::null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, SIZE);
            return None;
        }
        Some(page.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_of_one_era_and_its_child_of_another() {
        let mine = ForkGeneration::now();
        assert_eq!(ForkGeneration::now(), mine);
        assert!(mine.is_now());
        // SAFETY: the child makes no call but the one that is tested, which allocates nothing, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let none_yet = !mine.is_now() && !ForkGenerationCell::new().is_now();
            let differs = none_yet
                && ForkGeneration::now() != mine
                && ForkGeneration::now().is_now()
                && !mine.is_now();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(i32::from(!differs)) };
        }
        let mut status = -1;
        // SAFETY: our own child, and a live int.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "the child took itself for its parent");
    }
}
