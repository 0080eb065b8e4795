//! The requests that change a bucket.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, ObjectOwnership, OwnershipControls,
    OwnershipControlsRule, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    Tag, Tagging, VersioningConfiguration,
};
use msk_pipeline_core::kind::CallError;

use super::{Call, Encryption, S3Bucket};
use crate::error::{built, classify};
use crate::kinds::s3_object::delete_versions;
use crate::tags::Tags;

impl S3Bucket {
    pub(crate) async fn send(&self, call: &Call) -> Result<(), CallError> {
        let s3 = &self.s3;
        match call {
            Call::Create { bucket, location, tags } => {
                const OP: &str = "s3:CreateBucket";
                let configuration = CreateBucketConfiguration::builder()
                    .set_location_constraint(
                        location.as_deref().map(BucketLocationConstraint::from),
                    )
                    .set_tags(Some(to_s3(OP, tags)?))
                    .build();
                s3.create_bucket()
                    .bucket(bucket)
                    .create_bucket_configuration(configuration)
                    .object_ownership(ObjectOwnership::BucketOwnerEnforced)
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::BlockPublicAccess { bucket } => {
                let block = PublicAccessBlockConfiguration::builder()
                    .block_public_acls(true)
                    .ignore_public_acls(true)
                    .block_public_policy(true)
                    .restrict_public_buckets(true)
                    .build();
                s3.put_public_access_block()
                    .bucket(bucket)
                    .public_access_block_configuration(block)
                    .send()
                    .await
                    .map_err(|e| classify("s3:PutPublicAccessBlock", e))?;
            }
            Call::EnforceOwnership { bucket } => {
                const OP: &str = "s3:PutBucketOwnershipControls";
                let rule = OwnershipControlsRule::builder()
                    .object_ownership(ObjectOwnership::BucketOwnerEnforced);
                let controls = OwnershipControls::builder().rules(built(OP, rule.build())?).build();
                s3.put_bucket_ownership_controls()
                    .bucket(bucket)
                    .ownership_controls(built(OP, controls)?)
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::SetEncryption { bucket, encryption } => {
                const OP: &str = "s3:PutBucketEncryption";
                let default = ServerSideEncryptionByDefault::builder();
                let rule = ServerSideEncryptionRule::builder();
                let (default, rule) = match encryption {
                    Encryption::Aes256 => {
                        (default.sse_algorithm(ServerSideEncryption::Aes256), rule)
                    }
                    // A bucket key spares a call to KMS for each object.
                    Encryption::Kms(key) => (
                        default.sse_algorithm(ServerSideEncryption::AwsKms).kms_master_key_id(key),
                        rule.bucket_key_enabled(true),
                    ),
                };
                let default = built(OP, default.build())?;
                let rule = rule.apply_server_side_encryption_by_default(default).build();
                let configuration =
                    ServerSideEncryptionConfiguration::builder().rules(rule).build();
                s3.put_bucket_encryption()
                    .bucket(bucket)
                    .server_side_encryption_configuration(built(OP, configuration)?)
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::SetVersioning { bucket, enabled } => {
                let status = if *enabled {
                    BucketVersioningStatus::Enabled
                } else {
                    BucketVersioningStatus::Suspended
                };
                s3.put_bucket_versioning()
                    .bucket(bucket)
                    .versioning_configuration(
                        VersioningConfiguration::builder().status(status).build(),
                    )
                    .send()
                    .await
                    .map_err(|e| classify("s3:PutBucketVersioning", e))?;
            }
            Call::SetLifecycle { bucket, noncurrent_days, abort_uploads_days } => {
                const OP: &str = "s3:PutBucketLifecycleConfiguration";
                let noncurrent = noncurrent_days.map(|days| {
                    NoncurrentVersionExpiration::builder().noncurrent_days(days).build()
                });
                let abort = abort_uploads_days.map(|days| {
                    AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build()
                });
                let rule = LifecycleRule::builder()
                    .id(Self::RULE)
                    .status(ExpirationStatus::Enabled)
                    .filter(LifecycleRuleFilter::builder().prefix("").build())
                    .set_noncurrent_version_expiration(noncurrent)
                    .set_abort_incomplete_multipart_upload(abort);
                let configuration =
                    BucketLifecycleConfiguration::builder().rules(built(OP, rule.build())?).build();
                s3.put_bucket_lifecycle_configuration()
                    .bucket(bucket)
                    .lifecycle_configuration(built(OP, configuration)?)
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::RemoveLifecycle { bucket } => {
                s3.delete_bucket_lifecycle()
                    .bucket(bucket)
                    .send()
                    .await
                    .map_err(|e| classify("s3:DeleteBucketLifecycle", e))?;
            }
            Call::SetTags { bucket, tags } => {
                const OP: &str = "s3:PutBucketTagging";
                let tagging = Tagging::builder().set_tag_set(Some(to_s3(OP, tags)?)).build();
                s3.put_bucket_tagging()
                    .bucket(bucket)
                    .tagging(built(OP, tagging)?)
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::AbortUpload { bucket } => self.abort_first(bucket).await?,
            Call::DeleteVersions { bucket } => delete_versions(s3, bucket, None).await?,
            Call::Delete { bucket } => {
                s3.delete_bucket()
                    .bucket(bucket)
                    .send()
                    .await
                    .map_err(|e| classify("s3:DeleteBucket", e))?;
            }
        }
        Ok(())
    }

    async fn abort_first(&self, bucket: &str) -> Result<(), CallError> {
        let page = self
            .s3
            .list_multipart_uploads()
            .bucket(bucket)
            .max_uploads(1)
            .send()
            .await
            .map_err(|e| classify("s3:ListMultipartUploads", e))?;
        let Some(upload) = page.uploads().first() else { return Ok(()) };
        self.s3
            .abort_multipart_upload()
            .bucket(bucket)
            .set_key(upload.key().map(str::to_owned))
            .set_upload_id(upload.upload_id().map(str::to_owned))
            .send()
            .await
            .map_err(|e| classify("s3:AbortMultipartUpload", e))?;
        Ok(())
    }
}

fn to_s3(op: &'static str, tags: &Tags) -> Result<Vec<Tag>, CallError> {
    tags.iter().map(|(k, v)| built(op, Tag::builder().key(k).value(v).build())).collect()
}
