//! The lists of a bucket: its objects, and all their versions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::objects::quoted;
use super::rules;
use super::state::{Version, bucket, optional, owner, seconds, text};
use crate::world::{AwsError, Outcome, World};

/// How a list is asked for and shown.
pub(super) struct Listing<'a> {
    input: &'a Value,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// How many entries a page has.
    pub(super) most: usize,
    encoded: bool,
}

impl<'a> Listing<'a> {
    /// Reads what all lists share; `size` is the member for the page size.
    pub(super) fn new(input: &'a Value, size: &str) -> Result<Self, AwsError> {
        let most = match input.get(size).and_then(Value::as_i64) {
            None => 1000,
            Some(most) => usize::try_from(most)
                .map_err(|_| {
                    rules::invalid_argument(
                        "Argument maxKeys must be an integer between 0 and 2147483647",
                    )
                })?
                .min(1000),
        };
        Ok(Self {
            input,
            prefix: text(input, "Prefix"),
            delimiter: optional(input, "Delimiter").filter(|delimiter| !delimiter.is_empty()),
            most,
            encoded: optional(input, "EncodingType") == Some("url"),
        })
    }

    /// Whether the key belongs to the list.
    pub(super) fn has(&self, key: &str) -> bool {
        key.starts_with(self.prefix)
    }

    /// The common prefix that stands for a key of the list, if one does.
    pub(super) fn folded<'k>(&self, key: &'k str) -> Option<&'k str> {
        let (delimiter, rest) = (self.delimiter?, key.strip_prefix(self.prefix)?);
        Some(&key[..self.prefix.len() + rest.find(delimiter)? + delimiter.len()])
    }

    /// A key as the answer shows it: encoded when that was asked for, because XML cannot hold every character.
    pub(super) fn key(&self, key: &str) -> Value {
        if self.encoded {
            let parts = key
                .split('/')
                .map(|part| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>());
            json!(parts.collect::<Vec<_>>().join("/"))
        } else {
            json!(key)
        }
    }

    /// The members that repeat the question.
    pub(super) fn repeat(&self, out: &mut Value, members: &[&str]) {
        for member in members {
            if let Some(value) = optional(self.input, member) {
                out[*member] = self.key(value);
            }
        }
        if self.encoded {
            out["EncodingType"] = json!("url");
        }
    }

    fn common(&self, prefixes: &[&str]) -> Value {
        prefixes.iter().map(|prefix| json!({ "Prefix": self.key(prefix) })).collect()
    }
}

pub(super) fn list_objects(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let listing = Listing::new(input, "MaxKeys")?;
    let token = optional(input, "ContinuationToken");
    let after = match token {
        Some(token) => {
            BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(
                || rules::invalid_argument("The continuation token provided is incorrect"),
            )?
        }
        None => text(input, "StartAfter").to_owned(),
    };
    let wants_owner = input.get("FetchOwner").and_then(Value::as_bool).unwrap_or(false);
    let (mut contents, mut prefixes): (Vec<Value>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut last, mut truncated) = ("", false);
    for (key, versions) in &bucket.objects {
        let Some(Version { content: Some(content), modified, .. }) = versions.last() else {
            continue;
        };
        if !listing.has(key) {
            continue;
        }
        let common = listing.folded(key);
        let shown = common.unwrap_or(key);
        let given = common.is_some() && prefixes.last() == common.as_ref();
        if given || shown <= after.as_str() || key.as_str() <= after.as_str() {
            continue;
        }
        if contents.len() + prefixes.len() == listing.most {
            truncated = listing.most > 0;
            break;
        }
        last = shown;
        if let Some(common) = common {
            prefixes.push(common);
            continue;
        }
        let class = content.headers.get("StorageClass").cloned().unwrap_or(json!("STANDARD"));
        let mut entry = json!({ "Key": listing.key(key), "LastModified": seconds(*modified),
            "ETag": quoted(&content.etag), "Size": content.size, "StorageClass": class });
        if wants_owner {
            entry["Owner"] = owner(world);
        }
        contents.push(entry);
    }
    let mut out = json!({ "Name": bucket.name, "Prefix": listing.key(text(input, "Prefix")),
        "MaxKeys": listing.most, "KeyCount": contents.len() + prefixes.len(), "IsTruncated": truncated });
    listing.repeat(&mut out, &["Delimiter", "StartAfter"]);
    if let Some(token) = token {
        out["ContinuationToken"] = json!(token);
    }
    if truncated {
        out["NextContinuationToken"] = json!(BASE64.encode(last));
    }
    if !contents.is_empty() {
        out["Contents"] = json!(contents);
    }
    if !prefixes.is_empty() {
        out["CommonPrefixes"] = listing.common(&prefixes);
    }
    Ok(out.into())
}

