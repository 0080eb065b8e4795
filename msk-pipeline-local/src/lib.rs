//! Rehearsal: the AWS provider on the embedded AWS, in one process and without a socket.
//!
//! The only crate that knows both sides. [`Embedded`] puts the SDK's clients on a world; [`LocalWorld`] is the world that
//! `--local` uses: in a folder, shared by processes, its time scaled.

mod clock;
mod embedded;
mod local_world;
mod simulated;

pub use clock::WorldClock;
pub use embedded::Embedded;
pub use msk_pipeline_emulator::shell::http::Server;

pub use local_world::{LocalError, LocalWorld, Row, Settings};
pub use msk_pipeline_emulator::plane::Task;
