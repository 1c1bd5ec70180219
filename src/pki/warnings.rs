//! What is accepted, but should not go unnoticed.

use std::ops::BitOrAssign;

/// What a warning is about; each kind is a bit in the C event and the C status.
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
}

impl WarningKind {
    /// In the order in which people are told: what was lost first.
    const ALL: [Self; 16] = [
        Self::CrlLost,
        Self::CrlMissing,
        Self::CrlExpired,
        Self::RootUnusable,
        Self::CrlUnrelated,
        Self::NamesLost,
        Self::ExpiresEarlier,
        Self::DuplicateName,
        Self::ChainExpired,
        Self::ChainIncomplete,
        Self::ChainReordered,
        Self::ChainUnrelated,
        Self::KeyUsage,
        Self::KeyReadable,
        Self::OcspUnusable,
        Self::TicketKeyOld,
    ];
}

/// One warning, with the words that belong to it.
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

/// Which kinds of warnings there are: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warnings(u32);

impl Warnings {
    pub(crate) fn contains(self, kind: WarningKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    /// The same set with or without `kind`.
    pub(crate) fn with(self, kind: WarningKind, is_in: bool) -> Self {
        let bit = 1 << kind as u32;
        Self(if is_in { self.0 | bit } else { self.0 & !bit })
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

/// The first warning of each kind, and how many more of that kind there are: as long as the kinds
/// are many, however many identities are warned about.
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
    fn the_set_and_the_words_come_from_the_same_warnings() {
        let warnings = [
            Warning::new(WarningKind::KeyReadable, "every user may read a.key"),
            Warning::new(WarningKind::NamesLost, "it lacks a.test"),
            Warning::new(WarningKind::KeyReadable, "every user may read b.key"),
        ];
        let set: Warnings = warnings.iter().collect();
        for kind in WarningKind::ALL {
            assert_eq!(set.contains(kind), warnings.iter().any(|warning| warning.kind == kind));
        }
        let words = in_words(&warnings);
        assert_eq!(words, ["it lacks a.test", "every user may read a.key (and 1 more like it)"]);
    }

    #[test]
    fn every_kind_is_told() {
        let mut kinds = WarningKind::ALL.map(|kind| kind as usize);
        kinds.sort_unstable();
        assert!(kinds.into_iter().eq(0..WarningKind::ALL.len()));
    }
}
