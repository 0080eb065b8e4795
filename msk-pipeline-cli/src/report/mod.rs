//! What commands and runs say: one stream of events, for people or as JSON lines.

pub(crate) mod cloud;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod plan;
pub(crate) mod words;
