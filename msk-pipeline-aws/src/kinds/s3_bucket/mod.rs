//! `aws.s3.bucket`: a private, encrypted bucket with its settings.
//!
//! # Guarantees
//! The mark travels as tags in the body of the create call. Every setting is absolute: public access is blocked, the bucket's owner
//! owns everything in it, encryption, versioning and lifecycle are what was declared. The bucket policy is left alone: log delivery
//! writes its own statement there. Only a bucket of ours is ever emptied, and what that does to data is said by what it holds.
//! # Caveats
//! The default encryption may block encryption types (`BlockedEncryptionTypes`); that is not compared. In us-east-1 a repeated create of
//! a bucket that the account has already answers 200 and marks nothing: the mark that is read back decides, as everywhere.
//! Emptying counts at most one page of versions: `1000 or more`. AWS advises to wait up to 15 minutes between switching versioning on
//! and the first write; that is not waited for, an object without a version is written again only if its contents change.
//! # Sources
//! Handbook aws.md §6.

mod observe;
mod perform;

use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change, DataEffect, Effect, Guard, Kind, Mark, MarkSeen, Next, Proposed, Sent,
    Target, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

/// The kind.
pub struct S3Bucket {
    s3: aws_sdk_s3::Client,
    region: String,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The bucket's name, unique in the world.
    pub name: String,
    /// What is in it, as far as deleting it matters.
    #[serde(default)]
    pub holds: Holds,
    /// How objects are encrypted unless they say otherwise.
    #[serde(default)]
    pub encryption: Encryption,
    /// Whether old versions are kept.
    #[serde(default)]
    pub versioning: bool,
    /// After how many days versions that are not the newest go.
    #[serde(default)]
    pub noncurrent_days: Option<i32>,
    /// After how many days unfinished uploads go.
    #[serde(default)]
    pub abort_uploads_days: Option<i32>,
    /// The user's tags.
    #[serde(default)]
    pub tags: Tags,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Archives that are made again whenever they are needed.
    #[default]
    Artifacts,
    /// What nobody can make again: logs.
    Logs,
}

/// Default encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Keys of S3.
    #[default]
    Aes256,
    /// A key of KMS, by id, ARN or alias.
    Kms(String),
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    name: String,
    arn: String,
    tags: Tags,
    /// Whether all four kinds of public access are blocked.
    blocked: bool,
    /// `BucketOwnerEnforced`, or empty.
    ownership: String,
    /// `None` for one that is not known here.
    encryption: Option<Encryption>,
    versioning: bool,
    lifecycle: Vec<Rule>,
    /// Versions and delete markers on the first page, and whether there are more.
    versions: (usize, bool),
    /// Unfinished uploads on the first page.
    uploads: usize,
}

impl Seen {
    /// The default encryption, if it is one that is known here.
    pub(crate) fn encryption(&self) -> Option<&Encryption> {
        self.encryption.as_ref()
    }

    /// True if it has lifecycle rules, whatever they are.
    pub(crate) fn has_lifecycle(&self) -> bool {
        !self.lifecycle.is_empty()
    }
}

/// A lifecycle rule, as far as ours go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    id: String,
    enabled: bool,
    noncurrent_days: Option<i32>,
    abort_uploads_days: Option<i32>,
    /// It does something else, or not for every object.
    other: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The bucket's name.
    pub bucket_name: String,
    /// The bucket's ARN.
    pub bucket_arn: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the request's own arguments")]
pub enum Call {
    /// `CreateBucket`
    Create { bucket: String, location: Option<String>, tags: Tags },
    /// `PutPublicAccessBlock`: everything is blocked.
    BlockPublicAccess { bucket: String },
    /// `PutBucketOwnershipControls`: the owner owns everything.
    EnforceOwnership { bucket: String },
    /// `PutBucketEncryption`
    SetEncryption { bucket: String, encryption: Encryption },
    /// `PutBucketVersioning`
    SetVersioning { bucket: String, enabled: bool },
    /// `PutBucketLifecycleConfiguration`
    SetLifecycle { bucket: String, noncurrent_days: Option<i32>, abort_uploads_days: Option<i32> },
    /// `DeleteBucketLifecycle`
    RemoveLifecycle { bucket: String },
    /// `PutBucketTagging`: all of them.
    SetTags { bucket: String, tags: Tags },
    /// `AbortMultipartUpload` for one unfinished upload: the first.
    AbortUpload { bucket: String },
    /// `DeleteObjects` for the first thousand versions and delete markers.
    DeleteVersions { bucket: String },
    /// `DeleteBucket`
    Delete { bucket: String },
}

