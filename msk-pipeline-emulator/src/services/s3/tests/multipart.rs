use serde_json::{Value, json};

use super::{SERVICE, call, ok, put, refused, send, versioned, with_bucket};
use crate::world::{Outcome, World};

const MIB5: usize = 5 * 1024 * 1024;

fn begin(world: &mut World, input: Value) -> Value {
    let mut input = input;
    input["Key"] = json!("big.zip");
    ok(world, "CreateMultipartUpload", input)["UploadId"].clone()
}

fn part(world: &mut World, id: &Value, number: u64, body: &[u8]) -> Outcome {
    let crc = super::super::state::checksum_of("ChecksumCRC32", body);
    let input = json!({ "Bucket": "plugins", "Key": "big.zip", "UploadId": id, "PartNumber": number, "ChecksumCRC32": crc });
    send(world, "UploadPart", input, body)
}

fn listed(world: &mut World, id: &Value, bodies: &[(u64, &[u8])]) -> Vec<Value> {
    let one = |(number, body): &(u64, &[u8])| {
        let out = part(world, id, *number, body).expect("stored").value;
        json!({ "PartNumber": number, "ETag": out["ETag"], "ChecksumCRC32": out["ChecksumCRC32"] })
    };
    bodies.iter().map(one).collect()
}

fn complete(world: &mut World, id: &Value, parts: &[Value], mut input: Value) -> Outcome {
    input["Key"] = json!("big.zip");
    input["UploadId"] = id.clone();
    input["MultipartUpload"] = json!({ "Parts": parts });
    call(world, "CompleteMultipartUpload", input)
}

#[test]
fn parts_become_one_object() {
    let mut w = versioned();
    let id = begin(
        &mut w,
        json!({ "ChecksumAlgorithm": "CRC32", "ContentType": "application/zip", "Tagging": "a=b" }),
    );
    let first = vec![1u8; MIB5];
    part(&mut w, &id, 1, b"replaced later").expect("stored");
    let parts = listed(&mut w, &id, &[(1, &first), (2, b"end")]);
    assert_eq!(w.blobs.len(), 2);
    assert_eq!((SERVICE.inventory)(&w, 0)[1].2, "2 parts");
    let out = complete(&mut w, &id, &parts, json!({})).expect("completed").value;
    assert!(out["ETag"].as_str().is_some_and(|etag| etag.ends_with("-2\"") && etag.len() == 36));
    assert!(out["ChecksumCRC32"].as_str().is_some_and(|crc| crc.ends_with("-2")));
    assert_eq!(
        (&out["ChecksumType"], &out["VersionId"].as_str().map(str::len)),
        (&json!("COMPOSITE"), &Some(32))
    );
    assert_eq!(w.blobs.len(), 1);
    let head = ok(&mut w, "HeadObject", json!({ "Key": "big.zip" }));
    assert_eq!((&head["ContentLength"], &head["TagCount"]), (&json!(MIB5 + 3), &json!(1)));
    refused(complete(&mut w, &id, &parts, json!({})), "NoSuchUpload", 404);
}

#[test]
fn a_checksum_of_the_full_object_is_verified() {
    let mut w = with_bucket();
    let id = begin(&mut w, json!({ "ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT" }));
    let parts = listed(&mut w, &id, &[(1, b"hello")]);
    refused(
        complete(&mut w, &id, &parts, json!({ "ChecksumCRC32": "AAAAAA==" })),
        "BadDigest",
        400,
    );
    let out =
        complete(&mut w, &id, &parts, json!({ "ChecksumCRC32": "NhCmhg==" })).expect("right").value;
    assert_eq!(
        (&out["ChecksumCRC32"], &out["ChecksumType"]),
        (&json!("NhCmhg=="), &json!("FULL_OBJECT"))
    );
}

