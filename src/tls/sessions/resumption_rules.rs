//! The rules of one generation about sessions: how long they last, and under which conditions they are resumed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::identity_label::IdentityLabel;
use crate::pki::TicketKeys;

/// The lifetime of a session in seconds: 6 hours, where TLS 1.3 allows 7 days (RFC 8446 section 4.6.1).
///
/// A client that resumes gets another ticket. In TLS 1.2 the secret stays the same, so the new ticket expires with the
/// first one. In TLS 1.3 new keys are agreed on, so the new ticket has the full lifetime. Such a chain of resumptions
/// ends when the trust store changes, or when a certificate of the client or a CRL expires. For a client with a
/// certificate it also ends once a week.
pub(super) const LIFETIME: i64 = 6 * 3600;

/// What sessions need to know about the server names of one generation.
pub(crate) trait ServedNames: fmt::Debug + Send + Sync {
    /// Returns whether an identity has `name`.
    fn is_served(&self, name: &str) -> bool;
    /// Returns the first label of the identity for a client that asks for `name`, or sends no name; `None` if there is
    /// no such identity.
    fn label_for(&self, name: Option<&str>) -> Option<IdentityLabel>;
    /// Returns whether `label` is one of the labels of the identity for such a client.
    fn has_label(&self, name: Option<&str>, label: &IdentityLabel) -> bool;
}

/// The facts about one generation that decide which sessions its server configuration resumes.
#[derive(Clone, Debug)]
pub(crate) struct SessionPolicy {
    /// Sessions that were started under another trust store are not resumed (G13). Zeros without a trust store.
    pub(crate) trust_fingerprint: [u8; 32],
    /// The digest of the session context that the host has set; zeros if it has set none. Sessions of a service with
    /// another context are not resumed.
    pub(crate) context: [u8; 32],
    /// Sessions for a name that is no longer served are not resumed (G14).
    ///
    /// If the client asked for no name that was served, the default identity answered, and its name was recorded. Then
    /// the session is resumed only while the default identity has that name.
    pub(crate) names: Arc<dyn ServedNames>,
    /// The keys of the ticket key file, if one is configured.
    pub(crate) ticket_keys: Option<Arc<TicketKeys>>,
    /// The age at which the host is warned that the encrypting key of that file is to be replaced. There is as much time
    /// again to do so: at twice this age the key encrypts no more. Zero means no limit.
    pub(crate) ticket_key_lifetime: Duration,
    /// From when on no session is resumed, in seconds since 1970: then a CRL expires that clients are verified with,
    /// and a full handshake would refuse the client (G13).
    pub(crate) resume_until: Option<i64>,
}
