//! Keys of a file, which several processes share.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::peers::{VERSIONS, World, keys, sessions, view};
use crate::clock;
use crate::options::Resumption;
use crate::pki::{TicketFile, TicketKeys};
use crate::tls::sessions::View;

fn with_keys(bytes: &[u8]) -> View {
    View { keys: Some(keys(bytes, clock::unix_now())), ..view() }
}

/// A server of another process: TLS 1.2 has ids besides tickets, and they are of no use there.
fn elsewhere(world: &World, bytes: &[u8]) -> Arc<ServerConfig> {
    world.server(&sessions(Resumption::Auto), with_keys(bytes))
}

#[test]
fn processes_with_the_same_keys_resume_one_anothers_sessions() {
    let world = World::new();
    let (one, other) = (elsewhere(&world, b"a"), elsewhere(&world, b"a"));
    let stranger = elsewhere(&world, b"b");
    let trust = View { trust: [2; 32], ..with_keys(b"a") };
    let distrusting = world.server(&sessions(Resumption::Auto), trust);
    for version in VERSIONS {
        let client = world.client(version);
        assert!(!client.resumes(&one));
        assert!(client.resumes(&other), "{version:?}");
        assert!(client.resumes(&one), "{version:?}: and back");
        assert!(!client.resumes(&stranger), "{version:?}");
        assert!(!world.client(version).resumes(&one));
        assert!(!client.resumes(&one) && !client.resumes(&distrusting), "{version:?} (G13)");
    }
}

#[test]
fn an_old_ticket_works_while_its_key_is_listed_and_the_first_key_makes_new_ones() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let before = world.server(&sessions, with_keys(b"a"));
    let rotated = world.server(&sessions, with_keys(b"ba"));
    let done = world.server(&sessions, with_keys(b"cb"));
    let alone = world.server(&sessions, with_keys(b"c"));
    for version in VERSIONS {
        let (client, late) = (world.client(version), world.client(version));
        assert!(!client.resumes(&before) && !late.resumes(&before));
        assert!(client.resumes(&rotated), "{version:?}");
        assert!(client.resumes(&done), "{version:?}: its new ticket is of the first key");
        assert!(!late.resumes(&done), "{version:?}: its key is not listed any more");
        assert!(late.resumes(&alone), "{version:?}");
    }
}

#[test]
fn a_key_makes_tickets_for_twice_its_lifetime_and_takes_them_for_as_long_as_it_is_listed() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let now = clock::unix_now();
    let of_age = |age: i64, lifetime: u64| {
        let key_lifetime = Duration::from_secs(lifetime);
        let keys = Some(keys(b"a", now - age));
        world.server(&sessions, View { keys, key_lifetime, ..view() })
    };
    let (young, old) = (of_age(0, 100), of_age(150, 100));
    let (too_old, unlimited) = (of_age(200, 100), of_age(1_000_000, 0));
    for version in VERSIONS {
        let client = world.client(version);
        assert!(!client.resumes(&young));
        assert!(client.resumes(&old) && client.resumes(&unlimited), "{version:?}");
        assert!(client.resumes(&too_old), "{version:?}");
        let client = world.client(version);
        assert!(!client.resumes(&old) && client.resumes(&elsewhere(&world, b"a")), "{version:?}");
        let client = world.client(version);
        assert!(!client.resumes(&too_old));
        assert!(!client.resumes(&elsewhere(&world, b"a")), "{version:?}: it has no ticket");
    }
}

#[test]
fn invalidating_distrusts_all_keys_that_were_ever_loaded_until_the_file_holds_others() {
    let (world, sessions) = (World::new(), sessions(Resumption::Auto));
    let server = world.server(&sessions, with_keys(b"ab"));
    drop(world.server(&sessions, with_keys(b"c")));
    sessions.invalidate().unwrap();
    for version in VERSIONS {
        let client = world.client(version);
        assert!(!client.resumes(&server));
        assert!(!client.resumes(&elsewhere(&world, b"ab")), "{version:?}: it has no ticket");
        assert!(!client.resumes(&server), "{version:?}: and one of elsewhere is of no use");
        // The third came and went before.
        for (bytes, works) in [(&b"ab"[..], false), (b"b", false), (b"ca", false), (b"da", true)] {
            let server = world.server(&sessions, with_keys(bytes));
            let client = world.client(version);
            assert!(!client.resumes(&server));
            assert_eq!(client.resumes(&elsewhere(&world, bytes)), works, "{version:?} {bytes:?}");
        }
    }
    sessions.invalidate().unwrap();
    let server = world.server(&sessions, with_keys(b"a"));
    let client = world.client(VERSIONS[1]);
    assert!(!client.resumes(&server) && !client.resumes(&server), "nothing is forgiven");
}

#[test]
fn an_old_ticket_is_of_no_use_once_its_key_is_distrusted() {
    let world = World::new();
    for version in VERSIONS {
        let sessions = sessions(Resumption::Auto);
        let old = world.server(&sessions, with_keys(b"a"));
        let client = world.client(version);
        assert!(!client.resumes(&old) && client.resumes(&old));
        sessions.invalidate().unwrap();
        let new = world.server(&sessions, with_keys(b"ba"));
        assert!(!client.resumes(&new), "{version:?}: although the file has the key");
        assert!(client.resumes(&new), "{version:?}: by the new key");
    }
}

#[test]
fn g17_so_many_keys_are_remembered_at_most_and_the_latest_are() {
    let sessions = sessions(Resumption::Auto);
    let file = |number: u8| {
        let key = |index: u8| [&[0xff, number, index][..], &[0; 45]].concat();
        let bytes: Vec<u8> = (0..64).flat_map(key).collect();
        let path = "keys".as_ref();
        let file = TicketFile { path, bytes: &bytes, is_readable_by_others: false, modified: 0 };
        TicketKeys::new(&file, 0, None).unwrap()
    };
    let distrusts = |number| {
        let keys = file(number);
        keys.keys().iter().filter(|key| sessions.distrusts(&key.name)).count()
    };
    (0..64).for_each(|number| sessions.remember(&file(number)));
    // Again, and so among the latest, and not twice.
    (0..3).for_each(|_| sessions.remember(&file(0)));
    sessions.invalidate().unwrap();
    assert_eq!((0..64).map(distrusts).sum::<usize>(), 64 * 64);
    sessions.remember(&file(64));
    sessions.invalidate().unwrap();
    assert_eq!([0, 1, 2, 63, 64].map(distrusts), [64, 0, 64, 64, 64]);
}
