//! A host as a C program would be one: it calls the C functions, and records its events.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use certreload::ffi::event::*;
use certreload::ffi::event_callback::*;
use certreload::ffi::event_loop::{
    certreload_options_set_reader_thread, certreload_options_set_runtime,
};
use certreload::ffi::generation::*;
use certreload::ffi::handle::*;
use certreload::ffi::identity_getters::*;
use certreload::ffi::last_error::certreload_last_error;
use certreload::ffi::new_connection::certreload_acquire_server_config;
use certreload::ffi::options::watch::*;
use certreload::ffi::options::*;
use certreload::ffi::reload::*;
use certreload::ffi::result::certreload_result;
use certreload::ffi::set_event_callback::*;
use certreload::ffi::status::{
    certreload_get_identity_status, certreload_get_status, certreload_identity_status,
    certreload_status,
};

use super::certificates::{Pair, sha256};
#[allow(unused_imports, reason = "each test program uses a part")]
pub use super::client::{Client, fingerprint, handshake};
use super::debug_text::debug_text;
use super::driver::{Driver, Driving};
use super::witness::Shown;

/// Longer than anything takes here: it only keeps a hang from hanging the tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An event as it was told, owned.
#[derive(Clone, Debug)]
pub struct Seen {
    pub kind: certreload_event_kind,
    pub trigger: certreload_trigger,
    pub result: certreload_result,
    pub warnings: u32,
    pub generation: u64,
    pub path: String,
    pub message: String,
}

/// Where the callback writes to.
#[derive(Default)]
pub struct Recorder {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
    /// Messages that are not for operators. A callback must not panic, so they are reported later.
    foreign: Mutex<Vec<String>>,
}

impl Recorder {
    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn check_messages(&self) {
        let foreign = self.foreign.lock().unwrap();
        assert!(foreign.is_empty(), "debug text in messages (G24): {foreign:#?}");
    }

    pub fn of(&self, kind: certreload_event_kind) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.kind == kind).collect()
    }

    /// Waits until `enough` holds of all events so far.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().unwrap();
        while !enough(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}: {:#?}", *seen);
            seen = self.more.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }

    pub fn wait_for_failures(&self, count: usize) -> Vec<Seen> {
        let failed = |seen: &&Seen| seen.kind == certreload_event_kind::ReloadFailed;
        let all = self.wait_until("failures", |seen| seen.iter().filter(failed).count() >= count);
        all.into_iter().filter(|seen| failed(&seen)).collect()
    }

    pub fn wait_for_generation(&self, number: u64) {
        self.wait_until("a generation", |seen| seen.iter().any(|seen| seen.generation >= number));
    }
}

pub unsafe extern "C" fn record(userdata: *mut c_void, event: *const certreload_event) {
    // SAFETY: the recorder outlives the handle that was given it; the event is live.
    let (recorder, event) = unsafe { (&*userdata.cast::<Recorder>(), &*event) };
    let seen = Seen {
        kind: event.kind,
        trigger: event.trigger,
        result: event.result,
        warnings: event.warnings,
        generation: event.generation,
        path: text(event.path),
        message: text(event.message),
    };
    if let Some(what) = debug_text(&seen.message, &[&seen.path]) {
        recorder.foreign.lock().unwrap().push(format!("{what}: {}", seen.message));
    }
    recorder.seen.lock().unwrap().push(seen);
    recorder.more.notify_all();
}

pub fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    // SAFETY: a C string of the library's.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

pub fn last_error() -> String {
    last_error_about(&[])
}

/// As `last_error`, for files with names that look like debug output.
pub fn last_error_about(file_names: &[&str]) -> String {
    checked(text(certreload_last_error()), file_names)
}

/// Returns the message, which is for operators (G24).
pub fn checked(message: String, file_names: &[&str]) -> String {
    assert_eq!(debug_text(&message, file_names), None, "{message}");
    message
}

pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Options, freed when dropped; and who will do the work.
pub struct Builder(pub *mut certreload_options, Driver);

// SAFETY: options may be used from any thread, by one at a time.
unsafe impl Send for Builder {}

impl Builder {
    pub fn new() -> Self {
        Self(certreload_options_new(), Driver::Threads).driven_by(Driver::of_this_run())
    }

    pub fn driven_by(self, driver: Driver) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_runtime(self.0, driver.runtime() as u32) };
        assert_eq!(result, certreload_result::Ok);
        let this = std::mem::ManuallyDrop::new(self);
        Self(this.0, driver)
    }

    /// Lets files be read on a thread of the library, though the host runs the rest.
    pub fn reader_thread(self) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_reader_thread(self.0, true) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn identity(self, chain: &Path, key: &Path) -> Self {
        self.identity_with_staple(chain, key, None)
    }

    pub fn identity_with_staple(self, chain: &Path, key: &Path, ocsp: Option<&Path>) -> Self {
        let (chain, key) = (c_path(chain), c_path(key));
        let ocsp = ocsp.map(c_path);
        let ocsp = ocsp.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        // SAFETY: live options and C strings.
        let result =
            unsafe { certreload_options_add_identity(self.0, chain.as_ptr(), key.as_ptr(), ocsp) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn watch(self, mode: certreload_watch) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_watch(self.0, mode as u32) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn poll_ms(self, milliseconds: u32) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_poll_interval_ms(self.0, milliseconds) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn debounce_ms(self, quiet: u32, timeout: u32) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_debounce_ms(self.0, quiet) };
        assert_eq!(result, certreload_result::Ok);
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_incomplete_timeout_ms(self.0, timeout) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn expiry_warning(self, seconds: u32) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_expiry_warning_seconds(self.0, seconds) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn open(self) -> Host {
        self.try_open().unwrap_or_else(|result| panic!("{result:?}: {}", last_error()))
    }

    pub fn try_open(self) -> Result<Host, certreload_result> {
        let recorder = Arc::new(Recorder::default());
        let userdata = Arc::as_ptr(&recorder).cast_mut().cast();
        let mut handle = ptr::null_mut();
        // SAFETY: live options; the recorder lives in the host until the handle is closed.
        let result = unsafe {
            certreload_options_set_event_callback(self.0, Some(record), userdata, None);
            certreload_open(self.0, &raw mut handle)
        };
        match result {
            certreload_result::Ok => Ok(Host { handle, recorder, driving: self.1.drive(handle) }),
            failed => {
                assert!(handle.is_null(), "written on failure");
                Err(failed)
            }
        }
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { certreload_options_free(self.0) };
    }
}

/// An open handle, closed when dropped.
pub struct Host {
    pub handle: *mut certreload_handle,
    pub recorder: Arc<Recorder>,
    driving: Option<Driving>,
}

