//! The randomness that processes forked from one another agree on: a new draw for each period.
//!
//! A process, its children and theirs resume each other's sessions, so all must come to the same keys at the same
//! times. A key that followed from the one before it alone could be computed from a copy of any process's memory, for
//! ever. So the draw of each period comes from the draw before it *and* from fresh randomness, and lies in memory that
//! the family shares: the first process that needs it makes it, and the others read it.
//!
//! The shared memory holds no key. A ring of keys mixes each draw with a secret of its own, which only processes that
//! inherited the ring know and each of them wipes when it closes the handle: after the last close nothing that is left
//! leads to a key. Two rings of a process, or one that was opened after the fork, have nothing in common.
//!
//! **Protocol.** The memory is a state word and three slots of five words. The state holds the number of the current
//! turn, its period, and whether the turn before it was of the period before. Turn *n* has slot *n* mod 3; each word of
//! a draw carries the turn's tag in its low byte, and 56 random bits. To begin turn *n* + 1, a process replaces each
//! word of the slot that lacks the new tag by one of its own, and then the state. Both are compare-and-swap operations:
//!
//! - *Two processes at once*: each word is set once, by either of them. The words of two draws mix, which makes a draw
//!   as good as each. Every process reads the draw only after the state names it, so all read the same.
//! - *A process that dies or is stopped half-way*: it holds no lock. The next process completes the slot.
//! - *A process that wakes up long after*: it checks that the state is still the one it saw before each write, and
//!   writes only over the very word that it read before that check. A word of a later turn differs, so it stays.
//! - *A clock a little behind*, read just before a period began: the current turn serves the period before its own, too.
//! - *A clock that jumps*: a turn serves no other period, so the next use begins another turn, without the one before.
//! - *A process that missed periods*: it reads the current draw. It needs none of those between.
//! - *A process that writes rubbish* can keep the family from agreeing, as could one that closes its connections. The
//!   number of attempts is limited; after them a process draws for itself, and its sessions are resumed nowhere.

use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::random;
use crate::error::Cause;
use crate::pki::TicketKey;
use crate::sys::{SHARED_WORDS, SharedWords, shared_words};

/// The current turn, the one before it, and the next.
const SLOTS: u32 = 3;
const SLOT_WORDS: usize = 5;
const _: () = assert!(1 + SLOTS as usize * SLOT_WORDS == SHARED_WORDS);
const TAG: u64 = 0xff;
/// Far more than any number of processes needs: only a process that writes rubbish makes all of them fail.
const ATTEMPTS: usize = 64;

/// The processes that share `0` with this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedDraws(&'static SharedWords);

/// One state of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// 31 bits, never zero in the shared memory.
    number: u32,
    /// Whether the turn before was of the period before.
    follows: bool,
    period: i32,
}

/// What the family agreed on.
pub(super) struct Draw {
    pub(super) turn: Turn,
    pub(super) current: Zeroizing<Vec<u8>>,
    /// That of the period before, if it was used.
    pub(super) before: Option<Zeroizing<Vec<u8>>>,
}

impl Turn {
    const NUMBERS: u32 = u32::MAX >> 1;

    /// Whether it is the turn to use in `period`.
    pub(super) fn serves(self, period: i32) -> bool {
        period == self.period || period.checked_add(1) == Some(self.period)
    }

    fn next(before: Option<Self>, period: i32) -> Self {
        let follows = before.is_some_and(|turn| turn.period.checked_add(1) == Some(period));
        let number = before.map_or(0, |turn| turn.number) % Self::NUMBERS + 1;
        Self { number, follows, period }
    }

    fn to_word(self) -> u64 {
        let period = u64::from(self.period.cast_unsigned());
        u64::from(self.number) << 33 | u64::from(self.follows) << 32 | period
    }

    fn from_word(word: u64) -> Option<Self> {
        let low = (word & u64::from(u32::MAX)).try_into().unwrap_or(0_u32);
        let high = (word >> 32).try_into().unwrap_or(0_u32);
        let turn = Self { number: high >> 1, follows: high & 1 == 1, period: low.cast_signed() };
        (turn.number > 0).then_some(turn)
    }

    /// Of all the turns that use the same slot, the next 84 have others.
    fn tag(number: u32) -> u64 {
        u64::from(number % 255 + 1)
    }
}

impl SharedDraws {
    /// That of this process.
    pub(super) fn of_process() -> Self {
        Self(shared_words())
    }

