//! Callers that wait for the result of a reload (G6).
//!
//! Each waiter gets a number. A pass notes the newest number before it reads the first file, and answers only waiters
//! up to it. A caller that came later may have changed files after they were read. A pass over some units answers a
//! waiter only if every unit has been read since that waiter came, so the answer covers all files.
//!
//! An incomplete unit keeps all waiters waiting. Answering "unchanged" in the middle of a renewal would make a deploy
//! script believe that the old certificate is the result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::findings::Outcome;
use crate::error::{Cause, Error};
use crate::sys::Waker;
use crate::sys::{Condvar, Mutex, MutexGuard};

/// The callers that wait, each with a number. Only a pass that began after a waiter registered may answer it, so no
/// answer is about files as they were before the call.
#[derive(Default)]
pub(crate) struct Waiters {
    state: Mutex<WaitersState>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitersState {
    last: u64,
    waiting: BTreeMap<u64, Slot>,
    /// The incomplete unit that the waiters wait for, for the message of a timeout.
    pending: Option<Error>,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    /// Whether a pass has published a generation since the waiter registered. If the pass that answers changes nothing,
    /// the answer is still `Reloaded`.
    published: bool,
    answer: Option<Result<Outcome, Error>>,
    /// Woken when the answer is there, for a caller that polls descriptors instead of blocking here.
    waker: Option<Arc<Waker>>,
}

impl Slot {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

/// The result of a pass, for the waiters that registered before it began.
pub(crate) struct PassAnswer {
    /// The newest waiter that registered before the pass.
    pub(crate) newest: u64,
    /// The newest waiter since whose registration every unit has been read.
    pub(crate) complete: u64,
    /// Whether the pass published a generation. It may have done so although its outcome is a failure of another unit.
    pub(crate) has_published: bool,
    pub(crate) outcome: Result<Outcome, Error>,
    /// Why a unit is incomplete, if one is.
    pub(crate) pending: Option<Error>,
}

/// A registered waiter. Dropping it ends the wait.
pub(crate) struct Waiter<'a> {
    waiters: &'a Waiters,
    number: u64,
    begun: Instant,
    limit: Option<Duration>,
}

impl Waiters {
    /// Registers a waiter, calls `request`, and waits for the answer.
    pub(crate) fn wait(
        &self,
        limit: Option<Duration>,
        request: impl FnOnce(),
    ) -> Result<Outcome, Error> {
        let waiter = self.register(limit, None)?;
        request();
        let mut state = self.state();
        loop {
            if let Some(answer) = waiter.answer_in(&mut state) {
                drop(state);
                return answer;
            }
            state = self.sleep(state, waiter.left());
        }
    }

    /// Registers a waiter that waits for `limit` at most. The answer wakes `waker`.
    pub(crate) fn register(
        &self,
        limit: Option<Duration>,
        waker: Option<Arc<Waker>>,
    ) -> Result<Waiter<'_>, Error> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::new(Cause::Closed));
        }
        state.last += 1;
        let number = state.last;
        state.waiting.insert(number, Slot { waker, ..Slot::default() });
        Ok(Waiter { waiters: self, number, begun: Instant::now(), limit })
    }

    /// Returns whether no caller waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Returns the newest waiter: a pass that begins now answers waiters up to it.
    pub(crate) fn newest(&self) -> u64 {
        self.state().last
    }

    /// Answers the waiters that the pass may answer. While a unit is incomplete, all of them keep waiting for it.
    pub(crate) fn answer(&self, pass: &PassAnswer) {
        let mut state = self.state();
        state.pending.clone_from(&pass.pending);
        for (number, waiter) in state.waiting.range_mut(..=pass.newest) {
            waiter.published |= pass.has_published;
            if *number <= pass.complete && pass.pending.is_none() && waiter.answer.is_none() {
                waiter.answer = Some(match &pass.outcome {
                    Ok(Outcome::Unchanged) if waiter.published => Ok(Outcome::Reloaded),
                    outcome => outcome.clone(),
                });
                waiter.wake();
            }
        }
        self.changed.notify_all();
    }

    /// Ends all waits because the handle is closed. Callers that have no answer yet, and those that come later, get an
    /// error.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.values().for_each(Slot::wake);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, WaitersState> {
        self.state.lock()
    }

    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, WaitersState>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, WaitersState> {
        match limit {
            None => self.changed.wait(state),
            Some(limit) => self.changed.wait_timeout(state, limit),
        }
    }
}

