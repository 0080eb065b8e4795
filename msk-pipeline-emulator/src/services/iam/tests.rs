#![expect(clippy::needless_pass_by_value, reason = "inputs are written where they are used")]

use serde_json::{Value, json};

use super::{SERVICE, permits, role, rules, trusts_service};
use crate::world::{Cx, Outcome, Settings, World};

const NOW: u64 = 1_767_225_600_000;
const ACCOUNT: &str = "111111111111";

fn world() -> World {
    World { settings: Settings::default(), ..World::default() }
}

fn at(now: u64) -> Cx {
    Cx { now, body: bytes::Bytes::new(), request_id: "test".into() }
}

fn call(world: &mut World, operation: &str, input: Value) -> Outcome {
    (SERVICE.handle)(world, &at(NOW), operation, &input)
}

fn trust(statement: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

fn connect() -> Value {
    json!({ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "Service": "kafkaconnect.amazonaws.com" } })
}

fn create(world: &mut World, name: &str, trust: &str) -> Outcome {
    call(world, "CreateRole", json!({ "RoleName": name, "AssumeRolePolicyDocument": trust }))
}

fn with_role() -> World {
    let mut w = world();
    create(&mut w, "worker", &trust(&connect())).expect("created");
    w
}

fn put(world: &mut World, document: &str) -> Outcome {
    call(
        world,
        "PutRolePolicy",
        json!({ "RoleName": "worker", "PolicyName": "inline", "PolicyDocument": document }),
    )
}

fn with_policy(statements: Value) -> World {
    let mut w = with_role();
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    put(&mut w, &document.to_string()).expect("put");
    w
}

#[track_caller]
fn refused(outcome: Outcome, code: &str, message: &str) {
    let error = outcome.expect_err("refused");
    assert_eq!(error.code, code);
    assert!(error.message.contains(message), "{}", error.message);
}

#[track_caller]
fn malformed_trust(statement: &Value, message: &str) {
    refused(create(&mut world(), "worker", &trust(statement)), "MalformedPolicyDocument", message);
}

#[track_caller]
fn malformed_policy(statement: &Value, message: &str) {
    refused(put(&mut with_role(), &trust(statement)), "MalformedPolicyDocument", message);
}

const ARN: &str = "arn:aws:iam::111111111111:role/worker";

#[test]
fn a_role_is_shown_with_its_documents_encoded() {
    let mut w = with_role();
    let got = call(&mut w, "GetRole", json!({ "RoleName": "worker" })).expect("there").value;
    let shown = &got["Role"];
    assert_eq!(shown["Arn"], ARN);
    assert_eq!(shown["Path"], "/");
    assert_eq!(shown["CreateDate"], NOW);
    assert_eq!(shown["RoleId"].as_str().map(str::len), Some(21));
    let document = shown["AssumeRolePolicyDocument"].as_str().expect("text");
    assert!(document.starts_with("%7B%22"), "{document}");
    assert!(document.contains("kafkaconnect.amazonaws.com"), "{document}");
    assert!(!document.contains('+') && !document.contains(' '));
    put(
        &mut w,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#,
    )
    .expect("put");
    let input = json!({ "RoleName": "worker", "PolicyName": "inline" });
    let policy = call(&mut w, "GetRolePolicy", input).expect("there").value;
    assert!(policy["PolicyDocument"].as_str().is_some_and(|d| d.contains("s3%3A%2A")));
}

#[test]
fn a_change_propagates_for_twelve_seconds() {
    let mut w = with_role();
    let first = role(&w, ARN).expect("there");
    assert_eq!((first.created_at, first.propagated_at), (NOW, NOW + 12_000));
    let input = json!({ "RoleName": "worker", "PolicyDocument": trust(&json!({ "Effect": "Allow",
        "Action": "sts:AssumeRole", "Principal": { "Service": "rds.amazonaws.com" } })) });
    (SERVICE.handle)(&mut w, &at(NOW + 60_000), "UpdateAssumeRolePolicy", &input).expect("changed");
    assert_eq!(role(&w, ARN).expect("there").propagated_at, NOW + 72_000);
    // The same document again is no change.
    (SERVICE.handle)(&mut w, &at(NOW + 90_000), "UpdateAssumeRolePolicy", &input).expect("same");
    assert_eq!(role(&w, ARN).expect("there").propagated_at, NOW + 72_000);
    assert!(role(&w, "arn:aws:iam::111111111111:role/other").is_none());
}

