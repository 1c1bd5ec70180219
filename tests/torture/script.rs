//! The sequence of changes that a seed stands for, and what must hold when it pauses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::{certreload_health as Health, certreload_watch_state as WatchState};
use certreload::testing::{break_watch, mend_watch};

use crate::changes::{Bad, Good, Ground};
use crate::history::History;
use crate::mounts::{self, Mounts};
use crate::support::certificates::{Authority, Pair, Writer};
use crate::support::driver::Driver;
use crate::support::host::{Builder, Host};
use crate::told;

/// The names of all identities. The first [`LOCAL`] are on local file systems, the others on those of [`Mounts`].
pub const NAMES: [&str; LOCAL + mounts::COUNT] =
    ["a.test", "b.test", "c.test", "hangs.test", "slow.test"];
pub const LOCAL: usize = 3;

/// A good state is live within this, whatever came before: ten polls of the slower handle.
const BOUND: Duration = Duration::from_secs(2);
/// The same where the watch broke meanwhile: the kernel takes seconds to close an inotify descriptor
/// on a busy machine, and the worker waits for it.
const BOUND_AFTER_A_BREAK: Duration = Duration::from_secs(20);
const POLL_MS: [u32; 2] = [200, 25];
/// Longer than any writer pauses: to a poll nothing else tells that a writer is done, and neither to
/// the notified handle, of a writer that has begun before its file was watched.
const QUIET_MS: u32 = 100;

/// A handle, and how far each identity's history is known to be served by it.
#[derive(Clone)]
pub struct Side {
    pub host: Arc<Host>,
    pub live: Arc<[AtomicUsize; NAMES.len()]>,
    /// Whether it may have taken a file that its writer has not closed: somebody asked for what is
    /// there, or for the notified one the watch broke, since the last time that all was well.
    pub may_be_cut: Arc<AtomicBool>,
}

impl Side {
    /// Who asks is answered for what is there. Of a writer that began before the way to its file was
    /// followed, just after a directory or a link was swapped, the kernel has told nobody.
    fn is_asked(&self) {
        self.may_be_cut.store(true, Ordering::SeqCst);
    }
}

/// One identity's files, and what they hold.
struct Target {
    ground: Ground,
    history: Arc<History>,
    /// The last pair that was whole on disk, and the one before it.
    current: Pair,
    before: Pair,
    is_good: bool,
}

pub struct Script {
    random: Random,
    authority: Authority,
    targets: Vec<Target>,
    sides: Vec<Side>,
    steps: u64,
    counts: BTreeMap<&'static str, u64>,
    /// Whether the watch broke since the last rest.
    broke: bool,
    is_broken: bool,
    waits: [Vec<Duration>; 2],
    /// After the handles, which are closed before the mounts end. `None` if there is no FUSE here.
    mounts: Option<Mounts>,
}

impl Script {
    pub fn new(seed: u64) -> Self {
        let authority = Authority::new();
        let target = |name: &&str| {
            let first = authority.issue(&[name]);
            let history = Arc::new(History::default());
            history.push(&first);
            let ground = Ground::new(&first);
            Target { ground, history, current: first.clone(), before: first, is_good: true }
        };
        let targets: Vec<_> = NAMES[..LOCAL].iter().map(target).collect();
        let mounts = Mounts::new(&authority);
        let options = || options(&targets, mounts.as_ref());
        let notified = options().poll_ms(POLL_MS[0]).open();
        let polled = options().watch(Watch::Poll).poll_ms(POLL_MS[1]).open();
        notified.set_callback(Some(told::count::<0>));
        polled.set_callback(Some(told::count::<1>));
        let side =
            |host| Side { host: Arc::new(host), live: Arc::default(), may_be_cut: Arc::default() };
        Self {
            random: Random(seed),
            authority,
            targets,
            sides: vec![side(notified), side(polled)],
            steps: 0,
            counts: BTreeMap::new(),
            broke: false,
            is_broken: false,
            waits: Default::default(),
            mounts,
        }
    }

    pub fn hosts(&self) -> Vec<Side> {
        self.sides.clone()
    }

