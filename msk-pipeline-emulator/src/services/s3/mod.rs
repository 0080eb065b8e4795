//! The embedded `s3`: buckets with their settings, objects with their versions, multipart uploads. Contents are kept by their
//! SHA-256 in the world's blobs, each once, as long as an object or a part refers to it.

use serde_json::Value;

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod buckets;
mod listing;
mod multipart;
mod objects;
pub(crate) mod rules;
mod settings;
mod state;

#[cfg(test)]
mod tests;

pub use state::State;
pub(crate) use state::object;

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "s3", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteBucketEncryption",
    "DeleteBucketLifecycle",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketTagging",
    "DeleteObject",
    "DeleteObjects",
    "DeletePublicAccessBlock",
    "GetBucketEncryption",
    "GetBucketLifecycleConfiguration",
    "GetBucketLocation",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetObject",
    "GetObjectTagging",
    "GetPublicAccessBlock",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjectsV2",
    "ListParts",
    "PutBucketEncryption",
    "PutBucketLifecycleConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutObject",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "UploadPart",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    match operation {
        "AbortMultipartUpload" => multipart::abort(world, input),
        "CompleteMultipartUpload" => multipart::complete(world, cx, input),
        "CreateBucket" => buckets::create_bucket(world, cx, input),
        "CreateMultipartUpload" => multipart::create(world, cx, input),
        "DeleteBucket" => buckets::delete_bucket(world, input),
        "DeleteBucketEncryption" => settings::delete_encryption(world, input),
        "DeleteBucketLifecycle" => settings::delete_lifecycle(world, input),
        "DeleteBucketOwnershipControls" => settings::delete_ownership_controls(world, input),
        "DeleteBucketPolicy" => settings::delete_policy(world, input),
        "DeleteBucketTagging" => settings::delete_tagging(world, input),
        "DeleteObject" => objects::delete_object(world, cx, input),
        "DeleteObjects" => objects::delete_objects(world, cx, input),
        "DeletePublicAccessBlock" => settings::delete_public_access_block(world, input),
        "GetBucketEncryption" => settings::get_encryption(world, input),
        "GetBucketLifecycleConfiguration" => settings::get_lifecycle(world, input),
        "GetBucketLocation" => buckets::get_bucket_location(world, input),
        "GetBucketOwnershipControls" => settings::get_ownership_controls(world, input),
        "GetBucketPolicy" => settings::get_policy(world, input),
        "GetBucketTagging" => settings::get_tagging(world, input),
        "GetBucketVersioning" => settings::get_versioning(world, input),
        "GetObject" => objects::get_object(world, input),
        "GetObjectTagging" => objects::get_object_tagging(world, input),
        "GetPublicAccessBlock" => settings::get_public_access_block(world, input),
        "HeadBucket" => buckets::head_bucket(world, input),
        "HeadObject" => objects::head_object(world, input),
        "ListBuckets" => buckets::list_buckets(world, input),
        "ListMultipartUploads" => multipart::list_uploads(world, input),
        "ListObjectVersions" => listing::list_object_versions(world, input),
        "ListObjectsV2" => listing::list_objects(world, input),
        "ListParts" => multipart::list_parts(world, input),
        "PutBucketEncryption" => settings::put_encryption(world, input),
        "PutBucketLifecycleConfiguration" => settings::put_lifecycle(world, input),
        "PutBucketOwnershipControls" => settings::put_ownership_controls(world, input),
        "PutBucketPolicy" => settings::put_policy(world, cx, input),
        "PutBucketTagging" => settings::put_tagging(world, input),
        "PutBucketVersioning" => settings::put_versioning(world, input),
        "PutObject" => objects::put_object(world, cx, input),
        "PutObjectTagging" => objects::put_object_tagging(world, input),
        "PutPublicAccessBlock" => settings::put_public_access_block(world, input),
        "UploadPart" => multipart::upload_part(world, cx, input),
        other => Err(AwsError::new(
            "NotImplemented",
            format!("{other} is not implemented by the embedded AWS"),
        )
        .status(501)),
    }
}

fn inventory(world: &World, _now: Millis) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    for bucket in world.state.s3.buckets.values() {
        let versions: usize = bucket.objects.values().map(Vec::len).sum();
        let state = match versions {
            0 => "empty".to_owned(),
            n => format!("{n} versions"),
        };
        out.push(("bucket".into(), bucket.name.clone(), state));
        for upload in bucket.uploads.values() {
            let name = format!("{}/{}", bucket.name, upload.key);
            out.push(("multipart upload".into(), name, format!("{} parts", upload.parts.len())));
        }
    }
    out
}
