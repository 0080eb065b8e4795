//! What a connector that reads a replication slot can't have.

use msk_pipeline_core::dsl::{Expansion, quoted};

use super::super::Connector;

/// `PostgreSQL` 16, chapter 'Logical Replication', 'Replication slots': lower-case letters, digits and underscores; names have at most 63 characters.
fn slot(name: &str) -> Result<(), String> {
    let fits = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits {
        return Ok(());
    }
    Err(format!(
        "{} is no name for a replication slot: 1 to 63 lower-case letters, digits and underscores",
        quoted(name)
    ))
}

/// Debezium writes it into statements without quotes.
fn publication(name: &str) -> Result<(), String> {
    if name.starts_with(|c: char| c.is_ascii_digit()) || slot(name).is_err() {
        return Err(format!(
            "{} is no name for a publication: 1 to 63 lower-case letters, digits and underscores, no digit first",
            quoted(name)
        ));
    }
    Ok(())
}

pub(super) fn check(connector: &Connector, name: &str, cx: &mut Expansion<'_>) {
    if connector.server_id.is_some() {
        cx.error(
            "server_id",
            "PostgreSQL knows its readers by their slots, not by numbers",
            "leave it out; `slot` names the slot",
        );
    }
    if let Err(why) = slot(&connector.slot(name, cx)) {
        cx.error("slot", why, "leave it out: it follows from the names of pipeline and connector");
    }
    if let Err(why) = publication(&connector.publication(name, cx)) {
        let help = "leave it out: it follows from the names of pipeline and connector";
        cx.error("publication", why, help);
    }
}
