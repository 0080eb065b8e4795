//! What a diagnosis is made from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::log::LogLine;

/// Everything that is known of one connector. What isn't known stays empty: less evidence makes a diagnosis less certain, not wrong.
///
/// Holds no secret: configurations are as AWS and Connect tell them, with placeholders. What logs hold in spite of that is not repeated
/// in a diagnosis (see [`crate::cause::Diagnosis`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The connector's name, as in `[name|task-0]` of the log. Lines of other connectors are passed over.
    pub connector: String,
    /// Workers' log lines, those of one stream in the order of writing. Only lines of the connector's present incarnation.
    pub lines: Vec<LogLine>,
    /// What AWS reports about the connector or its last operation.
    pub reported: Option<Reported>,
    /// What Connect's REST interface says.
    pub status: Option<Status>,
    /// The connector's configuration.
    pub connector_config: BTreeMap<String, String>,
    /// The worker's configuration.
    pub worker_config: BTreeMap<String, String>,
    /// What is known besides.
    pub facts: Facts,
}

/// An error code with its message, of a connector or of an operation on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Such as `UnknownError.Unknown`.
    pub code: String,
    /// The message.
    pub message: String,
}

/// A connector's state: from `GET /connectors/NAME/status`, or put together from metrics (then without traces).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `RUNNING`, `FAILED`, `CREATING` and so on.
    pub state: String,
    /// The connector's own stack trace.
    #[serde(default)]
    pub trace: Option<String>,
    /// Its tasks; empty: there is none.
    pub tasks: Vec<Task>,
}

/// One task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// From 0.
    pub id: u32,
    /// `RUNNING`, `FAILED` and so on.
    pub state: String,
    /// Its stack trace.
    #[serde(default)]
    pub trace: Option<String>,
}

/// What is known besides logs and states; times in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When the capture user's secret got its present value.
    pub secret_changed_at: Option<u64>,
    /// When the connector read its configuration last: it was created, updated or restarted.
    pub connector_started_at: Option<u64>,
    /// How many brokers the cluster has.
    pub brokers: Option<u32>,
    /// When the database was created or restored.
    pub database_created_at: Option<u64>,
}

impl Evidence {
    /// True if the connector runs with all of its tasks, as far as states tell.
    pub(super) fn runs(&self) -> bool {
        let runs =
            |s: &Status| s.state == "RUNNING" && s.tasks.iter().all(|task| task.state == "RUNNING");
        self.status.as_ref().is_some_and(|s| runs(s) && !s.tasks.is_empty())
    }

    /// True if a state or a report says that something failed.
    pub(super) fn failed(&self) -> bool {
        self.reported.is_some() || self.status.as_ref().is_some_and(Status::failed)
    }
}

impl Status {
    /// True if something that it names has failed.
    pub(super) fn failed(&self) -> bool {
        self.state == "FAILED" || self.tasks.iter().any(|task| task.state == "FAILED")
    }
}
