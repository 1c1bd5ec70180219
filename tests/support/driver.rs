//! Who does the work of a handle: the library's threads, or a host in its own loop.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use certreload::ffi::event_loop::{certreload_dispatch, certreload_event_fd, certreload_runtime};
use certreload::ffi::handle::certreload_handle;
use certreload::ffi::result::certreload_result;

/// Who does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The library's threads.
    #[default]
    Threads,
    /// The host: a thread of the test's that waits for the descriptor, and dispatches.
    Host,
}

impl Driver {
    /// What `CERTRELOAD_TEST_DRIVER` says: `host`, or the library's threads.
    pub fn of_this_run() -> Self {
        match std::env::var("CERTRELOAD_TEST_DRIVER").as_deref() {
            Ok("host") => Self::Host,
            _ => Self::Threads,
        }
    }

    pub fn runtime(self) -> certreload_runtime {
        match self {
            Self::Threads => certreload_runtime::Thread,
            Self::Host => certreload_runtime::Host,
        }
    }

    /// Begins to drive, where that is the host's affair.
    pub fn drive(self, handle: *mut certreload_handle) -> Option<Driving> {
        (self == Self::Host).then(|| Driving::new(Driven(handle)))
    }
}

/// A host's loop; it ends when this is dropped.
pub struct Driving {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

struct Driven(*mut certreload_handle);

// SAFETY: the handle's functions may be called from any thread.
unsafe impl Send for Driven {}

impl Driving {
    fn new(driven: Driven) -> Self {
        let (stop, stopped) = UnixStream::pair().unwrap();
        let thread = thread::spawn(move || driven.dispatch_until(&stopped));
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Driven {
    fn dispatch_until(&self, stopped: &UnixStream) {
        // SAFETY: the handle is open as long as this is driven.
        let descriptor = unsafe { certreload_event_fd(self.0) };
        assert!(descriptor >= 0);
        let mut polls = [descriptor, stopped.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        loop {
            // SAFETY: two live pollfds. For ever: a wake-up that is lost is a test that fails.
            unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) };
            if polls[1].revents != 0 {
                return;
            }
            if polls[0].revents != 0 {
                // SAFETY: as above.
                assert_eq!(unsafe { certreload_dispatch(self.0) }, certreload_result::Ok);
            }
        }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed, and what it kept from being done fails the test.
            let _ = thread.join();
        }
    }
}
