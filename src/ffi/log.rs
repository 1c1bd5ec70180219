//! A line for people about what happens, handed to a function of the host.
//!
//! certreload, rustls and the other crates inside write to the `log` facade of the copy of Rust that is
//! linked with this library; this is the logger behind it.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::log::{Level, LevelFilter, Log, Metadata, Record};
use arc_swap::ArcSwapOption;

use super::boundary::boundary;
use super::cast::to_c_text;
use super::result::certreload_result;
use super::userdata::{Userdata, certreload_userdata_free};
use crate::error::{Cause, Error};
use crate::events::LOG_TARGET;
use crate::sys::is_logging_disabled;
use crate::sys::{Condvar, Mutex};
use crate::sys::{ForkGeneration, without_fork};

/// How much a log line matters: the lower, the more.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_log_level {
    /// Somebody has to act: a reload failed, a certificate expired.
    Error = 1,
    /// Somebody should look: accepted with a warning, expiring, the watch is degraded.
    Warn = 2,
    /// Renewals, and a watch that is restored.
    Info = 3,
    /// Handles that open and close; the handshakes of rustls.
    Debug = 4,
    /// Every step of rustls.
    Trace = 5,
}

/// What C passes for a `certreload_log_level`: any number at all.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type log_level_number = u32;

/// A function of the host that is told of log lines.
///
/// The message is one line of UTF-8 without a newline, holds no secret, and is valid until the function returns; lines
/// that are not certreload's own begin with where they come from, such as "rustls::server::hs: ". It runs on
/// whatever thread something happens on, those of the host included, and on several at once; locks of the library may be
/// held. So it is quick, takes no lock that is held while a certreload function is called, and calls none but
/// certreload_set_log_callback() and those whose name ends in _str. What is logged on a thread while it runs there is
/// dropped. It must not throw or longjmp out.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_log_callback = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        level: certreload_log_level,
        message: *const c_char,
    ),
>;

/// Name the function that is told of log lines from now on, or none. One for the process; none at the start.
///
/// Every event is a line, whether or not an event callback is set, and so is what an explicit request came to where that
/// is no event. Lines of a handle that has a name begin with it: "public: generation 2 serves: ...". rustls's own records
/// pass through too, but for those of the handshakes that the library makes by itself. When this returns, the callback
/// that was set before is not running and will not be called again; only where this is called from inside that callback,
/// it is of course still running there, for the last time.
///
/// @param callback   NULL for none
/// @param userdata   handed to each call as it is; must stay valid until the callback is replaced
/// @param max_level  CERTRELOAD_LOG_LEVEL_*: lines that matter less are not made; of no meaning where callback is NULL
/// @return           OK; INVALID_PARAMETER where max_level is none; LOGGER_IN_USE where this library is part of a Rust
///                   program that has a logger, which then gets the lines and goes on as it was
/// Ownership:        userdata stays the caller's
/// Threads:          any thread, concurrently; also inside a callback; with no lock held that the callback takes
/// Signals:          not async-signal-safe
/// Blocks:           until calls of the callback that was set before have returned
/// Since:            0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_set_log_callback(
    callback: certreload_log_callback,
    userdata: *mut c_void,
    userdata_free: certreload_userdata_free,
    max_level: log_level_number,
) -> certreload_result {
    boundary(|| {
        let next = match callback {
            None => None,
            Some(function) => {
                let level = level_filter(max_level)?;
                let userdata = Userdata::new(userdata, userdata_free);
                Some(Arc::new(LogReceiver::new(function, userdata, level)))
            }
        };
        let before = {
            if next.is_some() && !is_ours() {
                // A child that was forked in the middle of it would wait for its end for ever.
                let _ = without_fork(|| ::log::set_logger(&FORWARDER));
                // Refused to one of two threads that come at once, but the facade is ours then.
                if !is_ours() {
                    return Err(Error::new(Cause::LoggerInUse));
                }
            }
            // Before another thread can replace it: from here on this call cannot fail.
            if let Some(next) = &next {
                next.userdata.keep();
            }
            let before = LISTENER.swap(next);
            if is_ours() {
                set_level();
            }
            before
        };
        // Unlocked, so that a callback may replace itself while another thread waits for it.
        if let Some(before) = before {
            before.retire();
        }
        Ok(certreload_result::Ok)
    })
}

/// Name a log level in a word.
///
/// @param level  any number; an unknown one gets "unknown"
/// @return      one lower-case word, such as "warn"; never NULL
/// Ownership:    static text; do not free
/// Threads:      any thread, concurrently
/// Signals:      async-signal-safe
/// Blocks:       never
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn certreload_log_level_str(level: log_level_number) -> *const c_char {
    let word = match level {
        1 => c"error",
        2 => c"warn",
        3 => c"info",
        4 => c"debug",
        5 => c"trace",
        _ => c"unknown",
    };
    word.as_ptr()
}

