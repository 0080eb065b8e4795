//! What is in the databases of a simulated world: there are none, so the world keeps a catalogue of what preparing them made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_aws::session::{Handler, PlainRequest};
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_source::{
    Catalogue, Change, Engine, Look, Place, Privileges, Publication, Schema, Slot, Table,
    TableName, Unreached, User, classify,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The catalogue of a world, asked as everything of it is asked, so that whatever strikes its calls strikes these.
pub(crate) struct Simulated {
    world: Arc<dyn Handler>,
    region: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the members of all answers")]
struct Answer {
    server: bool,
    found: bool,
    logs_in: bool,
    attribute: BTreeMap<String, String>,
    privileges: Privileges,
    hours: Option<u32>,
    tables: Vec<String>,
    comment: String,
    plugin: String,
    database: String,
    active: bool,
    lost: bool,
}

impl Simulated {
    pub(crate) fn new(world: Arc<dyn Handler>, region: &str) -> Self {
        Self { world, region: region.to_owned() }
    }

    async fn ask(&self, at: &Place, operation: &str, mut input: Value) -> Result<Value, CallError> {
        input["Cluster"] = json!(at.cluster);
        if let Some(database) = &at.database {
            input["Database"] = json!(database);
        }
        let op = format!("database:{operation}");
        let credential = format!("embedded/20260101/{}/database/aws4_request", self.region);
        let request = PlainRequest {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: vec![
                ("authorization".into(), format!("AWS4-HMAC-SHA256 Credential={credential}")),
                ("content-type".into(), "application/x-amz-json-1.1".into()),
                ("x-amz-target".into(), format!("Database.{operation}")),
            ],
            body: input.to_string().into_bytes(),
        };
        let Some(answer) = self.world.handle(request).await else {
            return Err(CallError::new(Class::Unknown, op, "the connection broke"));
        };
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == 200 {
            return Ok(value);
        }
        Err(refusal(at.engine(), &op, &value, answer.status))
    }

    async fn look(
        &self,
        at: &Place,
        operation: &str,
        input: Value,
    ) -> Result<Look<Answer>, CallError> {
        let value = match self.ask(at, operation, input).await {
            Err(error) if error.code.as_deref() == Some(UNREACHABLE) => {
                return Ok(Look::Unreached(Unreached {
                    what: error.message,
                    open: "A fault of the embedded AWS is set.".into(),
                }));
            }
            Err(error) if error.code.as_deref() == Some(NOT_READY) => {
                return Ok(Look::NotReady(error.message));
            }
            value => value?,
        };
        let answer: Answer = serde_json::from_value(value)
            .map_err(|e| CallError::new(Class::Unknown, operation, e.to_string()))?;
        Ok(match answer {
            Answer { server: false, .. } => Look::NoServer,
            Answer { found: false, .. } if operation != "GetRetention" => Look::Absent,
            answer => Look::Found(answer),
        })
    }
}

/// Of a fault alone: a world has no network to its databases.
const UNREACHABLE: &str = "Unreachable";
const NOT_READY: &str = "NotReady";

/// The server's own refusals have its numbers or SQLSTATEs; the others are those of the embedded AWS.
fn refusal(engine: Engine, op: &str, value: &Value, status: u16) -> CallError {
    let code = value["__type"].as_str().unwrap_or_default();
    let message = value["message"].as_str().unwrap_or_default();
    let of_server = match engine {
        Engine::MySql => code.parse::<u16>().is_ok(),
        Engine::Postgres => {
            code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        }
    };
    if of_server {
        return classify(engine, op, code, message);
    }
    let class = match (code, status) {
        ("ThrottlingException", _) | (_, 429) => Class::Throttled,
        (UNREACHABLE | NOT_READY, _) => Class::NotYet,
        (_, 404) => Class::NotFound,
        (_, 500..) => Class::Unknown,
        _ => Class::Invalid,
    };
    CallError { code: Some(code.to_owned()), ..CallError::new(class, op, message) }
}

fn table(name: &TableName) -> Value {
    json!({ "Schema": name.schema, "Table": name.table })
}

fn names(tables: &BTreeSet<TableName>) -> Vec<String> {
    tables.iter().map(ToString::to_string).collect()
}

/// The members of a change's request.
fn members(change: &Change) -> Value {
    let of = |name: &TableName, more: Value| {
        let mut input = table(name);
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        input
    };
    match change {
        Change::CreateUser { name, secret, attribute } => {
            json!({ "Name": name, "Secret": secret, "Attribute": attribute })
        }
        Change::SetPassword { name, secret } => json!({ "Name": name, "Secret": secret }),
        Change::MarkUser { name, attribute } => json!({ "Name": name, "Attribute": attribute }),
        Change::Grant { name, on, privileges } | Change::Revoke { name, on, privileges } => {
            json!({ "Name": name, "On": on, "Privileges": privileges })
        }
        Change::SetRetention { hours } => json!({ "Hours": hours }),
        Change::DropUser { name }
        | Change::CreateSchema { name }
        | Change::DropSchema { name }
        | Change::DropPublication { name }
        | Change::CreateSlot { name }
        | Change::DropSlot { name } => json!({ "Name": name }),
        Change::CreateTable { table, columns, comment, whole_rows } => {
            let more = json!({ "Columns": columns, "Comment": comment, "WholeRows": whole_rows });
            of(table, more)
        }
        Change::MarkTable { table, comment } => of(table, json!({ "Comment": comment })),
        Change::DropTable { table: name } => table(name),
        Change::InsertRow { table, id, kind, data } => {
            of(table, json!({ "Id": id, "Type": kind, "Data": data }))
        }
        Change::CreatePublication { name, tables, comment } => {
            json!({ "Name": name, "Tables": names(tables), "Comment": comment })
        }
        Change::MarkPublication { name, comment } => json!({ "Name": name, "Comment": comment }),
        Change::AddTables { name, tables } | Change::RemoveTables { name, tables } => {
            json!({ "Name": name, "Tables": names(tables) })
        }
    }
}

#[async_trait]
impl Catalogue for Simulated {
    async fn user(&self, at: &Place, name: &str, secret: &str) -> Result<Look<User>, CallError> {
        let look = self.look(at, "GetUser", json!({ "Name": name, "Secret": secret })).await?;
        Ok(look.map(|answer| User {
            logs_in: answer.logs_in,
            attribute: Some(answer.attribute),
            privileges: answer.privileges,
        }))
    }

    async fn retention(&self, at: &Place) -> Result<Look<Option<u32>>, CallError> {
        let look = self.look(at, "GetRetention", json!({})).await?;
        Ok(look.map(|answer| answer.hours))
    }

    async fn schema(&self, at: &Place, name: &str) -> Result<Look<Schema>, CallError> {
        let look = self.look(at, "GetSchema", json!({ "Name": name })).await?;
        Ok(look.map(|answer| Schema { tables: answer.tables.into_iter().collect() }))
    }

    async fn table(&self, at: &Place, name: &TableName) -> Result<Look<Table>, CallError> {
        let look = self.look(at, "GetTable", table(name)).await?;
        Ok(look.map(|answer| Table { comment: answer.comment }))
    }

    async fn row(&self, at: &Place, name: &TableName, id: &str) -> Result<Look<()>, CallError> {
        let mut input = table(name);
        input["Id"] = json!(id);
        Ok(self.look(at, "GetRow", input).await?.map(|_| ()))
    }

    async fn publication(&self, at: &Place, name: &str) -> Result<Look<Publication>, CallError> {
        let look = self.look(at, "GetPublication", json!({ "Name": name })).await?;
        Ok(look.map(|answer| Publication {
            comment: answer.comment,
            all_tables: false,
            tables: answer.tables.iter().filter_map(|name| TableName::parse(name)).collect(),
        }))
    }

    async fn slot(&self, at: &Place, name: &str) -> Result<Look<Slot>, CallError> {
        let look = self.look(at, "GetSlot", json!({ "Name": name })).await?;
        Ok(look.map(|answer| Slot {
            plugin: answer.plugin,
            database: answer.database,
            active: answer.active,
            lost: answer.lost,
        }))
    }

    async fn change(&self, at: &Place, change: &Change) -> Result<(), CallError> {
        let operation = change.op().rsplit(':').next().unwrap_or_default();
        self.ask(at, operation, members(change)).await.map(drop)
    }
}
