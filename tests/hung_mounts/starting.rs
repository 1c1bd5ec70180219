//! A start while a mount hangs: the handle opens without the identities that are there.

use std::time::Instant;

use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::options::start::{certreload_options_set_start, certreload_start};
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;

use super::alone::{Needs, alone};
use super::fuse::Fuse;
use super::support::certificates::Pair;
use super::support::driver::Driver;
use super::{ANSWER_TIMEOUT, Good, HUNG, SOON, builder, soon, wait_for_health};

/// How many identities are on the mount: waiting for each of them would take minutes.
const COUNT: usize = 40;

fn starts_without_the_mount(driver: Driver) {
    let Some(mut fuse) = Fuse::mount(1) else { return };
    let mut good = Good::new(driver);
    let pair = Pair::new(&[HUNG]);
    fuse.put(0, &pair);
    let (chain, key) = (fuse.path(0, "chain.pem"), fuse.path(0, "key.pem"));
    let options = || {
        let with_all = (0..COUNT).fold(builder(driver), |all, _| all.identity(&chain, &key));
        let options = with_all.identity(&good.site.chain(), &good.site.key());
        // SAFETY: live options.
        let result =
            unsafe { certreload_options_set_start(options.0, certreload_start::Available as u32) };
        assert_eq!(result, Outcome::Ok);
        options
    };
    fuse.hang(0, "open");
    let begun = Instant::now();
    let host = options().open();
    println!("opened: {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < ANSWER_TIMEOUT + SOON, "{:?}", begun.elapsed());
    fuse.wait_until_hung(0);
    for failure in host.recorder.wait_for_failures(COUNT) {
        assert_eq!(failure.result, Outcome::TimedOut, "{failure:?}");
    }
    assert_eq!(host.identity_status(0).health, Health::Missing);
    assert_eq!(host.identity_status(COUNT).health, Health::Ok);
    good.works_beside(&host);
    soon("  reload_wait", || assert_eq!(host.reload_wait(), Outcome::TimedOut));
    fuse.release(0);
    for index in 0..=COUNT {
        wait_for_health(&host, index, Health::Ok);
    }
    assert_eq!(host.served(HUNG), pair.sha256);
    assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), COUNT, "each is reported once");
    let next = Pair::new(&[HUNG]);
    fuse.put(0, &next);
    host.wait_until_served(HUNG, &next.sha256);
}

#[test]
fn g21_a_handle_starts_without_the_identities_on_a_mount_that_hangs() {
    alone(Needs::Mounts, || starts_without_the_mount(Driver::Threads));
}

#[test]
fn g21_a_handle_starts_without_a_mount_that_hangs_with_a_reader_thread() {
    alone(Needs::Mounts, || starts_without_the_mount(Driver::Host));
}
