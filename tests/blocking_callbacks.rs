//! Callbacks of the host that block delay only what needs them (G21). Each test has the process to itself, because the
//! log function is the process's.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

#[path = "faults/alone.rs"]
mod alone;
mod support;

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use alone::{Needs, alone};
use certreload::ffi::log::certreload_log_level::{self as Level, Info};
use certreload::ffi::log::certreload_set_log_callback;
use certreload::ffi::options::certreload_options_set_name;
use certreload::ffi::options::key_password::certreload_options_set_key_password_callback;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Pair, Site};
use support::driver::Driver;
use support::host::{Builder, Host, c_path, text};
use support::workshop::Workshop;

/// The name of the identity that no callback delays.
const GOOD: &str = "good.test";
/// How long a callback blocks, unless a test lets it go before.
const BLOCKED: Duration = Duration::from_secs(4);
/// What takes less than a second on a quiet machine is done within this time on a busy one: before the callback returns.
const SOON: Duration = Duration::from_secs(3);

/// A place where a callback blocks.
#[derive(Default)]
struct Barrier {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    inside: usize,
}

impl Barrier {
    fn close(&self) {
        self.state.lock().unwrap().is_closed = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().is_closed = false;
        self.changed.notify_all();
    }

    /// Blocks while the barrier is closed, for [`BLOCKED`] at most.
    fn pass(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.inside += 1;
        self.changed.notify_all();
        let until = Instant::now() + BLOCKED;
        while state.is_closed && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
        state.inside -= 1;
        drop(state);
        self.changed.notify_all();
    }

    fn wait_until_inside(&self) {
        let mut state = self.state.lock().unwrap();
        while state.inside == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn is_passing(&self) -> bool {
        self.state.lock().unwrap().inside > 0
    }
}

fn soon<T>(what: &str, body: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = body();
    println!("{what}: {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
    result
}

fn fork() {
    // SAFETY: the child calls nothing but _exit, and is waited for.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        assert_eq!(libc::waitpid(child, ptr::null_mut(), 0), child);
    }
}

fn builder(name: &str) -> Builder {
    let builder = Builder::new().driven_by(Driver::Threads).poll_ms(200).debounce_ms(20, 300);
    // SAFETY: live options and a C string.
    let result = unsafe { certreload_options_set_name(builder.0, c_path(name.as_ref()).as_ptr()) };
    assert_eq!(result, Outcome::Ok);
    builder
}

/// Does what a blocked callback must not delay.
fn works(site: &mut Site, host: &Host) {
    let next = Pair::new(&[GOOD]);
    site.renew(&next);
    soon("renewed", || host.wait_until_served(GOOD, &next.sha256));
    let third = soon("opened", || builder("third").identity(&site.chain(), &site.key()).open());
    soon("closed", || drop(third));
    soon("forked", fork);
}

/// Blocks in lines of the handle `slow`.
unsafe extern "C" fn block_in_log(barrier: *mut c_void, _: Level, message: *const c_char) {
    // SAFETY: the barrier lives until the function is removed.
    let barrier = unsafe { &*barrier.cast::<Barrier>() };
    if text(message).starts_with("slow: generation") {
        barrier.pass();
    }
}

#[test]
fn g21_a_log_function_that_blocks_delays_no_reload() {
    alone(Needs::Process, || {
        let barrier = Barrier::default();
        let userdata = (&raw const barrier).cast_mut().cast();
        let (mut slow_site, mut site) =
            (Site::plain(&Pair::new(&["slow.test"])), Site::plain(&Pair::new(&[GOOD])));
        let slow = builder("slow").identity(&slow_site.chain(), &slow_site.key()).open();
        let host = builder("good").identity(&site.chain(), &site.key()).open();
        // SAFETY: the function has the signature, and is removed before the barrier ends.
        let set = |function| unsafe {
            certreload_set_log_callback(function, userdata, None, Info as u32)
        };
        assert_eq!(set(Some(block_in_log)), Outcome::Ok);
        barrier.close();
        let next = Pair::new(&["slow.test"]);
        slow_site.renew(&next);
        barrier.wait_until_inside();
        works(&mut site, &host);
        let next = Pair::new(&["slow.test"]);
        slow_site.renew(&next);
        soon("renewed with its log blocked", || slow.wait_until_served("slow.test", &next.sha256));
        assert_eq!(soon("reload_wait", || slow.reload_wait()), Outcome::Unchanged);
        works(&mut site, &host);
        barrier.open();
        drop((slow, host));
        assert_eq!(set(None), Outcome::Ok);
    });
}

/// Blocks, and knows the password `secret`.
unsafe extern "C" fn block_in_password(
    barrier: *mut c_void,
    _: *const c_char,
    password_out: *mut c_char,
    _: usize,
    length_out: *mut usize,
) -> bool {
    // SAFETY: the barrier lives as long as the handle; the buffer has room for the password.
    unsafe {
        (*barrier.cast::<Barrier>()).pass();
        ptr::copy_nonoverlapping(c"secret".as_ptr(), password_out, 6);
        *length_out = 6;
    }
    true
}

const ENCRYPTED: &str = "ec P-256; certify; openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out new; \
                         mv new key.pem";

#[test]
fn g21_a_key_password_function_that_blocks_delays_only_its_identity() {
    alone(Needs::Process, || {
        let barrier = Barrier::default();
        let workshop = Workshop::after(ENCRYPTED);
        let mut site = Site::plain(&Pair::new(&[GOOD]));
        let builder = builder("slow").identity(&site.chain(), &site.key());
        let builder = builder.identity(&workshop.path("chain.pem"), &workshop.path("key.pem"));
        let userdata = (&raw const barrier).cast_mut().cast();
        // SAFETY: live options; the barrier lives longer than the handle.
        let result = unsafe {
            certreload_options_set_key_password_callback(
                builder.0,
                Some(block_in_password),
                userdata,
                None,
            )
        };
        assert_eq!(result, Outcome::Ok);
        let host = builder.open();
        let other = self::builder("other").identity(&site.chain(), &site.key()).open();
        barrier.close();
        workshop.run(ENCRYPTED);
        barrier.wait_until_inside();
        works(&mut site, &host);
        works(&mut site, &other);
        // Of `host`, reload_wait() would wait for the identity whose password is awaited.
        assert_eq!(soon("reload_wait", || other.reload_wait()), Outcome::Unchanged);
        barrier.open();
        let expected = workshop.fingerprint("chain.pem");
        host.wait_until_served("a.test", &expected);
        // While the function runs, the host must not free what it uses: close waits for it.
        barrier.close();
        workshop.run(ENCRYPTED);
        barrier.wait_until_inside();
        thread::scope(|scope| {
            scope.spawn(|| {
                // An interval for a close that does not wait to return in.
                thread::sleep(Duration::from_millis(100));
                assert!(barrier.is_passing());
                barrier.open();
            });
            drop(host);
            assert!(!barrier.is_passing(), "closed while the function ran");
        });
    });
}
