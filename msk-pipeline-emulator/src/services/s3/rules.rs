//! What S3 refuses beyond the shapes of its model. Messages are those of the page "Error responses" (S3 API reference).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::state::{Bucket, Part, State, Upload, checksum_of, md5_of, optional, text};
use crate::services::iam::policy;
use crate::world::{AwsError, World};

/// The rules and where each comes from.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("bucket_name_is_valid", "page 'Bucket naming rules' (S3 user guide)"),
    ("bucket_name_is_free", "handbook aws.md §6; model errors of CreateBucket"),
    ("location_fits_the_region", "handbook aws.md §6"),
    ("bucket_is_ours", "handbook aws.md §12 (HeadBucket 403 = taken by others)"),
    ("bucket_is_empty", "handbook aws.md §6 (BucketNotEmpty)"),
    ("bucket_acl_fits_ownership", "model documentation of CreateBucket"),
    ("object_acl_fits_ownership", "model documentation of ObjectOwnership; handbook aws.md §6"),
    ("key_is_short_enough", "page 'Naming Amazon S3 objects' (1,024 bytes)"),
    ("conditions_are_known", "handbook aws.md §6 (both together: 501)"),
    ("precondition_holds", "handbook aws.md §6 (412, 404)"),
    ("no_rival_is_in_flight", "handbook aws.md §6 (409 ConditionalRequestConflict)"),
    ("digests_match", "handbook aws.md §2 (checksums); page 'Error responses'"),
    ("tags_are_distinct_and_ours", "page 'Error responses' (InvalidTag)"),
    ("tags_are_few_enough", "terraform-provider-aws issue 19895 (objects: 10); buckets: 50 (U)"),
    ("versioning_has_a_status", "page 'Error responses' (IllegalVersioningConfigurationException)"),
    (
        "policy_is_of_the_bucket",
        "model documentation of PutBucketPolicy; message 'Policy has invalid resource'",
    ),
    (
        "policy_is_not_public",
        "page 'Amazon S3 Security Changes Are Coming in April of 2023' (AWS News Blog)",
    ),
    ("at_most_a_thousand_keys", "model documentation of DeleteObjects"),
    ("part_number_is_in_range", "handbook aws.md §6 (at most 10,000 parts)"),
    ("upload_exists", "model documentation of CompleteMultipartUpload (NoSuchUpload)"),
    ("parts_are_in_order", "model documentation of CompleteMultipartUpload (InvalidPartOrder)"),
    ("parts_are_there", "model documentation of CompleteMultipartUpload (InvalidPart)"),
    (
        "parts_are_large_enough",
        "handbook aws.md §6; model documentation of CompleteMultipartUpload",
    ),
    ("range_is_satisfiable", "page 'Error responses' (InvalidRange)"),
];

fn error(code: &str, status: u16, message: impl Into<String>) -> AwsError {
    AwsError::new(code, message).status(status)
}

pub(super) fn invalid_argument(message: &str) -> AwsError {
    error("InvalidArgument", 400, message)
}

pub(super) fn malformed_xml() -> AwsError {
    let message =
        "The XML you provided was not well-formed or did not validate against our published schema";
    error("MalformedXML", 400, message)
}

pub(super) fn no_such_bucket(name: &str) -> AwsError {
    error("NoSuchBucket", 404, "The specified bucket does not exist").with("BucketName", name)
}

pub(super) fn no_such_key(key: &str) -> AwsError {
    error("NoSuchKey", 404, "The specified key does not exist.").with("Key", key)
}

pub(super) fn no_such_version(key: &str, id: &str) -> AwsError {
    error("NoSuchVersion", 404, "The specified version does not exist.")
        .with("Key", key)
        .with("VersionId", id)
}

/// A configuration that was never made, or deleted.
pub(super) fn absent(code: &str, message: &str, bucket: &str) -> AwsError {
    error(code, 404, message).with("BucketName", bucket)
}

