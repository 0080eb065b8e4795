//! Dials for what goes wrong: throttling, server errors, resets, replies lost after the request took effect, slowness, late failures.

use serde::{Deserialize, Serialize};

/// The dials; the default has everything working.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {}
