//! The keys that tickets are sealed with where no file of keys is asked for: drawn at random, and changed in time.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use zeroize::Zeroizing;

use super::LIFETIME;
use super::sealer::Sealer;
use crate::error::Cause;
use crate::material::TicketKey;
use crate::sys::{forks, unforked};
use crate::wipe::wiping_stack;

/// How long a key seals. As it opens for as long again, every ticket can be opened all its life.
const PERIOD: i64 = LIFETIME;
/// A clock that jumps further ahead than a year was wrong.
const MOST_STEPS: i64 = 4 * 366;

/// The ring of a handle. Taking its keys locks nothing: a child that is forked at any moment goes on with them.
#[derive(Debug)]
pub(super) struct Ring(ArcSwap<Keys>);

impl Ring {
    pub(super) fn new(now: i64) -> Result<Self, Cause> {
        Ok(Self(ArcSwap::from_pointee(unforked(|| Keys::drawn(now))?)))
    }

    /// Other keys from now on, with nothing in common with those before.
    pub(super) fn redraw(&self, now: i64) -> Result<(), Cause> {
        unforked(|| {
            self.0.store(Arc::new(Keys::drawn(now)?));
            Ok(())
        })
    }

    /// The keys of the time `now`.
    pub(super) fn keys(&self, now: i64) -> Guard<Arc<Keys>> {
        let keys = self.0.load();
        match keys.steps_until(now) {
            0 => keys,
            steps => self.keys_after(&keys, steps, now),
        }
    }

    #[cold]
    fn keys_after(&self, keys: &Arc<Keys>, steps: i64, now: i64) -> Guard<Arc<Keys>> {
        unforked(|| {
            let next = match steps {
                1..=MOST_STEPS if keys.are_shared() => keys.stepped(steps),
                1..=MOST_STEPS => keys.followed(steps),
                _ => Keys::drawn(now),
            };
            // Without a new key the old one goes on: what it sealed does not get worse by a ticket more.
            // Where another thread was faster, or the keys were drawn anew meanwhile, those count.
            if let Ok(next) = next {
                self.0.compare_and_swap(keys, Arc::new(next));
            }
            self.0.load()
        })
    }
}

/// The key that seals now and the one before it. Of a ticket that was sealed two periods ago the process knows
/// nothing any more.
///
/// Processes that were forked from one another share a ring, and are to resume one another's sessions for as long
/// as they live. So once a process has been forked, the secret of the next key is made from that of this one, by a
/// way that does not lead back, and all come to the same keys at the same times without a word. As long as there
/// is one process it is drawn at random: whoever has read the memory once does not know the keys to come.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) sealing: Arc<Sealer>,
    before: Option<Arc<Sealer>>,
    next: Secret,
    /// Since when `sealing` seals.
    since: i64,
    /// How many there had been when `next` was drawn.
    forks: usize,
}

struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Keys {
    /// The one that sealed `ticket`, if one of them did.
    pub(super) fn of(&self, ticket: &[u8]) -> Option<&Sealer> {
        let all = [Some(&self.sealing), self.before.as_ref()];
        all.into_iter().flatten().find(|sealer| sealer.is_named_in(ticket)).map(AsRef::as_ref)
    }

    fn drawn(now: i64) -> Result<Self, Cause> {
        let mut secret = Zeroizing::new(vec![0; 32]);
        super::random(&mut secret)?;
        Self::of_secret(&secret, None, now, forks())
    }

    fn of_secret(
        secret: &[u8],
        before: Option<Arc<Sealer>>,
        since: i64,
        forks: usize,
    ) -> Result<Self, Cause> {
        let (key, next) = wiping_stack(|| {
            Ok::<_, Cause>((TicketKey::derived_from(secret)?, TicketKey::secret_after(secret)?))
        })?;
        let (sealing, next) = (Arc::new(Sealer::new(&key)?), Secret(next));
        Ok(Self { sealing, before, next, since, forks })
    }

    /// Whether another process may have them.
    fn are_shared(&self) -> bool {
        self.forks != forks()
    }

    /// How many periods later `now` is; less than none where the clock was set back so far that these keys would
    /// seal for too long.
    fn steps_until(&self, now: i64) -> i64 {
        match now.saturating_sub(self.since).div_euclid(PERIOD) {
            -1 => 0,
            steps => steps,
        }
    }

    /// What every process that has these keys comes to.
    fn stepped(&self, steps: i64) -> Result<Self, Cause> {
        let step = |keys: &Self| {
            let since = keys.since + PERIOD;
            Self::of_secret(&keys.next.0, Some(keys.sealing.clone()), since, keys.forks)
        };
        (1..steps).try_fold(step(self)?, |keys, _| step(&keys))
    }

    /// Keys that nobody can foresee.
    fn followed(&self, steps: i64) -> Result<Self, Cause> {
        let since = self.since + steps * PERIOD;
        let before = (steps == 1).then(|| self.sealing.clone());
        Ok(Self { before, since, ..Self::drawn(since)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn ticket(ring: &Ring, now: i64) -> Vec<u8> {
        ring.keys(now).sealing.seal(b"", b"session", b"").unwrap()
    }

    fn opens(ring: &Ring, now: i64, ticket: &[u8]) -> bool {
        let keys = ring.keys(now);
        keys.of(ticket).and_then(|sealer| sealer.open(b"", ticket)).is_some()
    }

    #[test]
    fn g14_every_ticket_opens_for_all_its_life_and_not_for_ever() {
        for sealed in [0, 1, PERIOD - 1, PERIOD, 2 * PERIOD, 5 * PERIOD - 1] {
            let ring = Ring::new(START).unwrap();
            let ticket = ticket(&ring, START + sealed);
            assert!(opens(&ring, START + sealed, &ticket), "sealed after {sealed}");
            assert!(opens(&ring, START + sealed + LIFETIME - 1, &ticket), "sealed after {sealed}");
            assert!(!opens(&ring, START + sealed + 2 * PERIOD, &ticket), "sealed after {sealed}");
            assert!(!opens(&ring, START + sealed, &ticket), "what is forgotten stays forgotten");
        }
    }

    /// The same keys in another process.
    fn of_a_family() -> Ring {
        let keys = Keys::of_secret(&[7; 32], None, START, usize::MAX).unwrap();
        Ring(ArcSwap::from_pointee(keys))
    }

    #[test]
    fn g11_processes_that_were_forked_come_to_the_same_keys_without_a_word() {
        let (busy, idle) = (of_a_family(), of_a_family());
        for period in 0..8 {
            ticket(&busy, START + period * PERIOD);
        }
        let now = START + 8 * PERIOD;
        assert!(opens(&idle, now, &ticket(&busy, now)) && opens(&busy, now, &ticket(&idle, now)));
        let late = of_a_family();
        let just_before = ticket(&busy, now);
        assert!(opens(&late, now + PERIOD, &just_before), "the key before is common, too");
    }

    #[test]
    fn keys_of_one_process_cannot_be_foreseen() {
        let ring = Ring::new(START).unwrap();
        let keys = ring.keys(START);
        let foreseen = keys.stepped(1).unwrap();
        ring.keys(START + PERIOD);
        assert_ne!(ring.keys(START + PERIOD).sealing.name(), foreseen.sealing.name());
        assert_ne!(foreseen.sealing.name(), keys.sealing.name());
    }

    #[test]
    fn g20_a_clock_that_jumps_leaves_no_key_in_use_for_too_long() {
        for ring in [Ring::new(START).unwrap(), of_a_family()] {
            let first = ticket(&ring, START);
            assert!(
                opens(&ring, START - PERIOD, &first),
                "a step back is no reason to drop sessions"
            );
            assert!(!opens(&ring, START - PERIOD - 1, &first), "far back");
            let ring_now = ring.keys(START).since;
            assert!((START - PERIOD..=START).contains(&ring_now), "{ring_now}");
            let far = START + 1000 * 366 * 86400;
            let then = ticket(&ring, far);
            assert!(opens(&ring, far, &then), "far ahead");
            assert!(!opens(&ring, START, &then), "and back");
        }
    }

    #[test]
    fn keys_that_are_drawn_anew_open_nothing_of_before() {
        let ring = Ring::new(START).unwrap();
        let before = ticket(&ring, START);
        ring.redraw(START).unwrap();
        assert!(!opens(&ring, START, &before));
        assert!(opens(&ring, START, &ticket(&ring, START)));
    }
}
