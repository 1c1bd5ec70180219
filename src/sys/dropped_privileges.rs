//! Records with which user, groups and root directory the process opens files, and describes what it has given up.
//!
//! A server often opens its handle as root and then changes its user. If a file cannot be read later, this is the
//! probable reason, which the error message names.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::process::{Gid, getegid, geteuid, getgroups};

/// The user, the groups and the root directory with which the process opens files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Privileges {
    user: u32,
    group: u32,
    /// The supplementary groups, in ascending order.
    groups: Arc<[u32]>,
    /// Device and inode of the root directory, which `chroot(2)` changes. `None` if it cannot be inspected.
    root: Option<(u64, u64)>,
}

impl Privileges {
    pub(crate) fn now() -> Self {
        let root = std::fs::metadata("/").ok().map(|root| (root.dev(), root.ino()));
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        Self { user, group, groups: supplementary_groups(), root }
    }

    /// Describes, for operators, how `self` differs from `opened`, the privileges at the time the handle was opened.
    ///
    /// Returns `None` if there is nothing to say. Groups that were added are not mentioned, because they make no file
    /// unreadable.
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

/// Returns the groups of the process in ascending order, or none if the kernel refuses to list them.
///
/// rustix calls `getgroups(2)` twice: for the count, and for the list. If the host changes the groups in between, the
/// list is empty or ends with zeros. The next poll then gets another list, takes it for changed privileges, and reads
/// all files again, which does no harm.
fn supplementary_groups() -> Arc<[u32]> {
    let groups = getgroups().unwrap_or_default();
    let mut groups: Vec<_> = groups.into_iter().map(Gid::as_raw).collect();
    groups.sort_unstable();
    groups.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_since_another_user_names_both_users() {
        let now = Privileges::now();
        assert_eq!(now.changes_since(&now), None);
        let before = Privileges { user: now.user + 1, ..now.clone() };
        let words = now.changes_since(&before).unwrap();
        let (then, now) = (now.user + 1, now.user);
        assert_eq!(words, format!("the handle was opened as user {then} (now {now})"));
    }

    #[test]
    fn changes_since_more_groups_names_only_the_lost_ones() {
        let now = Privileges { group: 7, groups: [8].into(), ..Privileges::now() };
        let before = Privileges { groups: [7, 8, 9, 10].into(), ..now.clone() };
        let words = now.changes_since(&before).unwrap();
        assert_eq!(words, "the handle was opened in more groups (9, 10)");
        assert_eq!(before.changes_since(&now), None);
        assert_ne!(before, now, "what was read with fewer groups is read again");
    }

    #[test]
    fn privileges_have_the_groups_that_the_kernel_lists() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let mut known: Vec<u32> =
            line.split_whitespace().map(|group| group.parse().unwrap()).collect();
        known.sort_unstable();
        assert_eq!(*Privileges::now().groups, known);
    }
}
