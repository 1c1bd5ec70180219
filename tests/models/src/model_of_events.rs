//! Events: in order, one at a time, none lost, and none after unregistering or closing has returned.

use std::sync::{Arc, Mutex as Unseen};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::dispatcher::{Deliver, Dispatcher};
use crate::event::{Event, EventSink};
use crate::explore;
use crate::queue::{EventQueue, QueueOwner};
use crate::shared::arc_swap::ArcSwapOption;
use crate::sys::Waker;
use crate::wait_graph::WaitGraph;

struct Scene {
    delivery: Arc<Dispatcher>,
    waits: Arc<WaitGraph>,
}

impl Scene {
    fn new() -> Self {
        Self {
            delivery: Arc::new(Dispatcher::new(Arc::new(Waker))),
            waits: Arc::new(WaitGraph::default()),
        }
    }

    fn queue(&self, id: u64, sink: EventSink) -> Arc<EventQueue> {
        EventQueue::delivered(self.owner(id), self.delivery.clone(), Some(sink))
    }

    fn owner(&self, id: u64) -> QueueOwner {
        QueueOwner { id, name: None, waits: self.waits.clone() }
    }

    fn delivers(&self) -> thread::JoinHandle<()> {
        let delivery = self.delivery.clone();
        thread::spawn(move || delivery.run())
    }
}

/// Numbers in the order in which they were delivered.
#[derive(Default)]
struct Recorder {
    numbers: Mutex<Vec<u64>>,
    more: Condvar,
    is_running: AtomicBool,
    is_over: AtomicBool,
}

impl Recorder {
    fn sink(self: &Arc<Self>) -> EventSink {
        let recorder = self.clone();
        EventSink::new(move |event| {
            assert!(!recorder.is_over.load(SeqCst), "delivered after it was over");
            assert!(!recorder.is_running.swap(true, SeqCst), "two at a time");
            recorder.numbers.lock().unwrap().push(event.number);
            assert!(!recorder.is_over.load(SeqCst), "it was over while it ran");
            recorder.is_running.store(false, SeqCst);
            recorder.more.notify_one();
        })
    }

    fn wait_for(&self, count: usize) {
        let mut numbers = self.numbers.lock().unwrap();
        while numbers.len() < count {
            numbers = self.more.wait(numbers).unwrap();
        }
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

/// One that nobody delivered any more would be waited for here, which loom calls a deadlock.
#[test]
fn every_event_is_delivered_in_order() {
    explore(2, || {
        let (scene, recorder) = (Scene::new(), Arc::new(Recorder::default()));
        let queue = scene.queue(1, recorder.sink());
        queue.push(Event::new(1));
        let delivers = scene.delivers();
        let pushes = queue.clone();
        let pushes = thread::spawn(move || pushes.push(Event::new(2)));
        queue.release();
        recorder.wait_for(2);
        pushes.join().unwrap();
        scene.delivery.stop();
        delivers.join().unwrap();
    });
}

/// The second thread is one too many, and goes when it finds the first one idle.
#[test]
fn a_thread_that_goes_leaves_nothing_behind() {
    explore(2, || {
        let (scene, recorder) =
            (Scene::new(), [Arc::new(Recorder::default()), Arc::new(Recorder::default())]);
        let queues = [scene.queue(1, recorder[0].sink()), scene.queue(2, recorder[1].sink())];
        queues.iter().for_each(EventQueue::release);
        let deliver = [scene.delivers(), scene.delivers()];
        queues.iter().for_each(|queue| queue.push(Event::new(1)));
        recorder.iter().for_each(|recorder| recorder.wait_for(1));
        queues[0].push(Event::new(2));
        recorder[0].wait_for(2);
        scene.delivery.stop();
        deliver.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn threads_of_a_host_that_dispatch_at_once_deliver_one_at_a_time() {
    explore(2, || {
        let (scene, recorder) = (Scene::new(), Arc::new(Recorder::default()));
        let queue = EventQueue::of_host(scene.owner(1), Some(recorder.sink())).unwrap();
        queue.release();
        (1..=2).for_each(|number| queue.push(Event::new(number)));
        let other = queue.clone();
        let dispatches = thread::spawn(move || other.deliver_here());
        queue.deliver_here();
        dispatches.join().unwrap();
        // Who finds another one at it leaves the rest for the next time.
        queue.deliver_here();
        recorder.wait_for(2);
    });
}

#[test]
fn no_callback_runs_after_close_has_returned() {
    explore(2, || {
        let (scene, recorder) = (Scene::new(), Arc::new(Recorder::default()));
        let queue = scene.queue(1, recorder.sink());
        queue.release();
        let delivers = scene.delivers();
        let pushed = queue.clone();
        let pushes = thread::spawn(move || pushed.push(Event::new(1)));
        queue.close();
        recorder.is_over.store(true, SeqCst);
        pushes.join().unwrap();
        scene.delivery.stop();
        delivers.join().unwrap();
    });
}

#[test]
fn no_callback_runs_after_unregistering_has_returned() {
    explore(2, || {
        let (scene, recorder) = (Scene::new(), Arc::new(Recorder::default()));
        let queue = scene.queue(1, recorder.sink());
        queue.release();
        queue.push(Event::new(1));
        queue.push(Event::new(2));
        let delivers = scene.delivers();
        queue.set_sink(None, &ArcSwapOption::empty()).unwrap();
        recorder.is_over.store(true, SeqCst);
        queue.push(Event::new(3));
        scene.delivery.stop();
        delivers.join().unwrap();
    });
}

#[test]
fn a_handle_is_closed_inside_its_own_callback() {
    explore(2, || {
        let scene = Scene::new();
        let place: Arc<Unseen<Option<Arc<EventQueue>>>> = Arc::default();
        let (runs, itself) = (Arc::new(AtomicUsize::new(0)), place.clone());
        let counted = runs.clone();
        let queue = scene.queue(
            1,
            EventSink::new(move |_| {
                counted.fetch_add(1, SeqCst);
                let queue = itself.lock().unwrap().clone();
                queue.unwrap().close();
            }),
        );
        *place.lock().unwrap() = Some(queue.clone());
        queue.push(Event::new(1));
        queue.push(Event::new(2));
        queue.release();
        let delivers = scene.delivers();
        queue.close();
        scene.delivery.stop();
        delivers.join().unwrap();
        assert!(runs.load(SeqCst) <= 1, "closed is closed");
        place.lock().unwrap().take();
    });
}

/// Each callback unregisters that of the other handle: one of the two learns that it cannot wait.
#[test]
fn callbacks_that_wait_for_each_other_do_not_wait_for_ever() {
    explore(2, || {
        let scene = Scene::new();
        let others: Arc<Unseen<Vec<Arc<EventQueue>>>> = Arc::default();
        let queues: Vec<_> = [0, 1]
            .into_iter()
            .map(|at| {
                let others = others.clone();
                let unregister = move |_: &Event| {
                    let other = others.lock().unwrap()[1 - at].clone();
                    let _ = other.set_sink(None, &ArcSwapOption::empty());
                };
                let queue = scene.queue(at as u64, EventSink::new(unregister));
                queue.push(Event::new(1));
                queue
            })
            .collect();
        others.lock().unwrap().extend(queues.iter().cloned());
        let second = queues[1].clone();
        let delivers = thread::spawn(move || second.deliver_one());
        queues[0].deliver_one();
        delivers.join().unwrap();
        others.lock().unwrap().clear();
    });
}
