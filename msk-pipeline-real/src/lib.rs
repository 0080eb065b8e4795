//! Real programs behind the embedded AWS: a Kafka, a Kafka Connect, a MariaDB and a PostgreSQL on loopback, started and watched as the world says.
//!
//! The world stays a value: it says what is wanted and remembers what was reported, and every state follows from that. This crate
//! looks at it, starts what is missing, ends what is too much, and reports. It knows the world and nothing of the engine, the kinds
//! or any SDK.
//!
//! # The very configuration
//! Nothing that is meant for AWS is rewritten. Every AWS host name gets a loopback address of its own ([`Hosts`]), so that ports stay
//! as they are; the JVMs know these names and no others. In front of each broker a proxy ([`proxy`]) speaks TLS with a certificate
//! of a local authority and checks the IAM handshake by signature and role. What is different from AWS all the same is reported,
//! never hidden.
//!
//! # The rooms, bottom up
//! [`toolbox`] finds the programs; [`process`] starts them and never loses one; [`mariadb`], [`postgres`], [`kafka`] and
//! [`connect`] know one program each. [`RealPlane`] puts them together: it follows a world, with [`wanted`] as the pure function in its middle. [`serving`]
//! says which process does that for a world, [`Access`] how the others get to its programs.

mod access;
mod account;
mod admin;
mod authority;
pub mod connect;
pub mod database;
mod error;
mod files;
mod hosts;
pub mod kafka;
pub mod mariadb;
mod plane;
pub mod postgres;
pub mod process;
pub mod properties;
pub mod proxy;
pub mod rest;
pub mod sasl;
pub mod serving;
pub mod sigv4;
pub mod toolbox;
mod worker_log;

pub use access::Access;
pub use authority::{Authority, TRUST_PASSWORD};
pub use error::{Error, Result};
pub use hosts::Hosts;
pub use plane::{Event, Key, Options, RealPlane, Spec, wanted};
pub use toolbox::Toolbox;

/// Twelve hexadecimal digits that stand for a path.
fn short_digest(path: &std::path::Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(6).map(|b| format!("{b:02x}")).collect()
}
