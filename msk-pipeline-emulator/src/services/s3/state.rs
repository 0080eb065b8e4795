//! What exists in S3: buckets, the versions of their objects, uploads in progress; and the contents behind them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::rules;
use crate::world::{AwsError, Millis, World};

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// A dial: names of buckets that other accounts have.
    pub taken: BTreeSet<String>,
    /// A dial: how many of the next conditional writes to `bucket/key` meet a rival in flight.
    pub rivals: BTreeMap<String, u32>,
    /// Buckets by name.
    pub(super) buckets: BTreeMap<String, Bucket>,
}

/// One bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) created_at: Millis,
    pub(super) tags: BTreeMap<String, String>,
    /// `Enabled` or `Suspended`, once it was set.
    pub(super) versioning: Option<String>,
    /// `ServerSideEncryptionConfiguration`.
    pub(super) encryption: Value,
    /// `PublicAccessBlockConfiguration`.
    pub(super) public_access_block: Option<Value>,
    /// `ObjectOwnership`.
    pub(super) ownership: Option<String>,
    pub(super) policy: Option<String>,
    /// The rules, and the smallest size of an object that moves to another class.
    pub(super) lifecycle: Option<(Value, String)>,
    /// The versions of each key, the newest last.
    pub(super) objects: BTreeMap<String, Vec<Version>>,
    pub(super) uploads: BTreeMap<String, Upload>,
}

/// One version of an object: a content, or a delete marker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Version {
    /// Drawn, or `null` for what was written without versioning.
    pub(super) id: String,
    pub(super) modified: Millis,
    pub(super) content: Option<Content>,
}

/// What a version or a part holds, apart from the bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) sha256: String,
    /// Without the quotes it is shown in.
    pub(super) etag: String,
    pub(super) size: u64,
    /// The checksums that came with the bytes, by member (`ChecksumCRC32`).
    pub(super) checksums: BTreeMap<String, String>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub(super) checksum_type: String,
    /// What the upload said of the object, by member (`ContentType`, `Metadata`, ...).
    pub(super) headers: BTreeMap<String, Value>,
    pub(super) tags: BTreeMap<String, String>,
}

/// One multipart upload in progress.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) initiated: Millis,
    pub(super) headers: BTreeMap<String, Value>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) checksum_algorithm: Option<String>,
    pub(super) checksum_type: Option<String>,
    pub(super) parts: BTreeMap<u64, Part>,
}

/// One part of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) sha256: String,
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) checksums: BTreeMap<String, String>,
    pub(super) modified: Millis,
}

impl Bucket {
    /// The version of a key that is asked for: the newest one unless an id is given.
    pub(super) fn version(&self, key: &str, id: Option<&str>) -> Option<&Version> {
        let versions = self.objects.get(key)?;
        match id {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        }
    }

    /// The content that a plain read of the key answers.
    pub(super) fn current(&self, key: &str) -> Option<&Content> {
        self.version(key, None)?.content.as_ref()
    }

    /// Whether the bucket keeps versions.
    pub(super) fn keeps_versions(&self) -> bool {
        self.versioning.as_deref() == Some("Enabled")
    }

    /// What contents the bucket refers to.
    fn refers_to(&self, sha256: &str) -> bool {
        let versions = self.objects.values().flatten();
        let mut contents = versions.filter_map(|version| version.content.as_ref());
        let mut parts = self.uploads.values().flat_map(|upload| upload.parts.values());
        contents.any(|content| content.sha256 == sha256) || parts.any(|p| p.sha256 == sha256)
    }
}

/// The text of a member, empty when it is left out.
pub(super) fn text<'a>(input: &'a Value, member: &str) -> &'a str {
    optional(input, member).unwrap_or_default()
}

/// The text of a member.
pub(super) fn optional<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

