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

use std::time::Instant;

use super::backoff::Backoff;
use super::pass::PassTime;
use crate::error::Error;
use crate::events::Trigger;
use crate::files::Digest;
use crate::options::Options;

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
    /// What started the pass that found the first such content: the trigger of the event that reports the reload.
    trigger: Trigger,
    due_at: Instant,
    /// When the unit is accepted although its content changes all the time, or a process has a file open.
    latest: Instant,
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
        let same_rule = before.filter(|before| before.cut.is_some() == is_cut);
        let mut sighting = same_rule
            .unwrap_or_else(|| Sighting::new(&found, PassTime { trigger, ..time }, options));
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
    fn new(found: &Found, time: PassTime, options: &Options) -> Self {
        let (now, timeout) = (time.now.instant, options.incomplete_timeout);
        let is_cut = found.cut_short.is_some();
        let cut = found.cut_short.clone();
        let first = if is_cut { time.since + timeout * PATIENCE } else { now };
        Self {
            digest: found.digest,
            trigger: time.trigger,
            due_at: now + wait(is_cut, options),
            latest: first.max(now + timeout),
            cut: cut.map(|error| Cut { error, backoff: Backoff::new(now) }),
        }
    }
}

/// Returns how long content must stay the same before it is accepted.
fn wait(is_cut: bool, options: &Options) -> std::time::Duration {
    if is_cut { options.incomplete_timeout } else { options.debounce_quiet }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
