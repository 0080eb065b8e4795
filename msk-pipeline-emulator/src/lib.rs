//! An embedded AWS: the services that a change-data-capture pipeline uses, answering AWS's own wire protocols.
//!
//! The world is a *value*: [`World::handle`] takes the present time and a request and returns the response. It has no task, no
//! timer, no ambient clock and no ambient randomness, so a run against it can be replayed bit for bit. What makes it reachable,
//! over loopback HTTP, in-process, or as a file that survives the process, are thin shells around that one function.
//!
//! This crate knows nothing of the engine and of the AWS provider that are tested against it, so that they cannot share a mistake.

pub mod fault;
pub mod model;
pub mod plane;
pub mod protocol;
pub mod services;
pub mod shell;
pub mod world;

pub use fault::Faults;
pub use world::{Plane, Request, Response, Settings, World};
