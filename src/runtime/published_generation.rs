//! The published generation: one thread replaces it, all threads read it, and no reader waits for a lock.
//!
//! A reader never waits: it tries the lock of its shard, and reads `swap` if another thread has the lock. The publisher
//! makes all shards invalid, stores the generation in `swap`, fills the shards, and makes them valid. While they are
//! invalid, every reader reads `swap`. So no reader gets an older generation than another one got before (G7).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use rustls::{ClientConfig, ServerConfig};
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::tls::Generation;

/// How many copies of the current config there are: a power of two, about the number of threads that accept
/// connections at the same time.
const SHARDS: usize = 16;

/// Number of low bits of a stack address that do not count when a shard is chosen. Hosts use no stack smaller than
/// 64 KiB, so the other bits differ between any two threads.
const STACK_BITS: u32 = 16;

/// How long to sleep before checking again for a lock that another thread holds for some nanoseconds.
const NAP: Duration = Duration::from_micros(100);

/// Two 64-byte cache lines: adjacent-line prefetch makes CPUs share them in pairs.
const LINE: usize = 128;

/// The current generation, and copies of its config for the hot path.
///
/// `swap` decides which generation is current. The shards are copies of its config, each on its own cache lines. So
/// threads that acquire a config for each connection rarely write to the same line. Reading a shard costs less than a
/// read lock, and does not slow down with the number of threads.
pub(super) struct Published {
    /// Relies on five properties of arc-swap, which `tests/arc_swap` checks with threads stopped inside of `load`. A
    /// load returns a value that was stored here, never one of another instance (G2). It returns the latest value if
    /// the store returned before the load began (G13). One thread never gets an older value than before (G7). A loaded
    /// value does not change while it is in use, and a replaced value is dropped once, with its last user (G8). The
    /// loom models assume these properties. arc-swap before 1.9.5 lacks the first one.
    swap: ArcSwap<Generation>,
    /// The number of the generation whose config readers may take from a shard: 0 during a publication.
    valid: AtomicU64,
    shards: [Shard; SHARDS],
}

/// A copy of the current config. A reader that finds it locked reads `swap` instead of waiting.
#[repr(C, align(128))]
struct Shard {
    config: SpinMutex<(u64, Arc<ServerConfig>)>,
    /// How many threads of this shard are reading `swap`. `close` waits for them, as for the thread that has the lock.
    readers: AtomicUsize,
    /// Whether a thread held the lock when this process was forked. That thread does not exist here.
    is_lost: AtomicBool,
    /// The rest of the lines, set to zero. Padding that the compiler inserts is never written, so it would keep old
    /// bytes of the stack. These may be registers that the dynamic loader saved, with the last bytes copied from a key
    /// (G18).
    _rest: [u8; LINE - SET],
}

/// The size of the fields before the padding.
const SET: usize = size_of::<SpinMutex<(u64, Arc<ServerConfig>)>>()
    + size_of::<AtomicUsize>()
    + size_of::<AtomicBool>();

const _: () = assert!(size_of::<Shard>() == LINE);

impl Published {
    pub(super) fn new(first: Arc<Generation>) -> Self {
        let config = || SpinMutex::new((first.number(), first.server_config().clone()));
        let shard = |_| Shard {
            config: config(),
            readers: AtomicUsize::new(0),
            is_lost: AtomicBool::new(false),
            _rest: std::array::from_fn(|_| 0),
        };
        Self {
            shards: std::array::from_fn(shard),
            valid: AtomicU64::new(first.number()),
            swap: ArcSwap::new(first),
        }
    }

    /// Returns the current generation, for a short use.
    pub(super) fn load(&self) -> Guard<Arc<Generation>> {
        self.swap.load()
    }

    /// Acquires the current generation.
    pub(super) fn load_full(&self) -> Arc<Generation> {
        let _reader = self.shard().reader();
        self.swap.load_full()
    }

    /// Acquires the current config of the server role.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let shard = self.shard();
        let config = shard.config.try_lock();
        if let Some(copy) = &config {
            // Read while the shard is locked: if the number is from before a publication, this call is concurrent
            // with the publication, never after it.
            if copy.0 == self.valid.load(Ordering::SeqCst) {
                return copy.1.clone();
            }
        }
        // Counted before the shard is unlocked, so that `close` finds either the lock or the count at every moment.
        let _reader = shard.reader();
        drop(config);
        self.swap.load().server_config().clone()
    }

    /// Acquires the current config of the client role.
    pub(super) fn client_config(&self) -> Option<Arc<ClientConfig>> {
        let _reader = self.shard().reader();
        self.swap.load().client_config().cloned()
    }

    /// Makes `next` current. Only one thread at a time publishes.
    pub(super) fn publish(&self, next: Arc<Generation>) {
        let (number, config) = (next.number(), next.server_config().clone());
        // From here on every reader reads `swap`, so that all readers see the change at the same moment.
        self.valid.store(0, Ordering::SeqCst);
        self.swap.store(next);
        for shard in &self.shards {
            // The old config is dropped outside of the lock, because its keys may be wiped with it.
            let next = (number, config.clone());
            let old = shard.lock().map(|mut shard| std::mem::replace(&mut *shard, next));
            drop(old);
        }
        self.valid.store(number, Ordering::SeqCst);
    }

    /// Waits until every read that began before has ended.
    pub(super) fn wait_for_readers(&self) {
        for shard in &self.shards {
            drop(shard.lock());
            while shard.readers.load(Ordering::SeqCst) > 0 {
                thread::sleep(NAP);
            }
        }
    }

    /// Makes the shards usable in a forked child, before its threads read them: the parent's readers do not exist here.
    pub(super) fn after_fork(&self) {
        for shard in &self.shards {
            shard.is_lost.store(shard.config.try_lock().is_none(), Ordering::SeqCst);
            shard.readers.store(0, Ordering::SeqCst);
        }
        // Publish again: the fork may have interrupted a publication, with shards of two generations and `valid` at 0.
        self.publish(self.swap.load_full());
    }

    /// Returns the shard of this thread.
    fn shard(&self) -> &Shard {
        &self.shards[shard_of_this_thread()]
    }
}

