//! One key that session tickets are sealed with, derived from a secret.

use std::fmt;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::error::Cause;

/// Whatever else a secret is used for, nothing else derives keys from it under this label. Another form of
/// tickets is to have another, and with it other names of keys: hosts of two releases then pass over one
/// another's tickets.
const LABEL: &[u8] = b"certreload session tickets, form 2";

/// A key as tickets use it. Nothing of it can be traced back to the secret.
pub(crate) struct TicketKey {
    /// Goes with each ticket in the clear (RFC 5077 section 4).
    pub(crate) name: [u8; 16],
    /// 32 bytes. Not in place: what is moved leaves a copy behind.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// When it was seen first, or its file was written, whatever came before: seconds since 1970.
    pub(crate) since: i64,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

impl TicketKey {
    /// Both name and key come from all of `secret`: servers that use the same file in ways of their own send
    /// other names, and share no key with this one.
    pub(crate) fn derived_from(secret: &[u8]) -> Result<Self, Cause> {
        let mut key = Self { name: [0; 16], secret: Zeroizing::new(vec![0; 32]), since: 0 };
        derive(secret, b"name", &mut key.name)?;
        derive(secret, b"key", &mut key.secret)?;
        Ok(key)
    }

    /// Fills `out` from all of `secret`, which cannot be computed from `out`.
    pub(crate) fn mix(secret: &[u8], out: &mut [u8]) -> Result<(), Cause> {
        derive(secret, b"mix", out)
    }
}

/// HKDF (RFC 5869) with SHA-256.
fn derive(secret: &[u8], purpose: &[u8], out: &mut [u8]) -> Result<(), Cause> {
    hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL)
        .extract(secret)
        .expand(&[purpose], Length(out.len()))
        .and_then(|derived| derived.fill(out))
        .map_err(|error| Cause::System { what: "ticket keys", reason: error.to_string() })
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_secret_counts_and_none_of_it_shows() {
        let secret: Vec<u8> = (100..180).collect();
        let key = TicketKey::derived_from(&secret).unwrap();
        assert_eq!(TicketKey::derived_from(&secret).unwrap().name, key.name);
        assert!(!secret.windows(4).any(|piece| key.name.windows(4).any(|window| window == piece)));
        for at in 0..secret.len() {
            let mut other = secret.clone();
            other[at] ^= 1;
            let other = TicketKey::derived_from(&other).unwrap();
            assert!(other.name != key.name && *other.secret != *key.secret, "byte {at}");
        }
    }

    #[test]
    fn the_derivation_is_the_same_in_every_release() {
        // Of HMAC-SHA-256 by hand (RFC 5869), for hosts of a fleet are upgraded one after the other.
        let key = TicketKey::derived_from(&[0x5a; 48]).unwrap();
        let hexadecimal = |bytes: &[u8]| super::super::x509::hexadecimal(bytes);
        assert_eq!(hexadecimal(&key.name), "ed5c1fd7091f226e36ea7d4fc1143d8f");
        assert_eq!(
            hexadecimal(&key.secret),
            "508c55483bb77da8f04193dea1ff254ab18105f92d263bd771927e515a91d8b6"
        );
    }
}
