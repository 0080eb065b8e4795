//! The bucket that state is kept in: made, or made fit.

use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_core::state::{Pin, StoreError};

use super::S3Place;
use crate::error::classify;
use crate::kinds::s3_bucket::{Call, Holds, Props, S3Bucket, settings};
use crate::session::Session;
use crate::tags::Tags;

/// For how long versions that were replaced are kept: leases are rewritten twice a minute.
const NONCURRENT_DAYS: i32 = 30;

/// What was done to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The requests that were needed, by their names; none if all was as it should be.
    pub done: Vec<&'static str>,
    /// True if the bucket has a policy of its own, which was left alone: whether it refuses requests without TLS was not checked.
    pub own_policy: bool,
}

/// Makes the bucket of `place`, or what is missing of it: versions kept, contents encrypted, no public access, one owner, requests
/// without TLS refused, replaced versions deleted after thirty days. A key, a policy and lifecycle rules that it has are left alone.
/// Repeating it does nothing.
///
/// # Errors
/// The bucket belongs to another account, which is told apart from one that doesn't exist and is not touched; or S3 refused.
pub async fn make_ready(
    session: &Session,
    place: &S3Place,
    pin: &Pin,
) -> Result<Readiness, StoreError> {
    let failed = |error: &CallError| {
        StoreError::Remote {
        action: "preparing",
        place: place.to_string(),
        why: error.to_string(),
        help: match error.class {
            Class::Denied | Class::AlreadyExists => {
                "the name is taken by another account, or the caller may not manage buckets: bucket names are unique in the world"
                    .into()
            }
            _ => super::help(error).to_owned(),
        },
    }
    };
    ready(session, place.bucket(), pin).await.map_err(|error| failed(&error))
}

async fn ready(session: &Session, bucket: &str, pin: &Pin) -> Result<Readiness, CallError> {
    let mut done = Vec::new();
    if !exists(session, bucket, &pin.account).await? {
        let location = Some(pin.region.clone()).filter(|r| r != "us-east-1");
        let tags = Tags::from([("msk-pipeline".to_owned(), "state".to_owned())]);
        let call = Call::Create { bucket: bucket.to_owned(), location, tags };
        S3Bucket::new(session).send(&call).await?;
        done.push("s3:CreateBucket");
        // In us-east-1 a create of a bucket that somebody else has just made answers an error, and one of our own does not.
        if !exists(session, bucket, &pin.account).await? {
            let message = "it was made and is not there";
            return Err(CallError::new(Class::NotFound, "s3:HeadBucket", message));
        }
    }
    let kind = S3Bucket::new(session);
    let Some(seen) = kind.look(bucket).await? else {
        return Err(CallError::new(Class::NotFound, "s3:HeadBucket", "it is gone again"));
    };
    let want = Props {
        name: bucket.to_owned(),
        holds: Holds::Logs,
        encryption: seen.encryption().cloned().unwrap_or_default(),
        versioning: true,
        noncurrent_days: Some(NONCURRENT_DAYS),
        abort_uploads_days: None,
        tags: Tags::new(),
    };
    for proposed in settings(&want, &seen) {
        if matches!(proposed.call, Call::SetLifecycle { .. }) && seen.has_lifecycle() {
            continue;
        }
        kind.send(&proposed.call).await?;
        done.push(match &proposed.call {
            Call::BlockPublicAccess { .. } => "s3:PutPublicAccessBlock",
            Call::EnforceOwnership { .. } => "s3:PutBucketOwnershipControls",
            Call::SetEncryption { .. } => "s3:PutBucketEncryption",
            Call::SetVersioning { .. } => "s3:PutBucketVersioning",
            _ => "s3:PutBucketLifecycleConfiguration",
        });
    }
    let policy = tls_only(bucket, &pin.partition);
    let found = policy_of(session, bucket, &pin.account).await?;
    let own_policy = found.as_ref().is_some_and(|found| *found != policy);
    if found.is_none() {
        session
            .s3
            .put_bucket_policy()
            .bucket(bucket)
            .expected_bucket_owner(&pin.account)
            .policy(policy.to_string())
            .send()
            .await
            .map_err(|e| classify("s3:PutBucketPolicy", e))?;
        done.push("s3:PutBucketPolicy");
    }
    Ok(Readiness { done, own_policy })
}

async fn exists(session: &Session, bucket: &str, owner: &str) -> Result<bool, CallError> {
    let head = session.s3.head_bucket().bucket(bucket).expected_bucket_owner(owner).send().await;
    match head.map_err(|e| classify("s3:HeadBucket", e)) {
        Ok(_) => Ok(true),
        Err(error) if error.class == Class::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn policy_of(
    session: &Session,
    bucket: &str,
    owner: &str,
) -> Result<Option<serde_json::Value>, CallError> {
    const OP: &str = "s3:GetBucketPolicy";
    let answer =
        session.s3.get_bucket_policy().bucket(bucket).expected_bucket_owner(owner).send().await;
    match answer.map_err(|e| classify(OP, e)) {
        Ok(answer) => {
            let text = answer.policy().unwrap_or_default();
            let policy = serde_json::from_str(text);
            policy.map(Some).map_err(|e| CallError::new(Class::Invalid, OP, e.to_string()))
        }
        Err(error) if error.class == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses every request that does not come over TLS (page 'Security best practices for Amazon S3', S3 user guide).
fn tls_only(bucket: &str, partition: &str) -> serde_json::Value {
    let arn = format!("arn:{partition}:s3:::{bucket}");
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, format!("{arn}/*")],
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }],
    })
}
