//! `s3://bucket/prefix`, as it stands in the file.

use std::fmt;
use std::str::FromStr;

/// A bucket and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    bucket: String,
    prefix: String,
}

impl S3Place {
    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The prefix with a `/` behind it; nothing if there is none.
    pub(crate) fn folder(&self) -> String {
        if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) }
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// Why a text names no place in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no place in S3: {why}")]
pub struct NoPlace {
    text: String,
    why: &'static str,
}

impl FromStr for S3Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let wrong = |why| NoPlace { text: text.to_owned(), why };
        let rest =
            text.strip_prefix("s3://").ok_or_else(|| wrong("it is written s3://bucket/prefix"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        // Page 'General purpose bucket naming rules' (S3 user guide): 3 to 63 of these, a letter or digit at both ends.
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends =
            bucket.bytes().next().is_some_and(plain) && bucket.bytes().last().is_some_and(plain);
        if !ends
            || !(3..=63).contains(&bucket.len())
            || !bucket.bytes().all(|b| plain(b) || matches!(b, b'-' | b'.'))
        {
            return Err(wrong("a bucket's name has 3 to 63 of a-z, 0-9, - and ."));
        }
        if prefix.split('/').any(|part| part.is_empty() && !prefix.is_empty()) {
            return Err(wrong("a part of the prefix is empty"));
        }
        if !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.=!*'()".contains(&b)) {
            return Err(wrong("a prefix has letters, digits and /-_.=!*'()"));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for (text, bucket, folder, shown) in [
            ("s3://acme-pipelines/orders", "acme-pipelines", "orders/", None),
            ("s3://acme/a/b/", "acme", "a/b/", Some("s3://acme/a/b")),
            ("s3://acme", "acme", "", None),
            ("s3://acme/", "acme", "", Some("s3://acme")),
        ] {
            let place: S3Place = text.parse().unwrap();
            assert_eq!((place.bucket(), place.folder().as_str()), (bucket, folder), "{text}");
            assert_eq!(place.to_string(), shown.unwrap_or(text));
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "acme/orders",
            "s3:acme",
            "s3://",
            "s3://ab",
            "s3://Acme",
            "s3://-acme/x",
            "s3://acme//x",
            "s3://acme/a?b",
        ] {
            assert!(text.parse::<S3Place>().is_err(), "{text}");
        }
    }
}
