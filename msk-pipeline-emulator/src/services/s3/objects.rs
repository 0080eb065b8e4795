//! The operations on single objects and their versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::buckets::without_body;
use super::rules;
use super::state::{
    Bucket, Content, Version, bucket, bucket_mut, drawn, etag_of, keep, optional, release, seconds,
    shown_tags, tags, text,
};
use crate::world::{AwsError, Cx, Outcome, Reply, World};

/// What an upload says of an object and every read repeats.
const REPEATED: &[&str] = &[
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
    "WebsiteRedirectLocation",
];

/// The checksums that a request may carry.
pub(super) const CHECKSUMS: &[&str] = &[
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumMD5",
    "ChecksumSHA1",
    "ChecksumSHA256",
    "ChecksumSHA512",
    "ChecksumXXHASH128",
    "ChecksumXXHASH3",
    "ChecksumXXHASH64",
];

/// What the request says of the object, with the bucket's encryption where it says none.
pub(super) fn headers(bucket: &Bucket, input: &Value) -> BTreeMap<String, Value> {
    let mut headers = BTreeMap::new();
    for member in REPEATED {
        if let Some(value) = input.get(*member).filter(|value| !value.is_null()) {
            headers.insert((*member).to_owned(), value.clone());
        }
    }
    // `aws-chunked` is how the request was sent, not what the object is.
    if optional(input, "ContentEncoding").is_some_and(|encoding| encoding.contains("aws-chunked")) {
        let rest = text(input, "ContentEncoding").split(',').map(str::trim);
        let rest: Vec<&str> = rest.filter(|encoding| *encoding != "aws-chunked").collect();
        headers.remove("ContentEncoding");
        if !rest.is_empty() {
            headers.insert("ContentEncoding".into(), json!(rest.join(",")));
        }
    }
    headers.entry("ContentType".into()).or_insert_with(|| json!("binary/octet-stream"));
    let default = &bucket.encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"];
    if !headers.contains_key("ServerSideEncryption") {
        let algorithm = optional(default, "SSEAlgorithm").unwrap_or("AES256");
        headers.insert("ServerSideEncryption".into(), json!(algorithm));
        if let Some(key) = optional(default, "KMSMasterKeyID") {
            headers.insert("SSEKMSKeyId".into(), json!(key));
        }
    }
    headers
}

/// The tags of the `x-amz-tagging` header.
pub(super) fn header_tags(input: &Value) -> Result<BTreeMap<String, String>, AwsError> {
    let pairs = form_urlencoded::parse(text(input, "Tagging").as_bytes());
    let list: Value = pairs.map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let tags = tags(Some(&list))?;
    rules::tags_are_few_enough(&tags, 10)?;
    Ok(tags)
}

/// The checksums that came with the bytes.
pub(super) fn checksums(input: &Value) -> BTreeMap<String, String> {
    let given = CHECKSUMS.iter().filter_map(|member| Some((*member, optional(input, member)?)));
    given.map(|(member, value)| (member.to_owned(), value.to_owned())).collect()
}

/// Makes a content the newest version of its key, and answers the id to show, if the bucket has versions at all.
pub(super) fn insert(
    world: &mut World,
    cx: &Cx,
    input: &Value,
    content: Option<Content>,
) -> Result<Option<String>, AwsError> {
    let key = text(input, "Key").to_owned();
    let keeps = bucket(world, input)?.keeps_versions();
    let label = format!("s3/version/{}/{key}", text(input, "Bucket"));
    let id = if keeps { drawn(world, &label, 32) } else { "null".to_owned() };
    let bucket = bucket_mut(world, input)?;
    let shown = bucket.versioning.is_some().then(|| id.clone());
    let versions = bucket.objects.entry(key).or_default();
    let mut dropped = Vec::new();
    if !keeps {
        // Without versioning there is one version, `null`, which the new one takes the place of.
        let old = versions.extract_if(.., |version| version.id == "null");
        dropped.extend(old.filter_map(|version| version.content).map(|content| content.sha256));
    }
    versions.push(Version { id, modified: cx.now, content });
    release(world, dropped);
    Ok(shown)
}

pub(super) fn quoted(etag: &str) -> Value {
    json!(format!("\"{etag}\""))
}

