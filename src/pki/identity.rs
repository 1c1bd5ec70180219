//! An identity: a certificate chain, its private key, and optionally an OCSP response.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::certificate;
use super::certificate::{CertificateFacts, format_time};
use super::chain::check_signatures;
use super::chain::{Chain, Order};
use super::chain_paths::NeededIntermediate;
use super::hash::{hexadecimal, sha256};
use super::identity_origin::IdentityOrigin;
use super::key;
use super::key::{AskPassword, KeyDer, KeyRules};
use super::leaf::{current_leaf, leaf_and_key};
use super::names::NamePattern;
use super::ocsp::StapleFacts;
use super::ocsp::{Staple, Stapled};
use super::prepared::PreparedObjects;
use super::signature::preferred_scheme;
use super::warnings::{Warning, WarningKind};
use super::{compatibility, expiry_warning, pem, skipped_lines};
use crate::clock::unix_now;
use crate::error::{Cause, Error, Incidental, Position};
use crate::options::{Role, TlsStack};
use crate::pki::ocsp::choose_staple;

/// The bytes of an identity, each with the path that an error reports.
pub(crate) struct IdentityInput<'a> {
    pub(crate) role: Role,
    pub(crate) chain: (&'a Path, &'a [u8]),
    pub(crate) key: (&'a Path, &'a [u8]),
    /// Returns the password of the key. Called once if the key is encrypted, otherwise never.
    pub(crate) password: AskPassword<'a>,
    pub(crate) staple: Staple<'a>,
    /// Whether a certificate is accepted that has expired or is not valid yet.
    pub(crate) accepts_any_date: bool,
    pub(crate) tls: TlsStack,
    /// Whether the host may read the key.
    pub(crate) exports_key: bool,
    /// The number of the identity within its handle.
    pub(crate) index: usize,
}

/// A validated identity. Immutable. Its key is wiped when the last user releases it (G8, G18).
#[derive(Debug)]
pub(crate) struct Identity {
    /// The chain and the key without an OCSP response, for when there is none or it is not good.
    certified_key: Arc<CertifiedKey>,
    /// The key for adapters, which serve the identity with other TLS stacks.
    key_der: KeyDer,
    exports_key: bool,
    prepared: PreparedObjects,
    origin: IdentityOrigin,
    stapled: Option<Box<Stapled>>,
    /// The signature scheme that the key prefers. Keys of the same kind prefer the same.
    scheme: Option<SignatureScheme>,
    names: Vec<CString>,
    not_before: i64,
    not_after: i64,
    expiring_from: Option<i64>,
    choose_again_at: Option<i64>,
    /// How many certificates of the chain are the path from the leaf upwards.
    path_length: usize,
    /// Boxed, because few chains have such an intermediate.
    needed_intermediate: Option<Box<NeededIntermediate>>,
    role: Role,
    may_be_client: bool,
    serial: CString,
    sha256: CString,
    warnings: Vec<Warning>,
}

impl Identity {
    /// Validates the bytes of an identity at the time `now`, and loads its key.
    pub(crate) fn new(
        input: &IdentityInput<'_>,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<Self, Error> {
        let (chain_path, chain_bytes) = input.chain;
        let (key_path, key_bytes) = input.key;
        let at_chain = |cause: Cause| Error::at(chain_path, cause);

        let certificates = pem::certificates(chain_bytes).map_err(at_chain)?;
        let facts = facts_of(&certificates).map_err(at_chain)?;
        let rules = KeyRules { provider, tls: input.tls };
        let keys = key::load(key_path, key_bytes, rules, input.password)?;
        let mut chain = Chain {
            path: chain_path,
            certificates: &certificates,
            facts: &facts,
            leaf: 0,
            algorithms: &provider.signature_verification_algorithms,
            now,
        };
        let key_count = keys.count;
        let Some((leaf, key)) = leaf_and_key(&chain, &keys.keys, input.role) else {
            let why = keys.failure.map(|error| format!(" ({})", error.cause)).unwrap_or_default();
            let cause = match key_count {
                1 => Cause::KeyMismatch {
                    chain: chain_path.to_owned(),
                    why: key::of_certificate(facts[0].public_key),
                },
                count => Cause::SeveralPrivateKeys { count, why },
            };
            return Err(Error::at(key_path, cause));
        };
        let current = current_leaf(&chain, leaf, input.role);
        chain.leaf = current.at;
        let leaf = &facts[chain.leaf];
        if !input.accepts_any_date {
            check_dates(leaf.not_before, leaf.not_after, now).map_err(at_chain)?;
        }
        check_usage(leaf, input.role).map_err(at_chain)?;
        check_signatures(&chain).map_err(at_chain)?;
        let Order { positions, linked, warnings } = chain.order();
        let mut warnings: Vec<_> = current.warning.into_iter().chain(warnings).collect();
        warnings.extend(compatibility::warnings(&chain, &positions[..linked], input.role));
        warnings.extend(lines_behind_text(input.chain));
        if key_path != chain_path {
            warnings.extend(lines_behind_text(input.key));
        }
        if key_count > 1 {
            let text = format!(
                "{} holds {key_count} private keys, and that of the certificate is used; remove the others",
                key_path.display()
            );
            warnings.push(Warning::new(WarningKind::PemSkipped, text));
        }
        if !leaf.may_sign {
            warnings.push(Warning::new(WarningKind::KeyUsage, MAY_NOT_SIGN));
        }
        let in_order: Vec<_> = positions.iter().map(|at| certificates[*at].clone()).collect();
        check_size(&in_order, input.tls).map_err(at_chain)?;
        let certified_key = CertifiedKey::new(in_order, key.signing);
        let (staple, warning) = match input.role {
            Role::Server => choose_staple::choose(input.staple, &chain),
            // rustls does not staple responses to certificates of clients.
            Role::Client => (None, None),
        };
        warnings.extend(warning);
        Ok(Self {
            scheme: preferred_scheme(&*certified_key.key),
            names: leaf.names.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            expiring_from: expiry_warning::expiring_from(leaf.not_before, leaf.not_after, None),
            choose_again_at: current.choose_again_at,
            path_length: linked,
            needed_intermediate: chain.needed_intermediate(&positions[..linked]).map(Box::new),
            role: input.role,
            may_be_client: leaf.may_be_client,
            serial: c_string(leaf.serial.clone()),
            sha256: c_string(hexadecimal(&sha256(&certified_key.cert[0]))),
            stapled: staple.map(|(der, facts)| Box::new(Stapled::new(&certified_key, der, facts))),
            certified_key: Arc::new(certified_key),
            key_der: key.der,
            exports_key: input.exports_key,
            prepared: PreparedObjects::default(),
            origin: IdentityOrigin::new(input.index, chain_path, key_path),
            warnings,
        })
    }

