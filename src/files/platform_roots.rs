//! Finds the file or directory in which the system keeps the root certificates that it trusts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::sys::environment_variable;

/// Where distributions keep all roots in one file: the list of the openssl-probe crate, which shows it
/// by a function only that reads the environment, without regard to the rights of the process.
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

/// Returns the roots of the system, or `None` if it has none.
///
/// `SSL_CERT_FILE` is returned as it is: a user who sets it wants that file and no other, even if it is
/// missing.
pub(crate) fn platform_roots() -> Option<PathBuf> {
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

    /// Runs once more without the variables if the one who runs it has set them.
    #[test]
    fn roots_are_those_that_openssl_probe_finds() {
        let variables = [openssl_probe::ENV_CERT_FILE, openssl_probe::ENV_CERT_DIR];
        if variables.iter().any(|name| environment_variable(name).is_some()) {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args([
                "--exact",
                "source::platform_roots::tests::roots_are_those_that_openssl_probe_finds",
            ]);
            for name in variables {
                again.env_remove(name);
            }
            assert!(again.status().unwrap().success());
            return;
        }
        let found = openssl_probe::probe();
        let expected = found.cert_file.or_else(|| found.cert_dir.into_iter().next());
        assert_eq!(platform_roots(), expected);
    }
}