pub(super) fn put_object(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let key = text(input, "Key");
    let bucket = bucket(world, input)?;
    rules::key_is_short_enough(key)?;
    rules::object_acl_fits_ownership(bucket, optional(input, "ACL"))?;
    rules::conditions_are_known(input)?;
    rules::digests_match(input, &cx.body)?;
    let tags = header_tags(input)?;
    let headers = headers(bucket, input);
    rules::precondition_holds(bucket, key, input)?;
    rules::no_rival_is_in_flight(&mut world.state.s3, input)?;
    let content = Content {
        sha256: keep(world, &cx.body),
        etag: etag_of(&cx.body),
        size: cx.body.len() as u64,
        checksums: checksums(input),
        checksum_type: "FULL_OBJECT".into(),
        headers,
        tags,
    };
    let mut out = json!({ "ETag": quoted(&content.etag),
        "ServerSideEncryption": content.headers["ServerSideEncryption"] });
    show_checksums(&mut out, &content);
    if let Some(id) = insert(world, cx, input, Some(content))? {
        out["VersionId"] = json!(id);
    }
    Ok(out.into())
}

pub(super) fn show_checksums(out: &mut Value, content: &Content) {
    for (member, value) in &content.checksums {
        out[member] = json!(value);
        out["ChecksumType"] = json!(content.checksum_type);
    }
}

/// The version that a read asks for. A delete marker is no object: it hides the key, and cannot be read itself.
fn read<'a>(bucket: &'a Bucket, input: &Value) -> Result<(&'a Version, &'a Content), AwsError> {
    let key = text(input, "Key");
    let id = optional(input, "VersionId");
    let version = bucket.version(key, id).ok_or_else(|| match id {
        Some(id) => rules::no_such_version(key, id),
        None => rules::no_such_key(key),
    })?;
    match (&version.content, id) {
        (Some(content), _) => Ok((version, content)),
        (None, None) => Err(rules::no_such_key(key)),
        (None, Some(_)) => {
            let message = "The specified method is not allowed against this resource.";
            Err(AwsError::new("MethodNotAllowed", message).status(405))
        }
    }
}

/// What a read found: the members of the answer, where the bytes are, and which of them were asked for.
struct Found {
    value: Value,
    sha256: String,
    range: Option<(u64, u64)>,
}

/// What `GetObject` and `HeadObject` have in common.
fn shown(bucket: &Bucket, input: &Value) -> Result<Found, AwsError> {
    let (version, content) = read(bucket, input)?;
    rules::read_condition_holds(input, &content.etag)?;
    let range = match optional(input, "Range") {
        Some(header) => rules::range_is_satisfiable(header, content.size)?,
        None => None,
    };
    let mut out = json!({ "AcceptRanges": "bytes", "LastModified": seconds(version.modified),
        "ETag": quoted(&content.etag), "ContentLength": content.size });
    for (member, value) in &content.headers {
        // The usual class goes without saying.
        if !(member == "StorageClass" && value == "STANDARD") {
            out[member] = value.clone();
        }
    }
    if bucket.versioning.is_some() {
        out["VersionId"] = json!(version.id);
    }
    if !content.tags.is_empty() {
        out["TagCount"] = json!(content.tags.len());
    }
    for member in
        ["CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType"]
    {
        if let Some(value) = optional(input, &format!("Response{member}")) {
            out[member] = json!(value);
        }
    }
    match range {
        Some((first, end)) => {
            out["ContentLength"] = json!(end - first);
            out["ContentRange"] = json!(format!("bytes {first}-{}/{}", end - 1, content.size));
        }
        // A checksum is of the whole object: a part of it is sent without.
        None if optional(input, "ChecksumMode") == Some("ENABLED") => {
            show_checksums(&mut out, content);
        }
        None => {}
    }
    Ok(Found { value: out, sha256: content.sha256.clone(), range })
}

pub(super) fn get_object(world: &World, input: &Value) -> Outcome {
    let Found { value, sha256, range } = shown(bucket(world, input)?, input)?;
    let missing = || AwsError::new("InternalError", "the content is not in the store").status(500);
    let mut body = world.blobs.get(&sha256).ok_or_else(missing)?.clone();
    if let Some((first, end)) = range {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
        body = body.slice(place(first)..place(end));
    }
    Ok(Reply { value, body: Some(body) })
}

