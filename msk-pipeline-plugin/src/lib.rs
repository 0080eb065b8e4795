//! Packs a Kafka Connect plugin for MSK Connect: one ZIP out of named parts, the same bytes on every machine.
//!
//! 1. [`Part`]: what goes in, as Maven coordinates, a URL with its digest, or a file.
//! 2. [`plan`]: what is known without a request or a write; [`pack`]: fetches what is missing, verifies, repacks.
//! 3. [`Package`]: the ZIP with its digest, and an [`Inspection`] that tells whether a connector class can load from it.
//!
//! Nothing here is asynchronous; call it from a blocking thread. The Maven repository and the home folder come in as [`Sources`]; the environment is read
//! for them in [`Sources::from_env`] alone. Only when something is fetched are `SSL_CERT_FILE` and, if that is turned on, the proxy read.
//! The library knows nothing of AWS: uploading is someone else's.
//!
//! ```no_run
//! use msk_pipeline_plugin::{Options, Part, Sources, pack};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let part: Part = "io.debezium:debezium-connector-mysql:2.7.4.Final".parse()?;
//! let package = pack(&[part], &Options::new("target/plugin-cache", "msk-pipeline.lock", Sources::from_env()))?;
//! for finding in package.inspection.check("io.debezium.connector.mysql.MySqlConnector", 11) {
//!     eprintln!("{finding}");
//! }
//! # Ok(())
//! # }
//! ```

mod artefacts;
mod cache;
mod digest;
mod error;
mod fetch;
mod inspect;
mod lock;
mod pack;
mod part;
mod repack;
mod sources;
mod unpack;

#[cfg(test)]
mod testkit;

pub use artefacts::{Store, unpack};
pub use digest::{ParseDigestError, Sha256};
pub use error::{ArchiveProblem, Error, Expectation, Result};
pub use inspect::{Finding, Inspection, Jar, Provided, Severity, inspect};
pub use lock::{LOCK_VERSION, Lock, LockedPackage, LockedPart};
pub use pack::{Options, Package, PackageKey, PackedPart, Plan, pack, plan};
pub use part::{Coordinate, ParsePartError, Part, Pin};
pub use sources::Sources;
pub use unpack::Limits;