    /// Sets how long before notAfter the expiry warning begins; `None` keeps the default.
    ///
    /// Zero turns off this warning, and also the one about the OCSP response.
    pub(crate) fn with_expiry_warning(mut self, warning: Option<Duration>) -> Self {
        self.expiring_from =
            expiry_warning::expiring_from(self.not_before, self.not_after, warning);
        if let Some(intermediate) = &mut self.needed_intermediate {
            let NeededIntermediate { not_before, not_after, .. } = **intermediate;
            intermediate.expiring_from =
                expiry_warning::expiring_from(not_before, not_after, warning);
        }
        if let Some(stapled) = &mut self.stapled
            && warning == Some(Duration::ZERO)
        {
            stapled.facts.expiring_from = None;
        }
        self
    }

    /// Returns the chain and the key, without an OCSP response.
    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    /// Returns the chain and the key as they are served now: with the OCSP response while that is good.
    pub(crate) fn certified_key_now(&self) -> &Arc<CertifiedKey> {
        match &self.stapled {
            None => &self.certified_key,
            // Only identities with an OCSP response read the clock in each handshake.
            Some(_) => self.certified_key_at(unix_now()),
        }
    }

    fn certified_key_at(&self, now: i64) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some(stapled) if stapled.facts.is_good_at(now) => &stapled.certified_key,
            _ => &self.certified_key,
        }
    }

    /// Returns the dates and the digest of the OCSP response, whether it is good now or not; `None` if there is none to
    /// staple.
    pub(crate) fn staple(&self) -> Option<&StapleFacts> {
        self.stapled.as_ref().map(|stapled| &stapled.facts)
    }

    /// Returns the DNS names in lower case, the IP addresses and the URIs of the leaf.
    pub(crate) fn names(&self) -> &[CString] {
        &self.names
    }

    /// Checks that the certificate is valid at `now`.
    pub(crate) fn check_dates(&self, now: i64) -> Result<(), Cause> {
        check_dates(self.not_before, self.not_after, now)
    }

    /// Returns whether clients can find the certificate valid at `now`, and the intermediates that they need.
    pub(crate) fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.valid_until()).contains(&now)
    }

    /// Returns whether this is valid at all times at which `other` is.
    pub(crate) fn is_valid_whenever(&self, other: &Self) -> bool {
        self.not_before <= other.not_before && self.valid_until() >= other.valid_until()
    }

    /// Returns the earliest notAfter of the leaf and of an intermediate without which the chain has no path.
    pub(crate) fn valid_until(&self) -> i64 {
        let needed = self.needed_intermediate.as_ref().map(|needed| needed.not_after);
        needed.unwrap_or(self.not_after).min(self.not_after)
    }

    /// Returns when the same files must be parsed again, in seconds since 1970, because they hold another certificate
    /// for the key, which is the better one from then on.
    pub(crate) fn choose_again_at(&self) -> Option<i64> {
        self.choose_again_at
    }

    pub(crate) fn not_before(&self) -> i64 {
        self.not_before
    }

    pub(crate) fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Returns the role that the identity was configured for.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Returns whether the certificate also allows use by clients.
    pub(crate) fn may_be_client(&self) -> bool {
        self.may_be_client
    }

    pub(crate) fn serial(&self) -> &CStr {
        &self.serial
    }

    /// Returns the SHA-256 fingerprint of the leaf in lower-case hexadecimal digits.
    pub(crate) fn sha256(&self) -> &CStr {
        &self.sha256
    }

    /// Returns the chain as it is served, the leaf first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified_key.cert
    }

    /// Returns the private key in PKCS#8, or in the format of its file if that cannot be converted.
    pub(crate) fn key_der(&self) -> &[u8] {
        self.key_der.bytes()
    }

    /// Returns the private key, if the host may read it.
    pub(crate) fn exported_key(&self) -> Option<&[u8]> {
        self.exports_key.then(|| self.key_der())
    }

    /// Returns the objects that adapters have made from this identity.
    pub(crate) fn prepared(&self) -> &PreparedObjects {
        &self.prepared
    }

    /// Returns where the identity was loaded from.
    pub(crate) fn origin(&self) -> &IdentityOrigin {
        &self.origin
    }

    /// Returns the OCSP response, as long as it is good.
    pub(crate) fn ocsp(&self) -> Option<&[u8]> {
        self.certified_key_now().ocsp.as_deref()
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns whether the certificate is valid for `name`: exactly, or by a wildcard. A DNS name is in lower case.
    pub(crate) fn matches_name(&self, name: &str) -> bool {
        let own = self.names.iter().filter_map(|own| own.to_str().ok());
        own.map(NamePattern::of).any(|pattern| pattern.matches(name))
    }

    /// Returns whether both keys are of the same kind: a client that accepts signatures of one accepts those of the
    /// other.
    pub(crate) fn has_same_kind_of_key(&self, other: &Self) -> bool {
        self.scheme.is_some() && self.scheme == other.scheme
    }

    /// Returns when the expiry warning begins; `None` if it is off.
    pub(crate) fn expiring_from(&self) -> Option<i64> {
        self.expiring_from
    }

    /// Returns the intermediate whose expiry leaves the chain without a path, if that is before the leaf expires (G20).
    pub(crate) fn needed_intermediate(&self) -> Option<&NeededIntermediate> {
        self.needed_intermediate.as_deref()
    }

    /// Returns the part of the chain that leads from the leaf upwards.
    pub(super) fn path(&self) -> &[CertificateDer<'static>] {
        &self.chain()[..self.path_length]
    }
}

