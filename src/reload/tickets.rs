//! Explicit reloads that somebody waits for (G6).

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Cause, Error};

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
    waiting: BTreeMap<u64, Ticket>,
    /// What is being waited for, for those whose time runs out.
    pending: Option<Error>,
    closed: bool,
}

#[derive(Default)]
struct Ticket {
    /// A generation was published since the ticket was drawn, while another unit was pending.
    published: bool,
    answer: Option<Result<Outcome, Error>>,
}

impl Tickets {
    /// Draws a ticket, calls `ask`, and waits for the answer.
    pub(super) fn wait(
        &self,
        limit: Option<Duration>,
        ask: impl FnOnce(),
    ) -> Result<Outcome, Error> {
        let begun = Instant::now();
        let mut state = self.state();
        if state.closed {
            return Err(Error::new(Cause::Closed));
        }
        state.last += 1;
        let mine = state.last;
        state.waiting.insert(mine, Ticket::default());
        ask();
        loop {
            let answer = state.waiting.get_mut(&mine).and_then(|ticket| ticket.answer.take());
            let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            let done = match answer {
                Some(answer) => answer,
                None if state.closed => Err(Error::new(Cause::Closed)),
                None if left.is_some_and(|left| left.is_zero()) => {
                    Err(timed_out(limit.unwrap_or_default(), state.pending.as_ref()))
                }
                None => {
                    state = self.sleep(state, left);
                    continue;
                }
            };
            state.waiting.remove(&mine);
            // The closing thread waits for the last one to leave.
            self.changed.notify_all();
            return done;
        }
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
            }
        }
        self.changed.notify_all();
    }

    /// Lets everybody go, and waits until they have left.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        while !state.waiting.is_empty() {
            state = self.sleep(state, None);
        }
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

fn timed_out(limit: Duration, pending: Option<&Error>) -> Error {
    let so_far = pending.map_or_else(String::new, |error| format!("; so far: {error}"));
    Error::new(Cause::TimedOut { milliseconds: limit.as_millis(), so_far })
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
