//! How one logs in at the databases of an account: RDS tells where a cluster's writer is, Secrets Manager holds its master user's password and
//! those of others. Both are asked at the time of each call; what they answer is kept nowhere.
//!
//! Source: handbook aws.md §4.4 (the managed master secret), §8.

use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class, Kind as _};
use msk_pipeline_source::{Catalogue, Connections, Credentials, Login, Server, Servers, Way};
use msk_pipeline_verify::Secret;
use serde::Deserialize;

use crate::error::{absent, classify};
use crate::kinds::aurora_cluster::{self, AuroraCluster};
use crate::session::Session;

/// True if objects of this kind are clusters of databases.
pub fn is_cluster(kind: &str) -> bool {
    kind == AuroraCluster::TYPE
}

/// The databases of a session's account, over connections by this way.
pub fn databases(session: &Session, way: Arc<dyn Way>) -> Arc<dyn Catalogue> {
    let servers = Rds { rds: session.rds.clone(), secrets: session.secretsmanager.clone() };
    Arc::new(Connections::new(Arc::new(servers), way))
}

struct Rds {
    rds: aws_sdk_rds::Client,
    secrets: aws_sdk_secretsmanager::Client,
}

/// The value of a secret for a database. Other members are of no interest.
#[derive(Deserialize)]
struct Value {
    username: String,
    password: String,
}

/// States of a writer in which nothing answers at its port (page 'Viewing DB instance status').
const SILENT: &[&str] = &[
    "without an instance",
    "gone",
    "creating",
    "deleting",
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-network",
    "incompatible-parameters",
    "rebooting",
    "restore-error",
    "starting",
    "stopped",
    "stopping",
];

impl Rds {
    /// The state of an instance.
    async fn state(&self, instance: &str) -> Result<String, CallError> {
        let answer = self.rds.describe_db_instances().db_instance_identifier(instance).send().await;
        let found = absent(answer.map_err(|error| classify("rds:DescribeDBInstances", error)))?;
        let state = found.as_ref().and_then(|f| f.db_instances().first()?.db_instance_status());
        Ok(state.unwrap_or("gone").to_owned())
    }
}

#[async_trait]
impl Servers for Rds {
    async fn master(&self, cluster: &str) -> Result<Server, CallError> {
        const OP: &str = "rds:DescribeDBClusters";
        let Some(found) = aurora_cluster::describe(&self.rds, cluster).await? else {
            return Ok(Server::Absent);
        };
        let members = found.db_cluster_members();
        let writer = members.iter().find(|member| member.is_cluster_writer() == Some(true));
        let state = match writer.and_then(|writer| writer.db_instance_identifier()) {
            Some(writer) => self.state(writer).await?,
            None => "without an instance".into(),
        };
        if SILENT.contains(&state.as_str()) {
            return Ok(Server::NotReady(state));
        }
        let secret = found.master_user_secret().and_then(|secret| secret.secret_arn());
        let Some(secret) = secret else {
            let message = format!(
                "RDS does not manage the master password of {cluster}: let it (`aws rds modify-db-cluster --manage-master-user-password`), or write `prepare = \"sql\"`"
            );
            return Err(CallError::new(Class::Invalid, OP, message));
        };
        let Some(master) = self.credentials(secret).await? else {
            let message =
                format!("the secret of the master password of {cluster} is not there yet");
            return Err(CallError::new(Class::NotYet, OP, message));
        };
        Ok(Server::Ready(Login {
            host: found.endpoint().unwrap_or_default().to_owned(),
            port: found.port().and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            master,
        }))
    }

    async fn credentials(&self, secret: &str) -> Result<Option<Credentials>, CallError> {
        const OP: &str = "secretsmanager:GetSecretValue";
        let answer = self.secrets.get_secret_value().secret_id(secret).send().await;
        let Some(answer) = absent(answer.map_err(|error| classify(OP, error)))? else {
            return Ok(None);
        };
        let value =
            answer.secret_string().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(Value { username, password }) = value else {
            let message =
                format!("the secret {secret} is no JSON value {{\"username\", \"password\"}}");
            return Err(CallError::new(Class::Invalid, OP, message));
        };
        Ok(Some(Credentials { user: username, password: Secret::new(password) }))
    }
}
