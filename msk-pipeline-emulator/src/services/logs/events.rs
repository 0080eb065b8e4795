//! Streams and events: writing, describing, reading, searching.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::groups::{named, page, size, text};
use super::pattern::Pattern;
use super::rules;
use super::state::{Event, Stream};
use crate::world::{AwsError, Millis, World};

/// How many events one `FilterLogEvents` page looks at, whether or not they match: this is where empty pages come from.
const LOOKED_AT: usize = 1_000;
/// How many events and bytes a page holds at most.
const PAGE_EVENTS: usize = 10_000;
const PAGE_BYTES: usize = 1 << 20;

pub(super) fn create_stream(
    world: &mut World,
    now: Millis,
    input: &Value,
) -> Result<Value, AwsError> {
    let group = named(world, input)?;
    let name = text(input, "logStreamName").unwrap_or_default().to_owned();
    let Some(group) = world.state.logs.groups.get_mut(&group) else { return Ok(Value::Null) };
    rules::stream_is_new(group, &name, now)?;
    // A stream that a service is going to write to later is there already, and begins now.
    let stream = group.streams.entry(name.clone()).or_insert_with(|| Stream {
        name,
        created_at: now,
        events: BTreeMap::new(),
    });
    stream.created_at = now;
    Ok(Value::Null)
}

pub(super) fn put(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let group_name = named(world, input)?;
    let stream_name = text(input, "logStreamName").unwrap_or_default();
    let group = &world.state.logs.groups[&group_name];
    rules::stream_exists(group, stream_name, now)?;
    let events: Vec<(Millis, String)> = input["logEvents"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| {
            let message = event["message"].as_str().unwrap_or_default();
            (event["timestamp"].as_u64().unwrap_or_default(), message.to_owned())
        })
        .collect();
    rules::batch_is_in_order(&events)?;
    rules::batch_fits(&events)?;
    let window = rules::accepted_window(group.retention, now);
    rules::batch_spans_a_day(events.iter().map(|(at, _)| *at).filter(|at| window.contains(at)))?;

    let too_old = events.iter().take_while(|(at, _)| at < window.start()).count();
    let too_new = events.iter().position(|(at, _)| at > window.end());
    let mut rejected = serde_json::Map::new();
    if too_old > 0 {
        rejected.insert("tooOldLogEventEndIndex".into(), too_old.into());
    }
    if let Some(start) = too_new {
        rejected.insert("tooNewLogEventStartIndex".into(), start.into());
    }
    let accepted = events.into_iter().filter(|(at, _)| window.contains(at));
    world.state.logs.append(&group_name, stream_name, now, accepted);
    // The token is ignored nowadays, but still there.
    let mut answer = json!({ "nextSequenceToken": format!("{:056}", world.state.logs.written) });
    if !rejected.is_empty() {
        answer["rejectedLogEventsInfo"] = rejected.into();
    }
    Ok(answer)
}

pub(super) fn describe_streams(
    world: &World,
    now: Millis,
    input: &Value,
) -> Result<Value, AwsError> {
    let group_name = named(world, input)?;
    let group = &world.state.logs.groups[&group_name];
    let prefix = text(input, "logStreamNamePrefix");
    let by_time = text(input, "orderBy") == Some("LastEventTime");
    rules::time_order_has_no_prefix(by_time, prefix)?;
    let mut streams: Vec<(Millis, String, Value)> = group
        .visible_streams(now)
        .filter(|stream| prefix.is_none_or(|prefix| stream.name.starts_with(prefix)))
        .map(|stream| {
            let mut shown = json!({
                "logStreamName": stream.name,
                "creationTime": stream.created_at,
                "arn": world.arn(
                    "logs",
                    &format!("log-group:{group_name}:log-stream:{}", stream.name),
                ),
                "uploadSequenceToken": format!("{:056}", stream.events.len()),
                // AWS gives zero for every stream since 2019.
                "storedBytes": 0,
            });
            let mut events = group.visible_events(stream, now);
            let first = events.next();
            let last = events.next_back().or(first);
            if let (Some(first), Some(last)) = (first, last) {
                shown["firstEventTimestamp"] = first.at.into();
                shown["lastEventTimestamp"] = last.at.into();
                shown["lastIngestionTime"] = last.ingested.into();
            }
            (last.map_or(0, |event| event.at), stream.name.clone(), shown)
        })
        .collect();
    if by_time {
        streams.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    }
    if input["descending"].as_bool().unwrap_or(false) {
        streams.reverse();
    }
    let streams = streams.into_iter().map(|(_, name, shown)| (name, shown)).collect();
    page("logStreams", streams, input, 50)
}

