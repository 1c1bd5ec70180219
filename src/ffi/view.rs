//! Views: what a handle serves, for code that may run after the handle was closed.

use std::sync::Arc;

use super::cast;
use super::cast::Opaque;
use super::generation::certreload_generation;
use super::handle::certreload_handle;
use super::panic_boundary::boundary;
use crate::runtime::View;

/// What a handle serves: its current generation, and after it was closed its last one; opaque.
pub struct certreload_view {
    _private: [u8; 0],
}

impl Opaque for certreload_view {
    type Inner = View;
}

/// Creates a view of a handle. Unlike the handle, it may be used after certreload_close().
///
/// A TLS object that lives as long as the host likes can hold a view, and acquire the current generation in each
/// handshake.
///
/// @param handle  must not be NULL
/// @return        the view; NULL if handle is NULL
/// Ownership:     the caller's, until certreload_view_free(); may outlive the handle
/// Threads:       any thread, concurrently
/// Signals:       not async-signal-safe
/// Blocks:        never
/// Since:         0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_view_new(
    handle: *const certreload_handle,
) -> *const certreload_view {
    boundary(|| {
        // SAFETY: the caller passes an open handle, or NULL.
        let handle = unsafe { cast::borrow(handle, "handle")? };
        Ok(cast::arc_into_raw(Arc::new(handle.view())))
    })
}

/// Acquires the generation that is current at this moment, as certreload_generation_acquire() does.
///
/// @param view  must not be NULL
/// @return      the generation; NULL if view is NULL. After the handle was closed, its last generation
/// Ownership:   reference-counted: release it with certreload_generation_release(); may outlive the view
/// Threads:     any thread, concurrently
/// Signals:     not async-signal-safe
/// Blocks:      never: no lock, no system call
/// Since:       0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_view_acquire(
    view: *const certreload_view,
) -> *const certreload_generation {
    boundary(|| {
        // SAFETY: the caller passes a view that was not freed, or NULL.
        let view = unsafe { cast::borrow(view, "view")? };
        Ok(cast::arc_into_raw(view.generation()))
    })
}

/// Returns whether two views are of the same handle, also after that handle was closed.
///
/// @param view   must not be NULL
/// @param other  must not be NULL
/// @return       true if they are; false if a pointer is NULL
/// Ownership:    nothing changes hands
/// Threads:      any thread, concurrently
/// Signals:      not async-signal-safe
/// Blocks:       never: no lock, no system call
/// Since:        0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_view_is_same(
    view: *const certreload_view,
    other: *const certreload_view,
) -> bool {
    boundary(|| {
        // SAFETY: the caller passes views that were not freed, or NULL.
        let (view, other) = unsafe { (cast::borrow(view, "view")?, cast::borrow(other, "other")?) };
        Ok(view.is_same(other))
    })
}

/// Frees a view.
///
/// @param view  may be NULL, then nothing happens; consumed
/// Ownership:   the pointer is dangling afterwards; generations that were acquired with it are not
/// Threads:     any thread; no other thread may use the view during or after the call
/// Signals:     not async-signal-safe
/// Blocks:      never
/// Since:       0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_view_free(view: *const certreload_view) {
    boundary(|| {
        // SAFETY: the caller gives up the view of certreload_view_new(), or NULL.
        drop(unsafe { cast::arc_from_raw(view) });
        Ok(())
    });
}
