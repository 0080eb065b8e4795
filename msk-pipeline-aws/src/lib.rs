//! The AWS kinds and components of msk-pipeline.
//!
//! `kinds` has one file for each family of cloud objects and the list of them all; `components` has one file for each section that a
//! user writes. [`Session`] reaches AWS, or an embedded one. [`state`] keeps state in S3. [`evidence`] tells why a connector fails, [`mod@verify`]
//! whether rows come out.

mod error;
mod tags;

pub mod components;
pub mod evidence;
pub mod kinds;
pub mod operate;
pub mod plugins;
pub mod rotate;
pub mod session;
pub mod signal;
pub mod source;
pub mod state;
pub mod verify;
pub mod watch;

pub use session::Session;

/// What a call uploads, by the SHA-256 (lower-case hexadecimal) of the contents. Calls and state name the digest only.
#[derive(Debug, Clone, Default)]
pub struct Artifacts(pub std::collections::BTreeMap<String, Artifact>);

/// Where contents are that a call uploads.
#[derive(Debug, Clone)]
pub enum Artifact {
    /// In a file, which is read while it is sent, on threads that may wait for a disk. When they are done is not up to the run's seed.
    File(std::path::PathBuf),
    /// In memory: nothing is waited for, so that a run with the same seed takes the same course.
    Bytes(Vec<u8>),
}