fn access_denied() -> AwsError {
    error("AccessDenied", 403, "Access Denied")
}

/// 3 to 63 lower-case letters, digits, dots and hyphens, no reserved beginning or end, no IP address.
pub(super) fn bucket_name_is_valid(name: &str) -> Result<(), AwsError> {
    let alphanumeric =
        |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let reserved = ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|p| name.starts_with(p))
        || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|s| name.ends_with(s));
    let fine = (3..=63).contains(&name.len())
        && name.chars().all(|c| alphanumeric(Some(c)) || c == '.' || c == '-')
        && alphanumeric(name.chars().next())
        && alphanumeric(name.chars().last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !reserved;
    if fine {
        return Ok(());
    }
    Err(error("InvalidBucketName", 400, "The specified bucket is not valid.")
        .with("BucketName", name))
}

/// The name belongs to nobody else. `true` if it is ours already and the region lets that pass (handbook aws.md §6).
pub(super) fn bucket_name_is_free(
    state: &State,
    name: &str,
    region: &str,
) -> Result<bool, AwsError> {
    if state.taken.contains(name) {
        let message = "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
        return Err(error("BucketAlreadyExists", 409, message).with("BucketName", name));
    }
    if !state.buckets.contains_key(name) {
        return Ok(false);
    }
    if region == "us-east-1" {
        return Ok(true);
    }
    let message =
        "Your previous request to create the named bucket succeeded and you already own it.";
    Err(error("BucketAlreadyOwnedByYou", 409, message).with("BucketName", name))
}

/// In us-east-1 no location is named, elsewhere the region's own (handbook aws.md §6).
pub(super) fn location_fits_the_region(
    location: Option<&str>,
    region: &str,
) -> Result<(), AwsError> {
    match (location, region) {
        (None, "us-east-1") => Ok(()),
        (Some("us-east-1"), "us-east-1") => Err(error(
            "InvalidLocationConstraint",
            400,
            "The specified location-constraint is not valid",
        )),
        (Some(location), region) if location == region => Ok(()),
        (location, _) => Err(error(
            "IllegalLocationConstraintException",
            400,
            format!(
                "The {} location constraint is incompatible for the region specific endpoint this request was sent to.",
                location.unwrap_or("unspecified")
            ),
        )),
    }
}

/// A bucket of another account is forbidden ground, and so is one whose expected owner is another account.
pub(super) fn bucket_is_ours(world: &World, input: &Value) -> Result<(), AwsError> {
    let expected = optional(input, "ExpectedBucketOwner");
    if world.state.s3.taken.contains(text(input, "Bucket"))
        || expected.is_some_and(|owner| owner != world.settings.account)
    {
        return Err(access_denied());
    }
    Ok(())
}

/// A bucket is deleted only when no version and no delete marker is left (handbook aws.md §6).
pub(super) fn bucket_is_empty(bucket: &Bucket) -> Result<(), AwsError> {
    if bucket.objects.is_empty() {
        return Ok(());
    }
    let message = if bucket.versioning.is_some() {
        "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
    } else {
        "The bucket you tried to delete is not empty"
    };
    Err(error("BucketNotEmpty", 409, message).with("BucketName", bucket.name.as_str()))
}

/// A bucket whose owner owns everything has no ACL (model documentation of `CreateBucket`).
pub(super) fn bucket_acl_fits_ownership(
    acl: Option<&str>,
    ownership: &str,
) -> Result<(), AwsError> {
    if ownership == "BucketOwnerEnforced" && acl.is_some_and(|acl| acl != "private") {
        let message =
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(error("InvalidBucketAclWithObjectOwnership", 400, message));
    }
    Ok(())
}

/// ACLs of objects are accepted only when ownership lets objects have them (model documentation of `ObjectOwnership`).
pub(super) fn object_acl_fits_ownership(
    bucket: &Bucket,
    acl: Option<&str>,
) -> Result<(), AwsError> {
    let harmless = acl.is_none_or(|acl| acl == "bucket-owner-full-control");
    if bucket.ownership.as_deref() == Some("BucketOwnerEnforced") && !harmless {
        return Err(error("AccessControlListNotSupported", 400, "The bucket does not allow ACLs"));
    }
    Ok(())
}

