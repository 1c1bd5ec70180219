//! Processes that agree on draws. Each thread here stands for one: they share nothing else.

use std::sync::Barrier;
use std::thread;

use super::*;

/// The words of a process of its own.
pub(in super::super) fn new() -> SharedDraws {
    SharedDraws(Box::leak(Box::default()))
}

/// A copy of the words, as an attacker has who read them once.
pub(in super::super) fn copied(family: SharedDraws) -> SharedDraws {
    let copy = new();
    for (to, from) in copy.0.iter().zip(family.0) {
        to.store(from.load(Ordering::SeqCst), Ordering::SeqCst);
    }
    copy
}

impl Turn {
    pub(in super::super) fn period(self) -> i32 {
        self.period
    }
}

fn values(draw: Draw) -> (Turn, Vec<u8>, Option<Vec<u8>>) {
    (draw.turn, draw.current.to_vec(), draw.before.map(|before| before.to_vec()))
}

#[test]
fn a_turn_is_the_same_when_it_has_been_through_the_state_word() {
    for number in [1, 2, Turn::NUMBERS] {
        for (follows, period) in [(true, 0), (false, 83_333), (true, -1), (false, i32::MIN)] {
            let turn = Turn { number, follows, period };
            assert_eq!(Turn::from_word(turn.to_word()), Some(turn));
        }
    }
    assert_eq!(Turn::from_word(0), None, "no process has begun one");
    let last = Turn { number: Turn::NUMBERS, follows: true, period: 7 };
    assert_eq!(Turn::next(Some(last), 8), Turn { number: 1, follows: true, period: 8 });
}

#[test]
fn g11_many_processes_at_once_agree_on_each_draw() {
    const PROCESSES: usize = 8;
    const PERIODS: i32 = 2_000;
    let (family, barrier) = (new(), Barrier::new(PROCESSES));
    let (family, barrier) = (&family, &barrier);
    let draws: Vec<Vec<_>> = thread::scope(|scope| {
        let process = |_| {
            scope.spawn(move || {
                let draw = |period| {
                    barrier.wait();
                    let draw = values(family.draw(period).unwrap());
                    barrier.wait();
                    draw
                };
                (0..PERIODS).map(draw).collect()
            })
        };
        let processes: Vec<_> = (0..PROCESSES).map(process).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    for (period, first) in draws[0].iter().enumerate() {
        assert!(draws.iter().all(|of_process| of_process[period] == *first), "period {period}");
        let before = period.checked_sub(1).map(|before| draws[0][before].1.clone());
        assert_eq!(first.2, before, "period {period}");
    }
}

/// No barrier keeps these together: some are turns behind others, and all of them begin turns.
#[test]
fn g11_processes_whose_clocks_differ_come_together_when_the_clocks_do() {
    let family = new();
    thread::scope(|scope| {
        for start in 0..8 {
            scope.spawn(move || {
                for period in start..start + 3_000 {
                    let draw = family.draw(period).unwrap();
                    assert!(draw.turn.serves(period) && draw.turn.number > 0);
                }
            });
        }
    });
    let all: Vec<_> = (0..3).map(|_| values(family.draw(9_000).unwrap())).collect();
    assert!(all.iter().all(|draw| *draw == all[0]));
}

#[test]
fn a_process_that_dies_half_way_stops_no_other() {
    for written in 0..=SLOT_WORDS {
        let family = new();
        family.draw(5).unwrap();
        for word in &family.slot(2)[..written] {
            word.store(0xabcd_ef00 | Turn::tag(2), Ordering::SeqCst);
        }
        let draw = values(family.draw(6).unwrap());
        assert_eq!(draw, values(family.draw(6).unwrap()));
        let left = draw.1.chunks(8).filter(|word| word.starts_with(&[0, 0, 0, 0, 0xab])).count();
        assert_eq!(left, written, "what was written counts, and the rest is drawn");
    }
}

#[test]
fn g18_of_a_draw_two_periods_ago_nothing_is_left() {
    for (periods, kept) in [([5, 6, 7], 2), ([5, 6, 6], 2), ([5, 6, 9], 1), ([5, 9, 10], 2)] {
        let family = new();
        for period in periods {
            family.draw(period).unwrap();
        }
        let used = family.0[1..].iter().filter(|word| word.load(Ordering::SeqCst) != 0).count();
        assert_eq!(used, kept * SLOT_WORDS, "{periods:?}");
    }
}

#[test]
fn each_draw_comes_from_randomness_and_from_the_draw_before() {
    let family = new();
    family.draw(5).unwrap();
    let copy = copied(family);
    assert_ne!(values(family.draw(6).unwrap()).1, values(copy.draw(6).unwrap()).1);

    let mix = |last: &[u8]| {
        let mut mixed = [0; 40];
        TicketKey::mix(&[last, &[7; 32]].concat(), &mut mixed).unwrap();
        mixed
    };
    assert_ne!(mix(&[1; 40]), mix(&[2; 40]));
}

#[test]
fn words_that_a_process_wrote_rubbish_into_are_not_taken() {
    let family = new();
    let first = values(family.draw(5).unwrap());
    family.slot(1)[3].store(0, Ordering::SeqCst);
    let second = values(family.draw(5).unwrap());
    assert_ne!(first.1, second.1);
    assert!(second.1.chunks(8).all(|word| word[..7] != [0; 7]));
    for rubbish in [0, u64::MAX, 1 << 33] {
        family.state().store(rubbish, Ordering::SeqCst);
        let draw = values(family.draw(5).unwrap());
        assert_eq!(draw, values(family.draw(5).unwrap()), "{rubbish:x}");
    }
}
