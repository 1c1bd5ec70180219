//! Compares a new identity with the one that it is to replace (G4, G15).

use std::collections::HashSet;

use super::chain_paths::lost_issuer;
use super::identity::Identity;
use super::warnings::{Warning, WarningKind};

impl Identity {
    /// Returns why the chain may be cut short, compared with that of `before`, which is served (G4).
    pub(crate) fn cut_short(&self, before: &Self) -> Option<&'static str> {
        if self.lost_issuer(before).is_some() {
            Some("it lacks the certificate of an issuer, and the chain in use has it")
        } else if self.is_incomplete() && !before.is_incomplete() {
            Some("it lacks the certificate of the leaf's issuer")
        } else {
            None
        }
    }

    /// Returns the name of the issuer whose certificate this chain lacks, if the chain of `before` has it.
    fn lost_issuer(&self, before: &Self) -> Option<String> {
        lost_issuer(self.path(), before.path())
    }

    fn is_incomplete(&self) -> bool {
        self.warnings().iter().any(|warning| warning.kind == WarningKind::ChainIncomplete)
    }

    /// Returns warnings about what is lost if this identity replaces `before` (G15).
    pub(crate) fn warnings_after(&self, before: &Self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let kept: HashSet<_> = self.names().iter().collect();
        let lost = before.names().iter().filter(|name| !kept.contains(name));
        let lost: Vec<_> = lost.map(|name| name.to_string_lossy()).collect();
        if let Some((first, more)) = lost.split_first() {
            let more = match more.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let text =
                format!("the new certificate lacks names of the previous one: {first}{more}");
            warnings.push(Warning::new(WarningKind::NamesLost, text));
        }
        if self.not_after() < before.not_after() {
            let text = "the new certificate expires earlier than the previous one";
            warnings.push(Warning::new(WarningKind::ExpiresEarlier, text));
        }
        if !self.is_incomplete()
            && let Some(issuer) = self.lost_issuer(before)
        {
            let text = format!(
                "the new chain ends below \"{issuer}\", and the previous chain did not: clients that lack that certificate cannot build a path; add it to the file"
            );
            warnings.push(Warning::new(WarningKind::ChainIncomplete, text));
        }
        warnings
    }
}
