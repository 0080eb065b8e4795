//! Tags of connectors, custom plugins and worker configurations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{not_found, text, text_list, text_map};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

pub(super) fn list(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    Ok(json!({ "tags": find(world, cx.now, text(input, "resourceArn"))? }).into())
}

pub(super) fn tag(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let tags = find(world, cx.now, text(input, "resourceArn"))?;
    tags.extend(text_map(input.get("tags")));
    Ok(json!({}).into())
}

pub(super) fn untag(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let tags = find(world, cx.now, text(input, "resourceArn"))?;
    for key in text_list(input.get("tagKeys")) {
        tags.remove(&key);
    }
    Ok(json!({}).into())
}

fn find<'a>(
    world: &'a mut World,
    now: Millis,
    arn: &str,
) -> Result<&'a mut BTreeMap<String, String>, AwsError> {
    let state = &mut world.state.kafkaconnect;
    if let Some(connector) = state.connectors.get_mut(arn).filter(|c| c.exists(now)) {
        return Ok(&mut connector.tags);
    }
    if let Some(plugin) = state.plugins.get_mut(arn).filter(|p| p.exists(now)) {
        return Ok(&mut plugin.tags);
    }
    if let Some(configuration) = state.worker_configurations.get_mut(arn).filter(|c| c.exists(now))
    {
        return Ok(&mut configuration.tags);
    }
    Err(not_found(format!("The resource with ARN {arn} could not be found.")))
}
