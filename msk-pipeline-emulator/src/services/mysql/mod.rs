//! `mysql`: what is in the databases behind the endpoints of RDS, as far as preparing them for a connector goes: users with their
//! grants, binlog retention, schemas, tables, rows of a signal table.
//!
//! It is no service of AWS's. A database speaks its own protocol, and here is no database: so its side of the world has operations of its
//! own, on the wire of AWS's JSON services, and whatever strikes or watches calls does so here, too. `model/mysql.json` is written by hand.
//! A world with real programs has real databases, and nothing asks this.
//!
//! A cluster whose writer doesn't answer is refused with `NotReady`; one that doesn't exist has `Server: false`.

pub(crate) mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub use self::state::State;
use self::state::{Server, Table, User};
use super::{Inventory, Service, rds, secretsmanager};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "mysql", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "CreateSchema",
    "CreateTable",
    "CreateUser",
    "DropSchema",
    "DropTable",
    "DropUser",
    "GetRetention",
    "GetRow",
    "GetSchema",
    "GetTable",
    "GetUser",
    "Grant",
    "InsertRow",
    "MarkTable",
    "MarkUser",
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
    if let Some(answer) = read(world, cx.now, &view.resource_id, operation, input) {
        return Ok(answer.into());
    }
    let password = password(world, cx.now, text(input, "Secret"));
    if password.is_none() && matches!(operation, "CreateUser" | "SetPassword") {
        let message = "Secrets Manager can't find the specified secret.";
        return Err(AwsError::new("ResourceNotFoundException", message).status(404));
    }
    let servers = &mut world.state.mysql.servers;
    let mut server = servers.get(&view.resource_id).cloned().unwrap_or_default();
    change(&mut server, operation, input, password)?;
    servers.insert(view.resource_id, server);
    Ok(json!({}).into())
}

/// The secret and its current version, whose password a statement would have.
fn password(world: &World, now: Millis, secret: &str) -> Option<(String, String)> {
    Some((secret.to_owned(), secretsmanager::current_version(world, secret, now)?))
}

fn read(world: &World, now: Millis, id: &str, operation: &str, input: &Value) -> Option<Value> {
    let none = Server::default();
    let server = world.state.mysql.servers.get(id).unwrap_or(&none);
    let table = || server.schemas.get(text(input, "Schema"))?.get(text(input, "Table"));
    Some(match operation {
        "GetUser" => match server.users.get(text(input, "Name")) {
            Some(user) => {
                let current = password(world, now, text(input, "Secret"));
                json!({
                    "Server": true,
                    "Found": true,
                    "LogsIn": current.is_some() && user.password_of == current,
                    "Attribute": user.attribute,
                    "Privileges": user.privileges,
                })
            }
            None => json!({ "Server": true, "Found": false }),
        },
        "GetRetention" => match server.retention {
            Some(hours) => json!({ "Server": true, "Hours": hours }),
            None => json!({ "Server": true }),
        },
        "GetSchema" => match server.schemas.get(text(input, "Name")) {
            Some(tables) => {
                json!({ "Server": true, "Found": true, "Tables": tables.keys().collect::<Vec<_>>() })
            }
            None => json!({ "Server": true, "Found": false }),
        },
        "GetTable" => match table() {
            Some(table) => json!({ "Server": true, "Found": true, "Comment": table.comment }),
            None => json!({ "Server": true, "Found": false }),
        },
        "GetRow" => {
            let found = table().is_some_and(|table| table.rows.contains_key(text(input, "Id")));
            json!({ "Server": true, "Found": found })
        }
        _ => return None,
    })
}

