//! A small DER reader (X.690): splits structures into their elements, without knowing their types.
//!
//! It is used where x509-parser has no parser (OCSP responses, private keys). It is also used where x509-parser would
//! do too much work: for large CRLs, and for single fields of a certificate.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
/// The tags `[0]`, `[1]` and `[2]` of EXPLICIT tagging: the content is one whole element with its own tag.
pub(super) const EXPLICIT_0: u8 = 0xa0;
pub(super) const EXPLICIT_1: u8 = 0xa1;
pub(super) const EXPLICIT_2: u8 = 0xa2;
/// The tag `[0]` of IMPLICIT tagging: it replaces the own tag of a primitive element, such as an OCTET STRING.
pub(super) const IMPLICIT_0: u8 = 0x80;

/// One element: its tag and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// All bytes of the element: tag, length and content.
    pub(super) whole: &'a [u8],
}

/// Splits off the first element. Returns it and the bytes after it; `None` if it is incomplete.
pub(super) fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // No file may be so large that a length needs more than four bytes (G17). DER has no indefinite length (zero
        // bytes).
        if !(1..=4).contains(&bytes.len()) {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let whole = &der[..der.len() - rest.len()];
    Some((Element { tag, content, whole }, rest))
}

/// Splits off the first element, which must have this tag. Returns its content and the bytes after it;
/// `None` if the tag differs.
pub(super) fn tagged(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (element, rest) = element(der)?;
    (element.tag == tag).then_some((element.content, rest))
}

/// Splits off the first element if it has this tag. Returns its content, or `None` if the tag differs, and the bytes
/// after it.
pub(super) fn optional(der: &[u8], tag: u8) -> Option<(Option<&[u8]>, &[u8])> {
    if der.first() != Some(&tag) {
        return Some((None, der));
    }
    let (content, rest) = tagged(der, tag)?;
    Some((Some(content), rest))
}

/// Returns the content of the only element of `der`, which must have this tag.
pub(super) fn only(der: &[u8], tag: u8) -> Option<&[u8]> {
    match tagged(der, tag)? {
        (content, []) => Some(content),
        _ => None,
    }
}

/// Returns the bytes of a BIT STRING; `None` if its last byte has unused bits. Keys and signatures have none.
pub(super) fn bits(content: &[u8]) -> Option<&[u8]> {
    content.strip_prefix(&[0])
}

/// Returns the number of significant bits of a non-negative INTEGER.
pub(super) fn bit_length(content: &[u8]) -> usize {
    let zeros = content.iter().take_while(|byte| **byte == 0).count();
    let digits = &content[zeros..];
    digits.first().map_or(0, |first| digits.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_length_ignores_leading_zeros() {
        let table = [(&[][..], 0), (&[0], 0), (&[1], 1), (&[0, 0x80], 8), (&[1, 0, 1], 17)];
        for (content, bits) in table {
            assert_eq!(bit_length(content), bits, "{content:?}");
        }
    }

    #[test]
    fn elements_are_split_and_truncated_ones_are_rejected() {
        let der = [0x30, 0x03, 0x02, 0x01, 0x05, 0xff];
        let (first, rest) = element(&der).unwrap();
        assert_eq!(first.tag, SEQUENCE);
        assert_eq!((first.content, first.whole, rest), (&der[2..5], &der[..5], &der[5..]));
        assert_eq!(only(first.content, INTEGER), Some(&[5][..]));
        assert_eq!(only(&der, SEQUENCE), None, "bytes follow");
        assert_eq!(optional(&der, INTEGER), Some((None, &der[..])));
        assert_eq!(optional(&der, SEQUENCE), Some((Some(first.content), rest)));
        assert_eq!(optional(&der[..4], SEQUENCE), None, "present, but truncated");
        for end in 0..5 {
            assert_eq!(element(&der[..end]), None);
        }
        assert_eq!(element(&[0x30, 0x85, 0, 0, 0, 0, 1, 0]), None, "five length bytes");
        assert_eq!(element(&[0x30, 0x80, 0, 0]), None, "indefinite length");
    }
}
