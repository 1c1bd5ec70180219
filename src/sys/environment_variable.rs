//! Reads environment variables, and ignores them in a process that has more rights than its caller.
//!
//! Variables that other libraries read are not covered: aws-lc reads `OPENSSL_ia32cap` (on Arm
//! `OPENSSL_armcap`), which chooses among its implementations for the CPU; rustls reads `SSLKEYLOGFILE`
//! if the host asks for its key log file; `rustls_platform_server_cert_verifier()` of rustls-ffi reads
//! `SSL_CERT_FILE` and `SSL_CERT_DIR`.

#![allow(unsafe_code, reason = "one call of libc, which is argued for")]

use std::env;
use std::ffi::OsString;

/// Returns the value of a variable, or `None` if it is unset or empty, or must not be trusted.
///
/// Like `secure_getenv(3)`. If a program is set-user-ID or set-group-ID, or has file capabilities, its caller chooses
/// the environment, but must not choose which certificates the program trusts. A test below checks that no other
/// module reads a variable without this function.
pub(crate) fn environment_variable(name: &str) -> Option<OsString> {
    if has_more_rights_than_its_caller() {
        return None;
    }
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns whether the program started with more rights than the user who called it, even if it has dropped them since.
///
/// Calls libc, because rustix offers this function only in its backend without libc, which this library does not use.
fn has_more_rights_than_its_caller() -> bool {
    // SAFETY: no pointers. The call returns a number that the kernel passed to the program when it started.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The functions of std, libc and the dependencies that read the environment without a check of the caller's
    /// rights.
    const READERS: [&str; 6] = [
        concat!("env::", "var"),
        concat!("var_", "os("),
        concat!("get", "env("),
        concat!("temp", "_dir("),
        concat!("home", "_dir("),
        concat!("openssl_probe::", "probe("),
    ];

    /// `thread::spawn` reads the variable `RUST_MIN_STACK`. The library starts threads by a `thread::Builder` with a
    /// stack size, which does not.
    const SPAWN: &str = concat!("thread::", "spawn(");

    #[test]
    fn environment_is_read_in_this_module_only() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut directories, mut found) = (vec![root.clone()], Vec::new());
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap();
                if path.is_dir() {
                    directories.extend((name.file_name().unwrap() != "tests").then_some(path));
                } else if name != Path::new("sys/environment_variable.rs")
                    && name != Path::new("fuzzing.rs")
                {
                    let text = fs::read_to_string(&path).unwrap();
                    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                    let code = product.lines().filter(|line| !line.trim_start().starts_with("//"));
                    let code: Vec<_> = code.collect();
                    let reads = |reader: &&&str| code.iter().any(|line| line.contains(**reader));
                    let reader = READERS.iter().chain([&SPAWN]).find(reads);
                    found.extend(reader.map(|reader| format!("{}: {reader}", name.display())));
                }
            }
        }
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn environment_variable_in_an_ordinary_process_is_returned() {
        assert!(!has_more_rights_than_its_caller());
        assert_eq!(environment_variable("PATH"), env::var_os("PATH"));
        assert_eq!(environment_variable("CERTRELOAD_NO_SUCH_VARIABLE"), None);
    }
}
