//! Tests of ticket key files, which several processes share.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::peers::{TestPki, VERSIONS, keys, policy, sessions};
use crate::clock;
use crate::options::Resumption;
use crate::pki::{TicketFile, TicketKeys};
use crate::tls::sessions::SessionPolicy;

fn with_keys(bytes: &[u8]) -> SessionPolicy {
    SessionPolicy { ticket_keys: Some(keys(bytes, clock::unix_now())), ..policy() }
}

/// Returns a server as in another process: it may share the ticket keys, but has no session ids of this process.
fn elsewhere(pki: &TestPki, bytes: &[u8]) -> Arc<ServerConfig> {
    pki.server(&sessions(Resumption::Auto), with_keys(bytes))
}

#[test]
fn processes_with_the_same_keys_resume_one_anothers_sessions() {
    let pki = TestPki::new();
    let (one, other) = (elsewhere(&pki, b"a"), elsewhere(&pki, b"a"));
    let stranger = elsewhere(&pki, b"b");
    let other_trust = SessionPolicy { trust_fingerprint: [2; 32], ..with_keys(b"a") };
    let distrusting = pki.server(&sessions(Resumption::Auto), other_trust);
    for version in VERSIONS {
        let client = pki.client(version);
        assert!(!client.resumes(&one));
        assert!(client.resumes(&other), "{version:?}");
        assert!(client.resumes(&one), "{version:?}: and back");
        assert!(!client.resumes(&stranger), "{version:?}");
        assert!(!pki.client(version).resumes(&one));
        assert!(!client.resumes(&one) && !client.resumes(&distrusting), "{version:?} (G13)");
    }
}

#[test]
fn ticket_is_accepted_while_its_key_is_in_the_file_and_the_first_key_makes_new_ones() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let before = pki.server(&sessions, with_keys(b"a"));
    let rotated = pki.server(&sessions, with_keys(b"ba"));
    let done = pki.server(&sessions, with_keys(b"cb"));
    let alone = pki.server(&sessions, with_keys(b"c"));
    for version in VERSIONS {
        let (client, late) = (pki.client(version), pki.client(version));
        assert!(!client.resumes(&before) && !late.resumes(&before));
        assert!(client.resumes(&rotated), "{version:?}");
        assert!(client.resumes(&done), "{version:?}: the new ticket has the first key");
        assert!(!late.resumes(&done), "{version:?}: its key is not in the file any more");
        assert!(late.resumes(&alone), "{version:?}");
    }
}

#[test]
fn key_makes_tickets_for_twice_its_lifetime_and_accepts_them_while_it_is_in_the_file() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let now = clock::unix_now();
    let of_age = |age: i64, lifetime: u64| {
        let ticket_key_lifetime = Duration::from_secs(lifetime);
        let keys = Some(keys(b"a", now - age));
        pki.server(&sessions, SessionPolicy { ticket_keys: keys, ticket_key_lifetime, ..policy() })
    };
    let (young, old) = (of_age(0, 100), of_age(150, 100));
    let (too_old, unlimited) = (of_age(200, 100), of_age(1_000_000, 0));
    for version in VERSIONS {
        let client = pki.client(version);
        assert!(!client.resumes(&young));
        assert!(client.resumes(&old) && client.resumes(&unlimited), "{version:?}");
        assert!(client.resumes(&too_old), "{version:?}");
        let client = pki.client(version);
        assert!(!client.resumes(&old) && client.resumes(&elsewhere(&pki, b"a")), "{version:?}");
        let client = pki.client(version);
        assert!(!client.resumes(&too_old));
        assert!(!client.resumes(&elsewhere(&pki, b"a")), "{version:?}: the client has no ticket");
    }
}

#[test]
fn invalidate_revokes_all_keys_that_were_ever_loaded() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let server = pki.server(&sessions, with_keys(b"ab"));
    drop(pki.server(&sessions, with_keys(b"c")));
    sessions.invalidate().unwrap();
    for version in VERSIONS {
        let client = pki.client(version);
        assert!(!client.resumes(&server));
        assert!(!client.resumes(&elsewhere(&pki, b"ab")), "{version:?}: the client has no ticket");
        assert!(!client.resumes(&server), "{version:?}: a ticket of another process is refused");
        // `c` was also in the file before the sessions were invalidated, so it is revoked.
        for (bytes, works) in [(&b"ab"[..], false), (b"b", false), (b"ca", false), (b"da", true)] {
            let server = pki.server(&sessions, with_keys(bytes));
            let client = pki.client(version);
            assert!(!client.resumes(&server));
            assert_eq!(client.resumes(&elsewhere(&pki, bytes)), works, "{version:?} {bytes:?}");
        }
    }
    sessions.invalidate().unwrap();
    let server = pki.server(&sessions, with_keys(b"a"));
    let client = pki.client(VERSIONS[1]);
    assert!(!client.resumes(&server) && !client.resumes(&server), "earlier keys stay revoked");
}

#[test]
fn ticket_is_refused_after_its_key_was_revoked() {
    let pki = TestPki::new();
    for version in VERSIONS {
        let sessions = sessions(Resumption::Auto);
        let old = pki.server(&sessions, with_keys(b"a"));
        let client = pki.client(version);
        assert!(!client.resumes(&old) && client.resumes(&old));
        sessions.invalidate().unwrap();
        let new = pki.server(&sessions, with_keys(b"ba"));
        assert!(!client.resumes(&new), "{version:?}: although the key is in the file");
        assert!(client.resumes(&new), "{version:?}: with the new key");
    }
}

#[test]
fn g17_number_of_remembered_keys_is_limited_to_the_latest() {
    let sessions = sessions(Resumption::Auto);
    let file = |number: u8| {
        let key = |index: u8| [&[0xff, number, index][..], &[0; 45]].concat();
        let bytes: Vec<u8> = (0..64).flat_map(key).collect();
        let path = "keys".as_ref();
        let file = TicketFile { path, bytes: &bytes, is_readable_by_others: false, modified: 0 };
        TicketKeys::new(&file, 0, None).unwrap()
    };
    let revoked = |number| {
        let keys = file(number);
        keys.keys().iter().filter(|key| sessions.keys.is_revoked(&key.name)).count()
    };
    (0..64).for_each(|number| sessions.keys.record_loaded(&file(number)));
    // Keys that are loaded again become the latest, and are recorded only once.
    (0..3).for_each(|_| sessions.keys.record_loaded(&file(0)));
    sessions.invalidate().unwrap();
    assert_eq!((0..64).map(revoked).sum::<usize>(), 64 * 64);
    sessions.keys.record_loaded(&file(64));
    sessions.invalidate().unwrap();
    assert_eq!([0, 1, 2, 63, 64].map(revoked), [64, 0, 64, 64, 64]);
}
