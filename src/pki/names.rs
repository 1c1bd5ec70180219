//! Names in certificates: DNS names, which may be wildcards for one label (RFC 9525 section 6.3), IP addresses and URIs.

use std::net::IpAddr;

/// The kind of a name in subjectAltName (RFC 5280 section 4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// A name that clients can ask for (SNI), in lower case.
    Dns,
    /// An address. Clients cannot ask for it (RFC 6066 section 3).
    Ip,
    /// A URI, such as a SPIFFE ID. Clients cannot ask for it either.
    Uri,
}

impl NameKind {
    /// Returns the kind of a name as text: no DNS name has a colon, and every URI has one.
    pub(crate) fn of(name: &str) -> Self {
        if name.parse::<IpAddr>().is_ok() {
            Self::Ip
        } else if name.contains(':') {
            Self::Uri
        } else {
            Self::Dns
        }
    }
}

/// A name in a certificate as a pattern for the names that it is valid for. DNS names are in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamePattern<'a> {
    /// Matches this name only.
    Exact(&'a str),
    /// Matches each name that has one label in front of this domain: `*.a.test` is `Wildcard("a.test")`.
    Wildcard(&'a str),
}

impl<'a> NamePattern<'a> {
    /// Converts a name in a certificate: one that starts with `*.` is a wildcard.
    pub(crate) fn of(name: &'a str) -> Self {
        name.strip_prefix("*.").map_or(Self::Exact(name), Self::Wildcard)
    }

    /// Returns the patterns that match `name`: first the exact name, which is preferred, then the wildcard. A name of a
    /// single label, an IP address and a URI match no wildcard.
    pub(crate) fn matching(name: &'a str) -> [Option<Self>; 2] {
        let parent = name.split_once('.').map(|(_label, parent)| parent);
        let parent = parent.filter(|_| NameKind::of(name) == NameKind::Dns);
        [Some(Self::Exact(name)), parent.map(Self::Wildcard)]
    }

    /// Returns whether a certificate with this name is valid for `name`. `*.a.test` also matches the text `*.a.test`,
    /// because a host can require a certificate with that name.
    pub(crate) fn matches(self, name: &str) -> bool {
        NamePattern::matching(name).contains(&Some(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_matches_exactly_one_label() {
        let wildcard = NamePattern::of("*.a.test");
        for name in ["x.a.test", "*.a.test"] {
            assert!(wildcard.matches(name), "{name}");
        }
        for name in ["a.test", "y.x.a.test", "*.test", "test", ""] {
            assert!(!wildcard.matches(name), "{name}");
        }
    }

    #[test]
    fn exact_name_matches_itself_only() {
        assert!(NamePattern::of("a.test").matches("a.test"));
        assert!(!NamePattern::of("a.test").matches("x.a.test"));
        assert!(!NamePattern::of("a.test").matches(""));
    }

    #[test]
    fn address_and_uri_match_no_wildcard() {
        assert!(!NamePattern::of("*.0.2.1").matches("192.0.2.1"));
        assert!(!NamePattern::of("*.a.test").matches("spiffe://x.a.test"));
        assert!(NamePattern::of("192.0.2.1").matches("192.0.2.1"));
        assert!(NamePattern::of("spiffe://a.test/b").matches("spiffe://a.test/b"));
        let kinds = ["a.test", "*.a.test", "::1", "192.0.2.1", "spiffe://a.test/b", "urn:x"];
        let expected = {
            use NameKind::{Dns, Ip, Uri};
            [Dns, Dns, Ip, Ip, Uri, Uri]
        };
        assert_eq!(kinds.map(NameKind::of), expected);
    }

    #[test]
    fn exact_pattern_comes_before_the_wildcard() {
        let [first, second] = NamePattern::matching("x.a.test");
        assert_eq!(first, Some(NamePattern::Exact("x.a.test")));
        assert_eq!(second, Some(NamePattern::Wildcard("a.test")));
        assert_eq!(NamePattern::matching("test")[1], None);
    }
}
