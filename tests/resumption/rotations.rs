//! A hundred renewals, and nobody who has to begin anew.

use certreload::ffi::sessions::certreload_resumption as Resumption;

use crate::peers::{Peer, VERSIONS, Visit};
use crate::table::Change;
use crate::world::World;

const ROTATIONS: usize = 100;

#[test]
fn g14_every_session_is_resumed_across_a_hundred_rotations() {
    let mut world = World::before(Change::Certificate, Resumption::Auto);
    let client = world.known_as()[0].to_owned();
    let server = world.server();
    let visitors = |peer: Peer| VERSIONS.map(|version| world.visitor(peer, version));
    let (travellers, residents) = (visitors(Peer::Rustls), visitors(Peer::OpenSsl));
    // With what they got before the first rotation they come back after each.
    let mut residents: Vec<_> =
        residents.iter().filter(|v| v.peer.is_here()).map(|v| v.visit(&server)).collect();
    let (mut resumed, mut visits) = (0, 0);
    for rotation in 0..ROTATIONS {
        // One that was there just before.
        let mut travellers = travellers.each_ref().map(|visitor| visitor.visit(&server));
        world.rotate(rotation % 2 == 0);
        for guest in travellers.iter_mut().chain(&mut residents) {
            visits += 1;
            resumed += usize::from(guest.come_back() == Visit::Resumed(client.clone()));
        }
    }
    assert_eq!((resumed, visits), (visits, ROTATIONS * (travellers.len() + residents.len())));
}
