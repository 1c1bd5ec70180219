//! Who holds what, and who waits for it: no thread is to wait for itself, not even by way of others.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::watch::ObserverId;

/// What a thread may hold while the host's code runs on it, and others may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Resource {
    /// A call on the handle is running; any number of threads hold it at once.
    Calls(ObserverId),
    /// The handle's pipeline.
    Work(ObserverId),
    /// The handle's event callback is running.
    Callback(ObserverId),
    /// The answers that the background thread gives: it holds them for ever.
    Answers,
}

/// One ledger for all threads of the process.
#[derive(Default)]
pub(super) struct Waits {
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
pub(super) struct Circle;

impl Waits {
    /// Notes that this thread holds `resource`, until that is dropped.
    pub(super) fn hold(self: &Arc<Self>, resource: Resource) -> Held {
        self.ledger().holders.entry(resource).or_default().push(thread::current().id());
        Held { waits: self.clone(), resource }
    }

    /// Notes that this thread is about to wait for `resource`, until that is dropped.
    pub(super) fn want(self: &Arc<Self>, resource: Resource) -> Result<Wanted, Circle> {
        let (me, mut ledger) = (thread::current().id(), self.ledger());
        if ledger.leads_to(resource, me) {
            return Err(Circle);
        }
        ledger.wanted.insert(me, resource);
        Ok(Wanted { waits: self.clone() })
    }

    /// Waits until no other thread holds `resource`, or `is_enough`; not at all where that is a circle.
    pub(super) fn until_released(
        &self,
        resource: Resource,
        is_enough: impl Fn() -> bool,
    ) -> Result<(), Circle> {
        let (me, mut ledger) = (thread::current().id(), self.ledger());
        while ledger.holders_but(resource, me).next().is_some() && !is_enough() {
            if ledger.would_circle(resource, me) {
                return Err(Circle);
            }
            ledger.wanted.insert(me, resource);
            ledger = self.released.wait(ledger).unwrap_or_else(PoisonError::into_inner);
            ledger.wanted.remove(&me);
        }
        Ok(())
    }

    /// Whether [`Waits::until_released`] would not wait now because of a circle.
    pub(super) fn would_circle(&self, resource: Resource) -> bool {
        self.ledger().would_circle(resource, thread::current().id())
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Whether `resource` is held by `thread`, or by one that waits, in the end, for what that holds.
    fn leads_to(&self, resource: Resource, thread: ThreadId) -> bool {
        let holders = self.holders.get(&resource).into_iter().flatten();
        let mut seen = Vec::new();
        holders.copied().any(|holder| holder == thread || self.waits_for(holder, thread, &mut seen))
    }

    /// Whether `one` waits for what `other` holds, be it by way of others.
    fn waits_for(&self, one: ThreadId, other: ThreadId, seen: &mut Vec<ThreadId>) -> bool {
        if seen.contains(&one) {
            return false;
        }
        seen.push(one);
        let Some(resource) = self.wanted.get(&one) else { return false };
        let holders = self.holders.get(resource).into_iter().flatten().copied();
        holders
            .into_iter()
            .any(|next| next == other || next != one && self.waits_for(next, other, seen))
    }

    /// Whether another holder of `resource` waits for what `me` holds.
    fn would_circle(&self, resource: Resource, me: ThreadId) -> bool {
        let mut seen = Vec::new();
        self.holders_but(resource, me).any(|holder| self.waits_for(holder, me, &mut seen))
    }

    fn holders_but(&self, resource: Resource, me: ThreadId) -> impl Iterator<Item = ThreadId> {
        let holders = self.holders.get(&resource).into_iter().flatten();
        holders.copied().filter(move |holder| *holder != me)
    }
}

/// What this thread holds.
pub(super) struct Held {
    waits: Arc<Waits>,
    resource: Resource,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ledger = self.waits.ledger();
        let me = thread::current().id();
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
pub(super) struct Wanted {
    waits: Arc<Waits>,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.waits.ledger().wanted.remove(&thread::current().id());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const A: Resource = Resource::Work(1);
    const B: Resource = Resource::Callback(2);

    #[test]
    fn nobody_waits_for_what_he_holds() {
        let waits = Arc::new(Waits::default());
        let held = waits.hold(A);
        assert_eq!(waits.want(A).err(), Some(Circle));
        assert!(waits.want(B).is_ok());
        drop(held);
        assert!(waits.want(A).is_ok());
    }

    #[test]
    fn nobody_waits_for_one_who_waits_for_him() {
        let waits = Arc::new(Waits::default());
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
            assert_eq!(waits.want(B).err(), Some(Circle));
            assert_eq!(waits.until_released(B, || false), Err(Circle));
            end.send(()).unwrap();
        });
        assert_eq!(waits.until_released(B, || false), Ok(()));
    }

    #[test]
    fn what_this_thread_holds_itself_it_does_not_wait_for() {
        let waits = Arc::new(Waits::default());
        let calls = Resource::Calls(1);
        let _mine = waits.hold(calls);
        assert_eq!(waits.until_released(calls, || false), Ok(()));
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let waits = &waits;
            scope.spawn(move || {
                let others = waits.hold(calls);
                tell.send(()).unwrap();
                drop(others);
            });
            told.recv().unwrap();
            assert_eq!(waits.until_released(calls, || false), Ok(()));
        });
    }
}
