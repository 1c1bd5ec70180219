//! A mount that begins to hang after the files were read and before they are watched.

use std::ffi::{c_char, c_void};
use std::fs;
use std::ptr;
use std::sync::Mutex;

use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::options::key_password::certreload_options_set_key_password_callback;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;

use super::alone::{Needs, alone};
use super::fuse::Fuse;
use super::support::certificates::Pair;
use super::support::driver::Driver;
use super::support::host::Builder;
use super::support::workshop::Workshop;
use super::{Good, builder, reap, soon, wait_for_health};

/// The name of the pairs that a workshop makes.
const NAME: &str = "a.test";
const ENCRYPTED: &str = "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out new; \
                         mv new key.pem";
/// So rarely that only a notification, or the arming of the watch, can have found a change.
const NEVER: u32 = 86_400_000;
#[cfg(target_arch = "x86_64")]
const INOTIFY_ADD_WATCH: &str = "254";

/// The mounts, and how often a password was asked for.
struct Trap(Mutex<(Fuse, usize)>);

impl Trap {
    fn fuse<T>(&self, act: impl FnOnce(&mut Fuse) -> T) -> T {
        act(&mut self.0.lock().unwrap().0)
    }

    fn put(&self, put: impl FnOnce(&Fuse, usize, &Pair), workshop: &Workshop) -> String {
        workshop.run(ENCRYPTED);
        let read = |name| fs::read_to_string(workshop.path(name)).unwrap();
        let sha256 = workshop.fingerprint("chain.pem");
        let pair = Pair { chain: read("chain.pem"), key: read("key.pem"), sha256 };
        self.fuse(|fuse| put(fuse, 0, &pair));
        pair.sha256
    }
}

/// Knows the password `secret`. When first asked, makes the mount hang: the open has read the files, and watches none.
unsafe extern "C" fn hang_and_answer(
    trap: *mut c_void,
    _: *const c_char,
    password_out: *mut c_char,
    _: usize,
    length_out: *mut usize,
) -> bool {
    // SAFETY: the trap lives as long as the handle; the buffer has room for the password.
    unsafe {
        let (fuse, count) = &mut *(*trap.cast::<Trap>()).0.lock().unwrap();
        if *count == 0 {
            fuse.hang(0, "lookup");
        }
        *count += 1;
        ptr::copy_nonoverlapping(c"secret".as_ptr(), password_out, 6);
        *length_out = 6;
    }
    true
}

fn ask(builder: Builder, trap: &Trap) -> Builder {
    let userdata = ptr::from_ref(trap).cast_mut().cast();
    // SAFETY: live options; the trap lives longer than the handle.
    let result = unsafe {
        certreload_options_set_key_password_callback(
            builder.0,
            Some(hang_and_answer),
            userdata,
            None,
        )
    };
    assert_eq!(result, Outcome::Ok);
    builder
}

/// The system calls that threads of the library are blocked in, by number.
#[cfg(target_arch = "x86_64")]
fn blocked_calls() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let calls = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.join("comm")).ok()?;
        let call = fs::read_to_string(task.join("syscall")).ok()?;
        name.starts_with("certreload").then(|| call.split(' ').next().unwrap().to_owned())
    });
    calls.collect()
}

/// G21 while a watch is added, and G1: what changes before the watch is armed is found when it is.
fn hangs_while_a_watch_is_armed(driver: Driver) {
    let Some(fuse) = Fuse::mount(1) else { return };
    let mut good = Good::new(driver);
    let workshop = Workshop::after(ENCRYPTED);
    let trap = Trap(Mutex::new((fuse, 0)));
    let first = trap.put(Fuse::put, &workshop);
    let path = |name: &str| trap.fuse(|fuse| fuse.path(0, name));
    let builder = builder(driver)
        .poll_ms(NEVER)
        .identity(&good.site.chain(), &good.site.key())
        .identity(&path("chain.pem"), &path("key.pem"));
    let builder = ask(builder, &trap);
    let host = soon("opened while the watch is armed", || builder.open());
    assert_eq!(trap.0.lock().unwrap().1, 1, "asked once");
    trap.fuse(|fuse| fuse.wait_until_hung(0));
    #[cfg(target_arch = "x86_64")]
    {
        let calls = blocked_calls();
        println!("system calls: {calls:?}");
        let count = calls.iter().filter(|call| *call == INOTIFY_ADD_WATCH).count();
        assert_eq!(count, 1, "{calls:?}");
    }
    good.works_beside(&host);
    let failure = host.recorder.wait_for_failures(1).remove(0);
    assert_eq!(failure.result, Outcome::TimedOut, "{failure:?}");
    let mount = path("");
    assert!(failure.path.starts_with(&*mount.to_string_lossy()), "{failure:?}");
    assert_eq!(host.identity_status(1).health, Health::Stale);
    assert_eq!(host.identity_status(0).health, Health::Ok);
    assert_eq!(host.served(NAME), first);
    good.works_beside(&host);
    // The kernel notifies of no change behind the mount, and there is no poll.
    let second = trap.put(Fuse::put_behind, &workshop);
    trap.fuse(|fuse| fuse.release(0));
    host.wait_until_served(NAME, &second);
    wait_for_health(&host, 1, Health::Ok);
    reap();
    let third = trap.put(Fuse::put, &workshop);
    host.wait_until_served(NAME, &third);
    let failures = host.recorder.of(Kind::ReloadFailed);
    assert_eq!(failures.len(), 1, "reported once: {failures:#?}");
    soon("closed", || drop(host));
}

#[test]
fn g21_a_mount_that_hangs_while_a_watch_is_armed_delays_no_open() {
    alone(Needs::Mounts, || hangs_while_a_watch_is_armed(Driver::Threads));
}

#[test]
fn g21_a_mount_that_hangs_while_a_watch_is_armed_delays_no_open_with_a_reader_thread() {
    alone(Needs::Mounts, || hangs_while_a_watch_is_armed(Driver::Host));
}
