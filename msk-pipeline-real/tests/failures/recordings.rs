//! What can't be provoked here, read from its recording.

use std::path::PathBuf;

use msk_pipeline_verify::cause::{Evidence, LogLine, diagnose};

use crate::failure::Failure;
use crate::stage::Stage;
use crate::table::By;

/// What is wrong, and the recording that has it.
const ALL: &[(&str, &str)] = &[
    ("too many IAM connections", "kafka-too-many-connects"),
    ("no AWS credentials for the brokers", "kafka-no-credentials"),
    ("wrong password for the brokers", "mysql-history-wrong-password"),
    ("no right to the cluster", "kafka-cluster-rights"),
    ("replication factor of the worker's topics over broker count", "worker-replication-factor"),
    ("offsets topic not compacted", "worker-compacted-offsets"),
    ("database takes TLS only", "database-tls-required"),
    ("replication slot of PostgreSQL gone", "postgres-slot-missing"),
    ("PostgreSQL not set to logical replication", "postgres-wal-level"),
];

/// A recorded log with the code that its head expects.
pub(crate) struct Recording {
    pub(crate) expect: String,
    pub(crate) evidence: Evidence,
}

impl Recording {
    pub(crate) fn read(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../msk-pipeline-verify/recordings");
        let path = PathBuf::from(folder).join(name).with_extension("log");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let head = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(&format!("# {key}: ")));
            found.unwrap_or_default().to_owned()
        };
        let lines = text.lines().filter(|line| !line.starts_with("# "));
        let evidence = Evidence {
            connector: head("connector"),
            lines: lines.map(LogLine::new).collect(),
            ..Evidence::default()
        };
        Self { expect: head("expect"), evidence }
    }
}

pub(crate) fn all(stage: &Stage) {
    for (what, name) in ALL {
        let Recording { expect, evidence } = Recording::read(name);
        let verdict = diagnose(&evidence).verdict.filter(|v| v.code == expect);
        let Some(verdict) = verdict else {
            stage.problem(format!("{name}: {}", diagnose(&evidence)));
            continue;
        };
        let mut row = Failure::new(what, "", "", "").row(&verdict, None, None);
        row.by = By::Recording;
        row.how = format!("`{name}`");
        stage.told(row);
    }
}
