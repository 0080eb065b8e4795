//! The operations on buckets as a whole.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::rules;
use super::state::{Bucket, bucket, bucket_mut, optional, owner, release, tags, text};
use crate::world::{AwsError, Cx, Outcome, World};

fn arn(world: &World, name: &str) -> String {
    format!("arn:{}:s3:::{name}", world.settings.partition)
}

/// The encryption of a bucket that was given no other.
pub(super) fn default_encryption() -> Value {
    json!({ "Rules": [{ "ApplyServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" },
        "BucketKeyEnabled": false }] })
}

/// A new bucket is encrypted, private, and its owner owns everything in it: so they are since April 2023 (AWS News Blog,
/// "Amazon S3 Security Changes Are Coming in April of 2023"; model documentation of `ObjectOwnership`).
pub(super) fn create_bucket(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "Bucket").to_owned();
    let region = world.settings.region.clone();
    let configuration = input.get("CreateBucketConfiguration");
    rules::bucket_name_is_valid(&name)?;
    let location =
        configuration.and_then(|configuration| optional(configuration, "LocationConstraint"));
    rules::location_fits_the_region(location, &region)?;
    let ownership = optional(input, "ObjectOwnership").unwrap_or("BucketOwnerEnforced");
    rules::bucket_acl_fits_ownership(optional(input, "ACL"), ownership)?;
    let tags = tags(configuration.and_then(|configuration| configuration.get("Tags")))?;
    rules::tags_are_few_enough(&tags, 50)?;
    let out = json!({ "Location": format!("/{name}"), "BucketArn": arn(world, &name) });
    if rules::bucket_name_is_free(&world.state.s3, &name, &region)? {
        return Ok(out.into());
    }
    let everything = json!({ "BlockPublicAcls": true, "IgnorePublicAcls": true,
        "BlockPublicPolicy": true, "RestrictPublicBuckets": true });
    let bucket = Bucket {
        created_at: cx.now,
        tags,
        versioning: None,
        encryption: default_encryption(),
        public_access_block: Some(everything),
        ownership: Some(ownership.into()),
        policy: None,
        lifecycle: None,
        objects: BTreeMap::new(),
        uploads: BTreeMap::new(),
        name: name.clone(),
    };
    world.state.s3.buckets.insert(name, bucket);
    Ok(out.into())
}

/// The answer to a HEAD request has no body: only its status tells.
pub(super) fn without_body(error: AwsError) -> AwsError {
    match error.status {
        Some(404) => AwsError::new("NotFound", "Not Found").status(404),
        Some(403) => AwsError::new("Forbidden", "Forbidden").status(403),
        _ => error,
    }
}

pub(super) fn head_bucket(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input).map_err(without_body)?;
    let out = json!({ "BucketArn": arn(world, &bucket.name),
        "BucketRegion": world.settings.region, "AccessPointAlias": false });
    Ok(out.into())
}

/// Uploads in progress do not hold a bucket back; they are gone with it.
pub(super) fn delete_bucket(world: &mut World, input: &Value) -> Outcome {
    let bucket = bucket_mut(world, input)?;
    rules::bucket_is_empty(bucket)?;
    let parts = bucket.uploads.values().flat_map(|upload| upload.parts.values());
    let dropped: Vec<String> = parts.map(|part| part.sha256.clone()).collect();
    world.state.s3.buckets.remove(text(input, "Bucket"));
    release(world, dropped);
    Ok(json!({}).into())
}

#[expect(clippy::unnecessary_wraps, reason = "an operation answers an outcome")]
pub(super) fn list_buckets(world: &World, input: &Value) -> Outcome {
    let region = &world.settings.region;
    let prefix = text(input, "Prefix");
    let after = optional(input, "ContinuationToken")
        .and_then(|token| BASE64.decode(token).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    let most = input.get("MaxBuckets").and_then(Value::as_u64).unwrap_or(10_000);
    let here = optional(input, "BucketRegion").is_none_or(|wanted| wanted == region);
    let mut names: Vec<&Bucket> = world
        .state
        .s3
        .buckets
        .values()
        .filter(|bucket| here && bucket.name.starts_with(prefix) && bucket.name > after)
        .collect();
    let more = names.len() as u64 > most;
    names.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let buckets: Vec<Value> = names
        .iter()
        .map(|bucket| {
            json!({ "Name": bucket.name, "CreationDate": bucket.created_at,
                "BucketRegion": region, "BucketArn": arn(world, &bucket.name) })
        })
        .collect();
    let mut out = json!({ "Buckets": buckets, "Owner": owner(world) });
    if let (true, Some(last)) = (more, names.last()) {
        out["ContinuationToken"] = json!(BASE64.encode(&last.name));
    }
    if !prefix.is_empty() {
        out["Prefix"] = json!(prefix);
    }
    Ok(out.into())
}

/// us-east-1 is the location without a name.
pub(super) fn get_bucket_location(world: &World, input: &Value) -> Outcome {
    bucket(world, input)?;
    let region = &world.settings.region;
    let out =
        if region == "us-east-1" { json!({}) } else { json!({ "LocationConstraint": region }) };
    Ok(out.into())
}
