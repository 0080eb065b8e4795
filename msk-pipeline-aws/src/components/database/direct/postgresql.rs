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
    (CANARY_TABLE, "id VARCHAR(64) NOT NULL PRIMARY KEY, step INT NOT NULL"),
];

/// The part of the address of the canary's table, whose updates tell the whole row: so the proof expects it.
pub(in super::super) const CANARY_TABLE: &str = "canary-table";

/// What a database's connectors need inside of it.
pub(in super::super) struct Needed<'a> {
    database: &'a Database,
    name: &'a str,
    readers: Vec<(String, String, &'a Connector)>,
}

/// `schema.table` of each of [`OWN_TABLES`].
pub(in super::super) fn own_tables(database: &Database) -> [String; 3] {
    let signal = database.signal_table();
    let schema = signal.split_once('.').map_or(signal, |(schema, _)| schema);
    [signal.to_owned(), database.heartbeat_table(), format!("{schema}.{CANARY}")]
}

/// What a connector's publication lists: the captured tables, and the tool's own, whose changes move the slot on.
pub(in super::super) fn published(database: &Database, connector: &Connector) -> BTreeSet<String> {
    connector.tables.iter().cloned().chain(own_tables(database)).collect()
}

impl<'a> Needed<'a> {
    pub(in super::super) fn of(database: &'a Database, name: &'a str, cx: &Expansion<'a>) -> Self {
        let all = cx.all::<Connector>().into_iter().filter(|(_, c)| c.source == name);
        let readers = all.map(|(reader, connector)| {
            (connector.publication(reader, cx), connector.slot(reader, cx), connector)
        });
        Self { database, name, readers: readers.collect() }
    }

    /// Each connector's publication, slot and published tables.
    pub(in super::super) fn connectors(&self) -> Vec<(String, String, BTreeSet<String>)> {
        let one = |(publication, slot, connector): &(String, String, &Connector)| {
            (publication.clone(), slot.clone(), published(self.database, connector))
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
        let own = own_tables(self.database);
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
