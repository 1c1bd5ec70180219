//! Every cell of the table, and the table in the README.

use std::fs;
use std::path::Path;

use certreload::ffi::sessions::certreload_resumption as Resumption;

use crate::peers::{Guest, Peer, VERSIONS, Version, Visit};
use crate::table::{self, Change, Promise, Row, TABLE};
use crate::world::World;

#[test]
fn g13_g14_auto_keeps_what_the_table_says() {
    holds(Resumption::Auto, &[Peer::Rustls]);
}

#[test]
fn g13_g14_always_reset_keeps_what_the_table_says() {
    holds(Resumption::AlwaysReset, &[Peer::Rustls, Peer::OpenSsl, Peer::Curl]);
}

#[test]
fn g13_g14_off_keeps_nothing() {
    holds(Resumption::Off, &[Peer::Rustls, Peer::OpenSsl, Peer::Curl]);
}

#[test]
fn g13_g14_openssl_is_resumed_served_and_refused_as_the_table_says() {
    holds(Resumption::Auto, &[Peer::OpenSsl]);
}

#[test]
fn g13_g14_gnutls_is_resumed_served_and_refused_as_the_table_says() {
    holds(Resumption::Auto, &[Peer::GnuTls]);
}

#[test]
fn g13_g14_python_is_resumed_served_and_refused_as_the_table_says() {
    holds(Resumption::Auto, &[Peer::Python]);
}

#[test]
fn g13_g14_curl_is_resumed_served_and_refused_as_the_table_says() {
    holds(Resumption::Auto, &[Peer::Curl]);
}

fn holds(resumption: Resumption, peers: &[Peer]) {
    let peers: Vec<_> = peers.iter().copied().filter(|peer| peer.is_here()).collect();
    let broken = TABLE.iter().flat_map(|row| broken_promises(row, resumption, &peers));
    let broken: Vec<_> = broken.collect();
    assert!(broken.is_empty(), "{resumption:?}: {broken:#?}");
}

/// Clients visit, something changes, and they come back.
fn broken_promises(row: &Row, resumption: Resumption, peers: &[Peer]) -> Vec<String> {
    let mut world = World::before(row.change, resumption);
    let [known_before, known_after] = world.known_as().map(ToOwned::to_owned);
    let each = peers.iter().flat_map(|peer| VERSIONS.map(|version| (*peer, version)));
    let visit =
        |(peer, version)| (peer, version, world.visitor(peer, version).visit(&world.server()));
    let mut guests: Vec<_> = each.map(visit).collect();
    world.change();
    let come_back = |(peer, version, guest): &mut (Peer, Version, Guest)| {
        let promise = row.promise(resumption, peer.takes_tickets(*version));
        let second = match promise {
            // Another certificate is shown, and not all take it.
            Promise::Full if row.change == Change::NameLost && peer.checks_names() => {
                Visit::Declined
            }
            Promise::Full => Visit::Full(known_after.clone()),
            Promise::Resumed => Visit::Resumed(known_after.clone()),
            Promise::Refused(alert) => Visit::Refused(alert),
        };
        let expected = [Visit::Full(known_before.clone()), second];
        let seen = [guest.first.clone(), guest.come_back()];
        let told = || format!("{:?}: {peer:?} {version:?}: {seen:?}, not {expected:?}", row.change);
        (seen != expected).then(told)
    };
    guests.iter_mut().filter_map(come_back).collect()
}

const BEGIN: &str = "<!-- the table of tests/resumption/table.rs -->\n\n";
const END: &str = "\n<!-- end of the table -->\n";

/// Run with `CERTRELOAD_BLESS=1` to write it anew.
#[test]
fn the_table_in_the_readme_is_the_one_that_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    if std::env::var_os("CERTRELOAD_BLESS").is_some() {
        let blessed = format!("{before}{BEGIN}{}{END}{after}", table::markdown());
        fs::write(path, blessed).unwrap();
        return;
    }
    assert!(
        table == table::markdown(),
        "README.md is stale: run CERTRELOAD_BLESS=1 cargo test --test resumption readme"
    );
}
