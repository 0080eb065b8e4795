//! What a connector needs inside its database, beside what the database's own section makes there: publication and slot before it, the signal for rows that
//! exist already after it.

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::Expansion;
use msk_pipeline_source::TableName;
use msk_pipeline_source::kinds::{
    Beat, Publication, PublicationProps, Signal, SignalProps, Slot, SlotProps,
};

use super::{HEARTBEAT, Plan, Snapshot};
use crate::components::database::Engine;
use crate::components::stage;

impl Plan<'_> {
    /// Adds the publication and the slot of a connector that reads from PostgreSQL, where the pipeline may make them, and returns what the connector
    /// needs of it.
    ///
    /// The publication comes first: a slot decodes each change with the catalogue as it was then, and a publication that is younger than the slot
    /// is none for what is older.
    pub(super) fn slot(&self, cx: &mut Expansion<'_>) -> Option<Address> {
        let (source, database) = (&self.source, self.source.database);
        if !database.is_prepared() || database.engine() != Engine::PostgreSql {
            return None;
        }
        let (at, server) = (database.place(&source.name, cx), source.server());
        let with_server = database.goes_with_cluster();
        let (tables, own) = database.published(&source.name, self.connector);
        let publication = PublicationProps {
            at: at.clone(),
            server: server.clone(),
            name: self.names.publication.clone(),
            tables: tables.iter().filter_map(|table| TableName::parse(table)).collect(),
            with_server,
        };
        let mut needs = vec![database.ready(&source.name)];
        needs.extend(own);
        cx.add::<Publication>(self.address("publication"), stage::CONNECT, &publication, needs);
        let slot = SlotProps { at, server, name: self.names.slot.clone(), with_server };
        let needs = [database.ready(&source.name), self.address("publication")];
        cx.add::<Slot>(self.address("slot"), stage::CONNECT, &slot, needs);
        Some(self.address("slot"))
    }

    /// Adds the signal by which rows that exist already are read, where the pipeline may write it.
    pub(super) fn signal(&self, cx: &mut Expansion<'_>) {
        let database = self.source.database;
        let table = TableName::parse(database.signal_table());
        let Some(table) = table
            .filter(|_| database.is_prepared() && self.connector.snapshot == Snapshot::Incremental)
        else {
            return;
        };
        let signal = table.to_string();
        let props = SignalProps {
            at: database.place(&self.source.name, cx),
            table,
            connector: self.names.connector.clone(),
            place: self.names.offsets.clone(),
            tables: self.connector.tables.iter().filter(|t| **t != signal).cloned().collect(),
            beat: self.beat(),
        };
        let mut needs = vec![self.address("connector")];
        needs.extend(database.prepared(&self.source.name));
        cx.add::<Signal>(self.address("snapshot"), stage::CONNECT, &props, needs);
    }

    /// What shows that the connector streams; a slot keeps what comes before.
    fn beat(&self) -> Option<Beat> {
        let database = self.source.database;
        let every = self.connector.heartbeat.as_deref().unwrap_or(HEARTBEAT);
        let beats = msk_pipeline_core::dsl::duration(every).is_ok_and(|every| !every.is_zero());
        let table = TableName::parse(&database.heartbeat_table()).filter(|_| beats)?;
        let mysql = database.engine() == Engine::MySql;
        mysql.then(|| Beat { table, id: self.names.offsets.clone() })
    }
}
