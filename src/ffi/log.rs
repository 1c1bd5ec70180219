//! Passes the log lines of the library to a function of the host.
//!
//! certreload, rustls and the other crates in this library write to the `log` crate, a facade that has one logger per
//! copy of Rust. The logger here passes each record to the host's function.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::log::{Level, LevelFilter, Log, Metadata, Record};
use arc_swap::ArcSwapOption;

use super::cast::to_c_text;
use super::panic_boundary::boundary;
use super::result::certreload_result;
use super::userdata::{Userdata, certreload_userdata_free};
use crate::error::{Cause, Error};
use crate::events::write_log_line;
use crate::sys::{Condvar, Mutex};
use crate::sys::{LOG_TARGET, is_logging_disabled};
use crate::sys::{ProcessNumber, without_fork};

/// The importance of a log line: a lower number is more important.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum certreload_log_level {
    /// An operator has to act: a reload failed, a certificate expired.
    Error = 1,
    /// An operator should check: accepted with a warning, expiring, the watch is degraded.
    Warn = 2,
    /// Renewals, a watch that is restored, and why a client certificate is refused.
    Info = 3,
    /// Handles that open and close; the handshakes of rustls.
    Debug = 4,
    /// Every step of rustls.
    Trace = 5,
}

/// A `certreload_log_level` as C passes it: any number, which in a Rust enum would be undefined behaviour.
#[allow(non_camel_case_types, reason = "cbindgen prints it under the name of the C type")]
pub(crate) type log_level_number = u32;

/// A function of the host that gets log lines.
///
/// The message is one line of UTF-8 without a newline. It contains no secret and is valid until the function returns.
/// Lines of other crates begin with their origin, such as "rustls::server::hs: ".
///
/// The function runs on the thread that writes the line, which may be a thread of the host, and on several threads at
/// once. Lines of the thread that runs the reloads are written by a thread that delivers events, so a function that
/// blocks delays no reload (G21). While it blocks, up to 1,000 of these lines wait. Later ones are dropped, and a line
/// says how many. With CERTRELOAD_RUNTIME_HOST all lines are written on the host's threads. There the library may hold
/// locks. So the function must be quick there, and must not take a lock that is held while a certreload function is
/// called.
///
/// The function may call certreload_set_log_callback() and the functions whose name ends in
/// _str, and no other certreload function. A line that these calls would write on the same thread is dropped, so that
/// the function does not call itself. It must not throw or longjmp out.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_log_callback = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        level: certreload_log_level,
        message: *const c_char,
    ),
>;

/// Sets the function that gets the log lines from now on, or removes it. There is one for the process, and none at
/// the start.
///
/// Every event is a line, with or without an event callback. So is the outcome of an explicit request that causes no
/// event. If a handle has a name, its lines begin with the name: "public: generation 2 serves: ...". The records of
/// rustls are passed on, except those of the library's own handshakes.
///
/// When this function returns, the previous callback is not running and will not be called again. One exception: if
/// this function is called from inside that callback, the callback is still running there, for the last time.
///
/// @param callback       NULL for none
/// @param userdata       passed to each call; must stay valid until userdata_free is called. Without it: until
///                       the callback is replaced
/// @param userdata_free  may be NULL; see certreload_userdata_free
/// @param max_level      CERTRELOAD_LOG_LEVEL_*: less important lines are not written; ignored if callback is NULL
/// @return               OK; INVALID_PARAMETER if max_level is not a level; LOGGER_IN_USE if this library is part of
///                       a Rust program that has a logger, which then gets the lines and continues to work as before
/// Ownership:            on OK the library owns userdata if there is a userdata_free; on failure the caller keeps it
/// Threads:              any thread, concurrently; also inside a callback; without a lock that the callback takes
/// Signals:              not async-signal-safe
/// Blocks:               until calls of the previous callback have returned
/// Since:                0.1.0
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
                // If another thread forked during set_logger, the child would wait forever for it to end.
                let _ = without_fork(|| ::log::set_logger(&FORWARDER));
                // The result is ignored: if two threads call at once, one is refused, but the logger is this library's.
                if !is_ours() {
                    return Err(Error::new(Cause::LoggerInUse));
                }
            }
            // This call cannot fail from here on, so the library owns the userdata. It must own the userdata before the
            // swap: afterwards another thread can replace the receiver and free it.
            if let Some(next) = &next {
                next.userdata.keep();
            }
            let before = RECEIVER.swap(next);
            if is_ours() {
                set_level();
            }
            before
        };
        // This wait holds no lock, so that the running callback can call this function to replace itself.
        if let Some(before) = before {
            before.retire();
        }
        Ok(certreload_result::Ok)
    })
}