#[test]
fn tags_descriptions_and_lists() {
    let mut w = world();
    let input = json!({ "RoleName": "worker", "Path": "/team/", "Description": "d", "MaxSessionDuration": 7200,
        "AssumeRolePolicyDocument": trust(&connect()), "Tags": [{ "Key": "a", "Value": "1" }] });
    let made = call(&mut w, "CreateRole", input).expect("created").value;
    assert_eq!(made["Role"]["Tags"], json!([{ "Key": "a", "Value": "1" }]));
    assert_eq!(made["Role"]["Arn"], "arn:aws:iam::111111111111:role/team/worker");
    call(
        &mut w,
        "TagRole",
        json!({ "RoleName": "worker", "Tags": [{ "Key": "b", "Value": "2" }] }),
    )
    .expect("tagged");
    call(&mut w, "UntagRole", json!({ "RoleName": "worker", "TagKeys": ["a"] })).expect("untagged");
    let tags = call(&mut w, "ListRoleTags", json!({ "RoleName": "worker" })).expect("listed").value;
    assert_eq!(tags, json!({ "IsTruncated": false, "Tags": [{ "Key": "b", "Value": "2" }] }));
    call(&mut w, "UpdateRole", json!({ "RoleName": "worker", "Description": "e" }))
        .expect("updated");
    for n in 0..3 {
        create(&mut w, &format!("role{n}"), &trust(&connect())).expect("created");
    }
    let first = call(&mut w, "ListRoles", json!({ "MaxItems": 3 })).expect("listed").value;
    assert_eq!(first["IsTruncated"], true);
    let rest =
        call(&mut w, "ListRoles", json!({ "Marker": first["Marker"] })).expect("listed").value;
    assert_eq!(rest["Roles"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["Roles"][0]["Description"], "e");
    assert_eq!(rest["Roles"][0]["MaxSessionDuration"], 3600);
    assert!(rest["Roles"][0].get("Tags").is_none());
    let team = call(&mut w, "ListRoles", json!({ "PathPrefix": "/team/" })).expect("listed").value;
    assert_eq!(team["Roles"].as_array().map(Vec::len), Some(1));
    refused(
        call(&mut w, "GetRole", json!({ "RoleName": "x" })),
        "NoSuchEntity",
        "name x cannot be found",
    );
}

#[test]
fn trust_is_decided_by_principal_and_source() {
    let statement = json!({ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "Service": ["kafkaconnect.amazonaws.com"] },
        "Condition": {
            "StringEquals": { "aws:SourceAccount": ACCOUNT },
            "ArnLike": { "AWS:SourceArn": "arn:aws:kafkaconnect:us-east-1:111111111111:connector/orders/*" } } });
    let mut w = world();
    create(&mut w, "worker", &trust(&statement)).expect("created");
    let view = role(&w, ARN).expect("there");
    let source = "arn:aws:kafkaconnect:us-east-1:111111111111:connector/orders/uuid-1";
    assert!(trusts_service(&view, "kafkaconnect.amazonaws.com", ACCOUNT, source));
    assert!(!trusts_service(&view, "kafka.amazonaws.com", ACCOUNT, source));
    assert!(!trusts_service(&view, "kafkaconnect.amazonaws.com", "222222222222", source));
    let other = "arn:aws:kafkaconnect:us-east-1:111111111111:connector/billing/uuid-1";
    assert!(!trusts_service(&view, "kafkaconnect.amazonaws.com", ACCOUNT, other));
}

