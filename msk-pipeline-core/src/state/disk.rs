//! The few things that the file store asks of a disk, so that a twin in memory can tear writes (design decision D15).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

/// Files as the journal needs them. Every method that changes something is durable when it returns.
#[async_trait]
pub trait Disk: Send + Sync {
    /// The whole file; `None` if there is none.
    async fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Adds to the end of the file, making it if need be, private to the user.
    async fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    async fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Replaces the file's contents: afterwards, also after a crash, it has the old or the new contents.
    async fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Takes an exclusive lock that ends with the process. `None` if another holds it.
    async fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    fn parent(path: &Path) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        if folder.is_dir() {
            return Ok(());
        }
        // Each new folder has to be in its parent durably, or the journal in it goes with it.
        let missing: Vec<&Path> = folder.ancestors().take_while(|f| !f.is_dir()).collect();
        for new in missing.into_iter().rev().filter(|f| !f.as_os_str().is_empty()) {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(new) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => Self::sync_folder(new)?,
            }
        }
        Ok(())
    }

    fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
        options
    }

    /// What an earlier process made here, and may have been killed before it was durable, is durable after this: the files beside
    /// `path`, and the folders that lead to them, as far up as a state's own folders reach (`.msk-pipeline/NAME/PLACE`).
    fn sync_ancestors(path: &Path) -> io::Result<()> {
        Self::sync_folder(path)?;
        for folder in path.ancestors().skip(1).take(3).take_while(|f| f.parent().is_some()) {
            match Self::sync_folder(folder) {
                // Folders above may be somebody else's.
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn sync_folder(path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) if cfg!(unix) => {
                let here = folder.as_os_str().is_empty();
                File::open(if here { Path::new(".") } else { folder })?.sync_all()
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Disk for RealDisk {
    async fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Self::parent(path)?;
        let new = !path.exists();
        let mut file = Self::private(OpenOptions::new().create(true).append(true)).open(path)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        if new { Self::sync_folder(path) } else { Ok(()) }
    }

    async fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Self::parent(path)?;
        let fresh = path.with_extension("new");
        let mut file = Self::private(OpenOptions::new().create(true).write(true).truncate(true))
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        Self::sync_folder(path)
    }

    async fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Self::parent(path)?;
        let file = Self::private(OpenOptions::new().create(true).write(true).truncate(false))
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {
                Self::sync_ancestors(path)?;
                Ok(Some(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

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
