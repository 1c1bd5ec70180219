//! Compares subject and issuer names as RFC 5280 section 7.1 has it: by their characters, and not by their bytes.
//!
//! A CA may write one name in several ways, for example as `PrintableString` in its own certificate and as `UTF8String`
//! in those that it issues. OpenSSL compares the characters. rustls and `GnuTLS` compare the bytes, so they do not find
//! the issuer. Both facts matter here: the characters show what belongs together, and the bytes which peers refuse it.

use std::borrow::Cow;

use super::der::{Element, OBJECT_IDENTIFIER, SEQUENCE, element, only, tagged};
use super::hash::{Sha256, sha256};

/// The tag of `RelativeDistinguishedName ::= SET OF AttributeTypeAndValue`.
const SET: u8 = 0x31;

// The tags of strings.
const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// The name of a subject or an issuer. Two names are equal if they have the same characters, in essence: the types of
/// strings, upper and lower case, the number of blanks and the order within an RDN make no difference.
#[derive(Clone, Debug)]
pub(crate) struct DistinguishedName<'a> {
    der: Cow<'a, [u8]>,
    /// The digest of the name in a form that equal names share. Names are as long as the file permits, and each is
    /// compared with many others.
    characters: Sha256,
}

impl<'a> DistinguishedName<'a> {
    /// Returns the name with this DER: a whole `Name` with tag and length. A name that cannot be parsed is equal to the
    /// same bytes only.
    pub(super) fn new(der: &'a [u8]) -> Self {
        let characters = match attributes(der) {
            Some(attributes) => sha256(&comparable(attributes)),
            None => sha256(der),
        };
        Self { der: der.into(), characters }
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn to_owned(&self) -> DistinguishedName<'static> {
        let der = Cow::Owned(self.der.to_vec());
        DistinguishedName { der, characters: self.characters }
    }

    /// Returns whether both names have the same bytes. Verifiers of rustls compare these.
    pub(super) fn has_same_bytes(&self, other: &DistinguishedName<'_>) -> bool {
        self.der == other.der
    }

    /// Returns in words how the bytes of two equal names differ.
    pub(super) fn difference(&self, other: &DistinguishedName<'_>) -> String {
        let types = || {
            let (one, other) = (attributes(&self.der)?, attributes(&other.der)?);
            let mut pairs = one.into_iter().flatten().zip(other.into_iter().flatten());
            let (one, other) = pairs.find(|(one, other)| one.value.tag != other.value.tag)?;
            Some((type_name(one.value.tag)?, type_name(other.value.tag)?))
        };
        match types() {
            Some((one, other)) => format!("{one} and {other}"),
            None => "other case, blanks or order".to_owned(),
        }
    }
}

impl PartialEq<DistinguishedName<'_>> for DistinguishedName<'_> {
    fn eq(&self, other: &DistinguishedName<'_>) -> bool {
        self.characters == other.characters
    }
}

/// An `AttributeTypeAndValue`.
struct Attribute<'a> {
    /// The content of an OBJECT IDENTIFIER.
    kind: &'a [u8],
    value: Element<'a>,
}

/// Returns the attributes of each RDN of a name.
fn attributes(der: &[u8]) -> Option<Vec<Vec<Attribute<'_>>>> {
    let mut rest = only(der, SEQUENCE)?;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (mut of_set, after) = tagged(rest, SET)?;
        let mut attributes = Vec::new();
        while !of_set.is_empty() {
            let (attribute, after) = tagged(of_set, SEQUENCE)?;
            let (kind, value) = tagged(attribute, OBJECT_IDENTIFIER)?;
            let (value, end) = element(value)?;
            if !end.is_empty() {
                return None;
            }
            attributes.push(Attribute { kind, value });
            of_set = after;
        }
        all.push(attributes);
        rest = after;
    }
    Some(all)
}

/// Returns the bytes in which two names with the same characters are equal. Each part begins with its length, so that
/// no two different names have the same bytes.
fn comparable(name: Vec<Vec<Attribute<'_>>>) -> Vec<u8> {
    let with_length = |bytes: &[u8]| [&bytes.len().to_be_bytes()[..], bytes].concat();
    let mut all = Vec::new();
    for set in name {
        let mut of_set: Vec<Vec<u8>> = set
            .iter()
            .map(|Attribute { kind, value }| {
                let (tag, value) = match characters(*value) {
                    Some(text) => (UTF8_STRING, with_length(prepared(&text).as_bytes())),
                    // No character string begins with this tag.
                    None => (0, with_length(value.whole)),
                };
                [&with_length(kind)[..], &[tag], &value].concat()
            })
            .collect();
        of_set.sort_unstable();
        all.extend(with_length(&of_set.concat()));
    }
    all
}

/// Decodes a string; `None` if it is no string, or not one of its type.
fn characters(value: Element<'_>) -> Option<String> {
    let bytes = value.content;
    match value.tag {
        UTF8_STRING => String::from_utf8(bytes.to_vec()).ok(),
        // Certificates have Latin-1 in a TeletexString. The other three have ASCII alone.
        NUMERIC_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING | VISIBLE_STRING => {
            Some(bytes.iter().copied().map(char::from).collect())
        }
        BMP_STRING => {
            let (units, []) = bytes.as_chunks() else { return None };
            String::from_utf16(&units.iter().copied().map(u16::from_be_bytes).collect::<Vec<_>>())
                .ok()
        }
        UNIVERSAL_STRING => {
            let (units, []) = bytes.as_chunks() else { return None };
            units.iter().copied().map(u32::from_be_bytes).map(char::from_u32).collect()
        }
        _ => None,
    }
}

