//! Who holds what, and who waits for it: no thread is to wait for itself, not even by way of others.

use std::collections::HashMap;
use std::sync::Arc;

use super::handle_id::HandleId;
use super::mutex::{Condvar, Mutex, MutexGuard};
use super::thread_id::ThreadId;

/// What a thread may hold while the host's code runs on it, and others may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// A call on the handle is running; any number of threads hold it at once.
    Calls(HandleId),
    /// The handle's pipeline.
    WorkerState(HandleId),
    /// One run of the handle's event callback, by its number: whoever waits for one does not wait for
    /// those after it.
    Callback(HandleId, u64),
    /// A thread of the library: it holds itself until it ends.
    Thread(ThreadId),
    /// What a background thread finds out about a handle: both it and the handle's pipeline have to
    /// be free for that.
    Answer(ThreadId, HandleId),
}

/// One ledger for all threads of the process.
#[derive(Default)]
pub(crate) struct WaitGraph {
    ledger: Mutex<Ledger>,
    released: Condvar,
}

#[derive(Default)]
struct Ledger {
    holders: HashMap<Resource, Vec<ThreadId>>,
    wanted: HashMap<ThreadId, Resource>,
}

/// Waiting would be for ever: somebody on the way waits for this very thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlock;

/// Looking for a circle and noting the wait are one step, so of threads that would wait for each other
/// the last one to begin is told, and the others need not look again.
impl WaitGraph {
    /// Notes that this thread holds `resource`, until that is dropped.
    pub(crate) fn hold(self: &Arc<Self>, resource: Resource) -> HeldResource {
        self.ledger().holders.entry(resource).or_default().push(ThreadId::mine());
        HeldResource { waits: self.clone(), resource }
    }

    /// Notes that this thread is about to wait for `resource`, until that is dropped.
    pub(crate) fn want(self: &Arc<Self>, resource: Resource) -> Result<WantedResource, Deadlock> {
        self.ledger().want(ThreadId::mine(), resource, true)?;
        Ok(WantedResource { waits: self.clone(), resource })
    }

    /// The same for what other threads hold of it: this one may hold it, too.
    pub(crate) fn want_of_others(
        self: &Arc<Self>,
        resource: Resource,
    ) -> Result<WantedResource, Deadlock> {
        self.ledger().want(ThreadId::mine(), resource, false)?;
        Ok(WantedResource { waits: self.clone(), resource })
    }

    /// Waits until no other thread holds `resource`, but for those that wait for this one.
    pub(crate) fn wait_for_others(&self, resource: Resource) {
        let (me, mut ledger) = (ThreadId::mine(), self.ledger());
        while ledger.holders_of(resource).any(|one| one != me && !ledger.waits_for(one, me)) {
            ledger.wanted.insert(me, resource);
            ledger = self.released.wait(ledger);
            ledger.wanted.remove(&me);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }
}

impl Ledger {
    fn want(&mut self, me: ThreadId, resource: Resource, of_me_too: bool) -> Result<(), Deadlock> {
        let is_in_the_way =
            |holder| if holder == me { of_me_too } else { self.waits_for(holder, me) };
        if self.holders_of(resource).any(is_in_the_way) {
            return Err(Deadlock);
        }
        self.wanted.insert(me, resource);
        Ok(())
    }

    fn holders_of(&self, resource: Resource) -> impl Iterator<Item = ThreadId> {
        let (thread, noted) = match resource {
            Resource::Thread(thread) => (Some(thread), None),
            Resource::Answer(thread, of) => (Some(thread), Some(Resource::WorkerState(of))),
            noted => (None, Some(noted)),
        };
        let noted = noted.and_then(|noted| self.holders.get(&noted)).into_iter().flatten();
        thread.into_iter().chain(noted.copied())
    }

