//! Where the bytes of an identity come from: files, or memory of the host.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::absolute_path::absolute;
use super::key_password::KeyPassword;
use super::role::Role;
use crate::error::Error;

/// The source of one identity's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityFiles {
    /// The number of the identity within its handle. [`Options::fixed`] sets it.
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ocsp: Option<PathBuf>,
    /// Gives the password if the key is encrypted. [`Options::fixed`] copies [`Options::key_password`] here, so that
    /// a password file is read and watched as one of the identity's files.
    pub(crate) password: Option<KeyPassword>,
    /// The bytes, if the host pushes them. Then the paths above name no files; they only appear in messages.
    pub(crate) memory: Option<Arc<IdentityBytes>>,
}

/// The content of an identity that the host pushes from memory.
#[derive(PartialEq, Eq)]
pub(crate) struct IdentityBytes {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) ocsp: Option<Vec<u8>>,
}

impl fmt::Debug for IdentityBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityBytes")
    }
}

impl IdentityFiles {
    /// Returns the identity with content from memory that is number `index` of its handle. In place of paths it gets
    /// names such as `memory:0/chain`, for messages.
    pub(crate) fn in_memory(index: usize, bytes: Option<Arc<IdentityBytes>>) -> Self {
        let part = |part: &str| PathBuf::from(format!("memory:{index}/{part}"));
        let ocsp = bytes.as_ref().is_some_and(|bytes| bytes.ocsp.is_some()).then(|| part("ocsp"));
        Self {
            index,
            role: Role::Server,
            chain: part("chain"),
            key: part("key"),
            ocsp,
            password: None,
            memory: bytes,
        }
    }

    pub(super) fn fixed(&self, password: Option<&KeyPassword>) -> Result<Self, Error> {
        if self.memory.is_some() {
            return Ok(Self { password: password.cloned(), ..self.clone() });
        }
        Ok(Self {
            index: self.index,
            role: self.role,
            password: password.cloned(),
            chain: absolute(&self.chain)?,
            key: absolute(&self.key)?,
            ocsp: self.ocsp.as_deref().map(absolute).transpose()?,
            memory: None,
        })
    }

    /// Returns the path of each file of the identity: chain, key, staple if there is one, and password file last.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.chain), Some(&self.key), self.ocsp.as_ref(), self.password_file()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }

    pub(crate) fn password_file(&self) -> Option<&PathBuf> {
        match &self.password {
            Some(KeyPassword::File(path)) => Some(path),
            _ => None,
        }
    }
}
