//! Adapters: what they prepared is there for every thread that has the generation.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering::*};
use loom::thread;

use crate::explore;
use crate::published::Published;
use crate::tls::{Generation, PreparedObject};

fn prepare(generation: &Generation, slot: usize, value: u64) {
    assert!(generation.prepared().set(slot, PreparedObject::new(value)).is_ok());
}

#[test]
fn published_generation_has_the_objects_that_were_prepared_before() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let taken_from = current.clone();
        let takes = thread::spawn(move || {
            let generation = taken_from.load_full();
            let object = generation.prepared().get(0).map(PreparedObject::value);
            assert_eq!(object, (generation.number() == 2).then_some(22));
        });
        let next = Generation::new(2);
        prepare(&next, 0, 22);
        current.publish(next);
        takes.join().unwrap();
    });
}

#[test]
fn adapter_that_was_added_has_its_object_in_what_is_acquired_from_then_on() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let is_added = Arc::new(AtomicBool::new(false));
        let (taken_from, added) = (current.clone(), is_added.clone());
        let takes = thread::spawn(move || {
            let must_be_there = added.load(Acquire);
            let generation = taken_from.load_full();
            match generation.prepared().get(1).map(PreparedObject::value) {
                Some(value) => assert_eq!(value, 10 * generation.number() + 1),
                None => assert!(!must_be_there),
            }
        });
        // The thread that adds has the state of the handle, so that no generation is published in between.
        prepare(&current.load(), 1, 11);
        is_added.store(true, Release);
        let next = Generation::new(2);
        prepare(&next, 1, 21);
        current.publish(next);
        takes.join().unwrap();
    });
}

#[test]
fn of_two_objects_for_one_slot_the_first_is_kept() {
    explore(3, || {
        let generation = Generation::new(1);
        let other = generation.clone();
        let sets = thread::spawn(move || other.prepared().set(0, PreparedObject::new(1)).is_ok());
        let is_kept = generation.prepared().set(0, PreparedObject::new(2)).is_ok();
        let value = generation.prepared().get(0).map(PreparedObject::value);
        assert_ne!(sets.join().unwrap(), is_kept);
        assert_eq!(value, Some(if is_kept { 2 } else { 1 }));
    });
}
