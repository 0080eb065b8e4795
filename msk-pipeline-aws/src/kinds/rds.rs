//! What the RDS kinds share: tags, how long things take, and how a change that shows in parts is recognised.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::Tag;
use msk_pipeline_core::kind::{CallError, Condition, Effect, Proposed, Sent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::classify;
use crate::tags::{TagDiff, Tags};

/// Source: handbook aws.md §4.4 (Terraform retries a modify for minutes) and §4.11 (still `available` for one or two polls).
pub(super) const VISIBILITY: Duration = Duration::from_mins(3);
/// Until a cluster is `available`.
pub(super) const CLUSTER_USUAL: Duration = Duration::from_mins(5);
/// Until an instance is `available`.
pub(super) const INSTANCE_USUAL: Duration = Duration::from_mins(10);
/// A restart.
pub(super) const REBOOT_USUAL: Duration = Duration::from_mins(2);
/// Handbook aws.md §11.
pub(super) const CLUSTER_DEADLINE: Duration = Duration::from_hours(2);
/// Handbook aws.md §11.
pub(super) const INSTANCE_DEADLINE: Duration = Duration::from_mins(90);

/// The permission and name of the call that sets tags.
const SET_TAGS: &str = "rds:AddTagsToResource";
const REMOVE_TAGS: &str = "rds:RemoveTagsFromResource";

/// `AddTagsToResource` and `RemoveTagsFromResource`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagCall {
    /// `AddTagsToResource`
    Set {
        /// The object's ARN.
        arn: String,
        /// Tags.
        tags: Tags,
    },
    /// `RemoveTagsFromResource`
    Remove {
        /// The object's ARN.
        arn: String,
        /// Their keys.
        keys: Vec<String>,
    },
}

impl TagCall {
    /// Both calls, as far as needed.
    pub(super) fn list<C>(
        seen: &Tags,
        wanted: &Tags,
        arn: &str,
        wrap: fn(TagCall) -> C,
    ) -> Vec<Proposed<C>> {
        let diff = TagDiff::between(seen, wanted);
        let mut calls = Vec::new();
        if !diff.set.is_empty() {
            let call = wrap(TagCall::Set { arn: arn.to_owned(), tags: diff.set.clone() });
            calls.push(Proposed::new(SET_TAGS, Effect::Update, call).fields(diff.set_fields(seen)));
        }
        if !diff.remove.is_empty() {
            let keys = diff.remove.iter().cloned().collect();
            let call = wrap(TagCall::Remove { arn: arn.to_owned(), keys });
            calls.push(
                Proposed::new(REMOVE_TAGS, Effect::Update, call).fields(diff.remove_fields(seen)),
            );
        }
        calls
    }

    pub(super) async fn perform(&self, rds: &Client) -> Result<Sent, CallError> {
        match self {
            TagCall::Set { arn, tags } => {
                rds.add_tags_to_resource()
                    .resource_name(arn)
                    .set_tags(Some(to_rds(tags)))
                    .send()
                    .await
                    .map_err(|e| classify(SET_TAGS, e))?;
            }
            TagCall::Remove { arn, keys } => {
                rds.remove_tags_from_resource()
                    .resource_name(arn)
                    .set_tag_keys(Some(keys.clone()))
                    .send()
                    .await
                    .map_err(|e| classify(REMOVE_TAGS, e))?;
            }
        }
        Ok(Sent::default())
    }
}

/// The tags of an object whose description does not carry them.
pub(super) async fn tags_of(rds: &Client, arn: &str) -> Result<Tags, CallError> {
    let answer = rds
        .list_tags_for_resource()
        .resource_name(arn)
        .send()
        .await
        .map_err(|e| classify("rds:ListTagsForResource", e))?;
    Ok(from_rds(answer.tag_list()))
}

pub(super) fn to_rds(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

pub(super) fn from_rds(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|t| Some((t.key()?.to_owned(), t.value().unwrap_or_default().to_owned())))
        .collect()
}

/// Text of an answer that may lack it.
pub(super) fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// True if `rest`, what is still to be changed, is under way by the modify `whole` that was accepted: some of it shows already, or none
/// does and something is pending.
///
/// RDS shows some settings of one modify at once (deletion protection) and others minutes later, a class first among the pending
/// values; without this, the next observation would ask for a second modify.
pub(super) fn is_under_way<T: Serialize>(rest: &T, whole: &T, pending: &[String]) -> bool {
    let members = |t: &T| match serde_json::to_value(t) {
        Ok(Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (rest, whole) = (members(rest), members(whole));
    let some = rest.len() < whole.len() || !pending.is_empty();
    some && rest.iter().all(|(k, v)| whole.get(k) == Some(v))
}

/// Waits for a status.
pub(super) fn wait(what: impl Into<String>, seen: &str, usual: Duration) -> Condition {
    let deadline = if usual >= INSTANCE_USUAL { INSTANCE_DEADLINE } else { CLUSTER_DEADLINE };
    Condition::new(what, seen, usual).deadline(deadline)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_rest_of_a_change_is_recognised() {
        let whole = json!({ "port": 3307, "retention": 7 });
        let (none, class) = (Vec::new(), vec!["class".to_owned()]);
        assert!(is_under_way(&json!({ "port": 3307 }), &whole, &none));
        assert!(is_under_way(&json!({}), &whole, &none));
        assert!(!is_under_way(&whole.clone(), &whole, &none));
        assert!(is_under_way(&whole.clone(), &whole, &class), "nothing shows but what is pending");
        assert!(!is_under_way(&json!({ "port": 3308 }), &whole, &class));
    }
}
