//! The dates of certificates on mounts that answer, while another mount hangs (G20).

use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::status::certreload_health as Health;

use super::alone::{Needs, alone};
use super::fuse::Fuse;
use super::support::certificates::{Pair, Site};
use super::support::clock::{Clock, system_time};
use super::support::driver::Driver;
use super::support::host::Host;
use super::{HUNG, SOON, builder};

/// When the certificate expires, in seconds after the test began. The warning window is the last third.
const EXPIRES: i64 = 9;
const EXPIRING: i64 = 6;

#[test]
fn g21_expiry_is_reported_on_time_while_a_mount_hangs() {
    alone(Needs::Mounts, || {
        for driver in [Driver::Threads, Driver::Host] {
            let Some(mut fuse) = Fuse::mount(1) else { return };
            fuse.put(0, &Pair::new(&[HUNG]));
            let clock = Clock::new();
            let site = Site::plain(&clock.pair(0, EXPIRES));
            let good = || builder(driver).identity(&site.chain(), &site.key());
            let (chain, key) = (fuse.path(0, "chain.pem"), fuse.path(0, "key.pem"));
            let (same, other) = (good().identity(&chain, &key).open(), good().open());
            fuse.hang(0, "all");
            fuse.wait_until_hung(0);
            for host in [&same, &other] {
                must_come_on_time(host, &clock, Kind::Expiring, EXPIRING);
            }
            for host in [&same, &other] {
                must_come_on_time(host, &clock, Kind::Expired, EXPIRES);
                assert_eq!(host.identity_status(0).health, Health::Expired);
            }
            assert_eq!(same.identity_status(1).health, Health::Stale, "it still hangs");
            fuse.release(0);
        }
    });
}

/// The event comes when so many seconds of the test have passed, and not much later.
fn must_come_on_time(host: &Host, clock: &Clock, kind: Kind, seconds: i64) {
    host.recorder.wait_until("a date", |seen| seen.iter().any(|seen| seen.kind == kind));
    let late = system_time() - (clock.opened_at + seconds);
    println!("{kind:?}: {late} s after the date");
    let most = i64::try_from(SOON.as_secs()).unwrap();
    assert!((0..=most).contains(&late), "{kind:?}: {late} s after the date");
}
