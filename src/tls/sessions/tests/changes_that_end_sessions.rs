//! Tests of the changes that end sessions, and of those that do not.

use super::peers::{TestPki, VERSIONS, keys, named, policy, sessions};
use crate::options::Resumption;
use crate::tls::sessions::SessionPolicy;

#[test]
fn g14_session_is_resumed_by_a_later_generation_with_the_same_trust_store() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let (old, new) = (pki.server(&sessions, policy()), pki.server(&sessions, policy()));
    for version in VERSIONS {
        for name in ["a.test", "b.test", "127.0.0.1"] {
            let client = pki.client(version).asking_for(name);
            assert!(!client.resumes(&old), "{name}: no session exists yet");
            assert!(client.resumes(&new), "{version:?} {name}");
            assert!(client.resumes(&old), "{version:?} {name}: and back");
        }
    }
    let client = pki.client(VERSIONS[0]).without_tickets();
    assert!(!client.resumes(&old) && client.resumes(&new), "by the session id");
}

#[test]
fn g13_session_ends_when_the_trust_store_changes() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let old = pki.server(&sessions, policy());
    let new = pki.server(&sessions, SessionPolicy { trust_fingerprint: [2; 32], ..policy() });
    for version in VERSIONS {
        for client in [pki.client(version), pki.client(version).without_tickets()] {
            assert!(!client.resumes(&old));
            assert!(!client.resumes(&new), "{version:?}");
            assert!(client.resumes(&new), "{version:?}: a session of the new trust store");
        }
    }
}

#[test]
fn g14_session_ends_when_its_name_is_no_longer_served() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let both = pki.server(&sessions, named(&["a.test", "b.test"]));
    let one = pki.server(&sessions, named(&["a.test"]));
    for version in VERSIONS {
        for by_id in [false, true] {
            let client = |name| {
                let client = pki.client(version).asking_for(name);
                if by_id { client.without_tickets() } else { client }
            };
            let (kept, lost) = (client("a.test"), client("b.test"));
            assert!(!kept.resumes(&both) && !lost.resumes(&both));
            assert!(kept.resumes(&one), "{version:?}");
            assert!(!lost.resumes(&one), "{version:?}");
            assert!(lost.resumes(&one), "{version:?}: a session of the default identity");
        }
    }
}

#[test]
fn always_reset_ends_sessions_with_their_generation() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::AlwaysReset));
    let (old, new) = (pki.server(&sessions, policy()), pki.server(&sessions, policy()));
    for version in VERSIONS {
        for client in [pki.client(version), pki.client(version).without_tickets()] {
            assert!(!client.resumes(&old));
            assert!(!client.resumes(&new), "{version:?}");
            assert!(client.resumes(&new), "{version:?}: within one generation");
        }
    }
}

#[test]
fn off_resumes_no_session() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Off));
    let server = pki.server(&sessions, policy());
    for version in VERSIONS {
        for client in [pki.client(version), pki.client(version).without_tickets()] {
            assert!(!client.resumes(&server) && !client.resumes(&server), "{version:?}");
        }
        let plain = pki.plain_server();
        let client = pki.client(version).with_resumption(sessions.for_client(None));
        assert!(!client.resumes(&plain) && !client.resumes(&plain), "{version:?}: as a client");
    }
}

#[test]
fn invalidate_ends_all_sessions_and_allows_new_ones() {
    for resumption in [Resumption::Auto, Resumption::AlwaysReset] {
        let (pki, sessions) = (TestPki::new(), sessions(resumption));
        let server = pki.server(&sessions, policy());
        for version in VERSIONS {
            for client in [pki.client(version), pki.client(version).without_tickets()] {
                assert!(!client.resumes(&server) && client.resumes(&server));
                sessions.invalidate().unwrap();
                assert!(!client.resumes(&server), "{version:?} {resumption:?}");
                assert!(client.resumes(&server), "{version:?} {resumption:?}: a new session");
            }
            let plain = pki.plain_server();
            let client = pki.client(version).with_resumption(sessions.for_client(None));
            assert!(!client.resumes(&plain) && client.resumes(&plain));
            sessions.invalidate().unwrap();
            assert!(!client.resumes(&plain), "{version:?} {resumption:?}: as a client");
            assert!(client.resumes(&plain), "{version:?} {resumption:?}: as a client");
        }
    }
}

