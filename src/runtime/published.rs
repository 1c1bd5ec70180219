//! The current generation: swapped by one thread, taken by all, with no lock that anyone waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use rustls::{ClientConfig, ServerConfig};
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::tls::Generation;

/// Places from which threads take configs: a power of two, about as many as busy threads meet.
const SHELVES: usize = 16;

/// Stacks of two threads lie at least this many bits of the address apart: 64 KiB, the smallest that hosts use.
const STACK_BITS: u32 = 16;

/// Between looks at what another thread has for some nanoseconds.
const NAP: Duration = Duration::from_micros(100);

/// What processors keep apart: a cache line and the one that comes with it.
const LINE: usize = 128;

/// The swap is the truth. The shelves are copies of its config, each in a cache line of its own, so
/// that threads that take one for each connection do not meet: taking from a shelf costs less than
/// a read lock, and does not slow down when threads are many.
pub(super) struct Published {
    /// Relies on five properties of arc-swap, which `tests/arc_swap` checks with threads held inside of
    /// `load`: a load returns what was stored here, never a value of another instance (G2); it returns the latest
    /// value if the store returned before the load began (G13); one thread never gets an older value than
    /// before (G7); a loaded value stays as it is while it is in use, and a replaced value is dropped once,
    /// with its last user (G8). The loom models take these for granted. Before 1.9.5 the first one fails.
    swap: ArcSwap<Generation>,
    /// The generation that the shelves may serve: 0 while another one is being published.
    shelved: AtomicU64,
    shelves: [Shelf; SHELVES],
}

/// Never waited for by those who take configs: they go to the swap when it is taken.
#[repr(C, align(128))]
struct Shelf {
    config: SpinMutex<(u64, Arc<ServerConfig>)>,
    /// How many threads that begin here are taking something from the swap: whoever closes waits for them,
    /// as for the one that has the shelf.
    takers: AtomicUsize,
    /// Whoever had it when this process was forked is not there to give it back.
    is_lost: AtomicBool,
    /// The rest of the line. Were it left to the compiler it would not be set at all, and keep what was on
    /// the stack where it was made: registers that the loader had saved there, with the last bytes that
    /// were copied, among them those of a key.
    _rest: [u8; LINE - SET],
}

/// Bytes of a shelf that are set.
const SET: usize = size_of::<SpinMutex<(u64, Arc<ServerConfig>)>>()
    + size_of::<AtomicUsize>()
    + size_of::<AtomicBool>();

const _: () = assert!(size_of::<Shelf>() == LINE);

impl Published {
    pub(super) fn new(first: Arc<Generation>) -> Self {
        let config = || SpinMutex::new((first.number(), first.server_config().clone()));
        let shelf = |_| Shelf {
            config: config(),
            takers: AtomicUsize::new(0),
            is_lost: AtomicBool::new(false),
            _rest: std::array::from_fn(|_| 0),
        };
        Self {
            shelves: std::array::from_fn(shelf),
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
        let _taker = self.place().taker();
        self.swap.load_full()
    }

    /// The current config, counted.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let place = self.place();
        let config = place.config.try_lock();
        if let Some(shelf) = &config {
            // Asked while the shelf is held: an answer from before the publication of another
            // generation is then concurrent with it, never after it.
            if shelf.0 == self.shelved.load(Ordering::SeqCst) {
                return shelf.1.clone();
            }
        }
        // Counted before the shelf is given back: there is no moment between the two at which whoever
        // closes would find neither.
        let _taker = place.taker();
        drop(config);
        self.swap.load().server_config().clone()
    }

    /// The current config of the client role, counted.
    pub(super) fn client_config(&self) -> Option<Arc<ClientConfig>> {
        let _taker = self.place().taker();
        self.swap.load().client_config().cloned()
    }

    /// Makes `next` current. Only one thread at a time publishes.
    pub(super) fn publish(&self, next: Arc<Generation>) {
        let (number, config) = (next.number(), next.server_config().clone());
        // From here on everybody goes to the swap, so that there is one moment for all.
        self.shelved.store(0, Ordering::SeqCst);
        self.swap.store(next);
        for shelf in &self.shelves {
            // The old config goes outside of the lock: with it may go keys that are wiped.
            let next = (number, config.clone());
            let old = shelf.take().map(|mut shelf| std::mem::replace(&mut *shelf, next));
            drop(old);
        }
        self.shelved.store(number, Ordering::SeqCst);
    }

    /// Waits until nobody who began before takes a config any more.
    pub(super) fn wait_for_takers(&self) {
        for shelf in &self.shelves {
            drop(shelf.take());
            while shelf.takers.load(Ordering::SeqCst) > 0 {
                thread::sleep(NAP);
            }
        }
    }

    /// In a child that was forked, before others take configs there: nobody of the parent's threads is
    /// in the way.
    pub(super) fn after_fork(&self) {
        for shelf in &self.shelves {
            shelf.is_lost.store(shelf.config.try_lock().is_none(), Ordering::SeqCst);
            shelf.takers.store(0, Ordering::SeqCst);
        }
        // The parent may have been publishing.
        self.publish(self.swap.load_full());
    }