/// What is left of a key's versions, newest first, behind the version with the marker's id. If that is gone by now, all are.
fn behind<'a>(versions: &'a [Version], marker: Option<&str>) -> Vec<(bool, &'a Version)> {
    let all: Vec<(bool, &Version)> =
        versions.iter().rev().enumerate().map(|(n, version)| (n == 0, version)).collect();
    let at = marker.and_then(|id| all.iter().position(|(_, version)| version.id == id));
    all.into_iter().skip(at.map_or(0, |at| at + 1)).collect()
}

pub(super) fn list_object_versions(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let listing = Listing::new(input, "MaxKeys")?;
    let key_marker = optional(input, "KeyMarker").filter(|marker| !marker.is_empty());
    let id_marker = optional(input, "VersionIdMarker").filter(|marker| !marker.is_empty());
    if id_marker.is_some() && key_marker.is_none() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(rules::invalid_argument(message));
    }
    let (mut shown, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut last, mut truncated) = (("", None), false);
    'all: for (key, versions) in &bucket.objects {
        if !listing.has(key) {
            continue;
        }
        let common = listing.folded(key);
        let name = common.unwrap_or(key);
        let passed = key_marker.is_some_and(|marker| {
            name < marker
                || key.as_str() < marker
                || name == marker && (common.is_some() || id_marker.is_none())
        });
        if passed || common.is_some() && prefixes.last() == common.as_ref() {
            continue;
        }
        let entries = if common.is_some() {
            vec![(false, None)]
        } else {
            let marker = id_marker.filter(|_| key_marker == Some(key));
            behind(versions, marker).into_iter().map(|(latest, v)| (latest, Some(v))).collect()
        };
        for (latest, version) in entries {
            if shown.len() + markers.len() + prefixes.len() == listing.most {
                truncated = listing.most > 0;
                break 'all;
            }
            last = (name, version.map(|version| version.id.as_str()));
            let Some(version) = version else {
                prefixes.extend(common);
                continue;
            };
            let mut entry = json!({ "Key": listing.key(key), "VersionId": version.id,
                "IsLatest": latest, "LastModified": seconds(version.modified), "Owner": owner(world) });
            match &version.content {
                None => markers.push(entry),
                Some(content) => {
                    entry["ETag"] = quoted(&content.etag);
                    entry["Size"] = json!(content.size);
                    entry["StorageClass"] = json!("STANDARD");
                    shown.push(entry);
                }
            }
        }
    }
    let mut out = json!({ "Name": bucket.name, "Prefix": listing.key(text(input, "Prefix")),
        "KeyMarker": listing.key(text(input, "KeyMarker")), "VersionIdMarker": text(input, "VersionIdMarker"),
        "MaxKeys": listing.most, "IsTruncated": truncated });
    listing.repeat(&mut out, &["Delimiter"]);
    if truncated {
        out["NextKeyMarker"] = listing.key(last.0);
        if let Some(id) = last.1 {
            out["NextVersionIdMarker"] = json!(id);
        }
    }
    for (member, entries) in [("Versions", shown), ("DeleteMarkers", markers)] {
        if !entries.is_empty() {
            out[member] = json!(entries);
        }
    }
    if !prefixes.is_empty() {
        out["CommonPrefixes"] = listing.common(&prefixes);
    }
    Ok(out.into())
}
