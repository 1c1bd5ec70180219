//! What the sessions of other TLS stacks are bound to. Adapters bind sessions to these bytes, as the sessions of rustls
//! are bound to the trust store (G13, G14).

use arc_swap::ArcSwap;

use crate::error::{Cause, Error};
use crate::options::Resumption;
use crate::pki::sha256_of_all;
use crate::sys::fill_from_kernel;

/// Two generations with the same bytes may resume each other's sessions.
type ScopeBytes = [u8; 32];

/// The part of the scope that all generations of a handle share. It changes when the host ends all sessions.
#[derive(Debug, Default)]
pub(super) struct HandleScope(ArcSwap<ScopeBytes>);

/// The part of the scope that belongs to one generation.
#[derive(Debug)]
pub(super) struct GenerationScope {
    /// `None` if no session may be resumed.
    bytes: Option<ScopeBytes>,
    /// From when on no session may be resumed, in seconds since 1970.
    resume_until: Option<i64>,
}

/// The scope of the sessions of a generation.
#[derive(Debug)]
pub(crate) struct SessionScope {
    pub(crate) bytes: ScopeBytes,
    /// From when on no session may be resumed, in seconds since 1970: then a CRL expires.
    pub(crate) resume_until: Option<i64>,
}

impl HandleScope {
    /// Ends all sessions of this process.
    pub(super) fn invalidate(&self) -> Result<(), Error> {
        self.0.store(unique_bytes()?.into());
        Ok(())
    }

    /// Returns the scope of the generation with `part`; `None` if no session may be resumed.
    pub(super) fn of(&self, part: &GenerationScope) -> Option<SessionScope> {
        let shared = self.0.load();
        let mut bytes = part.bytes?;
        // Zeros until the host ends all sessions, so processes and servers have the same scope.
        bytes.iter_mut().zip(shared.iter()).for_each(|(byte, other)| *byte ^= other);
        Some(SessionScope { bytes, resume_until: part.resume_until })
    }
}

impl GenerationScope {
    /// Binds sessions to a trust store and to the host's session context.
    pub(super) fn new(
        resumption: Resumption,
        trust_fingerprint: &[u8; 32],
        context: &[u8; 32],
        resume_until: Option<i64>,
    ) -> Result<Self, Error> {
        let unique = match resumption {
            Resumption::Auto => [0; 32],
            Resumption::AlwaysReset => unique_bytes()?,
            Resumption::Off => return Ok(Self { bytes: None, resume_until }),
        };
        let bytes = sha256_of_all([&trust_fingerprint[..], &context[..], &unique[..]]);
        Ok(Self { bytes: Some(bytes), resume_until })
    }
}

/// Returns bytes that are the same in no other process and at no other time.
///
/// They come from the kernel, because the first random number of aws-lc costs about 60 ms of processor time.
fn unique_bytes() -> Result<ScopeBytes, Error> {
    let mut bytes = [0; 32];
    let none = || {
        Error::new(Cause::System {
            what: "no random numbers can be had",
            reason: "the kernel gives none".to_owned(),
        })
    };
    fill_from_kernel(&mut bytes).then_some(bytes).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(resumption: Resumption, trust: u8, context: u8) -> GenerationScope {
        GenerationScope::new(resumption, &[trust; 32], &[context; 32], Some(7)).unwrap()
    }

    #[test]
    fn g13_scope_depends_on_trust_store_context_and_invalidation() {
        let (one, other) = (HandleScope::default(), HandleScope::default());
        let bytes = |handle: &HandleScope, part: &GenerationScope| handle.of(part).unwrap().bytes;
        let auto = part(Resumption::Auto, 1, 2);
        let scope = bytes(&one, &auto);
        assert_eq!(one.of(&auto).unwrap().resume_until, Some(7));
        assert_eq!(scope, bytes(&other, &part(Resumption::Auto, 1, 2)), "another server");
        for differs in [part(Resumption::Auto, 2, 2), part(Resumption::Auto, 1, 3)] {
            assert_ne!(scope, bytes(&one, &differs));
        }
        one.invalidate().unwrap();
        let second = bytes(&one, &auto);
        one.invalidate().unwrap();
        assert!(scope != second && second != bytes(&one, &auto) && scope != bytes(&one, &auto));
        assert_eq!(scope, bytes(&other, &auto), "another handle");
    }

    #[test]
    fn reset_generations_share_no_scope_and_without_resumption_there_is_none() {
        let handle = HandleScope::default();
        let reset = [0, 1].map(|_| part(Resumption::AlwaysReset, 1, 2));
        let [first, second] = reset.map(|part| handle.of(&part).unwrap().bytes);
        assert_ne!(first, second);
        assert!(handle.of(&part(Resumption::Off, 1, 2)).is_none());
    }
}
