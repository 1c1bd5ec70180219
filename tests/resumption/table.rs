//! What becomes of a session when something changes: the promise that is tested, and printed in the README.

use std::fmt::Write as _;

use certreload::ffi::sessions::certreload_resumption as Resumption;

use crate::peers::Alert;

/// What happens between two visits of a client, who has a certificate unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Certificate,
    Key,
    Chain,
    Staple,
    NameAdded,
    OtherNameLost,
    NameLost,
    RootsInAnotherOrder,
    RootOfServersAdded,
    RootAdded,
    OtherRootRemoved,
    RootRemoved,
    ListAnew,
    OtherRevoked,
    Revoked,
    NowAsked,
    NowRequired,
    NowRequiredOfNobody,
    TicketKeyAdded,
    TicketKeyRotated,
    TicketKeyGone,
    Restarted,
    RestartedWithTicketKeys,
    Invalidated,
    InvalidatedWithTicketKeys,
}

/// How the client's second visit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    Resumed,
    Full,
    Refused(Alert),
}

#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) change: Change,
    /// For people.
    pub(crate) words: &'static str,
    pub(crate) auto: Promise,
    /// The same for a client of TLS 1.2 that takes no tickets, whose session the server keeps under an id.
    pub(crate) auto_by_id: Promise,
    pub(crate) always_reset: Promise,
    pub(crate) off: Promise,
}

/// The same in TLS 1.2 and TLS 1.3.
pub(crate) const TABLE: &[Row] = {
    use Promise::{Full, Refused, Resumed};
    const REVOKED: Promise = Refused(Alert::CertificateRevoked);
    const UNKNOWN: Promise = Refused(Alert::UnknownCa);
    const REQUIRED: Promise = Refused(Alert::CertificateRequired);
    use Change as C;
    &[
        row(C::Nothing, "nothing", Resumed, Resumed, Full),
        row(C::Certificate, "the certificate, its key stays", Resumed, Full, Full),
        row(C::Key, "certificate and key", Resumed, Full, Full),
        row(C::Chain, "the chain above the certificate", Resumed, Full, Full),
        row(C::Staple, "the OCSP response", Resumed, Full, Full),
        row(C::NameAdded, "a name comes", Resumed, Full, Full),
        row(C::OtherNameLost, "a name goes that the client did not ask for", Resumed, Full, Full),
        row(C::NameLost, "the name goes that the client asked for", Full, Full, Full),
        row(C::RootsInAnotherOrder, "the roots are put in another order", Resumed, Full, Full),
        row(C::RootOfServersAdded, "a root of servers comes (client role)", Resumed, Full, Full),
        row(C::RootAdded, "a root comes", Full, Full, Full),
        row(C::OtherRootRemoved, "a root goes that is not the client's", Full, Full, Full),
        row(C::RootRemoved, "the client's root goes", UNKNOWN, UNKNOWN, UNKNOWN),
        row(C::ListAnew, "a CRL is issued anew", Full, Full, Full),
        row(C::OtherRevoked, "a CRL revokes another client", Full, Full, Full),
        row(C::Revoked, "a CRL revokes the client", REVOKED, REVOKED, REVOKED),
        row(C::NowAsked, "a restart¹: clients are now asked for certificates", Full, Full, Full),
        row(
            C::NowRequired,
            "a restart¹: certificates are now required, and the client has one",
            Full,
            Full,
            Full,
        ),
        row(
            C::NowRequiredOfNobody,
            "a restart¹: certificates are now required, and the client has none",
            REQUIRED,
            REQUIRED,
            REQUIRED,
        ),
        row(C::TicketKeyAdded, "a ticket key comes behind the client's", Resumed, Full, Full),
        row(C::TicketKeyRotated, "a ticket key comes before the client's", Resumed, Full, Full),
        unlike_by_id(
            row(C::TicketKeyGone, "the client's ticket key goes", Full, Full, Full),
            Resumed,
        ),
        row(C::Restarted, "a restart", Full, Full, Full),
        unlike_by_id(row(C::RestartedWithTicketKeys, "a restart¹", Resumed, Full, Full), Full),
        row(C::Invalidated, "`certreload_invalidate_sessions()`", Full, Full, Full),
        row(C::InvalidatedWithTicketKeys, "`certreload_invalidate_sessions()`¹", Full, Full, Full),
    ]
};

const fn row(
    change: Change,
    words: &'static str,
    auto: Promise,
    always_reset: Promise,
    off: Promise,
) -> Row {
    Row { change, words, auto, auto_by_id: auto, always_reset, off }
}

const fn unlike_by_id(row: Row, auto_by_id: Promise) -> Row {
    Row { auto_by_id, ..row }
}

impl Change {
    /// Whether there is a file of ticket keys, before and after it.
    pub(crate) fn is_with_ticket_keys(self) -> bool {
        use Change as C;
        let is_about_them = matches!(
            self,
            C::TicketKeyAdded
                | C::TicketKeyRotated
                | C::TicketKeyGone
                | C::RestartedWithTicketKeys
                | C::InvalidatedWithTicketKeys
        );
        // Without them it would be for the restart alone that sessions end.
        is_about_them || matches!(self, C::NowAsked | C::NowRequired | C::NowRequiredOfNobody)
    }
}

impl Row {
    pub(crate) fn promise(&self, resumption: Resumption, takes_tickets: bool) -> Promise {
        match resumption {
            Resumption::Auto if takes_tickets => self.auto,
            Resumption::Auto => self.auto_by_id,
            Resumption::AlwaysReset => self.always_reset,
            Resumption::Off => self.off,
        }
    }
}

impl Promise {
    fn words(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::Full => "full",
            Self::Refused(_) => "**refused**",
        }
    }
}

/// For the README.
pub(crate) fn markdown() -> String {
    let mut text =
        "| what changed | `AUTO` | `ALWAYS_RESET` | `OFF` |\n|---|---|---|---|\n".to_owned();
    for row in TABLE {
        let by_id = if row.auto_by_id == row.auto {
            String::new()
        } else {
            format!("; by session id {}", row.auto_by_id.words())
        };
        let [auto, always_reset, off] = [row.auto, row.always_reset, row.off].map(Promise::words);
        writeln!(text, "| {} | {auto}{by_id} | {always_reset} | {off} |", row.words).unwrap();
    }
    text += "\n¹ with a file of ticket keys\n";
    text
}
