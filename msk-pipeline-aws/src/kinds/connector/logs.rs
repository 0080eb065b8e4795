//! The cause of a failure, out of the workers' log: MSK Connect's own words are generic.
//!
//! What ends a worker or a task is often told twice: once where it happens, with a stack trace, and once more by whoever passes it on
//! ("Uncaught exception in REST call", "Stopping due to error"). So the last ERROR only says *when* it ended; the entry that explains
//! it is looked for in the minutes before, stack traces included.
//!
//! Source: handbook msk.md §7.6 (the form of lines, last ERROR and deepest cause).

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use msk_pipeline_core::kind::CallError;

use crate::error::{absent, classify};

/// So many pages are read at most.
const PAGES: usize = 20;
/// How long before the last ERROR the one that explains it may lie, and how long its stack trace may go on, in milliseconds.
const BEFORE: i64 = 5 * 60_000;
const AFTER: i64 = 60_000;
/// So many lines of an exception's own text are told.
const TEXT: usize = 3;

/// What the workers of a connector wrote about its end, with the deepest cause; `None` if there is no ERROR, or no such log group.
///
/// `since` is in milliseconds since 1970: earlier lines are another incarnation's.
pub(super) async fn last_error(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    connector: &str,
    since: Option<i64>,
) -> Result<Option<String>, CallError> {
    let errors = Some("?ERROR ?FATAL");
    let Some(lines) = read(client, group, errors, since, None).await? else { return Ok(None) };
    let ours = |line: &&Line| {
        Entry::begin(line).is_some_and(|entry| entry.is_error() && !entry.is_of_another(connector))
    };
    let Some(last) = lines.iter().filter(ours).map(|line| line.at).max() else { return Ok(None) };
    let from = since.unwrap_or(0).max(last - BEFORE);
    let Some(lines) = read(client, group, None, Some(from), Some(last + AFTER)).await? else {
        return Ok(None);
    };
    Ok(explain(&lines, connector))
}

/// Lines in the order of writing; `None` if there is no such group.
async fn read(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    pattern: Option<&str>,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<Option<Vec<Line>>, CallError> {
    let mut lines = Vec::new();
    let mut token = None;
    for _ in 0..PAGES {
        let answer = client
            .filter_log_events()
            .log_group_name(group)
            .set_filter_pattern(pattern.map(str::to_owned))
            .set_start_time(from)
            .set_end_time(to)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("logs:FilterLogEvents", e));
        let Some(page) = absent(answer)? else { return Ok(None) };
        lines.extend(page.events().iter().flat_map(Line::of));
        token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // Within a stream the order is that of writing, and the sort keeps it.
    lines.sort_by_key(|line| line.at);
    Ok(Some(lines))
}

/// One line of a worker's log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: i64,
    stream: String,
    text: String,
}

impl Line {
    /// An event is one line, or an entry with its stack trace.
    fn of(event: &FilteredLogEvent) -> Vec<Self> {
        let stream = event.log_stream_name().unwrap_or_default();
        let lines = event.message().unwrap_or_default().lines();
        lines
            .map(|text| Self {
                at: event.timestamp().unwrap_or_default(),
                stream: stream.to_owned(),
                text: text.trim_end().to_owned(),
            })
            .collect()
    }

    /// The line without `[Worker-…] `.
    fn bare(&self) -> &str {
        match self.text.strip_prefix("[Worker-").and_then(|rest| rest.split_once(']')) {
            Some((_, rest)) => rest.strip_prefix(' ').unwrap_or(rest),
            None => &self.text,
        }
    }
}

/// An entry: `[time] LEVEL [connector|task-0] message (class:line)`, and the lines of its stack trace.
struct Entry<'a> {
    level: &'a str,
    /// From the context on.
    message: &'a str,
    stack: Vec<&'a str>,
}

impl<'a> Entry<'a> {
    /// The entry that a line begins; `None` for one of a stack trace.
    fn begin(line: &'a Line) -> Option<Self> {
        let rest = line
            .bare()
            .strip_prefix('[')
            .filter(|r| r.starts_with(|c: char| c.is_ascii_digit()))?;
        let (_, rest) = rest.split_once("] ")?;
        let (level, message) = rest.split_once(' ')?;
        Some(Self { level, message: message.trim_start(), stack: Vec::new() })
    }

    fn is_error(&self) -> bool {
        matches!(self.level, "ERROR" | "FATAL")
    }

    /// True if its context (`[name|task-0]`) names another connector: several may write to one group.
    fn is_of_another(&self, connector: &str) -> bool {
        let context = self.message.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let name = context.map(|(context, _)| context.split('|').next().unwrap_or_default());
        name.is_some_and(|name| name != connector && !name.contains(' ') && !name.is_empty())
    }

    /// The deepest `Caused by:`.
    fn cause(&self) -> Option<String> {
        let caused = |line: &&str| line.trim_start().strip_prefix("Caused by: ").map(str::to_owned);
        self.stack.iter().filter_map(caused).next_back()
    }

    /// What the exception itself says, before the first frame of its trace.
    fn exception(&self) -> Option<String> {
        let frame = |line: &&&str| !line.trim_start().starts_with("at ");
        let text: Vec<_> =
            self.stack.iter().take_while(frame).take(TEXT).map(|l| l.trim()).collect();
        (!text.is_empty()).then(|| text.join(" "))
    }
}

