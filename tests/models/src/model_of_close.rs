//! Closing: no call that another thread has begun is running when it returns.
//!
//! `Instance::enter` and `Instance::close` are told again here, for what is around them cannot be had without the
//! library; the wait graph that they use is the library's own.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom::thread;

use crate::explore;
use crate::wait_graph::{Resource, WaitGraph};

const CALLS: Resource = Resource::Calls(1);
const WORK: Resource = Resource::StepState(1);

#[derive(Default)]
struct Handle {
    waits: Arc<WaitGraph>,
    closed: AtomicBool,
    gone: AtomicBool,
}

impl Handle {
    /// Like `Instance::enter`, and what a call does then.
    fn call(&self) -> bool {
        let held = self.waits.hold(CALLS);
        if self.closed.load(SeqCst) {
            return false;
        }
        assert!(!self.gone.load(SeqCst), "a call runs, and the handle is gone");
        drop(held);
        true
    }

    /// Like `Instance::close`.
    fn close(&self) {
        self.closed.store(true, SeqCst);
        self.waits.wait_for_others(CALLS);
        self.gone.store(true, SeqCst);
    }
}

#[test]
fn a_call_that_is_let_in_is_waited_for() {
    explore(3, || {
        let handle = Arc::new(Handle::default());
        let calls: Vec<_> = (0..2)
            .map(|_| handle.clone())
            .map(|handle| thread::spawn(move || handle.call()))
            .collect();
        handle.close();
        assert!(!handle.call(), "closed is closed");
        calls.into_iter().for_each(|call| _ = call.join().unwrap());
    });
}

#[test]
fn a_close_inside_a_call_does_not_wait_for_itself() {
    explore(3, || {
        let handle = Arc::new(Handle::default());
        let other = handle.clone();
        let calls = thread::spawn(move || other.call());
        let mine = handle.waits.hold(CALLS);
        handle.close();
        drop(mine);
        calls.join().unwrap();
    });
}

/// Of threads that would wait for each other, one is told and lets the other go on.
#[test]
fn two_that_want_what_the_other_holds_do_not_wait_for_ever() {
    explore(3, || {
        let waits = Arc::new(WaitGraph::default());
        let gate = Arc::new(loom::sync::Mutex::new(()));
        let (others, others_gate) = (waits.clone(), gate.clone());
        // The one holds the work, and closes: it waits for calls.
        let closes = thread::spawn(move || {
            let work = others_gate.lock().unwrap();
            let held = others.hold(WORK);
            others.wait_for_others(CALLS);
            drop((held, work));
        });
        // The other is in a call, and wants the work.
        let call = waits.hold(CALLS);
        if let Ok(wanted) = waits.want(WORK) {
            drop(gate.lock().unwrap());
            drop(wanted);
        }
        drop(call);
        closes.join().unwrap();
    });
}
