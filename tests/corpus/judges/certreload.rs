//! certreload, through its C functions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use certreload::ffi::new_connection::certreload_acquire_client_config;
use certreload::ffi::options::key_password::certreload_options_set_key_password_file;
use certreload::ffi::options::trust::{
    certreload_client_auth, certreload_options_add_client_identity,
};
use certreload::ffi::options::watch::certreload_watch as Watch;
use certreload::ffi::result::certreload_result as Outcome;

use rustls::{ClientConfig, ServerConfig};

use super::handshake::{asking_server, handshake, presented};
use super::{Opinion, Trust, Verdict, among_peers};
use crate::case::{Case, write_bytes};
use crate::support::certificates::Authority;
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
    set_password(&options, case);
    opened(options, |host| match handshake(host.config(), None) {
        Ok(shown) => {
            assert_eq!(shown.leaf, host.sha256(), "{}", case.name);
            Opinion::of(Verdict::Served, shown.leaf)
        }
        Err(error) => Opinion::of(Verdict::Loaded, error.to_string()),
    })
}

fn set_password(options: &Builder, case: &Case) {
    if let Some(password) = case.password {
        let path = case.key.with_extension("password");
        write_bytes(&path, password.as_bytes());
        // SAFETY: live options and a C string.
        let result =
            unsafe { certreload_options_set_key_password_file(options.0, c_path(&path).as_ptr()) };
        assert_eq!(result, Outcome::Ok);
    }
}

/// A server that the client role of certreload visits.
pub struct Visited {
    config: Arc<ServerConfig>,
    chain: PathBuf,
    key: PathBuf,
    root: PathBuf,
}

impl Visited {
    pub fn new(directory: &Path) -> Self {
        let authority = Authority::new();
        let pair = authority.issue(&["a.test"]);
        let path = |name: &str| directory.join(name);
        let (chain, key, root) = (path("visited.chain"), path("visited.key"), path("visited.root"));
        write_bytes(&chain, pair.chain.as_bytes());
        write_bytes(&key, pair.key.as_bytes());
        write_bytes(&root, authority.root_pem().as_bytes());
        let config = asking_server(pair.chain.as_bytes(), pair.key.as_bytes());
        Self { config, chain, key, root }
    }

    /// The identity as that of the client role, beside another of the server role.
    pub fn by_client(&self, case: &Case) -> Opinion {
        let options = options().identity(&self.chain, &self.key).server_roots(&self.root);
        let (chain, key) = (c_path(&case.chain), c_path(&case.key));
        // SAFETY: live options and C strings.
        let result = unsafe {
            certreload_options_add_client_identity(options.0, chain.as_ptr(), key.as_ptr())
        };
        assert_eq!(result, Outcome::Ok);
        set_password(&options, case);
        opened(options, |host| {
            // SAFETY: an open handle; the reference that it gives is taken over.
            let config = unsafe {
                let config = certreload_acquire_client_config(host.handle);
                Arc::from_raw(config.cast::<ClientConfig>())
            };
            match presented(config, self.config.clone()) {
                Ok(leaf) => Opinion::of(Verdict::Served, leaf.unwrap_or_default()),
                Err(error) => Opinion::of(Verdict::Loaded, error.to_string()),
            }
        })
    }
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
