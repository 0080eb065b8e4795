//! `aws.cloudwatch.log-group`: one CloudWatch Logs group with its retention.
//!
//! # Guarantees
//! The group is marked by tags in its create call. Retention is set absolutely: what somebody else set is put back.
//! # Caveats
//! A group without retention keeps its events, and costs, forever; `retention_days: None` says that this is meant. Deleting the
//! group deletes its log lines, which hold no rows of the pipeline.
//! # Sources
//! Handbook aws.md §7.

use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, DataEffect, Effect, Guard, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

/// The kind.
pub struct LogGroup {
    logs: aws_sdk_cloudwatchlogs::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The group's name.
    pub name: String,
    /// Days for which events are kept; `None` means forever.
    pub retention_days: Option<i32>,
    /// The KMS key that encrypts them; `None` means AWS's own.
    pub kms_key: Option<String>,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    arn: String,
    retention_days: Option<i32>,
    kms_key: Option<String>,
    tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The group's name.
    pub name: String,
    /// Its ARN, without the `:*` that some answers carry.
    pub arn: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateLogGroup`
    Create {
        /// Name.
        name: String,
        /// Key.
        kms_key: Option<String>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `PutRetentionPolicy`
    PutRetention {
        /// Name.
        name: String,
        /// Days.
        days: i32,
    },
    /// `DeleteRetentionPolicy`
    DeleteRetention {
        /// Name.
        name: String,
    },
    /// `TagResource`
    SetTags {
        /// Name.
        name: String,
        /// Tags.
        tags: Tags,
    },
    /// `UntagResource`
    RemoveTags {
        /// Name.
        name: String,
        /// Keys.
        keys: Vec<String>,
    },
    /// `DeleteLogGroup`
    Delete {
        /// Name.
        name: String,
    },
}

impl LogGroup {
    /// The output with the group's name.
    pub const NAME: &'static str = "name";
    /// The output with the group's ARN.
    pub const ARN: &'static str = "arn";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { logs: session.logs.clone() }
    }

    /// The group named exactly so: the API's filter is a prefix.
    async fn find(
        &self,
        name: &str,
    ) -> Result<Option<aws_sdk_cloudwatchlogs::types::LogGroup>, CallError> {
        let mut token = None;
        loop {
            let page = self
                .logs
                .describe_log_groups()
                .log_group_name_prefix(name)
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("logs:DescribeLogGroups", e))?;
            if let Some(group) = page.log_groups().iter().find(|g| g.log_group_name() == Some(name))
            {
                return Ok(Some(group.clone()));
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(None);
            }
        }
    }

    /// The ARN for tagging calls, which take it without `:*`.
    async fn arn(&self, name: &str) -> Result<String, CallError> {
        let missing =
            || CallError::new(Class::NotFound, "logs:DescribeLogGroups", "it does not exist");
        Ok(plain_arn(&self.find(name).await?.ok_or_else(missing)?))
    }
}

fn plain_arn(group: &aws_sdk_cloudwatchlogs::types::LogGroup) -> String {
    let arn = group.log_group_arn().or(group.arn()).unwrap_or_default();
    arn.strip_suffix(":*").unwrap_or(arn).to_owned()
}

#[async_trait]
impl Kind for LogGroup {
    const TYPE: &'static str = "aws.cloudwatch.log-group";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn visibility() -> Duration {
        Duration::from_secs(30)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let Some(group) = self.find(&target.props.name).await? else { return Ok(None) };
        let arn = plain_arn(&group);
        let tags = self
            .logs
            .list_tags_for_resource()
            .resource_arn(&arn)
            .send()
            .await
            .map_err(|e| classify("logs:ListTagsForResource", e));
        let Some(tags) = absent(tags)? else { return Ok(None) };
        Ok(Some(Seen {
            arn,
            retention_days: group.retention_in_days(),
            kms_key: group.kms_key_id().map(str::to_owned),
            tags: tags.tags().map(|t| t.clone().into_iter().collect()).unwrap_or_default(),
        }))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(_)) => {
                let name = case.was.as_ref().map(|w| w.props.name.clone()).unwrap_or_default();
                let lines = DataEffect::new(Verdict::None, "its log lines go with it");
                Next::Calls(vec![
                    Proposed::new("logs:DeleteLogGroup", Effect::Delete, Call::Delete { name })
                        .data(lines),
                ])
            }
            (Some(want), seen) => converge(want, seen.as_ref(), case.was.is_some(), &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { name, kms_key, tags } => {
                self.logs
                    .create_log_group()
                    .log_group_name(name)
                    .set_kms_key_id(kms_key.clone())
                    .set_tags(Some(tags.clone().into_iter().collect()))
                    .send()
                    .await
                    .map_err(|e| classify("logs:CreateLogGroup", e))?;
            }
            Call::PutRetention { name, days } => {
                const OP: &str = "logs:PutRetentionPolicy";
                let sent =
                    self.logs.put_retention_policy().log_group_name(name).retention_in_days(*days);
                sent.send().await.map_err(|e| {
                    let mut error = classify(OP, e);
                    // Right after the create this may be denied for a moment (Terraform's logs/group.go).
                    if error.class == Class::Denied {
                        error.class = Class::NotYet;
                    }
                    error
                })?;
            }
            Call::DeleteRetention { name } => {
                self.logs
                    .delete_retention_policy()
                    .log_group_name(name)
                    .send()
                    .await
                    .map_err(|e| classify("logs:DeleteRetentionPolicy", e))?;
            }
            Call::SetTags { name, tags } => {
                self.logs
                    .tag_resource()
                    .resource_arn(self.arn(name).await?)
                    .set_tags(Some(tags.clone().into_iter().collect()))
                    .send()
                    .await
                    .map_err(|e| classify("logs:TagResource", e))?;
            }
            Call::RemoveTags { name, keys } => {
                self.logs
                    .untag_resource()
                    .resource_arn(self.arn(name).await?)
                    .set_tag_keys(Some(keys.clone()))
                    .send()
                    .await
                    .map_err(|e| classify("logs:UntagResource", e))?;
            }
            Call::Delete { name } => {
                self.logs
                    .delete_log_group()
                    .log_group_name(name)
                    .send()
                    .await
                    .map_err(|e| classify("logs:DeleteLogGroup", e))?;
            }
        }
        Ok(Sent::default())
    }
}

fn converge(
    want: &Props,
    seen: Option<&Seen>,
    was_ready: bool,
    mark: &Mark,
) -> Next<Call, Outputs> {
    let name = want.name.clone();
    let mut calls = Vec::new();
    let tags = marked(&want.tags, mark);
    let retention = match seen {
        None => {
            let call = Call::Create {
                name: name.clone(),
                kms_key: want.kms_key.clone(),
                tags: tags.clone(),
            };
            calls.push(
                Proposed::new("logs:CreateLogGroup", Effect::Create, call)
                    .fields([Change::new("name", None::<()>, Some(&name))])
                    .may_change(&[LogGroup::NAME, LogGroup::ARN]),
            );
            None
        }
        Some(seen) => {
            if seen.kms_key != want.kms_key {
                return Next::Refuse {
                    because: "the KMS key of an existing log group is not changed".into(),
                    help: "associate the key yourself (logs:AssociateKmsKey), or delete the group first"
                        .into(),
                };
            }
            seen.retention_days
        }
    };
    if retention != want.retention_days {
        let change = Change::new("retention_days", retention, want.retention_days);
        let shorter = match (retention, want.retention_days) {
            (None, Some(_)) => was_ready,
            (Some(old), Some(new)) => new < old,
            _ => false,
        };
        let data = if shorter {
            DataEffect::new(Verdict::None, "log lines older than that are deleted")
        } else {
            DataEffect::NONE
        };
        let proposed = match want.retention_days {
            Some(days) => Proposed::new(
                "logs:PutRetentionPolicy",
                Effect::Update,
                Call::PutRetention { name: name.clone(), days },
            ),
            None => Proposed::new(
                "logs:DeleteRetentionPolicy",
                Effect::Update,
                Call::DeleteRetention { name: name.clone() },
            ),
        };
        calls.push(proposed.fields([change]).data(data));
    }
    if let Some(seen) = seen {
        let diff = TagDiff::between(&seen.tags, &tags);
        if !diff.set.is_empty() {
            let call = Call::SetTags { name: name.clone(), tags: diff.set.clone() };
            calls.push(
                Proposed::new("logs:TagResource", Effect::Update, call)
                    .fields(diff.set_fields(&seen.tags)),
            );
        }
        if !diff.remove.is_empty() {
            let keys = diff.remove.iter().cloned().collect();
            let call = Call::RemoveTags { name: name.clone(), keys };
            calls.push(
                Proposed::new("logs:UntagResource", Effect::Update, call)
                    .fields(diff.remove_fields(&seen.tags)),
            );
        }
        if calls.is_empty() {
            return Next::Converged(Outputs { name, arn: seen.arn.clone() });
        }
    }
    Next::Calls(calls)
}
