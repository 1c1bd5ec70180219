//! Files whose renewals the kernel does not report, or does not show: those without a path, and those that are mounted
//! by themselves. They are served as the kernel finds them, and the host is notified.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

#[path = "faults/alone.rs"]
mod alone;
mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use alone::{Needs, alone};
use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::event::{
    CERTRELOAD_WARNING_FILE_DELETED as FILE_DELETED, CERTRELOAD_WARNING_KEY_READABLE,
    CERTRELOAD_WARNING_POLLED_PATH as POLLED_PATH,
};
use certreload::ffi::options::trust::certreload_client_auth;
use certreload::ffi::options::watch::certreload_watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;
use support::certificates::{Authority, Pair, Site, replace};
use support::host::{Builder, Host, Seen, last_error};
use support::rotation::{NAME, NEVER};
use support::sites::write_private;

fn builder(chain: &Path, key: &Path) -> Builder {
    Builder::new().identity(chain, key).poll_ms(100).debounce_ms(5, 2000)
}

/// The warnings of the handle and of its identity.
fn warnings(host: &Host) -> [u32; 2] {
    [host.status().warnings, host.identity_status(0).warnings]
}

fn first_event(host: &Host) -> Seen {
    host.recorder.wait_until("the first event", |seen| !seen.is_empty()).remove(0)
}

fn wait_for_warnings(host: &Host, count: usize) -> Vec<Seen> {
    let is_warning = |seen: &&Seen| seen.kind == Kind::Warning;
    let all = host
        .recorder
        .wait_until("warnings", |seen| seen.iter().filter(is_warning).count() >= count);
    all.into_iter().filter(|seen| is_warning(&seen)).collect()
}

/// Waits until the host's status shows `bits`, which no event reports.
fn wait_for_status(host: &Host, bits: u32) {
    let deadline = std::time::Instant::now() + support::host::PATIENCE;
    while warnings(host) != [bits; 2] {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?} {:#?}",
            warnings(host),
            host.recorder.all()
        );
        std::thread::yield_now();
    }
}

fn path_of(file: &File) -> PathBuf {
    format!("/dev/fd/{}", file.as_raw_fd()).into()
}

/// Replaces the content through the descriptor.
fn rewrite(file: &File, text: &str) {
    file.set_len(0).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
}

fn memfd(text: &str) -> File {
    // SAFETY: a C string, and no memory is shared; the descriptor is new.
    let file = unsafe {
        let fd = libc::memfd_create(c"pair".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0);
        File::from_raw_fd(fd)
    };
    rewrite(&file, text);
    file
}

#[test]
fn g1_memfd_is_served_and_polled_and_the_host_is_notified() {
    let first = Pair::new(&[NAME]);
    let (chain, key) = (memfd(&first.chain), memfd(&first.key));
    let host = builder(&path_of(&chain), &path_of(&key)).open();
    let reloaded = first_event(&host);
    assert_eq!((reloaded.kind, reloaded.warnings), (Kind::Reloaded, POLLED_PATH), "{reloaded:?}");
    let text = format!("{}: leads through /proc", path_of(&chain).display());
    assert!(reloaded.message.contains(&text), "{reloaded:?}");
    assert!(reloaded.message.contains("by polling alone, every 100 ms"), "{reloaded:?}");
    assert_eq!(
        warnings(&host),
        [POLLED_PATH; 2],
        "it has no name by which others could read the key"
    );
    assert_eq!(host.served(NAME), first.sha256);
    let next = Pair::new(&[NAME]);
    rewrite(&chain, &next.chain);
    rewrite(&key, &next.key);
    host.wait_until_served(NAME, &next.sha256);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0);
    assert_eq!(host.recorder.of(Kind::WatchDegraded).len(), 0);
    assert_eq!(host.recorder.of(Kind::Warning).len(), 0, "RELOADED has reported it");
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g6_request_reads_a_memfd_that_nothing_watches() {
    let first = Pair::new(&[NAME]);
    let (chain, key) = (memfd(&first.chain), memfd(&first.key));
    let builder = builder(&path_of(&chain), &path_of(&key)).watch(certreload_watch::Off);
    let host = builder.open();
    let reloaded = first_event(&host);
    assert!(reloaded.message.contains("by reload requests alone"), "{reloaded:?}");
    assert_eq!(warnings(&host), [POLLED_PATH; 2]);
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    let next = Pair::new(&[NAME]);
    rewrite(&chain, &next.chain);
    rewrite(&key, &next.key);
    assert_eq!(host.reload_wait(), Outcome::Ok);
    assert_eq!(host.served(NAME), next.sha256);
}

