use serde_json::{Value, json};

use super::{NOW, SERVICE, call, ok, put, refused, versioned, with_bucket, world};
use crate::world::{Settings, World};

#[test]
fn a_bucket_is_born_private_encrypted_and_owned() {
    let mut w = world();
    let tags = json!([{ "Key": "team", "Value": "data" }]);
    let made = ok(&mut w, "CreateBucket", json!({ "CreateBucketConfiguration": { "Tags": tags } }));
    assert_eq!(made["Location"], "/plugins");
    assert_eq!(ok(&mut w, "GetBucketTagging", json!({}))["TagSet"], tags);
    assert_eq!(ok(&mut w, "GetBucketVersioning", json!({})), json!({}));
    assert_eq!(ok(&mut w, "GetBucketLocation", json!({})), json!({}));
    let encryption = ok(&mut w, "GetBucketEncryption", json!({}));
    assert_eq!(
        encryption["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"],
        json!({ "SSEAlgorithm": "AES256" })
    );
    let block = ok(&mut w, "GetPublicAccessBlock", json!({}));
    let block = block["PublicAccessBlockConfiguration"].as_object().expect("a block");
    assert!(block.len() == 4 && block.values().all(|on| on == true));
    let controls = ok(&mut w, "GetBucketOwnershipControls", json!({}));
    assert_eq!(controls["OwnershipControls"]["Rules"][0]["ObjectOwnership"], "BucketOwnerEnforced");
    assert_eq!(ok(&mut w, "HeadBucket", json!({}))["BucketRegion"], "us-east-1");
    let list = ok(&mut w, "ListBuckets", json!({}));
    assert_eq!(
        (&list["Buckets"][0]["Name"], &list["Buckets"][0]["CreationDate"]),
        (&json!("plugins"), &json!(NOW))
    );
    assert_eq!((SERVICE.inventory)(&w, NOW), [("bucket".into(), "plugins".into(), "empty".into())]);
}

#[test]
fn absent_settings_answer_their_own_codes() {
    let mut w = with_bucket();
    refused(call(&mut w, "GetBucketTagging", json!({})), "NoSuchTagSet", 404);
    refused(call(&mut w, "GetBucketPolicy", json!({})), "NoSuchBucketPolicy", 404);
    refused(
        call(&mut w, "GetBucketLifecycleConfiguration", json!({})),
        "NoSuchLifecycleConfiguration",
        404,
    );
    ok(&mut w, "DeletePublicAccessBlock", json!({}));
    refused(
        call(&mut w, "GetPublicAccessBlock", json!({})),
        "NoSuchPublicAccessBlockConfiguration",
        404,
    );
    ok(&mut w, "DeleteBucketOwnershipControls", json!({}));
    refused(
        call(&mut w, "GetBucketOwnershipControls", json!({})),
        "OwnershipControlsNotFoundError",
        404,
    );
    refused(call(&mut w, "GetBucketTagging", json!({ "Bucket": "other" })), "NoSuchBucket", 404);
    refused(call(&mut w, "HeadBucket", json!({ "Bucket": "other" })), "NotFound", 404);
}

