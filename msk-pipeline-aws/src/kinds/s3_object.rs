//! `aws.s3.object`: a file in a bucket, under a key that contains the digest of its contents.
//!
//! # Guarantees
//! The object is written only where none is (`If-None-Match: *`), S3 checks its SHA-256 on arrival, and what was written is read back.
//! It is ours through its bucket, its key and the digest in its metadata (`x-amz-meta-sha256`): an object under that key with another
//! digest is somebody else's. Other contents have another key: the new object is written first and the old one deleted last.
//! # Caveats
//! One `PutObject` takes up to 5 GiB, and one request either writes the whole object or nothing: no multipart upload is needed for
//! plugin archives (MSK Connect has a limit far below), and none can be left half-done.
//! # Sources
//! Handbook aws.md §6 (conditional writes, checksums, plugin archives, emptying).

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, DataEffect, Effect, Guard, Input, Kind, MarkSeen, Next,
    Proposed, Sent, Status, Succession, Target,
};
use serde::{Deserialize, Serialize};

use crate::error::{absent, built, classify};
use crate::session::Session;
use crate::{Artifact, Artifacts};

/// How long an upload may take: a slow line takes minutes for a plugin archive. Whenever it arrives it is harmless: its key is its
/// contents' digest, and it must not exist yet.
const UPLOAD: Duration = Duration::from_mins(30);

/// The kind.
pub struct S3Object {
    s3: aws_sdk_s3::Client,
    region: String,
    artifacts: Artifacts,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The bucket.
    pub bucket: Input<String>,
    /// The key; contains the digest.
    pub key: String,
    /// SHA-256 of the contents, lower-case hexadecimal.
    pub sha256: String,
    /// The length of the contents in bytes.
    pub size: u64,
    /// The media type.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    bucket: String,
    key: String,
    /// The object that a reader gets; none if a delete marker hides it.
    current: Option<Current>,
}

/// The newest version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Current {
    version_id: String,
    sha256: String,
    size: u64,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The bucket's ARN.
    pub bucket_arn: String,
    /// The key.
    pub key: String,
    /// The version; `null` in a bucket without versions.
    pub version_id: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the request's own arguments")]
pub enum Call {
    /// `PutObject`
    Put {
        bucket: Input<String>,
        key: String,
        sha256: String,
        size: u64,
        content_type: Option<String>,
    },
    /// `DeleteObjects` for every version of the key.
    Delete { bucket: String, key: String },
}

impl S3Object {
    /// The metadata with the digest.
    const SHA256: &'static str = "sha256";
    /// The most that one `PutObject` takes.
    const LIMIT: u64 = 5 << 30;

    /// The kind on a session's clients; contents come from `artifacts`.
    pub fn new(session: &Session, artifacts: &Artifacts) -> Self {
        let region = session.s3.config().region().map(ToString::to_string).unwrap_or_default();
        Self { s3: session.s3.clone(), region, artifacts: artifacts.clone() }
    }

    async fn look(&self, bucket: &str, key: &str) -> Result<Option<Seen>, CallError> {
        let head = self.s3.head_object().bucket(bucket).key(key).send().await;
        let head = absent(head.map_err(|e| classify("s3:HeadObject", e)))?;
        let current = head.map(|head| Current {
            version_id: head.version_id().unwrap_or("null").to_owned(),
            sha256: head.metadata().and_then(|m| m.get(Self::SHA256)).cloned().unwrap_or_default(),
            size: head.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
        });
        if current.is_none() && versions(&self.s3, bucket, Some(key)).await?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Seen { bucket: bucket.to_owned(), key: key.to_owned(), current }))
    }
}

