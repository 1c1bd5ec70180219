//! Decides when new content that can be parsed may be accepted: more of it may still be written (G4).
//!
//! A chain that is cut behind its leaf is valid PEM, so neither its bytes nor one read show that it is not all. Two
//! rules decide:
//!
//! - **Time.** Content that a pass found while more changes may follow is accepted when a pass after the quiet time
//!   finds the same content.
//! - **Content.** Content that lacks the end of what is served looks cut short: for example a leaf alone, where the
//!   chain in service has an intermediate. It is accepted when it has been the same for the incomplete-file timeout,
//!   whatever started the pass. While a process has a file of the unit open for writing, that time does not begin.
//!
//! [`PATIENCE`] limits the second wait, so that a process which never closes a file does not keep a unit from renewal.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::pass::PassTime;
use crate::error::Error;
use crate::events::Trigger;
use crate::files::Digest;
use crate::options::Options;
use crate::tls::UnitContent;

/// How many incomplete-file timeouts content that looks cut short waits at most, counted from the first change.
///
/// The timeout itself is how long an update takes at most, so a process that needs ten times as long has most likely
/// forgotten to close the file. A leaf without its issuer serves some clients, and an expired certificate serves none.
const PATIENCE: u32 = 10;

/// New content that a pass found in the files of a unit.
pub(super) struct Found {
    pub(super) digest: Digest,
    /// Why the content looks cut short, if it does.
    pub(super) cut_short: Option<Error>,
    /// Whether a process has a file of the unit open for writing, however long ago the writing began.
    pub(super) is_open: bool,
}

/// The new content of a unit that is not accepted yet, if there is any.
#[derive(Default)]
pub(super) struct Sightings(Option<Sighting>);

struct Sighting {
    digest: Digest,
    /// The content, if it is kept.
    parsed: Option<UnitContent>,
    /// What started the pass that found the first such content: the trigger of the event that reports the reload.
    trigger: Trigger,
    due_at: Instant,
    /// When the unit is accepted although its content changes all the time, or a process has a file open.
    latest: Instant,
    /// The same time for content of which some is cut short.
    limit: Instant,
    cut: Option<Cut>,
}

/// Content that looks cut short. It is read again with growing delays, because its end may come without a notification.
struct Cut {
    error: Error,
    backoff: Backoff,
}

impl Sightings {
    /// Decides whether the content that a pass at `time` found may be accepted now. Returns the trigger that the event
    /// names, or `None` if another pass has to find the same content later.
    pub(super) fn accept(
        &mut self,
        found: Found,
        time: PassTime,
        options: &Options,
    ) -> Option<Trigger> {
        let before = self.0.take();
        let trigger = before.as_ref().map_or(time.trigger, |before| before.trigger);
        if found.cut_short.is_none() && time.is_quiet {
            return Some(trigger);
        }
        let now = time.now.instant;
        let is_cut = found.cut_short.is_some();
        // The times of a sighting that no pass followed, for example because a mount did not answer, mean nothing.
        let before = before.filter(|before| now < before.limit + options.incomplete_timeout);
        // Content that is cut short at times and whole at others does not begin anew each time.
        let limit = before.as_ref().map(|before| before.limit);
        let same_rule = before.filter(|before| before.cut.is_some() == is_cut);
        let mut sighting = same_rule.unwrap_or_else(|| {
            let time = PassTime { trigger, ..time };
            Sighting::new(&found, time, limit, options)
        });
        if sighting.digest != found.digest {
            sighting.parsed = None;
        }
        if sighting.digest != found.digest || is_cut && found.is_open {
            sighting.digest = found.digest;
            sighting.due_at = now + wait(is_cut, options);
        }
        if now >= sighting.due_at.min(sighting.latest) {
            return Some(trigger);
        }
        if let (Some(cut), Some(error)) = (&mut sighting.cut, found.cut_short) {
            cut.error = error;
            cut.backoff.postpone(now);
        }
        self.0 = Some(sighting);
        None
    }