#[test]
fn settings_are_put_and_read_back() {
    let mut w = with_bucket();
    let kms = json!({ "Rules": [{ "ApplyServerSideEncryptionByDefault": { "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k" } }] });
    ok(&mut w, "PutBucketEncryption", json!({ "ServerSideEncryptionConfiguration": kms }));
    let stored = put(&mut w, "a", b"a");
    assert_eq!(stored["ServerSideEncryption"], "aws:kms");
    ok(&mut w, "DeleteBucketEncryption", json!({}));
    assert_eq!(put(&mut w, "a", b"a")["ServerSideEncryption"], "AES256");
    ok(
        &mut w,
        "PutPublicAccessBlock",
        json!({ "PublicAccessBlockConfiguration": { "BlockPublicAcls": true } }),
    );
    let block = ok(&mut w, "GetPublicAccessBlock", json!({}));
    assert_eq!(block["PublicAccessBlockConfiguration"]["BlockPublicPolicy"], false);
    let controls = json!({ "Rules": [{ "ObjectOwnership": "ObjectWriter" }] });
    ok(&mut w, "PutBucketOwnershipControls", json!({ "OwnershipControls": controls }));
    assert_eq!(ok(&mut w, "GetBucketOwnershipControls", json!({}))["OwnershipControls"], controls);
    ok(
        &mut w,
        "PutBucketTagging",
        json!({ "Tagging": { "TagSet": [{ "Key": "a", "Value": "b" }] } }),
    );
    ok(&mut w, "DeleteBucketTagging", json!({}));
    refused(call(&mut w, "GetBucketTagging", json!({})), "NoSuchTagSet", 404);
    let rules = json!([{ "Status": "Enabled", "Filter": { "Prefix": "" }, "NoncurrentVersionExpiration": { "NoncurrentDays": 30 } }]);
    ok(
        &mut w,
        "PutBucketLifecycleConfiguration",
        json!({ "LifecycleConfiguration": { "Rules": rules } }),
    );
    let lifecycle = ok(&mut w, "GetBucketLifecycleConfiguration", json!({}));
    assert_eq!(lifecycle["Rules"][0]["ID"].as_str().map(str::len), Some(36));
    assert_eq!(lifecycle["TransitionDefaultMinimumObjectSize"], "all_storage_classes_128K");
    ok(&mut w, "DeleteBucketLifecycle", json!({}));
    let policy =
        policy(&json!({ "Service": "delivery.logs.amazonaws.com" }), "arn:aws:s3:::plugins/logs/*");
    ok(&mut w, "PutBucketPolicy", json!({ "Policy": policy }));
    assert_eq!(ok(&mut w, "GetBucketPolicy", json!({}))["Policy"], json!(policy));
    ok(&mut w, "DeleteBucketPolicy", json!({}));
    refused(call(&mut w, "GetBucketPolicy", json!({})), "NoSuchBucketPolicy", 404);
}

fn policy(principal: &Value, resource: &str) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": principal,
        "Action": "s3:PutObject", "Resource": resource }] })
    .to_string()
}

#[test]
fn lists_of_buckets_are_paged() {
    let mut w = world();
    for name in ["bucket-a", "bucket-b", "other-c"] {
        ok(&mut w, "CreateBucket", json!({ "Bucket": name }));
    }
    let first = ok(&mut w, "ListBuckets", json!({ "MaxBuckets": 2 }));
    let next =
        ok(&mut w, "ListBuckets", json!({ "ContinuationToken": first["ContinuationToken"] }));
    assert_eq!(next["Buckets"][0]["Name"], "other-c");
    let prefixed = ok(&mut w, "ListBuckets", json!({ "Prefix": "bucket-" }));
    assert_eq!(prefixed["Buckets"].as_array().map(Vec::len), Some(2));
}

#[test]
fn bucket_name_is_valid() {
    for name in [
        "ab",
        "Upper",
        "under_score",
        "-a-b",
        "a..b",
        "192.168.5.4",
        "xn--a",
        "a-s3alias",
        &"a".repeat(64),
    ] {
        refused(
            call(&mut world(), "CreateBucket", json!({ "Bucket": name })),
            "InvalidBucketName",
            400,
        );
    }
}

#[test]
fn bucket_name_is_free() {
    let mut w = with_bucket();
    put(&mut w, "a", b"a");
    ok(&mut w, "CreateBucket", json!({}));
    assert!(ok(&mut w, "ListObjectsV2", json!({}))["KeyCount"] == 1);
    w.state.s3.taken.insert("theirs".into());
    refused(
        call(&mut w, "CreateBucket", json!({ "Bucket": "theirs" })),
        "BucketAlreadyExists",
        409,
    );
    w.settings.region = "eu-west-1".into();
    let input = json!({ "CreateBucketConfiguration": { "LocationConstraint": "eu-west-1" } });
    refused(call(&mut w, "CreateBucket", input), "BucketAlreadyOwnedByYou", 409);
}

