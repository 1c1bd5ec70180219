//! After the last user of a key has let go, no byte of it is left anywhere in the process: not of the
//! file, not of what was decoded from it, not of its password (G18).
//!
//! The test itself must not know the secrets, or it would find its own copies: a child process makes
//! them, and hands over what to look for with a bit of every byte turned. It is the only test of its
//! program, so that nobody else's memory is in the way.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::ffi::{CStr, OsStr, c_char, c_void};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use certreload::ffi::options::key_password::*;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use support::host::{Builder, c_path};

/// What `tr` turns in every byte of a secret before this process sees it.
const MASK: u8 = 0x80;
/// Pieces of this length are looked for: the beginning of a freed block is the allocator's.
const PIECE: usize = 16;
const ZEROS: [u8; 4096] = [0; _];

/// Makes `chain.pem`, `key.pem` and `password`, and `*.masked`: the secret numbers of the key, the
/// text of its file, and the password.
const FUNCTIONS: &str = r#"
set -eu
exec 2>errors
umask 077
rm -f chain.pem key.pem
export MASKED='\200-\377\000-\177' PLAIN='\000-\377'
mask() { tr "$PLAIN" "$MASKED" >$1.masked; }
openssl rand -hex 32 | tr -d '\n' >password
finish() {
    openssl req -x509 -key plain.pem -days 30 -subj /CN=a.test -addext subjectAltName=DNS:a.test -out chain.pem
    # The middle of the file: its first lines are the same for each key of a kind.
    grep -v -e ----- key.pem | tr -d '\n' | tail -c +49 | mask text
    mask password <password
}
ec() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.pem
    openssl pkcs8 -topk8 -nocrypt -in plain.pem -outform DER | tail -c +37 | head -c 32 | mask scalar
    cp plain.pem key.pem
}
ed25519() {
    openssl genpkey -algorithm ed25519 -out plain.pem
    openssl pkey -in plain.pem -outform DER | tail -c 32 | mask seed
    cp plain.pem key.pem
}
# The secret numbers of an RSA key are all but the first three.
rsa() {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out plain.pem
    openssl rsa -traditional -in plain.pem -outform DER -out der
    openssl asn1parse -inform DER -in der | awk '/INTEGER/ && ++n > 3 {
        split($0, part, /[:= ]+/); print n, $0 }' | sed 's/^\([0-9]*\) *\([0-9]*\):.*hl=\([0-9]\) *l= *\([0-9]*\).*/\1 \2 \3 \4/' |
        while read -r n at header length; do
            tail -c +$((at + header + 1)) der | head -c $length | mask number$n
        done
    cp plain.pem key.pem
}
encrypt() { openssl pkcs8 -topk8 -in plain.pem -passout file:password "$@" -out key.pem; }
"#;

fn make(dir: &Path, script: &str) {
    let run = Command::new("sh")
        .args(["-c", &format!("{FUNCTIONS}\n{script}\nfinish")])
        .current_dir(dir)
        .status()
        .unwrap();
    let errors = fs::read_to_string(dir.join("errors")).unwrap();
    assert!(run.success(), "{script}: {errors}");
}

/// What to look for: pieces of secrets, masked, as they stand and back to front, which is how numbers
/// are kept in memory.
#[derive(Clone, Default)]
struct Secrets {
    pieces: HashSet<[u8; PIECE]>,
    /// By the first two bytes of a piece, unmasked: a first look that is cheap.
    beginnings: Vec<bool>,
}

impl Secrets {
    fn add_all_of(&mut self, dir: &Path) {
        self.beginnings.resize(1 << 16, false);
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension() != Some(OsStr::new("masked")) {
                continue;
            }
            let mut masked = fs::read(&path).unwrap();
            assert!(masked.len() >= PIECE, "{}", path.display());
            for _ in 0..2 {
                for piece in masked.windows(PIECE).step_by(PIECE / 2) {
                    self.pieces.insert(piece.try_into().unwrap());
                    self.beginnings[beginning(piece[0] ^ MASK, piece[1] ^ MASK)] = true;
                }
                masked.reverse();
            }
        }
        assert!(self.pieces.len() > 20);
        SECRETS.store(Box::leak(Box::new(self.clone())), Ordering::SeqCst);
    }

    fn holds(&self, window: &[u8]) -> bool {
        self.beginnings[beginning(window[0], window[1])] && {
            let mut masked = [0; PIECE];
            masked.iter_mut().zip(window).for_each(|(to, from)| *to = from ^ MASK);
            self.pieces.contains(&masked)
        }
    }

    /// Where in this process's memory a piece is.
    fn found(&self) -> Vec<String> {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut buffer = vec![0; 1 << 20];
        let own = buffer.as_ptr_range();
        let own = own.start.addr()..own.end.addr();
        let mut found = Vec::new();
        for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if !rest.starts_with("rw") {
                continue;
            }
            let (from, until) = range.split_once('-').unwrap();
            let mut at = usize::from_str_radix(from, 16).unwrap();
            let until = usize::from_str_radix(until, 16).unwrap();
            while at + PIECE <= until {
                let length = buffer.len().min(until - at);
                // A page that cannot be read (a guard) holds nothing.
                let read = memory.read_at(&mut buffer[..length], at as u64).unwrap_or(0);
                let mut offset = 0;
                while offset + PIECE <= read {
                    // Most of memory is zeros, and comparing is fast where looking is slow.
                    let page = &buffer[offset..read.min(offset + ZEROS.len())];
                    if page == &ZEROS[..page.len()] {
                        offset += page.len();
                        continue;
                    }
                    let end = read.min(offset + page.len() + PIECE - 1);
                    let windows = buffer[offset..end].windows(PIECE).enumerate();
                    for (within, _) in windows.filter(|(_, window)| self.holds(window)) {
                        let address = at + offset + within;
                        if !own.contains(&address) {
                            found.push(format!("{address:x} in {line}"));
                        }
                    }
                    offset += page.len();
                }
                at += if length == until - at { length } else { length - PIECE + 1 };
            }
        }
        // What was read last must not be found by the next look.
        buffer.fill(0);
        std::hint::black_box(&buffer);
        found
    }
}

