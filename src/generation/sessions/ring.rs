//! The keys that tickets are sealed with where no file of keys is asked for: drawn at random, and changed in time.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use zeroize::Zeroizing;

use super::LIFETIME;
use super::sealer::Sealer;
use crate::error::Cause;
use crate::material::TicketKey;

/// How long a key seals. As it opens for as long again, every ticket can be opened all its life.
const PERIOD: i64 = LIFETIME;
/// A clock that jumps further ahead than a year was wrong.
const MOST_STEPS: i64 = 4 * 366;

/// The ring of a handle. Taking its keys locks nothing: a child that is forked at any moment goes on with them.
#[derive(Debug)]
pub(super) struct Ring(ArcSwap<Keys>);

impl Ring {
    pub(super) fn new(now: i64) -> Result<Self, Cause> {
        Ok(Self(ArcSwap::from_pointee(Keys::drawn(now)?)))
    }

    /// Other keys from now on, with nothing in common with those before.
    pub(super) fn redraw(&self, now: i64) -> Result<(), Cause> {
        self.0.store(Arc::new(Keys::drawn(now)?));
        Ok(())
    }

    /// The keys of the time `now`.
    pub(super) fn keys(&self, now: i64) -> Guard<Arc<Keys>> {
        let keys = self.0.load();
        let next = match keys.steps_until(now) {
            0 => return keys,
            1..=MOST_STEPS => keys.stepped_to(now),
            _ => Keys::drawn(now),
        };
        // Without a new key the old one goes on: what it sealed does not get worse by a ticket more.
        let Ok(next) = next else { return keys };
        // Where another thread was faster, or the keys were drawn anew meanwhile, those count.
        self.0.compare_and_swap(&keys, Arc::new(next));
        self.0.load()
    }
}

/// The key that seals now and the one before it.
///
/// The secret of the next key comes from that of this one and tells nothing of it, so that a ticket that was
/// sealed two periods ago cannot be opened with all that the process still knows. And processes that were
/// forked from one another come to the same keys at the same times, and resume one another's sessions for
/// as long as they live, without a word.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) sealing: Arc<Sealer>,
    pub(super) before: Option<Arc<Sealer>>,
    next: Secret,
    /// Since when `sealing` seals.
    since: i64,
}

struct Secret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Keys {
    fn drawn(now: i64) -> Result<Self, Cause> {
        let mut first = Zeroizing::new([0; 32]);
        super::random(&mut *first)?;
        Self::from_secret(&first, None, now)
    }

    fn from_secret(
        secret: &[u8; 32],
        before: Option<Arc<Sealer>>,
        since: i64,
    ) -> Result<Self, Cause> {
        let sealing = Arc::new(Sealer::new(&TicketKey::derived_from(secret)?)?);
        Ok(Self { sealing, before, next: Secret(TicketKey::secret_after(secret)?), since })
    }

    /// How many keys further the time `now` is; less than none where the clock was set back so far that these
    /// keys would seal for too long.
    fn steps_until(&self, now: i64) -> i64 {
        match now.saturating_sub(self.since).div_euclid(PERIOD) {
            -1 => 0,
            steps => steps,
        }
    }

    fn stepped_to(&self, now: i64) -> Result<Self, Cause> {
        let step = |keys: &Self| {
            let since = keys.since + PERIOD;
            Self::from_secret(&keys.next.0, Some(keys.sealing.clone()), since)
        };
        let mut keys = step(self)?;
        while keys.steps_until(now) > 0 {
            keys = step(&keys)?;
        }
        Ok(keys)
    }

    /// The one that sealed `ticket`, if one of them did.
    pub(super) fn of(&self, ticket: &[u8]) -> Option<&Sealer> {
        let all = [Some(&self.sealing), self.before.as_ref()];
        all.into_iter().flatten().find(|sealer| sealer.is_named_in(ticket)).map(AsRef::as_ref)
    }
}
