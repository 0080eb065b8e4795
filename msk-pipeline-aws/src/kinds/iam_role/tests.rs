//! What `calls` says to every difference.

use msk_pipeline_core::kind::Input;
use serde_json::json;

use super::*;
use crate::kinds::testing::{mark, ops};

fn want() -> Props {
    Props {
        name: "p-mysql".into(),
        description: "runs a connector".into(),
        trust: json!({ "Version": "2012-10-17", "Statement": [] }),
        policy_name: "connector".into(),
        policy: vec![Statement::allow("Read", &["s3:GetObject"], [Scope::Arn("arn:x".into())])],
        permissions_boundary: None,
        tags: Tags::from([("Team".into(), "data".into())]),
    }
}

fn seen() -> Seen {
    Seen {
        name: "p-mysql".into(),
        arn: "arn:aws:iam::1:role/p-mysql".into(),
        description: "runs a connector".into(),
        trust: want().trust,
        permissions_boundary: None,
        tags: marked(&want().tags, &mark()),
        inline: BTreeMap::from([("connector".into(), policy::document(&want().policy).unwrap())]),
        attached: Vec::new(),
        profiles: Vec::new(),
    }
}

fn next(want: Option<Props>, seen: Option<Seen>) -> Next<Call, Outputs> {
    let session = crate::kinds::testing::session();
    let case = Case { want, seen, was: None, pursuit: None, mark: mark() };
    IamRole::new(&session).calls(&case)
}

#[test]
fn every_difference_has_its_call() {
    let with = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen();
        change(&mut seen);
        ops(&next(Some(want()), Some(seen)))
    };
    assert_eq!(ops(&next(Some(want()), None)), "CreateRole, PutRolePolicy");
    assert_eq!(with(&|_| ()), "converged");
    assert_eq!(with(&|s| s.trust = json!({})), "UpdateAssumeRolePolicy");
    assert_eq!(with(&|s| s.inline.clear()), "PutRolePolicy");
    let other = |s: &mut Seen| drop(s.inline.insert("more".into(), json!({})));
    assert_eq!(with(&other), "DeleteRolePolicy");
    assert_eq!(with(&|s| s.attached.push("arn:p".into())), "DetachRolePolicy");
    assert_eq!(with(&|s| s.description.clear()), "UpdateRole");
    assert_eq!(
        with(&|s| s.permissions_boundary = Some("arn:b".into())),
        "DeleteRolePermissionsBoundary"
    );
    assert_eq!(with(&|s| drop(s.tags.remove("Team"))), "TagRole");
    assert_eq!(with(&|s| drop(s.tags.insert("X".into(), "y".into()))), "UntagRole");

    let mut pending = want();
    let bucket = Input::output("plugins.bucket", "bucket_arn");
    pending.policy[0].resources = vec![Scope::within(bucket, "/*")];
    assert_eq!(ops(&next(Some(pending), Some(seen()))), "PutRolePolicy", "may differ");
    let bound = Props { permissions_boundary: Some("arn:b".into()), ..want() };
    assert_eq!(ops(&next(Some(bound), Some(seen()))), "PutRolePermissionsBoundary");
}

#[test]
fn a_role_is_emptied_before_it_is_deleted() {
    assert_eq!(ops(&next(None, None)), "gone");
    let attached = Seen { attached: vec!["arn:p".into()], ..seen() };
    assert_eq!(ops(&next(None, Some(attached))), "DeleteRolePolicy, DetachRolePolicy, DeleteRole");
    let used = Seen { profiles: vec!["ec2".into()], ..seen() };
    assert_eq!(ops(&next(None, Some(used))), "refuse");
}
