//! The cache folder: downloads by their digest, packages by their key. Nothing in it is trusted without hashing it again.
//!
//! ```text
//! v1/blobs/<sha256>         a download       v1/packages/<key>.zip   a packed plugin, and its digest in <key>.sha256
//! v1/tmp/                   being written    v1/locks/               held while in use; their content means nothing
//! v1/fetched.lock           what plans fetched, until a lock file records it
//! ```
//! Safe for several processes and threads: files appear by an atomic rename, complete and flushed, and are never changed afterwards.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::digest::{Sha256, digest_of};
use crate::error::{Error, Result};
use crate::lock::{Lock, LockedPart};
use crate::pack::PackageKey;

/// What sources gave to plans, in the form of a lock file.
const NOTES: &str = "fetched.lock";

pub(crate) struct Cache {
    root: PathBuf,
    /// Shared while this process works, so that nobody sweeps its temporary files.
    _in_use: File,
}

/// A file whose bytes have just been hashed, at its start.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) file: File,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
}

impl Cache {
    /// Makes the folder where it doesn't exist, and sweeps what a killed process left.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let root = folder.join("v1");
        for sub in ["blobs", "packages", "tmp", "locks"] {
            let path = root.join(sub);
            fs::create_dir_all(&path).map_err(Error::io("create", path))?;
        }
        let in_use = lock_file(&root, "in-use")?;
        let path = || root.join("locks").join("in-use");
        if in_use.try_lock().is_ok() {
            let tmp = root.join("tmp");
            for entry in fs::read_dir(&tmp).map_err(Error::io("list", &tmp))?.flatten() {
                // Whoever is alone may remove everything; that a file resists is no reason to stop.
                let _ = fs::remove_file(entry.path());
            }
            in_use.unlock().map_err(Error::io("unlock", path()))?;
        }
        in_use.lock_shared().map_err(Error::io("lock", path()))?;
        Ok(Self { root, _in_use: in_use })
    }

    /// Where a download is, if it is there.
    pub(crate) fn blob_path(folder: &Path, sha256: Sha256) -> PathBuf {
        folder.join("v1").join("blobs").join(sha256.to_string())
    }

    /// Where a package is, if it is there. Takes the caller's folder, for planning opens no cache.
    pub(crate) fn package_path(folder: &Path, key: PackageKey) -> PathBuf {
        folder.join("v1").join("packages").join(format!("{key}.zip"))
    }

    /// The digest that a package had when it was packed. Finds damage, not malice: the lock file's record comes before it.
    pub(crate) fn package_note(folder: &Path, key: PackageKey) -> Option<Sha256> {
        fs::read_to_string(Self::package_path(folder, key).with_extension("sha256"))
            .ok()?
            .parse()
            .ok()
    }

    /// Whether a download is there and still is what its name says; changes nothing.
    pub(crate) fn has_blob(folder: &Path, sha256: Sha256) -> bool {
        verified(&Self::blob_path(folder, sha256), sha256).is_some()
    }

    /// What a source gave when a plan fetched it, if that is still here.
    pub(crate) fn noted(folder: &Path, source: &str) -> Option<LockedPart> {
        // Notes that can't be read are no notes: the part is fetched again.
        let notes = Lock::load(&folder.join("v1").join(NOTES)).ok()?;
        notes.part(source).filter(|part| Self::has_blob(folder, part.sha256))
    }

    /// Notes what sources gave.
    pub(crate) fn note(&self, fetched: &Lock) -> Result<()> {
        let notes = self.root.join(NOTES);
        let _guard = self.guard(&notes)?;
        if Lock::load(&notes).is_err() {
            remove_if_there(&notes)?;
        }
        fetched.merge_into(&notes, |_| true)
    }

    /// A download, hashed again. A damaged one is removed, so that it is fetched anew.
    pub(crate) fn blob(&self, sha256: Sha256) -> Result<Option<Verified>> {
        let path = self.root.join("blobs").join(sha256.to_string());
        match verified(&path, sha256) {
            Some(blob) => Ok(Some(blob)),
            None => remove_if_there(&path).map(|()| None),
        }
    }

    /// A temporary file beside the others, of which a rename is atomic.
    pub(crate) fn temp(&self) -> Result<NamedTempFile> {
        let tmp = self.root.join("tmp");
        NamedTempFile::new_in(&tmp).map_err(Error::io("create a file in", tmp))
    }

    /// A temporary file without a name, gone with its handle.
    pub(crate) fn anonymous(&self) -> Result<File> {
        let tmp = self.root.join("tmp");
        tempfile::tempfile_in(&tmp).map_err(Error::io("create a file in", tmp))
    }

    /// Keeps a download under its digest.
    pub(crate) fn keep_download(
        &self,
        file: NamedTempFile,
        sha256: Sha256,
        size: u64,
    ) -> Result<Verified> {
        let mut file = Self::keep(file, &self.root.join("blobs").join(sha256.to_string()))?;
        file.seek(SeekFrom::Start(0)).map_err(Error::io("read", &self.root))?;
        Ok(Verified { file, sha256, size })
    }

    /// Keeps a package under its key.
    pub(crate) fn keep_package(
        &self,
        file: NamedTempFile,
        key: PackageKey,
        sha256: Sha256,
    ) -> Result<PathBuf> {
        let path = self.root.join("packages").join(format!("{key}.zip"));
        Self::keep(file, &path)?;
        let mut note = self.temp()?;
        note.write_all(sha256.to_string().as_bytes())
            .map_err(Error::io("write", note.path().to_path_buf()))?;
        Self::keep(note, &path.with_extension("sha256"))?;
        Ok(path)
    }

    fn keep(mut file: NamedTempFile, path: &Path) -> Result<File> {
        file.flush().and_then(|()| file.as_file().sync_all()).map_err(Error::io("write", path))?;
        file.persist(path).map_err(|e| Error::io("write", path)(e.error))
    }

    /// Holds the right to change the lock file at a path, among those who share this cache.
    pub(crate) fn guard(&self, lock: &Path) -> Result<File> {
        let path = std::path::absolute(lock).map_err(Error::io("find", lock))?;
        let guard =
            lock_file(&self.root, &Sha256::of(path.as_os_str().as_encoded_bytes()).to_string())?;
        guard.lock().map_err(Error::io("lock", lock))?;
        Ok(guard)
    }
}

