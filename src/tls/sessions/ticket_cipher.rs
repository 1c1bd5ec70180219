//! How a session is sealed into a ticket, and opened again.

use std::fmt;
use std::mem;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::error::Cause;
use crate::pki::TicketKey;
use crate::sys::wiping_stack;

const NAME: usize = 16;
const TAG: usize = 16;
const HEAD: usize = NAME + NONCE_LEN;
/// What a `NewSessionTicket` message has room for (RFC 8446 section 4.6.1).
const LONGEST: usize = 0xffff;

/// A key at work. A ticket is the key's name, a nonce, and the sealed session (RFC 5077 section 4, with one
/// algorithm in place of a cipher and a MAC).
///
/// A fleet shares one key, and each of its threads draws nonces of 96 bits without knowing of the others. Two may
/// be the same: of the 2^38 that 10,000 tickets a second come to in a year, with a chance of one in two million.
/// AES-GCM would then give away the key that tickets are authenticated with, and with it forged sessions. AES-GCM-SIV
/// (RFC 8452) only tells whether the two sessions were the same, which they are not; it is made for nonces that are
/// drawn at random (section 9 there), and encrypts under a key of its own for each, so that no count of tickets
/// wears the shared key out.
pub(super) struct TicketCipher {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl fmt::Debug for TicketCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl TicketCipher {
    pub(super) fn new(key: &TicketKey) -> Result<Self, Cause> {
        let unbound = wiping_stack(|| UnboundKey::new(&AES_256_GCM_SIV, &key.secret))
            .map_err(|error| Cause::System { what: "ticket keys", reason: error.to_string() })?;
        Ok(Self { name: key.name, key: LessSafeKey::new(unbound) })
    }

    pub(super) fn name(&self) -> &[u8; NAME] {
        &self.name
    }

    /// Whether it was this key that sealed `ticket`, if anybody did.
    pub(super) fn is_named_in(&self, ticket: &[u8]) -> bool {
        ticket.starts_with(&self.name)
    }

    /// Seals `first` and then `second`, to be opened only by who knows what it is `bound_to`. None where that
    /// makes no ticket that can be sent.
    pub(super) fn seal(&self, bound_to: &[u8], first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
        let length = HEAD + first.len() + second.len() + TAG;
        if length > LONGEST {
            return None;
        }
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        // Wiped if it cannot be sealed.
        let mut ticket = Zeroizing::new(Vec::with_capacity(length));
        for part in [&self.name[..], &nonce, first, second] {
            ticket.extend_from_slice(part);
        }
        let aad = self.aad(bound_to);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, &mut ticket[HEAD..]).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(mem::take(&mut *ticket))
    }

    /// What was sealed, the first part and the second.
    pub(super) fn open(&self, bound_to: &[u8], ticket: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (head, sealed) = ticket.split_at_checked(HEAD)?;
        let nonce = Nonce::try_assume_unique_for_key(head.strip_prefix(&self.name)?).ok()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let length = self.key.open_in_place(nonce, self.aad(bound_to), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    /// The name of the key has one length, so no two pairs are the same bytes.
    fn aad(&self, bound_to: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([&self.name, bound_to].concat())
    }
}
