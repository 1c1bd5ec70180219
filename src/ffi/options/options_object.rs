//! The options object: settings that only [`setter`] changes, and the failures of the functions that change them (G22).

use crate::error::{Cause, Error};
use crate::events::EventSink;
use crate::ffi::cast::Opaque;
use crate::ffi::panic_boundary::boundary;
use crate::ffi::result::certreload_result;
use crate::options::{IdentityFiles, Options};
use crate::sys::catch_panic;

/// What to load and how to watch it: opaque.
pub struct certreload_options {
    _private: [u8; 0],
}

/// The most identities that one handle holds.
pub const CERTRELOAD_MAX_IDENTITIES: usize = 100000;

/// The settings of options: the data that the core uses, and the receiver of events, which each handle gets at open.
#[derive(Clone, Default)]
pub(crate) struct HostOptions {
    pub(crate) options: Options,
    pub(crate) sink: Option<EventSink>,
}

impl HostOptions {
    /// Returns the list of identities for adding one, or an error if CERTRELOAD_MAX_IDENTITIES are in it already.
    pub(crate) fn room_for_identity(&mut self) -> Result<&mut Vec<IdentityFiles>, Error> {
        if self.options.identities.len() >= CERTRELOAD_MAX_IDENTITIES {
            return Err(Error::invalid(
                "the options hold CERTRELOAD_MAX_IDENTITIES identities already",
            ));
        }
        Ok(&mut self.options.identities)
    }
}

/// The Rust value behind a `certreload_options`: settings, and the failures of setters, the oldest first.
///
/// The fields are private: [`setter`] alone changes settings, and [`Self::complete`] alone shows them.
/// A new setter cannot forget to record its failure, and no reader can overlook one.
#[derive(Default)]
pub(crate) struct OptionsObject {
    settings: HostOptions,
    failures: Vec<Error>,
}

impl Opaque for certreload_options {
    type Inner = OptionsObject;
}

impl OptionsObject {
    /// Returns the settings, or the first failure if a setter has failed.
    pub(crate) fn complete(&self) -> Result<&HostOptions, Error> {
        self.failures.first().cloned().map_or(Ok(&self.settings), Err)
    }

    /// Forgets the latest failure, which the host has handled, and returns it. Earlier failures stay, so that
    /// [`Self::complete`] still fails.
    pub(crate) fn forget_latest(&mut self) -> Option<Error> {
        self.failures.pop()
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut HostOptions) -> Result<(), Error>,
    ) -> Result<(), Error> {
        catch_panic(|| change(&mut self.settings))
            .unwrap_or_else(|panic| Err(Error::new(Cause::Panic(panic))))
    }
}

/// Runs the body of a C function that changes options.
///
/// A failure, a panic included, names `function` and is recorded.
pub(crate) fn setter(
    function: &'static str,
    options: Result<&mut OptionsObject, Error>,
    change: impl FnOnce(&mut HostOptions) -> Result<(), Error>,
) -> certreload_result {
    boundary(|| {
        let options = options.map_err(|error| error.in_call(function))?;
        options.change(change).map_err(|error| {
            let error = error.in_call(function);
            options.failures.push(error.clone());
            error
        })?;
        Ok(certreload_result::Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_setter_that_panics_is_remembered() {
        let mut options = OptionsObject::default();
        let result = setter("certreload_options_set_x", Ok(&mut options), |_| panic!("a defect"));
        assert_eq!(result, certreload_result::Panic);
        let error = options.complete().err().unwrap().to_string();
        assert!(error.starts_with("certreload_options_set_x: a defect inside"), "{error}");
    }

    #[test]
    fn options_setter_that_fails_first_is_the_one_remembered() {
        let mut options = OptionsObject::default();
        for function in ["certreload_options_set_a", "certreload_options_set_b"] {
            setter(function, Ok(&mut options), |_| Err(Error::null("x")));
        }
        setter("certreload_options_set_c", Ok(&mut options), |_| Ok(()));
        let error = options.complete().err().unwrap().to_string();
        assert_eq!(error, "certreload_options_set_a: x is NULL");
    }
}
