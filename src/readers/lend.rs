//! Threads that serve other purposes, and read in between.

/// Threads that are idle most of the time.
pub(crate) trait Lend: Send + Sync {
    /// Runs `body` on an idle thread, which may not return from it for a long time. Returns `body` if there is none.
    ///
    /// If the threads end before one of them runs `body`, drops it without any lock.
    fn lend(&self, body: Box<dyn ReaderBody>) -> Result<(), Box<dyn ReaderBody>>;
}

/// What a lent thread runs. If it is dropped without being run or refused, another thread is started in its place.
pub(crate) trait ReaderBody: Send {
    fn run(self: Box<Self>);

    /// Records that no thread was lent.
    fn refuse(self: Box<Self>);
}
