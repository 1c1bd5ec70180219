//! Numbers for the handles of a process.

/// The number of a handle, unique in the process.
///
/// The modules below `runtime` use it to name a handle that they do not know: watches and waits belong to a number.
pub(crate) type HandleId = u64;
