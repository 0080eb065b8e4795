//! What exists outside of every process: the world, and what state says of it.

use std::collections::BTreeSet;

use msk_pipeline_core::Timestamp;
use msk_pipeline_emulator::World;
use msk_pipeline_emulator::services::SERVICES;
use serde_json::{Value, json};

use super::Cloud;
use super::mortal::{BUCKET, Store, state};

/// As `service kind id`.
pub fn inventory(cloud: &Cloud) -> BTreeSet<String> {
    inventory_at(cloud, cloud.wall)
}

/// The same at another moment.
pub fn inventory_at(cloud: &Cloud, now: Timestamp) -> BTreeSet<String> {
    cloud.world.with(|world| {
        let all = SERVICES.iter().flat_map(|service| {
            let rows = (service.inventory)(world, now.0);
            rows.into_iter().map(|(kind, id, _)| format!("{} {kind} {id}", service.name))
        });
        all.collect()
    })
}

/// What is in objects without being one: versions in buckets, rules of groups, policies of roles. The last word of each row is the
/// object's. What is in the bucket that keeps state is left out.
pub fn parts(cloud: &Cloud) -> BTreeSet<String> {
    let (ec2, s3, iam) = cloud.world.with(|world| {
        let value = |part: serde_json::Result<Value>| part.unwrap();
        (
            value(serde_json::to_value(&world.state.ec2)),
            value(serde_json::to_value(&world.state.s3)),
            value(serde_json::to_value(&world.state.iam)),
        )
    });
    let mut rows = BTreeSet::new();
    for (bucket, value) in entries(&s3["buckets"]).filter(|(name, _)| *name != BUCKET) {
        for (key, versions) in entries(&value["objects"]) {
            for version in versions.as_array().unwrap() {
                rows.insert(format!("version {} of {key} in {bucket}", version["id"]));
            }
        }
    }
    for (group, value) in entries(&ec2["groups"]) {
        rows.extend(entries(&value["rules"]).map(|(id, _)| format!("rule {id} of {group}")));
    }
    for (role, value) in entries(&iam["roles"]) {
        let inline = entries(&value["inline"]).map(|(id, _)| id.as_str());
        let attached = value["attached"].as_array().unwrap().iter().filter_map(Value::as_str);
        rows.extend(inline.chain(attached).map(|id| format!("policy {id} of {role}")));
    }
    rows
}

fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().expect("a map").iter()
}

/// Objects that were made since `before` and that `known`, the state as text, does not name: nobody would ever delete them. The name
/// has to be in a record of the object's kind: much in a pipeline has the pipeline's name.
pub fn orphans(cloud: &Cloud, known: &str, before: &BTreeSet<String>) -> Vec<String> {
    let now = inventory(cloud);
    let ec2 = cloud.world.with(|world| serde_json::to_value(&world.state.ec2).unwrap());
    let mut recorded = BTreeSet::new();
    names(&serde_json::from_str(known).unwrap(), &mut recorded);
    let unknown = now.difference(before).filter(|row| {
        let (what, id) = row.rsplit_once(' ').unwrap();
        let name = ec2["groups"][id]["name"].as_str().unwrap_or(id);
        // The managed master secret comes and goes with its cluster; a final snapshot is announced, and stays.
        let of_cluster = what == "rds db-cluster-snapshot"
            || what == "secretsmanager secret" && id.starts_with("rds!cluster-");
        !of_cluster && !recorded.contains(&(kind(what), name.to_owned()))
    });
    unknown.cloned().collect()
}

/// Kind and physical name of every object in a state.
fn names(value: &Value, found: &mut BTreeSet<(String, String)>) {
    if let (Some(kind), Some(name)) = (value["kind"].as_str(), value["name"].as_str()) {
        found.insert((kind.to_owned(), name.to_owned()));
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| names(value, found)),
        Value::Array(items) => items.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

/// The kind that makes what the inventory calls `what`.
fn kind(what: &str) -> String {
    match what.split_once(' ').unwrap() {
        ("logs", object) => format!("aws.cloudwatch.{object}"),
        ("s3", "multipart upload") => "aws.s3.object".to_owned(),
        ("rds", object) => format!("aws.rds.{}", object.trim_start_matches("db-")),
        ("database", object @ ("publication" | "slot")) => format!("postgres.{object}"),
        ("database", "user") => "database.capture-user".into(),
        ("database", object) => format!("database.{object}"),
        (service, object) => format!("aws.{service}.{}", object.replace(' ', "-")),
    }
}

/// The world and what is recorded of it, without what may differ between two ways to the same end: times, which password was drawn, and
/// the objects in the bucket that state is kept in (how many segments there are, whose the lease was). What those say counts: it is
/// what is recorded.
pub fn canonical(cloud: &Cloud, store: Store) -> Value {
    let mut world = cloud.world.with(|w: &mut World| serde_json::to_value(&w.state).unwrap());
    // Interfaces that outlived their instance are struck out when somebody looks, not when they go.
    let lingers = |i: &Value| i["until"].as_u64().is_none_or(|until| until > cloud.wall.0);
    world["rds"]["interfaces"].as_array_mut().unwrap().retain(lingers);
    let in_bucket = format!("{BUCKET}/");
    world["draws"].as_object_mut().unwrap().retain(|label, _| {
        // A password that was drawn and never stored leaves nothing but the count of draws, and that the next is another.
        label != "secretsmanager/random-password" && !label.contains(&in_bucket)
    });
    for secret in world["secretsmanager"]["secrets"].as_object_mut().unwrap().values_mut() {
        for version in secret["versions"].as_object_mut().unwrap().values_mut() {
            without_password(&mut version["payload"]["Text"]);
        }
    }
    if store == Store::S3 {
        world["s3"]["buckets"][BUCKET]["objects"].take();
    }
    let state = state(cloud, store);
    assert_eq!(state.run, None, "the run is over");
    json!({ "world": timeless(world), "records": state.records })
}

/// A secret's text with the length of its password in the password's place.
fn without_password(text: &mut Value) {
    let document = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(mut document) = document else { return };
    if let Some(password) = document["password"].as_str() {
        document["password"] = json!(password.len());
        *text = document.to_string().into();
    }
}

/// Times out of a value, everything else as it is: ids are drawn by label, so that they don't depend on the order of creation.
pub fn timeless(value: Value) -> Value {
    match value {
        Value::Number(n) if n.as_u64().is_some_and(|n| n > 1_600_000_000_000) => json!("time"),
        Value::Array(items) => items.into_iter().map(timeless).collect(),
        // Ids of requests, which an operation shows, and of lines in a log are made from the time.
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| key != "request_id" && key != "events")
            .map(|(key, value)| (key, timeless(value)))
            .collect(),
        plain => plain,
    }
}

/// The first place at which two values differ.
pub fn difference(found: &Value, expected: &Value) -> Option<String> {
    difference_at("", found, expected)
}

fn difference_at(at: &str, found: &Value, expected: &Value) -> Option<String> {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or_default()
                };
                difference_at(&format!("{at}/{key}"), &of(a), &of(b))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(n, (a, b))| difference_at(&format!("{at}/{n}"), a, b))
        }
        (a, b) => (a != b).then(|| format!("{at}: found {a} instead of {b}")),
    }
}
