//! What a session outlives, and what it does not.

use super::peers::{VERSIONS, World, keys, named, sessions, view};
use crate::options::Resumption;
use crate::tls::sessions::View;

#[test]
fn g14_a_session_outlives_generations_of_the_same_trust() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let (old, new) = (world.server(&sessions, view()), world.server(&sessions, view()));
    for version in VERSIONS {
        for name in ["a.test", "b.test", "127.0.0.1"] {
            let client = world.client(version).asking_for(name);
            assert!(!client.resumes(&old), "{name}: there is nothing to resume yet");
            assert!(client.resumes(&new), "{version:?} {name}");
            assert!(client.resumes(&old), "{version:?} {name}: and back");
        }
    }
    let client = world.client(VERSIONS[0]).without_tickets();
    assert!(!client.resumes(&old) && client.resumes(&new), "by the id of the session");
}

#[test]
fn g13_a_session_ends_with_the_trust_it_was_begun_under() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let old = world.server(&sessions, view());
    let new = world.server(&sessions, View { trust: [2; 32], ..view() });
    for version in VERSIONS {
        for client in [world.client(version), world.client(version).without_tickets()] {
            assert!(!client.resumes(&old));
            assert!(!client.resumes(&new), "{version:?}");
            assert!(client.resumes(&new), "{version:?}: the new trust has sessions of its own");
        }
    }
}

#[test]
fn g14_a_session_ends_with_the_name_it_was_begun_for() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let both = world.server(&sessions, named(&["a.test", "b.test"]));
    let one = world.server(&sessions, named(&["a.test"]));
    for version in VERSIONS {
        for bare in [false, true] {
            let client = |name| {
                let client = world.client(version).asking_for(name);
                if bare { client.without_tickets() } else { client }
            };
            let (kept, lost) = (client("a.test"), client("b.test"));
            assert!(!kept.resumes(&both) && !lost.resumes(&both));
            assert!(kept.resumes(&one), "{version:?}");
            assert!(!lost.resumes(&one), "{version:?}");
            assert!(
                lost.resumes(&one),
                "{version:?}: the default identity answers now, and goes on"
            );
        }
    }
}

#[test]
fn always_reset_ends_sessions_with_their_generation() {
    let (world, sessions) = (World::new(), sessions(Resumption::AlwaysReset));
    let (old, new) = (world.server(&sessions, view()), world.server(&sessions, view()));
    for version in VERSIONS {
        for client in [world.client(version), world.client(version).without_tickets()] {
            assert!(!client.resumes(&old));
            assert!(!client.resumes(&new), "{version:?}");
            assert!(client.resumes(&new), "{version:?}: within a generation it does");
        }
    }
}

#[test]
fn off_resumes_nothing() {
    let (world, sessions) = (World::new(), sessions(Resumption::Off));
    let server = world.server(&sessions, view());
    for version in VERSIONS {
        for client in [world.client(version), world.client(version).without_tickets()] {
            assert!(!client.resumes(&server) && !client.resumes(&server), "{version:?}");
        }
        let plain = world.plain_server();
        let client = world.client(version).remembering(sessions.client(None));
        assert!(!client.resumes(&plain) && !client.resumes(&plain), "{version:?}: as a client");
    }
}

#[test]
fn invalidating_ends_all_sessions_at_once_and_new_ones_begin() {
    for resumption in [Resumption::Auto, Resumption::AlwaysReset] {
        let (world, sessions) = (World::new(), sessions(resumption));
        let server = world.server(&sessions, view());
        for version in VERSIONS {
            for client in [world.client(version), world.client(version).without_tickets()] {
                assert!(!client.resumes(&server) && client.resumes(&server));
                sessions.invalidate().unwrap();
                assert!(!client.resumes(&server), "{version:?} {resumption:?}");
                assert!(
                    client.resumes(&server),
                    "{version:?} {resumption:?}: of the same generation"
                );
            }
            let plain = world.plain_server();
            let client = world.client(version).remembering(sessions.client(None));
            assert!(!client.resumes(&plain) && client.resumes(&plain));
            sessions.invalidate().unwrap();
            assert!(!client.resumes(&plain), "{version:?} {resumption:?}: as a client");
            assert!(client.resumes(&plain), "{version:?} {resumption:?}: as a client");
        }
    }
}