/// The entry that explains the last ERROR: the newest one with a cause, or else with an exception, or else the last one.
fn explain(lines: &[Line], connector: &str) -> Option<String> {
    let mut streams: BTreeMap<&str, Vec<(i64, Entry<'_>)>> = BTreeMap::new();
    for line in lines {
        let entries = streams.entry(&line.stream).or_default();
        match Entry::begin(line) {
            Some(entry) => entries.push((line.at, entry)),
            None => {
                if let Some((_, entry)) = entries.last_mut() {
                    entry.stack.push(line.bare());
                }
            }
        }
    }
    let mut errors: Vec<(i64, Entry<'_>)> = streams.into_values().flatten().collect();
    errors.retain(|(_, entry)| entry.is_error() && !entry.is_of_another(connector));
    errors.sort_by_key(|(at, _)| *at);
    let told = |entry: &Entry<'_>, why: Option<String>| match why {
        Some(why) => format!("{}; caused by: {why}", entry.message),
        None => entry.message.to_owned(),
    };
    let newest = |why: fn(&Entry<'_>) -> Option<String>| {
        errors.iter().rev().find_map(|(_, entry)| why(entry).map(|why| told(entry, Some(why))))
    };
    newest(|entry| entry.cause())
        .or_else(|| newest(|entry| entry.exception()))
        .or_else(|| errors.last().map(|(_, entry)| told(entry, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines a second apart, each with its stream.
    fn lines(of: &[(&str, &str)]) -> Vec<Line> {
        let line = |(n, (stream, text)): (usize, &(&str, &str))| Line {
            at: i64::try_from(n).unwrap() * 1000,
            stream: (*stream).to_owned(),
            text: format!("[Worker-0123456789abcdef0] {text}"),
        };
        of.iter().enumerate().map(line).collect()
    }

    #[track_caller]
    fn check(of: &[(&str, &str)], expected: Option<&str>) {
        assert_eq!(explain(&lines(of), "orders").as_deref(), expected);
    }

    #[test]
    fn an_error_comes_with_its_deepest_cause() {
        check(
            &[
                ("s1", "[2026-08-01 10:00:00,123] ERROR [orders|task-0] early (a:1)"),
                ("s1", "Caused by: early.Cause"),
                (
                    "s1",
                    "[2026-08-01 10:00:01,123] ERROR [orders|task-0] Task threw an exception (b:2)",
                ),
                ("s1", "org.apache.kafka.connect.errors.ConnectException: outermost"),
                ("s1", "\tat a.B.c(B.java:1)"),
                ("s1", "Caused by: java.util.concurrent.ExecutionException: x"),
                ("s2", "Caused by: of.another.Worker"),
                ("s1", "\tat a.B.c(B.java:2)"),
                ("s1", "Caused by: java.net.UnknownHostException: db"),
                ("s1", "[2026-08-01 10:00:02,123] INFO [orders|task-0] Caused by: nobody (b:2)"),
            ],
            Some(
                "[orders|task-0] Task threw an exception (b:2); caused by: java.net.UnknownHostException: db",
            ),
        );
    }

    #[test]
    fn the_entry_that_explains_is_told_and_not_the_one_that_passes_it_on() {
        let failed = [
            (
                "s",
                "[2026-08-01 10:00:00,123] ERROR [orders] Failed testing connection for jdbc:mysql://db (c:1)",
            ),
            (
                "s",
                "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure",
            ),
            ("s", "Caused by: java.net.SocketTimeoutException: Connect timed out"),
            (
                "s",
                "[2026-08-01 10:00:00,456] ERROR [orders] Uncaught exception in REST call to /connectors (m:64)",
            ),
            ("s", "org.x.BadRequestException: Connector configuration is invalid:"),
            ("s", "Unable to connect: Communications link failure"),
            ("s", "\tat org.x.AbstractHerder.maybeAddConfigErrors(AbstractHerder.java:751)"),
        ];
        check(
            &failed,
            Some(
                "[orders] Failed testing connection for jdbc:mysql://db (c:1); caused by: java.net.SocketTimeoutException: Connect timed out",
            ),
        );
        // Without a cause anywhere the exception speaks for itself.
        check(
            &failed[3..],
            Some(
                "[orders] Uncaught exception in REST call to /connectors (m:64); caused by: org.x.BadRequestException: Connector configuration is invalid: Unable to connect: Communications link failure",
            ),
        );
        let end = ("s", "[2026-08-01 10:00:03,456] ERROR [orders] Stopping due to error (c:3)");
        check(
            &[failed[3], failed[4], failed[6], end],
            Some(
                "[orders] Uncaught exception in REST call to /connectors (m:64); caused by: org.x.BadRequestException: Connector configuration is invalid:",
            ),
        );
    }

    #[test]
    fn lines_of_other_connectors_and_no_lines_are_no_cause() {
        let other = ("s", "[2026-08-01 10:00:00,123] ERROR [billing|task-0] not ours (b:2)");
        check(&[other, ("s", "Caused by: not.Ours")], None);
        check(&[], None);
        let plain = ("s", "[2026-08-01 10:00:00,123] FATAL [orders] Stopping due to error (c:3)");
        check(&[plain, other], Some("[orders] Stopping due to error (c:3)"));
        // A worker's own context has blanks.
        let worker =
            ("s", "[2026-08-01 10:00:00,123] ERROR [Worker clientId=connect-1] exiting (c:3)");
        check(&[worker], Some("[Worker clientId=connect-1] exiting (c:3)"));
    }

    #[test]
    fn an_event_may_hold_a_whole_trace() {
        let event = FilteredLogEvent::builder()
            .log_stream_name("s")
            .timestamp(7)
            .message("[Worker-0] [2026-08-01 10:00:00,123] ERROR [orders] x (c:3)\nCaused by: y.Z: why\n")
            .build();
        assert_eq!(
            explain(&Line::of(&event), "orders").as_deref(),
            Some("[orders] x (c:3); caused by: y.Z: why")
        );
    }
}
