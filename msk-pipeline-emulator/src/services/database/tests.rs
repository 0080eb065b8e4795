use serde_json::{Value, json};

use super::change::change;
use super::state::{Engine, Server};
use super::{SERVICE, Session, rules};
use crate::world::{Cx, Settings, World};

fn session() -> Session {
    let password = Some(("orders/capture".to_owned(), "1".to_owned()));
    Session { logical: true, active: false, lost: false, beats: false, password }
}

#[track_caller]
fn done(server: &mut Server, operation: &str, input: Value) {
    change(server, &session(), operation, &input)
        .unwrap_or_else(|e| panic!("{operation}: {}", e.message));
}

#[track_caller]
fn refused(server: &mut Server, operation: &str, input: Value, code: &str) {
    let before = server.clone();
    let error = change(server, &session(), operation, &input).expect_err("refused");
    assert_eq!(error.code, code, "{}", error.message);
    // An empty database is none.
    server.databases.retain(|_, database| *database != Default::default());
    assert_eq!(*server, before, "a refusal changes nothing");
}

/// A `PostgreSQL` with a role, a signal table, a publication and a slot.
fn postgres() -> Server {
    let mut server = Server { engine: Engine::Postgres, ..Server::default() };
    done(&mut server, "CreateSchema", json!({ "Database": "shop", "Name": "cdc" }));
    let table = json!({ "Database": "shop", "Schema": "cdc", "Table": "signal", "Columns": "id INT", "Comment": "ours" });
    done(&mut server, "CreateTable", table);
    done(&mut server, "CreateUser", json!({ "Name": "debezium", "Attribute": { "a": "b" } }));
    done(&mut server, "CreatePublication", of("p", &["cdc.signal"]));
    done(&mut server, "CreateSlot", json!({ "Database": "shop", "Name": "s" }));
    server
}

fn of(publication: &str, tables: &[&str]) -> Value {
    json!({ "Database": "shop", "Name": publication, "Tables": tables, "Comment": "ours" })
}

fn prepared() -> Server {
    let mut server = Server::default();
    done(&mut server, "CreateSchema", json!({ "Name": "cdc" }));
    let table =
        json!({ "Schema": "cdc", "Table": "signal", "Columns": "id INT", "Comment": "ours" });
    done(&mut server, "CreateTable", table);
    done(&mut server, "CreateUser", json!({ "Name": "debezium", "Attribute": { "a": "b" } }));
    server
}

#[test]
fn user_is_new() {
    refused(&mut prepared(), "CreateUser", json!({ "Name": "debezium", "Attribute": {} }), "1396");
    let role = json!({ "Name": "debezium", "Attribute": {} });
    refused(&mut postgres(), "CreateUser", role, "42710");
}

#[test]
fn user_is_there() {
    let grant = json!({ "Name": "x", "On": "*.*", "Privileges": ["SELECT"] });
    refused(&mut prepared(), "Grant", grant.clone(), "1410");
    refused(&mut prepared(), "Revoke", grant, "1396");
    refused(&mut prepared(), "DropUser", json!({ "Name": "x" }), "1396");
    refused(&mut prepared(), "SetPassword", json!({ "Name": "x" }), "1396");
    for operation in ["DropUser", "SetPassword", "MarkUser", "Grant", "Revoke"] {
        refused(&mut postgres(), operation, json!({ "Name": "x", "On": "*" }), "42704");
    }
}

#[test]
fn schema_is_new() {
    refused(&mut prepared(), "CreateSchema", json!({ "Name": "cdc" }), "1007");
    let schema = json!({ "Database": "shop", "Name": "cdc" });
    refused(&mut postgres(), "CreateSchema", schema, "42P06");
    done(&mut postgres(), "CreateSchema", json!({ "Database": "postgres", "Name": "cdc" }));
}

#[test]
fn schema_is_there() {
    refused(&mut prepared(), "DropSchema", json!({ "Name": "x" }), "1008");
    let table = json!({ "Schema": "x", "Table": "t", "Columns": "", "Comment": "" });
    refused(&mut prepared(), "CreateTable", table, "1049");
    let schema = json!({ "Database": "shop", "Name": "x" });
    refused(&mut postgres(), "DropSchema", schema, "3F000");
}

