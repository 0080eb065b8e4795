//! What a connector's workers wrote to their log group: MSK Connect's own words about a failure are generic.
//!
//! What ends a worker or a task is often told twice: once where it happens, with a stack trace, and once more by whoever passes it on
//! ("Uncaught exception in REST call", "Stopping due to error"). So the last ERROR only says *when* it ended; what explains it is
//! looked for in the minutes before. Which words mean what is known to [`msk_pipeline_verify::cause`].
//!
//! Source: handbook msk.md §7.6.

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use msk_pipeline_core::kind::CallError;
use msk_pipeline_verify::cause::{Evidence, LogLine, Status, diagnose};

use super::Said;
use crate::error::{absent, classify};

/// So many pages are read at most, of ten thousand events or a megabyte each.
const PAGES: usize = 20;
/// How long before the last ERROR the one that explains it may lie, and how long its stack trace may go on, in milliseconds.
const BEFORE: i64 = 5 * 60_000;
const AFTER: i64 = 60_000;

/// What the workers of a connector wrote about its end; `None` if there is no ERROR, or no such log group.
///
/// `since` is in milliseconds since 1970: earlier lines are another incarnation's.
pub(super) async fn last_error(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    connector: &str,
    since: Option<i64>,
) -> Result<Option<Said>, CallError> {
    let errors = Some("?ERROR ?FATAL");
    let lines = read(client, group, errors, since, None).await?;
    let Some(last) = lines.iter().map(|(at, _)| *at).max() else { return Ok(None) };
    let from = since.unwrap_or(0).max(last - BEFORE);
    let lines = read(client, group, None, Some(from), Some(last + AFTER)).await?;
    Ok(explained(connector, lines.into_iter().map(|(_, line)| line).collect()))
}

/// Everything that was written since, at most `PAGES` pages.
pub(crate) async fn all(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    since: Option<i64>,
) -> Result<Vec<LogLine>, CallError> {
    let lines = read(client, group, None, since, None).await?;
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Lines in the order of writing, with their times; none if there is no such group.
async fn read(
    client: &aws_sdk_cloudwatchlogs::Client,
    group: &str,
    pattern: Option<&str>,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<Vec<(i64, LogLine)>, CallError> {
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
        let Some(page) = absent(answer)? else { return Ok(Vec::new()) };
        lines.extend(page.events().iter().map(line));
        token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // Within a stream the order is that of writing, and the sort keeps it.
    lines.sort_by_key(|(at, _)| *at);
    Ok(lines)
}

/// An event is one line, or an entry with its stack trace.
fn line(event: &FilteredLogEvent) -> (i64, LogLine) {
    let line = LogLine {
        stream: event.log_stream_name().unwrap_or_default().to_owned(),
        text: event.message().unwrap_or_default().to_owned(),
    };
    (event.timestamp().unwrap_or_default(), line)
}

/// What lines say about the end of a connector, or of an operation on it, that is known to have failed.
fn explained(connector: &str, lines: Vec<LogLine>) -> Option<Said> {
    let status = Some(Status { state: "FAILED".into(), ..Status::default() });
    let evidence = Evidence { connector: connector.into(), lines, status, ..Evidence::default() };
    let diagnosis = diagnose(&evidence);
    let verdict = diagnosis.verdict.as_ref();
    let shown = || verdict.map(|v| v.shown_by.clone());
    Some(Said {
        log: diagnosis.error.as_ref().map(ToString::to_string).or_else(shown)?,
        cause: verdict.map(|v| format!("{} [{}]", v.title, v.code)),
        fix: verdict.map(|v| v.fix.clone()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(text: &str) -> Option<Said> {
        explained("orders", text.lines().map(LogLine::new).collect())
    }

    #[test]
    fn a_known_cause_comes_with_its_fix() {
        let said = said_of(
            "[Worker-0a] [2026-08-01 10:00:00,123] ERROR [orders|task-0] Failed testing connection (a.B:1)\n\
             [Worker-0a] java.sql.SQLException: Access denied for user 'cdc'@'10.0.1.7' (using password: YES)",
        );
        let said = said.unwrap();
        assert!(said.cause.as_deref().is_some_and(|c| c.ends_with("[C-DB-AUTH]")), "{said:?}");
        assert!(said.log.contains("Access denied for user 'cdc'"), "{said:?}");
        assert!(!said.fix.is_empty());
    }

    #[test]
    fn an_unknown_one_is_told_in_its_own_words() {
        let said = said_of(
            "[Worker-0a] [2026-08-01 10:00:00,123] ERROR [orders|task-0] Task threw an exception (b:2)\n\
             [Worker-0a] org.apache.kafka.connect.errors.ConnectException: outermost\n\
             [Worker-0a] Caused by: a.b.Strange: never seen",
        );
        let said = said.unwrap();
        assert_eq!((said.cause, said.fix), (None, Vec::new()));
        assert!(said.log.ends_with("caused by: a.b.Strange: never seen"), "{}", said.log);
    }

    #[test]
    fn lines_of_other_connectors_and_no_lines_are_no_cause() {
        assert_eq!(said_of(""), None);
        let other = "[Worker-0a] [2026-08-01 10:00:00,123] ERROR [billing|task-0] not ours (b:2)";
        assert_eq!(said_of(other), None);
    }

    #[test]
    fn an_event_may_hold_a_whole_trace() {
        let event = FilteredLogEvent::builder()
            .log_stream_name("s")
            .timestamp(7)
            .message("[Worker-0] [2026-08-01 10:00:00,123] ERROR [orders] x (c:3)\nCaused by: y.Z: why\n")
            .build();
        let (at, line) = line(&event);
        assert_eq!((at, line.stream.as_str()), (7, "s"));
        let said = explained("orders", vec![line]).unwrap();
        assert!(said.log.ends_with("caused by: y.Z: why"), "{}", said.log);
    }
}
