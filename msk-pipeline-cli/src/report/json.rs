//! JSON: one event a line for runs, with one `result` at the end; one document for everything else.

use std::sync::Arc;

use msk_pipeline_core::Clock;
use msk_pipeline_core::plan::Plan;
use msk_pipeline_core::run::{EventSink, RunEvent, RunSummary};
use serde_json::{Value, json};

use crate::args::Command;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::provider;
use crate::report::cloud::Cloud;

/// The version of the documents and of the stream.
pub(crate) const VERSION: u32 = 1;

/// Writes events as they come.
pub(crate) struct Json {
    pub(crate) printer: Arc<Printer>,
    pub(crate) cloud: Cloud,
    pub(crate) clock: Arc<dyn Clock>,
}

impl EventSink for Json {
    fn emit(&self, event: RunEvent) {
        // Events have string keys only and always become values.
        let Ok(mut value) = serde_json::to_value(&event) else { return };
        if let RunEvent::Planned { plan } = &event {
            value["kept"] = kept(plan);
        }
        value["at"] = self.clock.wall().to_string().into();
        if self.cloud.is_simulated() {
            value["simulated"] = true.into();
        }
        self.printer.data_json(&value);
    }
}

/// What a plan leaves in AWS and forgets.
pub(crate) fn kept(plan: &Plan) -> Value {
    let kept = provider::kept(plan).into_iter();
    kept.map(|(address, name)| json!({ "address": address, "name": name })).collect()
}

/// The last line of a stream.
pub(crate) fn result(
    command: &str,
    exit: Exit,
    summary: Option<&RunSummary>,
    notices: &Value,
    next: &str,
    cloud: Cloud,
) -> Value {
    cloud.document(json!({
        "event": "result",
        "command": command,
        "exit": exit.code(),
        "outcome": exit.word(),
        "summary": summary,
        "notices": notices,
        "next": next,
    }))
}

/// The last line where the process is ended at once.
pub(crate) fn stopped(command: &str, next: &str) -> Value {
    json!({
        "event": "result",
        "version": VERSION,
        "command": command,
        "exit": Exit::Interrupted.code(),
        "outcome": Exit::Interrupted.word(),
        "next": next,
    })
}

/// A failure: the last line of a stream, or the one document.
pub(crate) fn failure(command: &Command, failure: &Failure) -> Value {
    let mut value = json!({
        "version": VERSION,
        "command": command.word(),
        "exit": failure.exit.code(),
        "outcome": failure.exit.word(),
        "problems": failure.to_json(),
    });
    if command.is_run() {
        value["event"] = "result".into();
    }
    value
}

/// Arguments that can't be understood.
pub(crate) fn refused_arguments(message: &str) -> Value {
    json!({
        "event": "result",
        "version": VERSION,
        "exit": Exit::Invalid.code(),
        "outcome": Exit::Invalid.word(),
        "problems": [{ "severity": "error", "message": message }],
    })
}
