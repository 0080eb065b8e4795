//! How rows that exist already get into the topics: nothing does it by itself, a signal starts it.

use std::collections::BTreeSet;

use msk_pipeline_core::dsl::Notice;
use msk_pipeline_core::graph::Graph;
use msk_pipeline_core::kind::Kind as _;
use msk_pipeline_core::state::State;
use serde_json::Value;

use super::Product;
use super::config::{canary_table, listed};
use crate::components::database::Engine;
use crate::kinds::connector::Connector;

/// The signals that a person has to write once `graph` is applied to what `state` records, one a connector whose existing rows are read
/// by an incremental snapshot.
///
/// A signal names the tables that are captured newly: all of them for a connector that begins, the added ones for one that goes on.
/// A connector is taken for one that goes on if it was ready and keeps its place (the topics of its offsets and events); so a run that
/// was interrupted, or a connector that is replaced, asks for no row twice. Without a table that is new there is no notice.
pub fn snapshot_notices(graph: &Graph, state: &State) -> Vec<Notice> {
    let connectors = graph.resources().filter(|r| r.kind == Connector::TYPE);
    connectors
        .filter_map(|resource| {
            let wanted = &resource.props;
            let signal = config(wanted, "signal.data.collection")?;
            let about = resource.address.as_str();
            let about = about.strip_suffix(".connector").unwrap_or(about);
            // The pipeline writes it itself.
            if graph.get(&format!("{about}.snapshot")).is_some() {
                return None;
            }
            if config(wanted, "snapshot.mode") != Some("no_data") {
                return None;
            }
            let canary = canary_table(signal);
            let record = state.records.get(&resource.address);
            let was = record.and_then(|r| r.current.as_ref()).filter(|o| o.was_ready());
            let known = was.map(|o| &o.props).filter(|was| keeps_place(was, wanted));
            let captured = known.map(tables).unwrap_or_default();
            let new: Vec<String> = tables(wanted)
                .into_iter()
                .filter(|table| table != signal && *table != canary && !captured.contains(table))
                .collect();
            if new.is_empty() {
                return None;
            }
            let product = Product::with_class(config(wanted, "connector.class")?)?;
            Some(notice(about, product.engine, signal, &new, known.is_some()))
        })
        .collect()
}

fn notice(about: &str, engine: Engine, signal: &str, tables: &[String], goes_on: bool) -> Notice {
    let id = match engine {
        Engine::MySql => "UUID()",
        Engine::PostgreSql => "gen_random_uuid()",
    };
    let title = if goes_on {
        format!(
            "Read the rows that the added tables have already: once the connector runs with them, write this signal into `{signal}`. Until then only changes of them are captured."
        )
    } else {
        format!(
            "Read the rows that exist already: once the connector runs, write this signal into `{signal}`. Until then only changes are captured."
        )
    };
    let tables: Vec<_> = tables.iter().map(|table| format!("\"{table}\"")).collect();
    Notice {
        about: about.to_owned(),
        title,
        body: format!(
            "INSERT INTO {signal} (id, type, data) VALUES ({id}, 'execute-snapshot',\n  '{{\"data-collections\": [{}], \"type\": \"incremental\"}}');\n",
            tables.join(", ")
        ),
    }
}

fn config<'a>(props: &'a Value, key: &str) -> Option<&'a str> {
    props["configuration"].get(key)?.as_str()
}

/// The captured tables.
fn tables(props: &Value) -> BTreeSet<String> {
    listed(config(props, "table.include.list").unwrap_or_default()).collect()
}

fn keeps_place(was: &Value, wanted: &Value) -> bool {
    was["name"] == wanted["name"]
        && was["offsets_topic"] == wanted["offsets_topic"]
        && config(was, "topic.prefix") == config(wanted, "topic.prefix")
}