    /// Whether `one` waits for what `other` holds, be it by way of others.
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

/// What this thread holds.
pub(crate) struct HeldResource {
    waits: Arc<WaitGraph>,
    resource: Resource,
}

impl Drop for HeldResource {
    fn drop(&mut self) {
        let mut ledger = self.waits.ledger();
        let me = ThreadId::mine();
        if let Some(holders) = ledger.holders.get_mut(&self.resource) {
            if let Some(at) = holders.iter().rposition(|holder| *holder == me) {
                holders.swap_remove(at);
            }
            if holders.is_empty() {
                ledger.holders.remove(&self.resource);
            }
        }
        self.waits.released.notify_all();
    }
}

/// That this thread waits.
pub(crate) struct WantedResource {
    waits: Arc<WaitGraph>,
    resource: Resource,
}

impl WantedResource {
    /// Waits until no other thread holds it. Whoever would close a circle meanwhile is told so.
    pub(crate) fn until_released(self) {
        let (me, mut ledger) = (ThreadId::mine(), self.waits.ledger());
        while ledger.holders_of(self.resource).any(|holder| holder != me) {
            ledger = self.waits.released.wait(ledger);
        }
    }
}

impl Drop for WantedResource {
    fn drop(&mut self) {
        self.waits.ledger().wanted.remove(&ThreadId::mine());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const A: Resource = Resource::WorkerState(1);
    const B: Resource = Resource::Callback(2, 7);

    #[test]
    fn nobody_waits_for_what_he_holds() {
        let waits = Arc::new(WaitGraph::default());
        let held = waits.hold(A);
        assert_eq!(waits.want(A).err(), Some(Deadlock));
        assert!(waits.want_of_others(A).is_ok());
        assert!(waits.want(B).is_ok());
        drop(held);
        assert!(waits.want(A).is_ok());
        let me = ThreadId::mine();
        assert_eq!(waits.want(Resource::Thread(me)).err(), Some(Deadlock));
        assert_eq!(waits.want(Resource::Answer(me, 3)).err(), Some(Deadlock));
    }

    #[test]
    fn nobody_waits_for_one_who_waits_for_him() {
        let waits = Arc::new(WaitGraph::default());
        let _a = waits.hold(A);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let waits = &waits;
            scope.spawn(move || {
                let _b = waits.hold(B);
                let _wanted = waits.want(A).ok().unwrap();
                tell.send(()).unwrap();
                ended.recv().unwrap();
            });
            told.recv().unwrap();
            assert_eq!(waits.want(B).err(), Some(Deadlock));
            assert_eq!(waits.want_of_others(B).err(), Some(Deadlock));
            assert!(waits.want(Resource::Callback(2, 8)).is_ok(), "that is another run");
            waits.wait_for_others(B);
            end.send(()).unwrap();
        });
        waits.want_of_others(B).ok().unwrap().until_released();
    }