#[async_trait]
impl Kind for S3Object {
    const TYPE: &'static str = "aws.s3.object";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.key.clone()
    }

    fn succession() -> Succession {
        Succession::CreateFirst
    }

    fn visibility() -> Duration {
        // S3 shows what was written at once.
        Duration::from_secs(10)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let key = &target.props.key;
        let wanted = target.props.bucket.known();
        if let Some(bucket) = wanted
            && let Some(seen) = self.look(bucket, key).await?
        {
            return Ok(Some(seen));
        }
        // An object whose bucket is about to change is still looked for where it is.
        let recorded = target.was.as_ref().and_then(|w| w.props.bucket.known());
        match recorded.filter(|bucket| Some(*bucket) != wanted) {
            Some(bucket) => self.look(bucket, key).await,
            None => Ok(None),
        }
    }

    fn mark(seen: &Seen) -> MarkSeen {
        match &seen.current {
            Some(current) if !seen.key.contains(&current.sha256) || current.sha256.is_empty() => {
                MarkSeen::Absent
            }
            _ => MarkSeen::ByParent,
        }
    }

    fn status(seen: &Seen) -> Option<Status> {
        seen.current.is_some().then(Status::exists)
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => {
                let call = Call::Delete { bucket: seen.bucket.clone(), key: seen.key.clone() };
                Next::Calls(vec![Proposed::new("s3:DeleteObjects", Effect::Delete, call)])
            }
            (Some(want), None) => create(want),
            (Some(want), Some(seen)) => self.compare(want, seen),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Put { bucket, key, sha256, content_type, .. } => {
                const OP: &str = "s3:PutObject";
                let Some(artifact) = self.artifacts.0.get(sha256) else {
                    let missing = format!("the file with SHA-256 {sha256} is not on this machine");
                    return Err(CallError::new(Class::Invalid, OP, missing));
                };
                let body = match artifact {
                    Artifact::Bytes(bytes) => ByteStream::from(bytes.clone()),
                    Artifact::File(path) => ByteStream::from_path(path).await.map_err(|error| {
                        let text = format!("{} can't be read: {error}", path.display());
                        CallError::new(Class::Invalid, OP, text)
                    })?,
                };
                self.s3
                    .put_object()
                    .set_bucket(bucket.known().cloned())
                    .key(key)
                    .if_none_match("*")
                    .metadata(Self::SHA256, sha256)
                    .checksum_sha256(BASE64.encode(bytes(sha256)))
                    .set_content_type(content_type.clone())
                    .body(body)
                    .customize()
                    // The session's limit is for small requests; a slow line takes minutes for a plugin archive.
                    .config_override(aws_sdk_s3::config::Config::builder().timeout_config(
                        TimeoutConfig::builder().operation_attempt_timeout(UPLOAD).build(),
                    ))
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::Delete { bucket, key } => delete_versions(&self.s3, bucket, Some(key)).await?,
        }
        Ok(Sent::default())
    }
}

impl S3Object {
    fn compare(&self, want: &Props, seen: &Seen) -> Next<Call, Outputs> {
        let replace =
            |because: &str| Next::Replace { because: because.to_owned(), effect: DataEffect::NONE };
        if want.bucket.differs(&seen.bucket) {
            return replace("an object can't be moved to another bucket");
        }
        match &seen.current {
            // Hidden by a delete marker: it is written again.
            None => create(want),
            Some(current) if current.sha256 != want.sha256 || current.size != want.size => {
                replace("its contents are not what the key says")
            }
            Some(current) => Next::Converged(Outputs {
                bucket_arn: format!("arn:{}:s3:::{}", super::partition(&self.region), seen.bucket),
                key: seen.key.clone(),
                version_id: current.version_id.clone(),
            }),
        }
    }
}

fn create(want: &Props) -> Next<Call, Outputs> {
    if want.size > S3Object::LIMIT {
        return Next::Refuse {
            because: format!("{} bytes are more than one upload takes (5 GiB)", want.size),
            help: "use a smaller plugin".into(),
        };
    }
    let call = Call::Put {
        bucket: want.bucket.clone(),
        key: want.key.clone(),
        sha256: want.sha256.clone(),
        size: want.size,
        content_type: want.content_type.clone(),
    };
    let put = Proposed::new("s3:PutObject", Effect::Create, call)
        .fields([
            Change::new("key", None::<()>, Some(&want.key)),
            Change::new("size", None::<()>, Some(want.size)),
        ])
        .may_change(&["bucket_arn", "key", "version_id"])
        // At ten megabytes a second.
        .usual(Duration::from_secs(want.size / 10_000_000))
        .longest(UPLOAD);
    Next::Calls(vec![put])
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| hex.get(at..at + 2).and_then(|h| u8::from_str_radix(h, 16).ok());
    (0..hex.len()).step_by(2).filter_map(digit).collect()
}

