use serde_json::{Value, json};

use super::super::object;
use super::{NOW, call, ok, put, put_with, refused, versioned, with_bucket};
use crate::world::{Reply, World};

fn get(world: &mut World, mut input: Value) -> Reply {
    input["Key"] = input.get("Key").cloned().unwrap_or(json!("a"));
    call(world, "GetObject", input).expect("there")
}

#[test]
fn an_object_is_stored_once_and_read_back() {
    let mut w = with_bucket();
    let input = json!({ "ContentType": "application/zip", "Metadata": { "made-by": "me" }, "Tagging": "a=1&b=2%20c" });
    let stored = put_with(&mut w, "a", b"hello", input).expect("stored").value;
    assert_eq!(stored["ETag"], "\"5d41402abc4b2a76b9719d911017c592\"");
    assert!(stored.get("VersionId").is_none());
    let reply = get(&mut w, json!({}));
    assert_eq!(reply.body.as_deref(), Some(&b"hello"[..]));
    assert_eq!(reply.value["ContentType"], "application/zip");
    assert_eq!(reply.value["Metadata"]["made-by"], "me");
    assert_eq!(reply.value["TagCount"], 2);
    assert_eq!(reply.value["LastModified"], NOW - 500);
    let head = ok(&mut w, "HeadObject", json!({ "Key": "a" }));
    assert_eq!((&head["ContentLength"], &head["ETag"]), (&json!(5), &stored["ETag"]));
    assert!(head.get("StorageClass").is_none() && head.get("ChecksumCRC32").is_none());
    put(&mut w, "b", b"hello");
    assert_eq!(w.blobs.len(), 1);
    put(&mut w, "a", b"other");
    assert_eq!(w.blobs.len(), 2);
    ok(&mut w, "DeleteObject", json!({ "Key": "b" }));
    assert_eq!(w.blobs.len(), 1);
    let view = object(&w, "plugins", "a", None).expect("there");
    assert_eq!((view.size, view.version_id.as_str()), (5, "null"));
    assert_eq!(w.blobs[&view.sha256], &b"other"[..]);
    assert!(object(&w, "plugins", "b", None).is_none());
    refused(call(&mut w, "GetObject", json!({ "Key": "b" })), "NoSuchKey", 404);
    refused(call(&mut w, "HeadObject", json!({ "Key": "b" })), "NotFound", 404);
    ok(&mut w, "DeleteObject", json!({ "Key": "b" }));
}

#[test]
fn versions_pile_up_and_markers_hide_them() {
    let mut w = versioned();
    let first = put(&mut w, "a", b"1")["VersionId"].clone();
    let second = put(&mut w, "a", b"2")["VersionId"].clone();
    assert!(first != second && first.as_str().map(str::len) == Some(32));
    assert_eq!(get(&mut w, json!({ "VersionId": first })).body.as_deref(), Some(&b"1"[..]));
    let marker = ok(&mut w, "DeleteObject", json!({ "Key": "a" }));
    assert_eq!(marker["DeleteMarker"], true);
    refused(call(&mut w, "GetObject", json!({ "Key": "a" })), "NoSuchKey", 404);
    let at_marker = json!({ "Key": "a", "VersionId": marker["VersionId"] });
    refused(call(&mut w, "GetObject", at_marker.clone()), "MethodNotAllowed", 405);
    refused(
        call(&mut w, "GetObject", json!({ "Key": "a", "VersionId": "x" })),
        "NoSuchVersion",
        404,
    );
    let list = ok(&mut w, "ListObjectVersions", json!({}));
    assert_eq!(list["DeleteMarkers"][0]["IsLatest"], true);
    assert_eq!(
        (&list["Versions"][0]["VersionId"], &list["Versions"][1]["VersionId"]),
        (&second, &first)
    );
    assert_eq!(ok(&mut w, "DeleteObject", at_marker)["DeleteMarker"], true);
    let head = ok(&mut w, "HeadObject", json!({ "Key": "a" }));
    assert_eq!(head["VersionId"], second);
    assert_eq!(object(&w, "plugins", "a", first.as_str()).map(|view| view.size), Some(1));
}