    pub fn histories(&self) -> Vec<Arc<History>> {
        let local = self.targets.iter().map(|target| target.history.clone());
        local.chain(self.mounts.iter().flat_map(Mounts::histories)).collect()
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// One change. What it is depends on the seed alone.
    pub fn step(&mut self) {
        self.steps += 1;
        let target = self.random.below(LOCAL);
        let what = match (self.random.below(100), &mut self.mounts) {
            (40..=51, Some(mounts)) => mounts.step(&mut self.random, &self.authority),
            (0..=51, _) => self.renew(target),
            (52..=55, _) => self.restore(target),
            (56..=74, _) => self.spoil(target),
            (75..=80, _) => self.touch(target),
            (81..=84, _) => self.toggle_watch(),
            (85..=90, _) => self.request(),
            (91..=94, _) => self.request_and_wait(),
            (95..=96, _) => self.open_another(),
            _ => "rests",
        };
        *self.counts.entry(what).or_default() += 1;
        let pause = self.random.below(12);
        if what == "rests" || self.steps.is_multiple_of(40) {
            self.come_to_rest();
        } else if pause > 4 {
            // The pace of the writers, and not a wait for anything.
            thread::sleep(Duration::from_millis(pause as u64 - 4));
        }
    }

    fn renew(&mut self, index: usize) -> &'static str {
        let all = Good::all();
        let way = all[self.random.below(all.len())];
        let keeps_key = self.random.below(4) == 0;
        let names_lost = index == 0 && self.random.below(10) == 0;
        let names = if names_lost { ["other.test"] } else { [NAMES[index]] };
        let target = &mut self.targets[index];
        let next = if keeps_key {
            self.authority.renew(&target.current, &names)
        } else {
            self.authority.issue(&names)
        };
        target.put(way, next);
        if names_lost { "pairs of another host" } else { "renewals" }
    }

