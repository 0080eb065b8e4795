//! Custom plugins. There is no update and no second revision: revision 1 for ever (handbook msk.md §5).

use std::fmt::Write as _;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::state::{Failure, PLUGIN_CREATE, PLUGIN_DELETE, Plugin, PluginFile};
use super::{archive, around, not_found, page, put_some, rules, text, text_map};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

pub(super) fn create(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "name");
    let location = input.pointer("/location/s3Location").cloned().unwrap_or_default();
    rules::plugin_name_is_free(world, cx.now, name)?;
    let bucket = rules::plugin_bucket_arn(text(&location, "bucketArn"))?.to_string();
    rules::plugin_quota(world, cx.now)?;

    world.state.kafkaconnect.purge(cx.now);
    let version = location.get("objectVersion").and_then(Value::as_str);
    let file = copy(world, &bucket, &location, version, text(input, "contentType"));
    let label = format!("kafkaconnect/plugin/{name}");
    let arn = super::new_arn(world, &label, "custom-plugin", name);
    let plugin = Plugin {
        arn: arn.clone(),
        name: name.into(),
        description: input.get("description").and_then(Value::as_str).map(String::from),
        content_type: text(input, "contentType").into(),
        location: input.get("location").cloned().unwrap_or_default(),
        created_at: cx.now,
        settled_at: cx.now + world.duration(&label, PLUGIN_CREATE),
        failure: file.is_none().then(Failure::generic),
        file,
        deleting_since: None,
        gone_at: None,
        tags: text_map(input.get("tags")),
    };
    let answer = json!({
        "customPluginArn": arn,
        "customPluginState": plugin.state(cx.now),
        "name": name,
        "revision": 1,
    });
    world.state.kafkaconnect.plugins.insert(arn, plugin);
    Ok(answer.into())
}

/// The object as it is now: MSK Connect copies the content when the plugin is created, and a missing object makes it
/// `CREATE_FAILED` (handbook msk.md §5.2).
fn copy(
    world: &World,
    bucket: &str,
    location: &Value,
    version: Option<&str>,
    content_type: &str,
) -> Option<PluginFile> {
    let object = around::object(world, bucket, text(location, "fileKey"), version)?;
    let bytes = world.blobs.get(&object.sha256);
    // The ETag of an object uploaded in one part is its MD5; that of a multipart upload is not.
    let etag = object.etag.trim_matches('"');
    let md5 = match bytes {
        Some(bytes) if etag.contains('-') => hex(&Md5::digest(bytes)),
        _ => etag.to_string(),
    };
    let contents = bytes.and_then(|bytes| archive::read(bytes, content_type));
    Some(PluginFile { sha256: object.sha256, md5, size: object.size, contents })
}

pub(super) fn describe(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let plugin = find(world, cx.now, text(input, "customPluginArn"))?;
    let mut out = summary(plugin, cx.now);
    let failed = plugin.state(cx.now) == "CREATE_FAILED";
    put_some(
        &mut out,
        "stateDescription",
        plugin.failure.as_ref().filter(|_| failed).map(Failure::shown),
    );
    Ok(out.into())
}

pub(super) fn list(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let prefix = text(input, "namePrefix");
    let plugins = world.state.kafkaconnect.plugins.values();
    let found = plugins.filter(|p| p.exists(cx.now) && p.name.starts_with(prefix));
    let entries: Vec<_> = found.map(|p| summary(p, cx.now)).collect();
    Ok(page(input, &entries, "customPlugins")?.into())
}

pub(super) fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let arn = text(input, "customPluginArn");
    let state = find(world, cx.now, arn)?.state(cx.now);
    rules::plugin_can_be_deleted(state)?;
    rules::plugin_is_unused(world, cx.now, arn)?;
    let took = world.duration(&format!("kafkaconnect/plugin/{arn}/delete"), PLUGIN_DELETE);
    if let Some(plugin) = world.state.kafkaconnect.plugins.get_mut(arn) {
        plugin.deleting_since = Some(cx.now);
        plugin.gone_at = Some(cx.now + took);
    }
    Ok(json!({ "customPluginArn": arn, "customPluginState": "DELETING" }).into())
}

/// A plugin that exists.
pub(super) fn find<'a>(world: &'a World, now: Millis, arn: &str) -> Result<&'a Plugin, AwsError> {
    let found = world.state.kafkaconnect.plugins.get(arn).filter(|p| p.exists(now));
    found.ok_or_else(|| not_found(format!("The custom plugin with ARN {arn} could not be found.")))
}

fn summary(plugin: &Plugin, now: Millis) -> Value {
    let mut out = json!({
        "creationTime": plugin.created_at,
        "customPluginArn": plugin.arn,
        "customPluginState": plugin.state(now),
        "name": plugin.name,
    });
    put_some(&mut out, "description", plugin.description.clone().map(Value::from));
    if let Some(file) = plugin.file.as_ref().filter(|_| now >= plugin.settled_at) {
        let mut revision = json!({
            "contentType": plugin.content_type,
            "creationTime": plugin.created_at,
            "fileDescription": { "fileMd5": file.md5, "fileSize": file.size },
            "location": plugin.location,
            "revision": 1,
        });
        put_some(&mut revision, "description", plugin.description.clone().map(Value::from));
        out["latestRevision"] = revision;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
