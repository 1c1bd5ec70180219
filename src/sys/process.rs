//! Which process this is, and what it may do.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::os::unix::fs::MetadataExt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Tells a process from those that were forked from it.
///
/// A process id would not do: a child in a namespace of its own may have the number of its parent, and
/// asking for it is a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(u64);

/// A page that the kernel wipes in a child (`MADV_WIPEONFORK`, Linux 4.14): its first word is the era.
static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Stands in [`PAGE`] where there is no such page; then process ids have to do.
static NO_PAGE: AtomicU64 = AtomicU64::new(0);
/// The newest era that this process, or one that it was forked from, has begun.
static NEWEST: AtomicU64 = AtomicU64::new(0);

impl Era {
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
pub(crate) struct EraCell(AtomicU64);

impl EraCell {
    /// Of no process so far.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Era::NONE.0))
    }

    pub(crate) fn set(&self, era: Era) {
        self.0.store(era.0, Ordering::SeqCst);
    }

    /// Whether it is of this process. Async-signal-safe, as [`Era::is_now`].
    pub(crate) fn is_now(&self) -> bool {
        let era = Era(self.0.load(Ordering::SeqCst));
        era != Era::NONE && era.is_now()
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

/// As whom the process reads files, and below which root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Privileges {
    user: u32,
    group: u32,
    /// The supplementary ones, in order.
    groups: Arc<[u32]>,
    root: Option<(u64, u64)>,
}

impl Privileges {
    pub(crate) fn now() -> Self {
        // SAFETY: no arguments; these calls always succeed (POSIX).
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let root = std::fs::metadata("/").ok().map(|root| (root.dev(), root.ino()));
        Self { user, group, groups: supplementary_groups(), root }
    }

    /// What of this is another than at the time of `opened`, in words; `None` where nothing is.
    pub(crate) fn changes_since(&self, opened: &Self) -> Option<String> {
        let mut changes = Vec::new();
        for (what, then, now) in
            [("user", opened.user, self.user), ("group", opened.group, self.group)]
        {
            if then != now {
                changes.push(format!("as {what} {then} (now {now})"));
            }
        }
        let lost = opened.groups.iter().filter(|group| !self.is_in(**group));
        let lost: Vec<_> = lost.map(ToString::to_string).collect();
        if !lost.is_empty() {
            changes.push(format!("in more groups ({})", lost.join(", ")));
        }
        if self.root != opened.root {
            changes.push("in another root directory".to_owned());
        }
        (!changes.is_empty()).then(|| format!("the handle was opened {}", changes.join(" and ")))
    }

    fn is_in(&self, group: u32) -> bool {
        group == self.group || self.groups.contains(&group)
    }
}

/// None where they cannot be had, or become more between two questions.
fn supplementary_groups() -> Arc<[u32]> {
    // SAFETY: asked for no groups, the kernel writes none, and tells how many there are.
    let count = unsafe { libc::getgroups(0, ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    if groups.is_empty() {
        return Arc::default();
    }
    // SAFETY: there is room for as many as are asked for.
    let count = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(count).unwrap_or(0));
    groups.sort_unstable();
    groups.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_of_one_era_and_its_child_of_another() {
        let mine = Era::now();
        assert_eq!(Era::now(), mine);
        assert!(mine.is_now());
        // SAFETY: the child makes no call but the one that is tested, which allocates nothing, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let none_yet = !mine.is_now() && !EraCell::new().is_now();
            let differs = none_yet && Era::now() != mine && Era::now().is_now() && !mine.is_now();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(i32::from(!differs)) };
        }
        let mut status = -1;
        // SAFETY: our own child, and a live int.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "the child took itself for its parent");
    }

    #[test]
    fn a_change_of_privileges_is_told_in_words() {
        let now = Privileges::now();
        assert_eq!(now.changes_since(&now), None);
        let before = Privileges { user: now.user + 1, ..now.clone() };
        let words = now.changes_since(&before).unwrap();
        let (then, now) = (now.user + 1, now.user);
        assert_eq!(words, format!("the handle was opened as user {then} (now {now})"));
    }

    #[test]
    fn a_group_that_was_given_up_is_told_and_one_that_was_not_is_not() {
        let now = Privileges { group: 7, groups: [8].into(), ..Privileges::now() };
        let before = Privileges { groups: [7, 8, 9, 10].into(), ..now.clone() };
        let words = now.changes_since(&before).unwrap();
        assert_eq!(words, "the handle was opened in more groups (9, 10)");
        assert_eq!(before.changes_since(&now), None);
        assert_ne!(before, now, "what was seen with fewer groups is looked at anew");
    }

    #[test]
    fn the_groups_are_those_that_the_kernel_knows() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let mut known: Vec<u32> =
            line.split_whitespace().map(|group| group.parse().unwrap()).collect();
        known.sort_unstable();
        assert_eq!(*Privileges::now().groups, known);
    }
}
