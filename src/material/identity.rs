//! One identity: a chain, the key that belongs to it, perhaps a staple, and what they say.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};

use super::chain::{Chain, Order};
use super::damage::check_signatures;
use super::fitness::StapleFacts;
use super::key::{self, AskPassword};
use super::staple::{Staple, Stapled};
use super::warnings::{Warning, WarningKind};
use super::x509::{self, Facts, format_time, hexadecimal};
use super::{lifetime, pem, staple};
use crate::clock::unix_now;
use crate::error::{Cause, Error};
use crate::options::Role;

/// The bytes that an identity is made of, each with the path to name in a failure.
pub(crate) struct Parts<'a> {
    pub(crate) role: Role,
    pub(crate) chain: (&'a Path, &'a [u8]),
    pub(crate) key: (&'a Path, &'a [u8]),
    /// Asked once, where the key is encrypted.
    pub(crate) password: AskPassword<'a>,
    pub(crate) staple: Staple<'a>,
}

/// What a server proves itself with. Immutable; the key is wiped when the last user lets go.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Without the staple.
    certified_key: Arc<CertifiedKey>,
    stapled: Option<Box<Stapled>>,
    /// What the key signs with, if it is given the choice: it tells kinds of keys apart.
    scheme: Option<SignatureScheme>,
    names: Vec<CString>,
    not_before: i64,
    not_after: i64,
    expiring_from: Option<i64>,
    role: Role,
    may_be_client: bool,
    serial: CString,
    sha256: CString,
    warnings: Vec<Warning>,
}

impl Identity {
    /// Makes an identity out of bytes, or says what is wrong with them at the time `now`.
    pub(crate) fn new(
        parts: &Parts<'_>,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<Self, Error> {
        let (chain_path, chain_bytes) = parts.chain;
        let (key_path, key_bytes) = parts.key;
        let at_chain = |cause: Cause| Error::at(chain_path, cause);

        let certificates = pem::certificates(chain_bytes).map_err(at_chain)?;
        let facts = facts_of(&certificates).map_err(at_chain)?;
        let key = key::load(key_path, key_bytes, provider, parts.password)?;
        let position = position_of_leaf(&facts, &*key).ok_or_else(|| {
            Error::at(key_path, Cause::KeyMismatch { chain: chain_path.to_owned() })
        })?;
        let leaf = &facts[position];
        check_dates(leaf, now).map_err(at_chain)?;
        check_usage(leaf, parts.role).map_err(at_chain)?;

        let chain = Chain {
            path: chain_path,
            certificates: &certificates,
            facts: &facts,
            leaf: position,
            algorithms: &provider.signature_verification_algorithms,
            now,
        };
        check_signatures(&chain).map_err(at_chain)?;
        let Order { positions, mut warnings } = chain.order();
        if !leaf.may_sign {
            warnings.push(Warning::new(WarningKind::KeyUsage, MAY_NOT_SIGN));
        }
        let in_order = positions.iter().map(|at| certificates[*at].clone()).collect();
        let certified_key = CertifiedKey::new(in_order, key);
        let (staple, warning) = match parts.role {
            Role::Server => staple::choose(parts.staple, &chain),
            // Nobody asks clients for one.
            Role::Client => (None, None),
        };
        warnings.extend(warning);
        Ok(Self {
            scheme: scheme_of(&*certified_key.key),
            names: leaf.names.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            expiring_from: lifetime::expiring_from(leaf.not_before, leaf.not_after, None),
            role: parts.role,
            may_be_client: leaf.may_be_client,
            serial: c_string(leaf.serial.clone()),
            sha256: c_string(hexadecimal(digest(&SHA256, &certified_key.cert[0]).as_ref())),
            stapled: staple.map(|(der, facts)| Box::new(Stapled::new(&certified_key, der, facts))),
            certified_key: Arc::new(certified_key),
            warnings,
        })
    }

    /// Sets how long before its end a renewal should have come, in place of the default.
    pub(crate) fn with_expiry_warning(mut self, warning: Option<Duration>) -> Self {
        self.expiring_from = lifetime::expiring_from(self.not_before, self.not_after, warning);
        if let Some(stapled) = &mut self.stapled
            && warning == Some(Duration::ZERO)
        {
            stapled.facts.expiring_from = None;
        }
        self
    }

    /// The chain and the key, without a staple.
    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    /// What serves now: with the staple as long as that is good.
    pub(crate) fn certified_key_now(&self) -> &Arc<CertifiedKey> {
        match &self.stapled {
            None => &self.certified_key,
            // Nobody else has the clock read for each handshake.
            Some(_) => self.certified_key_at(unix_now()),
        }
    }

