//! The settings of a bucket. Each is put as a whole; one that is absent answers its own code.

use serde_json::{Value, json};

use super::buckets::default_encryption;
use super::rules;
use super::state::{bucket, bucket_mut, optional, shown_tags, tags, text};
use crate::world::{Cx, Outcome, World};

#[expect(clippy::unnecessary_wraps, reason = "an operation answers an outcome")]
fn done() -> Outcome {
    Ok(json!({}).into())
}

fn member(input: &Value, member: &str) -> Value {
    input.get(member).cloned().unwrap_or_else(|| json!({}))
}

pub(super) fn get_versioning(world: &World, input: &Value) -> Outcome {
    let mut out = json!({});
    if let Some(status) = &bucket(world, input)?.versioning {
        out["Status"] = json!(status);
    }
    Ok(out.into())
}

pub(super) fn put_versioning(world: &mut World, input: &Value) -> Outcome {
    let configuration = member(input, "VersioningConfiguration");
    let bucket = bucket_mut(world, input)?;
    bucket.versioning = Some(rules::versioning_has_a_status(optional(&configuration, "Status"))?);
    done()
}

pub(super) fn get_encryption(world: &World, input: &Value) -> Outcome {
    let encryption = &bucket(world, input)?.encryption;
    Ok(json!({ "ServerSideEncryptionConfiguration": encryption }).into())
}

pub(super) fn put_encryption(world: &mut World, input: &Value) -> Outcome {
    let mut encryption = member(input, "ServerSideEncryptionConfiguration");
    if let Some(rules) = encryption.get_mut("Rules").and_then(Value::as_array_mut) {
        for rule in rules {
            if rule.get("BucketKeyEnabled").is_none() {
                rule["BucketKeyEnabled"] = json!(false);
            }
        }
    }
    bucket_mut(world, input)?.encryption = encryption;
    done()
}

/// A bucket is never without encryption: deleting resets it (model documentation of `DeleteBucketEncryption`).
pub(super) fn delete_encryption(world: &mut World, input: &Value) -> Outcome {
    bucket_mut(world, input)?.encryption = default_encryption();
    done()
}

pub(super) fn get_public_access_block(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let block = bucket.public_access_block.as_ref().ok_or_else(|| {
        let message = "The public access block configuration was not found";
        rules::absent("NoSuchPublicAccessBlockConfiguration", message, &bucket.name)
    })?;
    Ok(json!({ "PublicAccessBlockConfiguration": block }).into())
}

pub(super) fn put_public_access_block(world: &mut World, input: &Value) -> Outcome {
    let given = member(input, "PublicAccessBlockConfiguration");
    let mut block = json!({});
    for name in
        ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
    {
        block[name] = json!(given.get(name).and_then(Value::as_bool).unwrap_or(false));
    }
    bucket_mut(world, input)?.public_access_block = Some(block);
    done()
}

pub(super) fn delete_public_access_block(world: &mut World, input: &Value) -> Outcome {
    bucket_mut(world, input)?.public_access_block = None;
    done()
}

pub(super) fn get_ownership_controls(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let ownership = bucket.ownership.as_ref().ok_or_else(|| {
        let message = "The bucket ownership controls were not found";
        rules::absent("OwnershipControlsNotFoundError", message, &bucket.name)
    })?;
    Ok(json!({ "OwnershipControls": { "Rules": [{ "ObjectOwnership": ownership }] } }).into())
}

pub(super) fn put_ownership_controls(world: &mut World, input: &Value) -> Outcome {
    let controls = member(input, "OwnershipControls");
    let rule = controls.get("Rules").and_then(|rules| rules.get(0));
    let ownership = rule.and_then(|rule| optional(rule, "ObjectOwnership"));
    let ownership = ownership.ok_or_else(rules::malformed_xml)?.to_owned();
    bucket_mut(world, input)?.ownership = Some(ownership);
    done()
}

pub(super) fn delete_ownership_controls(world: &mut World, input: &Value) -> Outcome {
    bucket_mut(world, input)?.ownership = None;
    done()
}

pub(super) fn get_tagging(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    if bucket.tags.is_empty() {
        return Err(rules::absent("NoSuchTagSet", "The TagSet does not exist", &bucket.name));
    }
    Ok(json!({ "TagSet": shown_tags(&bucket.tags) }).into())
}

pub(super) fn put_tagging(world: &mut World, input: &Value) -> Outcome {
    let tags = tags(member(input, "Tagging").get("TagSet"))?;
    rules::tags_are_few_enough(&tags, 50)?;
    bucket_mut(world, input)?.tags = tags;
    done()
}

pub(super) fn delete_tagging(world: &mut World, input: &Value) -> Outcome {
    bucket_mut(world, input)?.tags.clear();
    done()
}

pub(super) fn get_policy(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let policy = bucket.policy.as_ref().ok_or_else(|| {
        rules::absent("NoSuchBucketPolicy", "The bucket policy does not exist", &bucket.name)
    })?;
    Ok(json!({ "Policy": policy }).into())
}

pub(super) fn put_policy(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let policy = match optional(input, "Policy") {
        Some(policy) => policy.to_owned(),
        None => String::from_utf8_lossy(&cx.body).into_owned(),
    };
    let bucket = bucket_mut(world, input)?;
    let document = rules::policy_is_of_the_bucket(&policy, &bucket.name)?;
    rules::policy_is_not_public(bucket, &document)?;
    bucket.policy = Some(policy);
    done()
}

pub(super) fn delete_policy(world: &mut World, input: &Value) -> Outcome {
    bucket_mut(world, input)?.policy = None;
    done()
}

const SMALLEST_TRANSITION: &str = "TransitionDefaultMinimumObjectSize";

pub(super) fn get_lifecycle(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let (rules, smallest) = bucket.lifecycle.as_ref().ok_or_else(|| {
        let message = "The lifecycle configuration does not exist";
        rules::absent("NoSuchLifecycleConfiguration", message, &bucket.name)
    })?;
    let mut out = json!({ "Rules": rules });
    out[SMALLEST_TRANSITION] = json!(smallest);
    Ok(out.into())
}

/// The rules are kept and shown; nothing expires by them here.
pub(super) fn put_lifecycle(world: &mut World, input: &Value) -> Outcome {
    let mut rules =
        member(input, "LifecycleConfiguration").get("Rules").cloned().unwrap_or(json!([]));
    bucket(world, input)?;
    let label = format!("s3/bucket/{}/lifecycle", text(input, "Bucket"));
    for rule in rules.as_array_mut().into_iter().flatten() {
        if optional(rule, "ID").is_none_or(str::is_empty) {
            rule["ID"] = json!(world.uuid(&label));
        }
    }
    let smallest = optional(input, SMALLEST_TRANSITION).unwrap_or("all_storage_classes_128K");
    bucket_mut(world, input)?.lifecycle = Some((rules, smallest.to_owned()));
    let mut out = json!({});
    out[SMALLEST_TRANSITION] = json!(smallest);
    Ok(out.into())
}

pub(super) fn delete_lifecycle(world: &mut World, input: &Value) -> Outcome {
    bucket_mut(world, input)?.lifecycle = None;
    done()
}