fn change(
    server: &mut Server,
    operation: &str,
    input: &Value,
    password: Option<(String, String)>,
) -> Result<(), AwsError> {
    let (name, schema, table) = (text(input, "Name"), text(input, "Schema"), text(input, "Table"));
    match operation {
        "CreateUser" => {
            rules::user_is_new(server, name)?;
            let attribute = attribute(input);
            let user = User { password_of: password, attribute, ..User::default() };
            server.users.insert(name.to_owned(), user);
        }
        "MarkUser" => {
            rules::user_is_there(server, name, "ALTER USER")?;
            // Merged, as MySQL does with an attribute that is set.
            server.users.entry(name.to_owned()).or_default().attribute.extend(attribute(input));
        }
        "MarkTable" => {
            let table = rules::table_is_there(server, schema, table, "1146")?;
            text(input, "Comment").clone_into(&mut table.comment);
        }
        "SetPassword" => {
            rules::user_is_there(server, name, "ALTER USER")?;
            server.users.entry(name.to_owned()).or_default().password_of = password;
        }
        "Grant" => {
            rules::user_is_there(server, name, "GRANT")?;
            let user = server.users.entry(name.to_owned()).or_default();
            let on = user.privileges.entry(text(input, "On").to_owned()).or_default();
            on.extend(texts(input, "Privileges"));
        }
        "Revoke" => {
            rules::user_is_there(server, name, "REVOKE")?;
            let user = server.users.entry(name.to_owned()).or_default();
            let taken: BTreeSet<String> = texts(input, "Privileges").into_iter().collect();
            if let Some(on) = user.privileges.get_mut(text(input, "On")) {
                on.retain(|privilege| !taken.contains(privilege));
            }
            user.privileges.retain(|_, privileges| !privileges.is_empty());
        }
        "DropUser" => {
            rules::user_is_there(server, name, "DROP USER")?;
            server.users.remove(name);
        }
        "SetRetention" => {
            let hours = input["Hours"].as_i64();
            rules::retention_is_in_range(hours)?;
            server.retention = hours;
        }
        "CreateSchema" => {
            rules::schema_is_new(server, name)?;
            server.schemas.insert(name.to_owned(), BTreeMap::new());
        }
        "DropSchema" => {
            rules::schema_is_there(server, name, "1008")?;
            server.schemas.remove(name);
        }
        "CreateTable" => {
            let tables = rules::schema_is_there(server, schema, "1049")?;
            rules::table_is_new(tables, table)?;
            let made = Table {
                columns: text(input, "Columns").to_owned(),
                comment: text(input, "Comment").to_owned(),
                rows: BTreeMap::new(),
            };
            tables.insert(table.to_owned(), made);
        }
        "DropTable" => {
            rules::table_is_there(server, schema, table, "1051")?;
            if let Some(tables) = server.schemas.get_mut(schema) {
                tables.remove(table);
            }
        }
        "InsertRow" => {
            let id = text(input, "Id");
            let table = rules::table_is_there(server, schema, table, "1146")?;
            rules::row_is_new(table, id)?;
            let row = (text(input, "Type").to_owned(), text(input, "Data").to_owned());
            table.rows.insert(id.to_owned(), row);
        }
        other => {
            let message = format!("{other} is not embedded");
            return Err(AwsError::new("NotImplemented", message).status(501));
        }
    }
    Ok(())
}

fn attribute(input: &Value) -> BTreeMap<String, String> {
    let members = input["Attribute"].as_object().into_iter().flatten();
    members.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}

/// What was made in the databases that exist.
fn inventory(world: &World, now: Millis) -> Inventory {
    let mut rows = Vec::new();
    for (cluster, id) in rds::servers(world, now) {
        let Some(server) = world.state.mysql.servers.get(&id) else { continue };
        let mut add = |kind: &str, name: String| {
            rows.push((kind.to_owned(), format!("{cluster}/{name}"), "exists".to_owned()));
        };
        server.users.keys().for_each(|user| add("user", user.clone()));
        for (schema, tables) in &server.schemas {
            add("schema", schema.clone());
            for table in tables.keys() {
                add("table", format!("{schema}.{table}"));
            }
        }
    }
    rows
}