    fn certified_key_at(&self, now: i64) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some(stapled) if stapled.facts.is_good_at(now) => &stapled.certified_key,
            _ => &self.certified_key,
        }
    }

    /// What is known of the staple, if there is one, good or not.
    pub(crate) fn staple(&self) -> Option<&StapleFacts> {
        self.stapled.as_ref().map(|stapled| &stapled.facts)
    }

    /// DNS names in lower case and IP addresses, as the leaf has them.
    pub(crate) fn names(&self) -> &[CString] {
        &self.names
    }

    pub(crate) fn not_before(&self) -> i64 {
        self.not_before
    }

    pub(crate) fn not_after(&self) -> i64 {
        self.not_after
    }

    /// What it was made for.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether a client may prove itself with it too, as far as its certificate says.
    pub(crate) fn may_be_client(&self) -> bool {
        self.may_be_client
    }

    pub(crate) fn serial(&self) -> &CStr {
        &self.serial
    }

    /// The fingerprint of the leaf, in lower-case hexadecimal.
    pub(crate) fn sha256(&self) -> &CStr {
        &self.sha256
    }

    /// Leaf first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified_key.cert
    }

    /// The staple, as long as it is good.
    pub(crate) fn ocsp(&self) -> Option<&[u8]> {
        self.certified_key_now().ocsp.as_deref()
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether it has `name`, which is in lower case: exactly, or by a wildcard for one label.
    pub(crate) fn covers(&self, name: &str) -> bool {
        let rest = name.split_once('.').map_or("", |(_label, rest)| rest);
        self.names
            .iter()
            .filter_map(|own| own.to_str().ok())
            .any(|own| own == name || own.strip_prefix("*.").is_some_and(|own| own == rest))
    }

    /// Whether every client that can check the one's signatures can check the other's.
    pub(crate) fn has_same_kind_of_key(&self, other: &Self) -> bool {
        self.scheme.is_some() && self.scheme == other.scheme
    }

    /// From when on a renewal should have come; `None` where nobody wants to be warned.
    pub(crate) fn expiring_from(&self) -> Option<i64> {
        self.expiring_from
    }

    /// What taking this in the place of `before` loses.
    pub(crate) fn warnings_after(&self, before: &Self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let kept: HashSet<_> = self.names.iter().collect();
        let lost = before.names.iter().filter(|name| !kept.contains(name));
        let lost: Vec<_> = lost.map(|name| name.to_string_lossy()).collect();
        if let Some((first, more)) = lost.split_first() {
            let more = match more.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let text = format!("it lacks names that it had before: {first}{more}");
            warnings.push(Warning::new(WarningKind::NamesLost, text));
        }
        if self.not_after < before.not_after {
            let text = "it expires earlier than the one before it";
            warnings.push(Warning::new(WarningKind::ExpiresEarlier, text));
        }
        warnings
    }
}

const MAY_NOT_SIGN: &str = "the certificate's key usage leaves out digital signatures; clients that insist on them (RFC 8446 section 4.4.2.2) refuse it";

