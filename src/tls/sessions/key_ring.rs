//! The keys that tickets are sealed with where no file of keys is asked for: drawn at random, and replaced in time.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use zeroize::Zeroizing;

use super::LIFETIME;
use super::shared_draws::{SharedDraws, Turn};
use super::ticket_cipher::TicketCipher;
use crate::error::Cause;
use crate::pki::TicketKey;
use crate::sys::wiping_stack;
use crate::sys::without_fork;

/// How long a key seals. As it opens for as long again, every ticket can be opened all its life.
const PERIOD: i64 = LIFETIME;

/// The ring of a handle. Taking its keys locks nothing: a child that is forked at any moment goes on with them.
#[derive(Debug)]
pub(super) struct KeyRing {
    family: SharedDraws,
    keys: ArcSwap<Keys>,
}

impl KeyRing {
    pub(super) fn new(now: i64) -> Result<Self, Cause> {
        Self::of(SharedDraws::of_process(), now)
    }

    fn of(family: SharedDraws, now: i64) -> Result<Self, Cause> {
        let keys = without_fork(|| Keys::new(family, RingRoot::drawn()?, period_of(now)))?;
        Ok(Self { family, keys: ArcSwap::from_pointee(keys) })
    }

    /// Replaces the keys by others that have nothing in common with them.
    ///
    /// Only in this process, and in those that it forks from now on: the family's other processes keep theirs.
    pub(super) fn redraw(&self, now: i64) -> Result<(), Cause> {
        without_fork(|| {
            self.keys.store(Arc::new(Keys::new(self.family, RingRoot::drawn()?, period_of(now))?));
            Ok(())
        })
    }

    /// The keys of the time `now`.
    pub(super) fn keys(&self, now: i64) -> Guard<Arc<Keys>> {
        let (keys, period) = (self.keys.load(), period_of(now));
        if keys.turn.serves(period) && self.family.is_at(keys.turn) {
            return keys;
        }
        self.next_keys(&keys, period)
    }

    #[cold]
    fn next_keys(&self, keys: &Arc<Keys>, period: i32) -> Guard<Arc<Keys>> {
        without_fork(|| {
            // Without randomness the old key stays: what it sealed does not get worse by a ticket more.
            // Where another thread was faster, or the keys were redrawn at the same time, those count.
            if let Ok(next) = Keys::new(self.family, keys.root.clone(), period) {
                self.keys.compare_and_swap(keys, Arc::new(next));
            }
            self.keys.load()
        })
    }
}

/// The number of the period that `now` is in.
fn period_of(now: i64) -> i32 {
    let period = now.div_euclid(PERIOD);
    i32::try_from(period).unwrap_or(if period < 0 { i32::MIN } else { i32::MAX })
}

/// The key that seals now and the one before it. Of a ticket that was sealed two periods ago the process knows
/// nothing any more.
///
/// Both are derived from the root, which the ring keeps for as long as it lives, and from what the [`SharedDraws`] drew for
/// the period: who has read the memory of one process once does not know the keys to come.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) sealing: TicketCipher,
    before: Option<TicketCipher>,
    turn: Turn,
    root: RingRoot,
}

/// The secret of one ring.
#[derive(Clone)]
struct RingRoot(Arc<Zeroizing<Vec<u8>>>);

impl fmt::Debug for RingRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root")
    }
}

impl RingRoot {
    fn drawn() -> Result<Self, Cause> {
        let mut secret = Zeroizing::new(vec![0; 32]);
        super::random(&mut secret)?;
        Ok(Self(Arc::new(secret)))
    }

    fn sealer(&self, draw: &[u8]) -> Result<TicketCipher, Cause> {
        let secret = Zeroizing::new([&self.0[..], draw].concat());
        let key = wiping_stack(|| TicketKey::derived_from(&secret))?;
        TicketCipher::new(&key)
    }
}

impl Keys {
    fn new(family: SharedDraws, root: RingRoot, period: i32) -> Result<Self, Cause> {
        let draw = wiping_stack(|| family.draw(period))?;
        Ok(Self {
            sealing: root.sealer(&draw.current)?,
            before: draw.before.map(|before| root.sealer(&before)).transpose()?,
            turn: draw.turn,
            root,
        })
    }