/// Returns the name of a log level.
///
/// @param level  any number; an unknown one returns "unknown"
/// @return       one lower-case word, such as "warn"; never NULL
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

/// The callback that gets the lines now.
static RECEIVER: ArcSwapOption<LogReceiver> = ArcSwapOption::const_empty();

/// Returns whether the facade's logger is the one of this library.
///
/// The answer is not stored, because that would need a lock. A thread of the parent could hold the lock at a fork, and
/// the child would wait for it forever.
fn is_ours() -> bool {
    ptr::addr_eq(::log::logger(), &raw const FORWARDER)
}

/// Sets the facade's level to the one of the current callback. If several threads change the callback at once, the
/// last one counts.
fn set_level() {
    loop {
        let receiver = RECEIVER.load_full();
        ::log::set_max_level(receiver.as_ref().map_or(LevelFilter::Off, |now| now.level));
        let address = |receiver: &Option<Arc<LogReceiver>>| receiver.as_ref().map(Arc::as_ptr);
        if address(&receiver) == address(&RECEIVER.load_full()) {
            return;
        }
    }
}

thread_local! {
    /// The receiver whose callback runs on this thread; null if there is none. A line written inside a callback is
    /// dropped, and a callback that replaces itself does not wait for its own call to end.
    static INSIDE: Cell<*const LogReceiver> = const { Cell::new(ptr::null()) };
}

static FORWARDER: Forwarder = Forwarder { _place: 0 };

struct Forwarder {
    /// A type without a size could share its address with another static, and [`is_ours`] compares addresses.
    _place: u8,
}

impl Log for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= ::log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // If the thread-local value is gone because the thread ends, the line is dropped.
        let is_inside = INSIDE.try_with(|inside| !inside.get().is_null()).unwrap_or(true);
        // The handshakes of the self-check serve no client, so their records would mislead.
        let is_of_self_check = record.target() != LOG_TARGET && is_logging_disabled();
        if is_inside || is_of_self_check || !self.enabled(record.metadata()) {
            return;
        }
        if let Some(receiver) = RECEIVER.load_full() {
            let level = record.level();
            let message = match record.target() {
                LOG_TARGET => to_c_text(&record.args().to_string()),
                elsewhere => to_c_text(&format!("{elsewhere}: {}", record.args())),
            };
            write_log_line(Box::new(move || receiver.write(level, &message)));
        }
    }

    fn flush(&self) {}
}

/// The bit of `calls` that lets no further call begin.
const RETIRED: usize = 1;

/// A callback with its userdata. The calls that are running are counted, because the userdata may be freed only after
/// the last of them has returned.
struct LogReceiver {
    function: unsafe extern "C" fn(*mut c_void, certreload_log_level, *const c_char),
    userdata: Userdata,
    level: LevelFilter,
    /// Twice the number of running calls, plus [`RETIRED`].
    calls: AtomicUsize,
    lock: Mutex<()>,
    call_ended: Condvar,
    process: ProcessNumber,
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
            call_ended: Condvar::new(),
            process: ProcessNumber::now(),
        }
    }

    fn write(&self, level: Level, message: &CStr) {
        if self.calls.fetch_add(2, Ordering::SeqCst) & RETIRED == 0 {
            INSIDE.set(self);
            // SAFETY: `function` has the documented signature, and the message lives until the call
            // returns.
            unsafe {
                (self.function)(self.userdata.pointer(), level.into(), message.as_ptr());
            }
            INSIDE.set(ptr::null());
        }
        if self.calls.fetch_sub(2, Ordering::SeqCst) & RETIRED != 0 {
            // The lock prevents a lost wake-up: `retire` has it between its check of `calls` and its wait.
            let _waiting = self.lock.lock();
            self.call_ended.notify_all();
        }
    }

    /// Lets no further call begin, and waits until no call runs but the one from inside which `retire` is called.
    ///
    /// No two threads wait for each other. Of the threads that are inside calls of receiver A, only the one that
    /// replaced A waits for A. The others wait for receivers that were set later. So the waits form no circle.
    fn retire(&self) {
        self.calls.fetch_or(RETIRED, Ordering::SeqCst);
        // A forked child has none of the parent's threads. Calls that ran there never end, and the lock may stay locked
        // forever. So do not wait. The reference of such a call keeps the userdata from being freed.
        if self.process != ProcessNumber::now() {
            return;
        }
        let mut guard = self.lock.lock();
        let mine = usize::from(ptr::eq(INSIDE.get(), self));
        while self.calls.load(Ordering::SeqCst) / 2 > mine {
            guard = self.call_ended.wait(guard);
        }
        drop(guard);
        // Free the userdata on this thread, because the thread of the last call may hold locks of the library. If this
        // thread is inside a call of the receiver, the userdata is still in use, and is freed with the receiver.
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
