//! Reports on which mount a path is, without touching the mount.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sys::Mutex;

/// How long a table of mounts is used before it is read again.
const TABLE_LIFETIME: Duration = Duration::from_millis(250);

/// The number of a mount, unique among those that exist at one time (`proc_pid_mountinfo(5)`).
pub(super) type MountId = u64;

/// The mount of a path that the table lacks: if `/proc` is not available, or in a chroot whose root is no mount point.
const UNKNOWN_MOUNT: MountId = 0;

/// The mounts that this process sees, in the order in which they were mounted.
#[derive(Default)]
pub(super) struct Mounts(Vec<Mount>);

struct Mount {
    id: MountId,
    point: PathBuf,
    file_system: String,
}

impl Mounts {
    /// Returns the mounts of now, or of up to [`TABLE_LIFETIME`] ago.
    pub(super) fn recent() -> Arc<Self> {
        static RECENT: Mutex<Option<(Instant, Arc<Mounts>)>> = Mutex::new(None);
        // Not `lock`: a thread of the parent of this process may have held it during the fork.
        let Some(mut recent) = RECENT.try_lock() else { return Arc::new(Self::read()) };
        let now = Instant::now();
        match &*recent {
            Some((at, mounts)) if now < *at + TABLE_LIFETIME => mounts.clone(),
            before => {
                let last = before.as_ref().map(|(_, mounts)| mounts.clone());
                let mounts = match Self::read() {
                    // Without a table that can be read, the last one is the best.
                    read if read.0.is_empty() => last.unwrap_or_default(),
                    read => Arc::new(read),
                };
                *recent = Some((now, mounts.clone()));
                mounts
            }
        }
    }

    /// Reads the table of this process. The kernel answers without asking any file system.
    fn read() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(table: &[u8]) -> Self {
        Self(table.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// Returns the mount of `path`, which is absolute and free of symbolic links.
    pub(super) fn mount_of(&self, path: &Path) -> MountId {
        self.find(path).map_or(UNKNOWN_MOUNT, |mount| mount.id)
    }

    /// Returns whether `path` is on a file system whose files are on this machine. Without a table, all are.
    pub(super) fn is_local(&self, path: &Path) -> bool {
        self.find(path).is_none_or(|mount| LOCAL.contains(&mount.file_system.as_str()))
    }

    /// Returns whether the mount `id` is one of a file system whose files are on this machine.
    pub(super) fn is_local_mount(&self, id: MountId) -> bool {
        let mount = self.0.iter().find(|mount| mount.id == id);
        id == UNKNOWN_MOUNT
            || mount.is_some_and(|mount| LOCAL.contains(&mount.file_system.as_str()))
    }

    /// Returns whether the mount `id` exists.
    pub(super) fn contains(&self, id: MountId) -> bool {
        id == UNKNOWN_MOUNT || self.0.iter().any(|mount| mount.id == id)
    }

    /// Returns whether `path` is on a procfs.
    fn is_on_proc(&self, path: &Path) -> bool {
        let is_proc = |mount: &Mount| mount.file_system == "proc";
        // Most paths are below none, which is quicker to find out than their mount.
        self.0.iter().any(|mount| is_proc(mount) && path.starts_with(&mount.point))
            && self.find(path).is_some_and(is_proc)
    }

    /// Of several mounts at one point, only the last one can be reached.
    fn find(&self, path: &Path) -> Option<&Mount> {
        let mounts = self.0.iter().enumerate().filter(|(_, mount)| path.starts_with(&mount.point));
        let longest = |(at, mount): &(usize, &Mount)| (mount.point.as_os_str().len(), *at);
        mounts.max_by_key(longest).map(|(_, mount)| mount)
    }
}

impl Mount {
    /// Parses a line: `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPER-OPTIONS`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let point = unescape(fields.nth(3)?);
        let file_system = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some(Self {
            id,
            point: PathBuf::from(OsString::from_vec(point)),
            file_system: String::from_utf8_lossy(file_system).into_owned(),
        })
    }
}

/// Decodes the octal escapes of the kernel: of space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

/// File systems whose files are on this machine.
const LOCAL: [&str; 24] = [
    "vfat", "exfat", "erofs", "iso9660", "jfs", "reiserfs", "ntfs3", "nilfs2", "ext2", "ext3",
    "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "ramfs", "rootfs", "squashfs",
    "overlay", "devtmpfs", "proc", "sysfs",
];

/// File systems whose files other machines can change. The kernel notifies only of changes that this machine makes.
const REMOTE: [&str; 12] = [
    "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "coda", "gfs2", "ocfs2", "lustre",
    "virtiofs",
];

/// FUSE file systems whose files other machines can change: `fuse.` and the name of the program. Others, such as bindfs,
/// show files of this machine.
const REMOTE_FUSE: [&str; 8] = [
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph-fuse",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.gcsfuse",
    "fuse.juicefs",
    "fuse.mount-s3",
];

/// Returns the type of the file system at `path`, if other machines can change its files: the kernel does not notify of
/// such changes (G19). `path` is absolute and free of symbolic links.
pub(crate) fn remote_file_system(path: &Path) -> Option<String> {
    let mounts = Mounts::recent();
    let name = &mounts.find(path)?.file_system;
    let is_remote = REMOTE.contains(&name.as_str()) || REMOTE_FUSE.contains(&name.as_str());
    is_remote.then(|| name.clone())
}

/// Returns whether `path` is on a procfs, whose links may lead to places that their texts do not name. `path` is
/// absolute, and its directories are no symbolic links.
pub(crate) fn is_on_proc(path: &Path) -> bool {
    Mounts::recent().is_on_proc(path)
}

/// Returns whether something is mounted at `path` itself. `path` is absolute and free of symbolic links.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    Mounts::recent().0.iter().any(|mount| mount.point == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
30 22 0:25 / /mnt/a rw - fuse.hanging hanging rw,user_id=0\n\
31 22 0:26 / /mnt/a\\040b rw master:1 - nfs4 server:/tls rw\n\
32 30 0:27 / /mnt/a/inner rw - tmpfs tmpfs rw\n\
33 22 0:28 / /mnt/twice rw - nfs server:/x rw\n\
34 33 0:29 / /mnt/twice rw - tmpfs tmpfs rw\n\
35 22 0:30 / /proc rw - proc proc rw\n\
36 35 0:31 / /proc/covered rw - tmpfs tmpfs rw\n\
broken line\n";