#[test]
fn a_literal_star_under_string_equals_matches_nothing() {
    let mut statement = connect();
    statement["Condition"] = json!({ "StringEquals": { "aws:SourceAccount": "*" } });
    let mut w = world();
    create(&mut w, "worker", &trust(&statement)).expect("created");
    let view = role(&w, ARN).expect("there");
    assert!(!trusts_service(&view, "kafkaconnect.amazonaws.com", ACCOUNT, "arn:aws:x:y:z:w"));
}

#[test]
fn permissions_have_wildcards_and_denials_win() {
    let w = with_policy(json!([
        { "Effect": "Allow", "Action": ["kafka-cluster:*Topic*", "kafka-cluster:Connect"],
          "Resource": "arn:aws:kafka:us-east-1:111111111111:*/orders/*" },
        { "Effect": "Deny", "Action": "kafka-cluster:DeleteTopic", "Resource": "*" },
        { "Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::plugins/*" },
        { "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
          "Condition": { "StringEquals": { "iam:PassedToService": "kafkaconnect.amazonaws.com" } } },
    ]));
    let view = role(&w, ARN).expect("there");
    let topic = "arn:aws:kafka:us-east-1:111111111111:topic/orders/uuid/shop";
    assert!(permits(&view, "kafka-cluster:CreateTopic", topic));
    assert!(permits(&view, "KAFKA-CLUSTER:connect", topic));
    assert!(!permits(&view, "kafka-cluster:DeleteTopic", topic));
    assert!(!permits(&view, "kafka-cluster:ReadData", topic));
    assert!(!permits(
        &view,
        "kafka-cluster:CreateTopic",
        "arn:aws:kafka:us-east-1:111111111111:topic/other/uuid/shop"
    ));
    assert!(permits(&view, "s3:GetObject", "arn:aws:s3:::plugins/a.zip"));
    assert!(!permits(&view, "iam:GetRole", "arn:aws:s3:::plugins/a.zip"));
    assert!(!permits(&view, "iam:PassRole", "*"));
}

#[test]
fn conditions_in_the_policy_language() {
    use super::policy::{Context, Decision, decide, matches};
    assert!(matches("a*c?e", "abbbcde") && matches("*", "") && matches("a*", "a"));
    assert!(!matches("a?", "a") && !matches("a*b", "abc"));
    let policy = json!({ "Statement": { "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
        "Condition": { "StringLike": { "iam:PassedToService": "kafkaconnect.*" } } } });
    let asked = |service| {
        let context = Context::from([("iam:passedtoservice", service)]);
        decide([&policy].into_iter(), "iam:PassRole", "arn:aws:iam::1:role/x", &context)
    };
    assert_eq!(asked("kafkaconnect.amazonaws.com"), Decision::Allowed);
    assert_eq!(asked("rds.amazonaws.com"), Decision::Silent);
}

