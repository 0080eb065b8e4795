//! What is declared. Two front doors, a builder and a TOML document, lead to one value, [`Pipeline`]; its components expand, purely,
//! to resources.

mod component;
mod document;
mod json_schema;
mod names;
mod pipeline;
mod problem;
mod schema;

pub use component::{Component, Components, Declared, Expanded, Expansion, Facts, Notice};
pub use document::{Document, Overlay};
pub use names::{Symbol, fit};
pub use pipeline::{Header, Pipeline, Section};
pub use problem::{Path, Problem, Problems, Severity, quoted};
pub use schema::{Key, Schema, Type, duration, filled};