#[test]
fn suspended_versioning_writes_null() {
    let mut w = with_bucket();
    put(&mut w, "a", b"before");
    let status = |status: &str| json!({ "VersioningConfiguration": { "Status": status } });
    ok(&mut w, "PutBucketVersioning", status("Enabled"));
    put(&mut w, "a", b"during");
    assert_eq!(get(&mut w, json!({ "VersionId": "null" })).body.as_deref(), Some(&b"before"[..]));
    ok(&mut w, "PutBucketVersioning", status("Suspended"));
    assert_eq!(ok(&mut w, "GetBucketVersioning", json!({}))["Status"], "Suspended");
    assert_eq!(put(&mut w, "a", b"after")["VersionId"], "null");
    assert_eq!(get(&mut w, json!({ "VersionId": "null" })).body.as_deref(), Some(&b"after"[..]));
    assert_eq!(
        ok(&mut w, "ListObjectVersions", json!({}))["Versions"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(ok(&mut w, "DeleteObject", json!({ "Key": "a" }))["VersionId"], "null");
    assert_eq!(
        ok(&mut w, "ListObjectVersions", json!({}))["Versions"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn many_are_deleted_in_one_call() {
    let mut w = versioned();
    let first = put(&mut w, "a", b"1")["VersionId"].clone();
    put(&mut w, "b", b"2");
    let objects = json!([{ "Key": "a", "VersionId": first }, { "Key": "b" }, { "Key": "b", "ETag": "\"x\"" }, { "Key": "none", "VersionId": "x" }]);
    let out = ok(&mut w, "DeleteObjects", json!({ "Delete": { "Objects": objects } }));
    assert_eq!(out["Deleted"].as_array().map(Vec::len), Some(3));
    assert_eq!(out["Deleted"][1]["DeleteMarker"], true);
    assert_eq!(out["Errors"][0]["Code"], "NoSuchKey");
    put(&mut w, "c", b"3");
    let quiet = json!({ "Delete": { "Quiet": true, "Objects": [{ "Key": "c" }] } });
    assert_eq!(ok(&mut w, "DeleteObjects", quiet), json!({}));
}

#[test]
fn objects_are_listed_by_prefix_delimiter_and_page() {
    let mut w = with_bucket();
    for key in ["logs/a", "logs/b", "plugins/1.zip", "plugins/2 & 3.zip", "z"] {
        put(&mut w, key, b"x");
    }
    let top = ok(&mut w, "ListObjectsV2", json!({ "Delimiter": "/" }));
    assert_eq!(top["CommonPrefixes"], json!([{ "Prefix": "logs/" }, { "Prefix": "plugins/" }]));
    assert_eq!((&top["Contents"][0]["Key"], &top["KeyCount"]), (&json!("z"), &json!(3)));
    let (mut keys, mut token) = (Vec::new(), None);
    loop {
        let mut input = json!({ "Delimiter": "/", "MaxKeys": 1 });
        if let Some(token) = token {
            input["ContinuationToken"] = token;
        }
        let page = ok(&mut w, "ListObjectsV2", input);
        keys.push(
            page["CommonPrefixes"][0]["Prefix"]
                .as_str()
                .or(page["Contents"][0]["Key"].as_str())
                .map(str::to_owned),
        );
        match page.get("NextContinuationToken") {
            Some(next) => token = Some(next.clone()),
            None => break,
        }
    }
    assert_eq!(keys.into_iter().flatten().collect::<Vec<_>>(), ["logs/", "plugins/", "z"]);
    let under = ok(
        &mut w,
        "ListObjectsV2",
        json!({ "Prefix": "plugins/", "EncodingType": "url", "StartAfter": "plugins/1.zip" }),
    );
    assert_eq!(under["Contents"][0]["Key"], "plugins/2+%26+3.zip");
    assert_eq!(under["Contents"].as_array().map(Vec::len), Some(1));
    let none = ok(&mut w, "ListObjectsV2", json!({ "MaxKeys": 0 }));
    assert_eq!((&none["KeyCount"], &none["IsTruncated"]), (&json!(0), &json!(false)));
}

#[test]
fn versions_are_listed_page_by_page_while_they_are_deleted() {
    let mut w = versioned();
    for n in 0..5u8 {
        put(&mut w, "a", &[n]);
        put(&mut w, "b", &[n]);
    }
    ok(&mut w, "DeleteObject", json!({ "Key": "a" }));
    let mut seen = 0;
    let mut input = json!({ "MaxKeys": 3 });
    loop {
        let page = ok(&mut w, "ListObjectVersions", input.clone());
        for entry in [&page["Versions"], &page["DeleteMarkers"]]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
        {
            seen += 1;
            ok(
                &mut w,
                "DeleteObject",
                json!({ "Key": entry["Key"], "VersionId": entry["VersionId"] }),
            );
        }
        if page["IsTruncated"] == false {
            break;
        }
        input["KeyMarker"] = page["NextKeyMarker"].clone();
        input["VersionIdMarker"] = page["NextVersionIdMarker"].clone();
    }
    assert_eq!(seen, 11);
    ok(&mut w, "DeleteBucket", json!({}));
    // Without deleting, no version is shown twice.
    let mut w = versioned();
    for n in 0..4u8 {
        put(&mut w, "a", &[n]);
    }
    let first = ok(&mut w, "ListObjectVersions", json!({ "MaxKeys": 2 }));
    let input = json!({ "KeyMarker": first["NextKeyMarker"], "VersionIdMarker": first["NextVersionIdMarker"] });
    let second = ok(&mut w, "ListObjectVersions", input);
    assert_eq!(second["Versions"].as_array().map(Vec::len), Some(2));
    assert_ne!(second["Versions"][0], first["Versions"][1]);
    refused(
        call(&mut w, "ListObjectVersions", json!({ "VersionIdMarker": "x" })),
        "InvalidArgument",
        400,
    );
}

#[test]
fn reads_can_be_conditional() {
    let mut w = with_bucket();
    let etag = put(&mut w, "a", b"hello")["ETag"].clone();
    get(&mut w, json!({ "IfMatch": etag }));
    refused(
        call(&mut w, "GetObject", json!({ "Key": "a", "IfMatch": "\"x\"" })),
        "PreconditionFailed",
        412,
    );
    refused(
        call(&mut w, "HeadObject", json!({ "Key": "a", "IfNoneMatch": etag })),
        "NotModified",
        304,
    );
}

#[test]
fn tags_of_objects() {
    let mut w = versioned();
    put(&mut w, "a", b"1");
    let tags = json!([{ "Key": "k", "Value": "v" }]);
    ok(&mut w, "PutObjectTagging", json!({ "Key": "a", "Tagging": { "TagSet": tags } }));
    assert_eq!(ok(&mut w, "GetObjectTagging", json!({ "Key": "a" }))["TagSet"], tags);
    refused(call(&mut w, "GetObjectTagging", json!({ "Key": "b" })), "NoSuchKey", 404);
}

#[test]
fn object_acl_fits_ownership() {
    let mut w = with_bucket();
    refused(
        put_with(&mut w, "a", b"", json!({ "ACL": "private" })),
        "AccessControlListNotSupported",
        400,
    );
    put_with(&mut w, "a", b"", json!({ "ACL": "bucket-owner-full-control" })).expect("harmless");
}

#[test]
fn key_is_short_enough() {
    refused(
        put_with(&mut with_bucket(), &"a".repeat(1025), b"", json!({})),
        "KeyTooLongError",
        400,
    );
}

#[test]
fn conditions_are_known() {
    let mut w = with_bucket();
    let both = json!({ "IfMatch": "\"x\"", "IfNoneMatch": "*" });
    refused(put_with(&mut w, "a", b"", both), "NotImplemented", 501);
    refused(put_with(&mut w, "a", b"", json!({ "IfNoneMatch": "\"x\"" })), "NotImplemented", 501);
}

#[test]
fn precondition_holds() {
    let mut w = versioned();
    refused(put_with(&mut w, "a", b"1", json!({ "IfMatch": "\"x\"" })), "NoSuchKey", 404);
    let create = json!({ "IfNoneMatch": "*" });
    let etag = put_with(&mut w, "a", b"1", create.clone()).expect("created").value["ETag"].clone();
    refused(put_with(&mut w, "a", b"2", create.clone()), "PreconditionFailed", 412);
    refused(put_with(&mut w, "a", b"2", json!({ "IfMatch": "\"x\"" })), "PreconditionFailed", 412);
    let second =
        put_with(&mut w, "a", b"2", json!({ "IfMatch": etag })).expect("replaced").value["ETag"]
            .clone();
    refused(
        call(&mut w, "DeleteObject", json!({ "Key": "a", "IfMatch": etag })),
        "PreconditionFailed",
        412,
    );
    ok(&mut w, "DeleteObject", json!({ "Key": "a", "IfMatch": second }));
    put_with(&mut w, "a", b"3", create).expect("a delete marker is no object");
}

#[test]
fn no_rival_is_in_flight() {
    let mut w = with_bucket();
    w.state.s3.rivals.insert("plugins/a".into(), 1);
    put(&mut w, "a", b"unconditional writes do not mind");
    let etag = ok(&mut w, "HeadObject", json!({ "Key": "a" }))["ETag"].clone();
    let input = json!({ "IfMatch": etag });
    refused(put_with(&mut w, "a", b"2", input.clone()), "ConditionalRequestConflict", 409);
    put_with(&mut w, "a", b"2", input).expect("the rival is done");
}

#[test]
fn digests_match() {
    let mut w = with_bucket();
    for (member, code) in [
        ("ChecksumCRC32", "BadDigest"),
        ("ChecksumSHA256", "BadDigest"),
        ("ContentMD5", "InvalidDigest"),
    ] {
        let mut input = json!({});
        input[member] = json!("AAAAAA==");
        refused(put_with(&mut w, "a", b"hello", input), code, 400);
    }
    let other = json!({ "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA==" });
    refused(put_with(&mut w, "a", b"hello", other), "BadDigest", 400);
    let input = json!({ "ChecksumCRC32": "NhCmhg==", "ContentMD5": "XUFAKrxLKna5cZ2REBfFkg==" });
    let stored = put_with(&mut w, "a", b"hello", input).expect("right").value;
    assert_eq!(
        (&stored["ChecksumCRC32"], &stored["ChecksumType"]),
        (&json!("NhCmhg=="), &json!("FULL_OBJECT"))
    );
    let asked = get(&mut w, json!({ "ChecksumMode": "ENABLED" })).value;
    assert_eq!(asked["ChecksumCRC32"], "NhCmhg==");
    let ranged = get(&mut w, json!({ "ChecksumMode": "ENABLED", "Range": "bytes=0-1" })).value;
    assert!(ranged.get("ChecksumCRC32").is_none());
}

#[test]
fn tags_are_few_enough() {
    let mut w = with_bucket();
    let tags: Vec<Value> = (0..51).map(|n| json!({ "Key": n.to_string(), "Value": "" })).collect();
    refused(
        call(&mut w, "PutBucketTagging", json!({ "Tagging": { "TagSet": tags } })),
        "BadRequest",
        400,
    );
    put(&mut w, "a", b"");
    let input = json!({ "Key": "a", "Tagging": { "TagSet": tags[..11] } });
    refused(call(&mut w, "PutObjectTagging", input), "BadRequest", 400);
}

#[test]
fn at_most_a_thousand_keys() {
    let objects: Vec<Value> = (0..1001).map(|n| json!({ "Key": n.to_string() })).collect();
    let input = json!({ "Delete": { "Objects": objects } });
    refused(call(&mut with_bucket(), "DeleteObjects", input), "MalformedXML", 400);
}

#[test]
fn range_is_satisfiable() {
    let mut w = with_bucket();
    put(&mut w, "a", b"0123456789");
    for (range, body, content) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
    ] {
        let reply = get(&mut w, json!({ "Range": range }));
        assert_eq!(reply.body.as_deref(), Some(body.as_bytes()));
        assert_eq!(
            (&reply.value["ContentRange"], &reply.value["ContentLength"]),
            (&json!(content), &json!(body.len()))
        );
    }
    assert_eq!(get(&mut w, json!({ "Range": "lines=1-2" })).body.map(|body| body.len()), Some(10));
    refused(
        call(&mut w, "GetObject", json!({ "Key": "a", "Range": "bytes=10-" })),
        "InvalidRange",
        416,
    );
}
