//! Reading a bucket and its settings.

use aws_sdk_s3::types::{
    BucketVersioningStatus, ExpirationStatus, LifecycleRule, ServerSideEncryption,
};
use msk_pipeline_core::kind::{CallError, Class};

use super::{Encryption, Rule, S3Bucket, Seen};
use crate::error::{absent, classify};
use crate::tags::Tags;

impl S3Bucket {
    pub(crate) async fn look(&self, bucket: &str) -> Result<Option<Seen>, CallError> {
        const OP: &str = "s3:HeadBucket";
        let head = self.s3.head_bucket().bucket(bucket).send().await.map_err(|e| classify(OP, e));
        let head = head.map_err(|mut error| {
            if error.class == Class::Denied {
                error.message = format!(
                    "bucket {bucket} belongs to another account, or the caller may not list it"
                );
            }
            error
        });
        let Some(head) = absent(head)? else { return Ok(None) };
        let arn = head.bucket_arn().map_or_else(|| self.arn(bucket), str::to_owned);
        Ok(Some(Seen {
            name: bucket.to_owned(),
            arn,
            tags: self.tags(bucket).await?,
            blocked: self.blocked(bucket).await?,
            ownership: self.ownership(bucket).await?,
            encryption: self.encryption(bucket).await?,
            versioning: self.versioning(bucket).await?,
            lifecycle: self.lifecycle(bucket).await?,
            versions: self.versions(bucket).await?,
            uploads: self.uploads(bucket).await?,
        }))
    }

    fn arn(&self, bucket: &str) -> String {
        format!("arn:{}:s3:::{bucket}", super::super::partition(&self.region))
    }

    async fn tags(&self, bucket: &str) -> Result<Tags, CallError> {
        let answer = self.s3.get_bucket_tagging().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:GetBucketTagging", e)))?;
        let tags = answer.iter().flat_map(|a| a.tag_set());
        Ok(tags.map(|t| (t.key().to_owned(), t.value().to_owned())).collect())
    }

    async fn blocked(&self, bucket: &str) -> Result<bool, CallError> {
        let answer = self.s3.get_public_access_block().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:GetPublicAccessBlock", e)))?;
        let Some(block) = answer.and_then(|a| a.public_access_block_configuration) else {
            return Ok(false);
        };
        let all = [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets,
        ];
        Ok(all.into_iter().all(|on| on == Some(true)))
    }

    async fn ownership(&self, bucket: &str) -> Result<String, CallError> {
        let answer = self.s3.get_bucket_ownership_controls().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:GetBucketOwnershipControls", e)))?;
        let controls = answer.and_then(|a| a.ownership_controls);
        let first = controls.as_ref().and_then(|c| c.rules().first());
        Ok(first.map(|r| r.object_ownership().as_str().to_owned()).unwrap_or_default())
    }

    async fn encryption(&self, bucket: &str) -> Result<Option<Encryption>, CallError> {
        let answer = self.s3.get_bucket_encryption().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:GetBucketEncryption", e)))?;
        let found = answer.and_then(|a| a.server_side_encryption_configuration);
        let rule = found.as_ref().and_then(|c| c.rules().first());
        let Some(default) = rule.and_then(|r| r.apply_server_side_encryption_by_default()) else {
            return Ok(None);
        };
        Ok(match (default.sse_algorithm(), default.kms_master_key_id()) {
            (ServerSideEncryption::Aes256, _) => Some(Encryption::Aes256),
            (ServerSideEncryption::AwsKms, Some(key)) => Some(Encryption::Kms(key.to_owned())),
            _ => None,
        })
    }

    async fn versioning(&self, bucket: &str) -> Result<bool, CallError> {
        let answer = self.s3.get_bucket_versioning().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:GetBucketVersioning", e)))?;
        Ok(answer.is_some_and(|a| a.status() == Some(&BucketVersioningStatus::Enabled)))
    }

    async fn lifecycle(&self, bucket: &str) -> Result<Vec<Rule>, CallError> {
        let answer = self.s3.get_bucket_lifecycle_configuration().bucket(bucket).send().await;
        let answer = answer.map_err(|e| classify("s3:GetBucketLifecycleConfiguration", e));
        let answer = absent(answer)?;
        Ok(answer.iter().flat_map(|a| a.rules()).map(rule).collect())
    }

    async fn versions(&self, bucket: &str) -> Result<(usize, bool), CallError> {
        let answer = self.s3.list_object_versions().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:ListObjectVersions", e)))?;
        Ok(answer.map_or((0, false), |page| {
            let count = page.versions().len() + page.delete_markers().len();
            (count, page.is_truncated() == Some(true))
        }))
    }

    async fn uploads(&self, bucket: &str) -> Result<usize, CallError> {
        let answer = self.s3.list_multipart_uploads().bucket(bucket).send().await;
        let answer = absent(answer.map_err(|e| classify("s3:ListMultipartUploads", e)))?;
        Ok(answer.map_or(0, |page| page.uploads().len()))
    }
}

fn rule(rule: &LifecycleRule) -> Rule {
    let noncurrent = rule.noncurrent_version_expiration();
    let everything = rule.filter().is_none_or(|f| {
        f.prefix().is_none_or(str::is_empty)
            && f.tag().is_none()
            && f.and().is_none()
            && f.object_size_greater_than().is_none()
            && f.object_size_less_than().is_none()
    });
    let other = !everything
        || rule.expiration().is_some()
        || !rule.transitions().is_empty()
        || !rule.noncurrent_version_transitions().is_empty()
        || noncurrent.is_some_and(|n| n.newer_noncurrent_versions().is_some());
    Rule {
        id: rule.id().unwrap_or_default().to_owned(),
        enabled: *rule.status() == ExpirationStatus::Enabled,
        noncurrent_days: noncurrent.and_then(|n| n.noncurrent_days()),
        abort_uploads_days: rule
            .abort_incomplete_multipart_upload()
            .and_then(|a| a.days_after_initiation()),
        other,
    }
}