impl Waiter<'_> {
    /// Returns the answer, or why there will be none; `None` if the wait continues.
    pub(crate) fn answer(&self) -> Option<Result<Outcome, Error>> {
        self.answer_in(&mut self.waiters.state())
    }

    /// Returns the rest of the time limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.begun.elapsed()))
    }

    fn answer_in(&self, state: &mut WaitersState) -> Option<Result<Outcome, Error>> {
        let slot = state.waiting.get_mut(&self.number);
        match slot.and_then(|slot| slot.answer.take()) {
            Some(answer) => Some(answer),
            None if state.closed => Some(Err(Error::new(Cause::Closed))),
            None if self.left().is_some_and(|left| left.is_zero()) => {
                Some(Err(timed_out(self.limit.unwrap_or_default(), state.pending.as_ref())))
            }
            None => None,
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiters.state().waiting.remove(&self.number);
    }
}

fn timed_out(limit: Duration, pending: Option<&Error>) -> Error {
    let so_far = pending.map_or_else(String::new, |error| format!("; so far: {error}"));
    let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Error::new(Cause::TimedOut { milliseconds, so_far })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn g6_a_pass_that_began_before_the_call_does_not_answer_it() {
        let waiters = Waiters::default();
        let before = waiters.newest();
        thread::scope(|scope| {
            let (asked, drawn) = mpsc::channel();
            let waiting =
                scope.spawn(|| waiters.wait(None, move || asked.send(()).unwrap()).unwrap());
            drawn.recv().unwrap();
            waiters.answer(&unchanged(before));
            let newest = waiters.newest();
            let reloaded = Ok(Outcome::Reloaded);
            waiters.answer(&PassAnswer {
                complete: before,
                has_published: true,
                outcome: reloaded,
                ..unchanged(newest)
            });
            // This pass completes the reads but publishes nothing. The answer reports the earlier pass's generation.
            waiters.answer(&unchanged(newest));
            assert_eq!(waiting.join().unwrap(), Outcome::Reloaded);
        });
    }

    #[test]
    fn a_generation_of_a_pass_with_a_failed_unit_is_reported() {
        let waiters = Waiters::default();
        let waiter = waiters.register(None, None).unwrap();
        let newest = waiters.newest();
        let outcome = Err(Error::at("/tls/other.pem".as_ref(), Cause::NotFound));
        waiters.answer(&PassAnswer {
            complete: 0,
            has_published: true,
            outcome,
            ..unchanged(newest)
        });
        waiters.answer(&unchanged(newest));
        assert_eq!(waiter.answer(), Some(Ok(Outcome::Reloaded)));
    }

    /// Returns the answer of a pass that read every unit for the waiters up to `newest`, and found no change.
    fn unchanged(newest: u64) -> PassAnswer {
        PassAnswer {
            newest,
            complete: newest,
            has_published: false,
            outcome: Ok(Outcome::Unchanged),
            pending: None,
        }
    }

    #[test]
    fn a_timeout_names_the_incomplete_unit() {
        let waiters = Waiters::default();
        let missing = Error::at("/tls/key.pem".as_ref(), Cause::NotFound);
        let error = waiters
            .wait(Some(Duration::from_millis(20)), || {})
            .map(|_| ())
            .expect_err("no pass answers");
        assert_eq!(error.to_string(), "no answer within 20 ms");
        waiters.answer(&PassAnswer { pending: Some(missing), ..unchanged(waiters.newest()) });
        let error = waiters.wait(Some(Duration::ZERO), || {}).expect_err("no pass answers");
        assert_eq!(
            error.to_string(),
            "no answer within 0 ms; so far: /tls/key.pem: no such file (read)"
        );
    }

    #[test]
    fn closing_ends_all_waits() {
        let waiters = Waiters::default();
        thread::scope(|scope| {
            let (asked, drawn) = mpsc::channel();
            let waiting = scope.spawn(|| waiters.wait(None, move || asked.send(()).unwrap()));
            drawn.recv().unwrap();
            waiters.close();
            assert_eq!(waiting.join().unwrap(), Err(Error::new(Cause::Closed)));
        });
        assert_eq!(waiters.wait(None, || {}), Err(Error::new(Cause::Closed)));
    }
}
