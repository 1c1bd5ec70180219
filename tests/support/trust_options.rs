//! What a host says of whom it trusts, and of whose sessions it resumes.

use std::path::Path;

use certreload::ffi::options::trust::*;
use certreload::ffi::result::certreload_result;
use certreload::ffi::sessions::*;

use super::host::{Builder, Host, c_path};

impl Builder {
    pub fn client_auth(self, mode: certreload_client_auth, roots: &Path) -> Self {
        let roots = c_path(roots);
        // SAFETY: live options and a C string.
        let result =
            unsafe { certreload_options_set_client_auth(self.0, mode as u32, roots.as_ptr()) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn server_roots(self, roots: &Path) -> Self {
        let roots = c_path(roots);
        // SAFETY: live options and a C string.
        let result = unsafe { certreload_options_set_server_roots(self.0, roots.as_ptr()) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn crl(self, path: &Path) -> Self {
        let path = c_path(path);
        // SAFETY: live options and a C string.
        let result = unsafe { certreload_options_add_crl(self.0, path.as_ptr()) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn resumption(self, resumption: certreload_resumption) -> Self {
        // SAFETY: live options.
        let result = unsafe { certreload_options_set_resumption(self.0, resumption as u32) };
        assert_eq!(result, certreload_result::Ok);
        self
    }

    pub fn ticket_keys(self, path: &Path) -> Self {
        let path = c_path(path);
        // SAFETY: live options and a C string.
        let result = unsafe { certreload_options_set_ticket_keys(self.0, path.as_ptr()) };
        assert_eq!(result, certreload_result::Ok);
        self
    }
}

impl Host {
    pub fn invalidate_sessions(&self) {
        // SAFETY: an open handle.
        let result = unsafe { certreload_invalidate_sessions(self.handle) };
        assert_eq!(result, certreload_result::Ok);
    }
}
