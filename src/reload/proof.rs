//! What is new serves nobody before it has proved itself (G16).

use crate::error::{Cause, Error};
use crate::generation::{Candidate, Part};
use crate::guard::guarded;
use crate::options::{ClientAuth, Options};

/// Proves what is new with the unit at `index`; tells whether clients are asked for certificates.
pub(super) fn prove(candidate: &Candidate, index: usize, part: &Part) -> Result<bool, Cause> {
    match part {
        Part::Identity(_) => candidate.prove(index),
        Part::Trust(_) => candidate.prove_trust().map(|()| false),
        Part::TicketKeys(_) => Ok(false),
    }
}

/// Tickets are bound to the trust of the handle, and know nothing of a template's own client verifier: with keys
/// that others have, too, they would let in whom it refuses (G13).
pub(super) fn check_template(options: &Options, asks_clients: bool) -> Result<(), Error> {
    let checks_by_itself = asks_clients && options.trust.client_auth == ClientAuth::None;
    if checks_by_itself && options.ticket_keys.is_some() {
        return Err(Error::invalid(
            "the template checks clients by itself, and tickets of processes that share keys would be a way around \
             that: call certreload_options_set_client_auth() in place of its verifier, or share no ticket keys",
        ));
    }
    Ok(())
}

/// The same, where a panic on the way is a failure.
pub(super) fn prove_guarded(
    candidate: &Candidate,
    index: usize,
    part: &Part,
) -> Result<bool, Cause> {
    guarded(|| prove(candidate, index, part)).unwrap_or_else(|panic| Err(Cause::Panic(panic)))
}