/// Looks at what is given back: memory that is used anew at once would hide what was left in it.
struct Inspector;

#[global_allocator]
static INSPECTOR: Inspector = Inspector;
static SECRETS: AtomicPtr<Secrets> = AtomicPtr::new(std::ptr::null_mut());
static GIVEN_BACK_UNWIPED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work; a growing block is moved by the default `realloc`,
// which allocates, copies and gives back, as an allocator may.
unsafe impl GlobalAlloc for Inspector {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: leaked by whoever stored it; the block is live and was zeroed at first, so all of
        // it may be read.
        unsafe {
            if let Some(secrets) = SECRETS.load(Ordering::SeqCst).as_ref() {
                let bytes = std::slice::from_raw_parts(block, layout.size());
                if bytes.windows(PIECE).any(|window| secrets.holds(window)) {
                    GIVEN_BACK_UNWIPED.fetch_add(1, Ordering::SeqCst);
                }
            }
            System.dealloc(block, layout);
        }
    }
}

fn beginning(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Reads the password straight into the library's buffer.
unsafe extern "C" fn read_password(
    userdata: *mut c_void,
    _: *const c_char,
    password_out: *mut c_char,
    password_size: usize,
    length_out: *mut usize,
) -> bool {
    // SAFETY: the path outlives the handle; the buffer is what the callback is promised.
    let (path, buffer) = unsafe {
        let path = CStr::from_ptr(userdata.cast());
        (path, std::slice::from_raw_parts_mut(password_out.cast::<u8>(), password_size))
    };
    let length = File::open(OsStr::from_bytes(path.to_bytes())).unwrap().read(buffer).unwrap();
    // SAFETY: room for one length.
    unsafe { length_out.write(length) };
    true
}

enum Password {
    None,
    File,
    Callback,
}

#[test]
fn g18_nothing_of_a_key_or_its_password_is_left_when_the_last_user_has_gone() {
    let table = [
        ("PKCS#8", "ec", Password::None),
        ("SEC1", "ec; openssl ec -in plain.pem -out key.pem", Password::None),
        ("Ed25519", "ed25519", Password::None),
        ("RSA", "rsa", Password::None),
        ("PKCS#1", "rsa; openssl rsa -traditional -in plain.pem -out key.pem", Password::None),
        (
            "one file for both",
            "ec; finish; cat chain.pem >>key.pem; ln -sf key.pem chain.pem; finish() { :; }",
            Password::None,
        ),
        ("encrypted, a password file", "ec; encrypt", Password::File),
        ("encrypted RSA, 3DES", "rsa; encrypt -v2 des3", Password::File),
        ("encrypted, scrypt, a callback", "ec; encrypt -scrypt", Password::Callback),
    ];
    for (what, script, password) in table {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut secrets = Secrets::default();
        make(dir.path(), script);
        secrets.add_all_of(dir.path());
        assert_eq!(secrets.found(), [""; 0], "{what}: before anything was read");

        let builder = Builder::new().watch(Watch::Off).debounce_ms(0, 0);
        let builder = builder.identity(&path("chain.pem"), &path("key.pem"));
        let password_path = c_path(&path("password"));
        // SAFETY: live options, and a path that outlives the handle.
        let set = unsafe {
            match password {
                Password::None => Outcome::Ok,
                Password::File => {
                    certreload_options_set_key_password_file(builder.0, password_path.as_ptr())
                }
                Password::Callback => certreload_options_set_key_password_callback(
                    builder.0,
                    Some(read_password),
                    password_path.as_ptr().cast_mut().cast(),
                    None,
                ),
            }
        };
        assert_eq!(set, Outcome::Ok);
        let host = builder.open();
        host.served("a.test");
        assert_ne!(secrets.found(), [""; 0], "{what}: a key that serves is in memory");

        // A renewal, and then a key that is refused.
        make(dir.path(), script);
        secrets.add_all_of(dir.path());
        assert_eq!(host.reload_wait(), Outcome::Ok);
        host.served("a.test");
        fs::copy(path("chain.pem"), path("kept")).unwrap();
        make(dir.path(), script);
        secrets.add_all_of(dir.path());
        fs::remove_file(path("chain.pem")).unwrap();
        fs::rename(path("kept"), path("chain.pem")).unwrap();
        assert_eq!(host.reload_wait(), Outcome::KeyMismatch, "{what}");
        drop(host);
        let found = secrets.found();
        assert_eq!(found, [""; 0], "{what}: {} pieces are left", found.len());
        let unwiped = GIVEN_BACK_UNWIPED.load(Ordering::SeqCst);
        assert_eq!(unwiped, 0, "{what}: blocks that were given back as they were");
    }
}
