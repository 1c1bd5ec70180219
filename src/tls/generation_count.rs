//! How many generations of a handle are in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts how many generations of one handle are in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct GenerationCount(Arc<AtomicUsize>);

impl GenerationCount {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn token(&self) -> GenerationToken {
        self.0.fetch_add(1, Ordering::Relaxed);
        GenerationToken(self.0.clone())
    }
}

/// Lives as long as one generation's keys do.
#[derive(Debug)]
pub(super) struct GenerationToken(Arc<AtomicUsize>);

impl Drop for GenerationToken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
