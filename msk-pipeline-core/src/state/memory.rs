//! State in memory, for library users' tests and for rehearsals that nobody will resume.

use std::path::PathBuf;

use async_trait::async_trait;

use super::disk::MemoryDisk;
use super::file::FileStore;
use super::store::{Holder, Lease, Loaded, StateStore, StoreError};

/// A store in memory: the file store on a disk in memory, so that both have one format and one behaviour. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    inner: FileStore<MemoryDisk>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { inner: FileStore::on(MemoryDisk::default(), PathBuf::from("memory")) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }

    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError> {
        self.inner.lease(holder).await
    }

    fn location(&self) -> String {
        "memory".into()
    }
}
