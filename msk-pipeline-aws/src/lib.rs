//! The AWS kinds and components of msk-pipeline.
//!
//! `kinds` has one file for each family of cloud objects and the list of them all; `components` has one file for each section that a
//! user writes. [`Session`] reaches AWS, or an embedded one. [`state`] keeps state in S3.

mod error;
mod tags;

pub mod components;
pub mod kinds;
pub mod plugins;
pub mod session;
pub mod state;

pub use session::Session;

/// Local files that a call uploads, by the SHA-256 (lower-case hexadecimal) of their contents. Calls and state name the digest only.
#[derive(Debug, Clone, Default)]
pub struct Artifacts(pub std::collections::BTreeMap<String, std::path::PathBuf>);