const MAY_NOT_SIGN: &str = "the certificate's key usage lacks digitalSignature; clients that check it (RFC 8446 section 4.4.2.2) refuse the certificate";

/// Returns a warning for each line of a file that has a BEGIN behind other text, comments excepted.
fn lines_behind_text((path, bytes): (&Path, &[u8])) -> Vec<Warning> {
    let lines = skipped_lines::skipped_lines(bytes);
    lines.iter().filter(|line| !line.is_comment).map(|line| line.warning(path)).collect()
}

/// Parses every certificate. All must be readable, since clients will read them.
fn facts_of<'a>(
    certificates: &'a [CertificateDer<'_>],
) -> Result<Vec<CertificateFacts<'a>>, Cause> {
    let position = |at| Position::new(at, certificates.len());
    certificates.iter().enumerate().map(|(at, der)| certificate::facts(der, position(at))).collect()
}

fn check_dates(not_before: i64, not_after: i64, now: i64) -> Result<(), Cause> {
    if now > not_after {
        return Err(Cause::Expired { at: format_time(not_after) });
    }
    if now < not_before {
        let (at, clock) = (format_time(not_before), Incidental(format_time(now)));
        return Err(Cause::NotYetValid { at, from: not_before, clock });
    }
    Ok(())
}

/// Checks that the chain fits in a message of rustls, which has at most 64 KiB. In every protocol version, the message has
/// three bytes for the length of each certificate and of the list (RFC 5246 section 7.4.2).
fn check_size(chain: &[CertificateDer<'_>], tls: TlsStack) -> Result<(), Cause> {
    const LIMIT: usize = 0xffff;
    let bytes = 3 + chain.iter().map(|der| der.len() + 3).sum::<usize>();
    if bytes > LIMIT && tls == TlsStack::Rustls {
        return Err(Cause::ChainTooLarge { bytes, limit: LIMIT });
    }
    Ok(())
}

fn check_usage(facts: &CertificateFacts<'_>, role: Role) -> Result<(), Cause> {
    match role {
        Role::Server if !facts.may_serve => {
            Err(Cause::KeyUsageUnfit { role: "servers", usage: "serverAuth" })
        }
        Role::Client if !facts.may_be_client => {
            Err(Cause::KeyUsageUnfit { role: "clients", usage: "clientAuth" })
        }
        _ => Ok(()),
    }
}

/// Converts hexadecimal digits to a C string. They contain no NUL, so the conversion cannot fail.
fn c_string(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
#[path = "tests_identity.rs"]
mod tests;
