//! Leaves nothing of a secret on a thread's stack.

/// More than reading and opening a key takes, and a small part of any thread's stack.
const DEPTH: usize = 32 * 1024;

/// Runs `body`, and overwrites what its frames leave behind.
///
/// Below the caller's frame it would stay for as long as the thread lives and goes no deeper, and from
/// there get into the gaps of whatever is moved over it; and the thread may be the host's (G18).
pub(crate) fn wiping_stack<T>(body: impl FnOnce() -> T) -> T {
    let result = run(body);
    overwrite();
    result
}

/// In a frame that begins where that of [`overwrite`] does.
#[inline(never)]
fn run<T>(body: impl FnOnce() -> T) -> T {
    body()
}

#[inline(never)]
#[allow(clippy::large_stack_arrays, reason = "the stack is what it is about")]
fn overwrite() {
    std::hint::black_box(&mut [0_u8; DEPTH]);
}
