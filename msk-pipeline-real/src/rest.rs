//! Kafka Connect's REST API, as far as MSK Connect's operations need it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// Connect answers a request within 90 s, or says that it timed out.
const PATIENCE: Duration = Duration::from_secs(95);

/// A worker's API.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    address: SocketAddr,
}

/// What a connector and its tasks are doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The connector itself.
    pub connector: Part,
    /// Its tasks.
    #[serde(default)]
    pub tasks: Vec<Part>,
}

/// A connector or a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// The number, of a task.
    #[serde(default)]
    pub id: u32,
    /// `RUNNING`, `PAUSED`, `STOPPED`, `FAILED`, `UNASSIGNED` or `RESTARTING`.
    pub state: String,
    /// The stack trace of what failed.
    #[serde(default)]
    pub trace: Option<String>,
}

impl Status {
    /// The first that failed.
    pub fn failure(&self) -> Option<&Part> {
        std::iter::once(&self.connector).chain(&self.tasks).find(|part| part.state == "FAILED")
    }

    /// Whether the connector and all its tasks, of which there is one at least, are in that state.
    pub fn all(&self, state: &str) -> bool {
        self.connector.state == state
            && !self.tasks.is_empty()
            && self.tasks.iter().all(|task| task.state == state)
    }
}

impl Rest {
    /// The API at an address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Whether the worker has joined its group and answers.
    pub async fn ready(&self) -> bool {
        self.call("GET", "/connectors", None).await.is_ok()
    }

    /// Creates a connector or changes its configuration, which Connect validates first.
    pub async fn configure(
        &self,
        name: &str,
        configuration: &BTreeMap<String, String>,
    ) -> Result<()> {
        let body = serde_json::to_vec(configuration).expect("text");
        self.call("PUT", &path(name, "config"), Some(body)).await.map(drop)
    }

    /// What it is doing; `None` if Connect doesn't know it (yet).
    pub async fn status(&self, name: &str) -> Result<Option<Status>> {
        match self.call("GET", &path(name, "status"), None).await {
            Ok(value) => Ok(serde_json::from_value(value).ok()),
            Err(Error::Rest { status: 404, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Pauses the connector and its tasks.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.call("PUT", &path(name, "pause"), None).await.map(drop)
    }

    /// Lets them go on.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.call("PUT", &path(name, "resume"), None).await.map(drop)
    }

    /// Restarts the connector with its tasks, all or those that failed.
    pub async fn restart(&self, name: &str, only_failed: bool) -> Result<()> {
        let rest = format!("restart?includeTasks=true&onlyFailed={only_failed}");
        self.call("POST", &path(name, &rest), None).await.map(drop)
    }

    async fn call(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Value> {
        tokio::time::timeout(PATIENCE, self.send(method, path, body))
            .await
            .unwrap_or(Err(Error::Rest { status: 504, message: "no answer".into() }))
    }

    async fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Value> {
        let failed = |e: &dyn std::fmt::Display| Error::Rest { status: 0, message: e.to_string() };
        let stream = TcpStream::connect(self.address).await.map_err(|e| failed(&e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failed(&e))?;
        tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|e| failed(&e))?;
        let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|e| failed(&e))?.to_bytes();
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let message = value.get("message").and_then(Value::as_str);
        let message =
            message.map_or_else(|| String::from_utf8_lossy(&body).into_owned(), Into::into);
        Err(Error::Rest { status, message })
    }
}

fn path(name: &str, rest: &str) -> String {
    format!("/connectors/{}/{rest}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(connector: &str, tasks: &[&str]) -> Status {
        let part = |id: usize, state: &&str| Part {
            id: u32::try_from(id).expect("few"),
            state: (*state).into(),
            trace: None,
        };
        Status {
            connector: part(0, &connector),
            tasks: tasks.iter().enumerate().map(|(id, state)| part(id, state)).collect(),
        }
    }

    #[test]
    fn running_needs_a_task_and_every_task() {
        for (connector, tasks, running, failed) in [
            ("RUNNING", &["RUNNING"][..], true, false),
            ("RUNNING", &[], false, false),
            ("RUNNING", &["RUNNING", "UNASSIGNED"], false, false),
            ("RUNNING", &["RUNNING", "FAILED"], false, true),
            ("FAILED", &[], false, true),
            ("PAUSED", &["RUNNING"], false, false),
        ] {
            let status = status(connector, tasks);
            assert_eq!((status.all("RUNNING"), status.failure().is_some()), (running, failed));
        }
    }

    #[test]
    fn connect_s_own_json_is_read() {
        let text = r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"w"},"tasks":[{"id":0,"state":"FAILED","worker_id":"w","trace":"x"}],"type":"source"}"#;
        let read: Status = serde_json::from_str(text).expect("a status");
        assert_eq!(read.failure().and_then(|t| t.trace.as_deref()), Some("x"));
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(path("a/b c", "status"), "/connectors/a%2Fb%20c/status");
    }
}