    /// Whether `turn` is still the current one.
    pub(super) fn is_at(self, turn: Turn) -> bool {
        self.state().load(Ordering::SeqCst) == turn.to_word()
    }

    /// Returns the draw for `period`, and makes it if no other process has.
    pub(super) fn draw(self, period: i32) -> Result<Draw, Cause> {
        for _ in 0..ATTEMPTS {
            let turn = Turn::from_word(self.state().load(Ordering::SeqCst));
            if let Some(turn) = turn.filter(|turn| turn.serves(period))
                && let Some(draw) = self.read(turn)
            {
                self.wipe_before(turn);
                return Ok(draw);
            }
            self.advance(turn, period)?;
        }
        let mut current = Zeroizing::new(vec![0; SLOT_WORDS * 8]);
        random(&mut current)?;
        let turn = Turn { number: 0, follows: false, period };
        Ok(Draw { turn, current, before: None })
    }

    fn state(self) -> &'static AtomicU64 {
        &self.0[0]
    }

    fn slot(self, number: u32) -> &'static [AtomicU64] {
        let at = 1 + (number % SLOTS) as usize * SLOT_WORDS;
        &self.0[at..at + SLOT_WORDS]
    }

    /// None if another turn has begun, or if the slot is not whole.
    fn read(self, turn: Turn) -> Option<Draw> {
        let current = self.words(turn.number)?;
        let before = if turn.follows { self.words(turn.number - 1) } else { None };
        self.is_at(turn).then_some(Draw { turn, current, before })
    }

    /// The draw of the turn with this number, if it is in its slot.
    fn words(self, number: u32) -> Option<Zeroizing<Vec<u8>>> {
        let words = Zeroizing::new(self.raw_words(number));
        let is_tagged = |word: &[u8]| u64::from(word[7]) == Turn::tag(number);
        words.chunks(8).all(is_tagged).then_some(words)
    }

    fn raw_words(self, number: u32) -> Vec<u8> {
        let words = self.slot(number).iter().map(|word| word.load(Ordering::SeqCst).to_be_bytes());
        let mut bytes = Vec::with_capacity(SLOT_WORDS * 8);
        words.for_each(|word| bytes.extend_from_slice(&word));
        bytes
    }

    /// Begins the turn for `period` after `turn`, unless another process is faster.
    fn advance(self, turn: Option<Turn>, period: i32) -> Result<(), Cause> {
        let (before, next) = (turn.map_or(0, Turn::to_word), Turn::next(turn, period));
        let proposal = self.proposal(next.number)?;
        let tag = Turn::tag(next.number);
        for (word, proposed) in self.slot(next.number).iter().zip(proposal.chunks(8)) {
            let proposed = proposed.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            for _ in 0..ATTEMPTS {
                let seen = word.load(Ordering::SeqCst);
                // After `seen` is read: as long as the state is this one, no word is of a later turn.
                if seen & TAG == tag || self.state().load(Ordering::SeqCst) != before {
                    break;
                }
                let proposed = proposed & !TAG | tag;
                let _ = word.compare_exchange(seen, proposed, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
        // If another process was faster, its turn counts.
        let (state, next) = (self.state(), next.to_word());
        let _ = state.compare_exchange(before, next, Ordering::SeqCst, Ordering::SeqCst);
        Ok(())
    }

    /// What this process would have the turn with this number draw: from the draw before it, and from randomness.
    fn proposal(self, number: u32) -> Result<Zeroizing<Vec<u8>>, Cause> {
        let mut fresh = Zeroizing::new([0; 32]);
        random(&mut fresh[..])?;
        let last = Zeroizing::new(self.raw_words(number.wrapping_sub(1)));
        let both = Zeroizing::new([&last[..], &fresh[..]].concat());
        let mut proposal = Zeroizing::new(vec![0; SLOT_WORDS * 8]);
        TicketKey::mix(&both, &mut proposal)?;
        Ok(proposal)
    }

    /// Wipes what no ticket needs any more at `turn`.
    fn wipe_before(self, turn: Turn) {
        for back in u32::from(turn.follows) + 1..SLOTS {
            let number = turn.number.wrapping_sub(back);
            for word in self.slot(number) {
                let seen = word.load(Ordering::SeqCst);
                // The next turn may be filling this very slot.
                if seen & TAG == Turn::tag(number) && self.is_at(turn) {
                    let _ = word.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/shared_draws.rs"]
pub(super) mod tests;
