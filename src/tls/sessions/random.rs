//! Random bytes for keys.

use aws_lc_rs::rand;

use crate::error::Cause;

/// Fills a buffer of the caller with randomness. If a secret were returned by value, copies would remain on the stack
/// (G18).
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), Cause> {
    rand::fill(bytes).map_err(|_| Cause::without_reason("no random numbers can be had"))
}