fn level_filter(number: u32) -> Result<LevelFilter, Error> {
    match number {
        1 => Ok(LevelFilter::Error),
        2 => Ok(LevelFilter::Warn),
        3 => Ok(LevelFilter::Info),
        4 => Ok(LevelFilter::Debug),
        5 => Ok(LevelFilter::Trace),
        _ => Err(Error::invalid(format!("{number} is no certreload_log_level"))),
    }
}

/// Who listens now.
static LISTENER: ArcSwapOption<LogReceiver> = ArcSwapOption::const_empty();

/// Whether the logger of this process's facade is ours. Asked of the facade, and nothing noted of it
/// under a lock, which a forked child might find held by a thread that it does not have.
fn is_ours() -> bool {
    ptr::addr_eq(::log::logger(), &raw const FORWARDER)
}

/// Makes no more lines than who listens now wants; of several threads that come at once, the last one.
fn set_level() {
    loop {
        let listener = LISTENER.load_full();
        ::log::set_max_level(listener.as_ref().map_or(LevelFilter::Off, |now| now.level));
        let address = |listener: &Option<Arc<LogReceiver>>| listener.as_ref().map(Arc::as_ptr);
        if address(&listener) == address(&LISTENER.load_full()) {
            return;
        }
    }
}

thread_local! {
    /// The listener whose call runs on this thread, if one does.
    static INSIDE: Cell<*const LogReceiver> = const { Cell::new(ptr::null()) };
}

static FORWARDER: Forwarder = Forwarder { _place: 0 };

struct Forwarder {
    /// What has no size may have the address of something else.
    _place: u8,
}

impl Log for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // A thread that is being torn down cannot tell whether it is inside.
        let is_inside = INSIDE.try_with(|inside| !inside.get().is_null()).unwrap_or(true);
        // The host serves nobody in the handshakes that prove an identity.
        let is_of_self_check = record.target() != LOG_TARGET && is_logging_disabled();
        if is_inside || is_of_self_check || !self.enabled(record.metadata()) {
            return;
        }
        if let Some(listener) = LISTENER.load_full() {
            listener.tell(record);
        }
    }

    fn flush(&self) {}
}

/// No further call may begin.
const RETIRED: usize = 1;

/// A callback, the pointer that the host wants back with each call, and the calls that run.
struct LogReceiver {
    function: unsafe extern "C" fn(*mut c_void, certreload_log_level, *const c_char),
    userdata: Userdata,
    level: LevelFilter,
    /// Twice the number of calls that run, and whether it is retired.
    calls: AtomicUsize,
    lock: Mutex<()>,
    left: Condvar,
    era: ForkGeneration,
}

impl LogReceiver {
    fn new(
        function: unsafe extern "C" fn(*mut c_void, certreload_log_level, *const c_char),
        userdata: Userdata,
        level: LevelFilter,
    ) -> Self {
        Self {
            function,
            userdata,
            level,
            calls: AtomicUsize::new(0),
            lock: Mutex::new(()),
            left: Condvar::new(),
            era: ForkGeneration::now(),
        }
    }

    fn tell(&self, record: &Record<'_>) {
        let message = match record.target() {
            LOG_TARGET => to_c_text(&record.args().to_string()),
            elsewhere => to_c_text(&format!("{elsewhere}: {}", record.args())),
        };
        if self.calls.fetch_add(2, Ordering::SeqCst) & RETIRED == 0 {
            INSIDE.set(self);
            // SAFETY: `function` has the documented signature, and the message lives until the call
            // returns.
            unsafe {
                (self.function)(self.userdata.pointer(), record.level().into(), message.as_ptr())
            };
            INSIDE.set(ptr::null());
        }
        if self.calls.fetch_sub(2, Ordering::SeqCst) & RETIRED != 0 {
            // Locked, so that whoever waits does not look away just now.
            let _waiting = self.lock.lock();
            self.left.notify_all();
        }
    }

    /// Lets no further call begin, and waits for those that run, but for one that this is called from.
    ///
    /// No two threads wait for each other: one that waits inside a call came after the listener of that
    /// call was replaced, so it waits for calls of a later listener.
    fn retire(&self) {
        self.calls.fetch_or(RETIRED, Ordering::SeqCst);
        // The threads of a process that was forked from stayed there, and with them whoever has the lock.
        if self.era != ForkGeneration::now() {
            return;
        }
        let mut left = self.lock.lock();
        let mine = usize::from(ptr::eq(INSIDE.get(), self));
        while self.calls.load(Ordering::SeqCst) / 2 > mine {
            left = self.left.wait(left);
        }
        drop(left);
        // Here and not on the thread of the last call, which may hold locks of the library.
        if mine == 0 {
            self.userdata.release();
        }
    }
}

impl From<Level> for certreload_log_level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}