    #[test]
    fn an_answer_is_waited_for_by_who_holds_the_work_it_takes() {
        let waits = Arc::new(WaitGraph::default());
        let (tell, told) = mpsc::channel();
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
            let _work = waits.hold(Resource::WorkerState(1));
            scope.spawn(move || {
                let _callback = waits.hold(B);
                let answer = asks.recv().unwrap();
                let wanted = waits.want(answer).ok();
                tell.send(wanted.is_some()).unwrap();
                asks.recv().unwrap_err();
            });
            assert!(told.recv().unwrap());
            assert_eq!(waits.want_of_others(B).err(), Some(Deadlock));
            assert_eq!(waits.want(Resource::Answer(worker, 1)).err(), Some(Deadlock));
            assert!(waits.want(Resource::Answer(worker, 2)).is_ok());
            end.send(()).unwrap();
            drop(of_idle_worker);
        });
    }

    #[test]
    fn whoever_closes_waits_for_all_but_those_who_wait_for_him() {
        let waits = Arc::new(WaitGraph::default());
        let calls = Resource::Calls(1);
        let _mine = waits.hold(calls);
        let _callback = waits.hold(B);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let (waits, tell_too) = (&waits, tell.clone());
            scope.spawn(move || {
                let _call = waits.hold(calls);
                let _unregisters = waits.want_of_others(B).ok().unwrap();
                tell.send(()).unwrap();
                ended.recv().unwrap();
            });
            let other = scope.spawn(move || {
                let call = waits.hold(calls);
                tell_too.send(()).unwrap();
                // Until somebody waits for it.
                while waits.ledger().wanted.values().all(|wanted| *wanted != calls) {
                    thread::yield_now();
                }
                drop(call);
            });
            told.recv().unwrap();
            told.recv().unwrap();
            waits.wait_for_others(calls);
            assert_eq!(waits.ledger().holders_of(calls).count(), 2, "the call that nobody is in");
            other.join().unwrap();
            end.send(()).unwrap();
        });
    }

    /// Whether each of `threads` gets to its end, where one that waits goes on when all others that
    /// hold what it wants have ended. Somebody who wants what he holds himself does not.
    fn all_end(ledger: &Ledger, threads: &[ThreadId], of_me_too: Option<ThreadId>) -> bool {
        let mut left = threads.to_vec();
        while !left.is_empty() {
            let goes_on = |one: &ThreadId| {
                let wanted = ledger.wanted.get(one).into_iter();
                let mut holders = wanted.flat_map(|wanted| ledger.holders_of(*wanted));
                holders.all(|holder| {
                    !left.contains(&holder) || (holder == *one && of_me_too != Some(*one))
                })
            };
            match left.iter().position(goes_on) {
                Some(at) => left.swap_remove(at),
                None => return false,
            };
        }
        true
    }

    /// Threads that hold, wait and end at random, one step at a time: a wait is refused if and only if
    /// with it somebody would never get to his end.
    #[test]
    fn a_circle_is_told_where_there_is_one_and_nowhere_else() {
        let threads: Vec<_> = (0..5).map(|_| ThreadId::new()).collect();
        let worker = threads[0];
        let mut resources = vec![Resource::Calls(1), Resource::Calls(2), Resource::Thread(worker)];
        for handle in 1..=2 {
            resources.extend([
                Resource::WorkerState(handle),
                Resource::Callback(handle, 1),
                Resource::Answer(worker, handle),
            ]);
        }
        let mut random = 1_u64;
        let mut pick = |count: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(random >> 33).unwrap() % count
        };
        let mut ledger = Ledger::default();
        let (mut refused, mut noted) = (0, 0);
        for _ in 0..50_000 {
            let (me, resource) = (threads[pick(threads.len())], resources[pick(resources.len())]);
            if ledger.wanted.contains_key(&me) {
                // It goes on where it can.
                let wanted = ledger.wanted[&me];
                if ledger.holders_of(wanted).all(|holder| holder == me) {
                    ledger.wanted.remove(&me);
                }
                continue;
            }
            let is_shared = matches!(resource, Resource::Calls(_));
            let can_be_held = !matches!(resource, Resource::Thread(_) | Resource::Answer(..));
            match pick(4) {
                0 if can_be_held && (is_shared || ledger.holders_of(resource).next().is_none()) => {
                    ledger.holders.entry(resource).or_default().push(me);
                }
                1 => {
                    for holders in ledger.holders.values_mut() {
                        holders.retain(|holder| *holder != me);
                    }
                }
                2 | 3 => {
                    let of_me_too = pick(2) == 0;
                    let is_told = ledger.want(me, resource, of_me_too).is_err();
                    ledger.wanted.insert(me, resource);
                    let ends = all_end(&ledger, &threads, of_me_too.then_some(me));
                    assert_eq!(is_told, !ends, "{me:?} wants {resource:?}: {:?}", ledger.wanted);
                    noted += usize::from(ends);
                    refused += usize::from(is_told);
                    if is_told {
                        ledger.wanted.remove(&me);
                    }
                }
                _ => {}
            }
        }
        assert!(refused > 1000 && noted > 1000, "{refused} refused, {noted} not");
    }

    #[test]
    fn threads_that_wait_for_each_other_all_come_to_their_end() {
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
        assert!(waits.ledger().holders.is_empty() && waits.ledger().wanted.is_empty());
    }
}
