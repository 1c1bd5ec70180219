//! What only the thread that steps a handle touches.

use std::collections::BTreeMap;
use std::time::Instant;

use super::expiry::Expiry;
use super::pipeline::Pipeline;
use crate::error::Error;

/// Behind a lock, for closing waits for a step that is running.
pub(super) struct Work {
    pub(super) pipeline: Pipeline,
    pub(super) next_poll: Option<Instant>,
    /// Units whose files cannot be watched, and why.
    pub(super) troubles: BTreeMap<usize, Error>,
    pub(super) expiry: Expiry,
}

impl Work {
    pub(super) fn new(pipeline: Pipeline, next_poll: Option<Instant>) -> Self {
        Self { pipeline, next_poll, troubles: BTreeMap::new(), expiry: Expiry::default() }
    }
}