    /// The one that sealed `ticket`, if one of them did.
    pub(super) fn of(&self, ticket: &[u8]) -> Option<&TicketCipher> {
        [Some(&self.sealing), self.before.as_ref()]
            .into_iter()
            .flatten()
            .find(|sealer| sealer.is_named_in(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared_draws::tests::{copied, new};
    use super::*;
    use crate::sys::freed_with;

    /// At the beginning of a period.
    const START: i64 = 83_333 * PERIOD;

    fn ticket(ring: &KeyRing, now: i64) -> Vec<u8> {
        ring.keys(now).sealing.seal(b"", b"session", b"").unwrap()
    }

    fn opens(ring: &KeyRing, now: i64, ticket: &[u8]) -> bool {
        let keys = ring.keys(now);
        keys.of(ticket).and_then(|sealer| sealer.open(b"", ticket)).is_some()
    }

    /// A ring of one process.
    fn ring() -> KeyRing {
        KeyRing::of(new(), START).unwrap()
    }

    /// The ring as a forked process has it: the memory is its own, the words are common.
    fn forked(ring: &KeyRing) -> KeyRing {
        in_family(ring, ring.family)
    }

    fn in_family(ring: &KeyRing, family: SharedDraws) -> KeyRing {
        let keys = ring.keys.load();
        let root = RingRoot(Arc::new(Zeroizing::new(keys.root.0.to_vec())));
        let keys = Keys::new(copied(ring.family), root, keys.turn.period()).unwrap();
        assert_eq!(keys.sealing.name(), ring.keys.load().sealing.name());
        KeyRing { family, keys: ArcSwap::from_pointee(keys) }
    }

    #[test]
    fn g14_every_ticket_opens_for_all_its_life_and_not_for_ever() {
        for sealed in [0, 1, PERIOD - 1, PERIOD, 2 * PERIOD, 5 * PERIOD - 1] {
            let ring = ring();
            let ticket = ticket(&ring, START + sealed);
            assert!(opens(&ring, START + sealed, &ticket), "sealed after {sealed}");
            assert!(opens(&ring, START + sealed + LIFETIME - 1, &ticket), "sealed after {sealed}");
            assert!(!opens(&ring, START + sealed + 2 * PERIOD, &ticket), "sealed after {sealed}");
            assert!(!opens(&ring, START + sealed, &ticket), "what is forgotten stays forgotten");
        }
    }

    #[test]
    fn g11_processes_of_one_family_resume_each_others_sessions_for_ever() {
        let parent = ring();
        let (child, idle, late) = (forked(&parent), forked(&parent), forked(&parent));
        for period in 0..8 {
            let now = START + period * PERIOD;
            // By turns, for each period has its first.
            let pair = [&parent, &child];
            let [first, second] = if period % 2 == 0 { pair } else { [pair[1], pair[0]] };
            let sealed = ticket(first, now);
            assert!(opens(second, now, &sealed) && opens(first, now, &ticket(second, now)));
            assert!(opens(second, now + PERIOD - 1, &sealed), "the same key at the end of it");
        }
        let now = START + 8 * PERIOD;
        let grandchild = forked(&child);
        assert!(opens(&idle, now, &ticket(&grandchild, now)), "idle for two days");
        assert!(opens(&grandchild, now, &ticket(&idle, now)));
        let just_before = ticket(&parent, now);
        assert!(opens(&late, now + PERIOD, &just_before), "the key before is common, too");
    }

    #[test]
    fn g18_a_copy_of_a_process_does_not_show_the_keys_to_come() {
        let ring = ring();
        let child = forked(&ring);
        // All of the memory that leads to keys, shared words included.
        let copy = in_family(&child, copied(ring.family));
        let sealed = ticket(&ring, START);
        assert!(opens(&copy, START, &sealed), "the copy is a good one");
        for period in 1..4 {
            let now = START + period * PERIOD;
            let sealed = ticket(&ring, now);
            assert!(opens(&child, now, &sealed));
            assert!(!opens(&copy, now, &sealed), "foreseen");
        }
    }

    /// The words that the family shares lead to no key without this secret, so nothing else has to be wiped.
    #[test]
    fn g18_after_the_last_close_the_secret_of_the_ring_is_wiped() {
        let ring = ring();
        ticket(&ring, START + PERIOD);
        let secret = ring.keys.load().root.0.to_vec();
        let (found, ()) = freed_with(&secret, || drop(ring));
        assert_eq!(found, 0, "blocks of freed memory with the secret in them");
    }

    #[test]
    fn two_rings_of_one_process_have_nothing_in_common() {
        let one = ring();
        let other = KeyRing::of(one.family, START).unwrap();
        assert!(!opens(&other, START, &ticket(&one, START)));
    }

    #[test]
    fn g20_a_clock_that_jumps_leaves_no_key_in_use_for_too_long() {
        let parent = ring();
        for ring in [ring(), forked(&parent)] {
            let first = ticket(&ring, START);
            assert!(
                opens(&ring, START - PERIOD, &first),
                "a step back is no reason to drop sessions"
            );
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
    fn g11_after_a_clock_jumped_for_one_process_all_have_the_same_key() {
        let parent = ring();
        let child = forked(&parent);
        ticket(&parent, START + 100 * PERIOD);
        let sealed = ticket(&parent, START);
        assert!(opens(&child, START, &sealed));
    }

    #[test]
    fn keys_that_are_redrawn_open_nothing_of_before_and_leave_the_family_its_own() {
        let ring = ring();
        let (child, other) = (forked(&ring), forked(&ring));
        let before = ticket(&child, START);
        child.redraw(START).unwrap();
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
