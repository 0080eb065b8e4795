//! Changing requests: each has its effect wholly or not at all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::state::{Engine, Publication, Server, Slot, Table, User};
use super::{Session, rules, text, texts};
use crate::world::AwsError;

pub(super) fn change(
    server: &mut Server,
    session: &Session,
    operation: &str,
    input: &Value,
) -> Result<(), AwsError> {
    rules::engine_has_it(server.engine, operation)?;
    match operation {
        "CreateUser" | "MarkUser" | "SetPassword" | "Grant" | "Revoke" | "DropUser" => {
            users(server, session, operation, input)
        }
        "SetRetention" => {
            let hours = input["Hours"].as_i64();
            rules::retention_is_in_range(hours)?;
            server.retention = hours;
            Ok(())
        }
        "CreateSlot" | "DropSlot" => slots(server, session, operation, input),
        "CreatePublication" | "MarkPublication" | "AddTables" | "RemoveTables"
        | "DropPublication" => publications(server, operation, input),
        _ => tables(server, operation, input),
    }
}

fn users(
    server: &mut Server,
    session: &Session,
    operation: &str,
    input: &Value,
) -> Result<(), AwsError> {
    let (engine, name) = (server.engine, text(input, "Name"));
    if operation == "CreateUser" {
        rules::user_is_new(server, name)?;
        let password_of = session.password.clone();
        let user = User { password_of, attribute: attribute(input), ..User::default() };
        server.users.insert(name.to_owned(), user);
        return Ok(());
    }
    let user = rules::user_is_there(server, name, operation)?;
    match operation {
        // MySQL merges an attribute that is set; a comment of PostgreSQL is another one.
        "MarkUser" if engine == Engine::Postgres => user.attribute = attribute(input),
        "MarkUser" => user.attribute.extend(attribute(input)),
        "SetPassword" => user.password_of.clone_from(&session.password),
        "Grant" => {
            let on = user.privileges.entry(text(input, "On").to_owned()).or_default();
            on.extend(texts(input, "Privileges"));
        }
        "Revoke" => {
            let taken: BTreeSet<String> = texts(input, "Privileges").into_iter().collect();
            if let Some(on) = user.privileges.get_mut(text(input, "On")) {
                on.retain(|privilege| !taken.contains(privilege));
            }
            user.privileges.retain(|_, privileges| !privileges.is_empty());
        }
        _ => {
            rules::role_may_do_nothing(engine, name, user)?;
            server.users.remove(name);
        }
    }
    Ok(())
}

fn tables(server: &mut Server, operation: &str, input: &Value) -> Result<(), AwsError> {
    let engine = server.engine;
    let (schema, table) = (text(input, "Schema"), text(input, "Table"));
    let database = server.databases.entry(text(input, "Database").to_owned()).or_default();
    let schemas = &mut database.schemas;
    match operation {
        "CreateSchema" => {
            let name = text(input, "Name");
            rules::schema_is_new(engine, schemas, name)?;
            schemas.insert(name.to_owned(), BTreeMap::new());
        }
        "DropSchema" => {
            let name = text(input, "Name");
            let tables = rules::schema_is_there(engine, schemas, name, operation)?;
            rules::schema_is_empty(engine, name, tables)?;
            schemas.remove(name);
        }
        "CreateTable" => {
            let tables = rules::schema_is_there(engine, schemas, schema, operation)?;
            rules::table_is_new(engine, tables, table)?;
            let made = Table {
                columns: text(input, "Columns").to_owned(),
                comment: text(input, "Comment").to_owned(),
                whole_rows: input["WholeRows"].as_bool().unwrap_or_default(),
                rows: BTreeMap::new(),
            };
            tables.insert(table.to_owned(), made);
        }
        "MarkTable" => {
            let table = rules::table_is_there(engine, schemas, schema, table, operation)?;
            text(input, "Comment").clone_into(&mut table.comment);
        }
        "DropTable" => {
            rules::table_is_there(engine, schemas, schema, table, operation)?;
            if let Some(tables) = schemas.get_mut(schema) {
                tables.remove(table);
            }
            // It leaves every publication with it.
            let name = format!("{schema}.{table}");
            for publication in database.publications.values_mut() {
                publication.tables.remove(&name);
            }
        }
        "InsertRow" => {
            let id = text(input, "Id");
            let table = rules::table_is_there(engine, schemas, schema, table, operation)?;
            rules::row_is_new(engine, table, id)?;
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

fn publications(server: &mut Server, operation: &str, input: &Value) -> Result<(), AwsError> {
    let name = text(input, "Name");
    let database = server.databases.entry(text(input, "Database").to_owned()).or_default();
    let publications = &mut database.publications;
    let tables: BTreeSet<String> = texts(input, "Tables").into_iter().collect();
    if operation == "CreatePublication" {
        rules::publication_is_new(publications, name)?;
        let comment = text(input, "Comment").to_owned();
        publications.insert(name.to_owned(), Publication { tables, comment });
        return Ok(());
    }
    let publication = rules::publication_is_there(publications, name)?;
    match operation {
        "MarkPublication" => text(input, "Comment").clone_into(&mut publication.comment),
        "AddTables" => {
            rules::tables_are_not_published(name, publication, &tables)?;
            publication.tables.extend(tables);
        }
        "RemoveTables" => {
            rules::tables_are_published(publication, &tables)?;
            publication.tables.retain(|table| !tables.contains(table));
        }
        _ => {
            publications.remove(name);
        }
    }
    Ok(())
}

fn slots(
    server: &mut Server,
    session: &Session,
    operation: &str,
    input: &Value,
) -> Result<(), AwsError> {
    let name = text(input, "Name");
    if operation == "CreateSlot" {
        rules::wal_is_logical(session.logical)?;
        rules::slot_is_new(server, name)?;
        let (database, plugin) = (text(input, "Database").to_owned(), "pgoutput".to_owned());
        server.slots.insert(name.to_owned(), Slot { database, plugin });
        return Ok(());
    }
    rules::slot_is_there(server, name)?;
    rules::slot_is_free(name, session.active)?;
    server.slots.remove(name);
    Ok(())
}

fn attribute(input: &Value) -> BTreeMap<String, String> {
    let members = input["Attribute"].as_object().into_iter().flatten();
    members.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}
