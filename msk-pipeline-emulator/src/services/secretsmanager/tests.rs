#![expect(clippy::needless_pass_by_value, reason = "inputs are written where they are used")]

use serde_json::{Value, json};

use super::{SERVICE, create_managed, delete_managed, find, rules};
use crate::world::{Cx, Outcome, Settings, World};

const NOW: u64 = 1_767_225_600_000;
const DAY: u64 = 86_400_000;

fn world() -> World {
    World { settings: Settings::default(), ..World::default() }
}

fn call_at(world: &mut World, now: u64, operation: &str, input: Value) -> Outcome {
    let cx = Cx { now, body: bytes::Bytes::new(), request_id: "test".into() };
    (SERVICE.handle)(world, &cx, operation, &input)
}

fn call(world: &mut World, operation: &str, input: Value) -> Outcome {
    call_at(world, NOW, operation, input)
}

fn with_secret() -> (World, String) {
    let mut w = world();
    let made = call(
        &mut w,
        "CreateSecret",
        json!({ "Name": "cdc/orders",
        "SecretString": r#"{"username":"debezium","password":"first"}"# }),
    );
    let arn = made.expect("created").value["ARN"].as_str().expect("an ARN").to_owned();
    (w, arn)
}

fn with_managed() -> (World, String) {
    let mut w = world();
    let value = r#"{"username":"admin","password":"first"}"#;
    let arn = create_managed(&mut w, NOW, "rds", "rds!cluster-1", value, NOW + 30_000);
    (w, arn)
}

fn value_of(world: &mut World, now: u64, input: Value) -> Value {
    call_at(world, now, "GetSecretValue", input).expect("a value").value
}

#[track_caller]
fn refused(outcome: Outcome, code: &str, message: &str) {
    let error = outcome.expect_err("refused");
    assert_eq!(error.code, code);
    assert!(error.message.contains(message), "{}", error.message);
}

const TOKEN: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

#[test]
fn a_secret_is_found_by_name_and_by_full_and_partial_arn() {
    let (mut w, arn) = with_secret();
    assert_eq!(
        arn.len(),
        "arn:aws:secretsmanager:us-east-1:111111111111:secret:cdc/orders-".len() + 6
    );
    for id in ["cdc/orders", &arn, &arn[..arn.len() - 7]] {
        let found = find(&w, id, NOW).expect("found");
        assert_eq!((found.name.as_str(), &found.arn), ("cdc/orders", &arn));
        assert_eq!(found.keys, ["password", "username"]);
        let shown = call(&mut w, "DescribeSecret", json!({ "SecretId": id })).expect("there").value;
        assert_eq!(shown["CreatedDate"], NOW);
        assert!(shown.get("OwningService").is_none() && shown.get("DeletedDate").is_none());
        assert_eq!(shown["VersionIdsToStages"].as_object().map(serde_json::Map::len), Some(1));
    }
    assert!(find(&w, "cdc", NOW).is_none());
}

#[test]
fn a_value_moves_from_current_to_previous() {
    let (mut w, _) = with_secret();
    let put =
        json!({ "SecretId": "cdc/orders", "SecretString": "second", "ClientRequestToken": TOKEN });
    let out = call(&mut w, "PutSecretValue", put.clone()).expect("put").value;
    assert_eq!(out["VersionStages"], json!(["AWSCURRENT"]));
    assert_eq!(call(&mut w, "PutSecretValue", put).expect("again").value["VersionId"], TOKEN);
    assert_eq!(
        value_of(&mut w, NOW, json!({ "SecretId": "cdc/orders" }))["SecretString"],
        "second"
    );
    let previous = json!({ "SecretId": "cdc/orders", "VersionStage": "AWSPREVIOUS" });
    assert!(
        value_of(&mut w, NOW, previous)["SecretString"]
            .as_str()
            .is_some_and(|v| v.contains("first"))
    );
    let update = json!({ "SecretId": "cdc/orders", "SecretString": "third", "Description": "d" });
    call(&mut w, "UpdateSecret", update).expect("updated");
    let listed = |w: &mut World, all: bool| {
        let input = json!({ "SecretId": "cdc/orders", "IncludeDeprecated": all });
        call(w, "ListSecretVersionIds", input).expect("listed").value["Versions"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!((listed(&mut w, false), listed(&mut w, true)), (Some(2), Some(3)));
    let by_id = json!({ "SecretId": "cdc/orders", "VersionId": TOKEN });
    assert_eq!(value_of(&mut w, NOW, by_id)["VersionStages"], json!(["AWSPREVIOUS"]));
}

#[test]
fn a_stage_moves_from_the_version_that_has_it() {
    let mut w = with_pending();
    let id = |w: &mut World, stage: &str| {
        let of = json!({ "SecretId": "cdc/orders", "VersionStage": stage });
        let found = call_at(w, NOW, "GetSecretValue", of).ok()?.value;
        found["VersionId"].as_str().map(str::to_owned)
    };
    let first = id(&mut w, "AWSCURRENT").expect("what is pending is not current");
    assert_ne!(first, TOKEN);
    moved(&mut w, "AWSCURRENT", Some(&first), Some(TOKEN)).expect("moved");
    moved(&mut w, "AWSPENDING", Some(TOKEN), None).expect("taken away");
    assert_eq!(id(&mut w, "AWSCURRENT").as_deref(), Some(TOKEN));
    assert_eq!(id(&mut w, "AWSPREVIOUS"), Some(first));
    assert_eq!(id(&mut w, "AWSPENDING"), None);
}

#[test]
fn a_secret_without_value_has_none() {
    let mut w = world();
    let made = call(&mut w, "CreateSecret", json!({ "Name": "empty" })).expect("created").value;
    assert!(made.get("VersionId").is_none());
    refused(
        call(&mut w, "GetSecretValue", json!({ "SecretId": "empty" })),
        "ResourceNotFoundException",
        "staging label: AWSCURRENT",
    );
    let binary = json!({ "SecretId": "empty", "SecretBinary": "AAE=" });
    call(&mut w, "PutSecretValue", binary).expect("put");
    assert_eq!(value_of(&mut w, NOW, json!({ "SecretId": "empty" }))["SecretBinary"], "AAE=");
}

#[test]
fn a_value_never_prints() {
    let (w, _) = with_secret();
    let printed = format!("{:?}", w.state.secretsmanager);
    assert!(printed.contains("[secret]") && !printed.contains("first"));
    let stored = serde_json::to_string(&w.state.secretsmanager).expect("serialises");
    assert!(stored.contains("first"));
}

#[test]
fn deletion_waits_and_can_be_taken_back() {
    let (mut w, _) = with_secret();
    let id = json!({ "SecretId": "cdc/orders" });
    let delete = json!({ "SecretId": "cdc/orders", "RecoveryWindowInDays": 7 });
    let out = call(&mut w, "DeleteSecret", delete).expect("scheduled").value;
    assert_eq!(out["DeletionDate"], NOW + 7 * DAY);
    let shown = call(&mut w, "DescribeSecret", id.clone()).expect("still there").value;
    assert_eq!(shown["DeletedDate"], NOW + 7 * DAY);
    assert!(find(&w, "cdc/orders", NOW).is_none());
    let list = |w: &mut World, input: Value| {
        call(w, "ListSecrets", input).expect("listed").value["SecretList"].as_array().map(Vec::len)
    };
    assert_eq!(list(&mut w, json!({})), Some(0));
    assert_eq!(list(&mut w, json!({ "IncludePlannedDeletion": true })), Some(1));
    assert_eq!((SERVICE.inventory)(&w, NOW)[0].2, "scheduled for deletion");
    call(&mut w, "RestoreSecret", id.clone()).expect("restored");
    value_of(&mut w, NOW, id.clone());
    call(&mut w, "DeleteSecret", id.clone()).expect("scheduled");
    let later = NOW + 30 * DAY;
    refused(
        call_at(&mut w, later, "DescribeSecret", id),
        "ResourceNotFoundException",
        "can't find",
    );
    call_at(&mut w, later, "CreateSecret", json!({ "Name": "cdc/orders" }))
        .expect("the name is free");
}

#[test]
fn forced_deletion_is_quick_and_never_misses() {
    let (mut w, _) = with_secret();
    let delete = json!({ "SecretId": "cdc/orders", "ForceDeleteWithoutRecovery": true });
    call(&mut w, "DeleteSecret", delete.clone()).expect("deleted");
    refused(
        call(&mut w, "CreateSecret", json!({ "Name": "cdc/orders" })),
        "InvalidRequestException",
        "scheduled",
    );
    refused(
        call(&mut w, "RestoreSecret", json!({ "SecretId": "cdc/orders" })),
        "InvalidRequestException",
        "marked",
    );
    let later = NOW + 5_000;
    call_at(&mut w, later, "DeleteSecret", delete).expect("it is gone, which is no error");
    call_at(&mut w, later, "CreateSecret", json!({ "Name": "cdc/orders" }))
        .expect("the name is free");
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let mut w = world();
    for (n, name) in ["b", "a", "c"].into_iter().enumerate() {
        let tags = json!([{ "Key": "team", "Value": name }]);
        call_at(&mut w, NOW + n as u64, "CreateSecret", json!({ "Name": name, "Tags": tags }))
            .expect("created");
    }
    let names = |w: &mut World, input: Value| {
        let out = call_at(w, NOW + 9, "ListSecrets", input).expect("listed").value;
        let list = out["SecretList"].as_array().expect("a list").clone();
        (
            list.iter()
                .map(|s| s["Name"].as_str().unwrap_or_default().to_owned())
                .collect::<String>(),
            out["NextToken"].clone(),
        )
    };
    let (first, token) = names(&mut w, json!({ "MaxResults": 2 }));
    assert_eq!(first, "ba");
    assert_eq!(names(&mut w, json!({ "NextToken": token })).0, "c");
    assert_eq!(names(&mut w, json!({ "SortBy": "name", "SortOrder": "desc" })).0, "cba");
    let filter = |key: &str, value: &str| json!({ "Filters": [{ "Key": key, "Values": [value] }] });
    assert_eq!(names(&mut w, filter("name", "a")).0, "a");
    assert_eq!(names(&mut w, filter("tag-value", "c")).0, "c");
    assert_eq!(names(&mut w, filter("name", "!a")).0, "bc");
    call_at(&mut w, NOW + 9, "UntagResource", json!({ "SecretId": "a", "TagKeys": ["team"] }))
        .expect("untagged");
    call_at(
        &mut w,
        NOW + 9,
        "TagResource",
        json!({ "SecretId": "a", "Tags": [{ "Key": "x", "Value": "y" }] }),
    )
    .expect("tagged");
    let shown = call_at(&mut w, NOW + 9, "DescribeSecret", json!({ "SecretId": "a" }))
        .expect("there")
        .value;
    assert_eq!(shown["Tags"], json!([{ "Key": "x", "Value": "y" }]));
    let policy = call_at(&mut w, NOW + 9, "GetResourcePolicy", json!({ "SecretId": "a" }))
        .expect("none")
        .value;
    assert!(policy.get("ResourcePolicy").is_none());
}

#[test]
fn a_managed_secret_is_made_rotated_and_deleted_by_its_service() {
    let (mut w, arn) = with_managed();
    assert!(find(&w, &arn, NOW).is_none());
    let ready = NOW + 30_000;
    assert_eq!(find(&w, &arn, ready).expect("found").keys, ["password", "username"]);
    let id = json!({ "SecretId": arn });
    let shown = call_at(&mut w, ready, "DescribeSecret", id.clone()).expect("there").value;
    assert_eq!((&shown["OwningService"], &shown["RotationEnabled"]), (&json!("rds"), &json!(true)));
    assert_eq!(shown["NextRotationDate"], ready + 7 * DAY);
    let before = value_of(&mut w, ready, id.clone());
    let rotate = json!({ "SecretId": arn, "ClientRequestToken": TOKEN });
    call_at(&mut w, ready, "RotateSecret", rotate.clone()).expect("rotating");
    call_at(&mut w, ready, "RotateSecret", rotate).expect("the same again");
    assert_eq!(value_of(&mut w, ready + 29_000, id.clone()), before);
    let after = value_of(&mut w, ready + 30_000, id.clone());
    assert_eq!(after["VersionId"], TOKEN);
    assert_ne!(after["SecretString"], before["SecretString"]);
    assert!(after["SecretString"].as_str().is_some_and(|value| value.contains("admin")));
    let previous = json!({ "SecretId": arn, "VersionStage": "AWSPREVIOUS" });
    assert_eq!(value_of(&mut w, ready + 30_000, previous)["VersionId"], before["VersionId"]);
    delete_managed(&mut w, ready + 60_000, &arn);
    assert!(find(&w, &arn, ready + 60_000).is_none());
}

#[test]
fn random_passwords_follow_their_options_and_the_seed() {
    let password = |seed: u64, input: Value| {
        let mut w =
            World { settings: Settings { seed, ..Settings::default() }, ..World::default() };
        let out = call(&mut w, "GetRandomPassword", input).expect("a password").value;
        out["RandomPassword"].as_str().expect("text").to_owned()
    };
    let plain = password(1, json!({}));
    assert_eq!(
        (plain.len(), plain == password(1, json!({})), plain == password(2, json!({}))),
        (32, true, false)
    );
    let digits = password(
        1,
        json!({ "PasswordLength": 64, "ExcludePunctuation": true, "ExcludeUppercase": true,
        "ExcludeLowercase": true, "ExcludeCharacters": "012" }),
    );
    assert!(digits.len() == 64 && digits.chars().all(|c| ('3'..='9').contains(&c)), "{digits}");
    for seed in 0..20 {
        let each = password(seed, json!({ "PasswordLength": 5, "IncludeSpace": true }));
        assert!(each.contains(' ') && each.chars().any(|c| c.is_ascii_digit()), "{each}");
        assert!(
            each.chars().any(|c| c.is_ascii_lowercase())
                && each.chars().any(|c| c.is_ascii_uppercase())
        );
    }
}

#[test]
fn every_rule_has_a_test_of_its_name() {
    let here = include_str!("tests.rs");
    for (name, source) in rules::RULES {
        assert!(here.contains(&format!("fn {name}()")), "{name}");
        assert!(!source.is_empty());
    }
}

#[test]
fn secret_exists() {
    refused(
        call(&mut world(), "DescribeSecret", json!({ "SecretId": "x" })),
        "ResourceNotFoundException",
        "can't find",
    );
}

#[test]
fn name_is_well_formed() {
    refused(
        call(&mut world(), "CreateSecret", json!({ "Name": "a b" })),
        "ValidationException",
        "Invalid name",
    );
}

#[test]
fn name_is_free() {
    let (mut w, _) = with_secret();
    let again = json!({ "Name": "cdc/orders" });
    refused(
        call(&mut w, "CreateSecret", again.clone()),
        "ResourceExistsException",
        "cdc/orders already exists",
    );
    call(&mut w, "DeleteSecret", json!({ "SecretId": "cdc/orders" })).expect("scheduled");
    refused(
        call(&mut w, "CreateSecret", again),
        "InvalidRequestException",
        "already scheduled for deletion",
    );
}

#[test]
fn one_kind_of_value() {
    let both = json!({ "Name": "x", "SecretString": "a", "SecretBinary": "AA==" });
    refused(call(&mut world(), "CreateSecret", both), "InvalidParameterException", "both");
}

#[test]
fn secret_is_not_deleted() {
    let (mut w, _) = with_secret();
    let id = json!({ "SecretId": "cdc/orders" });
    call(&mut w, "DeleteSecret", id.clone()).expect("scheduled");
    for operation in ["GetSecretValue", "UpdateSecret", "DeleteSecret", "RotateSecret"] {
        refused(
            call(&mut w, operation, id.clone()),
            "InvalidRequestException",
            "marked for deletion",
        );
    }
}

#[test]
fn secret_is_not_managed() {
    let (mut w, arn) = with_managed();
    let ready = NOW + 30_000;
    let put = json!({ "SecretId": arn, "SecretString": "x" });
    let delete = json!({ "SecretId": arn, "ForceDeleteWithoutRecovery": true });
    refused(
        call_at(&mut w, ready, "PutSecretValue", put.clone()),
        "InvalidRequestException",
        "managed by another",
    );
    refused(
        call_at(&mut w, ready, "UpdateSecret", put),
        "InvalidRequestException",
        "managed by another",
    );
    refused(
        call_at(&mut w, ready, "DeleteSecret", delete),
        "InvalidRequestException",
        "managed by another",
    );
}

#[test]
fn token_is_new_or_same() {
    let mut w = world();
    let create =
        |value: &str| json!({ "Name": "x", "SecretString": value, "ClientRequestToken": SECOND });
    let first = call(&mut w, "CreateSecret", create("a")).expect("created").value;
    assert_eq!(call(&mut w, "CreateSecret", create("a")).expect("the same").value, first);
    refused(call(&mut w, "CreateSecret", create("b")), "ResourceExistsException", "already in use");
    let put = json!({ "SecretId": "x", "SecretString": "b", "ClientRequestToken": SECOND });
    refused(call(&mut w, "PutSecretValue", put), "ResourceExistsException", "already in use");
}

#[test]
fn update_token_is_new() {
    let mut w = world();
    let value = json!({ "Name": "x", "SecretString": "a", "ClientRequestToken": SECOND });
    call(&mut w, "CreateSecret", value).expect("created");
    let update = json!({ "SecretId": "x", "SecretString": "a", "ClientRequestToken": SECOND });
    refused(call(&mut w, "UpdateSecret", update), "ResourceExistsException", "already in use");
}

#[test]
fn recovery_window_is_in_range() {
    let (mut w, _) = with_secret();
    for (days, forced, message) in
        [(6, false, "between 7 and 30"), (31, false, "between"), (7, true, "in conjunction")]
    {
        let input = json!({ "SecretId": "cdc/orders", "RecoveryWindowInDays": days, "ForceDeleteWithoutRecovery": forced });
        refused(call(&mut w, "DeleteSecret", input), "InvalidParameterException", message);
    }
}

#[test]
fn rotation_needs_a_function() {
    let (mut w, _) = with_secret();
    refused(
        call(&mut w, "RotateSecret", json!({ "SecretId": "cdc/orders" })),
        "InvalidRequestException",
        "Lambda function ARN",
    );
}

#[test]
fn managed_rotation_needs_no_function() {
    let (mut w, arn) = with_managed();
    let input = json!({ "SecretId": arn, "RotationLambdaARN": "arn:aws:lambda:us-east-1:111111111111:function:f" });
    refused(
        call_at(&mut w, NOW + 30_000, "RotateSecret", input),
        "InvalidRequestException",
        "managed",
    );
}

#[test]
fn one_rotation_at_a_time() {
    let (mut w, arn) = with_managed();
    let ready = NOW + 30_000;
    let input = json!({ "SecretId": arn });
    call_at(&mut w, ready, "RotateSecret", input.clone()).expect("rotating");
    refused(
        call_at(&mut w, ready + 1, "RotateSecret", input.clone()),
        "InvalidRequestException",
        "isn't complete",
    );
    call_at(&mut w, ready + 30_000, "RotateSecret", input).expect("the first is done");
}

#[test]
fn tag_keys_are_not_awss() {
    let input = json!({ "Name": "x", "Tags": [{ "Key": "aws:x", "Value": "" }] });
    refused(call(&mut world(), "CreateSecret", input), "InvalidParameterException", "reserved");
}

#[test]
fn password_has_characters() {
    let none = json!({ "ExcludePunctuation": true, "ExcludeUppercase": true, "ExcludeLowercase": true, "ExcludeNumbers": true });
    refused(call(&mut world(), "GetRandomPassword", none), "InvalidParameterException", "excluded");
    refused(
        call(&mut world(), "GetRandomPassword", json!({ "PasswordLength": 3 })),
        "InvalidParameterException",
        "too short",
    );
}

/// A secret with a pending version.
fn with_pending() -> World {
    let (mut w, _) = with_secret();
    let put = json!({ "SecretId": "cdc/orders", "SecretString": "second", "ClientRequestToken": TOKEN,
        "VersionStages": ["AWSPENDING"] });
    call(&mut w, "PutSecretValue", put).expect("put");
    w
}

/// Moves a stage.
fn moved(w: &mut World, stage: &str, from: Option<&str>, to: Option<&str>) -> Outcome {
    let mut input = json!({ "SecretId": "cdc/orders", "VersionStage": stage });
    for (key, id) in [("RemoveFromVersionId", from), ("MoveToVersionId", to)] {
        if let Some(id) = id {
            input[key] = json!(id);
        }
    }
    call(w, "UpdateSecretVersionStage", input)
}

#[test]
fn versions_exist() {
    let mut w = with_pending();
    let absent = "00000000-0000-0000-0000-000000000000";
    refused(moved(&mut w, "mine", None, Some(absent)), "ResourceNotFoundException", absent);
    moved(&mut w, "mine", None, Some(TOKEN)).expect("a stage of one's own");
}

#[test]
fn stage_is_taken_from_its_holder() {
    let mut w = with_pending();
    for from in [None, Some(TOKEN)] {
        let wrong = moved(&mut w, "AWSCURRENT", from, Some(TOKEN));
        refused(wrong, "InvalidParameterException", "RemoveFromVersionId");
    }
    moved(&mut w, "AWSPENDING", None, Some(TOKEN)).expect("it has it already");
}

#[test]
fn one_version_is_current() {
    let mut w = with_pending();
    let current = value_of(&mut w, NOW, json!({ "SecretId": "cdc/orders" }))["VersionId"].clone();
    let taken = moved(&mut w, "AWSCURRENT", current.as_str(), None);
    refused(taken, "InvalidParameterException", "AWSCURRENT");
}
