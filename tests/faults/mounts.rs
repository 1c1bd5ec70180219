//! File systems mounted, unmounted and mounted over; and one that tells of no change.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::{certreload_health as Health, certreload_watch_state as WatchState};

use super::alone::{Needs, alone};
use super::support::certificates::{Pair, Site, Writer, replace, write_private};
use super::support::host::Host;
use super::{Kind, NAME, NEVER, Trigger, identity, notifications_are_back, options, renew};

#[test]
fn g1_a_directory_that_is_mounted_over_and_unmounted_again_is_followed() {
    alone(Needs::Mounts, || {
        let (below, above) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
        let mut site = Site::plain(&below);
        let live = site.path("live");
        let host = options(&site).poll_ms(100).debounce_ms(0, 300).open();
        for round in 1..=2 {
            // Empty: the kernel tells of no mount, and the files are missing.
            mount(&["-t", "tmpfs", "tmpfs"], &live);
            let failure = host.recorder.wait_for_failures(round).remove(round - 1);
            assert_eq!(failure.result, Outcome::FileNotFound, "{failure:?}");
            assert_eq!(host.status().health, Health::Stale);
            assert_eq!(host.served(NAME), below.sha256);
            put(&live, &above);
            host.wait_until_served(NAME, &above.sha256);
            notifications_are_back(&host, &mut site);
            unmount(&live);
            host.wait_until_served(NAME, &below.sha256);
            assert_eq!(host.recorder.of(Kind::ReloadFailed).len(), round);
        }
        notifications_are_back(&host, &mut site);
        assert_eq!(host.status().health, Health::Ok);
        assert_eq!(host.recorder.of(Kind::WatchDegraded).len(), 0);
    });
}

#[test]
fn g1_a_pair_that_is_mounted_over_another_is_found_by_polling() {
    alone(Needs::Mounts, || {
        let (below, above) = (Pair::new(&[NAME]), Pair::new(&[NAME]));
        let site = Site::plain(&below);
        let (live, other) = (site.path("live"), site.path("other"));
        fs::create_dir(&other).unwrap();
        put(&other, &above);
        let host = options(&site).poll_ms(100).open();
        // An interval for the files to grow old in, after which a poll trusts their stamps.
        thread::sleep(Duration::from_secs(3));
        mount(&["--bind", path(&other)], &live);
        let mounted = Instant::now();
        host.wait_until_served(NAME, &above.sha256);
        // Once a minute everything is read, whatever the stamps say.
        assert!(mounted.elapsed() < Duration::from_secs(40), "{:?}", mounted.elapsed());
        unmount(&live);
        host.wait_until_served(NAME, &below.sha256);
        // Single files, as container engines mount them.
        mount(&["--bind", path(&other.join("chain.pem"))], &site.chain());
        mount(&["--bind", path(&other.join("key.pem"))], &site.key());
        host.wait_until_served(NAME, &above.sha256);
        // Written at the other end of the mount, in place: a rename would leave the mount as it is.
        let next = Pair::new(&[NAME]);
        write_private(&other.join("chain.pem"), &next.chain);
        write_private(&other.join("key.pem"), &next.key);
        host.wait_until_served(NAME, &next.sha256);
        only_reloads(&host);
    });
}

