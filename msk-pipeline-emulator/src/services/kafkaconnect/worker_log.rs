//! What the workers of a connector write to its log group, in the format of MSK Connect (handbook msk.md §7.6).
//! What an entry says follows Kafka Connect and Debezium; the line numbers of their classes and some of the wording are (U).

use super::around;
use super::state::Fixed;
use crate::world::{Millis, World};

/// One entry of a worker's log; its stack trace follows it line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// INFO, WARN, ERROR or FATAL.
    pub(super) level: &'static str,
    /// Whether the connector's task wrote it, rather than the worker itself.
    pub(super) task: bool,
    pub(super) message: String,
    /// `class:line`.
    pub(super) source: &'static str,
    pub(super) stack: Vec<String>,
}

impl Line {
    pub(super) fn new(
        level: &'static str,
        message: impl Into<String>,
        source: &'static str,
    ) -> Self {
        Self { level, task: false, message: message.into(), source, stack: Vec::new() }
    }

    /// Of the task.
    pub(super) fn task(mut self) -> Self {
        self.task = true;
        self
    }

    /// With a stack trace.
    pub(super) fn stack<S: Into<String>>(mut self, stack: impl IntoIterator<Item = S>) -> Self {
        self.stack = stack.into_iter().map(Into::into).collect();
        self
    }
}

/// Whose log it is.
pub(super) struct Writer<'a> {
    pub(super) connector: &'a str,
    /// `<uuid>-<N>`.
    pub(super) id: &'a str,
    pub(super) fixed: &'a Fixed,
    /// Seventeen hexadecimal digits.
    pub(super) worker: String,
}

impl Writer<'_> {
    /// Writes one entry at a time that may lie ahead; without a log group there is nowhere to write to.
    pub(super) fn write(&self, world: &mut World, at: Millis, line: &Line) {
        let Some(group) = self.fixed.log_group() else { return };
        let prefix = format!("[Worker-{}]", self.worker);
        let scope = if line.task { "|task-0" } else { "" };
        let mut lines = vec![format!(
            "{prefix} [{}] {} [{}{scope}] {} ({})",
            timestamp(at),
            line.level,
            self.connector,
            line.message,
            line.source
        )];
        lines.extend(line.stack.iter().map(|entry| format!("{prefix} {entry}")));
        // The name of the stream is (U).
        let stream = format!("{}-{}/{}", self.connector, self.id, self.worker);
        around::log(world, group, &stream, at, &lines);
    }
}

/// The lines of a start that goes well, each with its share of the way from the call to the end, in thousandths.
pub(super) fn healthy(class: &str, name: &str, version: &str, hosts: &str) -> Vec<(u64, Line)> {
    let simple = class.rsplit('.').next().unwrap_or(class);
    let (kind, source) = if simple.contains("Sink") {
        ("Sink", "org.apache.kafka.connect.runtime.WorkerSinkTask:313")
    } else {
        ("Source", "org.apache.kafka.connect.runtime.AbstractWorkerSourceTask:280")
    };
    vec![
        (
            700,
            Line::new(
                "INFO",
                "Kafka Connect distributed worker initializing ...",
                "org.apache.kafka.connect.cli.AbstractConnectCli:111",
            ),
        ),
        (
            720,
            Line::new(
                "INFO",
                format!("Kafka version: {}", version.replace(".x", ".1")),
                "org.apache.kafka.common.utils.AppInfoParser:119",
            ),
        ),
        (
            750,
            Line::new(
                "INFO",
                format!("[AdminClient clientId=adminclient-1] Connected to {hosts}"),
                "org.apache.kafka.connect.util.TopicAdmin:273",
            ),
        ),
        (
            800,
            Line::new(
                "INFO",
                "[Worker clientId=connect-1] Finished starting connectors and tasks",
                "org.apache.kafka.connect.runtime.distributed.DistributedHerder:1921",
            ),
        ),
        (
            850,
            Line::new(
                "INFO",
                format!("Creating connector {name} of type {class}"),
                "org.apache.kafka.connect.runtime.Worker:312",
            ),
        ),
        (
            900,
            Line::new(
                "INFO",
                format!("Instantiated task {name}-0 with version of {simple}"),
                "org.apache.kafka.connect.runtime.Worker:664",
            )
            .task(),
        ),
        (
            950,
            Line::new(
                "INFO",
                format!(
                    "Worker{kind}Task{{id={name}-0}} {kind} task finished initialization and start"
                ),
                source,
            )
            .task(),
        ),
    ]
}

/// `yyyy-mm-dd hh:mm:ss,SSS` in UTC.
fn timestamp(at: Millis) -> String {
    let (days, rest) = (at / 86_400_000, at % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{millis:03}")
}

/// The date of a day since the epoch: eras of 400 years, with years that begin in March so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn timestamps_are_dates() {
        assert_eq!(super::timestamp(1_767_225_600_000), "2026-01-01 00:00:00,000");
        assert_eq!(super::timestamp(1_709_210_096_789), "2024-02-29 12:34:56,789");
    }
}