#[test]
fn table_is_new() {
    let table = json!({ "Schema": "cdc", "Table": "signal", "Columns": "", "Comment": "" });
    refused(&mut prepared(), "CreateTable", table, "1050");
    let table = json!({ "Database": "shop", "Schema": "cdc", "Table": "signal", "Columns": "" });
    refused(&mut postgres(), "CreateTable", table, "42P07");
}

#[test]
fn table_is_there() {
    refused(&mut prepared(), "DropTable", json!({ "Schema": "cdc", "Table": "x" }), "1051");
    let row = json!({ "Schema": "cdc", "Table": "x", "Id": "1", "Type": "t", "Data": "d" });
    refused(&mut prepared(), "InsertRow", row, "1146");
    let table = json!({ "Database": "shop", "Schema": "cdc", "Table": "x" });
    refused(&mut postgres(), "DropTable", table.clone(), "42P01");
    refused(&mut postgres(), "MarkTable", table, "42P01");
}

#[test]
fn row_is_new() {
    let row = json!({ "Schema": "cdc", "Table": "signal", "Id": "1", "Type": "t", "Data": "d" });
    let mut server = prepared();
    done(&mut server, "InsertRow", row.clone());
    refused(&mut server, "InsertRow", row, "1062");
    let row = json!({ "Database": "shop", "Schema": "cdc", "Table": "signal", "Id": "1" });
    let mut server = postgres();
    done(&mut server, "InsertRow", row.clone());
    refused(&mut server, "InsertRow", row, "23505");
}

#[test]
fn retention_is_in_range() {
    let mut server = prepared();
    for hours in [0, 2161] {
        refused(&mut server, "SetRetention", json!({ "Hours": hours }), "1644");
    }
    done(&mut server, "SetRetention", json!({ "Hours": 2160 }));
    assert_eq!(server.retention, Some(2160));
    done(&mut server, "SetRetention", json!({}));
    assert_eq!(server.retention, None);
}

#[test]
fn engine_has_it() {
    refused(&mut prepared(), "CreateSlot", json!({ "Name": "s" }), "1064");
    refused(&mut prepared(), "AddTables", json!({ "Name": "p", "Tables": ["a.b"] }), "1064");
    refused(&mut postgres(), "SetRetention", json!({ "Hours": 24 }), "3F000");
}

#[test]
fn role_may_do_nothing() {
    let grant = |on: &str| json!({ "Name": "debezium", "On": on, "Privileges": ["SELECT"] });
    let mut server = postgres();
    done(&mut server, "Grant", grant("*"));
    done(&mut server, "Grant", grant("a.b"));
    refused(&mut server, "DropUser", json!({ "Name": "debezium" }), "2BP01");
    done(&mut server, "Revoke", grant("a.b"));
    done(&mut server, "DropUser", json!({ "Name": "debezium" }));
    let mut mysql = prepared();
    done(&mut mysql, "Grant", grant("a.b"));
    done(&mut mysql, "DropUser", json!({ "Name": "debezium" }));
}

#[test]
fn schema_is_empty() {
    let schema = json!({ "Database": "shop", "Name": "cdc" });
    let mut server = postgres();
    refused(&mut server, "DropSchema", schema.clone(), "2BP01");
    let table = json!({ "Database": "shop", "Schema": "cdc", "Table": "signal" });
    done(&mut server, "DropTable", table);
    assert!(server.databases["shop"].publications["p"].tables.is_empty());
    done(&mut server, "DropSchema", schema);
    done(&mut prepared(), "DropSchema", json!({ "Name": "cdc" }));
}

#[test]
fn publication_is_new() {
    refused(&mut postgres(), "CreatePublication", of("p", &["a.b"]), "42710");
}

#[test]
fn publication_is_there() {
    for operation in ["AddTables", "RemoveTables", "MarkPublication", "DropPublication"] {
        refused(&mut postgres(), operation, of("x", &["a.b"]), "42704");
    }
}

#[test]
fn tables_are_not_published() {
    refused(&mut postgres(), "AddTables", of("p", &["a.b", "cdc.signal"]), "42710");
}

