//! Explicit reloads that somebody waits for (G6).

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Cause, Error};
use crate::sys::Bell;

/// What a look at the files came to, where nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Reloaded,
    Unchanged,
}

/// The callers that wait, each with a ticket. Only a look that began after a ticket was drawn may
/// answer it, so no answer is about files as they were before the call.
#[derive(Default)]
pub(super) struct Tickets {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: BTreeMap<u64, Slot>,
    /// What is being waited for, for those whose time runs out.
    pending: Option<Error>,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    /// A generation was published since the ticket was drawn, while another unit was pending.
    published: bool,
    answer: Option<Result<Outcome, Error>>,
    /// Rung with the answer, for one who sleeps elsewhere.
    bell: Option<Arc<Bell>>,
}

impl Slot {
    fn wake(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

/// What a caller waits with; given up when it is dropped.
pub(super) struct Ticket<'a> {
    tickets: &'a Tickets,
    number: u64,
    begun: Instant,
    limit: Option<Duration>,
}

impl Tickets {
    /// Draws a ticket, calls `ask`, and waits for the answer.
    pub(super) fn wait(
        &self,
        limit: Option<Duration>,
        ask: impl FnOnce(),
    ) -> Result<Outcome, Error> {
        let ticket = self.draw(limit, None)?;
        ask();
        let mut state = self.state();
        loop {
            if let Some(answer) = ticket.answer_in(&mut state) {
                drop(state);
                return answer;
            }
            state = self.sleep(state, ticket.left());
        }
    }

    /// Draws a ticket that is good for as long as `limit`. The `bell`, if any, is rung with its answer.
    pub(super) fn draw(
        &self,
        limit: Option<Duration>,
        bell: Option<Arc<Bell>>,
    ) -> Result<Ticket<'_>, Error> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::new(Cause::Closed));
        }
        state.last += 1;
        let number = state.last;
        state.waiting.insert(number, Slot { bell, ..Slot::default() });
        Ok(Ticket { tickets: self, number, begun: Instant::now(), limit })
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// The newest ticket drawn so far: a look that begins now answers up to it.
    pub(super) fn newest(&self) -> u64 {
        self.state().last
    }

    /// Takes in what a look came to before which tickets up to `newest` were drawn, and answers those
    /// up to `complete`: since they were drawn every unit has been read. `pending` is a unit that is
    /// not settled yet, for which all go on waiting.
    pub(super) fn answer(
        &self,
        newest: u64,
        complete: u64,
        outcome: &Result<Outcome, Error>,
        pending: Option<&Error>,
    ) {
        let mut state = self.state();
        state.pending = pending.cloned();
        for (number, ticket) in state.waiting.range_mut(..=newest) {
            ticket.published |= *outcome == Ok(Outcome::Reloaded);
            if *number <= complete && pending.is_none() && ticket.answer.is_none() {
                ticket.answer = Some(match outcome {
                    Ok(Outcome::Unchanged) if ticket.published => Ok(Outcome::Reloaded),
                    outcome => outcome.clone(),
                });
                ticket.wake();
            }
        }
        self.changed.notify_all();
    }

    /// Lets everybody go.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.values().for_each(Slot::wake);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match limit {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

impl Ticket<'_> {
    /// The answer, if there is one, or if there will be none.
    pub(super) fn answer(&self) -> Option<Result<Outcome, Error>> {
        self.answer_in(&mut self.tickets.state())
    }

    /// How long to wait for it still.
    pub(super) fn left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.begun.elapsed()))
    }

    fn answer_in(&self, state: &mut State) -> Option<Result<Outcome, Error>> {
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

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.tickets.state().waiting.remove(&self.number);
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
    fn g6_a_look_that_began_before_the_call_does_not_answer_it() {
        let tickets = Tickets::default();
        let before = tickets.newest();
        thread::scope(|scope| {
            let (asked, drawn) = mpsc::channel();
            let waiting =
                scope.spawn(|| tickets.wait(None, move || asked.send(()).unwrap()).unwrap());
            drawn.recv().unwrap();
            tickets.answer(before, before, &Ok(Outcome::Unchanged), None);
            let newest = tickets.newest();
            tickets.answer(newest, before, &Ok(Outcome::Reloaded), None);
            // Another unit has been read only now; what the call is told of came with the one before.
            tickets.answer(newest, newest, &Ok(Outcome::Unchanged), None);
            assert_eq!(waiting.join().unwrap(), Outcome::Reloaded);
        });
    }

    #[test]
    fn a_timeout_says_what_is_being_waited_for() {
        let tickets = Tickets::default();
        let missing = Error::at("/tls/key.pem".as_ref(), Cause::NotFound);
        let error = tickets
            .wait(Some(Duration::from_millis(20)), || {})
            .map(|_| ())
            .expect_err("nobody answers");
        assert_eq!(error.to_string(), "no answer within 20 ms");
        tickets.answer(tickets.newest(), tickets.newest(), &Ok(Outcome::Unchanged), Some(&missing));
        let error = tickets.wait(Some(Duration::ZERO), || {}).expect_err("nobody answers");
        assert_eq!(
            error.to_string(),
            "no answer within 0 ms; so far: /tls/key.pem: no such file (read)"
        );
    }

    #[test]
    fn closing_lets_those_go_who_wait() {
        let tickets = Tickets::default();
        thread::scope(|scope| {
            let (asked, drawn) = mpsc::channel();
            let waiting = scope.spawn(|| tickets.wait(None, move || asked.send(()).unwrap()));
            drawn.recv().unwrap();
            tickets.close();
            assert_eq!(waiting.join().unwrap(), Err(Error::new(Cause::Closed)));
        });
        assert_eq!(tickets.wait(None, || {}), Err(Error::new(Cause::Closed)));
    }
}
