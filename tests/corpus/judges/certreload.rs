//! certreload, through its C functions.

use std::path::Path;

use certreload::ffi::options::key_password::certreload_options_set_key_password_file;
use certreload::ffi::options::trust::certreload_client_auth;
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;

use super::handshake::handshake;
use super::{Opinion, Trust, Verdict, among_peers};
use crate::case::{Case, write_bytes};
use crate::support::host::{Builder, Host, c_path, last_error};
use crate::support::workshop::warnings_at_open;
use crate::trust::TrustCases;

/// Files that are read once.
fn options() -> Builder {
    Builder::new().watch(Watch::Off).debounce_ms(0, 0)
}

/// What `judge` makes of the open handle; a refusal if there is none.
fn opened(options: Builder, judge: impl FnOnce(&Host) -> Opinion) -> Opinion {
    match options.try_open() {
        Err(code) => {
            Opinion { message: last_error(), ..Opinion::of(Verdict::Refused, format!("{code:?}")) }
        }
        Ok(host) => {
            let (bits, message) = warnings_at_open(&host);
            let message = if bits == 0 { String::new() } else { message };
            Opinion { message, ..judge(&host) }
        }
    }
}

pub fn identity(case: &Case) -> Opinion {
    let options = options().identity(&case.chain, &case.key);
    if let Some(password) = case.password {
        let path = case.key.with_extension("password");
        write_bytes(&path, password.as_bytes());
        // SAFETY: live options and a C string.
        let result =
            unsafe { certreload_options_set_key_password_file(options.0, c_path(&path).as_ptr()) };
        assert_eq!(result, Outcome::Ok);
    }
    opened(options, |host| match handshake(host.config(), None) {
        Ok(shown) => {
            assert_eq!(shown.leaf, host.sha256(), "{}", case.name);
            Opinion::of(Verdict::Served, shown.leaf)
        }
        Err(error) => Opinion::of(Verdict::Loaded, error.to_string()),
    })
}

pub fn trust(case: &Trust, cases: &TrustCases) -> Opinion {
    let mut options = options()
        .identity(&cases.chain, &cases.key)
        .client_auth(certreload_client_auth::Required, &case.roots_path);
    if let Some(lists) = &case.lists_path {
        options = options.crl(lists);
    }
    opened(options, |host| among_peers(&host.config(), case))
}

/// Whether the OCSP response is stapled.
pub fn staple(staple: &Path, cases: &TrustCases) -> Opinion {
    let options = options().identity_with_staple(&cases.chain, &cases.key, Some(staple));
    opened(options, |host| {
        let shown = handshake(host.config(), None).unwrap();
        let is_stapled = !shown.staple.is_empty();
        assert!(!is_stapled || shown.staple == std::fs::read(staple).unwrap());
        Opinion::of(if is_stapled { Verdict::Served } else { Verdict::Refused }, "")
    })
}
