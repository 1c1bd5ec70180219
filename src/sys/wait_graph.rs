//! Finds deadlocks before they happen, from records of which thread holds what, and which thread waits for what.
//!
//! The host's callbacks run on threads of the library, and may call the library. A call that would wait for its own
//! thread, directly or through other threads, fails with an error instead of blocking for ever.

use std::collections::HashMap;
use std::sync::Arc;

use super::handle_id::HandleId;
use super::mutex::{Condvar, Mutex, MutexGuard};
use super::thread_id::ThreadId;

/// A thing that a thread may hold while a callback of the host runs on it, and that other threads may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// A running call on the handle; any number of threads hold it at once.
    Calls(HandleId),
    /// The state that a thread locks to run reload passes.
    StepState(HandleId),
    /// One run of the handle's event callback, by number: waiting for it does not mean waiting for later runs.
    Callback(HandleId, u64),
    /// A run of the host's key-password callback on a reader.
    KeyPassword(HandleId),
    /// The end of a thread of the library. The thread itself counts as the holder.
    Thread(ThreadId),
    /// The result of a pass: held by the worker, and with [`Self::StepState`] and [`Self::KeyPassword`].
    Answer(ThreadId, HandleId),
}

/// Records which thread holds and which waits for which [`Resource`]: one graph for the handles of both runtimes.
#[derive(Default)]
pub(crate) struct WaitGraph {
    edges: Mutex<Edges>,
    released: Condvar,
}

#[derive(Default)]
struct Edges {
    /// The threads that hold each resource. A thread that holds a resource twice is listed twice.
    holders: HashMap<Resource, Vec<ThreadId>>,
    /// The one resource that each waiting thread waits for.
    wanted: HashMap<ThreadId, Resource>,
}

/// A wait would never end, because this thread or a thread that waits for it holds the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlock;

/// Each wait is checked and recorded in one step under the lock. So of several threads that would wait for each other,
/// the last one gets [`Deadlock`]. The waits of the others, which are recorded already, need no further check.
impl WaitGraph {
    /// Records that this thread holds `resource`, until the result is dropped.
    pub(crate) fn hold(self: &Arc<Self>, resource: Resource) -> HeldResource {
        self.edges().holders.entry(resource).or_default().push(ThreadId::current());
        HeldResource { waits: self.clone(), resource }
    }

    /// Records that this thread is about to wait for `resource`, until the result is dropped. Fails if the wait would
    /// never end, also if this thread holds `resource` itself.
    pub(crate) fn want(self: &Arc<Self>, resource: Resource) -> Result<WantedResource, Deadlock> {
        self.edges().want(ThreadId::current(), resource, true)?;
        Ok(WantedResource { waits: self.clone(), resource })
    }

    /// As [`Self::want`], but this thread may hold `resource`, too.
    pub(crate) fn want_of_others(
        self: &Arc<Self>,
        resource: Resource,
    ) -> Result<WantedResource, Deadlock> {
        self.edges().want(ThreadId::current(), resource, false)?;
        Ok(WantedResource { waits: self.clone(), resource })
    }

    /// Blocks until no other thread holds `resource`, except those that wait for this thread: they would never end.
    pub(crate) fn wait_for_others(&self, resource: Resource) {
        let (me, mut edges) = (ThreadId::current(), self.edges());
        while edges.holders_of(resource).any(|one| one != me && !edges.waits_for(one, me)) {
            edges.wanted.insert(me, resource);
            edges = self.released.wait(edges);
            edges.wanted.remove(&me);
        }
    }

    fn edges(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock()
    }
}

impl Edges {
    /// Records that `me` waits for `resource`. Fails if a holder waits for `me`, or `counts_own` and `me` is a holder.
    fn want(&mut self, me: ThreadId, resource: Resource, counts_own: bool) -> Result<(), Deadlock> {
        let is_in_the_way =
            |holder| if holder == me { counts_own } else { self.waits_for(holder, me) };
        if self.holders_of(resource).any(is_in_the_way) {
            return Err(Deadlock);
        }
        self.wanted.insert(me, resource);
        Ok(())
    }

    fn holders_of(&self, resource: Resource) -> impl Iterator<Item = ThreadId> {
        let (thread, recorded) = match resource {
            Resource::Thread(thread) => (Some(thread), [None, None]),
            Resource::Answer(thread, of) => {
                (Some(thread), [Some(Resource::StepState(of)), Some(Resource::KeyPassword(of))])
            }
            recorded => (None, [Some(recorded), None]),
        };
        let recorded = recorded.into_iter().flatten().filter_map(|one| self.holders.get(&one));
        thread.into_iter().chain(recorded.flatten().copied())
    }