    /// Where this thread begins whenever it takes something.
    fn place(&self) -> &Shelf {
        &self.shelves[shelf_of_this_thread()]
    }
}

struct Taker<'a>(&'a Shelf);

impl Drop for Taker<'_> {
    fn drop(&mut self) {
        self.0.takers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shelf {
    /// Notes that this thread is taking something from the swap, until it lets go of what it gets here.
    fn taker(&self) -> Taker<'_> {
        self.takers.fetch_add(1, Ordering::SeqCst);
        Taker(self)
    }

    /// For the one who publishes or closes. Whoever has the shelf gives it back within nanoseconds, unless it
    /// lost its processor meanwhile: then sleeping lets it run, whatever the priorities are.
    /// `None` is a shelf that is lost.
    fn take(&self) -> Option<SpinMutexGuard<'_, (u64, Arc<ServerConfig>)>> {
        for _ in 0..100 {
            if let Some(shelf) = self.config.try_lock() {
                return Some(shelf);
            }
            std::hint::spin_loop();
        }
        while !self.is_lost.load(Ordering::SeqCst) {
            thread::sleep(NAP);
            if let Some(shelf) = self.config.try_lock() {
                return Some(shelf);
            }
        }
        None
    }
}

/// Threads differ in where their stacks are; that is cheaper to ask than a thread's name.
fn shelf_of_this_thread() -> usize {
    let here = 0_u8;
    shelf_of((&raw const here).addr())
}

/// Returns the shelf of a thread whose stack is around `address`.
///
/// Fibonacci hashing: the top bits of the product depend on all bits of the address, and multiples of any
/// stack size are spread evenly over them (Knuth, TAOCP volume 3, 6.4).
fn shelf_of(address: usize) -> usize {
    let hash = ((address >> STACK_BITS) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(hash >> (u64::BITS - SHELVES.ilog2())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::options::{IdentityFiles, Options, Role};
    use crate::reload::Pipeline;
    use crate::tls::GenerationCount;

    fn current() -> (tempfile::TempDir, Published) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        std::fs::write(path("chain"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let (chain, key) = (path("chain"), path("key"));
        let files = IdentityFiles {
            role: Role::Server,
            chain,
            key,
            ocsp: None,
            password: None,
            memory: None,
        };
        let options = Options { identities: vec![files], ..Options::default() };
        let now = crate::clock::Now::read().unix;
        let (_, published) = Pipeline::open(options, GenerationCount::default(), now).unwrap();
        (directory, Published::new(published.generation))
    }

    /// Stack sizes that hosts use, with and without a guard page, in bytes.
    const STACKS: [usize; 10] = [
        1 << 16,
        (1 << 16) + 4096,
        1 << 18,
        1 << 19,
        1 << 20,
        (1 << 20) + 4096,
        1 << 21,
        (1 << 21) + 4096,
        1 << 23,
        (1 << 23) + 4096,
    ];

    /// Where the stacks of a process may begin: the top of the address space, wherever it was randomised to.
    fn bases() -> impl Iterator<Item = usize> {
        (0..1000).map(|number| 0x7fff_ffff_f000 - number * 0x1234_5000)
    }

    #[test]
    fn threads_with_neighbouring_stacks_have_different_shelves() {
        for stack in STACKS {
            let meet = |base: &usize| shelf_of(*base) == shelf_of(*base - stack);
            let count = bases().filter(meet).count();
            assert!(count <= 150, "{count} of 1000 pairs with stacks of {stack} bytes share one");
        }
    }

    #[test]
    fn consecutive_stacks_are_spread_over_the_shelves() {
        for stack in STACKS {
            for base in bases() {
                let mut threads = [0; SHELVES];
                (0..SHELVES).for_each(|number| threads[shelf_of(base - number * stack)] += 1);
                let used = threads.iter().filter(|count| **count > 0).count();
                assert!(used >= SHELVES / 2, "stacks of {stack} bytes use {used}: {threads:?}");
            }
        }
    }

    #[test]
    fn whoever_closes_waits_for_those_who_are_at_the_swap() {
        let (_directory, current) = current();
        current.wait_for_takers();
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let current = &current;
            let taker = current.place().taker();
            scope.spawn(move || {
                current.wait_for_takers();
                tell.send(()).unwrap();
            });
            // An interval for nothing to happen in.
            assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
            drop(taker);
            told.recv().unwrap();
        });
    }

    #[test]
    fn whoever_closes_waits_for_the_one_that_has_a_shelf() {
        let (_directory, current) = current();
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let current = &current;
            let shelf = current.shelves[3].config.try_lock();
            scope.spawn(move || {
                current.wait_for_takers();
                tell.send(()).unwrap();
            });
            // An interval for nothing to happen in.
            assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
            drop(shelf);
            told.recv().unwrap();
        });
    }

    #[test]
    fn a_shelf_that_was_lost_at_a_fork_is_passed_over() {
        let (_directory, current) = current();
        let lost = current.shelves[3].config.try_lock();
        std::mem::forget(current.place().taker());
        current.after_fork();
        current.publish(current.load_full());
        current.wait_for_takers();
        drop(lost);
    }
}
