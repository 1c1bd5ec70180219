//! Counts the generations of a handle that are in memory (G8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of generations of one handle that are in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct GenerationsAlive(Arc<AtomicUsize>);

impl GenerationsAlive {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn token(&self) -> GenerationToken {
        self.0.fetch_add(1, Ordering::Relaxed);
        GenerationToken(self.0.clone())
    }
}

/// Counts one generation as in memory while this token exists. The server and the client configuration own it together.
#[derive(Debug)]
pub(super) struct GenerationToken(Arc<AtomicUsize>);

impl Drop for GenerationToken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