#[test]
fn managed_policies_attach_and_detach() {
    let mut w = with_role();
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    let input = json!({ "RoleName": "worker", "PolicyArn": admin });
    call(&mut w, "AttachRolePolicy", input.clone()).expect("attached");
    call(&mut w, "AttachRolePolicy", input.clone()).expect("attached again");
    assert!(permits(&role(&w, ARN).expect("there"), "s3:GetObject", "arn:aws:s3:::x/y"));
    let list = call(&mut w, "ListAttachedRolePolicies", json!({ "RoleName": "worker" }))
        .expect("listed")
        .value;
    assert_eq!(
        list["AttachedPolicies"],
        json!([{ "PolicyName": "AdministratorAccess", "PolicyArn": admin }])
    );
    call(&mut w, "DetachRolePolicy", input.clone()).expect("detached");
    refused(call(&mut w, "DetachRolePolicy", input), "NoSuchEntity", "was not found");
    let none = call(&mut w, "ListInstanceProfilesForRole", json!({ "RoleName": "worker" }))
        .expect("listed")
        .value;
    assert_eq!(none["InstanceProfiles"], json!([]));
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
fn policy_is_json() {
    refused(
        create(&mut world(), "worker", "{"),
        "MalformedPolicyDocument",
        "This policy contains invalid Json",
    );
    refused(put(&mut with_role(), "[]"), "MalformedPolicyDocument", "Syntax errors in policy.");
}

#[test]
fn policy_version_is_known() {
    let document = json!({ "Version": "2013-10-17", "Statement": [connect()] }).to_string();
    refused(create(&mut world(), "worker", &document), "MalformedPolicyDocument", "Syntax errors");
}

#[test]
fn policy_has_statements() {
    refused(
        create(&mut world(), "worker", r#"{"Version":"2012-10-17"}"#),
        "MalformedPolicyDocument",
        "Syntax errors",
    );
    let mut statement = connect();
    statement["Actoin"] = json!("sts:AssumeRole");
    malformed_trust(&statement, "Syntax errors");
}

#[test]
fn effect_is_allow_or_deny() {
    let mut statement = connect();
    statement["Effect"] = json!("allow");
    malformed_trust(&statement, "Syntax errors");
}

#[test]
fn identity_policy_names_no_principal() {
    let statement =
        json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*" });
    malformed_policy(&statement, "should not specify a principal");
}

#[test]
fn identity_policy_names_actions() {
    malformed_policy(&json!({ "Effect": "Allow", "Resource": "*" }), "must contain actions");
    malformed_policy(
        &json!({ "Effect": "Allow", "Action": "Get", "Resource": "*" }),
        "prefaced by a vendor",
    );
}

#[test]
fn identity_policy_names_resources() {
    malformed_policy(&json!({ "Effect": "Allow", "Action": "s3:*" }), "must contain resources");
    malformed_policy(
        &json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "bucket" }),
        "ARN format",
    );
}

#[test]
fn trust_names_a_principal() {
    malformed_trust(
        &json!({ "Effect": "Allow", "Action": "sts:AssumeRole" }),
        "Missing required field Principal",
    );
}

#[test]
fn trust_names_no_resource() {
    let mut statement = connect();
    statement["Resource"] = json!("*");
    malformed_trust(&statement, "Has prohibited field Resource");
}

#[test]
fn trust_actions_are_of_sts() {
    let mut statement = connect();
    statement["Action"] = json!("sts:*");
    malformed_trust(&statement, "may only specify STS AssumeRole actions");
}

#[test]
fn principal_form_is_known() {
    for principal in [
        json!({ "Service": "kafkaconnect" }),
        json!({ "AWS": "someone" }),
        json!({ "Who": "x" }),
        json!("x"),
    ] {
        let mut statement = connect();
        statement["Principal"] = principal;
        malformed_trust(&statement, "Invalid principal in policy");
    }
    for principal in
        [json!("*"), json!({ "AWS": ["111111111111", "arn:aws:iam::111111111111:root"] })]
    {
        let mut statement = connect();
        statement["Principal"] = principal;
        create(&mut world(), "worker", &trust(&statement)).expect("known");
    }
}

#[test]
fn principal_role_is_there() {
    let mut w = with_role();
    let statement =
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ARN } });
    let input = json!({ "RoleName": "second", "AssumeRolePolicyDocument": trust(&statement) });
    refused(
        call(&mut w, "CreateRole", input.clone()),
        "MalformedPolicyDocument",
        "Invalid principal in policy: \"AWS\"",
    );
    (SERVICE.handle)(&mut w, &at(NOW + 12_000), "CreateRole", &input).expect("by now it is known");
}

#[test]
fn trust_is_short_enough() {
    let mut statement = connect();
    statement["Sid"] = json!("x".repeat(2048));
    refused(create(&mut world(), "worker", &trust(&statement)), "LimitExceeded", "ACLSizePerRole");
}

#[test]
fn inline_policies_are_short_enough() {
    let mut w = with_role();
    let document = |size: usize| {
        trust(
            &json!({ "Sid": "x".repeat(size), "Effect": "Allow", "Action": "s3:*", "Resource": "*" }),
        )
    };
    put(&mut w, &document(6000)).expect("fits");
    put(&mut w, &document(9000)).expect("replaces");
    let second =
        json!({ "RoleName": "worker", "PolicyName": "second", "PolicyDocument": document(2000) });
    refused(
        call(&mut w, "PutRolePolicy", second),
        "LimitExceeded",
        "Maximum policy size of 10240 bytes exceeded for role worker",
    );
}

