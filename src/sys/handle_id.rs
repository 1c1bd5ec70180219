//! The type of the number that identifies a handle in its process.

/// The number of a handle, unique in the process.
///
/// Modules below `runtime` cannot use its handle type. They record by this number which handle a file watch, or a wait
/// of a thread, belongs to.
pub(crate) type HandleId = u64;
