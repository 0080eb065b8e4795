#![expect(clippy::needless_pass_by_value, reason = "inputs are written where they are used")]

use bytes::Bytes;
use serde_json::{Value, json};

use super::{SERVICE, rules};
use crate::world::{Cx, Outcome, Settings, World};

mod buckets;
mod multipart;
mod objects;

const NOW: u64 = 1_767_225_600_500;

fn world() -> World {
    World { settings: Settings::default(), ..World::default() }
}

fn send(world: &mut World, operation: &str, input: Value, body: &[u8]) -> Outcome {
    let body = Bytes::copy_from_slice(body);
    let cx = Cx { now: NOW, body, request_id: "test".into() };
    (SERVICE.handle)(world, &cx, operation, &input)
}

/// Calls an operation on the bucket `plugins`.
fn call(world: &mut World, operation: &str, mut input: Value) -> Outcome {
    if input.get("Bucket").is_none() {
        input["Bucket"] = json!("plugins");
    }
    send(world, operation, input, b"")
}

#[track_caller]
fn ok(world: &mut World, operation: &str, input: Value) -> Value {
    call(world, operation, input).expect("accepted").value
}

fn put(world: &mut World, key: &str, body: &[u8]) -> Value {
    put_with(world, key, body, json!({})).expect("stored").value
}

fn put_with(world: &mut World, key: &str, body: &[u8], mut input: Value) -> Outcome {
    input["Bucket"] = json!("plugins");
    input["Key"] = json!(key);
    send(world, "PutObject", input, body)
}

fn with_bucket() -> World {
    let mut w = world();
    ok(&mut w, "CreateBucket", json!({}));
    w
}

fn versioned() -> World {
    let mut w = with_bucket();
    ok(
        &mut w,
        "PutBucketVersioning",
        json!({ "VersioningConfiguration": { "Status": "Enabled" } }),
    );
    w
}

#[track_caller]
fn refused(outcome: Outcome, code: &str, status: u16) {
    let error = outcome.expect_err("refused");
    assert_eq!((error.code.as_str(), error.status), (code, Some(status)), "{}", error.message);
}

#[test]
fn every_rule_has_a_test_of_its_name() {
    let here = concat!(
        include_str!("buckets.rs"),
        include_str!("objects.rs"),
        include_str!("multipart.rs")
    );
    for (name, source) in rules::RULES {
        assert!(here.contains(&format!("fn {name}()")), "{name}");
        assert!(!source.is_empty());
    }
}
