//! Computes SHA-256 digests, and formats bytes as hexadecimal digits.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 digest.
pub(crate) type Sha256 = [u8; 32];

/// Returns the digest of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    into_array(digest(&SHA256, bytes))
}

/// Returns the digest of the concatenated `parts`. Where one part ends and the next begins makes no difference.
pub(crate) fn sha256_of_all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Sha256 {
    let mut context = Context::new(&SHA256);
    parts.into_iter().for_each(|part| context.update(part));
    into_array(context.finish())
}

/// Returns the digest of `parts`, each preceded by its length. Two lists have the same digest only if they have the
/// same parts: without the lengths, `ab c` and `a bc` would be equal.
pub(super) fn sha256_of_list<'a, T: AsRef<[u8]> + ?Sized + 'a>(
    parts: impl IntoIterator<Item = &'a T>,
) -> Sha256 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let part = part.as_ref();
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    into_array(context.finish())
}

fn into_array(digest: aws_lc_rs::digest::Digest) -> Sha256 {
    let mut array = [0; 32];
    array.copy_from_slice(digest.as_ref());
    array
}

/// Returns `bytes` as lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Returns a serial number as OpenSSL writes it, in lower case, from the content of its DER integer. An integer whose
/// first bit is set has a zero byte in front, which says that the number is positive and is not part of it.
pub(super) fn serial_text(integer: &[u8]) -> String {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    hexadecimal(&integer[zeros.min(integer.len().saturating_sub(1))..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_number_has_no_byte_for_its_sign() {
        assert_eq!(serial_text(&[0, 0x98, 0x25]), "9825");
        assert_eq!(serial_text(&[0x58, 0, 1]), "580001");
        assert_eq!(serial_text(&[0]), "00");
        assert_eq!(serial_text(&[]), "");
    }

    #[test]
    fn sha256_of_a_known_text_is_the_published_digest() {
        // FIPS 180-4, example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal(&sha256(b"abc")), expected);
        assert_eq!(sha256_of_all([&b"a"[..], b"bc"]), sha256(b"abc"));
    }

    #[test]
    fn digest_of_a_list_depends_on_where_its_parts_end() {
        assert_ne!(sha256_of_list(["ab", "c"]), sha256_of_list(["a", "bc"]));
        assert_eq!(sha256_of_list(["ab", "c"]), sha256_of_list(["ab", "c"]));
    }
}
