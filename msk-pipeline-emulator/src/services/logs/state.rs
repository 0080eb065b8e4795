//! What exists in `CloudWatch` Logs, and what of it is visible at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::world::{Millis, World};

const DAY: Millis = 24 * 60 * 60 * 1000;
/// How long an event stays after its retention has passed.
const EXPIRED_STAYS: Millis = 3 * DAY;

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub(super) groups: BTreeMap<String, Group>,
    /// The number of events ever written: it makes their ids unique.
    pub(super) written: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) created_at: Millis,
    pub(super) retention: Option<u64>,
    pub(super) kms_key: Option<String>,
    pub(super) class: String,
    pub(super) protected: bool,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) streams: BTreeMap<String, Stream>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) created_at: Millis,
    /// By id, which is also the order: by time, then as written.
    pub(super) events: BTreeMap<String, Event>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) at: Millis,
    pub(super) ingested: Millis,
    pub(super) message: String,
}

impl Group {
    /// When the group is only asked for what is there now: streams that have begun.
    pub(super) fn visible_streams(&self, now: Millis) -> impl Iterator<Item = &Stream> {
        self.streams.values().filter(move |stream| stream.created_at <= now)
    }

    /// The events of a stream that are there now: they have happened and are not past their retention. AWS takes up to 72 hours
    /// to drop what is (botocore `PutRetentionPolicy`).
    pub(super) fn visible_events<'a>(
        &self,
        stream: &'a Stream,
        now: Millis,
    ) -> impl DoubleEndedIterator<Item = &'a Event> + use<'a> {
        let oldest = self
            .retention
            .map_or(0, |days| now.saturating_sub(days.saturating_mul(DAY) + EXPIRED_STAYS));
        stream.events.values().filter(move |event| event.at <= now && event.at >= oldest)
    }
}

impl State {
    /// Appends events to a stream, which is made if it is not there; without the group nothing happens.
    pub(super) fn append(
        &mut self,
        group: &str,
        stream: &str,
        ingested: Millis,
        events: impl IntoIterator<Item = (Millis, String)>,
    ) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let stream = group.streams.entry(stream.into()).or_insert_with(|| Stream {
            name: stream.into(),
            created_at: ingested,
            events: BTreeMap::new(),
        });
        for (at, message) in events {
            self.written += 1;
            // 56 digits, as AWS has them.
            let id = format!("3{at:013}{:042}", self.written);
            stream.events.insert(id.clone(), Event { id, at, ingested, message });
        }
        stream.created_at = stream.created_at.min(ingested);
    }
}

/// Writes lines to a stream as a service does that delivers its logs: the stream is made if it is not there, and without the log
/// group the lines are lost. `at` may lie in the future; until then the lines are invisible.
pub(crate) fn put(world: &mut World, group: &str, stream: &str, at: Millis, lines: &[String]) {
    let events = lines.iter().filter(|line| !line.is_empty()).map(|line| (at, line.clone()));
    world.state.logs.append(group, stream, at, events);
}

/// Whether a log group exists.
pub(crate) fn exists(world: &World, group: &str) -> bool {
    world.state.logs.groups.contains_key(group)
}