    /// Returns whether `one` waits for what `other` holds, directly or through further threads.
    fn waits_for(&self, one: ThreadId, other: ThreadId) -> bool {
        let (mut seen, mut next) = (vec![one], vec![one]);
        while let Some(resource) = next.pop().map(|thread| self.wanted.get(&thread)) {
            for holder in resource.into_iter().flat_map(|wanted| self.holders_of(*wanted)) {
                if seen.contains(&holder) {
                    continue;
                }
                if holder == other {
                    return true;
                }
                seen.push(holder);
                next.push(holder);
            }
        }
        false
    }
}

/// The record that a thread holds a resource, until the value is dropped. Only that thread may drop it.
pub(crate) struct HeldResource {
    waits: Arc<WaitGraph>,
    resource: Resource,
}

impl Drop for HeldResource {
    fn drop(&mut self) {
        let mut edges = self.waits.edges();
        let me = ThreadId::current();
        if let Some(holders) = edges.holders.get_mut(&self.resource) {
            if let Some(at) = holders.iter().rposition(|holder| *holder == me) {
                holders.swap_remove(at);
            }
            if holders.is_empty() {
                edges.holders.remove(&self.resource);
            }
        }
        self.waits.released.notify_all();
    }
}

/// The record that the current thread waits for a resource, until the value is dropped.
pub(crate) struct WantedResource {
    waits: Arc<WaitGraph>,
    resource: Resource,
}

impl WantedResource {
    /// Blocks until no other thread holds the resource. Needs no further check: if another thread begins a wait that
    /// would be a deadlock with this one, that thread's [`WaitGraph::want`] fails.
    pub(crate) fn until_released(self) {
        let (me, mut edges) = (ThreadId::current(), self.waits.edges());
        while edges.holders_of(self.resource).any(|holder| holder != me) {
            edges = self.waits.released.wait(edges);
        }
    }
}

