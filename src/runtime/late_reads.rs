//! The reads of a handle that readers have not ended yet, and when to check whether their file systems answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Cause, Error};
use crate::readers::{Progress, ReadId, Readers};

/// The late reads, by unit.
#[derive(Default)]
pub(super) struct LateReads(BTreeMap<usize, LateRead>);

struct LateRead {
    id: ReadId,
    /// When to check next.
    check_at: Instant,
    /// Whether it was reported that the read does not end.
    is_reported: bool,
}

/// What was found out about late reads.
#[derive(Default)]
pub(super) struct LateFindings {
    /// Units that cannot be read, each with the reason. Each is returned once for one read.
    pub(super) unanswered: Vec<(usize, Error)>,
    /// Units whose read never ends, because its mount was unmounted. They must be read again.
    pub(super) lost: Vec<usize>,
}

impl LateReads {
    /// Adds the read `id` of `unit`.
    pub(super) fn add(&mut self, unit: usize, id: ReadId, check_at: Instant) {
        self.0.insert(unit, LateRead { id, check_at, is_reported: false });
    }

    /// Removes the read of `unit`, which has ended. Returns whether it was late.
    pub(super) fn end(&mut self, unit: usize) -> bool {
        self.0.remove(&unit).is_some()
    }

    /// Returns when the next check is due.
    pub(super) fn check_at(&self) -> Option<Instant> {
        self.0.values().map(|late| late.check_at).min()
    }

    /// Checks the reads that are due. A file system has `timeout` to answer. `path_of` names a unit.
    pub(super) fn check<'a>(
        &mut self,
        readers: &Arc<Readers>,
        (now, timeout): (Instant, Duration),
        path_of: &dyn Fn(usize) -> &'a Path,
    ) -> LateFindings {
        let mut findings = LateFindings::default();
        for (unit, late) in self.0.iter_mut().filter(|(_, late)| late.check_at <= now) {
            late.check_at = now + timeout;
            let silent = |since: Instant| now.saturating_duration_since(since);
            let error = match readers.progress(late.id) {
                Progress::Ended | Progress::Answering => continue,
                Progress::MountEnded => {
                    findings.lost.push(*unit);
                    continue;
                }
                Progress::NotAnswering { since, .. } | Progress::InHostCall { since }
                    if silent(since) < timeout =>
                {
                    late.check_at = since + timeout;
                    continue;
                }
                Progress::NotAnswering { path, since } => {
                    Error::at(&path, Cause::NotAnswering { seconds: silent(since).as_secs() })
                }
                Progress::InHostCall { since } => {
                    let seconds = silent(since).as_secs();
                    Error::at(path_of(*unit), Cause::PasswordAwaited { seconds })
                }
                Progress::NoReader => Error::at(path_of(*unit), Cause::NoReader),
            };
            if !std::mem::replace(&mut late.is_reported, true) {
                findings.unanswered.push((*unit, error));
            }
        }
        for unit in &findings.lost {
            self.0.remove(unit);
        }
        findings
    }
}
