//! Lets processes forked from one another agree on a new random seed for each period, without locks.
//!
//! A process and the processes forked from it, a *family*, resume one another's sessions. So all of them need the same
//! ticket keys at the same time, and new ones in each *period* of six hours. If each key were computed from the key
//! before it, a copy of one process's memory would reveal all later keys. So the seed of each period is mixed from the
//! seed before it *and* from fresh randomness. It is published in memory that the family shares. The first process that
//! needs the seed makes it, the others read it.
//!
//! The shared memory holds no key. A ring, which is the ticket keys of one handle, mixes each seed with its own secret
//! ([`super::generated_keys`]). Only processes that inherited the ring have this secret, and each of them wipes it when
//! it closes the handle. After the last close the seeds lead to no key. Two rings have different secrets, so they have
//! no key in common.
//!
//! # Layout
//!
//! The memory has a state word and three slots of five words. An *epoch* is the time for which one seed is current.
//!
//! - The state word holds the current [`Epoch`]: its number, its period, and whether the epoch before it belongs to the
//!   period before it. Zero means that no epoch has begun.
//! - The seed of epoch *n* is in slot *n* mod 3. So the slots hold the current seed, the one before, and the next.
//! - A word of a seed has 56 random bits, and in its low byte a tag, which depends on the epoch's number. So a reader
//!   recognises words of another epoch, and a seed that is incomplete.
//!
//! # Protocol
//!
//! *Reading* the seed of the current epoch: load the state, load the words of the slot, check their tags, load the
//! state again. If a tag is wrong or the state has changed, start again.
//!
//! *Beginning* epoch *n* + 1, if the current epoch *n* is not for the period:
//!
//! 1. Load the state. Make a proposal for the seed, from the seed of epoch *n* and from fresh randomness.
//! 2. Load each word of slot (*n* + 1) mod 3. If it lacks the new tag, check that the state is unchanged, and replace
//!    the word by the proposed one with compare-and-swap.
//! 3. Replace the state by that of epoch *n* + 1 with compare-and-swap.
//! 4. Read the seed, as above. It may be the proposal, that of another process, or a mixture.
//!
//! # Why it is correct
//!
//! - *Two processes begin an epoch at once.* Each word is set once, by one of them. The seed may be a mixture of both
//!   proposals, which is as random as each. Every process reads the seed only after the state names its epoch, when no
//!   word changes any more. So all processes read the same seed.
//! - *A process dies or is stopped between two steps.* It holds no lock. The next process completes the slot.
//! - *A process is stopped in step 2 and continues in a later epoch.* It loaded the word before it checked the state.
//!   Its compare-and-swap replaces only that word. A word of a later epoch differs from it, so it stays.
//! - *The clock of one process is slightly behind*, or was read just before the period began. An epoch is also used for
//!   the period before its own, so this process begins no epoch for the old period.
//! - *The clock jumps.* No epoch is for the new time, so one begins, which does not follow the epoch before it.
//! - *A process was idle for some periods.* It reads the current seed, and needs none of those in between.
//! - *A process writes invalid words*, because it is faulty or hostile. It can prevent the family from agreeing; it
//!   could do as much harm by closing all its connections. The number of attempts is limited. After them a process uses
//!   a private seed, and no other process resumes its sessions.

use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::random::fill_random;
use crate::error::Cause;
use crate::pki::TicketKey;
use crate::sys::{SHARED_WORDS, SharedWords, shared_words};

/// The number of slots: for the seeds of the current epoch, of the one before it, and of the next.
const SLOTS: u32 = 3;
const SLOT_WORDS: usize = 5;
const _: () = assert!(1 + SLOTS as usize * SLOT_WORDS == SHARED_WORDS);
/// The bits of a word that hold the tag of its epoch.
const TAG_BITS: u64 = 0xff;
/// The limit of attempts to read a seed, and to replace a word. A failed attempt means that another process succeeded,
/// so only a process that writes invalid words uses up all of them.
const MAX_ATTEMPTS: usize = 64;

