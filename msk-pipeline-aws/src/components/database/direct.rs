//! `prepare = "direct"`: what a connector needs inside the database, as resources.
//!
//! Privileges are the least that Debezium 2.7 needs (handbook aws.md §4.9, msk.md §8): to read the binary log, to read the captured schemas and
//! the tool's own, to write signals' marks and heartbeats. RELOAD and LOCK TABLES are for the locks of an initial snapshot alone; the incremental
//! one takes none.

pub(super) mod postgresql;

use std::collections::{BTreeMap, BTreeSet};

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::Expansion;
use msk_pipeline_source::kinds::{
    Retention, RetentionProps, Schema, SchemaProps, Table, TableProps, User, UserProps,
};
use msk_pipeline_source::{Privileges, TableName};

use super::{Connector, Database, OnDestroy, Plan, STAGE};
use crate::components::connector::Snapshot;
use crate::kinds::aurora_cluster::AuroraCluster;

/// Handbook msk.md §8, "Signal table".
pub(super) const SIGNAL_COLUMNS: &str =
    "id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048) NULL";
const HEARTBEAT_COLUMNS: &str =
    "connector VARCHAR(100) PRIMARY KEY, beat TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)";

impl Plan<'_> {
    /// Adds what is made inside the database.
    pub(super) fn prepare(&self, secret: &str, cx: &mut Expansion<'_>) {
        let database = self.database;
        let cluster = database.identifier(self.name, cx);
        let server = self.output("cluster", AuroraCluster::CLUSTER_ARN);
        let with_server =
            database.existing.is_none() && database.on_destroy != Some(OnDestroy::Keep);
        let ready = database.ready(self.name);
        let heartbeat = database.heartbeat_table();
        let tables = [
            ("signal-table", database.signal_table(), SIGNAL_COLUMNS),
            ("heartbeat-table", heartbeat.as_str(), HEARTBEAT_COLUMNS),
        ];
        let names: Vec<_> = tables.iter().filter_map(|(_, t, _)| TableName::parse(t)).collect();
        let [signal, _] = names.as_slice() else { return };

        let schema = SchemaProps {
            cluster: cluster.clone(),
            server: server.clone(),
            name: signal.schema.clone(),
            own: names.iter().map(|name| name.table.clone()).collect(),
            with_server,
        };
        cx.add::<Schema>(self.address("schema"), STAGE, &schema, [ready.clone()]);
        for ((part, _, columns), table) in tables.iter().zip(&names) {
            let props = TableProps {
                cluster: cluster.clone(),
                server: server.clone(),
                table: table.clone(),
                columns: (*columns).to_owned(),
                with_server,
            };
            let needs = [ready.clone(), Address::new(self.address("schema"))];
            cx.add::<Table>(self.address(part), STAGE, &props, needs);
        }

        let user = UserProps {
            cluster: cluster.clone(),
            server: server.clone(),
            name: database.capture_user().to_owned(),
            secret: secret.to_owned(),
            privileges: privileges(database, &readers(self.name, cx)),
            with_server,
        };
        // A privilege on a table can be granted once the table is there.
        let mut needs = vec![ready.clone(), Database::capture_secret(self.name)];
        needs.extend(tables.map(|(part, ..)| Address::new(self.address(part))));
        cx.add::<User>(self.address("capture-user"), STAGE, &user, needs);

        let retention = RetentionProps {
            cluster,
            server,
            hours: u32::try_from(database.binlog_hours()).unwrap_or(u32::MAX),
            at_least: database.existing.is_some(),
        };
        cx.add::<Retention>(self.address("binlog-retention"), STAGE, &retention, [ready]);
    }
}

/// The connectors that read the database.
fn readers<'a>(name: &str, cx: &Expansion<'a>) -> Vec<&'a Connector> {
    let all = cx.all::<Connector>().into_iter().map(|(_, connector)| connector);
    all.filter(|connector| connector.source == name).collect()
}

fn privileges(database: &Database, readers: &[&Connector]) -> Privileges {
    let signal = database.signal_table();
    let heartbeat = database.heartbeat_table();
    let own = signal.split_once('.').map_or(signal, |(schema, _)| schema);
    let captured = readers.iter().flat_map(|connector| &connector.tables);
    let schemas: BTreeSet<&str> =
        captured.filter_map(|table| Some(table.split_once('.')?.0)).chain([own]).collect();
    let locks = readers.iter().any(|connector| connector.snapshot == Snapshot::Initial);

    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut grant = |on: String, privileges: &[&str]| {
        let on = all.entry(on).or_default();
        on.extend(privileges.iter().map(|privilege| (*privilege).to_owned()));
    };
    grant("*.*".into(), &["REPLICATION CLIENT", "REPLICATION SLAVE", "SHOW DATABASES"]);
    if locks {
        grant("*.*".into(), &["RELOAD"]);
    }
    for schema in schemas {
        grant(format!("{schema}.*"), if locks { &["LOCK TABLES", "SELECT"] } else { &["SELECT"] });
    }
    grant(signal.to_owned(), &["DELETE", "INSERT"]);
    grant(heartbeat, &["INSERT", "UPDATE"]);
    all
}
