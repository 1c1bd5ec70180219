//! Userdata of callbacks: a pointer of the host that each call of a callback gets, and the function that frees it.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

/// A function of the host that frees the userdata of a callback.
///
/// The library calls it exactly once, after the last call of the callback: when neither options nor an open handle can
/// lead to another call. It runs on the thread that ends the last use, which may be a thread of the library. The
/// function may call the certreload functions that its callback may call. It must not throw or longjmp out.
///
/// If an open handle was the last user of an event callback, the function has been called when certreload_close() or
/// certreload_set_event_callback() returns. One exception: if the callback itself, or a thread that it waits for, makes
/// that call, the function is called when the callback has returned.
///
/// A host that passes no such function frees the userdata itself, and must make sure that no call still uses it. A
/// callback that closes its own handle, or replaces itself, uses its userdata until it returns.
///
/// If the function that sets the callback fails, the caller keeps the userdata, and the library does not free it.
/// With a NULL callback the library ignores userdata and userdata_free. If the process ends with open handles, their
/// userdata is not freed. In a forked child the call is not guaranteed, because a thread of the parent may have been
/// in the callback.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type certreload_userdata_free = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// The userdata of one callback. Until [`Self::keep`] is called, the host owns it, because the function that sets the
/// callback may still fail.
pub(crate) struct Userdata {
    pointer: *mut c_void,
    free: certreload_userdata_free,
    is_kept: AtomicBool,
}

// SAFETY: the pointer is never dereferenced here, and the docs of each callback say that it is passed to the host's
// functions on other threads.
unsafe impl Send for Userdata {}
// SAFETY: the pointer is never dereferenced here, and the docs of each callback say whether it runs on several threads
// at once.
unsafe impl Sync for Userdata {}

impl Userdata {
    pub(crate) fn new(pointer: *mut c_void, free: certreload_userdata_free) -> Self {
        Self { pointer, free, is_kept: AtomicBool::new(false) }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }

    /// Makes the library the owner, because the callback is set.
    pub(crate) fn keep(&self) {
        self.is_kept.store(true, Ordering::SeqCst);
    }

    /// Frees the userdata if the library owns it, and only once. After this, no call of the callback may begin.
    pub(crate) fn release(&self) {
        if self.is_kept.swap(false, Ordering::SeqCst)
            && let Some(free) = self.free
        {
            // SAFETY: a function of the host with the documented signature; the swap makes this the only call.
            unsafe { free(self.pointer) };
        }
    }
}

impl Drop for Userdata {
    fn drop(&mut self) {
        self.release();
    }
}
