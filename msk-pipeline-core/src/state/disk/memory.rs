//! Files in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::Disk;

/// A disk in memory that survives the simulated process. Its `tear` dial makes the next append stop after so many bytes.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<MemoryFiles>>,
}

#[derive(Default)]
struct MemoryFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
    locks: BTreeMap<PathBuf, u64>,
    next: u64,
}

struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
    id: u64,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner();
        if inner.locks.get(&self.path) == Some(&self.id) {
            inner.locks.remove(&self.path);
        }
    }
}

impl MemoryDisk {
    fn inner(&self) -> std::sync::MutexGuard<'_, MemoryFiles> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every file with its contents.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.inner().files.clone()
    }

    /// A copy of the files on another disk; locks are not copied.
    #[must_use]
    pub fn fork(&self) -> Self {
        let files = MemoryFiles { files: self.files(), ..MemoryFiles::default() };
        Self { inner: Arc::new(Mutex::new(files)) }
    }

    /// Adds the first `len` of `bytes`, as a crash in the middle of a write does.
    pub fn append_torn(&self, path: &Path, bytes: &[u8], len: usize) {
        let mut inner = self.inner();
        let file = inner.files.entry(path.to_owned()).or_default();
        file.extend_from_slice(&bytes[..len.min(bytes.len())]);
    }
}

#[async_trait]
impl Disk for MemoryDisk {
    async fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inner().files.get(path).cloned())
    }

    async fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.append_torn(path, bytes, bytes.len());
        Ok(())
    }

    async fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        if let Some(file) = self.inner().files.get_mut(path) {
            file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.inner().files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    async fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut inner = self.inner();
        if inner.locks.contains_key(path) {
            return Ok(None);
        }
        inner.next += 1;
        let id = inner.next;
        inner.locks.insert(path.to_owned(), id);
        Ok(Some(Box::new(MemoryLock { disk: self.clone(), path: path.to_owned(), id })))
    }
}
