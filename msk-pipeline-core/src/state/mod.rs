//! What outlives the process: `state = fold(journal)`, and the stores that keep it.

mod disk;
mod edit;
mod entry;
mod file;
mod fold;
pub mod lease;
mod memory;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub use disk::{Disk, MemoryDisk, RealDisk};
pub use edit::EditError;
pub use entry::{ApprovedCall, Described, Entry, Outcome, Stamped};
pub use file::FileStore;
pub use fold::IllegalEntry;
pub use memory::MemoryStore;
pub use record::{Adoption, Object, OpenRun, Pending, Pin, Record, State};
pub use store::{Holder, Lease, Loaded, StateStore, StoreError};
#[cfg(any(test, feature = "testkit"))]
pub use store::{MockLease, MockStateStore};
