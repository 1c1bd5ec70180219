//! Whether an OCSP response is fit to be stapled.

use super::der::{ENUMERATED, SEQUENCE, element, only, tagged};

/// Whether `der` is an `OCSPResponse` (RFC 6960 section 4.2.1) that is whole, and says "successful".
///
/// An error response (`tryLater`, `unauthorized`) is what a responder hands out when it is in
/// trouble; stapled, it makes clients refuse the certificate.
pub(crate) fn is_usable(der: &[u8]) -> bool {
    let Some(([0], rest)) = only(der, SEQUENCE).and_then(|response| tagged(response, ENUMERATED))
    else {
        return false;
    };
    matches!(element(rest), Some((bytes, [])) if bytes.tag == 0xa0 && !bytes.content.is_empty())
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
