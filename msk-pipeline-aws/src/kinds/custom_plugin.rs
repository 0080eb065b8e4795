//! `aws.kafkaconnect.custom-plugin`: one custom plugin of MSK Connect, copied from an object in S3.
//!
//! # Guarantees
//! A plugin is immutable, and its name carries a hash of its content: another content is another plugin, created before the old one
//! is deleted. The object's version is pinned, so that what was inspected is what MSK Connect copies. A plugin that could not be
//! created keeps its name and is deleted before another attempt.
//! # Caveats
//! MSK Connect copies the content when the plugin is created: where it came from is no longer compared afterwards, so a bucket that
//! was emptied or made anew changes nothing. There is one revision for ever.
//! # Sources
//! Handbook msk.md §5 (operations, states), §5.2 (content is copied, `CREATE_FAILED` keeps the name), §5.4 (quota).

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kafkaconnect::types::{CustomPluginContentType, CustomPluginLocation, S3Location};
use msk_pipeline_core::kind::{
    CallError, Case, Change, Condition, DataEffect, Effect, Guard, Input, Kind, Mark, MarkSeen,
    Next, Proposed, Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use super::connect::{self, TagCall};
use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{Tags, marked};

/// The kind.
pub struct CustomPlugin {
    client: aws_sdk_kafkaconnect::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The plugin's name, with a short hash of its content at its end.
    pub name: String,
    /// What is in it; can't be changed.
    pub description: String,
    /// The bucket's ARN.
    pub bucket_arn: Input<String>,
    /// The object's key.
    pub key: Input<String>,
    /// The object's version.
    pub version_id: Input<String>,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    arn: String,
    state: String,
    /// Why it failed, in AWS's words.
    failure: Option<String>,
    revision: i64,
    tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The plugin's ARN.
    pub plugin_arn: String,
    /// Its revision.
    pub revision: i64,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateCustomPlugin`
    Create {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// The bucket's ARN.
        bucket_arn: Input<String>,
        /// The object's key.
        key: Input<String>,
        /// The object's version.
        version_id: Input<String>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `TagResource`
    SetTags {
        /// The plugin.
        arn: String,
        /// Tags.
        tags: Tags,
    },
    /// `UntagResource`
    RemoveTags {
        /// The plugin.
        arn: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// `DeleteCustomPlugin`
    Delete {
        /// The plugin.
        arn: String,
    },
}

impl CustomPlugin {
    /// The output with the plugin's ARN.
    pub const PLUGIN_ARN: &'static str = "plugin_arn";
    /// The output with the plugin's revision.
    pub const REVISION: &'static str = "revision";

    const USUAL: Duration = Duration::from_secs(90);

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { client: session.kafkaconnect.clone() }
    }

    async fn find(&self, name: &str) -> Result<Option<String>, CallError> {
        let mut token = None;
        loop {
            let page = self
                .client
                .list_custom_plugins()
                .name_prefix(name)
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("kafkaconnect:ListCustomPlugins", e))?;
            let found = page.custom_plugins().iter().find(|p| p.name() == Some(name));
            if let Some(plugin) = found {
                return Ok(plugin.custom_plugin_arn().map(str::to_owned));
            }
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(None);
            }
        }
    }
}

#[async_trait]
impl Kind for CustomPlugin {
    const TYPE: &'static str = "aws.kafkaconnect.custom-plugin";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn succession() -> msk_pipeline_core::kind::Succession {
        msk_pipeline_core::kind::Succession::CreateFirst
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let Some(arn) = self.find(&target.props.name).await? else { return Ok(None) };
        let answer = self
            .client
            .describe_custom_plugin()
            .custom_plugin_arn(&arn)
            .send()
            .await
            .map_err(|e| classify("kafkaconnect:DescribeCustomPlugin", e));
        let Some(plugin) = absent(answer)? else { return Ok(None) };
        let Some(tags) = absent(connect::tags(&self.client, &arn).await)? else { return Ok(None) };
        let failure = plugin.state_description().map(connect::described);
        Ok(Some(Seen {
            state: plugin.custom_plugin_state().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            failure: failure.filter(|f| !f.is_empty()),
            revision: plugin.latest_revision().map_or(1, |r| r.revision().max(1)),
            arn,
            tags,
        }))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(Status::new(&seen.state).says(seen.failure.as_ref()))
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => delete(seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => update(want, seen, case),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { name, description, bucket_arn, key, version_id, tags } => {
                const OP: &str = "kafkaconnect:CreateCustomPlugin";
                let location = S3Location::builder()
                    .set_bucket_arn(bucket_arn.known().cloned())
                    .set_file_key(key.known().cloned())
                    .set_object_version(version_id.known().cloned())
                    .build()
                    .map_err(|e| connect::unbuilt(OP, &e))?;
                let answer = self
                    .client
                    .create_custom_plugin()
                    .name(name)
                    .description(description)
                    .content_type(CustomPluginContentType::Zip)
                    .location(CustomPluginLocation::builder().s3_location(location).build())
                    .set_tags(Some(tags.clone().into_iter().collect()))
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
                let id = answer.custom_plugin_arn().map(str::to_owned);
                Ok(Sent { id, operation: None })
            }
            Call::SetTags { arn, tags } => connect::set_tags(&self.client, arn, tags).await,
            Call::RemoveTags { arn, keys } => connect::remove_tags(&self.client, arn, keys).await,
            Call::Delete { arn } => {
                self.client
                    .delete_custom_plugin()
                    .custom_plugin_arn(arn)
                    .send()
                    .await
                    .map_err(|e| classify("kafkaconnect:DeleteCustomPlugin", e))?;
                Ok(Sent::default())
            }
        }
    }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        description: want.description.clone(),
        bucket_arn: want.bucket_arn.clone(),
        key: want.key.clone(),
        version_id: want.version_id.clone(),
        tags: marked(&want.tags, mark),
    };
    Proposed::new("kafkaconnect:CreateCustomPlugin", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("key", None::<()>, Some(&want.key)),
            Change::new("version_id", None::<()>, Some(&want.version_id)),
        ])
        .may_change(&[CustomPlugin::PLUGIN_ARN, CustomPlugin::REVISION])
        .usual(CustomPlugin::USUAL)
}

fn settled(state: &str) -> Condition {
    Condition::new("custom plugin ACTIVE", state, CustomPlugin::USUAL)
        .deadline(Duration::from_mins(15))
}

fn update(want: &Props, seen: &Seen, case: &Case<CustomPlugin>) -> Next<Call, Outputs> {
    let tags = connect::tag_calls(&seen.tags, &marked(&want.tags, &case.mark), |call| match call {
        TagCall::Set(tags) => Call::SetTags { arn: seen.arn.clone(), tags },
        TagCall::Remove(keys) => Call::RemoveTags { arn: seen.arn.clone(), keys },
    });
    match seen.state.as_str() {
        "CREATING" | "UPDATING" => Next::Wait { condition: settled(&seen.state), then: tags },
        "DELETING" => {
            let condition = Condition::new(
                "the old custom plugin to be gone",
                &seen.state,
                CustomPlugin::USUAL,
            );
            Next::Wait { condition, then: vec![create(want, &case.mark)] }
        }
        "CREATE_FAILED" => {
            let cause = format!(
                "the custom plugin is CREATE_FAILED: {}",
                seen.failure.as_deref().unwrap_or("AWS gives no reason")
            );
            if case.pursuit.is_some() {
                let help = "check that the caller may read the object (s3:GetObject, s3:GetObjectVersion) and that it is a ZIP with jars, then run again: the failed plugin is deleted first";
                return Next::Failed { cause, help: help.into() };
            }
            Next::Replace { because: cause, effect: DataEffect::NONE }
        }
        _ if tags.is_empty() => {
            Next::Converged(Outputs { plugin_arn: seen.arn.clone(), revision: seen.revision })
        }
        _ => Next::Calls(tags),
    }
}

fn delete(seen: &Seen) -> Next<Call, Outputs> {
    let call = Call::Delete { arn: seen.arn.clone() };
    let delete = Proposed::new("kafkaconnect:DeleteCustomPlugin", Effect::Delete, call)
        .usual(Duration::from_secs(30));
    match seen.state.as_str() {
        "DELETING" => Next::Wait {
            condition: Condition::new("custom plugin gone", &seen.state, Duration::from_secs(30)),
            then: Vec::new(),
        },
        "CREATING" | "UPDATING" => {
            Next::Wait { condition: settled(&seen.state), then: vec![delete] }
        }
        _ => Next::Calls(vec![delete]),
    }
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::Timestamp;
    use msk_pipeline_core::kind::Pursuit;

    use super::*;

    fn want() -> Props {
        Props {
            name: "orders-cdc-mysql-0123abcd".into(),
            description: "d".into(),
            bucket_arn: Input::output("plugins.bucket", "bucket_arn"),
            key: "plugins/0123abcd.zip".into(),
            version_id: "v1".into(),
            tags: Tags::new(),
        }
    }

    fn seen(state: &str) -> Seen {
        Seen {
            arn: "arn:p".into(),
            state: state.into(),
            failure: None,
            revision: 1,
            tags: mark().tags(),
        }
    }

    fn mark() -> Mark {
        Mark { lineage: "l".into(), pipeline: "p".into(), address: "connector.c.plugin".into() }
    }

    fn pursuit() -> Pursuit<Call> {
        Pursuit {
            call: create(&want(), &mark()).call,
            op: "kafkaconnect:CreateCustomPlugin".into(),
            effect: Effect::Create,
            guard: Guard::default(),
            sent: None,
            begun: Timestamp::default(),
            ended: None,
        }
    }

    #[track_caller]
    fn check(want: Option<Props>, seen: Option<Seen>, pursued: bool, expected: &str) {
        let session = crate::kinds::testing::session();
        let pursuit = pursued.then(pursuit);
        let case = Case { want, seen, was: None, pursuit, mark: mark() };
        let next = Kind::calls(&CustomPlugin::new(&session), &case);
        assert_eq!(connect::tests::summary(&next), expected);
    }

    #[test]
    fn a_plugin_comes_and_goes() {
        check(Some(want()), None, false, "calls: kafkaconnect:CreateCustomPlugin none");
        check(Some(want()), Some(seen("CREATING")), true, "wait custom plugin ACTIVE (CREATING)");
        check(Some(want()), Some(seen("ACTIVE")), true, "converged");
        check(None, Some(seen("ACTIVE")), false, "calls: kafkaconnect:DeleteCustomPlugin none");
        check(
            None,
            Some(seen("CREATING")),
            false,
            "wait custom plugin ACTIVE (CREATING), then: kafkaconnect:DeleteCustomPlugin none",
        );
        check(
            None,
            Some(seen("CREATE_FAILED")),
            false,
            "calls: kafkaconnect:DeleteCustomPlugin none",
        );
        check(None, Some(seen("DELETING")), false, "wait custom plugin gone (DELETING)");
        check(None, None, false, "gone");
        check(
            Some(want()),
            Some(seen("DELETING")),
            false,
            "wait the old custom plugin to be gone (DELETING), then: kafkaconnect:CreateCustomPlugin none",
        );
    }

    #[test]
    fn a_failed_plugin_is_told_and_then_replaced() {
        let mut failed = seen("CREATE_FAILED");
        failed.failure = Some("InvalidInput: The object can't be read".into());
        check(
            Some(want()),
            Some(failed.clone()),
            true,
            "failed: the custom plugin is CREATE_FAILED: InvalidInput: The object can't be read",
        );
        check(
            Some(want()),
            Some(failed),
            false,
            "replace (none): the custom plugin is CREATE_FAILED: InvalidInput: The object can't be read",
        );
    }

    #[test]
    fn only_tags_change_in_place() {
        let tagged = Props { tags: Tags::from([("Team".into(), "data".into())]), ..want() };
        check(Some(tagged), Some(seen("ACTIVE")), false, "calls: kafkaconnect:TagResource none");
        let mut other = seen("ACTIVE");
        other.tags.insert("Old".into(), "x".into());
        check(Some(want()), Some(other), false, "calls: kafkaconnect:UntagResource none");
        // The content is copied at creation: another version of the same bytes is the same plugin.
        let moved = Props { version_id: "v2".into(), ..want() };
        check(Some(moved), Some(seen("ACTIVE")), false, "converged");
    }
}
