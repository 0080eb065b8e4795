//! What a connector's workers wrote to their log group: MSK Connect's own words about a failure are generic.
//!
//! What ends a worker or a task is often told twice: once where it happens, with a stack trace, and once more by whoever passes it on
//! ("Uncaught exception in REST call", "Stopping due to error"). So the last ERROR only says *when* it ended; what explains it is
//! looked for in the minutes before. Which words mean what is known to [`msk_pipeline_verify::cause`].
//!
//! Source: handbook msk.md §7.6; `FilterLogEvents` from the end (`startFromHead`): its API reference, since June 2026.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use msk_pipeline_core::kind::CallError;
use msk_pipeline_verify::cause::{Evidence, LogLine, Status, diagnose};

use super::Said;
use crate::Session;
use crate::error::{absent, classify};

/// So many pages are read at most for one question, of ten thousand events or a megabyte each.
const PAGES: usize = 20;
/// So many times as many pages are looked through for the last ERROR: what doesn't match is not sent.
const SEARCH: usize = 4;
/// How long before the last ERROR the one that explains it may lie, and how long its stack trace may go on, in milliseconds.
const BEFORE: i64 = 5 * 60_000;
const AFTER: i64 = 60_000;
/// 2024-01-01T00:00:00Z: reading from the end needs a start that isn't earlier.
const DESCENDING_FROM: i64 = 1_704_067_200_000;
/// What a worker writes when something fails, as a filter pattern.
const ERRORS: &str = "?ERROR ?FATAL";

/// What the workers of a connector wrote about its end; `None` if there is no ERROR, or no such log group.
///
/// `since` is in milliseconds since 1970: earlier lines are another incarnation's.
pub(super) async fn last_error(
    client: &Client,
    group: &str,
    connector: &str,
    since: Option<i64>,
) -> Result<Option<Said>, CallError> {
    let log = Log { client, group, since: since.unwrap_or(0), pages: PAGES };
    let Some(last) = log.last_error().await? else { return Ok(None) };
    let lines = log.around(last, i64::MAX).await?;
    Ok(explained(connector, in_order(lines)))
}

/// What was written since, in the order of writing; none if there is no such group.
///
/// Of a log that is longer than what is read for one question, twenty pages: its newest lines, and what was written around the last
/// ERROR, wherever that is.
pub(crate) async fn all(
    client: &Client,
    group: &str,
    since: Option<i64>,
) -> Result<Vec<LogLine>, CallError> {
    Log { client, group, since: since.unwrap_or(0), pages: PAGES }.whole().await
}

/// A log group from a moment on, in milliseconds since 1970.
struct Log<'a> {
    client: &'a Client,
    group: &'a str,
    since: i64,
    /// How many pages are read for one question.
    pages: usize,
}

/// A page's events, and the token of the next.
type Page = (Vec<FilteredLogEvent>, Option<String>);

