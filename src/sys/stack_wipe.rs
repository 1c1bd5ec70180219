//! Removes secrets from a thread's stack.

/// More than reading and decrypting a key uses, and a small part of any thread's stack.
const DEPTH: usize = 32 * 1024;

/// Runs `body`, and overwrites the stack that its frames used (G18).
///
/// Otherwise the secrets would stay below the caller's frame until later calls go as deep. From there they would
/// also get into the padding of values that later calls move. The thread may be the host's.
pub(crate) fn wiping_stack<T>(body: impl FnOnce() -> T) -> T {
    let result = run(body);
    overwrite();
    result
}

/// Runs `body` in a frame that begins at the same address as that of [`overwrite`].
#[inline(never)]
fn run<T>(body: impl FnOnce() -> T) -> T {
    body()
}

#[inline(never)]
#[allow(clippy::large_stack_arrays, reason = "to overwrite the stack is the purpose")]
fn overwrite() {
    std::hint::black_box(&mut [0_u8; DEPTH]);
}