/// The first thousand versions and delete markers of a bucket, or of one key in it.
async fn versions(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    key: Option<&str>,
) -> Result<Vec<(String, String)>, CallError> {
    let answer = s3.list_object_versions().bucket(bucket).set_prefix(key.map(str::to_owned)).send();
    let answer = answer.await.map_err(|e| classify("s3:ListObjectVersions", e));
    let Some(page) = absent(answer)? else { return Ok(Vec::new()) };
    let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
    let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
    let found = versions.chain(markers).filter_map(|(k, id)| Some((k?.to_owned(), id?.to_owned())));
    Ok(found.filter(|(k, _)| key.is_none_or(|key| k == key)).collect())
}

/// Deletes the first thousand versions and delete markers of a bucket, or of one key in it, with one request.
pub(super) async fn delete_versions(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    key: Option<&str>,
) -> Result<(), CallError> {
    const OP: &str = "s3:DeleteObjects";
    let found = versions(s3, bucket, key).await?;
    if found.is_empty() {
        return Ok(());
    }
    let objects: Result<Vec<_>, _> = found
        .into_iter()
        .map(|(key, id)| built(OP, ObjectIdentifier::builder().key(key).version_id(id).build()))
        .collect();
    let delete = Delete::builder().set_objects(Some(objects?)).quiet(true).build();
    let answer = s3
        .delete_objects()
        .bucket(bucket)
        .delete(built(OP, delete)?)
        .send()
        .await
        .map_err(|e| classify(OP, e))?;
    // The answer is 200 also when single objects were refused.
    match answer.errors().first() {
        None => Ok(()),
        Some(error) => {
            let code = error.code().unwrap_or_default();
            let class = match code {
                "AccessDenied" => Class::Denied,
                "SlowDown" => Class::Throttled,
                "InternalError" => Class::Unknown,
                _ => Class::Invalid,
            };
            let what = error.message().unwrap_or_default();
            let message = format!("{}: {what}", error.key().unwrap_or_default());
            Err(CallError { code: Some(code.to_owned()), ..CallError::new(class, OP, message) })
        }
    }
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Recorded;

    use super::*;
    use crate::kinds::testing::{mark, ops, session};

    const SHA: &str = "00ff";

    fn want() -> Props {
        Props {
            bucket: "b".into(),
            key: format!("plugins/{SHA}.zip"),
            sha256: SHA.into(),
            size: 3,
            content_type: None,
        }
    }

    fn seen(sha256: &str, size: u64) -> Seen {
        let current = Current { version_id: "v1".into(), sha256: sha256.into(), size };
        Seen { bucket: "b".into(), key: want().key, current: Some(current) }
    }

    fn next(want: Option<Props>, seen: Option<Seen>) -> String {
        let was: Option<Recorded<Props, Outputs>> = None;
        let case = Case { want, seen, was, pursuit: None, mark: mark() };
        ops(&S3Object::new(&session(), &Artifacts::default()).calls(&case))
    }

    #[test]
    fn every_difference_has_its_call() {
        assert_eq!(next(Some(want()), None), "PutObject");
        assert_eq!(next(Some(want()), Some(seen(SHA, 3))), "converged");
        assert_eq!(next(Some(want()), Some(seen(SHA, 4))), "replace");
        let hidden = Seen { current: None, ..seen(SHA, 3) };
        assert_eq!(next(Some(want()), Some(hidden.clone())), "PutObject");
        assert_eq!(next(None, Some(hidden)), "DeleteObjects");
        assert_eq!(next(None, Some(seen(SHA, 3))), "DeleteObjects");
        assert_eq!(next(None, None), "gone");
        let moved = Props { bucket: Input::output("bucket", "bucket_name"), ..want() };
        assert_eq!(next(Some(moved), Some(seen(SHA, 3))), "replace");
        let large = Props { size: S3Object::LIMIT + 1, ..want() };
        assert_eq!(next(Some(large), None), "refuse");
    }

    #[test]
    fn an_object_with_another_digest_is_not_ours() {
        assert_eq!(S3Object::mark(&seen(SHA, 3)), MarkSeen::ByParent);
        assert_eq!(S3Object::mark(&seen("", 3)), MarkSeen::Absent);
        assert_eq!(S3Object::mark(&seen("1234", 3)), MarkSeen::Absent);
        assert_eq!(bytes(SHA), [0, 255]);
    }
}
