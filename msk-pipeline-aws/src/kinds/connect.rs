//! What the three kinds of MSK Connect share: tags, descriptions of states, errors of builders.

use aws_sdk_kafkaconnect::types::StateDescription;
use aws_smithy_types::error::operation::BuildError;
use msk_pipeline_core::kind::{CallError, Class, Effect, Proposed, Sent};

use crate::error::classify;
use crate::tags::{TagDiff, Tags};

/// The tags of a connector, plugin or worker configuration; describing it does not tell them.
pub(crate) async fn tags(
    client: &aws_sdk_kafkaconnect::Client,
    arn: &str,
) -> Result<Tags, CallError> {
    let answer = client
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await
        .map_err(|e| classify("kafkaconnect:ListTagsForResource", e))?;
    Ok(answer.tags().cloned().unwrap_or_default().into_iter().collect())
}

pub(super) async fn set_tags(
    client: &aws_sdk_kafkaconnect::Client,
    arn: &str,
    tags: &Tags,
) -> Result<Sent, CallError> {
    client
        .tag_resource()
        .resource_arn(arn)
        .set_tags(Some(tags.clone().into_iter().collect()))
        .send()
        .await
        .map_err(|e| classify("kafkaconnect:TagResource", e))?;
    Ok(Sent::default())
}

pub(super) async fn remove_tags(
    client: &aws_sdk_kafkaconnect::Client,
    arn: &str,
    keys: &[String],
) -> Result<Sent, CallError> {
    client
        .untag_resource()
        .resource_arn(arn)
        .set_tag_keys(Some(keys.to_vec()))
        .send()
        .await
        .map_err(|e| classify("kafkaconnect:UntagResource", e))?;
    Ok(Sent::default())
}

pub(super) enum TagCall {
    Set(Tags),
    Remove(Vec<String>),
}

/// `TagResource` and `UntagResource`, as far as needed.
pub(super) fn tag_calls<C>(
    seen: &Tags,
    wanted: &Tags,
    make: impl Fn(TagCall) -> C,
) -> Vec<Proposed<C>> {
    let diff = TagDiff::between(seen, wanted);
    let mut calls = Vec::new();
    if !diff.set.is_empty() {
        let call = make(TagCall::Set(diff.set.clone()));
        calls.push(
            Proposed::new("kafkaconnect:TagResource", Effect::Update, call)
                .fields(diff.set_fields(seen)),
        );
    }
    if !diff.remove.is_empty() {
        let call = make(TagCall::Remove(diff.remove.iter().cloned().collect()));
        calls.push(
            Proposed::new("kafkaconnect:UntagResource", Effect::Update, call)
                .fields(diff.remove_fields(seen)),
        );
    }
    calls
}

/// `code: message`, verbatim: no source lists the values, so nothing is ever decided on them (handbook msk.md §5.1).
pub(crate) fn described(state: &StateDescription) -> String {
    let parts = [state.code(), state.message()];
    parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(": ")
}

/// A request that can't even be written down.
pub(super) fn unbuilt(operation: &str, error: &BuildError) -> CallError {
    CallError::new(Class::Invalid, operation, error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use msk_pipeline_core::kind::{Next, Proposed};

    fn list<C>(calls: &[Proposed<C>]) -> String {
        let one = |c: &Proposed<C>| format!("{} {}", c.op, c.data.verdict);
        calls.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What comes next in one line: operations with their verdicts.
    pub(in super::super) fn summary<C, O>(next: &Next<C, O>) -> String {
        match next {
            Next::Converged(_) => "converged".into(),
            Next::Gone => "gone".into(),
            Next::Kept => "kept".into(),
            Next::Calls(calls) => format!("calls: {}", list(calls)),
            Next::Wait { condition, then } if then.is_empty() => {
                format!("wait {} ({})", condition.what, condition.seen)
            }
            Next::Wait { condition, then } => {
                format!("wait {} ({}), then: {}", condition.what, condition.seen, list(then))
            }
            Next::Replace { because, effect } => format!("replace ({}): {because}", effect.verdict),
            Next::Refuse { because, .. } => format!("refuse: {because}"),
            Next::Failed { cause, .. } => format!("failed: {cause}"),
        }
    }
}
