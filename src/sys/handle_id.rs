//! Numbers that tell the handles of a process apart.

/// Who follows: unique in the process.
pub(crate) type HandleId = u64;