/// The memory in which a family of processes shares its seeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedSeeds(&'static SharedWords);

/// The time for which one seed is current. Epochs are numbered in order; periods depend on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// 31 bits. Zero in the shared memory means that no epoch has begun, so only the epoch of a private seed has the
    /// number 0.
    number: u32,
    /// Whether the epoch before this one belongs to the period directly before. If so, its seed is still in use.
    follows: bool,
    period: i32,
}

/// A copy of the seeds in use: those that the family agreed on or, after too many failed attempts, private ones.
pub(super) struct Seeds {
    pub(super) epoch: Epoch,
    pub(super) current: Zeroizing<Vec<u8>>,
    /// The seed before this one, if it was for the period directly before; otherwise no ticket needs it.
    pub(super) previous: Option<Zeroizing<Vec<u8>>>,
}

impl Epoch {
    const MAX_NUMBER: u32 = u32::MAX >> 1;

    /// Returns whether the epoch is to be used in `period`. That is its own period, or the one before it, for a process
    /// whose clock is slightly behind.
    pub(super) fn is_for(self, period: i32) -> bool {
        period == self.period || period.checked_add(1) == Some(self.period)
    }

    /// Returns the epoch for `period` that comes after `before`.
    fn next(before: Option<Self>, period: i32) -> Self {
        let follows = before.is_some_and(|epoch| epoch.period.checked_add(1) == Some(period));
        let number = before.map_or(0, |epoch| epoch.number) % Self::MAX_NUMBER + 1;
        Self { number, follows, period }
    }

    fn to_word(self) -> u64 {
        let period = u64::from(self.period.cast_unsigned());
        u64::from(self.number) << 33 | u64::from(self.follows) << 32 | period
    }

    fn from_word(word: u64) -> Option<Self> {
        let low = (word & u64::from(u32::MAX)).try_into().unwrap_or(0_u32);
        let high = (word >> 32).try_into().unwrap_or(0_u32);
        let epoch = Self { number: high >> 1, follows: high & 1 == 1, period: low.cast_signed() };
        (epoch.number > 0).then_some(epoch)
    }

    /// Returns the tag in the words of the epoch with this number. It is never zero. The next 84 epochs in the same
    /// slot have other tags.
    fn tag(number: u32) -> u64 {
        u64::from(number % 255 + 1)
    }
}

impl SharedSeeds {
    /// Returns the shared memory of this process.
    pub(super) fn of_process() -> Self {
        Self(shared_words())
    }

    /// Returns whether `epoch` is still the current one.
    pub(super) fn is_current(self, epoch: Epoch) -> bool {
        self.state().load(Ordering::SeqCst) == epoch.to_word()
    }

    /// Returns the seeds for `period`. Begins an epoch if no process has begun one for this period. After too many
    /// failed attempts, returns a private seed.
    pub(super) fn for_period(self, period: i32) -> Result<Seeds, Cause> {
        for _ in 0..MAX_ATTEMPTS {
            let epoch = Epoch::from_word(self.state().load(Ordering::SeqCst));
            if let Some(epoch) = epoch.filter(|epoch| epoch.is_for(period))
                && let Some(seeds) = self.read(epoch)
            {
                self.wipe_older(epoch);
                return Ok(seeds);
            }
            self.begin_after(epoch, period)?;
        }
        let mut current = Zeroizing::new(vec![0; SLOT_WORDS * 8]);
        fill_random(&mut current)?;
        let epoch = Epoch { number: 0, follows: false, period };
        Ok(Seeds { epoch, current, previous: None })
    }