    /// Forgets the content: the files hold the served content again, or cannot be used.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Keeps the identity that was not accepted, so that it is not parsed again. Trust stores and ticket keys are not
    /// kept: they depend on other content, too.
    pub(super) fn keep(&mut self, content: UnitContent) {
        if let Some(sighting) = &mut self.0 {
            sighting.parsed = content.as_identity().is_some().then_some(content);
        }
    }

    /// Returns the digest of the content that is kept.
    pub(super) fn parsed(&self) -> Option<Digest> {
        self.0.as_ref().filter(|sighting| sighting.parsed.is_some()).map(|sighting| sighting.digest)
    }

    /// Takes the content that is kept, so that it can be accepted.
    pub(super) fn take_parsed(&mut self) -> Option<UnitContent> {
        self.0.as_mut()?.parsed.take()
    }

    /// Returns when to read the files again if no notification and no poll comes first.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let sighting = self.0.as_ref()?;
        let due_at = sighting.due_at.min(sighting.latest);
        Some(sighting.cut.as_ref().map_or(due_at, |cut| cut.backoff.retry_at.min(due_at)))
    }

    /// Returns why the unit is incomplete, if its content looks cut short.
    pub(super) fn pending(&self) -> Option<&Error> {
        Some(&self.0.as_ref()?.cut.as_ref()?.error)
    }
}

impl Sighting {
    /// Returns the sighting of content that a pass at `time` found. `limit` is that of the sighting before, if there is
    /// one.
    fn new(found: &Found, time: PassTime, limit: Option<Instant>, options: &Options) -> Self {
        let (now, timeout) = (time.now.instant, options.incomplete_timeout);
        let limit = limit.unwrap_or_else(|| (now + timeout).max(time.since + timeout * PATIENCE));
        let cut = found.cut_short.clone();
        Self {
            digest: found.digest,
            parsed: None,
            trigger: time.trigger,
            due_at: now + wait(cut.is_some(), options),
            latest: if cut.is_some() { limit } else { limit.min(now + timeout) },
            limit,
            cut: cut.map(|error| Cut { error, backoff: Backoff::new(now) }),
        }
    }
}

