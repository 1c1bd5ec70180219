//! Provides the ticket keys of a handle without a ticket key file: random, and replaced every six hours, the period.
//!
//! The keys of one handle are its *ring*. Each key is derived from two values (see [`super::seeds_across_fork`]):
//!
//! - the ring's secret, which is random, stays the same for the life of the ring, and is inherited in a fork;
//! - the seed of the period, on which all processes of a family (forked from one another) agree.
//!
//! So all processes that inherited the ring have the same keys at the same time, and resume one another's sessions
//! (G11). A copy of the memory of one process does not reveal the keys of later periods (G18).

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use zeroize::Zeroizing;

use super::random::fill_random;
use super::resumption_rules::LIFETIME;
use super::seeds_across_fork::{Epoch, SharedSeeds};
use super::ticket_cipher::TicketCipher;
use crate::error::Cause;
use crate::pki::TicketKey;
use crate::sys::wiping_stack;
use crate::sys::without_fork;

/// For how many seconds a key encrypts. It decrypts for one period more, so every ticket can be decrypted for all of
/// its lifetime.
const PERIOD: i64 = LIFETIME;

/// The ticket keys of a handle without a ticket key file.
///
/// Reading the keys takes no lock, so a child that is forked at any moment can continue to use them.
#[derive(Debug)]
pub(super) struct KeyRing {
    seeds: SharedSeeds,
    keys: ArcSwap<PeriodKeys>,
}

impl KeyRing {
    pub(super) fn new(now: i64) -> Result<Self, Cause> {
        Self::with_seeds(SharedSeeds::of_process(), now)
    }

    fn with_seeds(seeds: SharedSeeds, now: i64) -> Result<Self, Cause> {
        let keys = without_fork(|| PeriodKeys::new(seeds, RingSecret::random()?, period_of(now)))?;
        Ok(Self { seeds, keys: ArcSwap::from_pointee(keys) })
    }

    /// Replaces the secret and with it all keys, so that no existing ticket can be decrypted.
    ///
    /// This affects this process and those that it forks from now on. Other processes of the family keep their keys.
    pub(super) fn reset(&self, now: i64) -> Result<(), Cause> {
        without_fork(|| {
            let keys = PeriodKeys::new(self.seeds, RingSecret::random()?, period_of(now))?;
            self.keys.store(Arc::new(keys));
            Ok(())
        })
    }

    /// Returns the keys for the time `now`, in seconds since 1970.
    pub(super) fn keys(&self, now: i64) -> Guard<Arc<PeriodKeys>> {
        let (keys, period) = (self.keys.load(), period_of(now));
        if keys.epoch.is_for(period) && self.seeds.is_current(keys.epoch) {
            return keys;
        }
        self.replace_keys(&keys, period)
    }

    #[cold]
    fn replace_keys(&self, keys: &Arc<PeriodKeys>, period: i32) -> Guard<Arc<PeriodKeys>> {
        without_fork(|| {
            // If there is no randomness for a new seed, the old keys stay in use: more tickets do not weaken them. If
            // another thread replaced the keys or reset the ring at the same time, the exchange fails and the keys of
            // that thread are used.
            if let Ok(next) = PeriodKeys::new(self.seeds, keys.secret.clone(), period) {
                self.keys.compare_and_swap(keys, Arc::new(next));
            }
            self.keys.load()
        })
    }
}

/// Returns the number of the period that contains `now`.
fn period_of(now: i64) -> i32 {
    let period = now.div_euclid(PERIOD);
    i32::try_from(period).unwrap_or(if period < 0 { i32::MIN } else { i32::MAX })
}

/// The keys in use in one period. Tickets of older keys cannot be decrypted any more.
#[derive(Debug)]
pub(super) struct PeriodKeys {
    /// The key that encrypts new tickets.
    pub(super) current: TicketCipher,
    /// The key of the period before, which only decrypts. `None` if no process of the family needed keys in that period,
    /// or if this process uses a private seed.
    previous: Option<TicketCipher>,
    epoch: Epoch,
    secret: RingSecret,
}

