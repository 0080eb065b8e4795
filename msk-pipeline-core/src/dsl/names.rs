//! Names: physical ones that fit every limit, and small ones that a handle can carry.

use std::fmt;

use sha2::{Digest, Sha256};

use super::problem::quoted;
use crate::entropy::hex;

/// Joins `parts` with hyphens to a name of at most `max` characters. What is too long is cut and gets a short hash of the whole, so
/// that different parts never give one name.
pub fn fit(parts: &[&str], max: usize) -> String {
    let whole = parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("-");
    if whole.len() <= max {
        return whole;
    }
    let hash = &hex(&Sha256::digest(whole.as_bytes()))[..8];
    let mut cut = max.saturating_sub(hash.len() + 1);
    while !whole.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{hash}", whole[..cut].trim_end_matches('-'))
}

/// A name of at most 24 characters, `[a-z][a-z0-9]*(-[a-z0-9]+)*`. Small enough for handles to be `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol {
    len: u8,
    bytes: [u8; Symbol::MAX],
}

impl Symbol {
    /// The longest.
    pub const MAX: usize = 24;

    /// `name` as a symbol, or what is wrong with it.
    pub fn new(name: &str) -> Result<Self, String> {
        let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.split('-').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
        if name.len() > Self::MAX {
            return Err(format!(
                "`{name}` has {} characters, at most {} fit",
                name.len(),
                Self::MAX
            ));
        }
        if !well_formed {
            return Err(format!(
                "{} must start with a lower-case letter and have only lower-case letters, digits and single hyphens",
                quoted(name)
            ));
        }
        let mut bytes = [0; Self::MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { len: u8::try_from(name.len()).unwrap_or_default(), bytes })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_different() {
        assert_eq!(fit(&["orders", "main", ""], 24), "orders-main");
        let long = "a".repeat(40);
        let (x, y) = (fit(&[&long, "x"], 24), fit(&[&long, "y"], 24));
        assert_eq!((x.len(), y.len()), (24, 24));
        assert_ne!(x, y);
        assert_eq!(fit(&["orders--------------", "b"], 16).find("--"), None);
    }

    #[test]
    fn symbols_have_one_form() {
        for good in ["a", "orders-cdc", "a1-b2", &"a".repeat(24)] {
            assert_eq!(Symbol::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "1a", "-a", "a-", "a--b", "a_b", "ä", &"a".repeat(25)] {
            assert!(Symbol::new(bad).is_err(), "{bad}");
        }
    }
}