#[test]
fn location_fits_the_region() {
    let constraint =
        |region: &str| json!({ "CreateBucketConfiguration": { "LocationConstraint": region } });
    refused(
        call(&mut world(), "CreateBucket", constraint("us-east-1")),
        "InvalidLocationConstraint",
        400,
    );
    refused(
        call(&mut world(), "CreateBucket", constraint("eu-west-1")),
        "IllegalLocationConstraintException",
        400,
    );
    let settings = Settings { region: "eu-west-1".into(), ..Settings::default() };
    let mut w = World { settings, ..World::default() };
    refused(call(&mut w, "CreateBucket", json!({})), "IllegalLocationConstraintException", 400);
    ok(&mut w, "CreateBucket", constraint("eu-west-1"));
    assert_eq!(ok(&mut w, "GetBucketLocation", json!({}))["LocationConstraint"], "eu-west-1");
}

#[test]
fn bucket_is_ours() {
    let mut w = with_bucket();
    w.state.s3.taken.insert("theirs".into());
    refused(call(&mut w, "HeadBucket", json!({ "Bucket": "theirs" })), "Forbidden", 403);
    refused(call(&mut w, "GetBucketTagging", json!({ "Bucket": "theirs" })), "AccessDenied", 403);
    refused(
        call(&mut w, "DeleteBucket", json!({ "ExpectedBucketOwner": "222222222222" })),
        "AccessDenied",
        403,
    );
    ok(&mut w, "DeleteBucket", json!({ "ExpectedBucketOwner": "111111111111" }));
}

#[test]
fn bucket_is_empty() {
    let mut w = versioned();
    put(&mut w, "a", b"a");
    ok(&mut w, "DeleteObject", json!({ "Key": "a" }));
    refused(call(&mut w, "DeleteBucket", json!({})), "BucketNotEmpty", 409);
    let list = ok(&mut w, "ListObjectVersions", json!({}));
    for entry in ["Versions", "DeleteMarkers"].map(|member| list[member][0].clone()) {
        ok(&mut w, "DeleteObject", json!({ "Key": "a", "VersionId": entry["VersionId"] }));
    }
    assert!(w.blobs.is_empty());
    ok(&mut w, "DeleteBucket", json!({}));
    refused(call(&mut w, "DeleteBucket", json!({})), "NoSuchBucket", 404);
}

#[test]
fn bucket_acl_fits_ownership() {
    let acl = json!({ "ACL": "public-read" });
    refused(call(&mut world(), "CreateBucket", acl), "InvalidBucketAclWithObjectOwnership", 400);
    ok(
        &mut world(),
        "CreateBucket",
        json!({ "ACL": "public-read", "ObjectOwnership": "ObjectWriter" }),
    );
}

#[test]
fn versioning_has_a_status() {
    let input = json!({ "VersioningConfiguration": {} });
    refused(
        call(&mut with_bucket(), "PutBucketVersioning", input),
        "IllegalVersioningConfigurationException",
        400,
    );
}

#[test]
fn policy_is_of_the_bucket() {
    let mut w = with_bucket();
    for text in [
        "[]".to_owned(),
        "{".to_owned(),
        r#"{"Version":"2012-10-17"}"#.to_owned(),
        policy(&json!({ "Service": "delivery.logs.amazonaws.com" }), "arn:aws:s3:::other/*"),
        r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#.to_owned(),
    ] {
        refused(call(&mut w, "PutBucketPolicy", json!({ "Policy": text })), "MalformedPolicy", 400);
    }
}

#[test]
fn policy_is_not_public() {
    let mut w = with_bucket();
    let open = json!({ "Policy": policy(&json!("*"), "arn:aws:s3:::plugins/*") });
    refused(call(&mut w, "PutBucketPolicy", open.clone()), "AccessDenied", 403);
    ok(&mut w, "DeletePublicAccessBlock", json!({}));
    ok(&mut w, "PutBucketPolicy", open);
}

#[test]
fn tags_are_distinct_and_ours() {
    let mut w = with_bucket();
    let twice = json!({ "Tagging": { "TagSet": [{ "Key": "a", "Value": "1" }, { "Key": "a", "Value": "2" }] } });
    refused(call(&mut w, "PutBucketTagging", twice), "InvalidTag", 400);
    let system = json!({ "Tagging": { "TagSet": [{ "Key": "aws:a", "Value": "1" }] } });
    refused(call(&mut w, "PutBucketTagging", system), "InvalidTag", 400);
}
