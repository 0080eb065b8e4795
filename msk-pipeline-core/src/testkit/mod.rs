//! A cloud in memory and two kinds on it: for tests of the engine, and as the example that authors of kinds read first.
//!
//! [`Toy`] is an object that is changed in place, or replaced under its own name; [`Blob`] is immutable and has its content's hash
//! in its name. Both live in a [`ToyCloud`], which behaves as AWS does where that matters to an engine: objects take their time, an
//! object does one thing at a time, reads show the past for a while, replies get lost.

mod blob;
mod cloud;
pub mod stores;
mod toy;

pub use blob::{Blob, BlobCall, BlobOutputs, BlobProps};
pub use cloud::{Dial, Operation, Status, ToyCloud, View};
pub use toy::{Toy, ToyCall, ToyOutputs, ToyProps};