pub(super) fn filter(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let group_name = named(world, input)?;
    let group = &world.state.logs.groups[&group_name];
    let names: Vec<&str> = input["logStreamNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let prefix = text(input, "logStreamNamePrefix");
    rules::names_or_prefix(!names.is_empty(), prefix)?;
    for name in &names {
        rules::stream_exists(group, name, now)?;
    }
    let pattern = Pattern::parse(input["filterPattern"].as_str().unwrap_or_default())?;
    let (from, to) = (input["startTime"].as_u64(), input["endTime"].as_u64());

    // The direction is set by the first call and then lives in the token.
    let token = text(input, "nextToken").map(parse_token).transpose()?;
    let forward = match token {
        Some((forward, _)) => forward,
        None => input["startFromHead"].as_bool().unwrap_or(true),
    };
    rules::descending_begins_late_enough(forward, from)?;
    let mut events: Vec<(&str, &Event)> = group
        .visible_streams(now)
        .filter(|stream| names.is_empty() || names.contains(&stream.name.as_str()))
        .filter(|stream| prefix.is_none_or(|prefix| stream.name.starts_with(prefix)))
        .flat_map(|stream| {
            group.visible_events(stream, now).map(|event| (stream.name.as_str(), event))
        })
        // Both ends are in the range, other than with GetLogEvents.
        .filter(|(_, event)| from.is_none_or(|from| event.at >= from))
        .filter(|(_, event)| to.is_none_or(|to| event.at <= to))
        .filter(|(_, event)| match token {
            Some((true, id)) => event.id.as_str() > id,
            Some((false, id)) => event.id.as_str() < id,
            None => true,
        })
        .collect();
    events.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    if !forward {
        events.reverse();
    }

    let limit = size(input, PAGE_EVENTS);
    let mut found = Vec::new();
    let (mut looked_at, mut bytes) = (0, 0);
    for (stream, event) in &events {
        if looked_at == LOOKED_AT || found.len() == limit || bytes > PAGE_BYTES {
            break;
        }
        looked_at += 1;
        if pattern.matches(&event.message) {
            bytes += event.message.len();
            found.push(json!({
                "logStreamName": stream,
                "timestamp": event.at,
                "message": event.message,
                "ingestionTime": event.ingested,
                "eventId": event.id,
            }));
        }
    }
    let mut answer = json!({ "events": found, "searchedLogStreams": [] });
    if looked_at < events.len()
        && let Some((_, last)) = looked_at.checked_sub(1).map(|at| events[at])
    {
        answer["nextToken"] = token_at(forward, &last.id).into();
    }
    Ok(answer)
}

pub(super) fn get(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let group_name = named(world, input)?;
    let group = &world.state.logs.groups[&group_name];
    let stream =
        rules::stream_exists(group, text(input, "logStreamName").unwrap_or_default(), now)?;
    let (from, to) = (input["startTime"].as_u64(), input["endTime"].as_u64());
    let token = text(input, "nextToken").map(parse_token).transpose()?;
    let events: Vec<&Event> = group
        .visible_events(stream, now)
        .filter(|event| from.is_none_or(|from| event.at >= from))
        .filter(|event| to.is_none_or(|to| event.at < to))
        .filter(|event| match token {
            Some((true, id)) => event.id.as_str() > id,
            Some((false, id)) => event.id.as_str() < id,
            None => true,
        })
        .collect();
    let from_head = match token {
        Some((forward, _)) => forward,
        None => input["startFromHead"].as_bool().unwrap_or(false),
    };
    let limit = size(input, PAGE_EVENTS);
    let mut bytes = 0;
    let mut fits = |event: &&Event| {
        bytes += event.message.len();
        bytes <= PAGE_BYTES
    };
    let shown: Vec<&Event> = if from_head {
        events.iter().copied().take(limit).take_while(&mut fits).collect()
    } else {
        let mut newest: Vec<&Event> =
            events.iter().copied().rev().take(limit).take_while(&mut fits).collect();
        newest.reverse();
        newest
    };
    // Where nothing came, both tokens stay where the reader is, so that the one that was sent comes back: this is the end.
    let here = token.map_or("0", |(_, id)| id);
    let before = shown.first().map_or(here, |event| event.id.as_str());
    let after = shown.last().map_or(here, |event| event.id.as_str());
    Ok(json!({
        "events": shown
            .iter()
            .map(|event| json!({
                "timestamp": event.at,
                "message": event.message,
                "ingestionTime": event.ingested,
            }))
            .collect::<Vec<_>>(),
        "nextForwardToken": token_at(true, after),
        "nextBackwardToken": token_at(false, before),
    }))
}

fn token_at(forward: bool, id: &str) -> String {
    format!("{}/{id}/s", if forward { 'f' } else { 'b' })
}

/// The direction of a token and the id of the event that it stands at.
fn parse_token(token: &str) -> Result<(bool, &str), AwsError> {
    let inner = token.strip_suffix("/s").and_then(|token| token.split_once('/'));
    let (direction, id) = rules::token_is_known(inner)?;
    Ok((direction == "f", id))
}