    fn state(self) -> &'static AtomicU64 {
        &self.0[0]
    }

    fn slot(self, number: u32) -> &'static [AtomicU64] {
        let start = 1 + (number % SLOTS) as usize * SLOT_WORDS;
        &self.0[start..start + SLOT_WORDS]
    }

    /// Returns the seeds of `epoch`; `None` if another epoch has begun, or if the slot is incomplete.
    fn read(self, epoch: Epoch) -> Option<Seeds> {
        let current = self.seed(epoch.number)?;
        let previous = if epoch.follows { self.seed(epoch.number - 1) } else { None };
        // The state is checked last. While it names this epoch, no process changes these two slots, so the words belong
        // together.
        self.is_current(epoch).then_some(Seeds { epoch, current, previous })
    }

    /// Returns the seed of the epoch with this number, if its slot holds it completely.
    fn seed(self, number: u32) -> Option<Zeroizing<Vec<u8>>> {
        let seed = Zeroizing::new(self.slot_bytes(number));
        let is_tagged = |word: &[u8]| u64::from(word[7]) == Epoch::tag(number);
        seed.chunks(8).all(is_tagged).then_some(seed)
    }

    fn slot_bytes(self, number: u32) -> Vec<u8> {
        let words = self.slot(number).iter().map(|word| word.load(Ordering::SeqCst).to_be_bytes());
        // The vector has its final size from the start: one that grows would leave a copy of the seed behind (G18).
        let mut bytes = Vec::with_capacity(SLOT_WORDS * 8);
        words.for_each(|word| bytes.extend_from_slice(&word));
        bytes
    }

    /// Begins the epoch for `period` that comes after `epoch`, or does nothing if another process begins one first.
    fn begin_after(self, epoch: Option<Epoch>, period: i32) -> Result<(), Cause> {
        let (before, next) = (epoch.map_or(0, Epoch::to_word), Epoch::next(epoch, period));
        let proposal = self.proposal(next.number)?;
        let tag = Epoch::tag(next.number);
        for (word, proposed) in self.slot(next.number).iter().zip(proposal.chunks(8)) {
            let proposed = proposed.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            for _ in 0..MAX_ATTEMPTS {
                let seen = word.load(Ordering::SeqCst);
                // The state is loaded after the word. If it is unchanged, `seen` is not a word of a later epoch and may
                // be replaced.
                if seen & TAG_BITS == tag || self.state().load(Ordering::SeqCst) != before {
                    break;
                }
                let proposed = proposed & !TAG_BITS | tag;
                let _ = word.compare_exchange(seen, proposed, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
        // If another process was faster, this exchange fails, and the epoch that the other process began is the current
        // one.
        let (state, next) = (self.state(), next.to_word());
        let _ = state.compare_exchange(before, next, Ordering::SeqCst, Ordering::SeqCst);
        Ok(())
    }

    /// Returns what this process proposes as the seed of the epoch with this number: a mixture of the seed before it
    /// and of fresh randomness.
    fn proposal(self, number: u32) -> Result<Zeroizing<Vec<u8>>, Cause> {
        let mut fresh = Zeroizing::new([0; 32]);
        fill_random(&mut fresh[..])?;
        let last = Zeroizing::new(self.slot_bytes(number.wrapping_sub(1)));
        let both = Zeroizing::new([&last[..], &fresh[..]].concat());
        TicketKey::mix(&both, SLOT_WORDS * 8)
    }

    /// Wipes the seeds that no ticket needs in `epoch`: all but its own and, if that belongs to the period before, the
    /// previous one (G18).
    fn wipe_older(self, epoch: Epoch) {
        for back in u32::from(epoch.follows) + 1..SLOTS {
            let number = epoch.number.wrapping_sub(back);
            for word in self.slot(number) {
                let seen = word.load(Ordering::SeqCst);
                // If the tag differs, another process may be filling this slot with the seed of the next epoch.
                if seen & TAG_BITS == Epoch::tag(number) && self.is_current(epoch) {
                    let _ = word.compare_exchange(seen, 0, Ordering::SeqCst, Ordering::SeqCst);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/seeds_across_fork.rs"]
pub(super) mod tests;
