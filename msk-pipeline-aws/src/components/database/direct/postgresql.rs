//! What connectors need inside of `PostgreSQL`: names, tables and privileges.
//!
//! Privileges are the least that Debezium 2.7 needs (handbook aws.md §4.10, msk.md §8): to replicate, to read the captured tables and the tool's
//! own, to write signals' marks and heartbeats.

use std::collections::BTreeSet;

use msk_pipeline_core::dsl::Expansion;
use msk_pipeline_source::Privileges;

use super::super::{Connector, Database};
use super::SIGNAL_COLUMNS;
use crate::components::connector::CANARY;

/// The tool's own tables, by the parts of their addresses, with their columns. The canary's are what the proof by a row expects.
pub(in super::super) const OWN_TABLES: [(&str, &str); 3] = [
    ("signal-table", SIGNAL_COLUMNS),
    (
        "heartbeat-table",
        "connector VARCHAR(100) PRIMARY KEY, beat TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP",
    ),
    ("canary-table", "id VARCHAR(64) NOT NULL PRIMARY KEY, step INT NOT NULL"),
];

/// What is inside of a database, by what its declaration and its connectors need.
pub(in super::super) struct Inside<'a> {
    database: &'a Database,
    name: &'a str,
    readers: Vec<(String, String, &'a Connector)>,
    /// The schema of the tool's own tables.
    pub(in super::super) own_schema: String,
}

impl<'a> Inside<'a> {
    pub(in super::super) fn of(database: &'a Database, name: &'a str, cx: &Expansion<'a>) -> Self {
        let all = cx.all::<Connector>().into_iter().filter(|(_, c)| c.source == name);
        let readers = all.map(|(reader, connector)| {
            (connector.publication(reader, cx), connector.slot(reader, cx), connector)
        });
        let signal = database.signal_table();
        Self {
            database,
            name,
            readers: readers.collect(),
            own_schema: signal.split_once('.').map_or(signal, |(schema, _)| schema).to_owned(),
        }
    }

    /// `schema.table` of each of [`OWN_TABLES`].
    pub(in super::super) fn own_tables(&self) -> [String; 3] {
        let signal = self.database.signal_table().to_owned();
        [signal, self.database.heartbeat_table(), self.canary()]
    }

    /// The table of the proof by a row.
    pub(in super::super) fn canary(&self) -> String {
        format!("{}.{CANARY}", self.own_schema)
    }

    /// Each connector's publication, slot and published tables: the captured ones, and the tool's own, whose changes move the slot on.
    pub(in super::super) fn connectors(&self) -> Vec<(String, String, BTreeSet<String>)> {
        let one = |(publication, slot, connector): &(String, String, &Connector)| {
            let tables = connector.tables.iter().cloned().chain(self.own_tables()).collect();
            (publication.clone(), slot.clone(), tables)
        };
        self.readers.iter().map(one).collect()
    }

    /// What the capture user may do. On `*` it is membership in roles; on `database orders`, `schema shop` and `shop.orders` what stands there.
    pub(in super::super) fn privileges(&self) -> Privileges {
        let mut all = Privileges::new();
        let mut grant = |on: String, privileges: &[&str]| {
            let on = all.entry(on).or_default();
            on.extend(privileges.iter().map(|privilege| (*privilege).to_owned()));
        };
        grant("*".into(), &["rds_replication"]);
        let within = self.database.database_name(self.name).unwrap_or_default();
        grant(format!("database {within}"), &["CONNECT"]);
        let captured = self.readers.iter().flat_map(|(.., connector)| &connector.tables);
        let own = self.own_tables();
        for table in captured.chain(&own) {
            if let Some((schema, _)) = table.split_once('.') {
                grant(format!("schema {schema}"), &["USAGE"]);
            }
            grant(table.clone(), &["SELECT"]);
        }
        let [signal, heartbeat, _] = own;
        grant(signal, &["DELETE", "INSERT"]);
        grant(heartbeat, &["INSERT", "UPDATE"]);
        all
    }
}
