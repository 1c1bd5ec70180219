//! Makes the paths of the host independent of a later change of the working directory.

use std::path::{Path, PathBuf};

use crate::error::Error;

pub(super) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::at(path, error))
}
