//! Files on a slow mount that are links to a mount that hangs.

use std::os::unix::fs::symlink;

use certreload::ffi::event::certreload_event_kind as Kind;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;

use super::alone::{Needs, alone};
use super::fuse::Fuse;
use super::support::certificates::Pair;
use super::support::driver::Driver;
use super::{Good, HUNG, builder, wait_for_health};

const SLOW: &str = "slow.test";
/// A read makes so many requests that its mount counts as slow, and gets a reader.
const DELAY_MS: u32 = 8;

/// The reader of the slow mount hangs on the other one. The slow mount gets another reader.
#[test]
fn g21_a_link_to_a_mount_that_hangs_does_not_delay_the_mount_of_the_link() {
    alone(Needs::Mounts, || {
        let Some(mut fuse) = Fuse::mount(2) else { return };
        let mut good = Good::new(Driver::Threads);
        fuse.put(0, &Pair::new(&[HUNG]));
        fuse.put(1, &Pair::new(&[SLOW]));
        for name in ["chain", "key"] {
            let target = fuse.path(0, &format!("{name}.pem"));
            symlink(target, fuse.path(1, &format!("{name}-link.pem"))).unwrap();
        }
        let host = builder(Driver::Threads)
            .identity(&good.site.chain(), &good.site.key())
            .identity(&fuse.path(1, "chain.pem"), &fuse.path(1, "key.pem"))
            .identity(&fuse.path(1, "chain-link.pem"), &fuse.path(1, "key-link.pem"))
            .open();
        fuse.slow(1, DELAY_MS);
        let renew = |fuse: &Fuse| {
            let next = Pair::new(&[SLOW]);
            fuse.put_behind(1, &next);
            // However slow a busy machine is: if the reads of the mount wait for the other one, this never ends.
            host.wait_until_served(SLOW, &next.sha256);
        };
        renew(&fuse);
        fuse.hang(0, "all");
        fuse.wait_until_hung(0);
        renew(&fuse);
        good.works_beside(&host);
        let failure = host.recorder.wait_for_failures(1).remove(0);
        assert_eq!(failure.result, Outcome::TimedOut, "{failure:?}");
        renew(&fuse);
        assert_eq!(host.identity_status(1).health, Health::Ok);
        fuse.release(0);
        wait_for_health(&host, 2, Health::Ok);
        assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), 1, "of the mount that hangs");
    });
}
