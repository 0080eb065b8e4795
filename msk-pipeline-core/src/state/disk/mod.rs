//! The few things that the file store asks of a disk, so that a twin in memory can tear writes (design decision D15).

mod memory;
mod real;

use std::io;
use std::path::Path;

use async_trait::async_trait;

pub use memory::MemoryDisk;
pub use real::RealDisk;

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
