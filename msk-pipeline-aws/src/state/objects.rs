//! The few requests that a state store makes to S3, with their conditions, and how old an object is by S3's own clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::timeout::TimeoutConfig;
use msk_pipeline_core::kind::{CallError, Class};

use crate::error::{built, classify};
use crate::session::Session;

/// The longest that one request of the store may take. A lease bears three of them between two renewals.
const REQUEST: Duration = Duration::from_secs(10);

/// The objects of one pipeline's state.
#[derive(Clone)]
pub(super) struct Objects {
    s3: aws_sdk_s3::Client,
    bucket: String,
    /// Before every name; ends with `/`.
    prefix: String,
    /// The account that has to own the bucket.
    owner: String,
}

/// An object that was read.
pub(super) struct Found {
    pub(super) body: Vec<u8>,
    pub(super) etag: String,
    /// How long ago it was written: what the response says is now, less when S3 says it was modified. Both in whole seconds, so
    /// that it may be off by less than one.
    pub(super) age: Duration,
}

/// What a write expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// No object.
    Nothing,
    /// The object with this `ETag`.
    ETag(String),
}

/// How a conditional write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Put {
    /// It is stored, under this `ETag`.
    Stored(String),
    /// Something else is there than was expected: another's object, or our own from a request whose reply was lost.
    Unexpected,
    /// Another write was in flight; which of them counts is not known.
    Contended,
}

/// An object in a list.
pub(super) struct Listed {
    /// Its name, without the prefix.
    pub(super) name: String,
    /// As [`Found::age`].
    pub(super) age: Duration,
}

impl Objects {
    pub(super) fn new(session: &Session, bucket: &str, prefix: String, owner: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(REQUEST)
            .build();
        let config = session.s3.config().to_builder().timeout_config(timeouts).build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(config),
            bucket: bucket.to_owned(),
            prefix,
            owner: owner.to_owned(),
        }
    }

    /// `s3://bucket/prefix/name`.
    pub(super) fn place(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Found>, CallError> {
        const OP: &str = "s3:GetObject";
        let date = Date::default();
        let answer = self
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(format!("{}{name}", self.prefix))
            .expected_bucket_owner(&self.owner)
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|e| classify(OP, e));
        let answer = match answer {
            Err(error) if error.code.as_deref() == Some("NoSuchKey") => return Ok(None),
            answer => answer?,
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let age = date.since(OP, answer.last_modified())?;
        let body = answer.body.collect().await;
        let body = body.map_err(|e| CallError::new(Class::Unknown, OP, e.to_string()))?.to_vec();
        Ok(Some(Found { body, etag, age }))
    }

    pub(super) async fn put(
        &self,
        name: &str,
        body: Vec<u8>,
        expected: &Expected,
    ) -> Result<Put, CallError> {
        const OP: &str = "s3:PutObject";
        let put = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{name}", self.prefix))
            .expected_bucket_owner(&self.owner)
            .content_type("application/json")
            .body(body.into());
        let put = match expected {
            Expected::Nothing => put.if_none_match("*"),
            Expected::ETag(etag) => put.if_match(etag),
        };
        match put.send().await.map_err(|e| classify(OP, e)) {
            Ok(answer) => Ok(Put::Stored(answer.e_tag().unwrap_or_default().to_owned())),
            // 404 NoSuchKey: the object with that ETag is gone (handbook aws.md §6).
            Err(error) => match error.code.as_deref() {
                Some("PreconditionFailed" | "NoSuchKey") => Ok(Put::Unexpected),
                Some("ConditionalRequestConflict") => Ok(Put::Contended),
                _ => Err(error),
            },
        }
    }

    /// Everything whose name begins with `folder` and sorts behind `after`, in order of names.
    pub(super) async fn list(&self, folder: &str, after: &str) -> Result<Vec<Listed>, CallError> {
        const OP: &str = "s3:ListObjectsV2";
        let (mut listed, mut token) = (Vec::new(), None);
        loop {
            let date = Date::default();
            let page = self
                .s3
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(format!("{}{folder}", self.prefix))
                .start_after(format!("{}{after}", self.prefix))
                .set_continuation_token(token)
                .expected_bucket_owner(&self.owner)
                .customize()
                .interceptor(date.clone())
                .send()
                .await
                .map_err(|e| classify(OP, e))?;
            for object in page.contents() {
                let key = object.key().unwrap_or_default();
                let name = key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
                listed.push(Listed { name, age: date.since(OP, object.last_modified())? });
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    /// Deletes up to a thousand objects.
    pub(super) async fn delete(&self, names: &[String]) -> Result<(), CallError> {
        const OP: &str = "s3:DeleteObjects";
        let keys: Result<Vec<_>, _> = names
            .iter()
            .map(|name| ObjectIdentifier::builder().key(format!("{}{name}", self.prefix)).build())
            .collect();
        let delete = Delete::builder().set_objects(Some(built(OP, keys)?)).quiet(true).build();
        self.s3
            .delete_objects()
            .bucket(&self.bucket)
            .delete(built(OP, delete)?)
            .expected_bucket_owner(&self.owner)
            .send()
            .await
            .map_err(|e| classify(OP, e))?;
        Ok(())
    }
}

/// The `Date` header of a response, which the SDK does not pass on.
#[derive(Debug, Clone, Default)]
struct Date(Arc<Mutex<Option<DateTime>>>);

impl Date {
    /// How long before the response something was modified; nothing if it claims to be later.
    fn since(
        &self,
        operation: &'static str,
        modified: Option<&DateTime>,
    ) -> Result<Duration, CallError> {
        let date = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(date), Some(modified)) = (date, modified) else {
            let missing = "the answer lacks Date or Last-Modified: this is not S3";
            return Err(CallError::new(Class::Invalid, operation, missing));
        };
        let seconds = u64::try_from(date.secs().saturating_sub(modified.secs())).unwrap_or(0);
        Ok(Duration::from_secs(seconds))
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}
