//! Tests that processes agree on seeds. Each thread acts as one process, and shares nothing else with the others.

use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

/// Returns new shared memory, as a process and all its forked children have it, in which no seed has been agreed on.
pub(in super::super) fn new() -> SharedSeeds {
    SharedSeeds(Box::leak(Box::default()))
}

/// Returns a copy of the shared memory, as an attacker has it who read the memory once.
pub(in super::super) fn copied(words: SharedSeeds) -> SharedSeeds {
    let copy = new();
    for (to, from) in copy.0.iter().zip(words.0) {
        to.store(from.load(Ordering::SeqCst), Ordering::SeqCst);
    }
    copy
}

impl Epoch {
    pub(in super::super) fn period(self) -> i32 {
        self.period
    }
}

fn values(seeds: Seeds) -> (Epoch, Vec<u8>, Option<Vec<u8>>) {
    (seeds.epoch, seeds.current.to_vec(), seeds.previous.map(|previous| previous.to_vec()))
}

#[test]
fn epoch_survives_conversion_to_the_state_word() {
    for number in [1, 2, Epoch::MAX_NUMBER] {
        for (follows, period) in [(true, 0), (false, 83_333), (true, -1), (false, i32::MIN)] {
            let epoch = Epoch { number, follows, period };
            assert_eq!(Epoch::from_word(epoch.to_word()), Some(epoch));
        }
    }
    assert_eq!(Epoch::from_word(0), None, "no epoch has begun");
    let last = Epoch { number: Epoch::MAX_NUMBER, follows: true, period: 7 };
    assert_eq!(Epoch::next(Some(last), 8), Epoch { number: 1, follows: true, period: 8 });
}

#[test]
fn g11_concurrent_processes_agree_on_each_seed() {
    const PROCESSES: usize = 8;
    const PERIODS: i32 = 2_000;
    let (seeds, barrier) = (new(), Barrier::new(PROCESSES));
    let (seeds, barrier) = (&seeds, &barrier);
    let all: Vec<Vec<_>> = thread::scope(|scope| {
        let process = |_| {
            scope.spawn(move || {
                let read = |period| {
                    barrier.wait();
                    let read = values(seeds.for_period(period).unwrap());
                    barrier.wait();
                    read
                };
                (0..PERIODS).map(read).collect()
            })
        };
        let processes: Vec<_> = (0..PROCESSES).map(process).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    for (period, first) in all[0].iter().enumerate() {
        assert!(all.iter().all(|of_process| of_process[period] == *first), "period {period}");
        let before = period.checked_sub(1).map(|before| all[0][before].1.clone());
        assert_eq!(first.2, before, "period {period}");
    }
}

/// Each thread goes through the periods at its own speed, as a process does whose clock is ahead or behind. So threads
/// often ask for another period than that of the current seed, and any of them then replaces the seed. A thread that the
/// others overtake in all its attempts makes a private seed. On a busy machine that happens to few of 24,000 calls.
#[test]
fn g11_processes_with_different_clocks_agree_once_the_clocks_do() {
    let seeds = new();
    let private = &AtomicUsize::new(0);
    thread::scope(|scope| {
        for start in 0..8 {
            scope.spawn(move || {
                for period in start..start + 3_000 {
                    let epoch = seeds.for_period(period).unwrap().epoch;
                    assert!(epoch.is_for(period) || epoch.number == 0 && epoch.period == period);
                    private.fetch_add(usize::from(epoch.number == 0), Ordering::Relaxed);
                }
            });
        }
    });
    let private = private.load(Ordering::Relaxed);
    assert!(private < 240, "{private} private seeds");
    let all: Vec<_> = (0..3).map(|_| values(seeds.for_period(9_000).unwrap())).collect();
    assert!(all.iter().all(|seeds| *seeds == all[0]));
}

#[test]
fn g11_process_that_dies_while_it_begins_an_epoch_stops_no_other() {
    for written in 0..=SLOT_WORDS {
        let seeds = new();
        seeds.for_period(5).unwrap();
        for word in &seeds.slot(2)[..written] {
            word.store(0xabcd_ef00 | Epoch::tag(2), Ordering::SeqCst);
        }
        let first = values(seeds.for_period(6).unwrap());
        assert_eq!(first, values(seeds.for_period(6).unwrap()));
        let is_written = |word: &&[u8]| word.starts_with(&[0, 0, 0, 0, 0xab]);
        let kept = first.1.chunks(8).filter(is_written).count();
        assert_eq!(kept, written, "written words are kept, and the others completed");
    }
}

#[test]
fn g18_seed_of_two_periods_ago_is_wiped() {
    for (periods, kept) in [([5, 6, 7], 2), ([5, 6, 6], 2), ([5, 6, 9], 1), ([5, 9, 10], 2)] {
        let seeds = new();
        for period in periods {
            seeds.for_period(period).unwrap();
        }
        let used = seeds.0[1..].iter().filter(|word| word.load(Ordering::SeqCst) != 0).count();
        assert_eq!(used, kept * SLOT_WORDS, "{periods:?}");
    }
}

#[test]
fn g18_seed_is_mixed_from_randomness_and_from_the_seed_before() {
    let seeds = new();
    seeds.for_period(5).unwrap();
    let copy = copied(seeds);
    assert_ne!(values(seeds.for_period(6).unwrap()).1, values(copy.for_period(6).unwrap()).1);

    let mix = |last: &[u8]| TicketKey::mix(&[last, &[7; 32]].concat(), 40).unwrap();
    assert_ne!(mix(&[1; 40]), mix(&[2; 40]));
}

#[test]
fn invalid_words_are_replaced() {
    let seeds = new();
    let first = values(seeds.for_period(5).unwrap());
    seeds.slot(1)[3].store(0, Ordering::SeqCst);
    let second = values(seeds.for_period(5).unwrap());
    assert_ne!(first.1, second.1);
    assert!(second.1.chunks(8).all(|word| word[..7] != [0; 7]));
    for invalid in [0, u64::MAX, 1 << 33] {
        seeds.state().store(invalid, Ordering::SeqCst);
        let third = values(seeds.for_period(5).unwrap());
        assert_eq!(third, values(seeds.for_period(5).unwrap()), "{invalid:x}");
    }
}
