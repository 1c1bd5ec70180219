//! Adapters: they prepare identities and trust stores for other TLS stacks, before these are published.
//!
//! An adapter gets each new version of a unit once, on the reload side. What it makes belongs to that version, so an
//! unchanged unit is not prepared again (G5). A unit that an adapter refuses is not published (G16).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::units::Units;
use crate::error::{Cause, Error};
use crate::pki::{Identity, MAX_ADAPTERS, PreparedObject, PreparedObjects, Trust};
use crate::tls::UnitContent;

/// Prepares units for another TLS stack.
pub(crate) trait Adapter: fmt::Debug + Send + Sync {
    /// Returns the name of the TLS stack, for messages.
    fn name(&self) -> &str;
    /// Returns what identifies the adapter: the addresses of its functions and its userdata.
    fn addresses(&self) -> [usize; 5];
    fn prepare_identity(&self, candidate: &Arc<Identity>) -> Prepared;
    fn prepare_trust(&self, candidate: &Arc<Trust>) -> Prepared;
}

/// The object that an adapter has made, or why it has made none.
pub(crate) type Prepared = Result<Box<dyn PreparedObject>, NotPrepared>;

/// Why an adapter has made no object.
#[derive(Debug)]
pub(crate) enum NotPrepared {
    /// The key does not match the chain. The files may be half written (G4).
    Incomplete(String),
    /// The TLS stack cannot use the unit.
    Refused(String),
}

/// The adapters of a handle. The index of an adapter is that of its objects in [`PreparedObjects`].
///
/// Adapters are only added. Forked processes inherit them.
#[derive(Debug, Default)]
pub(crate) struct Adapters(ArcSwap<Vec<Arc<dyn Adapter>>>);

impl Adapters {
    /// Prepares `part` with every adapter that has not prepared it yet.
    pub(super) fn prepare(&self, part: &UnitContent) -> Result<(), Cause> {
        for (slot, adapter) in self.0.load().iter().enumerate() {
            let Some(objects) = objects_of(part) else { continue };
            if objects.get(slot).is_some() {
                continue;
            }
            if let Some(object) = prepare_with(&**adapter, part)? {
                // Only the thread with the state of the handle prepares, so no other thread has set it.
                let _ = objects.set(slot, object);
            }
        }
        Ok(())
    }

    /// Prepares all of `units` with a new adapter, and adds it. Returns its index. Nothing is added if a unit is
    /// refused.
    ///
    /// An adapter that has been added already keeps its index.
    pub(super) fn add(&self, adapter: Arc<dyn Adapter>, units: &Units) -> Result<usize, Error> {
        let known = self.0.load_full();
        let same = known.iter().position(|known| known.addresses() == adapter.addresses());
        if let Some(slot) = same {
            return Ok(slot);
        }
        let slot = known.len();
        if slot == MAX_ADAPTERS {
            return Err(Error::invalid(format!("the handle has {MAX_ADAPTERS} adapters already")));
        }
        let mut made = Vec::new();
        for unit in units.iter() {
            let part = &unit.serving;
            let object = prepare_with(&*adapter, part);
            let object = object.map_err(|cause| Error::at(unit.files.path(), cause))?;
            made.extend(object.map(|object| (part, object)));
        }
        for (part, object) in made {
            let objects = objects_of(part);
            let _ = objects.map(|objects| objects.set(slot, object));
        }
        // The objects are set before the adapter is in the list, and no generation is published in between.
        self.0.store(Arc::new(known.iter().cloned().chain([adapter]).collect()));
        Ok(slot)
    }
}

/// Returns where the objects of adapters for this part are kept; `None` if adapters do not prepare such parts.
fn objects_of(part: &UnitContent) -> Option<&PreparedObjects> {
    match part {
        UnitContent::Identity(identity) => Some(identity.prepared()),
        UnitContent::Trust(trust) => Some(trust.prepared()),
        UnitContent::TicketKeys(_) | UnitContent::Absent(_) => None,
    }
}

fn prepare_with(
    adapter: &dyn Adapter,
    part: &UnitContent,
) -> Result<Option<Box<dyn PreparedObject>>, Cause> {
    let prepared = match part {
        UnitContent::Identity(identity) => adapter.prepare_identity(identity),
        UnitContent::Trust(trust) => adapter.prepare_trust(trust),
        UnitContent::TicketKeys(_) | UnitContent::Absent(_) => return Ok(None),
    };
    let adapter = adapter.name().to_owned();
    match prepared {
        Ok(object) => Ok(Some(object)),
        Err(NotPrepared::Incomplete(why)) => Err(Cause::AdapterMismatch { adapter, why }),
        Err(NotPrepared::Refused(why)) => Err(Cause::AdapterRefused { adapter, why }),
    }
}
