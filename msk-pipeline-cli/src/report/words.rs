//! Durations, counts and values as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use msk_pipeline_core::Timestamp;
use msk_pipeline_core::plan::Action;
use serde_json::Value;

use crate::printer::tame;

/// The mark of everything that is no real cloud.
pub(crate) const SIMULATED: &str = "SIMULATED";

/// `40 s`, `25 min`, `1 h 05 min`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    match seconds {
        0 => "under 1 s".into(),
        1..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `1 resource`, `2 resources`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A duration of the embedded world, and how long it was at the terminal.
pub(crate) fn span_here(duration: Duration, scale: f64) -> String {
    if scale > 0.0 && (scale - 1.0).abs() > f64::EPSILON {
        format!("{} ({} here)", span(duration), span(duration.div_f64(scale)))
    } else {
        span(duration)
    }
}

/// The time of day now, in UTC.
pub(crate) fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = Timestamp(u64::try_from(now.as_millis()).unwrap_or_default()).to_string();
    text.get(11..).unwrap_or_default().to_owned()
}

/// What was done.
pub(crate) fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "changed",
        Action::Delete => "deleted",
        Action::Wait => "ready",
        Action::Record => "recorded",
        Action::NoOp => "as declared",
    }
}

/// What is being done.
pub(crate) fn doing(action: Action) -> &'static str {
    match action {
        Action::Create => "creating",
        Action::Update => "changing",
        Action::Delete => "deleting",
        Action::Wait => "waiting",
        Action::Record | Action::NoOp => "recording",
    }
}

/// A value in one line; a reference says whose output it will be.
pub(crate) fn value(value: &Value) -> String {
    if let Some((address, output)) = reference(value) {
        return format!("(known after apply: {address} {output})");
    }
    match value {
        Value::Null => "(none)".into(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<_> =
                map.iter().map(|(k, v)| format!("{} = {}", tame(k), self::value(v))).collect();
            if items.is_empty() { "{}".into() } else { format!("{{ {} }}", items.join(", ")) }
        }
        plain => plain.to_string(),
    }
}

fn reference(value: &Value) -> Option<(&str, &str)> {
    let map = value.as_object().filter(|m| m.len() == 2)?;
    Some((map.get("$ref")?.as_str()?, map.get("output")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [0, 40, 119, 120, 1500, 7199, 7200, 9000].map(Duration::from_secs).map(span);
        let expected = "under 1 s, 40 s, 119 s, 2 min, 25 min, 120 min, 2 h 00 min, 2 h 30 min";
        assert_eq!(spans.join(", "), expected);
        assert_eq!(span_here(Duration::from_mins(40), 180.0), "40 min (13 s here)");
    }

    #[test]
    fn references_are_known_after_apply() {
        let value = json!({ "groups": [{ "$ref": "kafka.main.group", "output": "group_id" }, "sg-1"], "n": 3 });
        assert_eq!(
            super::value(&value),
            r#"{ groups = [(known after apply: kafka.main.group group_id), "sg-1"], n = 3 }"#
        );
    }
}
