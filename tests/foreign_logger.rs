//! A Rust program that has a logger keeps it. A program of its own, for a logger is for ever.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Mutex;

use certreload::ffi::log::{certreload_log_level, certreload_set_log_callback};
use certreload::ffi::result::certreload_result;
use log::{LevelFilter, Log, Metadata, Record};
use support::certificates::{Pair, Site};
use support::host::{Builder, last_error};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct TheirOwn;

impl Log for TheirOwn {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.lock().unwrap().push(format!("{}: {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

unsafe extern "C" fn never(_: *mut c_void, _: certreload_log_level, _: *const c_char) {
    std::process::abort();
}

unsafe extern "C" fn free_never(_: *mut c_void) {
    std::process::abort();
}

#[test]
fn a_program_that_has_a_logger_keeps_it_and_gets_the_lines() {
    log::set_logger(&TheirOwn).unwrap();
    log::set_max_level(LevelFilter::Info);
    // SAFETY: the callback has the signature.
    let set = |callback| unsafe {
        certreload_set_log_callback(callback, ptr::null_mut(), Some(free_never), 5)
    };
    assert_eq!(set(Some(never)), certreload_result::LoggerInUse);
    assert!(last_error().contains("already set a logger"), "{}", last_error());
    assert_eq!(set(None), certreload_result::Ok);
    assert_eq!(log::max_level(), LevelFilter::Info);

    let site = Site::plain(&Pair::new(&["a.test"]));
    Builder::new().identity(&site.chain(), &site.key()).open();
    let lines = LINES.lock().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("certreload: generation 1 ")), "{lines:?}");
}