impl S3Bucket {
    /// The output with the bucket's name.
    pub const BUCKET_NAME: &'static str = "bucket_name";
    /// The output with the bucket's ARN.
    pub const BUCKET_ARN: &'static str = "bucket_arn";
    /// The id of the one lifecycle rule.
    const RULE: &'static str = "msk-pipeline";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { s3: session.s3.clone(), region: session.region().to_owned() }
    }
}

#[async_trait]
impl Kind for S3Bucket {
    const TYPE: &'static str = "aws.s3.bucket";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn visibility() -> Duration {
        // Buckets are listed at once; their settings may take a moment.
        Duration::from_mins(1)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        self.look(&target.props.name).await
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let holds = || case.was.as_ref().map(|w| w.props.holds).unwrap_or_default();
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => delete(seen, holds()),
            (Some(want), None) => Next::Calls(self.create(want, &case.mark)),
            (Some(want), Some(seen)) => update(want, seen, &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        self.send(call).await?;
        Ok(Sent::default())
    }
}

impl S3Bucket {
    fn create(&self, want: &Props, mark: &Mark) -> Vec<Proposed<Call>> {
        let call = Call::Create {
            bucket: want.name.clone(),
            // The region that names no location (handbook aws.md §6).
            location: Some(self.region.clone()).filter(|r| r != "us-east-1"),
            tags: marked(&want.tags, mark),
        };
        let create = Proposed::new("s3:CreateBucket", Effect::Create, call)
            .fields([Change::new("name", None::<()>, Some(&want.name))])
            .may_change(&[Self::BUCKET_NAME, Self::BUCKET_ARN]);
        // What a new bucket is like since April 2023. What else it may be like is listed as conditional.
        let fresh = Seen {
            name: want.name.clone(),
            arn: String::new(),
            tags: marked(&want.tags, mark),
            blocked: false,
            ownership: ENFORCED.into(),
            encryption: None,
            versioning: false,
            lifecycle: Vec::new(),
            versions: (0, false),
            uploads: 0,
        };
        let settings = settings(want, &fresh).into_iter().map(|proposed| match proposed.call {
            Call::BlockPublicAccess { .. } => proposed.only_if("new buckets are not private"),
            Call::SetEncryption { encryption: Encryption::Aes256, .. } => {
                proposed.only_if("new buckets are encrypted otherwise")
            }
            _ => proposed,
        });
        std::iter::once(create).chain(settings).collect()
    }
}

const ENFORCED: &str = "BucketOwnerEnforced";

fn update(want: &Props, seen: &Seen, mark: &Mark) -> Next<Call, Outputs> {
    let mut calls = settings(want, seen);
    let tags = marked(&want.tags, mark);
    let diff = TagDiff::between(&seen.tags, &tags);
    if diff != TagDiff::default() {
        let call = Call::SetTags { bucket: want.name.clone(), tags };
        calls.push(
            Proposed::new("s3:PutBucketTagging", Effect::Update, call)
                .fields(diff.set_fields(&seen.tags))
                .fields(diff.remove_fields(&seen.tags)),
        );
    }
    if calls.is_empty() {
        return Next::Converged(Outputs {
            bucket_name: seen.name.clone(),
            bucket_arn: seen.arn.clone(),
        });
    }
    Next::Calls(calls)
}

