//! Writes a C status struct, as much of it as the caller has room for.

use std::ptr;

use crate::error::Error;
use crate::ffi::cast;

/// A C struct that begins with the number of its bytes that were filled in.
pub(super) trait StatusStruct: Copy {
    fn size_mut(&mut self) -> &mut usize;
}

/// Writes the first `room` bytes of a status, or all of it.
///
/// A caller that was compiled with the header of an older version has a shorter struct.
///
/// # Safety
/// `out` is NULL, or points to `room` writable bytes that no other thread uses during the call.
pub(super) unsafe fn write_cut<T: StatusStruct>(
    status: impl Into<T>,
    out: *mut T,
    room: usize,
) -> Result<(), Error> {
    if out.is_null() {
        return Err(Error::null("status_out"));
    }
    if room < 16 {
        return Err(Error::invalid(format!("status_size is {room}, below 16")));
    }
    cast::at_most(room, cast::MAX_STRUCT_SIZE, "status_size")?;
    let mut status: T = status.into();
    let size = room.min(size_of::<T>());
    *status.size_mut() = size;
    // SAFETY: `size` is at most `room`, the bytes that the caller vouches for, and at most the size of `status`.
    unsafe { ptr::copy_nonoverlapping((&raw const status).cast::<u8>(), out.cast(), size) };
    Ok(())
}