/// Returns how long content must stay the same before it is accepted.
fn wait(is_cut: bool, options: &Options) -> Duration {
    if is_cut { options.incomplete_timeout } else { options.debounce_quiet }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::error::Cause;

    const QUIET: Duration = Duration::from_millis(50);
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn options() -> Options {
        Options { debounce_quiet: QUIET, incomplete_timeout: TIMEOUT, ..Options::default() }
    }

    /// Passes over one unit, each so long after the first change.
    struct Passes {
        begun: Instant,
        sightings: Sightings,
    }

    impl Passes {
        fn new() -> Self {
            Self { begun: Instant::now(), sightings: Sightings::default() }
        }

        /// A pass that finds `content`; whole content in lower case, cut short in upper case.
        fn find(&mut self, content: &str, after: Duration, time: impl Fn(&mut PassTime)) -> bool {
            self.find_while(content, after, false, time)
        }

        fn find_while(
            &mut self,
            content: &str,
            after: Duration,
            is_open: bool,
            change: impl Fn(&mut PassTime),
        ) -> bool {
            let now = Now { instant: self.begun + after, unix: 0 };
            let (trigger, since) = (Trigger::Poll, self.begun);
            let mut time = PassTime { trigger, now, since, is_quiet: false };
            change(&mut time);
            let is_cut = content.chars().all(char::is_uppercase);
            let error = || Error::at("/tls/a".as_ref(), Cause::CutShort("a test"));
            let found = Found {
                digest: Digest::of_parts([content.as_bytes()]),
                cut_short: is_cut.then(error),
                is_open,
            };
            self.sightings.accept(found, time, &options()).is_some()
        }

        fn retry_after(&self) -> Duration {
            self.sightings.retry_at().unwrap() - self.begun
        }
    }

    fn unchanged(_: &mut PassTime) {}

    fn quiet(time: &mut PassTime) {
        time.is_quiet = true;
    }

    #[test]
    fn g4_content_of_a_pass_without_quiet_is_accepted_when_it_is_the_same_after_the_quiet_time() {
        let mut passes = Passes::new();
        assert!(!passes.find("a", Duration::ZERO, unchanged));
        assert!(!passes.find("a", QUIET / 2, unchanged));
        assert_eq!(passes.retry_after(), QUIET);
        assert!(!passes.find("b", QUIET, unchanged), "other content");
        assert_eq!(passes.retry_after(), 2 * QUIET);
        assert_eq!(passes.sightings.pending(), None, "whole content is not incomplete");
        assert!(passes.find("b", 2 * QUIET, unchanged));
        assert!(passes.find("c", 2 * QUIET, quiet), "quiet was known");
    }

    #[test]
    fn g4_content_that_changes_all_the_time_is_accepted_after_the_timeout() {
        let mut passes = Passes::new();
        let mut after = Duration::ZERO;
        while !passes.find(&format!("a{after:?}").to_lowercase(), after, unchanged) {
            after += QUIET / 2;
        }
        assert_eq!(after, TIMEOUT);
    }

    #[test]
    fn g4_cut_content_waits_for_the_timeout_even_if_it_is_quiet() {
        let mut passes = Passes::new();
        assert!(!passes.find("A", Duration::ZERO, quiet));
        assert!(passes.sightings.pending().is_some());
        assert!(passes.retry_after() < QUIET, "its end may come without a notification");
        assert!(!passes.find("A", TIMEOUT / 2, quiet));
        assert!(!passes.find("B", TIMEOUT, quiet), "other content");
        assert!(!passes.find("B", TIMEOUT * 19 / 10, quiet));
        assert!(passes.find("B", 2 * TIMEOUT, quiet));
    }

    #[test]
    fn g4_cut_content_whose_end_comes_is_accepted_when_that_is_quiet() {
        let mut passes = Passes::new();
        let request = |time: &mut PassTime| time.trigger = Trigger::Request;
        assert!(!passes.find("A", Duration::ZERO, request));
        let found = TIMEOUT / 2;
        assert!(!passes.find("a", found, unchanged));
        assert_eq!(passes.retry_after(), found + QUIET);
        assert!(!passes.find("a", found + QUIET / 2, unchanged));
        assert_eq!(passes.sightings.0.as_ref().unwrap().trigger, Trigger::Request);
        assert!(passes.find("a", found + QUIET, unchanged));
    }

    #[test]
    fn g4_content_that_is_cut_and_whole_in_turn_is_accepted_after_ten_timeouts() {
        let mut passes = Passes::new();
        let contents = ["A", "a", "B", "b"].into_iter().cycle();
        let mut after = Duration::ZERO;
        for content in contents {
            if passes.find(content, after, unchanged) {
                break;
            }
            after += QUIET / 2;
        }
        assert_eq!(after, PATIENCE * TIMEOUT);
    }

    #[test]
    fn g4_cut_content_waits_even_if_nobody_looked_for_longer_than_ten_timeouts() {
        for first in ["a", "A"] {
            let mut passes = Passes::new();
            let late = 3 * PATIENCE * TIMEOUT;
            assert!(!passes.find(first, Duration::ZERO, unchanged));
            assert!(!passes.find("B", late, |time| time.since += late));
            assert!(!passes.find("B", late + TIMEOUT / 2, |time| time.since += late));
            assert!(passes.find("B", late + TIMEOUT, |time| time.since += late));
        }
    }

    #[test]
    fn g4_cut_content_of_an_open_file_waits_for_the_close_and_ten_timeouts_at_most() {
        for closed_after in [3, 1000] {
            let mut passes = Passes::new();
            let mut after = Duration::ZERO;
            loop {
                let is_open = after < closed_after * TIMEOUT;
                if passes.find_while("A", after, is_open, quiet) {
                    break;
                }
                after = passes.retry_after();
            }
            let expected = if closed_after == 3 { 4 } else { PATIENCE } * TIMEOUT;
            assert!(
                after <= expected && after + Duration::from_millis(500) >= expected,
                "{after:?}"
            );
        }
    }
}
