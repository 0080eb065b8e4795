//! One connector that runs, is made to fail, and runs again.

use std::time::Instant;

use serde_json::Value;

use crate::failure::Failure;
use crate::stage::{Stage, With, until};

/// How often it begins anew at most.
const GENERATIONS: u32 = 30;

/// A connector that runs and is made to fail again and again.
pub(crate) struct Lane<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) name: &'static str,
    pub(crate) arn: String,
    /// With which it runs.
    pub(crate) good: Value,
    generation: u32,
}

impl<'a> Lane<'a> {
    /// Creates a connector that runs.
    pub(crate) fn start(stage: &'a Stage, name: &'static str) -> Self {
        stage.account.log_group(&format!("/{name}"));
        // Beforehand: a history that is written in the instant after its topic was made may find none, and is not written again.
        for generation in 1..=GENERATIONS {
            stage.history(&format!("{name}-{generation}"));
        }
        let good = stage.configuration(&format!("{name}-1"), 906_010);
        let arn = stage.create(name, &With::default(), &good);
        let lane = Self { stage, name, arn, good, generation: 1 };
        lane.runs();
        lane
    }

    /// Waits until it runs with its task, and reads the binary log.
    pub(crate) fn runs(&self) {
        until(self.name, &["RUNNING"], || self.stage.state(&self.arn));
        until("its task", &["RUNNING"], || {
            let tasks = self.stage.tasks(&self.arn);
            tasks.first().map(|t| t.state.clone()).unwrap_or_default()
        });
    }

    /// Waits until Connect tells that its task has failed: an update in the moment before would be taken for what failed it.
    pub(crate) fn dies(&self) {
        until("its task", &["FAILED"], || {
            let tasks = self.stage.tasks(&self.arn);
            tasks.first().map(|t| t.state.clone()).unwrap_or_default()
        });
    }

    /// A configuration like the good one with topics of its own, so that it begins with a snapshot.
    pub(crate) fn fresh(&mut self) -> Value {
        self.generation += 1;
        assert!(self.generation <= GENERATIONS, "there is a history for each");
        self.stage.configuration(&format!("{}-{}", self.name, self.generation), 906_010)
    }

    /// Updates to a configuration; the operation's ARN.
    pub(crate) fn update(&self, configuration: &Value) -> String {
        self.stage.account.update_connector(&self.arn, configuration)
    }

    pub(crate) fn ended(&self, operation: &str) -> String {
        let ends = [
            "UPDATE_COMPLETE",
            "ROLLBACK_COMPLETE",
            "UPDATE_FAILED",
            "ROLLBACK_FAILED",
            "RESTART_COMPLETE",
            "RESTART_FAILED",
        ];
        until("the operation", &ends, || self.stage.account.operation_state(operation))
    }

    /// An update to a configuration that fails, and back.
    pub(crate) fn refuses(&self, failure: &Failure, configuration: &Value) {
        let mut operation = String::new();
        self.stage.fails(self.name, configuration, failure, || {
            operation = self.update(configuration);
        });
        self.ended(&operation);
        self.mend();
    }

    /// The same where Connect's answer alone says why.
    pub(crate) fn is_answered(&self, failure: &Failure, configuration: &Value) {
        let started = Instant::now();
        let operation = self.update(configuration);
        let known = || self.stage.answer(self.name, started);
        self.stage.reports(failure, started, known);
        self.ended(&operation);
        self.mend();
    }

    /// Back to the good configuration where another one is in force, and its task runs.
    pub(crate) fn mend(&self) {
        until(self.name, &["RUNNING"], || self.stage.state(&self.arn));
        let now = &self.stage.account.describe_connector(&self.arn)["connectorConfiguration"];
        if *now != self.good {
            let operation = self.update(&self.good);
            assert_eq!(self.ended(&operation), "UPDATE_COMPLETE", "{}", self.name);
        }
        self.runs();
        until("the binary log", &["read"], || {
            if self.reads() { "read" } else { "not read" }.into()
        });
    }

    /// Whether it reads the binary log with the configuration that Connect has taken last: states are of the old task for some seconds.
    fn reads(&self) -> bool {
        let log = std::fs::read_to_string(self.stage.log_of(self.name)).unwrap_or_default();
        let taken = log.rfind(&format!("Connector {} config updated", self.name));
        taken.is_some_and(|at| log[at..].contains("Keepalive thread is running"))
    }

    /// Runs on with topics of its own, whatever became of the others.
    pub(crate) fn begin_anew(&mut self) {
        self.good = self.fresh();
        self.mend();
    }

    pub(crate) fn restart(&self) -> String {
        self.stage.account.switch_connector(&self.arn, "POST", "restart")
    }
}
