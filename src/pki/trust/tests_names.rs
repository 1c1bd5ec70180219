//! Tests names that are equal by RFC 5280 section 7.1 and differ in bytes: which peers rustls refuses then, and that the
//! warnings say so.

use super::test_handshake::client;
use super::tests_trust::{REVOKED, STRANGER, Setup, UNKNOWN};
use crate::options::CrlRules;
use crate::pki::test_ca::{Authority, Listing};
use crate::pki::trust::Trust;
use crate::pki::warnings::WarningKind;

const DIFFERENCE: &str = "(UTF8String and PrintableString)";

fn only_warning(trust: &Trust) -> (WarningKind, &str) {
    let [warning] = trust.warnings() else { panic!("{:?}", trust.warnings()) };
    (warning.kind, &warning.text)
}

#[test]
fn g13_crl_whose_issuer_has_other_bytes_is_not_applied_and_a_warning_says_so() {
    let utf8 = Authority::new("root");
    let root = utf8.with_printable_name();
    let (good, bad) = (root.peer(1, &[]), root.peer(2, &[]));
    let setup = Setup::clients(&[&root]).with_servers(&[&root]);
    let setup = setup.with_lists(&[utf8.list_pem(&Listing::number(1).revoking(&[2]))]);
    let trust = setup.trust();
    assert_eq!((client(&trust, &good), client(&trust, &bad)), (UNKNOWN, UNKNOWN));
    let (kind, text) = only_warning(&trust);
    assert_eq!(kind, WarningKind::CrlMissing);
    let words = "certificate revocation list 1 of /trust/lists.pem has its issuer's name, \"root\", in other bytes";
    assert!(text.starts_with(words) && text.contains(DIFFERENCE), "{text}");
    assert!(text.contains("every peer under this authority is refused"), "{text}");

    let allowed = CrlRules { allow_unknown: true, ..CrlRules::default() };
    let trust = setup.clone().with_rules(allowed).trust();
    assert_eq!((client(&trust, &good), client(&trust, &bad)), (Ok(()), Ok(())));
    let (kind, text) = only_warning(&trust);
    assert_eq!(kind, WarningKind::CrlUnrelated);
    assert!(text.contains("not applied: peers that it revokes are accepted"), "{text}");

    let leaf_only = CrlRules { leaf_only: true, ..CrlRules::default() };
    let trust = setup.with_rules(leaf_only).trust();
    assert_eq!(client(&trust, &good), UNKNOWN);
    let (_, text) = only_warning(&trust);
    assert!(text.contains("peers that this authority issued are refused"), "{text}");
}

#[test]
fn g13_crls_in_both_encodings_are_used_beside_each_other() {
    let utf8 = Authority::new("root");
    let root = utf8.with_printable_name();
    let list = |ca: &Authority| ca.list_pem(&Listing::number(1).revoking(&[2]));
    for lists in [[list(&utf8), list(&root)], [list(&root), list(&utf8)]] {
        let trust = Setup::clients(&[&root]).with_lists(&lists).trust();
        assert_eq!(trust.warnings(), []);
        assert_eq!(trust.lists().len(), 2);
        let (good, bad) = (root.peer(1, &[]), root.peer(2, &[]));
        assert_eq!((client(&trust, &good), client(&trust, &bad)), (Ok(()), REVOKED));
    }
}

#[test]
fn g13_crl_in_other_bytes_replaces_none_that_is_applied() {
    let utf8 = Authority::new("root");
    let root = utf8.with_printable_name();
    let setup = Setup::clients(&[&root]);
    let in_use = setup.clone().with_lists(&[root.list_pem(&Listing::number(1).revoking(&[2]))]);
    let next = setup.with_lists(&[utf8.list_pem(&Listing::number(2).revoking(&[2]))]);
    let message = next.rejected(Some(&in_use.trust())).to_string();
    let words = "there is no certificate revocation list of root, with its name in the same bytes (UTF8String and \
                 PrintableString), any more";
    assert!(message.starts_with(words), "{message}");
}

/// rustls applies such a list to no peer of the root, so it may be of another authority with almost the same name.
#[test]
fn g13_crl_with_the_name_of_a_root_in_other_bytes_and_another_key_is_unrelated() {
    let root = Authority::new("root");
    let stranger = Authority::new("root").with_printable_name();
    let own = root.list_pem(&Listing::number(1).revoking(&[2]));
    let lists = [stranger.list_pem(&Listing::number(2)), own];
    let trust = Setup::clients(&[&root]).with_lists(&lists).trust();
    assert_eq!(client(&trust, &root.peer(2, &[])), REVOKED);
    let (kind, text) = only_warning(&trust);
    assert_eq!(kind, WarningKind::CrlUnrelated);
    let words = "is of \"root\", and no known certificate of that name has the key that signed it";
    assert!(text.contains(words), "{text}");
}

#[test]
fn intermediate_with_the_name_of_its_root_in_other_bytes_has_no_path_and_a_warning() {
    let utf8 = Authority::new("root");
    let (root, middle) = (utf8.with_printable_name(), Authority::new("middle"));
    let below = utf8.certifies(&middle, 7);
    let peer = middle.peer(1, std::slice::from_ref(&below));
    let setup =
        |roots: &[&Authority]| Setup { issuers: vec![below.clone()], ..Setup::clients(roots) };
    let trust = setup(&[&root]).trust();
    assert_eq!(client(&trust, &peer), STRANGER);
    let (kind, text) = only_warning(&trust);
    assert_eq!(kind, WarningKind::RootDoubtful);
    let words = "the intermediate \"middle\" has the name of the root \"root\" as its issuer, in other bytes";
    assert!(text.starts_with(words) && text.contains(DIFFERENCE), "{text}");
    for roots in [&[&utf8][..], &[&root, &utf8], &[&root, &middle]] {
        let trust = setup(roots).trust();
        assert_eq!(trust.warnings(), []);
        assert_eq!(client(&trust, &peer), Ok(()));
    }
    assert_eq!(setup(&[&Authority::new("another")]).trust().warnings(), []);
}