/// The secret of one ring. It is wiped when the last `PeriodKeys` with it is dropped.
#[derive(Clone)]
struct RingSecret(Arc<Zeroizing<Vec<u8>>>);

impl fmt::Debug for RingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingSecret")
    }
}

impl RingSecret {
    fn random() -> Result<Self, Cause> {
        let mut secret = Zeroizing::new(vec![0; 32]);
        fill_random(&mut secret)?;
        Ok(Self(Arc::new(secret)))
    }

    /// Derives the ticket key of the period with the seed `seed`.
    fn cipher(&self, seed: &[u8]) -> Result<TicketCipher, Cause> {
        let secret = Zeroizing::new([&self.0[..], seed].concat());
        let key = wiping_stack(|| TicketKey::derived_from(&secret))?;
        TicketCipher::new(&key)
    }
}

impl PeriodKeys {
    fn new(seeds: SharedSeeds, secret: RingSecret, period: i32) -> Result<Self, Cause> {
        let seeds = wiping_stack(|| seeds.for_period(period))?;
        Ok(Self {
            current: secret.cipher(&seeds.current)?,
            previous: seeds.previous.map(|previous| secret.cipher(&previous)).transpose()?,
            epoch: seeds.epoch,
            secret,
        })
    }

    /// Returns the key whose name `ticket` contains; `None` if it is neither the current nor the previous one.
    pub(super) fn cipher_of(&self, ticket: &[u8]) -> Option<&TicketCipher> {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|cipher| cipher.is_named_in(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::super::seeds_across_fork::tests::{copied, new};
    use super::*;
    use crate::sys::freed_with;

    /// The beginning of a period, in seconds since 1970.
    const START: i64 = 83_333 * PERIOD;

    fn ticket(ring: &KeyRing, now: i64) -> Vec<u8> {
        ring.keys(now).current.seal(b"", b"session", b"").unwrap()
    }

    fn opens(ring: &KeyRing, now: i64, ticket: &[u8]) -> bool {
        let keys = ring.keys(now);
        keys.cipher_of(ticket).and_then(|cipher| cipher.open(b"", ticket)).is_some()
    }

    /// Returns the ring of the first process of a new family.
    fn ring() -> KeyRing {
        KeyRing::with_seeds(new(), START).unwrap()
    }

    /// Returns `ring` as a forked process has it: with a copy of all other memory, and the same shared memory of seeds.
    fn forked(ring: &KeyRing) -> KeyRing {
        with_words(ring, ring.seeds)
    }

    /// Returns a copy of `ring` that uses `seeds` as the shared memory.
    fn with_words(ring: &KeyRing, seeds: SharedSeeds) -> KeyRing {
        let keys = ring.keys.load();
        let secret = RingSecret(Arc::new(Zeroizing::new(keys.secret.0.to_vec())));
        let keys = PeriodKeys::new(copied(ring.seeds), secret, keys.epoch.period()).unwrap();
        assert_eq!(keys.current.name(), ring.keys.load().current.name());
        KeyRing { seeds, keys: ArcSwap::from_pointee(keys) }
    }

    #[test]
    fn g14_ticket_opens_for_all_its_lifetime_and_not_for_ever() {
        for sealed in [0, 1, PERIOD - 1, PERIOD, 2 * PERIOD, 5 * PERIOD - 1] {
            let ring = ring();
            let ticket = ticket(&ring, START + sealed);
            assert!(opens(&ring, START + sealed, &ticket), "sealed after {sealed}");
            assert!(opens(&ring, START + sealed + LIFETIME - 1, &ticket), "sealed after {sealed}");
            assert!(!opens(&ring, START + sealed + 2 * PERIOD, &ticket), "sealed after {sealed}");
            assert!(
                !opens(&ring, START + sealed, &ticket),
                "an old key does not return with the clock"
            );
        }
    }

    #[test]
    fn g11_forked_processes_have_the_same_keys_in_every_period() {
        let parent = ring();
        let (child, idle, late) = (forked(&parent), forked(&parent), forked(&parent));
        for period in 0..8 {
            let now = START + period * PERIOD;
            // The two processes take turns to begin a period.
            let pair = [&parent, &child];
            let [first, second] = if period % 2 == 0 { pair } else { [pair[1], pair[0]] };
            let sealed = ticket(first, now);
            assert!(opens(second, now, &sealed) && opens(first, now, &ticket(second, now)));
            assert!(
                opens(second, now + PERIOD - 1, &sealed),
                "the same key at the end of the period"
            );
        }
        let now = START + 8 * PERIOD;
        let grandchild = forked(&child);
        assert!(opens(&idle, now, &ticket(&grandchild, now)), "idle for two days");
        assert!(opens(&grandchild, now, &ticket(&idle, now)));
        let just_before = ticket(&parent, now);
        assert!(opens(&late, now + PERIOD, &just_before), "the previous key is the same, too");
    }

    #[test]
    fn g18_copy_of_a_process_does_not_reveal_later_keys() {
        let ring = ring();
        let child = forked(&ring);
        // A copy of all memory that keys are derived from, including the shared memory.
        let copy = with_words(&child, copied(ring.seeds));
        let sealed = ticket(&ring, START);
        assert!(opens(&copy, START, &sealed), "the copy has the present key");
        for period in 1..4 {
            let now = START + period * PERIOD;
            let sealed = ticket(&ring, now);
            assert!(opens(&child, now, &sealed));
            assert!(!opens(&copy, now, &sealed), "the copy has a later key");
        }
    }

    /// The seeds in the shared memory lead to no key without the ring's secret, so only the secret has to be wiped.
    #[test]
    fn g18_dropped_ring_wipes_its_secret() {
        let ring = ring();
        ticket(&ring, START + PERIOD);
        let secret = ring.keys.load().secret.0.to_vec();
        let (found, ()) = freed_with(&secret, || drop(ring));
        assert_eq!(found, 0, "blocks of freed memory with the secret in them");
    }

    #[test]
    fn two_rings_of_one_process_share_no_key() {
        let one = ring();
        let other = KeyRing::with_seeds(one.seeds, START).unwrap();
        assert!(!opens(&other, START, &ticket(&one, START)));
    }

    #[test]
    fn g20_clock_jump_keeps_no_key_in_use_for_too_long() {
        let parent = ring();
        for ring in [ring(), forked(&parent)] {
            let first = ticket(&ring, START);
            assert!(opens(&ring, START - PERIOD, &first), "a small step back keeps sessions");
            assert!(!opens(&ring, START - PERIOD - 1, &first), "far back");
            assert!(!opens(&ring, START, &first), "and forward again");
            for far in [START + 1000 * 366 * 86400, i64::MAX, i64::MIN] {
                let then = ticket(&ring, far);
                assert!(opens(&ring, far, &then), "far away");
                assert!(!opens(&ring, START, &then), "and back");
            }
        }
    }

    #[test]
    fn g11_forked_processes_have_the_same_key_after_a_clock_jump_of_one() {
        let parent = ring();
        let child = forked(&parent);
        ticket(&parent, START + 100 * PERIOD);
        let sealed = ticket(&parent, START);
        assert!(opens(&child, START, &sealed));
    }

    #[test]
    fn reset_ring_opens_no_earlier_ticket_and_leaves_other_processes_their_keys() {
        let ring = ring();
        let (child, other) = (forked(&ring), forked(&ring));
        let before = ticket(&child, START);
        child.reset(START).unwrap();
        for now in [START, START + PERIOD, START + 2 * PERIOD] {
            assert!(!opens(&child, START, &before));
            assert!(opens(&child, now, &ticket(&child, now)));
            assert!(
                !opens(&ring, now, &ticket(&child, now)) && opens(&ring, now, &ticket(&other, now))
            );
        }
        assert!(opens(&forked(&child), START + 2 * PERIOD, &ticket(&child, START + 2 * PERIOD)));
    }
}
