//! arc-swap's contract, in every placement of a few stores in the race windows of one load.
//!
//! `Current` relies on five properties of an instance:
//!
//! 1. A load returns a value that was stored into this instance, never one of another instance.
//! 2. A load that starts after a store has returned yields the value of that store or of a later one.
//! 3. Loads of one thread never go back to an earlier value.
//! 4. What a load returned stays as it is until the guard or the reference is dropped.
//! 5. A value that was replaced is dropped with its last user, and only once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arc_swap::ArcSwap;

use crate::windows::{WINDOWS, entered, with_windows};

/// Two instances: the readers load from the first.
const OWN: usize = 0;
const OTHER: usize = 1;

/// How many debts a thread notes before its loads take the fallback.
const SLOTS: usize = 8;

struct Value {
    owner: usize,
    number: usize,
    alive: Arc<AtomicUsize>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Stores into which instances, one after the other.
type Stores = Vec<usize>;

/// Every sequence of at most `length` stores.
fn sequences(length: usize) -> Vec<Stores> {
    let mut all = vec![Stores::new()];
    let mut begin = 0;
    for _ in 0..length {
        let end = all.len();
        for at in begin..end {
            for instance in [OWN, OTHER] {
                let longer = all[at].iter().copied().chain([instance]).collect();
                all.push(longer);
            }
        }
        begin = end;
    }
    all
}

struct Instances {
    swaps: [ArcSwap<Value>; 2],
    /// The number of the newest value of each instance.
    newest: [AtomicUsize; 2],
    alive: Arc<AtomicUsize>,
}

impl Instances {
    fn new() -> Arc<Self> {
        let alive = Arc::new(AtomicUsize::new(0));
        let swap = |owner| ArcSwap::new(value(owner, 1, &alive));
        Arc::new(Self {
            swaps: [swap(OWN), swap(OTHER)],
            newest: [1, 1].map(AtomicUsize::new),
            alive,
        })
    }

    fn store(&self, instance: usize) {
        let number = self.newest[instance].load(Ordering::SeqCst) + 1;
        self.swaps[instance].store(value(instance, number, &self.alive));
        self.newest[instance].store(number, Ordering::SeqCst);
    }

    fn newest(&self) -> usize {
        self.newest[OWN].load(Ordering::SeqCst)
    }
}

fn value(owner: usize, number: usize, alive: &Arc<AtomicUsize>) -> Arc<Value> {
    alive.fetch_add(1, Ordering::SeqCst);
    Arc::new(Value { owner, number, alive: alive.clone() })
}

/// The thread that stores: one, so that the memory of what it frees is what it allocates next.
#[derive(Clone)]
struct Writer {
    orders: SyncSender<Stores>,
    done: Arc<std::sync::Mutex<Receiver<()>>>,
}

impl Writer {
    fn new(instances: Arc<Instances>) -> (Self, thread::JoinHandle<()>) {
        let (orders, receiver) = sync_channel::<Stores>(0);
        let (sender, done) = sync_channel(0);
        let thread = thread::spawn(move || {
            for stores in receiver {
                for instance in stores {
                    instances.store(instance);
                }
                sender.send(()).unwrap();
            }
        });
        (Self { orders, done: Arc::new(std::sync::Mutex::new(done)) }, thread)
    }

    /// Returns when the stores have been made.
    fn run(&self, stores: Stores) {
        if !stores.is_empty() {
            self.orders.send(stores).unwrap();
            self.done.lock().unwrap().recv().unwrap();
        }
    }
}

#[derive(Default)]
struct Tally {
    loads: usize,
    foreign: usize,
}

/// Loads once, with `plan[window]` stored while the load is inside that window.
fn load_among(instances: &Instances, writer: &Writer, plan: [Stores; WINDOWS], tally: &mut Tally) {
    let at_least = instances.newest();
    let mut left = plan.map(Some);
    let in_window = {
        let writer = writer.clone();
        move |window: usize| {
            if let Some(stores) = left[window].take() {
                writer.run(stores);
            }
        }
    };
    let loaded = with_windows(in_window, || instances.swaps[OWN].load());
    let (owner, number) = (loaded.owner, loaded.number);
    tally.loads += 1;
    if owner != OWN {
        tally.foreign += 1;
        return;
    }
    assert!((at_least..=instances.newest()).contains(&number), "{number} after {at_least}");
    // Held as a guard over further stores, then as a reference of its own.
    writer.run(vec![OWN, OTHER]);
    assert_eq!((loaded.owner, loaded.number), (owner, number), "a guard's value changed");
    let counted = Arc::clone(&loaded);
    drop(loaded);
    writer.run(vec![OTHER, OWN]);
    assert_eq!((counted.owner, counted.number), (owner, number), "a counted value changed");
}

/// Runs all `plans`, with the slots of this thread free or full, and checks what is left in the end. Each of
/// the `windows` has to be entered by more than a tenth of the loads.
fn explore(
    name: &str,
    are_full: bool,
    windows: &[usize],
    plans: impl Iterator<Item = [Stores; WINDOWS]>,
) {
    let instances = Instances::new();
    let (writer, thread) = Writer::new(instances.clone());
    let mut tally = Tally::default();
    let count = if are_full { SLOTS } else { 0 };
    let held: Vec<_> = (0..count).map(|_| instances.swaps[OWN].load()).collect();
    for plan in plans {
        load_among(&instances, &writer, plan, &mut tally);
    }
    println!(
        "{name}: {} of {} loads returned a value of the other instance",
        tally.foreign, tally.loads
    );
    assert_eq!(tally.foreign, 0);
    let entered = entered();
    let are_entered = windows.iter().all(|window| entered[*window] > tally.loads / 10);
    assert!(are_entered, "{entered:?} of {} loads were in the windows", tally.loads);
    drop(held);
    drop(writer);
    thread.join().unwrap();
    assert_eq!(instances.alive.load(Ordering::SeqCst), 2, "only the newest values are alive");
    let alive = instances.alive.clone();
    drop(instances);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

/// All ways to fill the windows from `of`, which says for each window what may happen in it.
fn plans(of: [Vec<Stores>; WINDOWS]) -> impl Iterator<Item = [Stores; WINDOWS]> {
    let count = of.iter().map(Vec::len).product::<usize>();
    (0..count).map(move |mut at| {
        std::array::from_fn(|window| {
            let choice = at % of[window].len();
            at /= of[window].len();
            of[window][choice].clone()
        })
    })
}

/// The common way of a load: a debt is noted in a slot, and the pointer is read again.
#[test]
fn load_among_stores_returns_own_values() {
    let none = || sequences(0);
    explore("load", false, &[0, 1], plans([sequences(4), sequences(4), none(), none(), none()]));
}

/// The fallback follows if the pointer changed and no writer paid the debt.
#[test]
fn load_that_falls_back_returns_own_values() {
    explore(
        "load, then fallback",
        false,
        &[0, 1, 2, 3, 4],
        plans(std::array::from_fn(|_| sequences(2))),
    );
}

/// A thread that holds eight guards takes the fallback at once.
#[test]
fn load_with_full_slots_returns_own_values() {
    let none = || sequences(0);
    explore(
        "fallback",
        true,
        &[0, 2, 3, 4],
        plans([sequences(2), none(), sequences(3), sequences(3), sequences(3)]),
    );
}
