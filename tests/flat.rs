//! Reloads leave nothing behind (scenario 20): memory, descriptors and threads are what they were. One
//! test, for it measures the process.

#![allow(unsafe_code, reason = "the C functions are called as C would")]
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "that is how a test fails")]

mod support;

use std::ffi::c_void;
use std::io::Write;

use certreload::ffi::event::certreload_event;
use certreload::ffi::result::certreload_result as Outcome;
use support::certificates::{Authority, Pair, Site, Writer};
use support::holdings::Holdings;
use support::host::Host;
use support::rotation::{Finder, NAME};

const RELOADS: u64 = 1_000;

unsafe extern "C" fn pass_over(_: *mut c_void, _: *const certreload_event) {}

/// As many reloads that find nothing as reloads that find another pair.
fn reload(host: &Host, site: &mut Site, pairs: &[Pair], count: u64) {
    let before = host.status();
    for _ in 0..count {
        assert_eq!(host.reload_wait(), Outcome::Unchanged);
    }
    assert_eq!(host.status().generation, before.generation);
    for pair in pairs.iter().cycle().take(usize::try_from(count).unwrap()) {
        site.renew(pair);
        // The kernel's notification may have come first.
        let answer = host.reload_wait();
        assert!(matches!(answer, Outcome::Ok | Outcome::Unchanged), "{answer:?}");
        assert_eq!(host.sha256(), pair.sha256);
        // A client each time: what is held for its sake goes too.
        assert_eq!(host.served(NAME), pair.sha256);
    }
    assert_eq!(host.status().generation, before.generation + count);
}

#[test]
fn scenario_20_a_thousand_reloads_of_nothing_and_a_thousand_real_ones_leave_nothing_behind() {
    let authority = Authority::new();
    let pairs: Vec<_> = (0..5).map(|_| authority.issue(&[NAME])).collect();
    let mut site = Site::new(Writer::Kubernetes, &pairs[4]);
    let host = Finder::Notification.options(&site).open();
    // A recorder would be what grows.
    host.set_callback(Some(pass_over));
    reload(&host, &mut site, &pairs, RELOADS / 2);
    let before = Holdings::at_rest();
    reload(&host, &mut site, &pairs, RELOADS);
    let after = Holdings::at_rest();
    let mut stderr = std::io::stderr();
    writeln!(stderr, "flat: {before}; {RELOADS} reloads of each kind later {after}").unwrap();
    assert_eq!(host.status().generations_alive, 1);
    after.assert_flat_since(&before, 2);
    drop(host);
}