/// A read of `swap` that is in progress.
struct Reader<'a>(&'a Shard);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shard {
    /// Counts a read of `swap` until the returned value is dropped.
    fn reader(&self) -> Reader<'_> {
        self.readers.fetch_add(1, Ordering::SeqCst);
        Reader(self)
    }

    /// Locks the shard to publish or to close. A reader unlocks it within nanoseconds, unless it was preempted: then
    /// sleeping lets it run, whatever the priorities are. Returns `None` if the lock was lost at a fork.
    fn lock(&self) -> Option<SpinMutexGuard<'_, (u64, Arc<ServerConfig>)>> {
        for _ in 0..100 {
            if let Some(shard) = self.config.try_lock() {
                return Some(shard);
            }
            std::hint::spin_loop();
        }
        while !self.is_lost.load(Ordering::SeqCst) {
            thread::sleep(NAP);
            if let Some(shard) = self.config.try_lock() {
                return Some(shard);
            }
        }
        None
    }
}

/// Returns the index of this thread's shard. The stack's address identifies the thread, and costs less than its id.
fn shard_of_this_thread() -> usize {
    let here = 0_u8;
    shard_of((&raw const here).addr())
}

/// Returns the shard of a thread whose stack is around `address`.
///
/// Uses Fibonacci hashing (Knuth, TAOCP volume 3, 6.4). The top bits of the product depend on all bits of the address,
/// and multiples of any stack size are spread evenly over them.
fn shard_of(address: usize) -> usize {
    let hash = ((address >> STACK_BITS) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(hash >> (u64::BITS - SHARDS.ilog2())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::unit_reads::HereReader;
    use super::*;
    use crate::options::{IdentityFiles, Options, Role};
    use crate::reload::Pipeline;
    use crate::tls::GenerationsAlive;

    fn current() -> (tempfile::TempDir, Published) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        std::fs::write(path("chain"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let (chain, key) = (path("chain"), path("key"));
        let files = IdentityFiles {
            index: 0,
            role: Role::Server,
            chain,
            key,
            ocsp: None,
            password: None,
            memory: None,
        };
        let options = Options { identities: vec![files], ..Options::default() };
        let now = crate::clock::Now::read().unix;
        let count = GenerationsAlive::default();
        let opened = Pipeline::open(options, &HereReader, count, now).unwrap();
        (directory, Published::new(opened.publication.generation))
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
    fn threads_with_neighbouring_stacks_have_different_shards() {
        for stack in STACKS {
            let meet = |base: &usize| shard_of(*base) == shard_of(*base - stack);
            let count = bases().filter(meet).count();
            assert!(count <= 150, "{count} of 1000 pairs with stacks of {stack} bytes share one");
        }
    }

    #[test]
    fn consecutive_stacks_are_spread_over_the_shards() {
        for stack in STACKS {
            for base in bases() {
                let mut threads = [0; SHARDS];
                (0..SHARDS).for_each(|number| threads[shard_of(base - number * stack)] += 1);
                let used = threads.iter().filter(|count| **count > 0).count();
                assert!(used >= SHARDS / 2, "stacks of {stack} bytes use {used}: {threads:?}");
            }
        }
    }

    #[test]
    fn close_waits_for_threads_that_read_the_swap() {
        let (_directory, current) = current();
        current.wait_for_readers();
        let (report, reported) = mpsc::channel();
        thread::scope(|scope| {
            let current = &current;
            let reader = current.shard().reader();
            scope.spawn(move || {
                current.wait_for_readers();
                report.send(()).unwrap();
            });
            // The wait must not end while `reader` exists.
            assert!(reported.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
            drop(reader);
            reported.recv().unwrap();
        });
    }

    #[test]
    fn close_waits_for_the_thread_that_has_a_shard_locked() {
        let (_directory, current) = current();
        let (report, reported) = mpsc::channel();
        thread::scope(|scope| {
            let current = &current;
            let shard = current.shards[3].config.try_lock();
            scope.spawn(move || {
                current.wait_for_readers();
                report.send(()).unwrap();
            });
            // The wait must not end while the shard is locked.
            assert!(reported.recv_timeout(Duration::from_millis(50)).is_err(), "it did not wait");
            drop(shard);
            reported.recv().unwrap();
        });
    }

    #[test]
    fn a_shard_that_was_locked_at_a_fork_is_not_waited_for() {
        let (_directory, current) = current();
        let lost = current.shards[3].config.try_lock();
        std::mem::forget(current.shard().reader());
        current.after_fork();
        current.publish(current.load_full());
        current.wait_for_readers();
        drop(lost);
    }
}
