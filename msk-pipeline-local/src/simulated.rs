//! What is in the databases of a simulated world: there are none, so the world keeps a catalogue of what preparing them made.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_aws::session::{Handler, PlainRequest};
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_source::{Catalogue, Change, Look, Schema, Table, TableName, Unreached, User};
use msk_pipeline_source::{Privileges, classify};
use serde::Deserialize;
use serde_json::{Value, json};

/// The catalogue of a world, asked as everything of it is asked, so that whatever strikes its calls strikes these.
pub(crate) struct Simulated {
    world: Arc<dyn Handler>,
    region: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    server: bool,
    found: bool,
    logs_in: bool,
    attribute: BTreeMap<String, String>,
    privileges: Privileges,
    hours: Option<u32>,
    tables: Vec<String>,
    comment: String,
}

impl Simulated {
    pub(crate) fn new(world: Arc<dyn Handler>, region: &str) -> Self {
        Self { world, region: region.to_owned() }
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value, CallError> {
        let op = format!("mysql:{operation}");
        let credential = format!("embedded/20260101/{}/mysql/aws4_request", self.region);
        let request = PlainRequest {
            method: "POST".into(),
            path: "/".into(),
            query: String::new(),
            headers: vec![
                ("authorization".into(), format!("AWS4-HMAC-SHA256 Credential={credential}")),
                ("content-type".into(), "application/x-amz-json-1.1".into()),
                ("x-amz-target".into(), format!("Mysql.{operation}")),
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
        Err(refusal(&op, &value, answer.status))
    }

    async fn look(&self, operation: &str, input: Value) -> Result<Look<Answer>, CallError> {
        let value = match self.ask(operation, input).await {
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

/// The server's own refusals have its numbers; the others are those of the embedded AWS.
fn refusal(op: &str, value: &Value, status: u16) -> CallError {
    let code = value["__type"].as_str().unwrap_or_default();
    let message = value["message"].as_str().unwrap_or_default();
    if let Ok(number) = code.parse() {
        return classify(op, number, message);
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

#[async_trait]
impl Catalogue for Simulated {
    async fn user(&self, cluster: &str, name: &str, secret: &str) -> Result<Look<User>, CallError> {
        let input = json!({ "Cluster": cluster, "Name": name, "Secret": secret });
        let look = self.look("GetUser", input).await?;
        Ok(look.map(|answer| User {
            logs_in: answer.logs_in,
            attribute: Some(answer.attribute),
            privileges: answer.privileges,
        }))
    }

    async fn retention(&self, cluster: &str) -> Result<Look<Option<u32>>, CallError> {
        let look = self.look("GetRetention", json!({ "Cluster": cluster })).await?;
        Ok(look.map(|answer| answer.hours))
    }

    async fn schema(&self, cluster: &str, name: &str) -> Result<Look<Schema>, CallError> {
        let look = self.look("GetSchema", json!({ "Cluster": cluster, "Name": name })).await?;
        Ok(look.map(|answer| Schema { tables: answer.tables.into_iter().collect() }))
    }

    async fn table(&self, cluster: &str, table: &TableName) -> Result<Look<Table>, CallError> {
        let input = json!({ "Cluster": cluster, "Schema": table.schema, "Table": table.table });
        let look = self.look("GetTable", input).await?;
        Ok(look.map(|answer| Table { comment: answer.comment }))
    }

    async fn row(&self, cluster: &str, table: &TableName, id: &str) -> Result<Look<()>, CallError> {
        let input =
            json!({ "Cluster": cluster, "Schema": table.schema, "Table": table.table, "Id": id });
        let look = self.look("GetRow", input).await?;
        Ok(look.map(|_| ()))
    }

    async fn change(&self, cluster: &str, change: &Change) -> Result<(), CallError> {
        let of = |table: &TableName| (table.schema.clone(), table.table.clone());
        let mut input = match change {
            Change::CreateUser { name, secret, attribute } => {
                json!({ "Name": name, "Secret": secret, "Attribute": attribute })
            }
            Change::SetPassword { name, secret } => json!({ "Name": name, "Secret": secret }),
            Change::Grant { name, on, privileges } | Change::Revoke { name, on, privileges } => {
                json!({ "Name": name, "On": on, "Privileges": privileges })
            }
            Change::SetRetention { hours } => json!({ "Hours": hours }),
            Change::DropUser { name }
            | Change::CreateSchema { name }
            | Change::DropSchema { name } => json!({ "Name": name }),
            Change::CreateTable { table, columns, comment } => {
                let (schema, table) = of(table);
                json!({ "Schema": schema, "Table": table, "Columns": columns, "Comment": comment })
            }
            Change::MarkUser { name, attribute } => {
                json!({ "Name": name, "Attribute": attribute })
            }
            Change::MarkTable { table, comment } => {
                let (schema, table) = of(table);
                json!({ "Schema": schema, "Table": table, "Comment": comment })
            }
            Change::DropTable { table } => {
                let (schema, table) = of(table);
                json!({ "Schema": schema, "Table": table })
            }
            Change::InsertRow { table, id, kind, data } => {
                let (schema, table) = of(table);
                json!({ "Schema": schema, "Table": table, "Id": id, "Type": kind, "Data": data })
            }
        };
        input["Cluster"] = json!(cluster);
        let operation = change.op().rsplit(':').next().unwrap_or_default();
        self.ask(operation, input).await.map(drop)
    }
}
