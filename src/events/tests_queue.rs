//! Queues whose callbacks fail. tests/models has the interleavings, tests/c the behaviour that hosts see.

use std::sync::mpsc;

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
