//! Encrypts sessions into tickets with one key, and decrypts tickets.
//!
//! Behind a session is its *stamp*: when it started, when it expires, and which identity answered. The *binding* names
//! the trust store and settings that the ticket may be used with: see `binding.rs`.

use std::fmt;
use std::mem;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::error::Cause;
use crate::pki::TicketKey;
use crate::sys::wiping_stack;

const NAME_LENGTH: usize = 16;
const TAG_LENGTH: usize = 16;
const HEADER_LENGTH: usize = NAME_LENGTH + NONCE_LEN;
/// The maximum length of a ticket: its length field in a `NewSessionTicket` message has 16 bits (RFC 8446 section
/// 4.6.1).
const MAX_TICKET: usize = 0xffff;

/// A ticket key, ready for use.
///
/// A ticket is the name of the key, a nonce, and the encrypted session. This is the format of RFC 5077 section 4, with
/// one AEAD algorithm in place of a cipher and a MAC.
///
/// The algorithm is AES-256-GCM-SIV (RFC 8452), because nonces may repeat. All servers of a fleet share one key, and
/// each thread picks its nonces of 96 bits at random. At 10,000 tickets a second, a year has 2^38 tickets. The chance
/// that two of them have the same nonce is one in two million. With AES-GCM, that would reveal the authentication key,
/// and an attacker could forge sessions. AES-GCM-SIV only reveals whether the two sessions are equal, and they are not.
/// It is made for random nonces (RFC 8452 section 9). It derives an encryption key for each nonce, so the shared key
/// may encrypt any number of tickets.
pub(super) struct TicketCipher {
    name: [u8; NAME_LENGTH],
    key: LessSafeKey,
}

impl fmt::Debug for TicketCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketCipher")
    }
}

impl TicketCipher {
    pub(super) fn new(key: &TicketKey) -> Result<Self, Cause> {
        let unbound = wiping_stack(|| UnboundKey::new(&AES_256_GCM_SIV, &key.secret))
            .map_err(|_| Cause::without_reason("a ticket key cannot be used"))?;
        Ok(Self { name: key.name, key: LessSafeKey::new(unbound) })
    }

    pub(super) fn name(&self) -> &[u8; NAME_LENGTH] {
        &self.name
    }

    /// Returns whether `ticket` names this key. The name alone does not prove that the ticket is genuine.
    pub(super) fn is_named_in(&self, ticket: &[u8]) -> bool {
        ticket.starts_with(&self.name)
    }

    /// Encrypts `session` followed by `stamp` into a ticket that can be opened with the same `binding` only.
    ///
    /// Returns `None` if the ticket would be too long to be sent.
    pub(super) fn seal(&self, binding: &[u8], session: &[u8], stamp: &[u8]) -> Option<Vec<u8>> {
        let length = HEADER_LENGTH + session.len() + stamp.len() + TAG_LENGTH;
        if length > MAX_TICKET {
            return None;
        }
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        // Until it is encrypted, the buffer holds the session's secret. It is wiped if encryption fails (G18).
        let mut ticket = Zeroizing::new(Vec::with_capacity(length));
        for part in [&self.name[..], &nonce, session, stamp] {
            ticket.extend_from_slice(part);
        }
        let aad = self.aad(binding);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plaintext = &mut ticket[HEADER_LENGTH..];
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, plaintext).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(mem::take(&mut *ticket))
    }

    /// Decrypts `ticket`, and returns the session followed by its stamp.
    ///
    /// Returns `None` if the ticket was not sealed with this key and this `binding`.
    pub(super) fn open(&self, binding: &[u8], ticket: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (header, sealed) = ticket.split_at_checked(HEADER_LENGTH)?;
        let nonce = Nonce::try_assume_unique_for_key(header.strip_prefix(&self.name)?).ok()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self.key.open_in_place(nonce, self.aad(binding), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    /// Returns the associated data: the key's name, then the binding. The name has a fixed length, so different pairs
    /// never give the same bytes.
    fn aad(&self, binding: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([&self.name, binding].concat())
    }
}