#[test]
fn g1_open_file_that_is_deleted_is_served_on_and_a_warning_begins() {
    let first = Pair::new(&[NAME]);
    let site = Site::plain(&first);
    let open = |path: &Path| File::options().read(true).write(true).open(path).unwrap();
    let (chain, key) = (open(&site.chain()), open(&site.key()));
    let host = builder(&path_of(&chain), &path_of(&key)).open();
    assert_eq!(first_event(&host).warnings, 0, "the file has a path, which is watched");
    fs::remove_file(site.chain()).unwrap();
    let warning = wait_for_warnings(&host, 1).remove(0);
    assert_eq!(warning.warnings, POLLED_PATH, "{warning:?}");
    assert_eq!(warning.path, path_of(&chain).to_str().unwrap());
    assert_eq!((warning.result, warning.generation), (Outcome::Ok, 1), "{warning:?}");
    assert_eq!(warnings(&host), [POLLED_PATH; 2]);
    // Another file takes the path; the descriptor leads to the deleted one as before.
    write_private(&site.chain(), "no certificate");
    let next = Pair::new(&[NAME]);
    rewrite(&chain, &next.chain);
    rewrite(&key, &next.key);
    host.wait_until_served(NAME, &next.sha256);
    assert_eq!(host.recorder.of(Kind::Warning).len(), 1);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0);
    assert_eq!(host.status().health, Health::Ok);
}

#[test]
fn g1_link_between_a_path_and_a_descriptor_begins_and_ends_the_warning() {
    let pair = Pair::new(&[NAME]);
    let site = Site::plain(&pair);
    let chain = memfd(&pair.chain);
    let (link, spare) = (site.path("link.pem"), site.path("spare.pem"));
    symlink(site.chain(), &link).unwrap();
    let host = builder(&link, &site.key()).poll_ms(NEVER).open();
    for round in 1..=2 {
        symlink(path_of(&chain), &spare).unwrap();
        fs::rename(&spare, &link).unwrap();
        let warning = wait_for_warnings(&host, round).remove(round - 1);
        assert_eq!(warning.path, link.to_str().unwrap(), "{warning:?}");
        symlink(site.chain(), &spare).unwrap();
        fs::rename(&spare, &link).unwrap();
        wait_for_status(&host, 0);
    }
    assert_eq!(host.recorder.of(Kind::Warning).len(), 2);
    assert_eq!(host.recorder.of(Kind::Reloaded).len(), 1, "the content is the same (G5)");
    // A warning that a generation began with ends without a generation, too.
    symlink(path_of(&chain), &spare).unwrap();
    fs::rename(&spare, &link).unwrap();
    let host = builder(&link, &site.key()).poll_ms(NEVER).open();
    assert_eq!(first_event(&host).warnings, POLLED_PATH);
    symlink(site.chain(), &spare).unwrap();
    fs::rename(&spare, &link).unwrap();
    wait_for_status(&host, 0);
}

#[test]
fn warning_that_comes_with_new_content_is_reported_by_its_event() {
    let (first, next) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
    let both = |pair: &Pair| pair.chain.clone() + &pair.key;
    let site = Site::plain(&first);
    let (file, link, spare) = (site.path("both.pem"), site.path("link"), site.path("spare"));
    write_private(&file, &both(&first));
    symlink(&file, &link).unwrap();
    // A poll does not know whether the content is complete, so it waits for the quiet time.
    let host = builder(&link, &link).watch(certreload_watch::Poll).open();
    let memfd = memfd(&both(&next));
    symlink(path_of(&memfd), &spare).unwrap();
    fs::rename(&spare, &link).unwrap();
    host.recorder.wait_for_generation(2);
    let reloaded = host.recorder.of(Kind::Reloaded).remove(1);
    assert_eq!(reloaded.warnings, POLLED_PATH, "{reloaded:?}");
    assert!(!reloaded.message.contains("more like it"), "chain and key are one file: {reloaded:?}");
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(host.recorder.of(Kind::Warning).len(), 0);
}

#[test]
fn g1_path_below_the_root_of_this_process_is_watched_as_any_other() {
    let first = Pair::new(&[NAME]);
    let mut site = Site::plain(&first);
    let below = |path: PathBuf| Path::new("/proc/self/root").join(path.strip_prefix("/").unwrap());
    let host = builder(&below(site.chain()), &below(site.key())).poll_ms(NEVER).open();
    let next = Pair::new(&[NAME]);
    site.renew(&next);
    host.wait_until_served(NAME, &next.sha256);
    assert_eq!(warnings(&host), [0; 2]);
}