pub(super) fn head_object(world: &World, input: &Value) -> Outcome {
    let found = bucket(world, input).and_then(|bucket| shown(bucket, input));
    Ok(found.map_err(without_body)?.value.into())
}

pub(super) fn get_object_tagging(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let (version, content) = read(bucket, input)?;
    let mut out = json!({ "TagSet": shown_tags(&content.tags) });
    if bucket.versioning.is_some() {
        out["VersionId"] = json!(version.id);
    }
    Ok(out.into())
}

pub(super) fn put_object_tagging(world: &mut World, input: &Value) -> Outcome {
    let tags = tags(input.get("Tagging").and_then(|tagging| tagging.get("TagSet")))?;
    rules::tags_are_few_enough(&tags, 10)?;
    let bucket = bucket_mut(world, input)?;
    let id = read(bucket, input)?.0.id.clone();
    let versions = bucket.objects.get_mut(text(input, "Key")).into_iter().flatten();
    let content = versions.filter(|version| version.id == id).find_map(|v| v.content.as_mut());
    content.expect("it was just read").tags = tags;
    let out = if bucket.versioning.is_some() { json!({ "VersionId": id }) } else { json!({}) };
    Ok(out.into())
}

/// Deletes one version for good, or puts a delete marker on top. The answer says which.
fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let key = text(input, "Key");
    rules::precondition_holds(bucket(world, input)?, key, input)?;
    let mut out = json!({});
    if let Some(id) = optional(input, "VersionId") {
        let bucket = bucket_mut(world, input)?;
        out["VersionId"] = json!(id);
        let Some(versions) = bucket.objects.get_mut(key) else { return Ok(out.into()) };
        let mut dropped = Vec::new();
        for version in versions.extract_if(.., |version| version.id == id) {
            match version.content {
                Some(content) => dropped.push(content.sha256),
                None => out["DeleteMarker"] = json!(true),
            }
        }
        if versions.is_empty() {
            bucket.objects.remove(key);
        }
        release(world, dropped);
        return Ok(out.into());
    }
    if bucket(world, input)?.versioning.is_some() {
        if let Some(id) = insert(world, cx, input, None)? {
            out = json!({ "DeleteMarker": true, "VersionId": id });
        }
        return Ok(out.into());
    }
    let gone = bucket_mut(world, input)?.objects.remove(key).into_iter().flatten();
    let dropped: Vec<String> =
        gone.filter_map(|version| version.content).map(|content| content.sha256).collect();
    release(world, dropped);
    Ok(out.into())
}

pub(super) fn delete_object(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    bucket(world, input)?;
    delete(world, cx, input)
}

/// Deletes many; what fails is in the answer, which is a success nevertheless (handbook aws.md §6).
pub(super) fn delete_objects(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let delete_them = input.get("Delete").cloned().unwrap_or_default();
    let objects = delete_them.get("Objects").and_then(Value::as_array).cloned().unwrap_or_default();
    let quiet = delete_them.get("Quiet").and_then(Value::as_bool).unwrap_or(false);
    bucket(world, input)?;
    rules::at_most_a_thousand_keys(&objects)?;
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in objects {
        let mut one = json!({ "Bucket": input["Bucket"], "Key": object["Key"] });
        for (member, from) in [("VersionId", "VersionId"), ("IfMatch", "ETag")] {
            if let Some(value) = optional(&object, from) {
                one[member] = json!(value);
            }
        }
        let mut entry = json!({ "Key": object["Key"] });
        if let Some(id) = optional(&object, "VersionId") {
            entry["VersionId"] = json!(id);
        }
        match delete(world, cx, &one) {
            Ok(reply) => {
                if reply.value.get("DeleteMarker").is_some() {
                    entry["DeleteMarker"] = json!(true);
                    entry["DeleteMarkerVersionId"] = reply.value["VersionId"].clone();
                }
                deleted.push(entry);
            }
            Err(error) => {
                entry["Code"] = json!(error.code);
                entry["Message"] = json!(error.message);
                errors.push(entry);
            }
        }
    }
    let mut out = json!({});
    if !quiet && !deleted.is_empty() {
        out["Deleted"] = json!(deleted);
    }
    if !errors.is_empty() {
        out["Errors"] = json!(errors);
    }
    Ok(out.into())
}
