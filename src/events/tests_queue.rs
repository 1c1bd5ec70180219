//! Queues whose callbacks panic or replace themselves. tests/models has the interleavings, tests/c the behaviour that
//! hosts see.

use std::sync::{OnceLock, Weak, mpsc};

use super::super::event::{EventKind, Trigger};
use super::*;
use crate::pki::Warnings;

fn event(generation: u64) -> Event {
    Event {
        kind: EventKind::Reloaded,
        trigger: Trigger::Watch,
        cause: None,
        warnings: Warnings::default(),
        generation,
        earliest_not_after: 0,
        path: None,
        message: String::new(),
        count: 1,
        further: Vec::new(),
        serves_nothing: false,
    }
}

/// G12: a defect in a callback costs its event. The queue delivers the next one.
#[test]
fn panic_in_a_callback_does_not_end_the_delivery() {
    let (report, reported) = mpsc::channel();
    let sink = EventSink::new(move |event| {
        assert_ne!(event.generation, 1, "a defect");
        report.send(event.generation).unwrap();
    });
    let dispatcher = Arc::new(Dispatcher::new(Arc::new(Waker::new().unwrap())));
    let owner = QueueOwner { id: 1, name: None, waits: Arc::default() };
    let queue = EventQueue::delivered(owner, dispatcher, Some(sink));
    queue.push(event(1));
    queue.push(event(2));
    assert!(queue.deliver_one(), "another event waits");
    assert!(!queue.deliver_one());
    assert_eq!(reported.try_recv(), Ok(2));
}

/// The userdata of a callback. When it is freed, it reports whether the callback still counts as running.
struct Userdata {
    queue: OnceLock<Weak<EventQueue>>,
    report: mpsc::Sender<bool>,
}

impl Drop for Userdata {
    fn drop(&mut self) {
        let queue = self.queue.get().and_then(Weak::upgrade).unwrap();
        self.report.send(queue.state().running.is_some()).unwrap();
    }
}

/// G7: a thread that waits until a replaced callback has returned finds its userdata freed.
#[test]
fn userdata_of_a_replaced_callback_is_freed_before_its_run_ends() {
    let (report, reported) = mpsc::channel();
    let userdata = Arc::new(Userdata { queue: OnceLock::new(), report });
    let captured = userdata.clone();
    let sink = EventSink::new(move |_| {
        let queue = captured.queue.get().and_then(Weak::upgrade).unwrap();
        queue.set_sink(None, &ArcSwapOption::empty()).unwrap();
    });
    let dispatcher = Arc::new(Dispatcher::new(Arc::new(Waker::new().unwrap())));
    let owner = QueueOwner { id: 2, name: None, waits: Arc::default() };
    let queue = EventQueue::delivered(owner, dispatcher, Some(sink));
    userdata.queue.set(Arc::downgrade(&queue)).unwrap();
    drop(userdata);
    queue.push(event(1));
    queue.deliver_one();
    assert_eq!(reported.try_recv(), Ok(true));
}