#[test]
fn tables_are_published() {
    refused(&mut postgres(), "RemoveTables", of("p", &["a.b", "cdc.signal"]), "42704");
}

#[test]
fn tables_come_and_go() {
    let mut server = postgres();
    done(&mut server, "AddTables", of("p", &["a.b", "a.c"]));
    done(&mut server, "RemoveTables", of("p", &["a.b"]));
    let tables = &server.databases["shop"].publications["p"].tables;
    assert_eq!(tables.iter().collect::<Vec<_>>(), ["a.c", "cdc.signal"]);
}

#[test]
fn wal_is_logical() {
    let unfit = Session { logical: false, ..session() };
    let slot = json!({ "Database": "shop", "Name": "t" });
    let error = change(&mut postgres(), &unfit, "CreateSlot", &slot).expect_err("refused");
    assert_eq!(error.code, "55000");
}

#[test]
fn slot_is_new() {
    // Its name is the server's, not the database's.
    let slot = json!({ "Database": "postgres", "Name": "s" });
    refused(&mut postgres(), "CreateSlot", slot, "42710");
}

#[test]
fn slot_is_there() {
    refused(&mut postgres(), "DropSlot", json!({ "Database": "shop", "Name": "x" }), "42704");
}

#[test]
fn slot_is_free() {
    let busy = Session { active: true, ..session() };
    let slot = json!({ "Database": "shop", "Name": "s" });
    let error = change(&mut postgres(), &busy, "DropSlot", &slot).expect_err("refused");
    assert_eq!(error.code, "55006");
    done(&mut postgres(), "DropSlot", slot);
}

#[test]
fn protocol_is_spoken() {
    let (mysql, postgres) = (json!({}), json!({ "Database": "shop" }));
    assert!(rules::protocol_is_spoken(Engine::MySql, &mysql).is_ok());
    assert!(rules::protocol_is_spoken(Engine::Postgres, &postgres).is_ok());
    assert!(rules::protocol_is_spoken(Engine::MySql, &postgres).is_err());
    assert!(rules::protocol_is_spoken(Engine::Postgres, &mysql).is_err());
}

#[test]
fn database_is_there() {
    let within = |name: &str| {
        rules::database_is_there(Engine::Postgres, Some("shop"), &json!({ "Database": name }))
    };
    assert!(within("shop").is_ok() && within("postgres").is_ok());
    assert_eq!(within("other").expect_err("refused").code, "3D000");
}

#[test]
fn every_rule_has_a_test_of_its_name() {
    let here = include_str!("tests.rs");
    for (name, source) in rules::RULES {
        assert!(here.contains(&format!("fn {name}()")), "{name}");
        assert!(!source.is_empty());
    }
}

#[test]
fn privileges_add_up_and_are_taken() {
    let mut server = prepared();
    let of = |on: &str, list: &[&str]| json!({ "Name": "debezium", "On": on, "Privileges": list });
    done(&mut server, "Grant", of("*.*", &["SELECT"]));
    done(&mut server, "Grant", of("*.*", &["RELOAD"]));
    done(&mut server, "Revoke", of("*.*", &["SELECT"]));
    let on = |server: &Server| server.users["debezium"].privileges.clone();
    assert_eq!(on(&server)["*.*"].iter().collect::<Vec<_>>(), ["RELOAD"]);
    done(&mut server, "Revoke", of("*.*", &["RELOAD"]));
    assert!(on(&server).is_empty());
}

#[test]
fn a_cluster_that_does_not_exist_has_no_server() {
    let mut world = World { settings: Settings::default(), ..World::default() };
    let cx = Cx { now: 1, body: bytes::Bytes::new(), request_id: "test".into() };
    let asked = json!({ "Cluster": "orders", "Name": "debezium", "Secret": "s" });
    let answer = (SERVICE.handle)(&mut world, &cx, "GetUser", &asked).expect("an answer");
    assert_eq!(answer.value, json!({ "Server": false }));
    let error = (SERVICE.handle)(&mut world, &cx, "CreateUser", &asked).expect_err("refused");
    assert_eq!(error.code, "ServerNotFound");
}
