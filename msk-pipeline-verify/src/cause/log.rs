//! Lines of a worker's log, put together to entries: a head with its level and context, and the exceptions below it.
//!
//! The format is MSK Connect's: `[Worker-<id>] [time] LEVEL [connector|task-0] message (class:line)`; every line of a stack trace
//! has the worker's prefix and nothing else. Without the prefix it is that of Kafka Connect's own `connect-log4j.properties`.

use serde::{Deserialize, Serialize};

/// What of one line is looked at, in bytes. A log event of CloudWatch has up to 256 kB, cut wherever that is; what names a cause
/// stands at the beginning of a line.
const LOOKED_AT: usize = 16 * 1024;

/// What a JVM with `-XX:+ExitOnOutOfMemoryError` writes before it ends, after whatever entry came before (`report_java_out_of_memory`).
const LAST_WORDS: &str = "Terminating due to java.lang.OutOfMemoryError";

/// One line of a worker's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where it was written: a log stream, or nothing if there is one only. Lines of several streams may come interleaved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// The line as it stands, or several lines (an event may hold a whole stack trace).
    pub text: String,
}

impl LogLine {
    /// A line of the only stream.
    pub fn new(text: impl Into<String>) -> Self {
        Self { stream: String::new(), text: text.into() }
    }
}

/// How bad, in the log's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// INFO and below.
    Info,
    Warn,
    /// ERROR and FATAL.
    Error,
}

/// What one line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The head of an entry.
    Head { time: &'a str, level: Level, context: &'a str, message: &'a str },
    /// An exception's own text, or a line of it: the outermost, or one behind `Caused by:`.
    Exception { text: &'a str, caused: bool },
    /// A frame of a stack trace, `... n more`, an exception that was suppressed, or nothing.
    Frame(&'a str),
}

/// The worker that wrote a line (empty if it doesn't say), and the rest.
pub(super) fn worker(line: &str) -> (&str, &str) {
    let prefixed = line.strip_prefix("[Worker-").and_then(|rest| rest.split_once(']'));
    // `[Worker clientId=…` is a context; a worker's id has no blanks.
    match prefixed.filter(|(id, _)| !id.contains(' ')) {
        Some((id, rest)) => (id, rest.strip_prefix(' ').unwrap_or(rest)),
        None => ("", line),
    }
}

/// What a line is, the worker's prefix taken off.
pub(super) fn part(line: &str) -> Part<'_> {
    if let Some(head) = head(line) {
        return head;
    }
    let text = line.trim();
    if text.starts_with(LAST_WORDS) {
        return Part::Head { time: "", level: Level::Error, context: "", message: text };
    }
    if text.is_empty() || is_frame(text) {
        return Part::Frame(text);
    }
    match text.strip_prefix("Caused by: ") {
        Some(text) => Part::Exception { text, caused: true },
        None => Part::Exception { text, caused: false },
    }
}

fn is_frame(text: &str) -> bool {
    let more = text.strip_prefix("... ").is_some_and(|rest| rest.ends_with(" more"));
    more || text.starts_with("Suppressed: ")
        || text.strip_prefix("at ").is_some_and(|rest| rest.contains('(') && rest.ends_with(')'))
}

fn head(line: &str) -> Option<Part<'_>> {
    let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
    if !time.starts_with(|c: char| c.is_ascii_digit()) || time.len() < 19 || time.len() > 32 {
        return None;
    }
    let (level, rest) = rest.split_once(' ')?;
    let level = match level {
        "ERROR" | "FATAL" => Level::Error,
        "WARN" => Level::Warn,
        "INFO" | "DEBUG" | "TRACE" => Level::Info,
        _ => return None,
    };
    let rest = rest.trim_start();
    let context = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    // The context names a connector; `[Worker clientId=…]` and `[Producer clientId=…]` are part of a message.
    let (context, message) = match context.filter(|(name, _)| !name.contains([' ', '='])) {
        Some((context, message)) => (context, message.trim_start()),
        None => ("", rest),
    };
    Some(Part::Head { time, level, context, message })
}

/// The beginning of a line, as much of it as is looked at.
pub(super) fn cut(line: &str) -> &str {
    let mut end = line.len().min(LOOKED_AT);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

/// Which entry a line belongs to: one is open for each worker of each stream. There are few, so a list is searched.
#[derive(Debug, Clone, Default)]
pub(super) struct Open<T> {
    entries: Vec<(String, String, T)>,
}

impl<T: Default> Open<T> {
    /// What is open for a worker.
    pub(super) fn of(&mut self, stream: &str, worker: &str) -> &mut T {
        let at = self.entries.iter().position(|(s, w, _)| s == stream && w == worker);
        let at = at.unwrap_or_else(|| {
            self.entries.push((stream.to_owned(), worker.to_owned(), T::default()));
            self.entries.len() - 1
        });
        &mut self.entries[at].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_a_time_a_level_a_context_and_a_message() {
        let (id, rest) = worker(
            "[Worker-0a1b2c3d4e5f60718] [2026-08-01 10:00:00,123] ERROR [orders|task-0] It broke (a.B:7)",
        );
        assert_eq!(id, "0a1b2c3d4e5f60718");
        assert_eq!(
            part(rest),
            Part::Head {
                time: "2026-08-01 10:00:00,123",
                level: Level::Error,
                context: "orders|task-0",
                message: "It broke (a.B:7)"
            }
        );
        // A client's own context is part of what it says.
        let line = "[2026-08-01 10:00:00,123] WARN [orders|task-0|offsets] [Producer clientId=p] x";
        let Part::Head { context, message, level, .. } = part(line) else { panic!() };
        assert_eq!(
            (context, message, level),
            ("orders|task-0|offsets", "[Producer clientId=p] x", Level::Warn)
        );
        let line = "[2026-08-01 10:00:00,123] INFO [Worker clientId=connect-1] Joined";
        let Part::Head { context, message, .. } = part(line) else { panic!() };
        assert_eq!((context, message), ("", "[Worker clientId=connect-1] Joined"));
        assert_eq!(worker("[Worker clientId=connect-1] x").0, "");
    }

    #[test]
    fn what_is_below_a_head_is_an_exception_or_a_frame() {
        assert_eq!(
            part("Caused by: java.net.UnknownHostException: db"),
            Part::Exception { text: "java.net.UnknownHostException: db", caused: true }
        );
        assert_eq!(
            part("org.apache.kafka.connect.errors.ConnectException: x"),
            Part::Exception {
                text: "org.apache.kafka.connect.errors.ConnectException: x",
                caused: false
            }
        );
        // The first words of a sentence are no frame.
        assert_eq!(
            part("at least one value is needed"),
            Part::Exception { text: "at least one value is needed", caused: false }
        );
        for frame in [
            "\tat a.B.c(B.java:1)",
            "\t... 12 more",
            "",
            "\tSuppressed: x.Y: z",
            "\tat java.base/a.B.c(Native Method)",
        ] {
            assert_eq!(part(frame), Part::Frame(frame.trim()), "{frame}");
        }
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let long = format!("{}é{}", "x".repeat(LOOKED_AT - 1), "y".repeat(256 * 1024));
        assert_eq!(cut(&long).len(), LOOKED_AT - 1);
        assert_eq!(cut("short"), "short");
    }
}
