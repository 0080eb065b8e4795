//! The engine of msk-pipeline. It knows no AWS.
//!
//! Data flows one way, and the folders are in its order:
//! 1. `dsl`: what is declared, through a builder or a TOML document, becomes a spec; components expand to resources;
//! 2. `graph`: resources and their references become a checked, ordered graph;
//! 3. `kind`: what a provider promises about each family of resources;
//! 4. `plan`: observe, decide, and list every call with what it does to data;
//! 5. `run`: carry the plan out, journaled, resumable;
//! 6. `state`: what outlives the process.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

pub mod address;
pub mod clock;
pub mod dsl;
mod entropy;
pub mod graph;
pub mod kind;
pub mod plan;
pub mod run;
pub mod state;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

pub use address::Address;
pub use clock::{Clock, RealClock, ScaledClock, Timestamp};
pub use entropy::Entropy;
