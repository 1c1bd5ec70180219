//! Warnings: problems with which a unit is still accepted.

use std::ffi::CStr;
use std::ops::BitOrAssign;

/// The kind of a warning. Each kind is one bit of the `warnings` in the C event and the C status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarningKind {
    KeyReadable,
    NamesLost,
    ExpiresEarlier,
    OcspUnusable,
    ChainReordered,
    ChainIncomplete,
    ChainUnrelated,
    ChainExpired,
    KeyUsage,
    DuplicateName,
    RootUnusable,
    CrlExpired,
    CrlUnrelated,
    CrlLost,
    TicketKeyOld,
    CrlMissing,
    PemSkipped,
    Compatibility,
    RootDoubtful,
    NotYetValid,
    NameMissing,
    TicketKeysMissing,
    PolledPath,
    FileDeleted,
}

impl WarningKind {
    /// All kinds, in the order of their messages: the most severe first.
    const ALL: [Self; 24] = [
        Self::NameMissing,
        Self::NotYetValid,
        Self::FileDeleted,
        Self::CrlLost,
        Self::CrlMissing,
        Self::CrlExpired,
        Self::RootUnusable,
        Self::RootDoubtful,
        Self::PemSkipped,
        Self::CrlUnrelated,
        Self::NamesLost,
        Self::ExpiresEarlier,
        Self::DuplicateName,
        Self::ChainExpired,
        Self::ChainIncomplete,
        Self::ChainReordered,
        Self::ChainUnrelated,
        Self::KeyUsage,
        Self::Compatibility,
        Self::KeyReadable,
        Self::PolledPath,
        Self::OcspUnusable,
        Self::TicketKeyOld,
        Self::TicketKeysMissing,
    ];

    /// Returns the name of the kind, for logs and metrics: one lower-case word.
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::KeyReadable => c"key-readable",
            Self::NamesLost => c"names-lost",
            Self::ExpiresEarlier => c"expires-earlier",
            Self::OcspUnusable => c"ocsp-unusable",
            Self::ChainReordered => c"chain-reordered",
            Self::ChainIncomplete => c"chain-incomplete",
            Self::ChainUnrelated => c"chain-unrelated",
            Self::ChainExpired => c"chain-expired",
            Self::KeyUsage => c"key-usage",
            Self::DuplicateName => c"duplicate-name",
            Self::RootUnusable => c"root-unusable",
            Self::CrlExpired => c"crl-expired",
            Self::CrlUnrelated => c"crl-unrelated",
            Self::CrlLost => c"crl-lost",
            Self::TicketKeyOld => c"ticket-key-old",
            Self::CrlMissing => c"crl-missing",
            Self::PemSkipped => c"pem-skipped",
            Self::Compatibility => c"compatibility",
            Self::RootDoubtful => c"root-doubtful",
            Self::NotYetValid => c"not-yet-valid",
            Self::NameMissing => c"name-missing",
            Self::TicketKeysMissing => c"ticket-keys-missing",
            Self::PolledPath => c"polled-path",
            Self::FileDeleted => c"file-deleted",
        }
    }

    /// The kinds that are about the files and not about their content. They begin and end without a new generation.
    const OF_FILES: [Self; 3] = [Self::FileDeleted, Self::KeyReadable, Self::PolledPath];
}

/// A warning and its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) kind: WarningKind,
    pub(crate) text: String,
}

impl Warning {
    pub(crate) fn new(kind: WarningKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// A set of kinds of warnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warnings(u32);

impl Warnings {
    pub(crate) fn contains(self, kind: WarningKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    /// Returns the kinds in the set, the most severe first.
    pub(crate) fn kinds(self) -> impl Iterator<Item = WarningKind> {
        WarningKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// Returns the set with `kind` added if `is_in` is true, otherwise with `kind` removed.
    pub(crate) fn with(self, kind: WarningKind, is_in: bool) -> Self {
        let bit = 1 << kind as u32;
        Self(if is_in { self.0 | bit } else { self.0 & !bit })
    }

    /// Returns the set without the kinds that are about files and not about their content.
    pub(crate) fn without_file_warnings(self) -> Self {
        WarningKind::OF_FILES.into_iter().fold(self, |set, kind| set.with(kind, false))
    }
}

impl BitOrAssign for Warnings {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl<'a> FromIterator<&'a Warning> for Warnings {
    fn from_iter<T: IntoIterator<Item = &'a Warning>>(warnings: T) -> Self {
        Self(warnings.into_iter().fold(0, |set, warning| set | 1 << warning.kind as u32))
    }
}

/// Returns one message for each kind of warning: the first one of that kind, and the number of the others. So the
/// length of an event's message does not grow with the number of identities.
pub(crate) fn in_words<'a>(warnings: impl IntoIterator<Item = &'a Warning>) -> Vec<String> {
    let mut first: [Option<(&str, usize)>; WarningKind::ALL.len()] = [None; _];
    for warning in warnings {
        match &mut first[warning.kind as usize] {
            Some((_, count)) => *count += 1,
            empty => *empty = Some((&warning.text, 1)),
        }
    }
    let of = |kind: WarningKind| match first[kind as usize]? {
        (text, 1) => Some(text.to_owned()),
        (text, count) => Some(format!("{text} (and {} more like it)", count - 1)),
    };
    WarningKind::ALL.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_and_messages_contain_the_same_kinds() {
        let warnings = [
            Warning::new(WarningKind::KeyReadable, "every user may read a.key"),
            Warning::new(WarningKind::NamesLost, "a.test is missing"),
            Warning::new(WarningKind::KeyReadable, "every user may read b.key"),
        ];
        let set: Warnings = warnings.iter().collect();
        for kind in WarningKind::ALL {
            assert_eq!(set.contains(kind), warnings.iter().any(|warning| warning.kind == kind));
        }
        let words = in_words(&warnings);
        assert_eq!(words, ["a.test is missing", "every user may read a.key (and 1 more like it)"]);
    }

    #[test]
    fn every_kind_has_a_place_in_the_order() {
        let mut kinds = WarningKind::ALL.map(|kind| kind as usize);
        kinds.sort_unstable();
        assert!(kinds.into_iter().eq(0..WarningKind::ALL.len()));
    }
}
