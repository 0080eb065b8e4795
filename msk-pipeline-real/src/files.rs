//! Files of a world: private to the user, and there whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::error::{Error, Result};

/// Makes a folder that only the user can enter, with what is missing above it.
pub(crate) fn folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io("create", path.display()))
}

/// Replaces a file that only the user can read, by a rename.
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let temp = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&temp);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temp)?;
        file.write_all(content.as_ref())?;
        fs::rename(&temp, path)
    };
    write().map_err(Error::io("write", path.display()))
}

/// Removes a folder and what is in it; one that isn't there is fine.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path.display())(e))
        }
        _ => Ok(()),
    }
}