/// Prepares a string for comparison: lower case, and each run of blanks as one, none at the ends (RFC 4518).
///
/// Of Unicode, only the mapping to lower case is applied. Forms of one letter that Unicode calls equivalent differ.
fn prepared(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().flat_map(char::to_lowercase).collect()
}

fn type_name(tag: u8) -> Option<&'static str> {
    Some(match tag {
        UTF8_STRING => "UTF8String",
        NUMERIC_STRING => "NumericString",
        PRINTABLE_STRING => "PrintableString",
        TELETEX_STRING => "TeletexString",
        IA5_STRING => "IA5String",
        VISIBLE_STRING => "VisibleString",
        UNIVERSAL_STRING => "UniversalString",
        BMP_STRING => "BMPString",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const ORGANIZATION: &[u8] = &[0x55, 4, 10];

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    }

    fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        tlv(SEQUENCE, &[tlv(OBJECT_IDENTIFIER, kind), tlv(tag, value)].concat())
    }

    fn name(sets: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let sets: Vec<_> = sets.iter().map(|set| tlv(SET, &set.concat())).collect();
        tlv(SEQUENCE, &sets.concat())
    }

    fn common(tag: u8, value: &[u8]) -> Vec<u8> {
        name(&[vec![attribute(COMMON_NAME, tag, value)]])
    }

    fn is_equal(one: &[u8], other: &[u8]) -> bool {
        DistinguishedName::new(one) == DistinguishedName::new(other)
    }

    #[test]
    fn names_with_the_same_characters_are_equal_whatever_their_string_types() {
        let plain = common(UTF8_STRING, b"My CA");
        for (tag, value) in [
            (PRINTABLE_STRING, &b"My CA"[..]),
            (IA5_STRING, b"My CA"),
            (VISIBLE_STRING, b"My CA"),
            (TELETEX_STRING, b"My CA"),
            (BMP_STRING, b"\0M\0y\0 \0C\0A"),
            (UNIVERSAL_STRING, b"\0\0\0M\0\0\0y\0\0\0 \0\0\0C\0\0\0A"),
            (PRINTABLE_STRING, b"  mY   cA "),
            (UTF8_STRING, b"MY\tCA"),
        ] {
            assert!(is_equal(&plain, &common(tag, value)), "{tag} {value:?}");
        }
        let umlaut = common(UTF8_STRING, "Ä".as_bytes());
        assert!(is_equal(&umlaut, &common(TELETEX_STRING, b"\xe4")));
        assert!(is_equal(&umlaut, &common(BMP_STRING, b"\0\xc4")));
    }

    #[test]
    fn names_with_other_characters_attributes_or_structure_differ() {
        let plain = common(UTF8_STRING, b"My CA");
        let attribute = attribute(COMMON_NAME, UTF8_STRING, b"My CA");
        let organization = super::tests::attribute(ORGANIZATION, UTF8_STRING, b"My CA");
        for other in [
            common(UTF8_STRING, b"My CB"),
            common(UTF8_STRING, b"MyCA"),
            common(OCTETS, b"My CA"),
            common(BMP_STRING, b"\0M\0y\0 \0C\0A\0"),
            common(BMP_STRING, b"\xd8\x00"),
            common(UNIVERSAL_STRING, b"\0\x11\0\0"),
            common(UTF8_STRING, b"\xff"),
            name(&[]),
            name(&[vec![]]),
            name(&[vec![organization]]),
            name(&[vec![attribute.clone()], vec![attribute.clone()]]),
            name(&[vec![attribute.clone(), attribute]]),
        ] {
            assert!(!is_equal(&plain, &other), "{other:x?}");
            assert!(is_equal(&other, &other));
        }
    }

    const OCTETS: u8 = 4;

    #[test]
    fn order_counts_between_rdns_and_not_within_one() {
        let (one, other) = (
            attribute(COMMON_NAME, UTF8_STRING, b"one"),
            attribute(ORGANIZATION, PRINTABLE_STRING, b"two"),
        );
        let together = name(&[vec![one.clone(), other.clone()]]);
        assert!(is_equal(&together, &name(&[vec![other.clone(), one.clone()]])));
        let apart = name(&[vec![one.clone()], vec![other.clone()]]);
        assert!(!is_equal(&apart, &name(&[vec![other], vec![one]])));
        assert!(!is_equal(&apart, &together));
    }

    #[test]
    fn names_that_cannot_be_parsed_are_compared_as_bytes() {
        let whole = common(UTF8_STRING, b"My CA");
        for end in 0..whole.len() {
            assert!(is_equal(&whole[..end], &whole[..end]));
            assert!(!is_equal(&whole, &whole[..end]), "{end}");
        }
    }

    #[test]
    fn difference_is_named_by_the_types_of_the_strings() {
        let difference = |one: &[u8], other: &[u8]| {
            DistinguishedName::new(one).difference(&DistinguishedName::new(other))
        };
        let (utf8, printable) = (common(UTF8_STRING, b"a"), common(PRINTABLE_STRING, b"a"));
        assert_eq!(difference(&utf8, &printable), "UTF8String and PrintableString");
        let upper = common(UTF8_STRING, b"A");
        assert_eq!(difference(&utf8, &upper), "other case, blanks or order");
    }
}
