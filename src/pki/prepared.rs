//! The objects that adapters make from an identity or a trust store for another TLS stack.
//!
//! They belong to the identity or trust store. So they are made once for each version of a unit, all generations with
//! that version share them, and they are dropped with its last user (G8).

use std::ffi::c_void;
use std::fmt;

use crate::sys::OnceSlots;

/// The most adapters of a handle.
pub(crate) const MAX_ADAPTERS: usize = 8;

/// An object that an adapter has made. Dropping it returns it to the adapter.
pub(crate) trait PreparedObject: fmt::Debug + Send + Sync {
    /// Returns the pointer that the adapter has given.
    fn as_raw(&self) -> *mut c_void;
}

/// The objects of all adapters for one version of a unit. The index of an object is the number of its adapter.
pub(crate) type PreparedObjects = OnceSlots<Box<dyn PreparedObject>, MAX_ADAPTERS>;