/// A process in a separate mount namespace, in which a tmpfs covers a directory. Killed when dropped.
struct Elsewhere(Child);

impl Elsewhere {
    fn new(directory: &Path) -> Self {
        let script = "mount -t tmpfs tmpfs \"$0\" && echo mounted && exec cat";
        let ways: [&[&str]; 2] = [&["--mount"], &["--mount", "--propagation", "unchanged"]];
        let tried = ways.into_iter().find_map(|way| {
            let mut command = Command::new("unshare");
            command.args(way).args(["sh", "-c", script]).arg(directory);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if line == "mounted\n" {
                return Some(child);
            }
            child.wait().unwrap();
            None
        });
        Self(tried.expect("a mount namespace"))
    }

    /// Returns the path by which this process reaches `path` of that process.
    fn path(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.0.id());
        Path::new(&root).join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn g1_files_in_the_mount_namespace_of_another_process_are_followed() {
    alone(Needs::Mounts, || {
        let (here, first) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
        let authority = Authority::new();
        let site = Site::plain(&here);
        let live = site.chain().parent().unwrap().canonicalize().unwrap();
        let other = Elsewhere::new(&live);
        let (chain, key) = (live.join("chain.pem"), live.join("key.pem"));
        // The same paths here lead to another pair, and to no roots.
        assert!(chain.exists() && key.exists());
        let (chain, key) = (other.path(&chain), other.path(&key));
        let roots = other.path(&live.join("roots"));
        fs::create_dir(&roots).unwrap();
        fs::write(roots.join("a.pem"), authority.root_pem()).unwrap();
        symlink("a.pem", roots.join("0123abcd.0")).unwrap();
        write_private(&chain, &first.chain);
        write_private(&key, &first.key);
        let host =
            builder(&chain, &key).client_auth(certreload_client_auth::Optional, &roots).open();
        assert_eq!(host.served(NAME), first.sha256);
        let reloaded = first_event(&host);
        assert_eq!(reloaded.warnings, POLLED_PATH, "{reloaded:?}");
        // Those of the chain, the key, and the directory.
        assert!(reloaded.message.contains("(and 2 more like it)"), "{reloaded:?}");
        let next = Pair::new(&[NAME]);
        replace(&chain, &next.chain);
        replace(&key, &next.key);
        host.wait_until_served(NAME, &next.sha256);
        replace(&roots.join("a.pem"), &Authority::new().root_pem());
        host.recorder.wait_for_generation(3);
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 0);
        assert_eq!(host.recorder.of(Kind::WatchDegraded).len(), 0);
        // With the process, its root is gone. What was served stays.
        drop(other);
        let failure = host.recorder.wait_for_failures(1).remove(0);
        assert_eq!(failure.result, Outcome::FileNotFound, "{failure:?}");
        assert_eq!(host.served(NAME), next.sha256);
    });
}

#[test]
fn g17_pipe_behind_a_descriptor_is_refused_by_name() {
    let site = Site::plain(&Pair::new(&[NAME]));
    let (pipe, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"anything").unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", pipe.as_raw_fd()));
    let refused = builder(&path, &site.key()).try_open();
    assert_eq!(refused.err(), Some(Outcome::FileNotRegular));
    let expected = format!("{}: is a FIFO, not a regular file", path.display());
    assert!(last_error().starts_with(&expected), "{}", last_error());
}

#[test]
fn slash_behind_a_file_is_refused_and_behind_a_directory_it_is_none() {
    let authority = Authority::new();
    let site = Site::plain(&Pair::new(&[NAME]));
    let with_slash = |path: &Path| PathBuf::from(format!("{}/", path.display()));
    let refused = builder(&with_slash(&site.chain()), &site.key()).try_open();
    assert_eq!(refused.err(), Some(Outcome::FileNotRegular));
    assert!(last_error().contains("/: is not a directory, and the path ends in a slash"));
    let (roots, link) = (site.path("roots"), site.path("link"));
    fs::create_dir(&roots).unwrap();
    symlink("roots", &link).unwrap();
    write_private(&roots.join("ca.pem"), &authority.root_pem());
    let refused = builder(&site.chain(), &site.key())
        .client_auth(certreload_client_auth::Optional, &with_slash(&roots.join("ca.pem")))
        .try_open();
    assert_eq!(refused.err(), Some(Outcome::FileNotRegular), "{}", last_error());
    for path in [roots.clone(), link] {
        let host = builder(&site.chain(), &site.key())
            .client_auth(certreload_client_auth::Optional, &with_slash(&path))
            .poll_ms(NEVER)
            .open();
        replace(&roots.join("ca.pem"), &Authority::new().root_pem());
        host.recorder.wait_for_generation(2);
    }
}