#[test]
fn uploads_and_parts_are_listed_and_aborted() {
    let mut w = with_bucket();
    let (id, other) = (begin(&mut w, json!({})), begin(&mut w, json!({})));
    listed(&mut w, &id, &[(1, b"a"), (2, b"b"), (5, b"c")]);
    let page = ok(&mut w, "ListParts", json!({ "Key": "big.zip", "UploadId": id, "MaxParts": 2 }));
    assert_eq!((&page["IsTruncated"], &page["NextPartNumberMarker"]), (&json!(true), &json!(2)));
    let rest =
        ok(&mut w, "ListParts", json!({ "Key": "big.zip", "UploadId": id, "PartNumberMarker": 2 }));
    assert_eq!(
        (&rest["Parts"][0]["PartNumber"], &rest["Parts"][0]["Size"]),
        (&json!(5), &json!(1))
    );
    let first = ok(&mut w, "ListMultipartUploads", json!({ "MaxUploads": 1 }));
    let input = json!({ "KeyMarker": first["NextKeyMarker"], "UploadIdMarker": first["NextUploadIdMarker"] });
    let second = ok(&mut w, "ListMultipartUploads", input);
    let mut ids =
        [first["Uploads"][0]["UploadId"].clone(), second["Uploads"][0]["UploadId"].clone()];
    ids.sort_by_key(|id| *id != json!(other));
    assert_eq!(ids, [other, id.clone()]);
    ok(&mut w, "AbortMultipartUpload", json!({ "Key": "big.zip", "UploadId": id }));
    assert!(w.blobs.is_empty());
    assert_eq!(
        ok(&mut w, "ListMultipartUploads", json!({}))["Uploads"].as_array().map(Vec::len),
        Some(1)
    );
    ok(&mut w, "DeleteBucket", json!({}));
}

#[test]
fn an_upload_survives_in_the_stored_world() {
    let mut w = versioned();
    let id = begin(&mut w, json!({}));
    let parts = listed(&mut w, &id, &[(1, b"hello")]);
    put(&mut w, "small", b"x");
    let stored = serde_json::to_string(&w).expect("serialises");
    let mut again: World = serde_json::from_str(&stored).expect("reads back");
    again.blobs.clone_from(&w.blobs);
    complete(&mut again, &id, &parts, json!({})).expect("completed");
    let versions = ok(&mut again, "ListObjectVersions", json!({}));
    assert_eq!(versions["Versions"].as_array().map(Vec::len), Some(2));
}

#[test]
fn completing_can_be_conditional() {
    let mut w = with_bucket();
    let id = begin(&mut w, json!({}));
    let parts = listed(&mut w, &id, &[(1, b"hello")]);
    put(&mut w, "big.zip", b"rival");
    refused(
        complete(&mut w, &id, &parts, json!({ "IfNoneMatch": "*" })),
        "PreconditionFailed",
        412,
    );
    complete(&mut w, &id, &parts, json!({})).expect("without a condition");
}

#[test]
fn part_number_is_in_range() {
    let mut w = with_bucket();
    let id = begin(&mut w, json!({}));
    refused(part(&mut w, &id, 0, b"a"), "InvalidArgument", 400);
    refused(part(&mut w, &id, 10_001, b"a"), "InvalidArgument", 400);
}

#[test]
fn upload_exists() {
    let mut w = with_bucket();
    refused(part(&mut w, &json!("none"), 1, b"a"), "NoSuchUpload", 404);
    let abort = json!({ "Key": "big.zip", "UploadId": "none" });
    refused(call(&mut w, "AbortMultipartUpload", abort), "NoSuchUpload", 404);
}

#[test]
fn parts_are_in_order() {
    let mut w = with_bucket();
    let id = begin(&mut w, json!({}));
    let mut parts = listed(&mut w, &id, &[(1, b"a"), (2, b"b")]);
    parts.reverse();
    refused(complete(&mut w, &id, &parts, json!({})), "InvalidPartOrder", 400);
    refused(complete(&mut w, &id, &[], json!({})), "MalformedXML", 400);
}

#[test]
fn parts_are_there() {
    let mut w = with_bucket();
    let id = begin(&mut w, json!({}));
    let mut parts = listed(&mut w, &id, &[(1, b"a")]);
    parts[0]["ETag"] = json!("\"x\"");
    refused(complete(&mut w, &id, &parts, json!({})), "InvalidPart", 400);
    let absent = json!({ "PartNumber": 3, "ETag": "\"x\"" });
    refused(complete(&mut w, &id, &[absent], json!({})), "InvalidPart", 400);
}

#[test]
fn parts_are_large_enough() {
    let mut w = with_bucket();
    let id = begin(&mut w, json!({}));
    let parts = listed(&mut w, &id, &[(1, b"a"), (2, b"b")]);
    refused(complete(&mut w, &id, &parts, json!({})), "EntityTooSmall", 400);
}
