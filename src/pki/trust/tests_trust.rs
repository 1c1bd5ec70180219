//! Tests trust stores with handshakes in memory: which peers are accepted, which are refused.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error as TlsError};

use super::test_handshake::{client, client_at, server};
use super::{Trust, TrustContext};
use crate::error::{Cause, Error};
use crate::options::{ClientAuth, CrlRules, TlsStack, TrustOptions};
use crate::pki::test_ca::{Authority, Listing, file, now, openssl_list};
use crate::pki::trust_input::{TrustFile, TrustInput};

const ROOTS: &str = "/trust/roots.pem";
const LISTS: &str = "/trust/lists.pem";

/// The files and settings of a trust store.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) client_roots: Option<String>,
    pub(super) server_roots: Option<String>,
    pub(super) lists: Option<String>,
    pub(super) client_auth: ClientAuth,
    pub(super) rules: CrlRules,
    /// Certificates of intermediates that verify CRLs and are not trusted, as in [`TrustInput`].
    pub(super) issuers: Vec<CertificateDer<'static>>,
    pub(super) now: i64,
}

impl Setup {
    /// Returns the setup of a server that requires client certificates issued under one of `roots`.
    pub(super) fn clients(roots: &[&Authority]) -> Self {
        Self {
            client_roots: Some(pem_of(roots)),
            server_roots: None,
            lists: None,
            client_auth: ClientAuth::Required,
            rules: CrlRules::default(),
            issuers: Vec::new(),
            now: now(),
        }
    }

    pub(super) fn with_lists(self, lists: &[String]) -> Self {
        Self { lists: Some(lists.concat()), ..self }
    }

    pub(super) fn with_servers(self, roots: &[&Authority]) -> Self {
        Self { server_roots: Some(pem_of(roots)), ..self }
    }

    pub(super) fn with_rules(self, rules: CrlRules) -> Self {
        Self { rules, ..self }
    }

    pub(super) fn after(&self, previous: Option<&Trust>) -> Result<Trust, Error> {
        let roots = |text: &'_ Option<String>| text.clone().map(|text| leaked(ROOTS, text));
        let lists = self.lists.clone().map(|text| leaked(LISTS, text));
        let input = TrustInput {
            client_roots: roots(&self.client_roots).map(|file| vec![file]),
            server_roots: roots(&self.server_roots).map(|file| vec![file]),
            crls: lists.into_iter().collect(),
            issuers: self.issuers.iter().map(AsRef::as_ref).collect(),
        };
        let options = TrustOptions {
            client_auth: self.client_auth,
            client_roots: self.client_roots.as_ref().map(|_| ROOTS.into()),
            server_roots: self.server_roots.as_ref().map(|_| ROOTS.into()),
            crls: self.lists.iter().map(|_| PathBuf::from(LISTS)).collect(),
            crl_rules: self.rules,
            hides_authority_names: false,
        };
        let (options, provider) = (&options, &Arc::new(default_provider()));
        Trust::new(
            &input,
            &TrustContext { options, provider, tls: TlsStack::Rustls, now: self.now, previous },
        )
    }

    pub(super) fn trust(&self) -> Trust {
        self.after(None).unwrap()
    }

    pub(super) fn rejected(&self, previous: Option<&Trust>) -> Cause {
        let error = self.after(previous).unwrap_err();
        assert_eq!(error.path.as_deref(), Some(LISTS.as_ref()), "{error}");
        error.cause
    }
}

fn leaked(path: &'static str, text: String) -> TrustFile<'static> {
    file(path, text.leak())
}

fn pem_of(roots: &[&Authority]) -> String {
    roots.iter().map(|root| root.root_pem()).collect()
}

pub(super) const REVOKED: Result<(), TlsError> =
    Err(TlsError::InvalidCertificate(CertificateError::Revoked));
pub(super) const UNKNOWN: Result<(), TlsError> =
    Err(TlsError::InvalidCertificate(CertificateError::UnknownRevocationStatus));
pub(super) const STRANGER: Result<(), TlsError> =
    Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));