/// A key has at most 1,024 bytes.
pub(super) fn key_is_short_enough(key: &str) -> Result<(), AwsError> {
    if key.len() > 1024 {
        return Err(error("KeyTooLongError", 400, "Your key is too long"));
    }
    Ok(())
}

/// A write is conditional on absence (`If-None-Match: *`) or on an `ETag`, not on both (handbook aws.md §6).
pub(super) fn conditions_are_known(input: &Value) -> Result<(), AwsError> {
    let (none_match, matching) = (optional(input, "IfNoneMatch"), optional(input, "IfMatch"));
    if none_match.is_some_and(|value| value != "*") || (none_match.is_some() && matching.is_some())
    {
        let message = "A header you provided implies functionality that is not implemented";
        return Err(error("NotImplemented", 501, message));
    }
    Ok(())
}

fn precondition_failed(condition: &str) -> AwsError {
    let message = "At least one of the pre-conditions you specified did not hold";
    error("PreconditionFailed", 412, message).with("Condition", condition)
}

/// Whether an `ETag` as a header gives it is this one.
pub(super) fn same_etag(header: &str, etag: &str) -> bool {
    header.trim_matches('"') == etag
}

/// A conditional write or delete finds what it expects (handbook aws.md §6): 412 if the key exists or has another `ETag`, 404
/// if the object with the `ETag` is gone.
pub(super) fn precondition_holds(
    bucket: &Bucket,
    key: &str,
    input: &Value,
) -> Result<(), AwsError> {
    let current = bucket.current(key);
    if optional(input, "IfNoneMatch").is_some() && current.is_some() {
        return Err(precondition_failed("If-None-Match"));
    }
    match (optional(input, "IfMatch"), current) {
        (Some(_), None) => Err(no_such_key(key)),
        (Some(wanted), Some(content)) if wanted != "*" && !same_etag(wanted, &content.etag) => {
            Err(precondition_failed("If-Match"))
        }
        _ => Ok(()),
    }
}

/// A conditional write that meets another write to the same key in flight is to be repeated (handbook aws.md §6). Here no two
/// requests overlap: the dial `rivals` says how often it happens.
pub(super) fn no_rival_is_in_flight(state: &mut State, input: &Value) -> Result<(), AwsError> {
    if optional(input, "IfNoneMatch").is_none() && optional(input, "IfMatch").is_none() {
        return Ok(());
    }
    let key = format!("{}/{}", text(input, "Bucket"), text(input, "Key"));
    let Some(left) = state.rivals.get_mut(&key).filter(|left| **left > 0) else { return Ok(()) };
    *left -= 1;
    let message = "The conditional request cannot succeed due to a conflicting operation against this resource.";
    Err(error("ConditionalRequestConflict", 409, message).with("Key", text(input, "Key")))
}

/// The digests that came with some bytes are theirs (handbook aws.md §2). The ones that are computed here are MD5, CRC32 and
/// SHA-256; others are kept as given.
pub(super) fn digests_match(input: &Value, body: &[u8]) -> Result<(), AwsError> {
    if let Some(md5) = optional(input, "ContentMD5") {
        match BASE64.decode(md5) {
            Ok(bytes) if bytes.len() == 16 && bytes != md5_of(body) => {
                let message = "The Content-MD5 you specified did not match what we received.";
                return Err(error("BadDigest", 400, message));
            }
            Ok(bytes) if bytes.len() == 16 => {}
            _ => {
                let message = "The Content-MD5 you specified is not valid.";
                return Err(error("InvalidDigest", 400, message));
            }
        }
    }
    for member in ["ChecksumCRC32", "ChecksumSHA256"] {
        if let Some(given) = optional(input, member)
            && checksum_of(member, body).as_deref() != Some(given)
        {
            let name = member.trim_start_matches("Checksum");
            let message =
                format!("The {name} you specified did not match the calculated checksum.");
            return Err(error("BadDigest", 400, message));
        }
    }
    Ok(())
}

