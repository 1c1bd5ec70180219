//! Where the password of encrypted private keys comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::sys::SecretBytes;

/// Where the password of encrypted keys comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyPassword {
    /// The first line of a file.
    File(PathBuf),
    Callback(PasswordCallback),
}

/// A function of the host that knows the password of the key at a path.
#[derive(Clone)]
pub(crate) struct PasswordCallback(Arc<Ask>);

type Ask = dyn Fn(&Path) -> Option<SecretBytes> + Send + Sync;

impl PasswordCallback {
    pub(crate) fn new(ask: impl Fn(&Path) -> Option<SecretBytes> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn ask(&self, key_path: &Path) -> Option<SecretBytes> {
        (self.0)(key_path)
    }
}

/// A reference to a [`PasswordCallback`] that does not keep the host's userdata.
#[derive(Clone)]
pub(crate) struct WeakPasswordCallback(Weak<Ask>);

impl PasswordCallback {
    pub(crate) fn downgrade(&self) -> WeakPasswordCallback {
        WeakPasswordCallback(Arc::downgrade(&self.0))
    }
}

impl WeakPasswordCallback {
    /// Asks the host, unless it has freed its options and closed its handles.
    pub(crate) fn ask(&self, key_path: &Path) -> Option<SecretBytes> {
        self.0.upgrade().and_then(|ask| ask(key_path))
    }
}

impl fmt::Debug for PasswordCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordCallback")
    }
}

impl PartialEq for PasswordCallback {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PasswordCallback {}
