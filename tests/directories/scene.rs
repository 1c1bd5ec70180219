//! A server, a directory of roots or lists beside it, and the ways in which its files become others.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use certreload::ffi::options::trust::{
    certreload_client_auth, certreload_options_add_crl, certreload_options_set_client_auth,
};
use certreload::ffi::result::certreload_result as Outcome;

use super::authorities::{AUTHORITIES, SERVER};
use super::support::certificates::write_private;
use super::support::host::{Builder, Host, c_path, last_error};

/// What a directory is to hold.
pub(super) type Contents = BTreeMap<String, Vec<u8>>;

/// How its files become others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// New files are renamed into it, and nothing else changes.
    Added,
    /// The same, and they are written where they are.
    Created,
    Removed,
    RenamedOver,
    Rewritten,
    /// Another directory is renamed in its place.
    Swapped,
    /// As Kubernetes renews a volume.
    Volume,
    /// It is a link, and then leads elsewhere.
    Retargeted,
    /// It is removed with all that it holds, and made anew.
    Recreated,
    /// Its entries are links with names of OpenSSL's, to files of other names elsewhere.
    Hashed,
}

pub(super) const CHANGES: [Change; 10] = [
    Change::Added,
    Change::Created,
    Change::Removed,
    Change::RenamedOver,
    Change::Rewritten,
    Change::Swapped,
    Change::Volume,
    Change::Retargeted,
    Change::Recreated,
    Change::Hashed,
];

/// A server, and a place for roots and lists.
pub(super) struct Scene(tempfile::TempDir);

impl Scene {
    pub(super) fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        write_private(&scene.path("chain"), &SERVER.chain);
        write_private(&scene.path("key"), &SERVER.key);
        scene
    }

    /// With the first two roots in a directory, which holds a README besides.
    pub(super) fn with_roots() -> Self {
        let scene = Self::new();
        fs::create_dir(scene.path("place")).unwrap();
        for (name, authority) in [("base", &AUTHORITIES[0]), ("one", &AUTHORITIES[1])] {
            fs::write(scene.path("place").join(name).with_extension("pem"), &authority.pem)
                .unwrap();
        }
        fs::write(scene.path("place/README"), "no certificate").unwrap();
        scene
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    pub(super) fn options(&self) -> Builder {
        Builder::new().identity(&self.path("chain"), &self.path("key"))
    }

    pub(super) fn begin(&self, change: Change, contents: &Contents) {
        match change {
            Change::Volume => {
                fs::create_dir(self.path("place")).unwrap();
                self.change_volume(&Contents::new(), contents, 0);
            }
            Change::Retargeted => {
                fill(&self.path("version0"), contents);
                symlink("version0", self.path("place")).unwrap();
            }
            Change::Hashed => {
                fs::create_dir(self.path("place")).unwrap();
                fs::create_dir(self.path("store")).unwrap();
                self.change_hashed(contents, 0);
            }
            _ => fill(&self.path("place"), contents),
        }
    }

    pub(super) fn change(&self, change: Change, before: &Contents, next: &Contents, step: usize) {
        let place = self.path("place");
        let news = next.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes));
        match change {
            Change::Added | Change::RenamedOver => {
                for (name, bytes) in news {
                    let hidden = place.join(format!(".{name}.tmp"));
                    fs::write(&hidden, bytes).unwrap();
                    fs::rename(&hidden, place.join(name)).unwrap();
                }
            }
            Change::Created | Change::Rewritten => {
                news.for_each(|(name, bytes)| fs::write(place.join(name), bytes).unwrap());
            }
            Change::Removed => {
                let gone = before.keys().filter(|name| !next.contains_key(*name));
                gone.for_each(|name| fs::remove_file(place.join(name)).unwrap());
            }
            Change::Swapped => {
                fill(&self.path("next"), next);
                fs::rename(&place, self.path(&format!("old{step}"))).unwrap();
                fs::rename(self.path("next"), &place).unwrap();
            }
            Change::Volume => self.change_volume(before, next, step),
            Change::Retargeted => {
                let version = format!("version{step}");
                fill(&self.path(&version), next);
                symlink(version, self.path("next")).unwrap();
                fs::rename(self.path("next"), &place).unwrap();
            }
            Change::Recreated => {
                fs::remove_dir_all(&place).unwrap();
                fill(&place, next);
            }
            Change::Hashed => self.change_hashed(next, step),
        }
    }

    fn change_volume(&self, before: &Contents, next: &Contents, step: usize) {
        let path = |name: String| self.path("place").join(name);
        fill(&path(format!("..{step}")), next);
        symlink(format!("..{step}"), path("..data_tmp".to_owned())).unwrap();
        fs::rename(path("..data_tmp".to_owned()), path("..data".to_owned())).unwrap();
        for name in next.keys().filter(|name| !before.contains_key(*name)) {
            symlink(Path::new("..data").join(name), path(name.clone())).unwrap();
        }
        for name in before.keys().filter(|name| !next.contains_key(*name)) {
            fs::remove_file(path(name.clone())).unwrap();
        }
        if let Some(last) = step.checked_sub(1) {
            fs::remove_dir_all(path(format!("..{last}"))).unwrap();
        }
    }

    fn change_hashed(&self, next: &Contents, step: usize) {
        for (name, bytes) in next {
            let stored = format!("{name} of {step}");
            fs::write(self.path("store").join(&stored), bytes).unwrap();
            symlink(Path::new("../store").join(stored), self.path("place/next")).unwrap();
            fs::rename(self.path("place/next"), self.path("place").join(name)).unwrap();
        }
    }
}

/// Opens a host that takes the clients of these roots alone.
pub(super) fn trusting(options: Builder, roots: &Path) -> Host {
    try_trusting(options, roots).unwrap_or_else(|code| panic!("{code:?}: {}", last_error()))
}

pub(super) fn try_trusting(options: Builder, roots: &Path) -> Result<Host, Outcome> {
    let mode = certreload_client_auth::Required as u32;
    let roots = c_path(roots);
    // SAFETY: live options and a C string.
    let set = unsafe { certreload_options_set_client_auth(options.0, mode, roots.as_ptr()) };
    assert_eq!(set, Outcome::Ok);
    options.try_open()
}

pub(super) fn add_lists(options: &Builder, path: &Path) {
    let path = c_path(path);
    // SAFETY: live options and a C string.
    let added = unsafe { certreload_options_add_crl(options.0, path.as_ptr()) };
    assert_eq!(added, Outcome::Ok);
}

fn fill(directory: &Path, contents: &Contents) {
    fs::create_dir(directory).unwrap();
    for (name, bytes) in contents {
        fs::write(directory.join(name), bytes).unwrap();
    }
}
