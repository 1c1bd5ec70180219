//! A certificate in a root file that is not used as a root, and what messages say about it.

use std::path::Path;

use crate::error::{Cause, Error, Position};
use crate::pki::hash::Sha256;
use crate::pki::pem;
use crate::pki::warnings::{Warning, WarningKind};

/// A certificate in a root file that cannot be a root.
pub(super) struct SkippedCertificate<'a> {
    pub(super) path: &'a Path,
    pub(super) place: SkippedPlace,
    /// Of the certificate, or of the line.
    pub(super) sha256: Sha256,
    pub(super) reason: String,
}

/// Where a certificate is that cannot be a root.
#[derive(Clone, Copy)]
pub(super) enum SkippedPlace {
    Certificate(Position),
    /// The file is DER, and something else than a certificate.
    File,
    /// The line whose BEGIN is behind other text, from 1.
    Line(usize),
}

pub(super) const MAY_BE_A_LOST_ROOT: &str =
    "; a root that is trusted now is missing, and this may be its damaged copy";

const LOST_BEHIND_TEXT: &str =
    "its BEGIN is behind other text; a root that is trusted now is missing, and this may be it";

impl SkippedCertificate<'_> {
    /// Returns the error that the file is refused because of this certificate; `why` follows the reason.
    pub(super) fn rejected(&self, why: &str) -> Error {
        let reason = format!("{}{why}", self.reason);
        let cause = match self.place {
            SkippedPlace::Certificate(position) => Cause::CertificateMalformed { position, reason },
            SkippedPlace::File => Cause::NoCertificate(format!(": {reason}").into()),
            SkippedPlace::Line(line) => Cause::PemMalformed {
                line,
                reason: if why.is_empty() { pem::BEHIND_OTHER_TEXT } else { LOST_BEHIND_TEXT }
                    .into(),
            },
        };
        Error::at(self.path, cause)
    }

    /// Returns the warning that the certificate is not used.
    pub(super) fn warning(&self) -> Warning {
        let (path, reason) = (self.path.display(), &self.reason);
        let (kind, place) = match self.place {
            SkippedPlace::Certificate(position) => {
                (WarningKind::RootUnusable, format!("{position} in "))
            }
            SkippedPlace::File => (WarningKind::RootUnusable, String::new()),
            SkippedPlace::Line(line) => (WarningKind::PemSkipped, format!("line {line} of ")),
        };
        Warning::new(kind, format!("{place}{path} is not used as a root: {reason}"))
    }
}