    /// The pair before the current one comes back, as from a backup.
    fn restore(&mut self, index: usize) -> &'static str {
        let target = &mut self.targets[index];
        let way = [Good::Files(Writer::Rename), Good::Volume][self.random.below(2)];
        let before = target.before.clone();
        target.put(way, before);
        "older pairs restored"
    }

    fn spoil(&mut self, index: usize) -> &'static str {
        let how = Bad::ALL[self.random.below(Bad::ALL.len())];
        let target = &mut self.targets[index];
        target.ground.spoil(how, &target.current, &self.authority, NAMES[index]);
        target.is_good = false;
        "bad states"
    }

    fn touch(&mut self, index: usize) -> &'static str {
        let (path, mode) = {
            let ground = &self.targets[index].ground;
            let path = if self.random.below(2) == 0 { ground.chain() } else { ground.key() };
            (path, [0o600, 0o640, 0o644][self.random.below(3)])
        };
        // Where there is no file there is nothing to touch. A FIFO would block whoever opens it.
        if path.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(self.steps);
            fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        "touches and modes"
    }

    fn toggle_watch(&mut self) -> &'static str {
        if self.random.below(2) == 0 {
            self.sides[0].may_be_cut.store(true, Ordering::SeqCst);
            break_watch();
            (self.broke, self.is_broken) = (true, true);
            "watch broken"
        } else {
            mend_watch();
            self.is_broken = false;
            "watch mended"
        }
    }

    fn request(&mut self) -> &'static str {
        let side = self.random.below(2);
        self.sides[side].is_asked();
        for _ in 0..=self.random.below(20) {
            self.sides[side].host.reload();
        }
        "requests"
    }

    fn request_and_wait(&mut self) -> &'static str {
        let side = self.random.below(2);
        self.sides[side].is_asked();
        let limit = u32::try_from(self.random.below(40)).unwrap();
        self.sides[side].host.reload_wait_ms(limit);
        "requests waited for"
    }

    fn open_another(&mut self) -> &'static str {
        // It is refused while a pair is bad.
        let begun = Instant::now();
        drop(options(&self.targets, self.mounts.as_ref()).poll_ms(10).try_open());
        assert!(begun.elapsed() < BOUND + mounts::ANSWER_TIMEOUT, "{:?}", begun.elapsed());
        "handles opened and closed"
    }

    /// Pauses until every good state is live, and looks that what must hold holds.
    pub fn come_to_rest(&mut self) {
        let bound = if self.broke { BOUND_AFTER_A_BREAK } else { BOUND };
        for side in &self.sides {
            let begun = Instant::now();
            for (index, target) in self.targets.iter().enumerate().filter(|(_, one)| one.is_good) {
                let serves = || side.host.identity_sha256(index) == target.current.sha256;
                while !serves() {
                    let status = side.host.status();
                    let outcome = (status.last_result, status.watch, status.health);
                    let name = NAMES[index];
                    let waited = begun.elapsed();
                    assert!(waited < bound, "{name} is good and not live: {outcome:?}");
                    thread::sleep(Duration::from_micros(500));
                }
                // A pair that was there before and came back may be what is served from then: what
                // was on disk in between can still follow.
                let live = target.history.find(&target.current.sha256, 0).unwrap();
                side.live[index].store(live, Ordering::SeqCst);
            }
            self.waits[usize::from(self.broke)].push(begun.elapsed());
            if let Some(mounts) = &self.mounts {
                mounts.check(side, bound);
            }
            if self.targets.iter().all(|target| target.is_good) {
                let begun = Instant::now();
                let answer = side.host.reload_wait();
                assert!(begun.elapsed() < bound + mounts::ANSWER_TIMEOUT, "{:?}", begun.elapsed());
                let hangs = self.mounts.as_ref().is_some_and(Mounts::hangs);
                let is_good = match answer {
                    Outcome::Ok | Outcome::Unchanged => !hangs,
                    Outcome::TimedOut => hangs,
                    _ => false,
                };
                assert!(is_good, "{answer:?}, hangs: {hangs}");
                for index in 0..LOCAL {
                    assert_eq!(side.host.identity_status(index).health, Health::Ok);
                }
                let is_watched =
                    side.host.status().watch != WatchState::Degraded && !self.is_broken;
                side.may_be_cut.fetch_and(!is_watched, Ordering::SeqCst);
            }
        }
        self.broke = false;
    }

    /// Makes every state good, and waits until it is live, and the watch as it should be.
    pub fn put_all_right(&mut self) {
        mend_watch();
        self.is_broken = false;
        for (index, name) in NAMES[..LOCAL].iter().enumerate() {
            let next = self.authority.issue(&[name]);
            self.targets[index].put(Good::Files(Writer::Rename), next);
        }
        if let Some(mounts) = &mut self.mounts {
            mounts.put_all_right(&self.authority);
        }
        self.come_to_rest();
        assert!(self.sides.iter().all(|side| side.host.status().health == Health::Ok));
        let begun = Instant::now();
        while self.sides[0].host.status().watch != WatchState::Notified {
            assert!(begun.elapsed() < BOUND_AFTER_A_BREAK, "the watch is not restored");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was done and told, in words.
    pub fn end(mut self) -> String {
        let mut words = format!("{} changes:", self.steps);
        for (what, count) in &self.counts {
            write!(words, " {count} {what};").unwrap();
        }
        for (waits, when) in self.waits.iter_mut().zip(["", " after the watch broke"]) {
            waits.sort_unstable();
            let Some(most) = waits.last() else { continue };
            let (count, middle) = (waits.len(), waits[waits.len() / 2]);
            write!(
                words,
                "\n{count} times at rest{when}: live within {middle:.1?} (median), {most:.1?} (most)"
            )
            .unwrap();
        }
        words += &told::in_words(self.steps);
        words
    }
}

impl Target {
    fn put(&mut self, way: Good, pair: Pair) {
        // Before: it may be served as soon as its last byte is there.
        self.history.push(&pair);
        self.ground.write(way, &pair);
        self.before = std::mem::replace(&mut self.current, pair);
        self.is_good = true;
    }
}

fn options(targets: &[Target], mounts: Option<&Mounts>) -> Builder {
    let options = Builder::new().debounce_ms(QUIET_MS, 250);
    let options = targets.iter().fold(options, |options, target| {
        options.identity(&target.ground.chain(), &target.ground.key())
    });
    let Some(mounts) = mounts else { return options };
    // Without that thread, a mount that hangs blocks the passes of a host.
    let is_host = Driver::of_this_run() == Driver::Host;
    mounts.add_to(if is_host { options.reader_thread() } else { options })
}

/// Numbers that a seed stands for (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        let mut state = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0 = state;
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((state ^ (state >> 31)) >> 33).unwrap() % limit
    }
}
