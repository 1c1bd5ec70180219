//! Decides which units a pass reads, and begins their reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::findings::Finding;
use super::pass::{Pass, PassScope};
use super::pipeline::Pipeline;
use super::unit_read::{ReadKind, UnitRead};
use crate::files::PathResolver;
use crate::sys::{Mutex, Privileges};

impl Pipeline {
    /// Begins the reads of `pass`. A poll subscribes the units in `resubscribe` again, even if their files look unchanged.
    ///
    /// A unit of which a process has a file open for writing is not read, and counts as incomplete. A unit whose last
    /// read has not ended is read again after that.
    pub(crate) fn begin(
        &mut self,
        pass: &mut Pass<'_>,
        resubscribe: &BTreeSet<usize>,
    ) -> Vec<UnitRead> {
        let open = pass.open_for_writing();
        for index in open.keys() {
            if self.units[*index].retry.pending().is_none() {
                pass.note(*index, Finding::Pending);
            }
        }
        let scope = self.scope_of(pass);
        let now = pass.time.now;
        let next_poll = now.instant + self.options.poll_interval;
        let resolver = Arc::new(Mutex::new(PathResolver::default()));
        let mut reads = Vec::new();
        for (index, unit) in self.units.iter_mut().enumerate() {
            let is_wanted = match &scope {
                _ if unit.is_memory() || open.contains_key(&index) => false,
                PassScope::All | PassScope::Poll => true,
                PassScope::Units(units) => units.contains(&index),
                PassScope::Retries => unit.retry_at(now).is_some_and(|at| at <= now.instant),
            };
            if !is_wanted {
                continue;
            }
            if let Some(reading) = &mut unit.reading {
                reading.wants_again |= matches!(scope, PassScope::All | PassScope::Units(_));
                if reading.is_reported {
                    unit.answer_unread(pass.newest_waiter);
                }
                continue;
            }
            let fingerprint = match scope {
                PassScope::Poll => unit.fingerprint_for_poll(next_poll),
                _ => None,
            };
            let lookups = || resubscribe.contains(&index).then(|| unit.lookups.clone());
            let kind = match fingerprint {
                None => ReadKind::Files,
                Some(fingerprint) => ReadKind::UnlessUnchanged {
                    fingerprint,
                    resolver: resolver.clone(),
                    lookups: lookups(),
                },
            };
            let read = unit.begin_read(index, pass.time, kind);
            reads.push(UnitRead { newest_waiter: pass.newest_waiter, ..read });
        }
        reads
    }

    /// Begins reads that subscribe all units to changes for the first time, and read no file.
    pub(crate) fn begin_subscriptions(&mut self, pass: &Pass<'_>) -> Vec<UnitRead> {
        let units = self.units.iter_mut().enumerate();
        let read = |(index, unit): (usize, &mut super::unit::Unit)| {
            let kind = ReadKind::Subscription(unit.lookups.clone());
            unit.begin_read(index, pass.time, kind)
        };
        units.map(read).collect()
    }

    /// Returns the scope of `pass`. A poll after a change of privileges reads all files, because fingerprints that
    /// another user saw prove nothing.
    fn scope_of(&mut self, pass: &Pass<'_>) -> PassScope {
        let privileges = Privileges::now();
        let scope = match &pass.scope {
            PassScope::Poll if self.read_as != privileges => PassScope::All,
            scope => scope.clone(),
        };
        if scope == PassScope::All {
            self.read_as = privileges;
        }
        scope
    }
}