// SAFETY: the handle's functions may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    pub fn reload(&self) {
        // SAFETY: an open handle.
        assert_eq!(unsafe { certreload_reload(self.handle) }, certreload_result::Ok);
    }

    pub fn reload_wait(&self) -> certreload_result {
        self.reload_wait_ms(u32::try_from(PATIENCE.as_millis()).unwrap())
    }

    pub fn reload_wait_ms(&self, milliseconds: u32) -> certreload_result {
        // SAFETY: an open handle.
        unsafe { certreload_reload_wait(self.handle, milliseconds) }
    }

    pub fn unregister(&self) {
        self.set_callback(None);
    }

    /// A callback that needs no userdata.
    pub fn set_callback(&self, callback: certreload_event_callback) {
        // SAFETY: an open handle.
        let result =
            unsafe { certreload_set_event_callback(self.handle, callback, ptr::null_mut(), None) };
        assert_eq!(result, certreload_result::Ok);
    }

    pub fn status(&self) -> certreload_status {
        let mut status = std::mem::MaybeUninit::<certreload_status>::uninit();
        let size = size_of::<certreload_status>();
        // SAFETY: an open handle, and room for `size` bytes that are all filled in on Ok.
        unsafe {
            let result = certreload_get_status(self.handle, status.as_mut_ptr(), size);
            assert_eq!(result, certreload_result::Ok);
            let status = status.assume_init();
            // A test that waits for events, and has them locked, may ask for the status in between.
            if let Ok(seen) = self.recorder.seen.try_lock() {
                let names = seen.iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>();
                checked(text(status.last_failure.as_ptr()), &names);
            }
            status
        }
    }

    pub fn identity_status(&self, index: usize) -> certreload_identity_status {
        let mut status = std::mem::MaybeUninit::<certreload_identity_status>::uninit();
        let size = size_of::<certreload_identity_status>();
        // SAFETY: an open handle, and room for `size` bytes that are all filled in on Ok.
        unsafe {
            let out = status.as_mut_ptr();
            let result = certreload_get_identity_status(self.handle, index, out, size);
            assert_eq!(result, certreload_result::Ok);
            status.assume_init()
        }
    }

    /// The config that serves now.
    pub fn config(&self) -> Arc<rustls::ServerConfig> {
        // SAFETY: rustls-ffi's documented layout: the pointer is one reference of an Arc.
        unsafe {
            let config = certreload_acquire_server_config(self.handle);
            Arc::from_raw(config.cast::<rustls::ServerConfig>())
        }
    }

    /// Fingerprint of what a TLS client is shown that asks for `name` now.
    pub fn served(&self, name: &str) -> String {
        handshake(self.config(), name)
    }

    /// The same of every certificate that the client is shown.
    pub fn served_chain(&self, name: &str) -> Vec<String> {
        let (client, _) = Client::new().talk(self.config(), name);
        client.peer_certificates().unwrap().iter().map(|der| sha256(der)).collect()
    }

    /// Fingerprint of the first identity, by introspection.
    pub fn sha256(&self) -> String {
        self.identity_sha256(0)
    }

    /// Fingerprint of an identity, by introspection.
    pub fn identity_sha256(&self, index: usize) -> String {
        // SAFETY: an open handle; what is borrowed is copied before the generation is released.
        unsafe {
            let generation = certreload_generation_acquire(self.handle);
            let identity = certreload_generation_identity(generation, index);
            let sha256 = text(certreload_identity_sha256(identity));
            certreload_generation_release(generation);
            sha256
        }
    }

    /// The chain that a TLS client is shown that asks for `name` now.
    pub fn shown(&self, name: &str) -> Shown {
        let (client, _) = Client::new().talk(self.config(), name);
        Shown::of(client.peer_certificates().unwrap())
    }

    /// The second certificate of the chain that a TLS client is shown.
    pub fn intermediate(&self) -> Vec<u8> {
        let (client, _) = Client::new().talk(self.config(), "a.test");
        client.peer_certificates().unwrap()[1].to_vec()
    }

    /// Waits until the first identity is `pair`, whole; looks without connecting.
    pub fn wait_until_loaded(&self, pair: &Pair) {
        let deadline = Instant::now() + PATIENCE / 3;
        while self.sha256() != pair.sha256 || self.shown("a.test").length != pair.length() {
            assert!(Instant::now() < deadline, "never served: {:#?}", self.recorder.all());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until a client that connects is shown `sha256`.
    pub fn wait_until_served(&self, name: &str, sha256: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.served(name) != sha256 {
            assert!(Instant::now() < deadline, "never served: {:#?}", self.recorder.all());
            std::thread::yield_now();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Before the descriptor goes that it waits for.
        drop(self.driving.take());
        // SAFETY: closed once.
        unsafe { certreload_close(self.handle) };
        if !std::thread::panicking() {
            self.recorder.check_messages();
        }
    }
}