#[test]
fn g13_removed_root_no_longer_accepts_peers() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (of_old, of_new) = (old.peer(1, &[]), new.peer(1, &[]));
    let both = Setup::clients(&[&old, &new]).with_servers(&[&old, &new]).trust();
    for peer in [&of_old, &of_new] {
        assert_eq!((client(&both, peer), server(&both, peer)), (Ok(()), Ok(())));
    }
    let one = Setup::clients(&[&new]).with_servers(&[&new]).after(Some(&both)).unwrap();
    assert_eq!((client(&one, &of_new), server(&one, &of_new)), (Ok(()), Ok(())));
    assert_eq!((client(&one, &of_old), server(&one, &of_old)), (STRANGER, STRANGER));
    assert_eq!((both.client_root_count(), one.client_root_count()), (2, 1));
    assert_eq!((both.server_root_count(), one.server_root_count()), (2, 1));
}

#[test]
fn client_auth_mode_decides_whether_a_certificate_is_required() {
    let root = Authority::new("root");
    let required = Setup::clients(&[&root]);
    let optional = Setup { client_auth: ClientAuth::Optional, ..required.clone() };
    let none = Setup { client_auth: ClientAuth::None, ..required.clone() };
    let stranger = Authority::new("stranger").peer(1, &[]);
    let missing = Err(TlsError::NoCertificatesPresented);
    assert_eq!(client_at(&required.trust(), None, now()), missing);
    assert_eq!(client_at(&optional.trust(), None, now()), Ok(()));
    assert_eq!(
        client(&optional.trust(), &stranger),
        STRANGER,
        "optional certificates are still verified"
    );
    assert!(none.trust().client_verifier().is_none());
    assert!(required.trust().server_verifier().is_none());
    let verifier = required.trust().client_verifier().unwrap().clone();
    assert_eq!(verifier.root_hint_subjects().len(), 1);
}

#[test]
fn g13_revoked_certificate_is_refused_in_both_roles() {
    let root = Authority::new("root");
    let (good, bad) = (root.peer(1, &[]), root.peer(2, &[]));
    let lists = [root.list_pem(&Listing::number(1).revoking(&[2]))];
    let trust = Setup::clients(&[&root]).with_servers(&[&root]).with_lists(&lists).trust();
    assert_eq!((client(&trust, &good), server(&trust, &good)), (Ok(()), Ok(())));
    assert_eq!((client(&trust, &bad), server(&trust, &bad)), (REVOKED, REVOKED));
    assert_eq!((trust.lists().len(), trust.lists()[0].revoked), (1, 1));
    assert_eq!(trust.warnings(), []);
}

#[test]
fn revoked_intermediate_is_refused_unless_only_leaves_are_checked() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let peer = middle.peer(1, &[root.certifies(&middle, 7)]);
    let lists =
        [root.list_pem(&Listing::number(1).revoking(&[7])), middle.list_pem(&Listing::number(1))];
    let setup = Setup::clients(&[&root]).with_lists(&lists);
    assert_eq!(client(&setup.trust(), &peer), REVOKED);
    let leaf_only = CrlRules { leaf_only: true, ..CrlRules::default() };
    assert_eq!(client(&setup.with_rules(leaf_only).trust(), &peer), Ok(()));
}

#[test]
fn peer_with_unknown_status_is_accepted_only_if_allowed() {
    let (root, middle) = (Authority::new("root"), Authority::new("middle"));
    let peer = middle.peer(1, &[root.certifies(&middle, 7)]);
    let setup = Setup::clients(&[&root]).with_lists(&[root.list_pem(&Listing::number(1))]);
    assert_eq!(client(&setup.trust(), &peer), UNKNOWN);
    let allowed = CrlRules { allow_unknown: true, ..CrlRules::default() };
    assert_eq!(client(&setup.with_rules(allowed).trust(), &peer), Ok(()));
    let no_lists = Setup::clients(&[&root]).trust();
    assert_eq!(client(&no_lists, &peer), Ok(()), "no CRLs are configured");
}

