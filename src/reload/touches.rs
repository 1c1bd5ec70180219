//! Changes that the kernel told of and that have not been looked at yet.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::options::Options;
use crate::sys::Bell;
use crate::watch::{Observer, Touch};

/// Gathers them, and says when they have been quiet for long enough.
pub(super) struct Touches {
    state: Mutex<Touched>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Touched {
    /// When the first and the last of them came.
    span: Option<(Instant, Instant)>,
    /// Files that were written to and not closed yet: half a file, as far as anyone can tell (G4).
    open_for_writing: HashSet<PathBuf>,
}

impl Touches {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { state: Mutex::default(), bell }
    }

    /// When the changes have been quiet for long enough, or have gone on for too long.
    pub(super) fn due_at(&self, options: &Options) -> Option<Instant> {
        let touched = self.state();
        let (first, last) = touched.span?;
        let limit = first + options.settle_timeout;
        let quiet = last + options.settle_quiet;
        Some(if touched.open_for_writing.is_empty() { quiet.min(limit) } else { limit })
    }

    /// Until when a writer that has a file open is waited for, whoever wants to look.
    pub(super) fn held_until(&self, options: &Options) -> Option<Instant> {
        let touched = self.state();
        let (first, _) = touched.span?;
        (!touched.open_for_writing.is_empty()).then(|| first + options.settle_timeout)
    }

    /// When the first of the changes came.
    pub(super) fn since(&self) -> Option<Instant> {
        self.state().span.map(|(first, _)| first)
    }

    /// They are about to be looked at.
    pub(super) fn take(&self) {
        *self.state() = Touched::default();
    }

    fn state(&self) -> MutexGuard<'_, Touched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Touches {
    fn touched(&self, touch: Touch<'_>) {
        let now = Instant::now();
        {
            let mut touched = self.state();
            let first = touched.span.map_or(now, |(first, _)| first);
            touched.span = Some((first, now));
            match touch {
                Touch::Written(path) => {
                    touched.open_for_writing.insert(path.to_owned());
                }
                Touch::Changed(path) | Touch::Closed(path) => {
                    touched.open_for_writing.remove(path);
                }
                Touch::Everything => {}
            }
        }
        self.bell.ring();
    }
}
