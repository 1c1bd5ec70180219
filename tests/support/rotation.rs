//! One row of the rotation table: a writer renews a pair several times while a client connects all
//! the time, and what is served, told and counted must be right at every moment.

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use certreload::ffi::event::{certreload_event_kind as Kind, certreload_trigger as Trigger};
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;
use certreload::ffi::status::certreload_health as Health;

use super::certificates::{Authority, Pair, Site};
use super::driver::Driver;
use super::host::{Builder, Host};
use super::shapes::Shape;
use super::witness::{EndOf, Ledger, trusting};
use super::writers::Writer;

pub const NAME: &str = "a.test";
/// So rarely that only the kernel's notification, or a request, can have found a change.
pub const NEVER: u32 = 86_400_000;

/// The quiet time where only it tells that a writer is done: longer than any of them pauses, or is
/// kept from running on a busy machine.
const PAUSE_MS: u32 = 100;

/// Each failure may have waited long: a few of them tell enough.
const ENOUGH_FAILURES: usize = 8;

/// What makes the host look at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finder {
    /// The kernel's notifications; the poll practically never comes.
    Notification,
    /// The poll alone.
    Polling,
    /// Requests, which rain down while the writer writes (scenario 29); nothing else.
    Request,
    /// Notifications that break and come back while the writers write, and a poll.
    Failing,
}

impl Finder {
    pub fn options(self, site: &Site) -> Builder {
        self.tuned(Builder::new().identity(&site.chain(), &site.key()))
    }

    /// These options, so that nothing else makes the host look.
    pub fn tuned(self, options: Builder) -> Builder {
        // The timeout is one that no row reaches: whatever fails before it is a failure.
        let quiet = |quiet_ms| options.debounce_ms(quiet_ms, 60_000);
        match self {
            Self::Notification => quiet(10).poll_ms(NEVER),
            Self::Polling => quiet(PAUSE_MS).watch(Watch::Poll).poll_ms(15),
            Self::Request => quiet(10).watch(Watch::Off),
            Self::Failing => quiet(PAUSE_MS).poll_ms(40),
        }
    }

    fn expects(self, trigger: Trigger) -> bool {
        match self {
            Self::Notification => trigger == Trigger::Watch,
            Self::Polling => trigger == Trigger::Poll,
            Self::Request => trigger == Trigger::Request,
            Self::Failing => matches!(trigger, Trigger::Watch | Trigger::Poll),
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub writer: Writer,
    pub shape: Shape,
    pub finder: Finder,
    pub driver: Driver,
}

impl Row {
    /// Whether the host may catch a file that is not written to its end, and reload once more for the rest.
    ///
    /// Who asks is given what is there, unless the kernel tells that a writer has the file open; and
    /// here it tells nothing. Whatever is found in another way has been found twice. But a chain that
    /// ends early, at a certificate's end, is served in no case: the one before it was longer.
    fn may_be_cut(self) -> bool {
        self.writer.shows_halves() && self.finder == Finder::Request
    }

    /// Renews `renewals` times; gives the number of handshakes that a client made meanwhile.
    pub fn run(self, authority: &Authority, renewals: u64) -> usize {
        let first = authority.issue(&[NAME]);
        let mut site = Site::shaped(self.writer, self.shape, &first);
        self.run_on(&mut site, first, authority, renewals)
    }

    /// The same on a site that has been laid out and holds `first`.
    pub fn run_on(
        self,
        site: &mut Site,
        first: Pair,
        authority: &Authority,
        renewals: u64,
    ) -> usize {
        let host = self.finder.options(site).driven_by(self.driver).open();
        let ledger = Ledger::default();
        ledger.begin(&first);
        let clients = trusting(authority);
        thread::scope(|scope| {
            let witness = scope.spawn(|| ledger.witness(&host, &clients, NAME, true));
            let end = EndOf(&ledger);
            let mut last = first;
            for renewal in 1..=renewals {
                // Every third time the key stays, as with clients that reuse their keys.
                last = match renewal % 3 {
                    0 => authority.renew(&last, &[NAME]),
                    _ => authority.issue(&[NAME]),
                };
                ledger.begin(&last);
                self.renew(site, &host, &last);
                ledger.is_live();
                if !self.may_be_cut() {
                    let number = host.status().generation;
                    assert_eq!(number, renewal + 1, "one reload a renewal");
                }
            }
            drop(end);
            witness.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.check(&host, &last, renewals);
        });
        ledger.handshakes()
    }

    /// Lets the writer write, and waits until `pair` is served.
    fn renew(self, site: &mut Site, host: &Host, pair: &Pair) {
        if self.finder != Finder::Request {
            site.renew(pair);
            host.wait_until_loaded(pair);
            return;
        }
        thread::scope(|scope| {
            let writing = scope.spawn(|| site.renew(pair));
            while !writing.is_finished() {
                host.reload();
                thread::sleep(Duration::from_micros(500));
            }
        });
        // It answers for the files as they are now, whatever was read before (G6).
        let answer = host.reload_wait();
        assert!(matches!(answer, Outcome::Ok | Outcome::Unchanged), "{answer:?}");
        assert_eq!(host.sha256(), pair.sha256, "not served when the request was answered");
    }

    /// What must hold in the end.
    fn check(self, host: &Host, last: &Pair, renewals: u64) {
        let answer = host.reload_wait();
        assert!(self.may_be_cut() || answer == Outcome::Unchanged, "{answer:?}");
        let status = host.status();
        host.recorder.wait_for_generation(status.generation);
        let seen = host.recorder.all();
        assert_eq!(host.shown(NAME), last.into(), "what is served is not what is on disk");
        assert_eq!((status.health, status.failures), (Health::Ok, 0), "{seen:#?}");
        let reloads: Vec<_> = seen.iter().filter(|seen| seen.kind == Kind::Reloaded).collect();
        assert_eq!(reloads.len() as u64, status.generation, "{seen:#?}");
        let more = if self.may_be_cut() { 2 * renewals } else { renewals };
        assert!((renewals..=more).contains(&status.reloads), "{seen:#?}");
        let expected = |seen: &&super::host::Seen| self.finder.expects(seen.trigger);
        assert!(reloads[1..].iter().copied().all(|seen| expected(&seen)), "{seen:#?}");
        assert!(seen.iter().all(|seen| seen.kind != Kind::ReloadFailed), "{seen:#?}");
        if self.finder != Finder::Failing {
            assert_eq!(seen.len(), reloads.len(), "nothing but reloads is told: {seen:#?}");
        }
    }
}

/// Runs rows, a few at a time; names those that failed.
pub fn run_all(rows: &[Row], authority: &Authority, renewals: u64) {
    let what = format!("rows of {renewals} renewals");
    run_each(&what, rows, |row| row.run(authority, renewals));
}

/// Runs each of `rows`, a few at a time, and counts the handshakes; names those that failed.
pub fn run_each<T: Debug + Sync>(what: &str, rows: &[T], run: impl Fn(&T) -> usize + Sync) {
    let begun = Instant::now();
    let (next, handshakes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
            if failed.lock().unwrap().len() >= ENOUGH_FAILURES {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(row))) {
                Ok(made) => drop(handshakes.fetch_add(made, Ordering::SeqCst)),
                Err(panic) => {
                    failed.lock().unwrap().push(format!("{row:?}: {}", words_of(&*panic)));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let (count, seconds) = (rows.len(), begun.elapsed().as_secs_f64());
    println!("{count} {what}: {} handshakes, {seconds:.1} s", handshakes.into_inner());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} rows failed:\n{}", failed.len(), failed.join("\n"));
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned()
}