#[test]
fn crl_that_expires_in_use_makes_its_peers_refused_unless_allowed() {
    let root = Authority::new("root");
    let peer = root.peer(1, &[]);
    let setup = Setup::clients(&[&root]).with_lists(&[root.list_pem(&Listing::number(1))]);
    let trust = setup.trust();
    let ends = trust.lists_hold_until().unwrap();
    assert_eq!(Some(ends), trust.lists()[0].next_update);
    assert_eq!(Some(ends), trust.session_crls_expire_at());
    assert_eq!(client_at(&trust, Some(&peer), ends - 1), Ok(()));
    let refused = client_at(&trust, Some(&peer), ends).unwrap_err();
    let words = format!("{refused:?}");
    assert!(words.contains("ExpiredRevocationList"), "{words}");
    let allowed = CrlRules { allow_expired: true, ..CrlRules::default() };
    let trust = setup.clone().with_rules(allowed).trust();
    assert_eq!(client_at(&trust, Some(&peer), ends + 1), Ok(()));
    assert_eq!((trust.lists_hold_until(), trust.session_crls_expire_at()), (None, None));
    let no_clients = Setup { client_auth: ClientAuth::None, ..setup };
    assert_eq!(no_clients.trust().session_crls_expire_at(), None, "no client is refused");
}

#[test]
fn crl_that_rustls_rejects_is_named_in_the_message() {
    let root = Authority::new("root");
    let critical = "default_crl_days=7\ncrl_extensions=e\n[e]\n1.2.3.4=critical,DER:05:00\n";
    let list = String::from_utf8(openssl_list(critical)).unwrap();
    let setup = Setup { now: crate::clock::unix_now(), ..Setup::clients(&[&root]) };
    let fine = root.list_pem(&Listing { next_update: (2099, 1, 1), ..Listing::number(1) });
    let cause = setup.with_lists(&[fine, list]).rejected(None);
    let Cause::CrlMalformed { index: 2, reason } = cause else { panic!("{cause}") };
    assert!(reason.contains("critical extension"), "{reason}");
}

#[test]
fn fingerprint_depends_on_what_is_trusted_not_on_order_or_comments() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let lists = [one.list_pem(&Listing::number(1)), two.list_pem(&Listing::number(1))];
    let print = |setup: &Setup| *setup.trust().fingerprint();
    let setup = Setup::clients(&[&one, &two]).with_lists(&lists);
    let mut swapped = Setup { lists: Some(lists[1].clone() + &lists[0]), ..setup.clone() };
    let root_pem = pem_of(&[&two, &one, &two]);
    swapped.client_roots = Some(format!("# another comment\n{root_pem}"));
    assert_eq!(print(&setup), print(&swapped));
    assert_eq!(
        print(&setup),
        print(&setup.clone().with_servers(&[&one])),
        "roots for servers do not matter"
    );

    let rules = |leaf_only, allow_unknown, allow_expired| {
        setup.clone().with_rules(CrlRules { leaf_only, allow_unknown, allow_expired })
    };
    let newer = [one.list_pem(&Listing::number(2)), lists[1].clone()];
    let others = [
        Setup { client_auth: ClientAuth::Optional, ..setup.clone() },
        Setup { client_auth: ClientAuth::None, ..setup.clone() },
        setup.clone().with_lists(&newer),
        Setup { client_roots: Some(one.root_pem()), ..setup.clone() },
        Setup { lists: None, ..setup.clone() },
        rules(true, false, false),
        rules(false, true, false),
        rules(false, false, true),
    ];
    let mut prints: Vec<_> = others.iter().map(print).collect();
    prints.push(print(&setup));
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), others.len() + 1);
}

#[test]
fn g14_role_without_changes_keeps_its_verifier() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let setup = Setup::clients(&[&one]).with_servers(&[&one]);
    let before = setup.trust();
    let clients = |trust: &Trust| Arc::as_ptr(trust.client_verifier().unwrap()).cast::<()>();
    let servers = |trust: &Trust| Arc::as_ptr(trust.server_verifier().unwrap()).cast::<()>();
    let more_servers = setup.clone().with_servers(&[&one, &two]);
    let after = more_servers.after(Some(&before)).unwrap();
    assert_eq!(clients(&after), clients(&before));
    assert_ne!(servers(&after), servers(&before));
    let optional = Setup { client_auth: ClientAuth::Optional, ..setup.clone() };
    let after = optional.after(Some(&before)).unwrap();
    assert_ne!(clients(&after), clients(&before));
    assert_eq!(servers(&after), servers(&before));
}