/// A tag key is given once and is not one of AWS's.
pub(super) fn tags_are_distinct_and_ours(tags: &[(String, String)]) -> Result<(), AwsError> {
    for (n, (key, _)) in tags.iter().enumerate() {
        if tags[..n].iter().any(|(other, _)| other == key) {
            return Err(error("InvalidTag", 400, "Cannot provide multiple Tags with the same key"));
        }
        if key.starts_with("aws:") {
            let message = "System tags cannot be added/updated by requester";
            return Err(error("InvalidTag", 400, message));
        }
    }
    Ok(())
}

/// An object has at most 10 tags, a bucket 50.
pub(super) fn tags_are_few_enough(
    tags: &BTreeMap<String, String>,
    limit: usize,
) -> Result<(), AwsError> {
    if tags.len() > limit {
        let what = if limit == 10 { "Object tags" } else { "Bucket tag count" };
        return Err(error("BadRequest", 400, format!("{what} cannot be greater than {limit}")));
    }
    Ok(())
}

/// Versioning is enabled or suspended; it is never unset again.
pub(super) fn versioning_has_a_status(status: Option<&str>) -> Result<String, AwsError> {
    status.map(str::to_owned).ok_or_else(|| {
        let message = "The Versioning element must be specified";
        error("IllegalVersioningConfigurationException", 400, message)
    })
}

/// A bucket policy is JSON, says who, what and where, and speaks of its own bucket alone.
pub(super) fn policy_is_of_the_bucket(text: &str, bucket: &str) -> Result<Value, AwsError> {
    let malformed = |message: &str| Err(error("MalformedPolicy", 400, message));
    if !text.trim_start().starts_with('{') {
        return malformed("Policies must be valid JSON and the first byte must be '{'");
    }
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return malformed("This policy contains invalid Json");
    };
    if policy::statements(&document).is_empty() {
        return malformed("Missing required field Statement");
    }
    for statement in policy::statements(&document) {
        if !matches!(optional(statement, "Effect"), Some("Allow" | "Deny")) {
            return malformed("Invalid effect");
        }
        let one_of = |a: &str, b: &str| statement.get(a).is_some() || statement.get(b).is_some();
        for (member, negated) in
            [("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource")]
        {
            if !one_of(member, negated) {
                return malformed(&format!("Missing required field {member}"));
            }
        }
        let mut resources = policy::strings(statement.get("Resource"));
        resources.extend(policy::strings(statement.get("NotResource")));
        let own = |resource: &&str| {
            let path = resource.split(":::").nth(1).unwrap_or_default();
            let name = path.split('/').next().unwrap_or_default();
            **resource == *"*" || policy::matches(name, bucket)
        };
        if !resources.iter().all(own) {
            return malformed("Policy has invalid resource");
        }
    }
    Ok(document)
}

/// While the bucket blocks public policies, none is accepted that lets everybody in without a condition.
pub(super) fn policy_is_not_public(bucket: &Bucket, document: &Value) -> Result<(), AwsError> {
    let blocks = bucket
        .public_access_block
        .as_ref()
        .and_then(|block| block.get("BlockPublicPolicy"))
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let public = |statement: &&Value| {
        let principal = statement.get("Principal");
        let everybody = principal.and_then(Value::as_str) == Some("*")
            || policy::strings(principal.and_then(|p| p.get("AWS"))).contains(&"*");
        everybody
            && optional(statement, "Effect") == Some("Allow")
            && statement.get("Condition").is_none()
    };
    if blocks && policy::statements(document).iter().any(public) {
        return Err(access_denied());
    }
    Ok(())
}