fn mount(from: &Path, at: &Path) {
    let mounted = Command::new("mount").arg("--bind").args([from, at]).status().unwrap();
    assert!(mounted.success(), "{}", at.display());
}

fn unmount(at: &Path) {
    let unmounted = Command::new("umount").arg("--lazy").arg(at).status().unwrap();
    assert!(unmounted.success(), "{}", at.display());
}

/// A pair whose files are mounted one by one, as `docker run -v file:file` and the subPath of Kubernetes do.
struct MountedFiles {
    host_side: Site,
    container_side: Site,
}

impl MountedFiles {
    fn new(pair: &Pair) -> Self {
        let empty = Pair::new(&[NAME]);
        let files = Self { host_side: Site::plain(pair), container_side: Site::plain(&empty) };
        files.mount();
        files
    }

    fn mount(&self) {
        mount(&self.host_side.chain(), &self.container_side.chain());
        mount(&self.host_side.key(), &self.container_side.key());
    }

    fn unmount(&self) {
        unmount(&self.container_side.chain());
        unmount(&self.container_side.key());
    }
}

impl Drop for MountedFiles {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[test]
fn file_that_is_mounted_by_itself_and_replaced_is_a_warning_until_it_is_mounted_again() {
    alone(Needs::Mounts, || {
        let first = Pair::new(&[NAME]);
        let files = MountedFiles::new(&first);
        let (chain, key) = (files.container_side.chain(), files.container_side.key());
        // Found by a poll, and by the notification that the old file lost its name.
        let polled = builder(&chain, &key).watch(certreload_watch::Poll).open();
        let notified = builder(&chain, &key).poll_ms(NEVER).open();
        for host in [&polled, &notified] {
            assert_eq!(first_event(host).warnings, 0, "a host that writes in place is followed");
        }
        let next = Pair::new(&[NAME]);
        replace(&files.host_side.chain(), &next.chain);
        for host in [&polled, &notified] {
            let warning = wait_for_warnings(host, 1).remove(0);
            assert_eq!(warning.warnings, FILE_DELETED, "{warning:?}");
            assert_eq!(warning.path, chain.to_str().unwrap());
            assert_eq!((warning.result, warning.generation), (Outcome::Ok, 1), "{warning:?}");
            let text = format!("{}: was replaced or deleted where", chain.display());
            assert!(warning.message.starts_with(&text), "{warning:?}");
            assert_eq!(warnings(host), [FILE_DELETED; 2]);
            assert_eq!(host.status().health, Health::Ok);
        }
        replace(&files.host_side.key(), &next.key);
        for host in [&polled, &notified] {
            let warning = wait_for_warnings(host, 2).remove(1);
            assert_eq!(warning.path, key.to_str().unwrap(), "{warning:?}");
            // Not again, however often the files are read.
            assert_eq!(host.reload_wait(), Outcome::Unchanged);
            assert_eq!(host.recorder.of(Kind::Warning).len(), 2);
            assert_eq!(host.served(NAME), first.sha256);
        }
        // A handle that is opened now has it from the start.
        let late = builder(&chain, &key).open();
        let reloaded = first_event(&late);
        assert_eq!((reloaded.kind, reloaded.warnings), (Kind::Reloaded, FILE_DELETED));
        assert!(reloaded.message.contains("(and 1 more like it)"), "{reloaded:?}");
        files.unmount();
        files.mount();
        // The kernel does not notify of a mount.
        for host in [&polled, &notified, &late] {
            host.reload_wait();
            host.wait_until_served(NAME, &next.sha256);
            wait_for_status(host, 0);
            assert_eq!(host.status().health, Health::Ok);
        }
    });
}

#[test]
fn warning_about_a_readable_key_has_no_separate_event() {
    let pair = Pair::new(&[NAME]);
    let site = Site::plain(&pair);
    let host = builder(&site.chain(), &site.key()).poll_ms(NEVER).open();
    let status = Command::new("chmod").arg("644").arg(site.key()).status().unwrap();
    assert!(status.success());
    assert_eq!(host.reload_wait(), Outcome::Unchanged);
    assert_eq!(warnings(&host), [CERTRELOAD_WARNING_KEY_READABLE; 2]);
    assert_eq!(host.recorder.of(Kind::Warning).len(), 0);
}