    #[test]
    fn g21_a_path_belongs_to_the_innermost_and_last_mount() {
        let mounts = Mounts::parse(TABLE);
        let id_of = |path: &str| mounts.mount_of(Path::new(path));
        assert_eq!(id_of("/etc/tls/key.pem"), 22);
        assert_eq!(id_of("/mnt/a"), 30);
        assert_eq!(id_of("/mnt/a/key.pem"), 30);
        assert_eq!(id_of("/mnt/a b/key.pem"), 31);
        assert_eq!(id_of("/mnt/a/inner/key.pem"), 32);
        assert_eq!(id_of("/mnt/apple"), 22, "whole names are compared");
        assert_eq!(id_of("/mnt/twice/key.pem"), 34);
        assert!(mounts.is_local(Path::new("/mnt/twice/key.pem")));
        assert!(!mounts.is_local(Path::new("/mnt/a b/key.pem")));
        assert!(mounts.contains(33) && !mounts.contains(37));
        assert_eq!(Mounts::default().mount_of(Path::new("/")), UNKNOWN_MOUNT);
        assert!(mounts.is_on_proc(Path::new("/proc/1/root")));
        assert!(!mounts.is_on_proc(Path::new("/proc/covered/root")));
        assert!(!mounts.is_on_proc(Path::new("/process")));
    }

    #[test]
    fn the_table_of_this_process_has_proc() {
        let mounts = Mounts::recent();
        // In a chroot, `/` may be no mount point, and the table lacks it.
        assert!(mounts.is_local(Path::new("/")));
        assert_ne!(mounts.mount_of(Path::new("/proc/self")), UNKNOWN_MOUNT);
        assert_ne!(mounts.mount_of(Path::new("/proc/self")), mounts.mount_of(Path::new("/")));
    }
}
