//! What `calls` says to every difference.

use msk_pipeline_core::kind::Recorded;

use super::*;
use crate::kinds::testing::{mark, ops, session};

fn want() -> Props {
    Props {
        name: "p-plugins".into(),
        holds: Holds::Artifacts,
        encryption: Encryption::Aes256,
        versioning: true,
        noncurrent_days: Some(30),
        abort_uploads_days: Some(1),
        tags: Tags::new(),
    }
}

fn seen() -> Seen {
    Seen {
        name: "p-plugins".into(),
        arn: "arn:aws:s3:::p-plugins".into(),
        tags: marked(&Tags::new(), &mark()),
        blocked: true,
        ownership: ENFORCED.into(),
        encryption: Some(Encryption::Aes256),
        versioning: true,
        lifecycle: rules(&want()),
        versions: (0, false),
        uploads: 0,
    }
}

fn next(want: Option<Props>, seen: Option<Seen>) -> Next<Call, Outputs> {
    let case = Case { want, seen, was: None, pursuit: None, mark: mark() };
    S3Bucket::new(&session()).calls(&case)
}

#[test]
fn every_difference_has_its_call() {
    let with = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen();
        change(&mut seen);
        ops(&next(Some(want()), Some(seen)))
    };
    assert_eq!(with(&|_| ()), "converged");
    assert_eq!(with(&|s| s.blocked = false), "PutPublicAccessBlock");
    assert_eq!(with(&|s| s.ownership.clear()), "PutBucketOwnershipControls");
    assert_eq!(with(&|s| s.encryption = None), "PutBucketEncryption");
    assert_eq!(with(&|s| s.versioning = false), "PutBucketVersioning");
    assert_eq!(with(&|s| s.lifecycle.clear()), "PutBucketLifecycleConfiguration");
    assert_eq!(with(&|s| drop(s.tags.insert("x".into(), "y".into()))), "PutBucketTagging");
    let plain = Props { noncurrent_days: None, abort_uploads_days: None, ..want() };
    assert_eq!(ops(&next(Some(plain), Some(seen()))), "DeleteBucketLifecycle");
}

#[test]
fn a_create_lists_everything_and_names_the_location() {
    let Next::Calls(calls) = next(Some(want()), None) else { panic!() };
    let listed: Vec<_> = calls.iter().map(|c| (c.op.as_str(), c.only_if.is_some())).collect();
    assert_eq!(
        listed,
        [
            ("s3:CreateBucket", false),
            ("s3:PutPublicAccessBlock", true),
            ("s3:PutBucketEncryption", true),
            ("s3:PutBucketVersioning", false),
            ("s3:PutBucketLifecycleConfiguration", false),
        ]
    );
    let Call::Create { location, tags, .. } = &calls[0].call else { panic!() };
    assert_eq!(location.as_deref(), Some("eu-west-1"));
    assert!(tags.contains_key(Mark::LINEAGE));
    let home = S3Bucket { region: "us-east-1".into(), ..S3Bucket::new(&session()) };
    let Call::Create { location, .. } = &home.create(&want(), &mark())[0].call else { panic!() };
    assert_eq!(*location, None);
}

#[test]
fn a_bucket_is_emptied_and_says_what_is_lost() {
    let delete = |holds: Holds, versions, uploads| {
        let seen = Seen { versions, uploads, ..seen() };
        let props = Props { holds, ..want() };
        let was = Recorded {
            props,
            outputs: Some(Outputs { bucket_name: String::new(), bucket_arn: String::new() }),
        };
        let case =
            Case { want: None, seen: Some(seen), was: Some(was), pursuit: None, mark: mark() };
        ops(&S3Bucket::new(&session()).calls(&case))
    };
    assert_eq!(
        delete(Holds::Artifacts, (0, false), 0),
        "DeleteBucket, AbortMultipartUpload?, DeleteObjects?"
    );
    assert_eq!(
        delete(Holds::Artifacts, (2, false), 1),
        "AbortMultipartUpload, DeleteObjects?, DeleteBucket"
    );
    assert_eq!(
        delete(Holds::Logs, (1000, true), 0),
        "DeleteObjects? lost, DeleteBucket, AbortMultipartUpload?"
    );
    assert_eq!(ops(&next(None, None)), "gone");
}