/// The tags of a list of `Key` and `Value`.
pub(super) fn tags(list: Option<&Value>) -> Result<BTreeMap<String, String>, AwsError> {
    let list: Vec<(String, String)> = list
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|tag| (text(tag, "Key").to_owned(), text(tag, "Value").to_owned()))
        .collect();
    rules::tags_are_distinct_and_ours(&list)?;
    Ok(list.into_iter().collect())
}

/// Tags as S3 answers them.
pub(super) fn shown_tags(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// The bucket that the request names.
pub(super) fn bucket<'a>(world: &'a World, input: &Value) -> Result<&'a Bucket, AwsError> {
    rules::bucket_is_ours(world, input)?;
    let name = text(input, "Bucket");
    world.state.s3.buckets.get(name).ok_or_else(|| rules::no_such_bucket(name))
}

/// The same, to be changed.
pub(super) fn bucket_mut<'a>(
    world: &'a mut World,
    input: &Value,
) -> Result<&'a mut Bucket, AwsError> {
    rules::bucket_is_ours(world, input)?;
    let name = text(input, "Bucket");
    world.state.s3.buckets.get_mut(name).ok_or_else(|| rules::no_such_bucket(name))
}

/// An id of `length` characters as S3 makes them.
pub(super) fn drawn(world: &mut World, label: &str, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    let mut letter = || {
        let place = world.draw(label) % 64;
        LETTERS[usize::try_from(place).expect("it is below 64")] as char
    };
    (0..length).map(|_| letter()).collect()
}

/// S3 knows times to the second.
pub(super) fn seconds(now: Millis) -> Millis {
    now / 1000 * 1000
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string cannot fail");
        out
    })
}

/// The MD5 of some bytes, raw.
pub(super) fn md5_of(bytes: &[u8]) -> Vec<u8> {
    Md5::digest(bytes).to_vec()
}

/// The MD5 of some bytes as in an `ETag`.
pub(super) fn etag_of(bytes: &[u8]) -> String {
    hex(&md5_of(bytes))
}

/// A checksum that is computed here, by its member, as S3 writes it.
pub(super) fn checksum_of(member: &str, bytes: &[u8]) -> Option<String> {
    match member {
        "ChecksumCRC32" => Some(BASE64.encode(crc32fast::hash(bytes).to_be_bytes())),
        "ChecksumSHA256" => Some(BASE64.encode(<Sha256 as sha2::Digest>::digest(bytes))),
        _ => None,
    }
}

/// The canonical id of the account that owns everything here.
pub(super) fn owner(world: &World) -> Value {
    let id = <Sha256 as sha2::Digest>::digest(world.settings.account.as_bytes());
    json!({ "ID": hex(&id) })
}

/// Keeps some bytes and answers their SHA-256.
pub(super) fn keep(world: &mut World, bytes: &bytes::Bytes) -> String {
    let sha256 = hex(&<Sha256 as sha2::Digest>::digest(bytes));
    // A copy of its own: a slice would hold on to the whole request.
    world.blobs.entry(sha256.clone()).or_insert_with(|| bytes::Bytes::copy_from_slice(bytes));
    sha256
}

/// Drops the bytes that nothing refers to any more.
pub(super) fn release(world: &mut World, dropped: impl IntoIterator<Item = String>) {
    for sha256 in dropped {
        if !world.state.s3.buckets.values().any(|bucket| bucket.refers_to(&sha256)) {
            world.blobs.remove(&sha256);
        }
    }
}

/// An object as other services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectView {
    /// Its version; `null` when the bucket kept none.
    pub(crate) version_id: String,
    /// Its `ETag`, without quotes.
    pub(crate) etag: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Where its content is in the world's blobs.
    pub(crate) sha256: String,
}

/// The object at `key`, or one version of it; nothing where a delete marker is.
pub(crate) fn object(
    world: &World,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Option<ObjectView> {
    let version = world.state.s3.buckets.get(bucket)?.version(key, version)?;
    let content = version.content.as_ref()?;
    Some(ObjectView {
        version_id: version.id.clone(),
        etag: content.etag.clone(),
        size: content.size,
        sha256: content.sha256.clone(),
    })
}