impl Log<'_> {
    async fn whole(&self) -> Result<Vec<LogLine>, CallError> {
        let (mut lines, complete) = self.newest().await?;
        let oldest = lines.last().and_then(FilteredLogEvent::timestamp);
        if !complete
            && let Some(last) = self.last_error().await?
            && oldest.is_none_or(|oldest| last - BEFORE < oldest)
        {
            let known: BTreeSet<_> =
                lines.iter().map(|l| l.event_id().map(str::to_owned)).collect();
            let around = self.around(last, oldest.unwrap_or(i64::MAX)).await?;
            let new = |l: &FilteredLogEvent| !known.contains(&l.event_id().map(str::to_owned));
            // From the newest to the oldest, as the others.
            lines.extend(around.into_iter().rev().filter(new));
        }
        lines.reverse();
        Ok(in_order(lines))
    }

    /// The newest events, the newest first, and whether these are all.
    async fn newest(&self) -> Result<(Vec<FilteredLogEvent>, bool), CallError> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..self.pages {
            let (page, next) = self.page(Asked::Newest(None), token).await?;
            events.extend(page);
            token = next;
            if token.is_none() {
                return Ok((events, true));
            }
        }
        Ok((events, false))
    }

    /// When the last ERROR was written, as far as it is found.
    async fn last_error(&self) -> Result<Option<i64>, CallError> {
        let mut token = None;
        for _ in 0..SEARCH * self.pages {
            let (page, next) = self.page(Asked::Newest(Some(ERRORS)), token).await?;
            if let Some(at) = page.iter().filter_map(FilteredLogEvent::timestamp).max() {
                return Ok(Some(at));
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// What was written around a moment and not after `until`, the oldest first.
    async fn around(&self, at: i64, until: i64) -> Result<Vec<FilteredLogEvent>, CallError> {
        self.between(self.since.max(at - BEFORE), Some(until.min(at + AFTER))).await
    }

    /// What was written from a moment to another, the oldest first.
    async fn between(
        &self,
        from: i64,
        to: Option<i64>,
    ) -> Result<Vec<FilteredLogEvent>, CallError> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..self.pages {
            let (page, next) = self.page(Asked::Between(from, to), token).await?;
            events.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        Ok(events)
    }

    /// One page; an empty one without a next if there is no such group. A page may be empty and have a next.
    async fn page(&self, asked: Asked, token: Option<String>) -> Result<Page, CallError> {
        let request = self.client.filter_log_events().log_group_name(self.group);
        let request = match asked {
            Asked::Newest(pattern) => request
                .start_from_head(false)
                .start_time(self.since.max(DESCENDING_FROM))
                .set_filter_pattern(pattern.map(str::to_owned)),
            Asked::Between(from, to) => request.start_time(from).set_end_time(to),
        };
        let answer = request.set_next_token(token).send().await;
        let answer = absent(answer.map_err(|e| classify("logs:FilterLogEvents", e)))?;
        Ok(answer.map_or_else(Page::default, |mut page| {
            let next = page.next_token.take().filter(|t| !t.is_empty());
            (page.events.unwrap_or_default(), next)
        }))
    }
}

/// Lines as they come: each once.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    group: String,
    since: i64,
    told: BTreeMap<String, i64>,
}

/// Lines may arrive so much later than they were written, in milliseconds: workers send them in batches, and `CloudWatch` takes its time.
const LATE: i64 = 2 * 60_000;

impl Follow {
    /// Begins with what was written at `since`, in milliseconds since 1970.
    pub fn new(session: &Session, group: impl Into<String>, since: i64) -> Self {
        let client = session.logs.clone();
        Self { client, group: group.into(), since, told: BTreeMap::new() }
    }

    /// The lines that weren't told yet, in the order of writing, each with its time in milliseconds since 1970; none if there is no such
    /// group yet.
    ///
    /// # Errors
    /// A read that failed; the next one goes on.
    pub async fn more(&mut self) -> Result<Vec<(i64, LogLine)>, CallError> {
        let newest = self.told.values().max().copied();
        let from = newest.map_or(self.since, |newest| self.since.max(newest - LATE));
        let log = Log { client: &self.client, group: &self.group, since: from, pages: PAGES };
        let mut events = log.between(from, None).await?;
        events.sort_by_key(|event| event.timestamp().unwrap_or_default());
        let mut lines = Vec::new();
        for event in &events {
            let at = event.timestamp().unwrap_or_default();
            if self.told.insert(event.event_id().unwrap_or_default().to_owned(), at).is_none() {
                lines.push((at, line(event)));
            }
        }
        // What is older than what is still asked for can't come again.
        let newest = self.told.values().max().copied().unwrap_or_default();
        self.told.retain(|_, at| *at >= newest - LATE);
        Ok(lines)
    }
}

/// What a page is asked for.
#[derive(Clone, Copy)]
enum Asked {
    /// The newest first, those of a pattern.
    Newest(Option<&'static str>),
    /// From a moment to another, or to the end, the oldest first.
    Between(i64, Option<i64>),
}

/// Lines in the order of writing: within a stream it is that in which they came, and the sort keeps it.
fn in_order(mut events: Vec<FilteredLogEvent>) -> Vec<LogLine> {
    events.sort_by_key(|event| event.timestamp().unwrap_or_default());
    events.iter().map(line).collect()
}

/// An event is one line, or an entry with its stack trace.
fn line(event: &FilteredLogEvent) -> LogLine {
    LogLine {
        stream: event.log_stream_name().unwrap_or_default().to_owned(),
        text: event.message().unwrap_or_default().to_owned(),
    }
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
    use aws_sdk_cloudwatchlogs::types::InputLogEvent;

    use super::*;
    use crate::kinds::testing::{Cloud, epoch};

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
        let line = line(&event);
        assert_eq!(line.stream, "s");
        let said = explained("orders", vec![line]).unwrap();
        assert!(said.log.ends_with("caused by: y.Z: why"), "{}", said.log);
    }

    /// A group with `lines`, one a second.
    async fn group(session: &Session, lines: &[String]) {
        let logs = &session.logs;
        logs.create_log_group().log_group_name("g").send().await.unwrap();
        logs.create_log_stream().log_group_name("g").log_stream_name("s").send().await.unwrap();
        for (n, batch) in lines.chunks(1_000).enumerate() {
            let event = |(i, text): (usize, &String)| {
                let at = epoch() + 1_000 * i64::try_from(n * 1_000 + i).unwrap();
                InputLogEvent::builder().timestamp(at).message(text).build().unwrap()
            };
            let events = batch.iter().enumerate().map(event).collect();
            let request = logs.put_log_events().log_group_name("g").log_stream_name("s");
            request.set_log_events(Some(events)).send().await.unwrap();
        }
    }

    async fn read(session: &Session, pages: usize) -> Vec<String> {
        let log = Log { client: &session.logs, group: "g", since: epoch(), pages };
        log.whole().await.unwrap().into_iter().map(|line| line.text).collect()
    }

    /// The embedded AWS looks at a thousand events a page.
    #[tokio::test]
    async fn of_a_long_log_the_newest_lines_and_the_last_error_are_read() {
        let cloud = Cloud::new();
        cloud.pass(10_000);
        let session = Session::embedded(cloud.clone(), "us-east-1");
        let mut lines: Vec<String> = (0..8_000).map(|n| format!("INFO line {n}")).collect();
        lines[100] = "ERROR an earlier one".into();
        lines[3_000] = "ERROR the last one".into();
        group(&session, &lines).await;
        let found = read(&session, 2).await;
        // From five minutes before the last ERROR until one after it, and the newest two pages: in order, nothing twice.
        let expected = [&lines[2_700..=3_060], &lines[6_000..]].concat();
        assert_eq!(found, expected);
        // Where both are one stretch, that is what is read.
        assert_eq!(read(&session, 5).await, lines[2_700..]);
    }

    #[tokio::test]
    async fn a_short_log_is_read_as_it_was_written() {
        let cloud = Cloud::new();
        cloud.pass(10_000);
        let session = Session::embedded(cloud.clone(), "us-east-1");
        assert_eq!(read(&session, 3).await, [""; 0], "there is no such group");
        let lines: Vec<String> = (0..1_500).map(|n| format!("line {n}")).collect();
        group(&session, &lines).await;
        assert_eq!(read(&session, 3).await, lines);
    }

    #[tokio::test]
    async fn who_follows_gets_each_line_once() {
        let cloud = Cloud::new();
        cloud.pass(10_000);
        let session = Session::embedded(cloud.clone(), "us-east-1");
        let mut follow = Follow::new(&session, "g", epoch() + 2_000);
        assert!(follow.more().await.unwrap().is_empty(), "there is no such group");
        let lines: Vec<String> = (0..5).map(|n| format!("line {n}")).collect();
        group(&session, &lines).await;
        let mut texts = async || {
            let lines = follow.more().await.unwrap();
            lines.into_iter().map(|(_, line)| line.text).collect::<Vec<_>>()
        };
        assert_eq!(texts().await, lines[2..]);
        assert_eq!(texts().await, [""; 0]);
        // Written before the newest that was told, and there only now.
        let late = InputLogEvent::builder().timestamp(epoch() + 3_500).message("late").build();
        let request = session.logs.put_log_events().log_group_name("g").log_stream_name("s");
        request.log_events(late.unwrap()).send().await.unwrap();
        cloud.pass(60);
        assert_eq!(texts().await, ["late"]);
    }
}
