//! What the files under test need of the rest of the library, and what of it matters here.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

pub(crate) mod handle_id {
    pub(crate) type HandleId = u64;
}

pub(crate) mod sys {
    use super::*;
    pub(crate) use crate::handle_id::HandleId;

    /// No model panics in a callback.
    pub(crate) fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, String> {
        Ok(body())
    }

    pub(crate) use crate::mutex::{Condvar, Mutex, MutexGuard};
    pub(crate) use crate::wait_graph::{Deadlock, Resource, WaitGraph};

    /// Nobody sleeps by it here.
    #[derive(Debug)]
    pub(crate) struct Waker;

    impl Waker {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn wake(&self) {}

        pub(crate) fn drain(&self) {}
    }

    impl AsRawFd for Waker {
        fn as_raw_fd(&self) -> RawFd {
            -1
        }
    }

    impl AsFd for Waker {
        fn as_fd(&self) -> BorrowedFd<'_> {
            panic!("no model looks at it")
        }
    }

    /// Nobody forks here.
    pub(crate) enum InheritedFd {
        Event,
    }

    impl InheritedFd {
        pub(crate) fn close(self, _: RawFd) {}
    }
}

pub(crate) mod readers {
    /// No model reads files.
    pub(crate) trait ReaderBody: Send {
        fn run(self: Box<Self>);
    }

    pub(crate) trait Lend: Send + Sync {
        fn lend(&self, body: Box<dyn ReaderBody>) -> Result<(), Box<dyn ReaderBody>>;
    }
}

pub(crate) mod thread_id {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) struct ThreadId(loom::thread::ThreadId);

    impl ThreadId {
        pub(crate) fn current() -> Self {
            Self(loom::thread::current().id())
        }
    }
}

pub(crate) mod event {
    use std::sync::Arc;

    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Event {
        pub(crate) kind: u8,
        pub(crate) path: Option<u8>,
        pub(crate) number: u64,
        pub(crate) count: u64,
        pub(crate) further: Vec<String>,
    }

    impl Event {
        pub(crate) fn new(number: u64) -> Self {
            Self { kind: 0, path: None, number, count: 1, further: Vec::new() }
        }

        pub(crate) fn log(&self, _: HandleName<'_>) {}
    }

    pub(crate) struct HandleName<'a>(pub(crate) Option<&'a str>);

    #[derive(Clone)]
    pub(crate) struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

    impl EventSink {
        pub(crate) fn new(callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
            Self(Arc::new(callback))
        }

        pub(crate) fn notify(&self, event: &Event) {
            (self.0)(event);
        }
    }
}
