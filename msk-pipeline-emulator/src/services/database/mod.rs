//! `database`: what is in the databases behind the endpoints of RDS, as far as preparing them for a connector goes: users with their grants,
//! schemas, tables, rows of a signal table; of `MySQL` binlog retention, of `PostgreSQL` publications and replication slots.
//!
//! It is no service of AWS's. A database speaks its own protocol, and here is no database: so its side of the world has operations of its
//! own, on the wire of AWS's JSON services, and whatever strikes or watches calls does so here, too. `model/database.json` is written by hand.
//! A world with real programs has real databases, and nothing asks this. Tables of applications are taken to be there.
//!
//! A cluster whose writer doesn't answer is refused with `NotReady`; one that doesn't exist has `Server: false`. A request to `PostgreSQL` names
//! its database, and is refused with SQLSTATEs; one to `MySQL` names none, and is refused with `MySQL`'s numbers.

mod change;
pub(crate) mod rules;
mod state;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::change::change;
pub use self::state::State;
use self::state::{Database, Engine, Server, Table};
use super::{Inventory, Service, kafkaconnect, rds, secretsmanager};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// This service's entry in the list.
pub const SERVICE: Service =
    Service { name: "database", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "AddTables",
    "CreatePublication",
    "CreateSchema",
    "CreateSlot",
    "CreateTable",
    "CreateUser",
    "DropPublication",
    "DropSchema",
    "DropSlot",
    "DropTable",
    "DropUser",
    "GetPublication",
    "GetRetention",
    "GetRow",
    "GetSchema",
    "GetSlot",
    "GetTable",
    "GetUser",
    "Grant",
    "InsertRow",
    "MarkPublication",
    "MarkTable",
    "MarkUser",
    "RemoveTables",
    "Revoke",
    "SetPassword",
    "SetRetention",
];

fn text<'a>(input: &'a Value, member: &str) -> &'a str {
    input[member].as_str().unwrap_or_default()
}

fn texts(input: &Value, member: &str) -> Vec<String> {
    let items = input[member].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}

/// What a session of this cluster would meet, beside what is in the server.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Session {
    /// Whether `wal_level` is `logical`.
    logical: bool,
    /// Whether somebody reads the slot that the request names.
    active: bool,
    /// Whether what that slot kept was removed: the dial `database.slot-lost` names such slots.
    lost: bool,
    /// Whether a connector writes the row that the request names.
    beats: bool,
    /// The secret that the request names, and its current version, whose password a statement would have.
    password: Option<(String, String)>,
}

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    let cluster = text(input, "Cluster");
    let Some(view) = rds::server(world, cx.now, cluster) else {
        return if operation.starts_with("Get") {
            Ok(json!({ "Server": false }).into())
        } else {
            Err(AwsError::new("ServerNotFound", format!("there is no cluster {cluster}"))
                .status(404))
        };
    };
    if !view.answers {
        let message = format!("nothing answers at the writer's endpoint of {cluster}");
        return Err(AwsError::new("NotReady", message).status(400));
    }
    let engine = if view.engine == "aurora-postgresql" { Engine::Postgres } else { Engine::MySql };
    rules::protocol_is_spoken(engine, input)?;
    rules::database_is_there(engine, view.database.as_deref(), input)?;
    let endpoint = rds::by_endpoint(world, cx.now, &view.endpoint);
    let session = Session {
        logical: endpoint.is_some_and(|database| database.logical_replication),
        active: kafkaconnect::reads_slot(world, cx.now, &view.endpoint, text(input, "Name")),
        lost: world.faults.dial("database.slot-lost").is_some_and(|slots| {
            slots.as_array().is_some_and(|slots| slots.contains(&input["Name"]))
        }),
        beats: {
            let table = format!("{}.{}", text(input, "Schema"), text(input, "Table"));
            kafkaconnect::beats(world, cx.now, &view.endpoint, &table, text(input, "Id"))
        },
        password: password(world, cx.now, text(input, "Secret")),
    };
    let servers = &mut world.state.database.servers;
    let mut server = servers.get(&view.resource_id).cloned().unwrap_or_default();
    server.engine = engine;
    if let Some(answer) = read(&server, &session, operation, input) {
        return Ok(answer.into());
    }
    if session.password.is_none() && matches!(operation, "CreateUser" | "SetPassword") {
        let message = "Secrets Manager can't find the specified secret.";
        return Err(AwsError::new("ResourceNotFoundException", message).status(404));
    }
    change(&mut server, &session, operation, input)?;
    servers.insert(view.resource_id, server);
    Ok(json!({}).into())
}

fn password(world: &World, now: Millis, secret: &str) -> Option<(String, String)> {
    Some((secret.to_owned(), secretsmanager::current_version(world, secret, now)?))
}

fn read(server: &Server, session: &Session, operation: &str, input: &Value) -> Option<Value> {
    let none = Database::default();
    let database = server.databases.get(text(input, "Database")).unwrap_or(&none);
    let table = || database.schemas.get(text(input, "Schema"))?.get(text(input, "Table"));
    let name = text(input, "Name");
    let found = match operation {
        "GetUser" => server.users.get(name).map(|user| {
            json!({
                "LogsIn": session.password.is_some() && user.password_of == session.password,
                "Attribute": user.attribute,
                "Privileges": user.privileges,
            })
        }),
        "GetRetention" => Some(match server.retention {
            Some(hours) => json!({ "Hours": hours }),
            None => json!({}),
        }),
        "GetSchema" => database
            .schemas
            .get(name)
            .map(|tables| json!({ "Tables": tables.keys().collect::<Vec<_>>() })),
        "GetTable" => table().map(|table| json!({ "Comment": table.comment })),
        "GetRow" => {
            let written =
                |table: &Table| session.beats || table.rows.contains_key(text(input, "Id"));
            table().filter(|table| written(table)).map(|_| json!({}))
        }
        "GetPublication" => database.publications.get(name).map(|publication| {
            json!({
                "Comment": publication.comment,
                "Tables": publication.tables,
            })
        }),
        "GetSlot" => server.slots.get(name).map(|slot| {
            json!({
                "Plugin": slot.plugin,
                "Database": slot.database,
                "Active": session.active,
                "Lost": session.lost,
            })
        }),
        _ => return None,
    };
    let mut answer = json!({ "Server": true });
    if operation != "GetRetention" {
        answer["Found"] = found.is_some().into();
    }
    for (member, value) in found.iter().filter_map(Value::as_object).flatten() {
        answer[member] = value.clone();
    }
    Some(answer)
}

/// What was made in the databases that exist.
fn inventory(world: &World, now: Millis) -> Inventory {
    let mut rows = Vec::new();
    for (cluster, id) in rds::servers(world, now) {
        let Some(server) = world.state.database.servers.get(&id) else { continue };
        let mut add = |kind: &str, name: String| {
            rows.push((kind.to_owned(), format!("{cluster}/{name}"), "exists".to_owned()));
        };
        server.users.keys().for_each(|user| add("user", user.clone()));
        server.slots.keys().for_each(|slot| add("slot", slot.clone()));
        for (name, database) in &server.databases {
            let within = if name.is_empty() { String::new() } else { format!("{name}/") };
            for publication in database.publications.keys() {
                add("publication", format!("{within}{publication}"));
            }
            for (schema, tables) in &database.schemas {
                add("schema", format!("{within}{schema}"));
                for table in tables.keys() {
                    add("table", format!("{within}{schema}.{table}"));
                }
            }
        }
    }
    rows
}