/// The settings that differ, in the handbook's order.
pub(crate) fn settings(want: &Props, seen: &Seen) -> Vec<Proposed<Call>> {
    let bucket = || want.name.clone();
    let propose = |op: &str, call: Call, field: Change| {
        Proposed::new(op, Effect::Update, call).fields([field])
    };
    let mut calls = Vec::new();
    if !seen.blocked {
        calls.push(propose(
            "s3:PutPublicAccessBlock",
            Call::BlockPublicAccess { bucket: bucket() },
            Change::new("public_access", Some("allowed"), Some("blocked")),
        ));
    }
    if seen.ownership != ENFORCED {
        calls.push(propose(
            "s3:PutBucketOwnershipControls",
            Call::EnforceOwnership { bucket: bucket() },
            Change::new("ownership", Some(&seen.ownership), Some(ENFORCED)),
        ));
    }
    if seen.encryption.as_ref() != Some(&want.encryption) {
        calls.push(propose(
            "s3:PutBucketEncryption",
            Call::SetEncryption { bucket: bucket(), encryption: want.encryption.clone() },
            Change::new("encryption", seen.encryption.as_ref(), Some(&want.encryption)),
        ));
    }
    if seen.versioning != want.versioning {
        calls.push(propose(
            "s3:PutBucketVersioning",
            Call::SetVersioning { bucket: bucket(), enabled: want.versioning },
            Change::new("versioning", Some(seen.versioning), Some(want.versioning)),
        ));
    }
    let rules = rules(want);
    if seen.lifecycle != rules {
        let field = Change::new("lifecycle", Some(&seen.lifecycle), Some(&rules));
        calls.push(if rules.is_empty() {
            let call = Call::RemoveLifecycle { bucket: bucket() };
            propose("s3:DeleteBucketLifecycle", call, field)
        } else {
            let call = Call::SetLifecycle {
                bucket: bucket(),
                noncurrent_days: want.noncurrent_days,
                abort_uploads_days: want.abort_uploads_days,
            };
            propose("s3:PutBucketLifecycleConfiguration", call, field)
        });
    }
    calls
}

fn rules(want: &Props) -> Vec<Rule> {
    let Props { noncurrent_days, abort_uploads_days, .. } = *want;
    let rule = Rule {
        id: S3Bucket::RULE.into(),
        enabled: true,
        noncurrent_days,
        abort_uploads_days,
        other: false,
    };
    (noncurrent_days.or(abort_uploads_days).is_some()).then_some(rule).into_iter().collect()
}

/// The way to nothing. What is not needed now, but will be if something arrives in the meantime, stands behind the deletion: the
/// deletion fails as long as the bucket is not empty, and then it is needed and listed.
fn delete(seen: &Seen, holds: Holds) -> Next<Call, Outputs> {
    let bucket = || seen.name.clone();
    let count = match seen.versions {
        (n, false) => n.to_string(),
        (n, true) => format!("{n} or more"),
    };
    let effect = |what: String| match holds {
        Holds::Artifacts => DataEffect::NONE,
        Holds::Logs => DataEffect::new(Verdict::Lost, what),
    };
    let abort = || {
        let call = Call::AbortUpload { bucket: bucket() };
        Proposed::new("s3:AbortMultipartUpload", Effect::Update, call).repeats()
    };
    let empty = |what: String| {
        let call = Call::DeleteVersions { bucket: bucket() };
        Proposed::new("s3:DeleteObjects", Effect::Update, call).data(effect(what)).repeats()
    };
    let delete =
        Proposed::new("s3:DeleteBucket", Effect::Delete, Call::Delete { bucket: bucket() });
    let mut calls = Vec::new();
    if seen.uploads > 0 {
        calls.push(abort());
    }
    if seen.versions.0 > 0 {
        let what = format!("{count} objects and versions in bucket {}", seen.name);
        calls.push(empty(what).only_if("they are still there"));
    }
    calls.push(delete);
    if seen.uploads == 0 {
        calls.push(abort().only_if("an upload is begun by then"));
    }
    if seen.versions.0 == 0 {
        let what = format!("objects that arrive in bucket {}", seen.name);
        calls.push(empty(what).only_if("objects arrive by then"));
    }
    Next::Calls(calls)
}

#[cfg(test)]
mod tests;
