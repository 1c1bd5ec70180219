//! Remembers the option setters that failed, so that `certreload_open` refuses the options (G22).

use super::boundary::boundary;
use super::cast::{self, Opaque};
use super::options::{HostOptions, certreload_options};
use super::result::certreload_result;
use crate::error::{Cause, Error};
use crate::guard::guarded;

/// Settings as C makes them, and the failures of functions that change them, the oldest first.
///
/// The fields are private: [`setter`] alone changes settings, and [`Self::complete`] alone shows them.
/// A new setter cannot forget to record its failure, and no reader can overlook one.
#[derive(Default)]
pub(crate) struct GuardedOptions {
    settings: HostOptions,
    failures: Vec<Error>,
}

impl Opaque for certreload_options {
    type Inner = GuardedOptions;
}

impl GuardedOptions {
    /// Returns the settings, or the first failure if a setter has failed.
    pub(crate) fn complete(&self) -> Result<&HostOptions, Error> {
        self.failures.first().cloned().map_or(Ok(&self.settings), Err)
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut HostOptions) -> Result<(), Error>,
    ) -> Result<(), Error> {
        guarded(|| change(&mut self.settings))
            .unwrap_or_else(|panic| Err(Error::new(Cause::Panic(panic))))
    }
}

/// Runs the body of a C function that changes options.
///
/// A failure, a panic included, names `function` and is recorded.
pub(crate) fn setter(
    function: &'static str,
    options: Result<&mut GuardedOptions, Error>,
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

/// Return the first failure that the options remember: for a host that wants to know before it opens them.
///
/// certreload_open() and certreload_check() return it, too, so that no host has to ask.
///
/// @param options  must not be NULL; borrowed for the call
/// @return         OK if no certreload_options_* function has failed on these options; NULL_PARAMETER if options is NULL;
///                 else the result of the first function that failed, with its message in certreload_last_error()
/// Ownership:      options stay the caller's
/// Threads:        any thread, concurrently, while no thread changes options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_error(
    options: *const certreload_options,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        unsafe { cast::borrow(options, "options")? }.complete()?;
        Ok(certreload_result::Ok)
    })
}

/// Forget the latest failure that the options remember, so that they can be opened without the setting that failed.
///
/// For a host that can do without that setting, or has another value for it: call this right after the function that failed.
/// Every setting is as it was before that function. Failures before it stay remembered, for forgetting a failure that the
/// host has not looked at could open a weaker server.
///
/// @param options  must not be NULL; changed
/// @return         the result that is forgotten, with its message in certreload_last_error(); OK if there was no failure;
///                 NULL_PARAMETER if options is NULL
/// Ownership:      options stay the caller's
/// Threads:        exclusive access to options
/// Signals:        not async-signal-safe
/// Blocks:         never
/// Since:          0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn certreload_options_clear_error(
    options: *mut certreload_options,
) -> certreload_result {
    boundary(|| {
        // SAFETY: the caller passes options of certreload_options_new(), or NULL.
        let options = unsafe { cast::borrow_mut(options, "options")? };
        options.failures.pop().map_or(Ok(certreload_result::Ok), Err)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_setter_that_panics_is_remembered() {
        let mut options = GuardedOptions::default();
        let result = setter("certreload_options_set_x", Ok(&mut options), |_| panic!("a defect"));
        assert_eq!(result, certreload_result::Panic);
        let error = options.complete().err().unwrap().to_string();
        assert!(error.starts_with("certreload_options_set_x: a defect inside"), "{error}");
    }

    #[test]
    fn options_setter_that_fails_first_is_the_one_remembered() {
        let mut options = GuardedOptions::default();
        for function in ["certreload_options_set_a", "certreload_options_set_b"] {
            setter(function, Ok(&mut options), |_| Err(Error::null("x")));
        }
        setter("certreload_options_set_c", Ok(&mut options), |_| Ok(()));
        let error = options.complete().err().unwrap().to_string();
        assert_eq!(error, "certreload_options_set_a: x is NULL");
    }
}
