//! The current generation: swapped by one thread, taken by all, with no lock that anyone waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use rustls::ServerConfig;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::generation::Generation;

/// Places from which threads take configs: a power of two, about as many as busy threads meet.
const SHELVES: usize = 16;

/// The swap is the truth. The shelves are copies of its config, each in a cache line of its own, so
/// that threads that take one for each connection do not meet: taking from a shelf costs less than
/// a read lock, and does not slow down when threads are many.
pub(super) struct Current {
    swap: ArcSwap<Generation>,
    /// The generation that the shelves may serve: 0 while another one is being published.
    shelved: AtomicU64,
    shelves: [Shelf; SHELVES],
}

/// Never waited for by those who take configs: they go to the swap when it is taken.
#[repr(align(128))]
struct Shelf(SpinMutex<(u64, Arc<ServerConfig>)>);

impl Current {
    pub(super) fn new(first: Arc<Generation>) -> Self {
        let shelf = || Shelf(SpinMutex::new((first.number(), first.server_config().clone())));
        Self {
            shelves: std::array::from_fn(|_| shelf()),
            shelved: AtomicU64::new(first.number()),
            swap: ArcSwap::new(first),
        }
    }

    /// The current generation, for the moment.
    pub(super) fn load(&self) -> Guard<Arc<Generation>> {
        self.swap.load()
    }

    /// The current generation, counted.
    pub(super) fn load_full(&self) -> Arc<Generation> {
        self.swap.load_full()
    }

    /// The current config, counted.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        if let Some(shelf) = self.shelves[shelf_of_this_thread()].0.try_lock() {
            // Asked while the shelf is held: an answer from before the publication of another
            // generation is then concurrent with it, never after it.
            if shelf.0 == self.shelved.load(Ordering::SeqCst) {
                return shelf.1.clone();
            }
        }
        self.swap.load().server_config().clone()
    }

    /// Makes `next` current. Only one thread at a time publishes.
    pub(super) fn publish(&self, next: Arc<Generation>) {
        let (number, config) = (next.number(), next.server_config().clone());
        // From here on everybody goes to the swap, so that there is one moment for all.
        self.shelved.store(0, Ordering::SeqCst);
        self.swap.store(next);
        for shelf in &self.shelves {
            // The old config goes outside of the lock: with it may go keys that are wiped.
            let old = std::mem::replace(&mut *shelf.take(), (number, config.clone()));
            drop(old);
        }
        self.shelved.store(number, Ordering::SeqCst);
    }
}

impl Shelf {
    /// For the one who publishes. Whoever has the shelf gives it back within nanoseconds, unless it
    /// lost its processor meanwhile: then sleeping lets it run, whatever the priorities are.
    fn take(&self) -> SpinMutexGuard<'_, (u64, Arc<ServerConfig>)> {
        for _ in 0..100 {
            if let Some(shelf) = self.0.try_lock() {
                return shelf;
            }
            std::hint::spin_loop();
        }
        loop {
            thread::sleep(Duration::from_micros(100));
            if let Some(shelf) = self.0.try_lock() {
                return shelf;
            }
        }
    }
}

/// Threads differ in where their stacks are; that is cheaper to ask than a thread's name.
fn shelf_of_this_thread() -> usize {
    let here = 0_u8;
    let stack = (&raw const here).addr() >> 16;
    // Fibonacci hashing: the top bits of the product depend on all bits of the address.
    let hash = (stack as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(hash >> 32).unwrap_or(0) % SHELVES
}
