//! The rows that tables have, asked for by a signal: an incremental snapshot beside the stream, on request.
//!
//! It goes through the signal table as the capture user, who may write into it for Debezium's own marks. What becomes of it is in
//! the workers' log.
//!
//! # Sources
//! Handbook msk.md §8 (signal table, `execute-snapshot`); what the connector writes about a table's end: Debezium 2.7.4,
//! `AbstractIncrementalSnapshotChangeEventSource`.

use std::collections::BTreeSet;

use msk_pipeline_core::kind::CallError;
use msk_pipeline_verify::session::Session as Source;
use msk_pipeline_verify::{Check, Reach};

use crate::Session;
use crate::verify::Ends;

/// How a table's snapshot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every row that it had was sent.
    Read,
    /// It has no row.
    Empty,
    /// It was not read, and why.
    Skipped(&'static str),
}

/// Why rows were not asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The connector takes no signals.
    #[error("connector {0} has no signal table (`signal.data.collection`)")]
    NoTable(String),
    /// It doesn't capture these tables, and would ignore a signal for them.
    #[error("connector {connector} does not capture {}; it captures {}", .tables.join(", "), .captured.join(", "))]
    NotCaptured {
        /// Which connector.
        connector: String,
        /// What it was asked for.
        tables: Vec<String>,
        /// What it captures.
        captured: Vec<String>,
    },
    /// The database can't be logged in to, or not from here.
    #[error("{0}")]
    Login(Check),
    /// The database refused the row.
    #[error("the database refuses the signal: {0}")]
    Refused(String),
    /// AWS refused, or did not answer.
    #[error("{0}")]
    Call(#[from] CallError),
}

/// Writes the signal `id` (42 characters at most) that asks for the rows of `tables`, `schema.table`; of all captured ones if there are none.
/// Returns the tables.
///
/// # Errors
/// Nothing was asked for, but for a connection that broke meanwhile.
pub async fn ask(
    session: &Session,
    ends: &Ends,
    id: &str,
    tables: &[String],
    reach: &Reach,
) -> Result<Vec<String>, SignalError> {
    let captured = ends.tables();
    let tables = if tables.is_empty() { captured.clone() } else { tables.to_vec() };
    let unknown: Vec<_> = tables.iter().filter(|t| !captured.contains(t)).cloned().collect();
    if !unknown.is_empty() {
        let connector = ends.name.clone();
        return Err(SignalError::NotCaptured { connector, tables: unknown, captured });
    }
    let table = ends.signal_table().ok_or_else(|| SignalError::NoTable(ends.name.clone()))?;
    let database = ends.source(&session.secretsmanager).await.map_err(SignalError::Login)?;
    let opened = Source::open(ends.engine(), &database, reach).await;
    let mut source = opened.map_err(SignalError::Login)?;
    let asked = source.ask_for_rows(table, id, &tables).await;
    asked.map_err(|refused| SignalError::Refused(refused.text))?;
    Ok(tables)
}

/// Follows tables that were asked for through the lines of a worker's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    left: BTreeSet<String>,
}

impl Reading {
    /// Of these tables nothing is known yet.
    pub fn of(tables: &[String]) -> Self {
        Self { left: tables.iter().cloned().collect() }
    }

    /// Takes a line; answers if a table's snapshot ended by it.
    pub fn take(&mut self, line: &str) -> Option<(String, Ended)> {
        let ended = ended(line)?;
        // Debezium writes a table's name with its catalog, where there is one.
        let named = |table: &&String| {
            line.split('\'')
                .any(|word| word == table.as_str() || word.ends_with(&format!(".{table}")))
                || line.contains(&format!("table {table} "))
        };
        let table = self.left.iter().find(named)?.clone();
        self.left.remove(&table);
        Some((table, ended))
    }

    /// The tables that are still read, or wait.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.left.iter().map(String::as_str)
    }
}

fn ended(line: &str) -> Option<Ended> {
    let says = |text: &str| line.contains(text);
    if says("finished as it is empty") {
        Some(Ended::Empty)
    } else if says("No data returned by the query, incremental snapshotting of table") {
        Some(Ended::Read)
    } else if says("skipped because the table has no primary keys") {
        Some(Ended::Skipped("it has no primary key"))
    } else if says("Snapshotting of table") && says("failed. Skipping it") {
        Some(Ended::Skipped("reading it failed; see `connector logs`"))
    } else if says("Schema not found for table") {
        Some(Ended::Skipped("its structure is not in the schema history"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_ends_by_what_its_connector_writes() {
        let mut reading = Reading::of(&["shop.a".into(), "shop.b".into(), "shop.c".into()]);
        let lines = [
            (
                "[W] INFO Incremental snapshot for table 'shop.a' will end at position [3] (x:1)",
                None,
            ),
            (
                "[W] INFO No data returned by the query, incremental snapshotting of table 'shop.a' finished (x:2)",
                Some(("shop.a", Ended::Read)),
            ),
            (
                "[W] INFO No maximum key returned by the query, incremental snapshotting of table 'orders.shop.b' finished as it is empty (x:3)",
                Some(("shop.b", Ended::Empty)),
            ),
            (
                "[W] WARN Incremental snapshot for table 'shop.c' skipped because the table has no primary keys (x:4)",
                Some(("shop.c", Ended::Skipped("it has no primary key"))),
            ),
            (
                "[W] INFO No data returned by the query, incremental snapshotting of table 'shop.z' finished (x:2)",
                None,
            ),
        ];
        for (line, expected) in lines {
            let found = reading.take(line);
            assert_eq!(found, expected.map(|(table, ended)| (table.to_owned(), ended)), "{line}");
        }
        assert_eq!(reading.left().count(), 0);
    }
}
