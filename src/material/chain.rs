//! The order in which a chain is served: the leaf, then each certificate's issuer after it.
//!
//! A chain that is in order is left as it is. Where only the order is wrong it is put right, for old
//! clients do not (RFC 5246 section 7.4.2); nothing but a repetition is left out, for what looks
//! superfluous here may be the way to another root.

use std::path::Path;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use super::signature::is_signed_with;
use super::warnings::{Warning, WarningKind};
use super::x509::{Facts, format_time};

/// The certificates of one file, and how they hang together.
pub(super) struct Chain<'a> {
    pub(super) path: &'a Path,
    pub(super) certificates: &'a [CertificateDer<'static>],
    /// Of each of them.
    pub(super) facts: &'a [Facts<'a>],
    /// Where the leaf is.
    pub(super) leaf: usize,
    pub(super) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(super) now: i64,
}

/// The positions of certificates, in the order in which they are to be served.
pub(super) struct Order {
    pub(super) positions: Vec<usize>,
    pub(super) warnings: Vec<Warning>,
}

impl Chain<'_> {
    pub(super) fn order(&self) -> Order {
        let distinct = self.distinct();
        let linked =
            if self.is_in_order(&distinct) { distinct.clone() } else { self.linked(&distinct) };
        let others: Vec<_> = distinct.iter().copied().filter(|at| !linked.contains(at)).collect();
        let mut warnings = Vec::new();
        let repeated = (0..self.facts.len()).filter(|at| !distinct.contains(at));
        warnings.extend(repeated.map(|at| self.repeated(at)));
        let positions: Vec<_> = linked.iter().chain(&others).copied().collect();
        if positions != distinct {
            warnings.push(self.reordered());
        }
        warnings.extend(self.incomplete(&linked));
        warnings.extend(others.iter().filter_map(|at| self.unrelated(*at, &distinct)));
        warnings.extend(positions[1..].iter().filter_map(|at| self.expired(*at)));
        warnings.extend(linked[1..].iter().filter_map(|at| self.expires_before_leaf(*at)));
        Order { positions, warnings }
    }

    /// Whether the key of `issuer` signed `subject`; `None` where that cannot be told.
    pub(super) fn is_signed_by(&self, issuer: usize, subject: usize) -> Option<bool> {
        let key = self.facts[issuer].public_key;
        is_signed_with(&self.certificates[subject], key, self.algorithms)
    }

    /// Each certificate once, in the order of the file.
    fn distinct(&self) -> Vec<usize> {
        let all = self.certificates;
        (0..all.len()).filter(|at| !all[..*at].contains(&all[*at])).collect()
    }

    fn is_in_order(&self, positions: &[usize]) -> bool {
        positions.first() == Some(&self.leaf)
            && positions.windows(2).all(|pair| self.certifies(pair[1], pair[0]))
    }

    /// The way up from the leaf. Of several issuers one that is valid now is taken before others,
    /// else the first in the file.
    fn linked(&self, positions: &[usize]) -> Vec<usize> {
        let mut linked = vec![self.leaf];
        let mut top = self.leaf;
        while !self.facts[top].is_self_issued() {
            let above = |at: &&usize| !linked.contains(at) && self.certifies(**at, top);
            let issuers: Vec<_> = positions.iter().filter(above).copied().collect();
            let valid = issuers.iter().find(|at| self.facts[**at].is_valid_at(self.now));
            let Some(issuer) = valid.or(issuers.first()) else { break };
            top = *issuer;
            linked.push(top);
        }
        linked
    }

    /// Whether `issuer` issued `subject`: by name, by key identifier where both have one, and by the
    /// signature where it can be checked.
    pub(super) fn certifies(&self, issuer: usize, subject: usize) -> bool {
        let (above, below) = (&self.facts[issuer], &self.facts[subject]);
        let same_key = match (above.subject_key_id, below.authority_key_id) {
            (Some(above), Some(below)) => above == below,
            _ => true,
        };
        issuer != subject
            && above.subject == below.issuer
            && same_key
            && self.is_signed_by(issuer, subject).unwrap_or(true)
    }

    fn repeated(&self, at: usize) -> Warning {
        let text = format!("{} is there twice and is served once", self.name(at));
        Warning::new(WarningKind::ChainReordered, text)
    }

    fn reordered(&self) -> Warning {
        let text = format!(
            "the certificates in {} are not in order; they are served leaf first, and each issuer after what it issued",
            self.path.display()
        );
        Warning::new(WarningKind::ChainReordered, text)
    }

    /// A leaf whose issuer is not there. Private authorities issue leaves directly, and need no
    /// chain: an issuer that has to be fetched from somewhere, or other authorities in the file, show
    /// that this is not so.
    fn incomplete(&self, linked: &[usize]) -> Option<Warning> {
        let leaf = &self.facts[self.leaf];
        let others = self.facts.iter().enumerate().filter(|(at, _)| *at != self.leaf);
        let has_authorities = others.into_iter().any(|(_, facts)| facts.is_authority);
        let complete = linked.len() > 1 || leaf.is_self_issued();
        (!complete && (leaf.tells_of_issuer || has_authorities)).then(|| {
            let text = format!(
                "{} lacks the certificate of the leaf's issuer, \"{}\": many clients will not find it by themselves",
                self.path.display(),
                leaf.issuer_title
            );
            Warning::new(WarningKind::ChainIncomplete, text)
        })
    }

    fn unrelated(&self, at: usize, positions: &[usize]) -> Option<Warning> {
        let certifies_nothing = !positions.iter().any(|other| self.certifies(at, *other));
        certifies_nothing.then(|| {
            let text = format!("{} certifies no other there", self.name(at));
            Warning::new(WarningKind::ChainUnrelated, text)
        })
    }

    fn expired(&self, at: usize) -> Option<Warning> {
        let facts = &self.facts[at];
        let when = match self.now {
            now if now > facts.not_after => format!("expired at {}", format_time(facts.not_after)),
            now if now < facts.not_before => {
                format!("is not valid before {}", format_time(facts.not_before))
            }
            _ => return None,
        };
        Some(Warning::new(WarningKind::ChainExpired, format!("{} {when}", self.name(at))))
    }

    /// An intermediate that the leaf needs and will outlive. What clients trust is theirs: a root's
    /// date is nobody's business here.
    fn expires_before_leaf(&self, at: usize) -> Option<Warning> {
        let (facts, leaf) = (&self.facts[at], &self.facts[self.leaf]);
        let needed = facts.is_valid_at(self.now) && !facts.is_self_issued();
        (needed && facts.not_after < leaf.not_after).then(|| {
            let text = format!(
                "{} expires at {}, before the leaf does",
                self.name(at),
                format_time(facts.not_after)
            );
            Warning::new(WarningKind::ChainExpired, text)
        })
    }

    fn name(&self, at: usize) -> String {
        format!("certificate {} in {} (\"{}\")", at + 1, self.path.display(), self.facts[at].title)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
        Issuer, KeyPair, date_time_ymd,
    };
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::super::damage::check_signatures;
    use super::super::x509::facts;
    use super::*;
    use crate::error::Cause;
    use WarningKind::{ChainExpired, ChainIncomplete, ChainReordered, ChainUnrelated};

    const ID_PE_AUTHORITY_INFO_ACCESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    /// One caIssuers, `http://a`.
    const ACCESS: &[u8] =
        b"\x30\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x08http://a";

    /// A party with a key, that certifies others.
    struct Party(Issuer<'static, KeyPair>, CertificateParams);

    impl Party {
        fn new(name: &str) -> Self {
            Self::with(name, |_| {})
        }

        fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.use_authority_key_identifier_extension = true;
            params.not_before = date_time_ymd(2026, 1, 1);
            params.not_after = date_time_ymd(2036, 1, 1);
            change(&mut params);
            Self(Issuer::new(params.clone(), KeyPair::generate().unwrap()), params)
        }

        fn leaf(change: impl FnOnce(&mut CertificateParams)) -> Self {
            Self::with("leaf", |params| {
                params.is_ca = IsCa::NoCa;
                params.not_after = date_time_ymd(2027, 1, 1);
                change(params);
            })
        }

        fn by(&self, issuer: &Self) -> CertificateDer<'static> {
            self.1.signed_by(self.0.key(), &issuer.0).unwrap().into()
        }

        fn by_itself(&self) -> CertificateDer<'static> {
            self.1.self_signed(self.0.key()).unwrap().into()
        }
    }

    fn order(certificates: &[CertificateDer<'static>], leaf: usize) -> Order {
        let order = |chain: &Chain<'_>| -> Order { chain.order() };
        with_chain(certificates, leaf, order)
    }

    fn with_chain<T>(
        certificates: &[CertificateDer<'static>],
        leaf: usize,
        look: fn(&Chain<'_>) -> T,
    ) -> T {
        let facts: Vec<_> =
            certificates.iter().enumerate().map(|(at, der)| facts(der, at).unwrap()).collect();
        look(&Chain {
            path: "chain".as_ref(),
            certificates,
            facts: &facts,
            leaf,
            algorithms: &default_provider().signature_verification_algorithms,
            now: date_time_ymd(2026, 6, 1).unix_timestamp(),
        })
    }

    #[test]
    fn a_chain_is_served_in_order_and_told_of_where_it_is_not_in_order() {
        let [root, other_root, upper, lower] =
            ["root", "other root", "upper", "lower"].map(Party::new);
        let leaf = Party::leaf(|_| {});
        // `cross` is the upper one as another root certifies it.
        let known = [
            ("leaf", leaf.by(&lower)),
            ("lower", lower.by(&upper)),
            ("upper", upper.by(&root)),
            ("root", root.by_itself()),
            ("cross", upper.by(&other_root)),
            ("stranger", Party::new("stranger").by_itself()),
        ];
        let certificate =
            |name: &str| known.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        let both = &[ChainReordered, ChainUnrelated][..];
        let table = [
            ("leaf lower upper", &[0, 1, 2][..], &[][..]),
            ("leaf lower upper root", &[0, 1, 2, 3], &[]),
            ("leaf lower", &[0, 1], &[]),
            ("upper lower leaf", &[2, 1, 0], &[ChainReordered]),
            ("root upper lower leaf", &[3, 2, 1, 0], &[ChainReordered]),
            ("leaf root upper lower", &[0, 3, 2, 1], &[ChainReordered]),
            ("leaf lower upper cross", &[0, 1, 2, 3], &[]),
            ("leaf lower cross upper", &[0, 1, 2, 3], &[]),
            ("cross leaf upper lower", &[1, 3, 0, 2], &[ChainReordered]),
            ("leaf lower stranger", &[0, 1, 2], &[ChainUnrelated]),
            ("leaf stranger lower", &[0, 2, 1], both),
            ("leaf upper", &[0, 1], &[ChainIncomplete, ChainUnrelated]),
            ("leaf leaf lower", &[0, 2], &[ChainReordered]),
            ("lower leaf lower", &[1, 0], &[ChainReordered, ChainReordered]),
        ];
        for (what, positions, kinds) in table {
            let certificates: Vec<_> = what.split(' ').map(certificate).collect();
            let leaf = what.split(' ').position(|name| name == "leaf").unwrap();
            let order = order(&certificates, leaf);
            assert_eq!(order.positions, positions, "{what}");
            let told: Vec<_> = order.warnings.iter().map(|warning| warning.kind).collect();
            assert_eq!(told, kinds, "{what}: {:?}", order.warnings);
        }
    }

    #[test]
    fn a_leaf_alone_is_incomplete_only_where_its_issuer_is_to_be_fetched() {
        let root = Party::new("root");
        let plain = Party::leaf(|_| {});
        let fetched = Party::leaf(|params| {
            let content = ACCESS.to_vec();
            let oid = &ID_PE_AUTHORITY_INFO_ACCESS;
            params.custom_extensions.push(CustomExtension::from_oid_content(oid, content));
        });
        assert_eq!(order(&[plain.by(&root)], 0).warnings, []);
        assert_eq!(order(&[plain.by_itself()], 0).warnings, []);
        assert_eq!(order(&[fetched.by(&root), root.by_itself()], 0).warnings, []);
        let warnings = order(&[fetched.by(&root)], 0).warnings;
        assert_eq!(warnings[0].kind, ChainIncomplete);
        assert!(warnings[0].text.contains("\"root\""), "{}", warnings[0].text);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn dates_of_issuers_are_told_of() {
        let root = Party::new("root");
        let leaf = Party::leaf(|_| {});
        let between = |from, until| {
            Party::with("lower", |params| {
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(until, 1, 1);
            })
        };
        let told = |lower: &Party| {
            let warnings = order(&[leaf.by(lower), lower.by(&root)], 0).warnings;
            assert!(warnings.iter().all(|warning| warning.kind == ChainExpired));
            warnings.iter().map(|warning| warning.text.clone()).collect::<String>()
        };
        assert_eq!(told(&between(2020, 2030)), "");
        assert!(told(&between(2020, 2026)).contains("(\"lower\") expired at 2026-01-01T"));
        assert!(told(&between(2030, 2040)).contains("is not valid before"));
        let short = Party::with("lower", |params| params.not_after = date_time_ymd(2026, 7, 1));
        assert!(told(&short).contains("before the leaf does"), "{}", told(&short));
        // A root that expires is the clients' own affair.
        let root = Party::with("root", |params| params.not_after = date_time_ymd(2026, 7, 1));
        assert_eq!(order(&[leaf.by(&root), root.by_itself()], 0).warnings, []);
    }

    #[test]
    fn of_two_issuers_the_one_that_is_valid_is_taken_where_the_order_is_put_right() {
        let root = Party::new("root");
        let leaf = Party::leaf(|_| {});
        let fresh = Party::new("lower");
        let mut expired = fresh.1.clone();
        expired.not_after = date_time_ymd(2026, 2, 1);
        let expired = expired.signed_by(fresh.0.key(), &root.0).unwrap().into();
        let order = order(&[leaf.by(&fresh), expired, fresh.by(&root)], 0);
        assert_eq!(order.positions, [0, 2, 1]);
        let told: Vec<_> = order.warnings.iter().map(|warning| warning.kind).collect();
        assert_eq!(told, [ChainReordered, ChainExpired]);
    }

    #[test]
    fn a_name_is_no_proof_where_the_signature_can_be_checked() {
        let anonymous = |params: &mut CertificateParams| {
            params.use_authority_key_identifier_extension = false;
        };
        let (right, wrong) = (Party::with("root", anonymous), Party::with("root", anonymous));
        let leaf = Party::leaf(anonymous);
        let order = order(&[leaf.by(&right), wrong.by_itself(), right.by_itself()], 0);
        assert_eq!(order.positions, [0, 2, 1]);
    }

    #[test]
    fn a_certificate_is_damaged_where_no_key_that_it_may_mean_signed_it() {
        let same_id = |params: &mut CertificateParams| {
            params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3]);
        };
        let (right, wrong) = (Party::with("root", same_id), Party::with("root", same_id));
        let leaf = Party::leaf(|_| {}).by(&right);
        let check = |others: &[&Party]| {
            let others = others.iter().map(|party| party.by_itself());
            let chain: Vec<_> = [leaf.clone()].into_iter().chain(others).collect();
            with_chain(&chain, 0, check_signatures)
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[&right]), Ok(()));
        assert_eq!(check(&[&wrong, &right]), Ok(()));
        assert_eq!(check(&[&wrong]), Err(Cause::CertificateDamaged { index: 1, issuer: 2 }));
    }

    #[test]
    fn the_longest_chain_takes_no_time_to_speak_of() {
        // Every one of them could have issued every other, by its name.
        let parties: Vec<_> = (0..64).map(|_| Party::new("same")).collect();
        let mut certificates = vec![Party::leaf(|_| {}).by(&parties[63])];
        certificates.extend(parties.windows(2).rev().map(|pair| pair[0].by(&pair[1])));
        certificates.reverse();
        let begun = std::time::Instant::now();
        order(&certificates, 63);
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
