//! From resources to a checked, ordered graph. An edge means readiness: the one that refers waits for the one referred to.

mod build;
mod order;
mod render;

pub(crate) use build::dependencies;

pub use build::{Graph, GraphError, Resource};
pub use render::Format;