/// One request deletes at most 1,000 keys (model documentation of `DeleteObjects`).
pub(super) fn at_most_a_thousand_keys(objects: &[Value]) -> Result<(), AwsError> {
    if objects.is_empty() || objects.len() > 1000 {
        return Err(malformed_xml());
    }
    Ok(())
}

/// Parts are numbered from 1 to 10,000 (handbook aws.md §6).
pub(super) fn part_number_is_in_range(number: u64) -> Result<(), AwsError> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(invalid_argument("Part number must be an integer between 1 and 10000, inclusive"))
}

/// The upload was begun, for this key, and neither completed nor aborted.
pub(super) fn upload_exists<'a>(bucket: &'a Bucket, input: &Value) -> Result<&'a Upload, AwsError> {
    let id = text(input, "UploadId");
    let found = bucket.uploads.get(id).filter(|upload| upload.key == text(input, "Key"));
    found.ok_or_else(|| {
        let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
        error("NoSuchUpload", 404, message).with("UploadId", id)
    })
}

/// Parts are listed in ascending order (model documentation of `CompleteMultipartUpload`).
pub(super) fn parts_are_in_order(numbers: &[u64]) -> Result<(), AwsError> {
    if numbers.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(());
    }
    let message = "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
    Err(error("InvalidPartOrder", 400, message))
}

/// Each listed part was uploaded with that `ETag` and checksum (model documentation of `CompleteMultipartUpload`).
pub(super) fn parts_are_there<'a>(
    upload: &'a Upload,
    listed: &[(u64, &Value)],
) -> Result<Vec<&'a Part>, AwsError> {
    let find = |(number, wanted): &(u64, &Value)| {
        let part = upload.parts.get(number)?;
        let etag = optional(wanted, "ETag").is_some_and(|etag| same_etag(etag, &part.etag));
        let mut checksums = part.checksums.iter();
        let agrees = checksums
            .all(|(member, value)| optional(wanted, member).is_none_or(|given| given == value));
        (etag && agrees).then_some(part)
    };
    let found: Option<Vec<&Part>> = listed.iter().map(find).collect();
    found.ok_or_else(|| {
        let message = "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
        error("InvalidPart", 400, message)
    })
}

/// Every part but the last has at least 5 MiB (handbook aws.md §6).
pub(super) fn parts_are_large_enough(parts: &[&Part]) -> Result<(), AwsError> {
    let all_but_last = &parts[..parts.len().saturating_sub(1)];
    if all_but_last.iter().all(|part| part.size >= 5 * 1024 * 1024) {
        return Ok(());
    }
    let message = "Your proposed upload is smaller than the minimum allowed size";
    Err(error("EntityTooSmall", 400, message))
}

/// What a `Range` header asks for, as first byte and one past the last; nothing for a header that is no single byte range.
pub(super) fn range_is_satisfiable(
    header: &str,
    size: u64,
) -> Result<Option<(u64, u64)>, AwsError> {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, size.min(last.saturating_add(1))),
        (Some(first), None) if last.is_empty() => (first, size),
        (None, Some(length)) if first.is_empty() => (size - length.min(size), size),
        _ => return Ok(None),
    };
    if range.0 >= range.1 {
        return Err(error("InvalidRange", 416, "The requested range is not satisfiable")
            .with("RangeRequested", header)
            .with("ActualObjectSize", size.to_string()));
    }
    Ok(Some(range))
}

/// What a conditional read finds: 412 or 304 instead of the object.
pub(super) fn read_condition_holds(input: &Value, etag: &str) -> Result<(), AwsError> {
    if optional(input, "IfMatch").is_some_and(|wanted| wanted != "*" && !same_etag(wanted, etag)) {
        return Err(precondition_failed("If-Match"));
    }
    if optional(input, "IfNoneMatch").is_some_and(|seen| seen == "*" || same_etag(seen, etag)) {
        return Err(error("NotModified", 304, "Not Modified"));
    }
    Ok(())
}