#[test]
fn g13_no_session_is_resumed_after_the_trust_store_expires() {
    let (pki, sessions) = (TestPki::new(), sessions(Resumption::Auto));
    let server = pki.server(&sessions, policy());
    let now = crate::clock::unix_now();
    let expired = pki.server(&sessions, SessionPolicy { resume_until: Some(now), ..policy() });
    for version in VERSIONS {
        for client in [pki.client(version), pki.client(version).without_tickets()] {
            assert!(!client.resumes(&server) && client.resumes(&server));
            assert!(!client.resumes(&expired) && !client.resumes(&expired), "{version:?}");
        }
    }
}

#[test]
fn g14_client_role_keeps_sessions_across_generations_unless_always_reset() {
    let pki = TestPki::new();
    let plain = pki.plain_server();
    for (resumption, keeps) in [(Resumption::Auto, true), (Resumption::AlwaysReset, false)] {
        let sessions = sessions(resumption);
        for version in VERSIONS {
            let client = pki.client(version).with_resumption(sessions.for_client(None));
            assert!(!client.resumes(&plain) && client.resumes(&plain));
            let next = client.with_resumption(sessions.for_client(None));
            assert_eq!(next.resumes(&plain), keeps, "{version:?} {resumption:?}");
        }
    }
}

#[test]
fn g13_client_role_resumes_no_session_after_a_crl_expires() {
    let (pki, now) = (TestPki::new(), crate::clock::unix_now());
    let plain = pki.plain_server();
    for resumption in [Resumption::Auto, Resumption::AlwaysReset] {
        let sessions = sessions(resumption);
        for version in VERSIONS {
            let until = |end| pki.client(version).with_resumption(sessions.for_client(Some(end)));
            let client = until(now + 1000);
            assert!(!client.resumes(&plain) && client.resumes(&plain), "{version:?}");
            let client = until(now);
            assert!(!client.resumes(&plain) && !client.resumes(&plain), "{version:?}");
        }
    }
}

/// The servers here are services with different identities that share a ticket key file.
#[test]
fn g14_session_without_a_served_name_needs_an_identity_with_the_first_ones_name() {
    let pki = TestPki::new();
    let server = |names: &[&'static str]| {
        let keys = Some(keys(b"k", crate::clock::unix_now()));
        pki.server(&sessions(Resumption::Auto), SessionPolicy { ticket_keys: keys, ..named(names) })
    };
    let (one, other) = (server(&["b.test"]), server(&["a.test"]));
    let (renewed, fleet) = (server(&["c.test", "b.test"]), server(&["b.test"]));
    for version in VERSIONS {
        // The first name is that of no identity. With an IP address, the client sends no name.
        for name in ["some-longer.name.test", "127.0.0.1"] {
            let client = || pki.client(version).asking_for(name);
            for (next, expected) in [(&other, false), (&renewed, true), (&fleet, true)] {
                let client = client();
                assert!(!client.resumes(&one));
                assert_eq!(client.resumes(next), expected, "{version:?} {name}");
            }
        }
    }
}

#[test]
fn session_is_not_resumed_with_another_session_context() {
    let pki = TestPki::new();
    let server = |context| {
        let keys = Some(keys(b"k", crate::clock::unix_now()));
        pki.server(
            &sessions(Resumption::Auto),
            SessionPolicy { context, ticket_keys: keys, ..policy() },
        )
    };
    let (one, same, other, none) =
        (server([1; 32]), server([1; 32]), server([2; 32]), server([0; 32]));
    for version in VERSIONS {
        for (next, expected) in [(&same, true), (&other, false), (&none, false)] {
            let client = pki.client(version);
            assert!(!client.resumes(&one));
            assert_eq!(client.resumes(next), expected, "{version:?}");
        }
    }
}
