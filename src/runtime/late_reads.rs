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
    /// When to check next. `None` after it was reported that the file system does not answer.
    check_at: Option<Instant>,
}

impl LateReads {
    /// Adds the read `id` of `unit`.
    pub(super) fn add(&mut self, unit: usize, id: ReadId, check_at: Instant) {
        self.0.insert(unit, LateRead { id, check_at: Some(check_at) });
    }

    /// Removes the read of `unit`, which has ended.
    pub(super) fn end(&mut self, unit: usize) {
        self.0.remove(&unit);
    }

    /// Returns when the next check is due.
    pub(super) fn check_at(&self) -> Option<Instant> {
        self.0.values().filter_map(|late| late.check_at).min()
    }

    /// Returns the units whose file system has not answered for `timeout`, each once. `path_of` names a unit.
    pub(super) fn unanswered<'a>(
        &mut self,
        readers: &Arc<Readers>,
        (now, timeout): (Instant, Duration),
        path_of: &dyn Fn(usize) -> &'a Path,
    ) -> Vec<(usize, Error)> {
        let mut unanswered = Vec::new();
        for (unit, late) in &mut self.0 {
            if late.check_at.is_none_or(|at| now < at) {
                continue;
            }
            let error = match readers.progress(late.id) {
                Progress::Ended | Progress::Answering => None,
                Progress::NoReader => Some(Error::at(path_of(*unit), Cause::NoReader)),
                Progress::NotAnswering { path, since } => {
                    let silent = now.saturating_duration_since(since);
                    if silent < timeout {
                        late.check_at = Some(since + timeout);
                        continue;
                    }
                    let seconds = silent.as_secs();
                    Some(Error::at(&path, Cause::NotAnswering { seconds }))
                }
            };
            late.check_at = if error.is_some() { None } else { Some(now + timeout) };
            unanswered.extend(error.map(|error| (*unit, error)));
        }
        unanswered
    }
}
