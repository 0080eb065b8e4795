//! The cause of a failure, out of the workers' log: MSK Connect's own words are generic.
//!
//! Source: handbook msk.md §7.6.

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use msk_pipeline_core::kind::CallError;

use crate::error::{absent, classify};

/// So many events are looked through at most, newest first as far as CloudWatch tells.
const PAGES: usize = 20;

/// The last ERROR that the workers of a connector wrote, with its deepest cause; `None` if there is none, or no such log group.
///
/// `since` is in milliseconds since 1970: earlier lines are another incarnation's.
pub(super) async fn last_error(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    connector: &str,
    since: Option<i64>,
) -> Result<Option<String>, CallError> {
    let mut lines: Vec<(i64, String, String)> = Vec::new();
    let mut token = None;
    for _ in 0..PAGES {
        let answer = client
            .filter_log_events()
            .log_group_name(group)
            // An ERROR line or a line of the stack trace below one.
            .filter_pattern("?ERROR ?FATAL ?\"Caused by:\"")
            .set_start_time(since)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("logs:FilterLogEvents", e));
        let Some(page) = absent(answer)? else { return Ok(None) };
        lines.extend(page.events().iter().filter_map(line));
        token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // Within a stream the order is that of writing; streams are told apart by the worker's prefix.
    lines.sort_by_key(|(at, ..)| *at);
    let texts: Vec<(&str, &str)> = lines.iter().map(|(_, s, m)| (s.as_str(), m.as_str())).collect();
    Ok(deepest(&texts, connector))
}

fn line(event: &FilteredLogEvent) -> Option<(i64, String, String)> {
    let stream = event.log_stream_name().unwrap_or_default().to_owned();
    Some((event.timestamp().unwrap_or_default(), stream, event.message()?.trim_end().to_owned()))
}

/// From `(stream, line)` in the order of time: the message of the last ERROR, and the last `Caused by:` that follows it in its
/// stream. Lines of other connectors that write to the same group are left out.
fn deepest(lines: &[(&str, &str)], connector: &str) -> Option<String> {
    let is_error = |text: &str| {
        text.split(' ').take(6).any(|word| word == "ERROR" || word == "FATAL")
            && !other_connector(text, connector)
    };
    let at = lines.iter().rposition(|(_, text)| is_error(text))?;
    let (stream, error) = lines[at];
    let following = lines[at + 1..].iter().filter(|(s, _)| *s == stream).map(|(_, text)| *text);
    let cause = following
        .take_while(|text| !is_error(text))
        .filter_map(|text| text.split_once("Caused by: ").map(|(_, cause)| cause))
        .last();
    let error = message(error);
    Some(match cause {
        Some(cause) => format!("{error}; caused by: {cause}"),
        None => error.to_owned(),
    })
}

/// Whether a line names a connector in its context (`[name|task-0]`), and not this one.
fn other_connector(text: &str, connector: &str) -> bool {
    let context = text
        .split_once(" ERROR [")
        .or_else(|| text.split_once(" FATAL ["))
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(context, _)| context.split('|').next().unwrap_or_default());
    context.is_some_and(|name| name != connector && !name.contains(' ') && !name.is_empty())
}

/// The line without the worker's prefix and the time.
fn message(text: &str) -> &str {
    let start = ["ERROR ", "FATAL "].iter().filter_map(|level| text.find(level)).min();
    start.map_or(text, |at| &text[at + 6..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[Worker-0123456789abcdef0] [2026-08-01 10:00:00,123]";

    #[test]
    fn the_last_error_comes_with_its_deepest_cause() {
        let first = format!("{HEAD} ERROR [orders|task-0] early (a:1)");
        let last = format!("{HEAD} ERROR [orders|task-0] Task threw an exception (b:2)");
        let lines = [
            ("s1", first.as_str()),
            ("s1", "[Worker-0] Caused by: early.Cause"),
            ("s1", last.as_str()),
            ("s1", "[Worker-0] Caused by: java.util.concurrent.ExecutionException: x"),
            ("s2", "[Worker-1] Caused by: of.another.Worker"),
            ("s1", "[Worker-0] Caused by: java.net.UnknownHostException: db"),
        ];
        assert_eq!(
            deepest(&lines, "orders").as_deref(),
            Some(
                "[orders|task-0] Task threw an exception (b:2); caused by: java.net.UnknownHostException: db"
            )
        );
    }

    #[test]
    fn lines_of_other_connectors_and_no_lines_are_no_cause() {
        let other = format!("{HEAD} ERROR [billing|task-0] not ours (b:2)");
        assert_eq!(deepest(&[("s", other.as_str())], "orders"), None);
        assert_eq!(deepest(&[], "orders"), None);
        let plain = format!("{HEAD} ERROR [orders] Stopping due to error (c:3)");
        assert_eq!(
            deepest(&[("s", plain.as_str())], "orders").as_deref(),
            Some("[orders] Stopping due to error (c:3)")
        );
    }
}
