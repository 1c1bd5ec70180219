//! Records which names several identities have.

use crate::pki::NameKind;

/// Names that an earlier identity with the same kind of key has, too, and serves as long as it is valid.
#[derive(Debug, Default)]
pub(crate) struct DuplicateNames {
    /// The first such name.
    pub(crate) first: Option<DuplicateName>,
    pub(crate) count: usize,
}

/// A name of two identities with the same kind of key, by their positions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DuplicateName {
    pub(crate) name: String,
    pub(crate) earlier: usize,
    pub(crate) later: usize,
    /// Whether the later identity serves the name at times at which the earlier one is not valid.
    pub(crate) is_needed: bool,
}

impl DuplicateNames {
    pub(super) fn add(&mut self, name: &str, earlier: usize, later: usize, is_needed: bool) {
        // Clients ask for DNS names alone (RFC 6066 section 3), so no other name is ever served.
        if NameKind::of(name) == NameKind::Dns {
            self.count += 1;
            self.first.get_or_insert_with(|| {
                let name = name.to_owned();
                DuplicateName { name, earlier, later, is_needed }
            });
        }
    }
}
