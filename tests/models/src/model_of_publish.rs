//! Publishing: one moment at which a generation becomes current, for all threads.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering::*};
use loom::thread;

use crate::explore;
use crate::published::Published;
use crate::shared::go_to_shard;
use crate::tls::Generation;

fn taken_at(current: &Published, shard: usize) -> u64 {
    go_to_shard(shard);
    current.config().0
}

fn publish(
    current: &Arc<Published>,
    numbers: std::ops::RangeInclusive<u64>,
) -> thread::JoinHandle<()> {
    let current = current.clone();
    thread::spawn(move || numbers.for_each(|number| current.publish(Generation::new(number))))
}

#[test]
fn who_begins_after_another_has_the_new_config_gets_no_older_one() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let publishes = publish(&current, 2..=2);
        let is_out = Arc::new(AtomicBool::new(false));
        let (first, out) = (current.clone(), is_out.clone());
        let takes = thread::spawn(move || {
            if taken_at(&first, 0) == 2 {
                out.store(true, Release);
            }
        });
        if is_out.load(Acquire) {
            assert_eq!(taken_at(&current, 1), 2);
        }
        takes.join().unwrap();
        publishes.join().unwrap();
    });
}

#[test]
fn who_begins_after_publish_has_returned_gets_the_new_config() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let is_done = Arc::new(AtomicBool::new(false));
        let (taken_from, done) = (current.clone(), is_done.clone());
        let takes = thread::spawn(move || {
            let at_least = if done.load(Acquire) { 2 } else { 1 };
            assert!(taken_at(&taken_from, 0) >= at_least);
        });
        current.publish(Generation::new(2));
        is_done.store(true, Release);
        assert_eq!(taken_at(&current, 0), 2);
        assert_eq!(taken_at(&current, 1), 2);
        takes.join().unwrap();
    });
}

#[test]
fn no_thread_gets_an_older_config_from_another_shard() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let publishes = publish(&current, 2..=3);
        let on_one = taken_at(&current, 0);
        let whole = current.load_full().number();
        let on_other = taken_at(&current, 1);
        assert!(on_one <= whole && whole <= on_other, "{on_one} {whole} {on_other}");
        publishes.join().unwrap();
    });
}

#[test]
fn no_shard_keeps_an_old_config_after_a_publication() {
    explore(3, || {
        let first = Generation::new(1);
        let current = Arc::new(Published::new(first.clone()));
        let publishes = publish(&current, 2..=2);
        taken_at(&current, 0);
        publishes.join().unwrap();
        assert_eq!(Arc::strong_count(first.server_config()), 1, "that of the generation");
    });
}

#[test]
fn closing_waits_for_who_is_at_the_swap() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let taken_from = current.clone();
        let takes = thread::spawn(move || drop(taken_from.load_full()));
        let visits = current.swap.visits();
        if visits.has_begun() {
            current.wait_for_readers();
            assert!(visits.has_ended());
        }
        takes.join().unwrap();
    });
}

#[test]
fn closing_waits_for_who_is_at_a_shard_and_never_for_ever() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let taken_from = current.clone();
        let takes = thread::spawn(move || taken_at(&taken_from, 0));
        current.publish(Generation::new(2));
        current.wait_for_readers();
        assert!(takes.join().unwrap() <= 2);
    });
}

#[test]
fn closing_waits_for_who_is_on_the_way_from_a_shard_to_the_swap() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        // As while another generation is being published.
        current.valid.store(0, SeqCst);
        let taken_from = current.clone();
        let takes = thread::spawn(move || taken_at(&taken_from, 0));
        if current.shards[0].config.was_taken() {
            current.wait_for_readers();
            current.swap.be_gone();
        }
        takes.join().unwrap();
    });
}

#[test]
fn closing_waits_for_who_takes_from_a_shard() {
    explore(3, || {
        let current = Arc::new(Published::new(Generation::new(1)));
        let taken_from = current.clone();
        let takes = thread::spawn(move || taken_at(&taken_from, 0));
        let shard = &current.shards[0].config;
        if shard.was_taken() {
            current.wait_for_readers();
            assert!(!shard.is_taken(), "it is still being taken from");
        }
        takes.join().unwrap();
    });
}
