use serde_json::{Value, json};

use super::state::Server;
use super::{SERVICE, change, rules};
use crate::world::{Cx, Settings, World};

#[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
fn version(n: &str) -> Option<(String, String)> {
    Some(("orders/capture".into(), n.into()))
}

#[track_caller]
fn done(server: &mut Server, operation: &str, input: Value) {
    change(server, operation, &input, version("1"))
        .unwrap_or_else(|e| panic!("{operation}: {}", e.message));
}

#[track_caller]
fn refused(server: &mut Server, operation: &str, input: Value, code: &str) {
    let before = server.clone();
    let error = change(server, operation, &input, version("1")).expect_err("refused");
    assert_eq!(error.code, code, "{}", error.message);
    assert_eq!(*server, before, "a refusal changes nothing");
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
}

#[test]
fn user_is_there() {
    let grant = json!({ "Name": "x", "On": "*.*", "Privileges": ["SELECT"] });
    refused(&mut prepared(), "Grant", grant.clone(), "1410");
    refused(&mut prepared(), "Revoke", grant, "1396");
    refused(&mut prepared(), "DropUser", json!({ "Name": "x" }), "1396");
    refused(&mut prepared(), "SetPassword", json!({ "Name": "x" }), "1396");
}

#[test]
fn schema_is_new() {
    refused(&mut prepared(), "CreateSchema", json!({ "Name": "cdc" }), "1007");
}

#[test]
fn schema_is_there() {
    refused(&mut prepared(), "DropSchema", json!({ "Name": "x" }), "1008");
    let table = json!({ "Schema": "x", "Table": "t", "Columns": "", "Comment": "" });
    refused(&mut prepared(), "CreateTable", table, "1049");
}

#[test]
fn table_is_new() {
    let table = json!({ "Schema": "cdc", "Table": "signal", "Columns": "", "Comment": "" });
    refused(&mut prepared(), "CreateTable", table, "1050");
}

#[test]
fn table_is_there() {
    refused(&mut prepared(), "DropTable", json!({ "Schema": "cdc", "Table": "x" }), "1051");
    let row = json!({ "Schema": "cdc", "Table": "x", "Id": "1", "Type": "t", "Data": "d" });
    refused(&mut prepared(), "InsertRow", row, "1146");
}

#[test]
fn row_is_new() {
    let row = json!({ "Schema": "cdc", "Table": "signal", "Id": "1", "Type": "t", "Data": "d" });
    let mut server = prepared();
    done(&mut server, "InsertRow", row.clone());
    refused(&mut server, "InsertRow", row, "1062");
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
