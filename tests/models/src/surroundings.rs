//! What the files under test need of the rest of the library, and what of it matters here.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

pub(crate) mod watch {
    pub(crate) type ObserverId = u64;
}

pub(crate) mod sys {
    use super::*;

    /// Nobody sleeps by it here.
    #[derive(Debug)]
    pub(crate) struct Bell;

    impl Bell {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn ring(&self) {}

        pub(crate) fn hush(&self) {}
    }

    impl AsRawFd for Bell {
        fn as_raw_fd(&self) -> RawFd {
            -1
        }
    }

    impl AsFd for Bell {
        fn as_fd(&self) -> BorrowedFd<'_> {
            panic!("no model looks at it")
        }
    }

    /// Nobody forks here.
    pub(crate) enum Inherited {
        Event,
    }

    impl Inherited {
        pub(crate) fn close(self, _: RawFd) {}
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) struct ThreadNumber(loom::thread::ThreadId);

    impl ThreadNumber {
        pub(crate) fn mine() -> Self {
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

        pub(crate) fn log(&self, _: Speaker<'_>) {}
    }

    pub(crate) struct Speaker<'a>(pub(crate) Option<&'a str>);

    #[derive(Clone)]
    pub(crate) struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

    impl EventSink {
        pub(crate) fn new(tell: impl Fn(&Event) + Send + Sync + 'static) -> Self {
            Self(Arc::new(tell))
        }

        pub(crate) fn tell(&self, event: &Event) {
            (self.0)(event);
        }
    }
}
