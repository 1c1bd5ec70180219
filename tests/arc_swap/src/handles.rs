//! Two handles of the library, through its C functions: `acquire` of one never returns a generation of the
//! other (G2, G8).

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use std::{mem, ptr, thread};

use certreload::ffi::generation::*;
use certreload::ffi::handle::*;
use certreload::ffi::identity_getters::certreload_identity_name;
use certreload::ffi::last_error::certreload_last_error;
use certreload::ffi::identity_bytes::*;
use certreload::ffi::push_identity::*;
use certreload::ffi::options::identity_memory::*;
use certreload::ffi::options::*;
use certreload::ffi::result::certreload_result;
use certreload::ffi::status::{certreload_get_status, certreload_status};

use crate::windows::{entered, with_windows};

const NAMES: [&str; 2] = ["first.test", "second.test"];
const READERS: usize = 8;
const ACQUIRES_OF_EACH: usize = 400;

/// Only keeps a hang from hanging the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate and its key, in PEM.
struct Pair {
    chain: String,
    key: String,
}

impl Pair {
    fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn bytes(&self) -> certreload_identity_bytes {
        certreload_identity_bytes {
            chain_pem: self.chain.as_ptr().cast(),
            chain_pem_size: self.chain.len(),
            key_pem: self.key.as_ptr().cast(),
            key_pem_size: self.key.len(),
            ocsp_der: ptr::null(),
            ocsp_der_size: 0,
        }
    }
}

struct Host {
    handle: *mut certreload_handle,
    /// Two identities of the same name: pushing one while the other serves publishes a generation.
    pairs: [Pair; 2],
}

// SAFETY: the C functions that are called with it may be called from any thread, concurrently.
unsafe impl Sync for Host {}

impl Host {
    fn open(name: &str) -> Self {
        let pairs = [Pair::new(name), Pair::new(name)];
        let mut handle = ptr::null_mut();
        // SAFETY: the options are used by this thread alone, and freed once.
        unsafe {
            let options = certreload_options_new();
            expect_ok(certreload_options_add_identity_memory(options, &pairs[0].bytes(), mem::size_of::<certreload_identity_bytes>()));
            expect_ok(certreload_open(options, &raw mut handle));
            certreload_options_free(options);
        }
        Self { handle, pairs }
    }

    fn push(&self, pair: usize) {
        // SAFETY: the handle is open.
        expect_ok(unsafe { certreload_push_identity(self.handle, 0, &self.pairs[pair].bytes(), mem::size_of::<certreload_identity_bytes>()) });
    }

    /// Returns the name that the current generation serves, and its number.
    fn acquire(&self) -> (String, u64) {
        // SAFETY: the handle is open, and the generation is released once, after its last use.
        unsafe {
            let generation = certreload_generation_acquire(self.handle);
            let identity = certreload_generation_identity(generation, 0);
            let name = text(certreload_identity_name(identity, 0));
            let number = certreload_generation_number(generation);
            certreload_generation_release(generation);
            (name, number)
        }
    }

    fn generations_alive(&self) -> usize {
        // SAFETY: plain numbers and text, for which zeros are valid; the size is its own.
        unsafe {
            let mut status = mem::zeroed::<certreload_status>();
            let size = mem::size_of::<certreload_status>();
            expect_ok(certreload_get_status(self.handle, &raw mut status, size));
            status.generations_alive
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: nobody uses the handle any more.
        unsafe { certreload_close(self.handle) };
    }
}

fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    // SAFETY: a C string of the library's.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
}

fn expect_ok(result: certreload_result) {
    assert_eq!(result, certreload_result::Ok, "{}", text(certreload_last_error()));
}

/// How many generations have been published.
#[derive(Default)]
struct Published {
    count: Mutex<u64>,
    more: Condvar,
}

impl Published {
    fn add(&self) {
        *self.count.lock().unwrap() += 1;
        self.more.notify_all();
    }

    /// Blocks until as many `further` ones have been published.
    fn wait_for(&self, further: u64) {
        let count = self.count.lock().unwrap();
        let goal = *count + further;
        let (_count, wait) =
            self.more.wait_timeout_while(count, PATIENCE, |count| *count < goal).unwrap();
        assert!(!wait.timed_out(), "no generation was published any more");
    }
}

/// A small generator (xorshift), so that every run waits alike.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Publishes on both handles in turn, while readers stay in each window of `load` for up to four publications.
#[test]
fn acquire_of_one_handle_returns_no_generation_of_the_other() {
    let hosts = NAMES.map(Host::open);
    let published = Arc::new(Published::default());
    let (foreign, acquired) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (hosts, foreign, acquired) = (&hosts, &foreign, &acquired);
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let published = published.clone();
                scope.spawn(move || {
                    let which = reader % hosts.len();
                    let random = Arc::new(Mutex::new(Random(1 + reader as u64)));
                    let mut last = 0;
                    for _ in 0..ACQUIRES_OF_EACH {
                        let (published, random) = (published.clone(), random.clone());
                        let stay = move |_| published.wait_for(random.lock().unwrap().below(5));
                        let (name, number) = with_windows(stay, || hosts[which].acquire());
                        acquired.fetch_add(1, Ordering::SeqCst);
                        if name == NAMES[which] {
                            assert!(number >= last, "generation {number} after {last}");
                            last = number;
                        } else {
                            foreign.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    assert!(entered()[..2].iter().all(|count| *count >= ACQUIRES_OF_EACH));
                })
            })
            .collect();
        for round in 1.. {
            for host in hosts {
                host.push(round % 2);
                published.add();
            }
            if readers.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
    });
    let (foreign, acquired) = (foreign.into_inner(), acquired.into_inner());
    println!(
        "handles: {foreign} of {acquired} calls of certreload_generation_acquire returned a generation of the other \
         handle, in {} publications",
        published.count.lock().unwrap()
    );
    assert_eq!(foreign, 0);
    assert_eq!(hosts.each_ref().map(Host::generations_alive), [1, 1]);
}
