//! Whether an OCSP response is fit to be stapled.

/// Whether `der` is an `OCSPResponse` (RFC 6960 section 4.2.1) that is whole, and says "successful".
///
/// An error response (`tryLater`, `unauthorized`) is what a responder hands out when it is in
/// trouble; stapled, it makes clients refuse the certificate.
pub(super) fn is_usable(der: &[u8]) -> bool {
    let Some((0x30, response, [])) = element(der) else {
        return false;
    };
    let Some((0x0a, [0], rest)) = element(response) else {
        return false;
    };
    matches!(element(rest), Some((0xa0, bytes, [])) if !bytes.is_empty())
}

/// Splits one DER element off: tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // A file has at most a megabyte: three bytes of length.
        if !(1..=3).contains(&bytes.len()) {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_successful_response_is_usable() {
        // OCSPResponse { responseStatus successful, responseBytes [0] { … } }
        let good = [0x30, 0x08, 0x0a, 0x01, 0x00, 0xa0, 0x03, 0x30, 0x01, 0x00];
        assert!(is_usable(&good));
        assert!(!is_usable(&good[..9]), "cut off");
        assert!(!is_usable(&[0x30, 0x03, 0x0a, 0x01, 0x03]), "tryLater");
        assert!(!is_usable(b"-----BEGIN"), "PEM");
        assert!(!is_usable(&[]));
        let mut longer = good.to_vec();
        longer.push(0);
        assert!(!is_usable(&longer), "something follows");
    }
}