#[test]
fn g13_no_session_goes_on_past_the_end_of_its_trust() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let server = world.server(&sessions, view());
    let now = crate::clock::unix_now();
    let over = world.server(&sessions, View { until: Some(now), ..view() });
    for version in VERSIONS {
        for client in [world.client(version), world.client(version).without_tickets()] {
            assert!(!client.resumes(&server) && client.resumes(&server));
            assert!(!client.resumes(&over) && !client.resumes(&over), "{version:?}");
        }
    }
}

#[test]
fn g14_the_client_role_keeps_sessions_across_generations_unless_it_is_to_reset() {
    let world = World::new();
    let plain = world.plain_server();
    for (resumption, keeps) in [(Resumption::Auto, true), (Resumption::AlwaysReset, false)] {
        let sessions = sessions(resumption);
        for version in VERSIONS {
            let client = world.client(version).remembering(sessions.client(None));
            assert!(!client.resumes(&plain) && client.resumes(&plain));
            let next = client.remembering(sessions.client(None));
            assert_eq!(next.resumes(&plain), keeps, "{version:?} {resumption:?}");
        }
    }
}

#[test]
fn g13_no_server_is_resumed_past_the_end_of_the_lists_it_was_checked_with() {
    let (world, now) = (World::new(), crate::clock::unix_now());
    let plain = world.plain_server();
    for resumption in [Resumption::Auto, Resumption::AlwaysReset] {
        let sessions = sessions(resumption);
        for version in VERSIONS {
            let until = |end| world.client(version).remembering(sessions.client(Some(end)));
            let client = until(now + 1000);
            assert!(!client.resumes(&plain) && client.resumes(&plain), "{version:?}");
            let client = until(now);
            assert!(!client.resumes(&plain) && !client.resumes(&plain), "{version:?}");
        }
    }
}

/// Two services, each with an identity of its own, that share a ticket key file.
#[test]
fn a_session_without_a_served_name_is_resumed_only_by_an_identity_that_has_the_name_of_the_first() {
    let world = World::new();
    let server = |names: &[&'static str]| {
        let keys = Some(keys(b"k", crate::clock::unix_now()));
        world.server(&sessions(Resumption::Auto), View { keys, ..named(names) })
    };
    let (one, other) = (server(&["b.test"]), server(&["a.test"]));
    let (renewed, fleet) = (server(&["c.test", "b.test"]), server(&["b.test"]));
    for version in VERSIONS {
        // A name that no identity has, and none at all.
        for name in ["some-longer.name.test", "127.0.0.1"] {
            let client = || world.client(version).asking_for(name);
            for (next, expected) in [(&other, false), (&renewed, true), (&fleet, true)] {
                let client = client();
                assert!(!client.resumes(&one));
                assert_eq!(client.resumes(next), expected, "{version:?} {name}");
            }
        }
    }
}

#[test]
fn services_with_different_session_contexts_never_resume_each_others_sessions() {
    let world = World::new();
    let server = |context| {
        let keys = Some(keys(b"k", crate::clock::unix_now()));
        world.server(&sessions(Resumption::Auto), View { context, keys, ..view() })
    };
    let (one, same, other, none) =
        (server([1; 32]), server([1; 32]), server([2; 32]), server([0; 32]));
    for version in VERSIONS {
        for (next, expected) in [(&same, true), (&other, false), (&none, false)] {
            let client = world.client(version);
            assert!(!client.resumes(&one));
            assert_eq!(client.resumes(next), expected, "{version:?}");
        }
    }
}
