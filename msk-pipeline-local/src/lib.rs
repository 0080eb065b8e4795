//! Rehearsal: the AWS provider on the embedded AWS, in one process and without a socket.
//!
//! The only crate that knows both sides. [`Embedded`] puts the SDK's clients on a world.

mod embedded;

pub use embedded::Embedded;