impl Drop for WantedResource {
    fn drop(&mut self) {
        self.waits.edges().wanted.remove(&ThreadId::current());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const A: Resource = Resource::StepState(1);
    const B: Resource = Resource::Callback(2, 7);

    #[test]
    fn want_of_an_own_resource_is_a_deadlock() {
        let waits = Arc::new(WaitGraph::default());
        let held = waits.hold(A);
        assert_eq!(waits.want(A).err(), Some(Deadlock));
        assert!(waits.want_of_others(A).is_ok());
        assert!(waits.want(B).is_ok());
        drop(held);
        assert!(waits.want(A).is_ok());
        let me = ThreadId::current();
        assert_eq!(waits.want(Resource::Thread(me)).err(), Some(Deadlock));
        assert_eq!(waits.want(Resource::Answer(me, 3)).err(), Some(Deadlock));
    }

    #[test]
    fn want_of_a_thread_that_waits_for_this_one_is_a_deadlock() {
        let waits = Arc::new(WaitGraph::default());
        let _a = waits.hold(A);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let waits = &waits;
            scope.spawn(move || {
                let _b = waits.hold(B);
                let _wanted = waits.want(A).ok().unwrap();
                sender.send(()).unwrap();
                ended.recv().unwrap();
            });
            receiver.recv().unwrap();
            assert_eq!(waits.want(B).err(), Some(Deadlock));
            assert_eq!(waits.want_of_others(B).err(), Some(Deadlock));
            assert!(waits.want(Resource::Callback(2, 8)).is_ok(), "another run of the callback");
            waits.wait_for_others(B);
            end.send(()).unwrap();
        });
        waits.want_of_others(B).ok().unwrap().until_released();
    }

    #[test]
    fn want_of_an_answer_counts_the_worker_and_the_step_state() {
        let waits = Arc::new(WaitGraph::default());
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let (of_idle_worker, asks) = mpsc::channel();
            let worker = ThreadId::new();
            scope.spawn(move || {
                worker.take();
                ended.recv().unwrap();
            });
            of_idle_worker.send(Resource::Answer(worker, 1)).unwrap();
            let waits = &waits;
            let _work = waits.hold(Resource::StepState(1));
            scope.spawn(move || {
                let _callback = waits.hold(B);
                let answer = asks.recv().unwrap();
                let wanted = waits.want(answer).ok();
                sender.send(wanted.is_some()).unwrap();
                asks.recv().unwrap_err();
            });
            assert!(receiver.recv().unwrap());
            assert_eq!(waits.want_of_others(B).err(), Some(Deadlock));
            assert_eq!(waits.want(Resource::Answer(worker, 1)).err(), Some(Deadlock));
            assert!(waits.want(Resource::Answer(worker, 2)).is_ok());
            end.send(()).unwrap();
            drop(of_idle_worker);
        });
    }

    #[test]
    fn wait_for_others_skips_threads_that_wait_for_this_one() {
        let waits = Arc::new(WaitGraph::default());
        let calls = Resource::Calls(1);
        let _mine = waits.hold(calls);
        let _callback = waits.hold(B);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let (waits, second_sender) = (&waits, sender.clone());
            scope.spawn(move || {
                let _call = waits.hold(calls);
                let _unregisters = waits.want_of_others(B).ok().unwrap();
                sender.send(()).unwrap();
                ended.recv().unwrap();
            });
            let other = scope.spawn(move || {
                let call = waits.hold(calls);
                second_sender.send(()).unwrap();
                // Keep the call until another thread waits for calls.
                while waits.edges().wanted.values().all(|wanted| *wanted != calls) {
                    thread::yield_now();
                }
                drop(call);
            });
            receiver.recv().unwrap();
            receiver.recv().unwrap();
            waits.wait_for_others(calls);
            let left = waits.edges().holders_of(calls).count();
            assert_eq!(left, 2, "the skipped call and this thread's own");
            other.join().unwrap();
            end.send(()).unwrap();
        });
    }

    /// Returns whether every thread ends, if a waiting thread continues as soon as all other holders of its resource
    /// have ended. The thread `counts_own` does not continue if it is a holder itself.
    fn all_end(edges: &Edges, threads: &[ThreadId], counts_own: Option<ThreadId>) -> bool {
        let mut left = threads.to_vec();
        while !left.is_empty() {
            let continues = |one: &ThreadId| {
                let wanted = edges.wanted.get(one).into_iter();
                let mut holders = wanted.flat_map(|wanted| edges.holders_of(*wanted));
                holders.all(|holder| {
                    !left.contains(&holder) || (holder == *one && counts_own != Some(*one))
                })
            };
            match left.iter().position(continues) {
                Some(at) => left.swap_remove(at),
                None => return false,
            };
        }
        true
    }

    /// Simulates threads that take resources, wait for them and give them back at random. A wait is refused if and only
    /// if it would keep some thread from ever ending.
    #[test]
    fn random_waits_are_refused_exactly_if_they_never_end() {
        let threads: Vec<_> = (0..5).map(|_| ThreadId::new()).collect();
        let worker = threads[0];
        let mut resources = vec![Resource::Calls(1), Resource::Calls(2), Resource::Thread(worker)];
        for handle in 1..=2 {
            resources.extend([
                Resource::StepState(handle),
                Resource::Callback(handle, 1),
                Resource::Answer(worker, handle),
            ]);
        }
        let mut random = 1_u64;
        let mut pick = |count: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(random >> 33).unwrap() % count
        };
        let mut edges = Edges::default();
        let (mut refused, mut accepted) = (0, 0);
        for _ in 0..50_000 {
            let (me, resource) = (threads[pick(threads.len())], resources[pick(resources.len())]);
            if edges.wanted.contains_key(&me) {
                // A waiting thread does nothing but end its wait, when no other thread holds the resource.
                let wanted = edges.wanted[&me];
                if edges.holders_of(wanted).all(|holder| holder == me) {
                    edges.wanted.remove(&me);
                }
                continue;
            }
            let is_shared = matches!(resource, Resource::Calls(_));
            let can_be_held = !matches!(resource, Resource::Thread(_) | Resource::Answer(..));
            match pick(4) {
                0 if can_be_held && (is_shared || edges.holders_of(resource).next().is_none()) => {
                    edges.holders.entry(resource).or_default().push(me);
                }
                1 => {
                    for holders in edges.holders.values_mut() {
                        holders.retain(|holder| *holder != me);
                    }
                }
                2 | 3 => {
                    let counts_own = pick(2) == 0;
                    let is_refused = edges.want(me, resource, counts_own).is_err();
                    edges.wanted.insert(me, resource);
                    let ends = all_end(&edges, &threads, counts_own.then_some(me));
                    assert_eq!(is_refused, !ends, "{me:?} wants {resource:?}: {:?}", edges.wanted);
                    accepted += usize::from(ends);
                    refused += usize::from(is_refused);
                    if is_refused {
                        edges.wanted.remove(&me);
                    }
                }
                _ => {}
            }
        }
        assert!(refused > 1000 && accepted > 1000, "{refused} refused, {accepted} accepted");
    }

    #[test]
    fn threads_that_hold_and_wait_at_random_all_end() {
        const THREADS: u64 = 4;
        let waits = Arc::new(WaitGraph::default());
        thread::scope(|scope| {
            for me in 0..THREADS {
                let waits = &waits;
                scope.spawn(move || {
                    for round in 0..3000 {
                        let other = (me + 1 + round % (THREADS - 1)) % THREADS;
                        let call = waits.hold(Resource::Calls(other));
                        let run = waits.hold(Resource::Callback(me, 0));
                        match round % 5 {
                            0 | 1 => waits.wait_for_others(Resource::Calls(me)),
                            2 | 3 => {
                                let run = waits.want_of_others(Resource::Callback(other, 0));
                                if let Ok(run) = run {
                                    run.until_released();
                                }
                            }
                            _ => {}
                        }
                        drop((call, run));
                    }
                });
            }
        });
        assert!(waits.edges().holders.is_empty() && waits.edges().wanted.is_empty());
    }
}
