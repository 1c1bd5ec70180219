//! When a session of TLS 1.2 began that is resumed again and again.
//!
//! Each time a client comes back it is given another ticket. In TLS 1.3 that is for a session with keys of its own.
//! In TLS 1.2 it is for the same one, with the secret that both ends agreed on at the beginning, and so it ends when
//! the first one does. rustls has no room for the time of the beginning in what it passes on. But it takes a ticket
//! (or an id) and makes the next one within one call, so the time waits on the thread between the two.

use std::cell::Cell;

use aws_lc_rs::digest::{SHA256, digest};

use super::rustls_session::RustlsSession;

#[derive(Clone, Copy)]
struct Resumed {
    /// Of a secret of 48 random bytes: it tells nothing of it.
    sha256: [u8; 32],
    begun: i64,
}

thread_local! {
    /// The latest of this thread.
    static RESUMED: Cell<Option<Resumed>> = const { Cell::new(None) };
}

/// Takes down that `session` began at `begun`, for it may be resumed now.
pub(super) fn take_down(session: &RustlsSession<'_>, begun: i64) {
    if let Some(secret) = session.tls12_secret {
        RESUMED.set(Some(Resumed { sha256: sha256(secret), begun }));
    }
}

/// When `session` began, if it is the one that this thread has just resumed.
pub(super) fn beginning_of(session: &RustlsSession<'_>) -> Option<i64> {
    let secret = session.tls12_secret?;
    let resumed = RESUMED.get()?;
    (resumed.sha256 == sha256(secret)).then_some(resumed.begun)
}

fn sha256(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}