#[test]
fn g1_a_file_system_that_is_unmounted_is_missed_at_once_and_its_return_is_found() {
    alone(Needs::Mounts, || {
        let first = Pair::new(&[NAME]);
        let site = Site::plain(&first);
        let volume = site.path("volume");
        fs::create_dir(&volume).unwrap();
        mount(&["-t", "tmpfs", "tmpfs"], &volume);
        fs::create_dir(volume.join("a")).unwrap();
        put(&volume.join("a"), &first);
        let (chain, key) = (volume.join("a/chain.pem"), volume.join("a/key.pem"));
        let notified = identity(&chain, &key).poll_ms(NEVER).debounce_ms(0, 100).open();
        let polling = identity(&chain, &key).poll_ms(100).debounce_ms(0, 100).open();
        // Our watch does not keep it busy, and ends with it.
        unmount(&volume);
        let failure = notified.recorder.wait_for_failures(1).remove(0);
        assert_eq!((failure.result, failure.trigger), (Outcome::FileNotFound, Trigger::Watch));
        polling.recorder.wait_for_failures(1);
        assert_eq!(polling.served(NAME), first.sha256);
        // It comes back with other content, and of that the kernel tells nobody.
        let (next, elsewhere) = (Pair::new(&[NAME]), site.path("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        mount(&["-t", "tmpfs", "tmpfs"], &elsewhere);
        fs::create_dir(elsewhere.join("a")).unwrap();
        put(&elsewhere.join("a"), &next);
        mount(&["--bind", path(&elsewhere)], &volume);
        polling.wait_until_served(NAME, &next.sha256);
        let last = Pair::new(&[NAME]);
        put(&volume.join("a"), &last);
        polling.wait_until_served(NAME, &last.sha256);
        assert_eq!(polling.status().health, Health::Ok);
        assert_eq!(polling.status().watch, WatchState::Notified);
        // What one handle finds by polling, the others who follow the same path are told.
        notified.wait_until_served(NAME, &last.sha256);
    });
}

#[test]
fn g1_one_directory_by_two_paths_is_followed_by_both() {
    alone(Needs::Mounts, || {
        let mut site = Site::new(Writer::Rename, &Pair::new(&[NAME]));
        let twin = site.path("twin");
        fs::create_dir(&twin).unwrap();
        mount(&["--bind", path(&site.path("live"))], &twin);
        let one = options(&site).poll_ms(NEVER).open();
        let other = identity(&twin.join("chain.pem"), &twin.join("key.pem")).poll_ms(NEVER).open();
        for round in 0..10 {
            let next = Pair::new(&[NAME]);
            if round % 2 == 0 {
                site.renew(&next);
            } else {
                put(&twin, &next);
            }
            for host in [&one, &other] {
                host.wait_until_served(NAME, &next.sha256);
                only_reloads(host);
            }
        }
        // The watch that they share stays when one of the paths is gone.
        drop(one);
        unmount(&twin);
        mount(&["--bind", path(&site.path("live"))], &twin);
        assert_eq!(other.reload_wait(), Outcome::Unchanged);
        renew(&other, &mut site);
    });
}

#[test]
fn g3_a_read_only_file_system_is_as_good_as_any() {
    alone(Needs::Mounts, || {
        let mut site = Site::plain(&Pair::new(&[NAME]));
        let live = site.path("live");
        mount(&["-t", "tmpfs", "tmpfs"], &live);
        put(&live, &Pair::new(&[NAME]));
        let host = options(&site).poll_ms(NEVER).open();
        for _ in 0..3 {
            mount(&["-o", "remount,bind,ro"], &live);
            assert_eq!(host.reload_wait(), Outcome::Unchanged);
            mount(&["-o", "remount,bind,rw"], &live);
            assert_eq!(renew(&host, &mut site), Trigger::Watch);
        }
        only_reloads(&host);
        drop(host);
        mount(&["-o", "remount,bind,ro"], &live);
        assert_eq!(options(&site).open().status().watch, WatchState::Notified);
    });
}

#[test]
fn g1_a_file_system_without_notifications_is_polled() {
    alone(Needs::Mounts, || {
        let site = Site::plain(&Pair::new(&[NAME]));
        // What is written to the lower layer of an overlay is seen through it, and not told of.
        let stack = site.path("stack");
        fs::create_dir(&stack).unwrap();
        mount(&["-t", "tmpfs", "tmpfs"], &stack);
        let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| {
            fs::create_dir(stack.join(name)).unwrap();
            stack.join(name)
        });
        put(&lower, &Pair::new(&[NAME]));
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        mount(&["-t", "overlay", "overlay", "-o", &layers], &merged);
        let host = identity(&merged.join("chain.pem"), &merged.join("key.pem"))
            .poll_ms(50)
            .debounce_ms(0, 5000)
            .open();
        for renewal in 2..=11 {
            let next = Pair::new(&[NAME]);
            write_private(&lower.join("chain.pem"), &next.chain);
            write_private(&lower.join("key.pem"), &next.key);
            host.wait_until_served(NAME, &next.sha256);
            host.recorder.wait_for_generation(renewal);
        }
        only_reloads(&host);
        let found_by = host.recorder.all().into_iter().skip(1).map(|seen| seen.trigger);
        assert!(found_by.eq([Trigger::Poll; 10]), "{:#?}", host.recorder.all());
    });
}

fn only_reloads(host: &Host) {
    let seen = host.recorder.all();
    assert!(seen.iter().all(|seen| seen.kind == Kind::Reloaded), "{seen:#?}");
}

fn put(directory: &Path, pair: &Pair) {
    replace(&directory.join("chain.pem"), &pair.chain);
    replace(&directory.join("key.pem"), &pair.key);
}

pub(crate) fn mount(arguments: &[&str], target: &Path) {
    run(Command::new("mount").args(arguments).arg(target));
}

fn unmount(target: &Path) {
    run(Command::new("umount").arg(target));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
