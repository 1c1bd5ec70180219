//! Reports on which kind of file system a file lies.

use std::fs::File;

use rustix::fs::fstatfs;

/// Returns whether `file` lies on a local file system, whose time stamps change with the file.
///
/// Time stamps of network file systems are late, and those of layered and unknown file systems may be.
pub(crate) fn is_on_local_file_system(file: &File) -> bool {
    // From linux/magic.h, and from the sources of file systems that are not listed there.
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
