//! `prepare = "direct"`: what a connector needs inside the database, as resources.
//!
//! Privileges of `MySQL` are the least that Debezium 2.7 needs (handbook aws.md §4.9, msk.md §8): to read the binary log, to read the captured schemas and
//! the tool's own, to write signals' marks and heartbeats. RELOAD and LOCK TABLES are for the locks of an initial snapshot alone; the incremental
//! one takes none.

pub(super) mod postgresql;

use std::collections::{BTreeMap, BTreeSet};

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::Expansion;
use msk_pipeline_core::kind::Input;
use msk_pipeline_source::kinds::{
    Retention, RetentionProps, Schema, SchemaProps, Table, TableProps, User, UserProps,
};
use msk_pipeline_source::{Place, Privileges, TableName};

use super::{Connector, Database, Engine, Plan, STAGE};
use crate::components::connector::Snapshot;
use crate::kinds::aurora_cluster::AuroraCluster;

/// Handbook msk.md §8, "Signal table".
pub(super) const SIGNAL_COLUMNS: &str =
    "id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048) NULL";
const HEARTBEAT_COLUMNS: &str =
    "id VARCHAR(255) PRIMARY KEY, beat TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)";

impl Plan<'_> {
    /// Adds what is made inside the database.
    pub(super) fn prepare(&self, secret: &str, cx: &mut Expansion<'_>) {
        let inside = Inside {
            plan: self,
            at: place(self.database, self.name, cx),
            server: self.output("cluster", AuroraCluster::CLUSTER_ARN),
            with_server: self.database.goes_with_cluster(),
            ready: self.database.ready(self.name),
        };
        match self.database.engine() {
            Engine::MySql => inside.mysql(secret, cx),
            Engine::PostgreSql => inside.postgresql(secret, cx),
        }
    }
}

/// Where statements for the database named `name` go.
pub(in crate::components) fn place(database: &Database, name: &str, cx: &Expansion<'_>) -> Place {
    Place { cluster: database.identifier(name, cx), database: database.database_name(name) }
}

/// What the resources inside a database share.
struct Inside<'a> {
    plan: &'a Plan<'a>,
    at: Place,
    server: Input<String>,
    with_server: bool,
    /// What has to be ready before statements can be sent.
    ready: Address,
}

impl Inside<'_> {
    fn address(&self, part: &str) -> Address {
        Address::new(self.plan.address(part))
    }

    /// Adds the schema and the tool's own tables, each by the part of its address with its columns; `whole_rows` is the part of one whose
    /// updates tell the whole row.
    fn tables(&self, tables: &[(&str, TableName, &str)], whole_rows: &str, cx: &mut Expansion<'_>) {
        let Some((_, first, _)) = tables.first() else { return };
        let schema = SchemaProps {
            at: self.at.clone(),
            server: self.server.clone(),
            name: first.schema.clone(),
            own: tables.iter().map(|(_, name, _)| name.table.clone()).collect(),
            with_server: self.with_server,
        };
        cx.add::<Schema>(self.address("schema"), STAGE, &schema, [self.ready.clone()]);
        for (part, table, columns) in tables {
            let props = TableProps {
                at: self.at.clone(),
                server: self.server.clone(),
                table: table.clone(),
                columns: (*columns).to_owned(),
                whole_rows: *part == whole_rows,
                with_server: self.with_server,
            };
            let needs = [self.ready.clone(), self.address("schema")];
            cx.add::<Table>(self.address(part), STAGE, &props, needs);
        }
    }

    /// Adds the capture user. A privilege on a table can be granted once the table is there.
    fn user(
        &self,
        secret: &str,
        privileges: Privileges,
        tables: &[(&str, TableName, &str)],
        cx: &mut Expansion<'_>,
    ) {
        let user = UserProps {
            at: self.at.clone(),
            server: self.server.clone(),
            name: self.plan.database.capture_user().to_owned(),
            secret: secret.to_owned(),
            privileges,
            with_server: self.with_server,
        };
        let mut needs = vec![self.ready.clone(), Database::capture_secret(self.plan.name)];
        needs.extend(tables.iter().map(|(part, ..)| self.address(part)));
        cx.add::<User>(self.address("capture-user"), STAGE, &user, needs);
    }

    fn mysql(&self, secret: &str, cx: &mut Expansion<'_>) {
        let database = self.plan.database;
        let heartbeat = database.heartbeat_table();
        let parse = |name: &str| TableName::parse(name);
        let (Some(signal), Some(heartbeat)) = (parse(database.signal_table()), parse(&heartbeat))
        else {
            return;
        };
        let tables = [
            ("signal-table", signal, SIGNAL_COLUMNS),
            ("heartbeat-table", heartbeat, HEARTBEAT_COLUMNS),
        ];
        self.tables(&tables, "", cx);
        let privileges = privileges(database, &readers(self.plan.name, cx));
        self.user(secret, privileges, &tables, cx);
        let retention = RetentionProps {
            at: self.at.clone(),
            server: self.server.clone(),
            hours: u32::try_from(database.binlog_hours()).unwrap_or(u32::MAX),
            at_least: database.existing.is_some(),
        };
        let address = self.address("binlog-retention");
        cx.add::<Retention>(address, STAGE, &retention, [self.ready.clone()]);
    }

    /// The tool's own tables and the user; publications and slots are those of connectors.
    fn postgresql(&self, secret: &str, cx: &mut Expansion<'_>) {
        let database = self.plan.database;
        let privileges = postgresql::Needed::of(database, self.plan.name, cx).privileges();
        let own = postgresql::own_tables(database);
        let names = own.iter().filter_map(|name| TableName::parse(name));
        let tables: Vec<_> =
            postgresql::OWN_TABLES.iter().zip(names).map(|((p, c), t)| (*p, t, *c)).collect();
        self.tables(&tables, postgresql::CANARY_TABLE, cx);
        self.user(secret, privileges, &tables, cx);
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
