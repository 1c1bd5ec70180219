//! Reports whether the time stamps of a file show every change at once, which depends on its file system.

use std::fs::File;

use rustix::fs::fstatfs;

/// Returns whether `file` is on a local file system, whose time stamps change together with the content.
///
/// Network file systems may show new stamps later than new content. So may layered file systems (overlayfs, FUSE) and
/// those that are not listed here. Equal stamps are then no reason to skip reading a file.
pub(crate) fn is_on_local_file_system(file: &File) -> bool {
    // The `f_type` of statfs(2), from linux/magic.h. Those that are missing there are from the file systems' sources.
    const LOCAL: [i64; 9] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683e, // Btrfs
        0xf2f5_2010, // F2FS
        0x2fc1_2fc1, // ZFS
        0xca45_1a4e, // bcachefs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x7371_7368, // squashfs
    ];
    fstatfs(file).is_ok_and(|about| LOCAL.contains(&about.f_type))
}