#[test]
fn g14_crl_of_a_root_of_the_other_role_does_not_change_this_role() {
    let [root, other, middle, below] = ["root", "other", "middle", "below"].map(Authority::new);
    let clients = |trust: &Trust| Arc::as_ptr(trust.client_verifier().unwrap()).cast::<()>();
    let soon =
        |number| other.list_pem(&Listing { next_update: (2026, 7, 1), ..Listing::number(number) });
    let (of_root, of_middle) =
        (root.list_pem(&Listing::number(1)), middle.list_pem(&Listing::number(1)));
    let lists = |of_other: String| [of_root.clone(), of_other, of_middle.clone()];
    let setup = Setup::clients(&[&root]).with_servers(&[&other]);
    let before = setup.clone().with_lists(&lists(soon(1))).trust();
    let ends = before.lists()[0].next_update;
    assert_eq!(
        (before.session_crls_expire_at(), before.lists_hold_until()),
        (ends, before.lists()[1].next_update)
    );
    let after = setup.clone().with_lists(&lists(soon(2))).after(Some(&before)).unwrap();
    assert_eq!(after.fingerprint(), before.fingerprint());
    assert_eq!(clients(&after), clients(&before));
    let renewed = [of_root.clone(), soon(2), middle.list_pem(&Listing::number(2))];
    let after = setup.clone().with_lists(&renewed).after(Some(&after)).unwrap();
    assert_ne!(
        after.fingerprint(),
        before.fingerprint(),
        "an intermediate may be under a root of either role"
    );

    // If the only CRL is of a root for servers, a client is refused, because its status is unknown. It would be accepted
    // if no CRL were configured at all.
    let only_other = setup.clone().with_lists(&[other.list_pem(&Listing::number(1))]).trust();
    assert_eq!(client(&only_other, &root.peer(1, &[])), UNKNOWN);
    assert_ne!(only_other.fingerprint(), setup.trust().fingerprint());

    // A CA may be a root of one role and an intermediate of the other.
    let cross = root.certifies(&below, 9);
    let peer = below.peer(66, std::slice::from_ref(&cross));
    let lists =
        [root.list_pem(&Listing::number(1)), below.list_pem(&Listing::number(1).revoking(&[66]))];
    let rules = CrlRules { allow_unknown: true, ..CrlRules::default() };
    let setup = Setup::clients(&[&root]).with_servers(&[&below]).with_rules(rules);
    let known = Setup { issuers: vec![cross], ..setup.clone() };
    assert_eq!(client(&known.with_lists(&lists).trust(), &peer), REVOKED);
    let anchor = Setup { server_roots: Some(root.certifies_pem(&below, 9)), ..setup };
    assert_eq!(client(&anchor.with_lists(&lists).trust(), &peer), REVOKED);
}

#[test]
fn crl_warning_begins_before_its_next_update() {
    let root = Authority::new("root");
    let setup = Setup::clients(&[&root]).with_lists(&[root.list_pem(&Listing::number(1))]);
    let day = |month, day| Some(rcgen::date_time_ymd(2026, month, day).unix_timestamp());
    let trust = setup.trust();
    assert_eq!(trust.lists()[0].expiring_from, day(8, 1).map(|at| at - 61 * 24 * 360));
    let trust = trust.with_expiry_warning(Some(std::time::Duration::from_secs(24 * 3600)));
    assert_eq!(trust.lists()[0].expiring_from, day(7, 31));
}

#[test]
fn certificate_that_only_verifies_crls_is_not_trusted() {
    let [root, middle, stranger] = ["root", "middle", "stranger"].map(Authority::new);
    let certificate = root.certifies(&middle, 7);
    let peer = middle.peer(1, std::slice::from_ref(&certificate));
    let of_middle = middle.list_pem(&Listing::number(1));
    let lists = |root: &Authority| [root.list_pem(&Listing::number(1)), of_middle.clone()];
    let setup = Setup { issuers: vec![certificate], ..Setup::clients(&[&root]) };
    let trust = setup.clone().with_lists(&lists(&root)).trust();
    assert_eq!((client(&trust, &peer), trust.warnings()), (Ok(()), &[][..]));
    let elsewhere = Setup { client_roots: Some(stranger.root_pem()), ..setup };
    assert_eq!(client(&elsewhere.with_lists(&lists(&stranger)).trust(), &peer), STRANGER);
}
