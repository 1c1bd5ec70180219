//! Carries the start time of a resumed TLS 1.2 session from the old ticket to the new one.
//!
//! A client that resumes gets another ticket. In TLS 1.3 the new ticket belongs to a session with new keys. In TLS 1.2
//! it belongs to the same session, with the master secret of the first handshake (RFC 5246 section 7.3). So it must
//! expire when the first ticket does. An attacker who obtains the secret can impersonate the parties until the session
//! expires (RFC 5246 appendix F.1.4).
//!
//! rustls passes no such time to the code that makes the new ticket. But it accepts the old ticket (or session id) and
//! makes the new one in the same call, on the same thread. So a thread-local variable holds the start time in between.

use std::cell::Cell;

use super::rustls_session_format::RustlsSession;
use crate::pki::{Sha256, sha256};

#[derive(Clone, Copy)]
struct Resumed {
    /// The hash of the session's secret, which identifies the session. It does not reveal the secret of 48 random
    /// bytes.
    secret_sha256: Sha256,
    started_at: i64,
}

thread_local! {
    /// The TLS 1.2 session that this thread has resumed last.
    static RESUMED: Cell<Option<Resumed>> = const { Cell::new(None) };
}

/// Records that this thread may now resume `session`, which started at `started_at`. Only TLS 1.2 sessions are
/// recorded.
pub(super) fn record(session: &RustlsSession<'_>, started_at: i64) {
    if let Some(secret) = session.tls12_secret {
        RESUMED.set(Some(Resumed { secret_sha256: sha256(secret), started_at }));
    }
}

/// Returns when `session` started, if it is the one that this thread has resumed last.
pub(super) fn start_of(session: &RustlsSession<'_>) -> Option<i64> {
    let secret = session.tls12_secret?;
    let resumed = RESUMED.get()?;
    (resumed.secret_sha256 == sha256(secret)).then_some(resumed.started_at)
}
