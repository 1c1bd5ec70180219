//! What the system tells of where a file lies.

#![allow(unsafe_code, reason = "system calls; each block argues for itself")]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// Whether `file` is on a file system of this machine, whose time stamps change with the file. Those
/// of network file systems are late, and those of layered and unknown ones may be.
pub(crate) fn is_on_local_file_system(file: &File) -> bool {
    // The numbers of linux/magic.h and of the file systems' own sources.
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
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: an open descriptor and room for the answer, which is read only where there is one.
    let kind = unsafe {
        if libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) != 0 {
            return false;
        }
        about.assume_init().f_type
    };
    LOCAL.contains(&kind)
}
