//! Removes secrets from a thread's stack.

/// How many bytes of the stack are overwritten: more than reading and decrypting a key uses, and a small part of any
/// thread's stack.
const DEPTH: usize = 32 * 1024;

/// Runs `body`, and overwrites the stack that its frames used (G18).
///
/// Otherwise secrets would remain in the unused part of the stack until later calls go as deep. On a thread of the host
/// that may never happen. Later calls would also copy pieces of the secrets, in the padding of values that they move.
pub(crate) fn wiping_stack<T>(body: impl FnOnce() -> T) -> T {
    let result = run(body);
    overwrite();
    result
}

/// Runs `body` in a frame that begins at the same address as that of [`overwrite`], which thus covers it. That is why
/// neither function is inlined.
#[inline(never)]
fn run<T>(body: impl FnOnce() -> T) -> T {
    body()
}

#[inline(never)]
#[allow(clippy::large_stack_arrays, reason = "to overwrite the stack is the purpose")]
fn overwrite() {
    std::hint::black_box(&mut [0_u8; DEPTH]);
}
