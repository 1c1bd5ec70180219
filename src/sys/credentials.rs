//! As whom the process reads files, and below which root directory.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::os::unix::fs::MetadataExt;
use std::ptr;
use std::sync::Arc;

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
