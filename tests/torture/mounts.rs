//! Identities on FUSE mounts, of which one hangs at random and another is slow at random (G21).

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;

use crate::fuse::Fuse;
use crate::history::History;
use crate::script::{LOCAL, NAMES, Random, Side};
use crate::support::certificates::{Authority, Pair};
use crate::support::host::Builder;

pub const COUNT: usize = 2;
/// The mount that hangs and answers again. The other one is slow at times.
pub const HANGS: usize = 0;
const SLOW: usize = 1;

/// How long a file system may not answer before that is reported.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How much later each request gets its answer while the mount is slow.
const DELAY_MS: u32 = 5;
/// What gets no answer. FLUSH is not among these: the test starts programs, and each of them closes the files that a
/// reader has open just then. Starting it would wait for an answer that only the test can allow.
const KINDS: [&str; 5] = ["lookup", "open", "read", "getattr", "lookup open read getattr"];

static MOUNTS: OnceLock<[PathBuf; COUNT]> = OnceLock::new();

/// The mount that `path` is on.
pub fn mount_of(path: &Path) -> Option<usize> {
    MOUNTS.get()?.iter().position(|mount| path.starts_with(mount))
}

pub struct Mounts {
    fuse: Fuse,
    targets: [Target; COUNT],
    hangs: bool,
    is_slow: bool,
}

/// The pair on one mount. There is always a whole one.
struct Target {
    name: &'static str,
    history: Arc<History>,
    current: Pair,
}

impl Mounts {
    /// `None` if this system has no FUSE, which is reported.
    pub fn new(authority: &Authority) -> Option<Self> {
        let fuse = Fuse::mount(COUNT)?;
        MOUNTS.set([HANGS, SLOW].map(|mount| fuse.mounted(mount))).unwrap();
        let targets = [HANGS, SLOW].map(|mount| {
            let name = NAMES[LOCAL + mount];
            let current = authority.issue(&[name]);
            let history = Arc::new(History::default());
            history.push(&current);
            fuse.put(mount, &current);
            Target { name, history, current }
        });
        Some(Self { fuse, targets, hangs: false, is_slow: false })
    }

    /// Adds the identities on the mounts, after the local ones.
    pub fn add_to(&self, options: Builder) -> Builder {
        [HANGS, SLOW].into_iter().fold(options, |options, mount| {
            let path = |name| self.fuse.path(mount, name);
            options.identity(&path("chain.pem"), &path("key.pem"))
        })
    }

    pub fn histories(&self) -> impl Iterator<Item = Arc<History>> {
        self.targets.iter().map(|target| target.history.clone())
    }

    /// Whether there is a mount that hangs now.
    pub fn hangs(&self) -> bool {
        self.hangs
    }

    /// One change of a mount, or of the files on one.
    pub fn step(&mut self, random: &mut Random, authority: &Authority) -> &'static str {
        match random.below(7) {
            0..=1 if self.hangs => {
                self.fuse.release(HANGS);
                self.hangs = false;
                "mounts that answer again"
            }
            0..=1 => {
                self.fuse.hang(HANGS, KINDS[random.below(KINDS.len())]);
                self.hangs = true;
                "mounts hung"
            }
            2..=3 => {
                self.is_slow = !self.is_slow;
                self.fuse.slow(SLOW, if self.is_slow { DELAY_MS } else { 0 });
                if self.is_slow { "mounts slow" } else { "mounts quick again" }
            }
            _ => {
                let (mount, behind) = (random.below(COUNT), random.below(2) == 0);
                if behind || mount == HANGS && self.hangs {
                    self.renew(mount, authority, Fuse::put_behind);
                    "renewals behind a mount"
                } else {
                    self.renew(mount, authority, Fuse::put);
                    "renewals on a mount"
                }
            }
        }
    }

    fn renew(&mut self, mount: usize, authority: &Authority, put: impl Fn(&Fuse, usize, &Pair)) {
        let target = &mut self.targets[mount];
        target.current = authority.issue(&[target.name]);
        // Before: it may be served as soon as its last byte is there.
        target.history.push(&target.current);
        put(&self.fuse, mount, &target.current);
    }

    /// Lets every mount answer at once, and renews the pairs on them.
    pub fn put_all_right(&mut self, authority: &Authority) {
        for mount in [HANGS, SLOW] {
            self.fuse.release(mount);
            self.renew(mount, authority, Fuse::put);
        }
        (self.hangs, self.is_slow) = (false, false);
    }

    /// Waits until the identities on mounts that answer are live. The other one may have failed with `TIMED_OUT` only.
    pub fn check(&self, side: &Side, bound: Duration) {
        let begun = Instant::now();
        for (mount, Target { name, history, current }) in self.targets.iter().enumerate() {
            let index = LOCAL + mount;
            let state = || {
                let status = side.host.identity_status(index);
                (status.health, status.last_result)
            };
            if self.hangs && mount == HANGS {
                let (health, result) = state();
                let is_unanswered = (health, result) == (Health::Stale, Outcome::TimedOut);
                assert!(health == Health::Ok || is_unanswered, "{name}: {health:?}, {result:?}");
                continue;
            }
            let serves = || side.host.identity_sha256(index) == current.sha256;
            while !serves() || state().0 != Health::Ok {
                let waited = begun.elapsed();
                assert!(waited < bound, "{name} answers and is not live: {:?}", state());
                thread::sleep(Duration::from_micros(500));
            }
            let live = history.find(&current.sha256, 0).unwrap();
            side.live[index].store(live, Ordering::SeqCst);
        }
    }
}
