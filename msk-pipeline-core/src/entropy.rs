//! Randomness is given: every choice draws from a seed by label, so that a run can be replayed (design decision D15).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// A source of identifiers.
#[derive(Debug)]
pub struct Entropy {
    seed: [u8; 32],
    drawn: Mutex<BTreeMap<String, u64>>,
}

impl Entropy {
    /// A source that repeats itself for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::from_bytes(Sha256::digest(seed.to_le_bytes()).into())
    }

    /// A source from random bytes, which the caller gets from the operating system.
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self { seed, drawn: Mutex::default() }
    }

    /// A fresh identifier of 32 hexadecimal digits for `label`.
    pub fn id(&self, label: &str) -> String {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let n = drawn.entry(label.to_owned()).or_default();
        *n += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(label.as_bytes());
        hash.update(n.to_le_bytes());
        hex(&hash.finalize()[..16])
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
