//! Where databases are, and who logs in: asked at the time of each call, kept nowhere.

use async_trait::async_trait;
use msk_pipeline_core::kind::CallError;
use msk_pipeline_verify::{Reach, Secret};

/// A user and its password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// Where a cluster's writer is, and its master user.
#[derive(Debug, Clone)]
pub struct Login {
    /// The writer's host name: that of its certificate.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The master user.
    pub master: Credentials,
}

/// A cluster's server.
#[derive(Debug, Clone)]
pub enum Server {
    /// There is no such cluster.
    Absent,
    /// It is there, and its writer is in this state, in which nothing answers.
    NotReady(String),
    /// So one logs in.
    Ready(Login),
}

/// What is known of database clusters outside of them.
#[async_trait]
pub trait Servers: Send + Sync + 'static {
    /// How to log in at a cluster's writer as its master user.
    ///
    /// # Errors
    /// If that can't be told: a failed request, or a master password that nobody manages.
    async fn master(&self, cluster: &str) -> Result<Server, CallError>;

    /// The user and password in a secret, as they are now; `None` if there is no such secret.
    ///
    /// # Errors
    /// A failed request, or a secret that isn't `{"username", "password"}`.
    async fn credentials(&self, secret: &str) -> Result<Option<Credentials>, CallError>;
}

/// The way to servers: asked anew for each connection, because addresses come and go.
pub trait Way: Send + Sync + 'static {
    /// The way as it is now.
    fn reach(&self) -> Reach;
}

impl Way for Reach {
    fn reach(&self) -> Reach {
        self.clone()
    }
}