fn lock_file(root: &Path, name: &str) -> Result<File> {
    let path = root.join("locks").join(name);
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::io("open", path))
}

/// Opens a file and hashes it through the very handle that is returned.
pub(crate) fn verified(path: &Path, sha256: Sha256) -> Option<Verified> {
    let mut file = File::open(path).ok()?;
    let (got, size) = digest_of(&file).ok()?;
    file.seek(SeekFrom::Start(0)).ok()?;
    (got == sha256).then_some(Verified { file, sha256, size })
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::HashingWriter;
    use crate::testkit::folder;

    fn keep(cache: &Cache, content: &str) -> Verified {
        let mut writer = HashingWriter::new(cache.temp().expect("temp"));
        writer.write_all(content.as_bytes()).expect("write");
        let (file, sha256, size) = writer.finish();
        cache.keep_download(file, sha256, size).expect("keep")
    }

    #[test]
    fn a_damaged_blob_is_never_handed_out() {
        let folder = folder();
        let cache = Cache::open(folder.path()).expect("cache");
        let kept = keep(&cache, "good");
        assert!(Cache::has_blob(folder.path(), kept.sha256));
        assert!(cache.blob(kept.sha256).expect("read").is_some());
        fs::write(Cache::blob_path(folder.path(), kept.sha256), "evil").expect("damage");
        assert!(!Cache::has_blob(folder.path(), kept.sha256));
        assert!(cache.blob(kept.sha256).expect("read").is_none());
        assert!(
            !Cache::blob_path(folder.path(), kept.sha256).exists(),
            "it makes room for a new download"
        );
    }

    #[test]
    fn leftovers_are_swept_only_by_who_is_alone() {
        let folder = folder();
        let left = folder.path().join("v1/tmp/left");
        let first = Cache::open(folder.path()).expect("cache");
        fs::write(&left, "x").expect("write");
        let second = Cache::open(folder.path()).expect("cache");
        assert!(left.exists(), "the first one is still at work");
        drop((first, second));
        Cache::open(folder.path()).expect("cache");
        assert!(!left.exists());
    }
}