/// Every certificate must be readable, for clients will read it.
fn facts_of<'a>(certificates: &'a [CertificateDer<'_>]) -> Result<Vec<Facts<'a>>, Cause> {
    certificates.iter().enumerate().map(|(index, der)| x509::facts(der, index)).collect()
}

/// The first certificate of the key; normally the first of all. A provider that does not tell its
/// public key leaves it to the self-check to find a key that does not match.
fn position_of_leaf(facts: &[Facts<'_>], key: &dyn SigningKey) -> Option<usize> {
    match key.public_key() {
        Some(public_key) => facts.iter().position(|facts| facts.public_key == public_key.as_ref()),
        None => Some(0),
    }
}

/// Every scheme of TLS that there is, so that each kind of key finds its own.
fn scheme_of(key: &dyn SigningKey) -> Option<SignatureScheme> {
    let all = [
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RSA_PSS_SHA512,
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ECDSA_NISTP521_SHA512,
        SignatureScheme::ED25519,
        SignatureScheme::ED448,
        SignatureScheme::ML_DSA_44,
        SignatureScheme::ML_DSA_65,
        SignatureScheme::ML_DSA_87,
    ];
    key.choose_scheme(&all).map(|signer| signer.scheme())
}

fn check_dates(facts: &Facts<'_>, now: i64) -> Result<(), Cause> {
    if now > facts.not_after {
        return Err(Cause::Expired { at: format_time(facts.not_after) });
    }
    if now < facts.not_before {
        let from = facts.not_before;
        return Err(Cause::NotYetValid { at: format_time(from), from });
    }
    Ok(())
}

fn check_usage(facts: &Facts<'_>, role: Role) -> Result<(), Cause> {
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

/// Hexadecimal digits hold no NUL.
fn c_string(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    struct Pair {
        chain: String,
        key: String,
    }

    fn pair(names: &[&str], year: i32) -> Pair {
        pair_for(names, year, &[])
    }

    fn pair_for(names: &[&str], year: i32, usages: &[ExtendedKeyUsagePurpose]) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        Pair { chain, key: key.serialize_pem() }
    }

    fn identity(chain: &str, key: &str) -> Result<Identity, Error> {
        identity_for(Role::Server, chain, key)
    }

    fn identity_for(role: Role, chain: &str, key: &str) -> Result<Identity, Error> {
        let parts = Parts {
            role,
            chain: ("/tls/chain".as_ref(), chain.as_bytes()),
            key: ("/tls/key".as_ref(), key.as_bytes()),
            password: &|| Ok(None),
            staple: Staple::NotAskedFor,
        };
        let now = date_time_ymd(2026, 6, 1).unix_timestamp();
        Identity::new(&parts, &default_provider(), now)
    }

    #[test]
    fn the_leaf_is_the_certificate_of_the_key_wherever_it_stands() {
        let (one, two) = (pair(&["one.test"], 2030), pair(&["two.test"], 2030));
        let both = one.chain.clone() + &two.chain;
        let first = identity(&both, &one.key).unwrap();
        assert_eq!(first.names(), [c"one.test".to_owned()]);
        let second = identity(&both, &two.key).unwrap();
        assert_eq!(second.names(), [c"two.test".to_owned()]);
        assert_eq!(second.chain()[0], first.chain()[1], "served leaf first");
        assert_eq!(second.sha256(), identity(&two.chain, &two.key).unwrap().sha256());
    }

    #[test]
    fn a_key_of_no_certificate_is_a_mismatch_that_names_both_files() {
        let (one, two) = (pair(&["one.test"], 2030), pair(&["two.test"], 2030));
        let told = identity(&one.chain, &two.key).unwrap_err().to_string();
        assert!(told.contains("/tls/key") && told.contains("/tls/chain"), "{told}");
    }

    #[test]
    fn dates_are_those_of_the_leaf_whatever_else_is_in_the_file() {
        let (good, expired) = (pair(&["one.test"], 2030), pair(&["two.test"], 2021));
        let both = expired.chain.clone() + &good.chain;
        let identity_of = |key| identity(&both, key);
        assert_eq!(
            identity_of(&good.key).unwrap().not_after(),
            date_time_ymd(2030, 1, 1).unix_timestamp()
        );
        let cause = identity_of(&expired.key).unwrap_err().cause;
        assert!(matches!(cause, Cause::Expired { .. }), "{cause}");
    }

    #[test]
    fn what_is_lost_is_told_by_name() {
        let before = pair(&["a.test", "b.test", "c.test"], 2030);
        let after = pair(&["b.test"], 2029);
        let before = identity(&before.chain, &before.key).unwrap();
        let after = identity(&after.chain, &after.key).unwrap();
        let warnings = after.warnings_after(&before);
        let kinds: Vec<_> = warnings.iter().map(|warning| warning.kind).collect();
        assert_eq!(kinds, [WarningKind::NamesLost, WarningKind::ExpiresEarlier]);
        assert!(warnings[0].text.ends_with("a.test and 1 more"), "{}", warnings[0].text);
        assert_eq!(before.warnings_after(&after), []);
    }

    /// Extended key usages, and whether a server and a client may be such a certificate's.
    #[test]
    fn a_certificate_must_be_for_what_it_is_added_for() {
        let table: &[(&[ExtendedKeyUsagePurpose], bool, bool)] = &[
            (&[], true, true),
            (&[Any], true, true),
            (&[ServerAuth, ClientAuth], true, true),
            (&[ServerAuth], true, false),
            (&[ClientAuth], false, true),
            (&[CodeSigning], false, false),
        ];
        for (usages, serves, calls) in table {
            let Pair { chain, key } = pair_for(&["a.test"], 2030, usages);
            let unfit = |role, told| Err(Cause::KeyUsageUnfit { role, usage: told });
            let server = identity_for(Role::Server, &chain, &key);
            let client = identity_for(Role::Client, &chain, &key);
            for identity in [&server, &client].into_iter().flatten() {
                assert_eq!(identity.may_be_client(), *calls, "{usages:?}");
            }
            let server = server.map(|_| ()).map_err(|error| error.cause);
            let client = client.map(|_| ()).map_err(|error| error.cause);
            assert_eq!(server, if *serves { Ok(()) } else { unfit("servers", "serverAuth") });
            assert_eq!(client, if *calls { Ok(()) } else { unfit("clients", "clientAuth") });
        }
    }

    #[test]
    fn a_name_is_covered_exactly_or_by_a_wildcard_of_one_label() {
        let pair = pair(&["a.test", "*.wild.test"], 2030);
        let identity = identity(&pair.chain, &pair.key).unwrap();
        for name in ["a.test", "x.wild.test", "*.wild.test"] {
            assert!(identity.covers(name), "{name}");
        }
        for name in ["b.test", "wild.test", "y.x.wild.test", "*.test", "test", ""] {
            assert!(!identity.covers(name), "{name}");
        }
    }
}
