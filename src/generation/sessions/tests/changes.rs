//! What a session outlives, and what it does not.

use super::peers::{VERSIONS, World, named, sessions, view};
use crate::generation::sessions::View;
use crate::options::Resumption;

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
