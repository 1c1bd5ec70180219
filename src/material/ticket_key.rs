//! One key that session tickets are sealed with, derived from a secret.

use std::fmt;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::error::Cause;

/// Whatever else a secret is used for, nothing else derives keys from it under this label. Another form of
/// tickets is to have another, and with it other names of keys: hosts of two releases then pass over one
/// another's tickets.
const LABEL: &[u8] = b"certreload session tickets, form 1";

/// A key as tickets use it. Nothing of it can be traced back to the secret.
pub(crate) struct TicketKey {
    /// Goes with each ticket in the clear (RFC 5077 section 4).
    pub(crate) name: [u8; 16],
    pub(crate) secret: Zeroizing<[u8; 32]>,
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
        let mut key = Self { name: [0; 16], secret: Zeroizing::new([0; 32]), since: 0 };
        derive(secret, b"name", &mut key.name)?;
        derive(secret, b"key", &mut *key.secret)?;
        Ok(key)
    }

    /// The secret that comes after `secret`, and from which that one cannot be told.
    pub(crate) fn secret_after(secret: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, Cause> {
        let mut next = Zeroizing::new([0; 32]);
        derive(secret, b"next", &mut *next)?;
        Ok(next)
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