#[test]
fn role_name_is_free() {
    refused(
        create(&mut with_role(), "Worker", &trust(&connect())),
        "EntityAlreadyExists",
        "already exists",
    );
}

#[test]
fn role_has_no_policies() {
    let mut w = with_policy(json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }));
    let delete = json!({ "RoleName": "worker" });
    refused(
        call(&mut w, "DeleteRole", delete.clone()),
        "DeleteConflict",
        "must delete policies first",
    );
    let names = call(&mut w, "ListRolePolicies", delete.clone()).expect("listed").value;
    assert_eq!(names["PolicyNames"], json!(["inline"]));
    call(&mut w, "DeleteRolePolicy", json!({ "RoleName": "worker", "PolicyName": "inline" }))
        .expect("deleted");
    let attach =
        json!({ "RoleName": "worker", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess" });
    call(&mut w, "AttachRolePolicy", attach.clone()).expect("attached");
    refused(
        call(&mut w, "DeleteRole", delete.clone()),
        "DeleteConflict",
        "must detach all policies first",
    );
    call(&mut w, "DetachRolePolicy", attach).expect("detached");
    call(&mut w, "DeleteRole", delete.clone()).expect("deleted");
    refused(call(&mut w, "DeleteRole", delete), "NoSuchEntity", "worker");
    assert!((SERVICE.inventory)(&w, NOW).is_empty());
}

#[test]
fn tags_are_few_enough() {
    let tags: Vec<Value> =
        (0..51).map(|n| json!({ "Key": format!("k{n}"), "Value": "" })).collect();
    refused(
        call(&mut with_role(), "TagRole", json!({ "RoleName": "worker", "Tags": tags })),
        "LimitExceeded",
        "TagsPerRole",
    );
}

#[test]
fn managed_policies_are_few_enough() {
    let mut w = with_role();
    let attach = |w: &mut World, n: u32| {
        call(
            w,
            "AttachRolePolicy",
            json!({ "RoleName": "worker", "PolicyArn": format!("arn:aws:iam::aws:policy/P{n}") }),
        )
    };
    for n in 0..10 {
        attach(&mut w, n).expect("attached");
    }
    refused(attach(&mut w, 10), "LimitExceeded", "PoliciesPerRole");
}

#[test]
fn managed_policy_is_awss() {
    let input =
        json!({ "RoleName": "worker", "PolicyArn": "arn:aws:iam::111111111111:policy/mine" });
    refused(
        call(&mut with_role(), "AttachRolePolicy", input),
        "NoSuchEntity",
        "does not exist or is not attachable",
    );
}

#[test]
fn service_linked_role_is_protected() {
    let mut w = world();
    let made = call(
        &mut w,
        "CreateServiceLinkedRole",
        json!({ "AWSServiceName": "kafkaconnect.amazonaws.com" }),
    );
    let made = made.expect("created").value;
    assert_eq!(made["Role"]["Path"], "/aws-service-role/kafkaconnect.amazonaws.com/");
    let delete = json!({ "RoleName": "AWSServiceRoleForKafkaConnect" });
    refused(call(&mut w, "DeleteRole", delete), "UnmodifiableEntity", "only modifiable by AWS");
    let unknown = json!({ "AWSServiceName": "x.amazonaws.com" });
    refused(call(&mut w, "CreateServiceLinkedRole", unknown), "InvalidInput", "template");
}

#[test]
fn service_linked_role_is_new() {
    let mut w = world();
    let input = json!({ "AWSServiceName": "kafka.amazonaws.com" });
    call(&mut w, "CreateServiceLinkedRole", input.clone()).expect("created");
    refused(
        call(&mut w, "CreateServiceLinkedRole", input),
        "InvalidInput",
        "has been taken in this account",
    );
}
