//! Finds the file or directory with the root certificates that the operating system trusts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::sys::environment_variable;

/// The files in which distributions keep all roots, as the openssl-probe crate lists them.
///
/// That crate offers the list only through a function that also obeys environment variables. In a set-user-ID process,
/// its caller could then choose the roots.
const BUNDLES: [&str; 8] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Gentoo, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL 6
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/pki/tls/cacert.pem",            // OpenELEC
    "/etc/ssl/cert.pem",                  // Alpine
    "/opt/etc/ssl/certs/ca-certificates.crt", // Entware
    "/etc/ssl/certs/cacert.pem",          // OpenHarmony
];

/// Returns the path of the roots: `SSL_CERT_FILE`, a file of the distribution, `SSL_CERT_DIR`, or a directory of the
/// distribution. Returns `None` if there is none of them.
///
/// `SSL_CERT_FILE` is returned unchecked. A user who sets it wants that file and no other, even if it is missing.
pub(crate) fn platform_roots_path() -> Option<PathBuf> {
    let (file, directory) =
        (environment_variable("SSL_CERT_FILE"), environment_variable("SSL_CERT_DIR"));
    file.map(PathBuf::from).or_else(|| existing_roots(directory))
}

fn existing_roots(directory: Option<OsString>) -> Option<PathBuf> {
    let bundles = BUNDLES.iter().map(Path::new).filter(|path| path.exists());
    bundles
        .map(Path::to_owned)
        .chain(directory.map(PathBuf::from).filter(|path| path.exists()))
        .chain(openssl_probe::candidate_cert_dirs().map(Path::to_owned))
        .next()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// If `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, the test runs itself again, in a process without them.
    #[test]
    fn platform_roots_are_those_that_openssl_probe_finds() {
        let variables = [openssl_probe::ENV_CERT_FILE, openssl_probe::ENV_CERT_DIR];
        if variables.iter().any(|name| environment_variable(name).is_some()) {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args([
                "--exact",
                "files::platform_roots_path::tests::platform_roots_are_those_that_openssl_probe_finds",
            ]);
            for name in variables {
                again.env_remove(name);
            }
            assert!(again.status().unwrap().success());
            return;
        }
        let found = openssl_probe::probe();
        let expected = found.cert_file.or_else(|| found.cert_dir.into_iter().next());
        assert_eq!(platform_roots_path(), expected);
    }
}
