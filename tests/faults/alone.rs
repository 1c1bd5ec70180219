//! Runs a test in a process of its own, with the rights that it needs there.

use std::env;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What a test does to the process that it runs in.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each test program uses a part")]
pub(crate) enum Needs {
    /// Sets the limits of the process.
    Process,
    /// Sets the limits of inotify: those of a user namespace.
    InotifyLimits,
    /// Mounts: in a mount namespace, that nobody else sees.
    Mounts,
}

impl Needs {
    /// Ways to get there, and what shows that a way goes there.
    fn ways(self) -> (&'static [&'static [&'static str]], &'static str) {
        match self {
            Self::Process => (&[&[]], ""),
            Self::InotifyLimits => (
                &[&["unshare", "--user", "--map-root-user"]],
                "echo 1 >/proc/sys/user/max_inotify_instances && \
                 echo 1 >/proc/sys/user/max_inotify_watches",
            ),
            Self::Mounts => (
                &[
                    &["unshare", "--mount"],
                    // In a chroot, whose root is no mount, the propagation cannot be changed.
                    &["unshare", "--mount", "--propagation", "unchanged"],
                    &["unshare", "--user", "--map-root-user", "--mount"],
                ],
                // What is mounted there must not appear outside.
                "d=$(mktemp -d) && mount -t tmpfs tmpfs $d && ! grep -qF \" $d \" /proc/$PPID/mountinfo
                 r=$?; umount $d; rmdir $d; exit $r",
            ),
        }
    }

    fn way(self) -> Result<&'static [&'static str], String> {
        let (ways, probe) = self.ways();
        let mut reasons = Vec::new();
        for way in ways {
            let Some((program, arguments)) = way.split_first() else { return Ok(way) };
            let tried = Command::new(program).args(arguments).args(["sh", "-c", probe]).output();
            match tried {
                Ok(tried) if tried.status.success() => return Ok(way),
                Ok(tried) => reasons.push(String::from_utf8_lossy(&tried.stderr).into_owned()),
                Err(error) => reasons.push(format!("{program}: {error}")),
            }
        }
        Err(reasons.join("; ").replace('\n', " "))
    }
}

/// Held by the test that mounts.
static MOUNTS: Mutex<()> = Mutex::new(());

const INSIDE: &str = "CERTRELOAD_TEST_INSIDE";

/// Runs `body`, the body of the test that calls this, in a process of its own.
///
/// Where the system does not allow that, the test did not run, and says so past the test harness.
pub(crate) fn alone<F: FnOnce()>(needs: Needs, body: F) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    // One at a time: the servers of several mounts would load the machine, and answer late.
    let _mounts = matches!(needs, Needs::Mounts)
        .then(|| MOUNTS.lock().unwrap_or_else(PoisonError::into_inner));
    let test = test_of::<F>();
    let way = match needs.way() {
        Ok(way) => way,
        Err(reason) => {
            let _ = writeln!(
                io::stderr(),
                "NOT TESTED: {test}: {needs:?} is not allowed here: {reason}"
            );
            return;
        }
    };
    let this = env::current_exe().unwrap();
    let command = way.iter().map(|word| (*word).into()).chain([this.into_os_string()]);
    let command: Vec<_> = command.collect();
    let output = Command::new(&command[0])
        .args(&command[1..])
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
    print!("{said}");
}

/// The name by which the harness knows the function that `F` is a closure of.
fn test_of<F>() -> String {
    let name = std::any::type_name::<F>();
    let name = name.strip_suffix("::{{closure}}").unwrap();
    name.split_once("::").unwrap().1.to_owned()
}
