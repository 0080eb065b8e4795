//! The builder: the same value as a document's section.

use super::{Allow, Capacity, Capture, Database, Engine, OnDestroy, Reader, Writer};

impl Database {
    /// Creates an Aurora MySQL database with the defaults of a careful engineer: serverless, encrypted, private, protected.
    pub fn aurora_mysql() -> Self {
        Self { engine: Some(Engine::MySql.name().into()), ..Self::default() }
    }

    /// Creates an Aurora PostgreSQL database with the same defaults.
    pub fn aurora_postgresql() -> Self {
        Self { engine: Some(Engine::PostgreSql.name().into()), ..Self::default() }
    }

    /// Uses the cluster `identifier`, which exists already and is never changed.
    #[must_use]
    pub fn existing(mut self, identifier: impl Into<String>) -> Self {
        self.existing = Some(identifier.into());
        self
    }

    /// Names the database inside the cluster that changes are captured from (PostgreSQL).
    #[must_use]
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// Sets the engine version, `3.10.4`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the writer's class, `db.r7g.large`.
    #[must_use]
    pub fn writer(mut self, class: impl Into<String>) -> Self {
        self.writer = Some(Writer { class: Some(class.into()) });
        self
    }

    /// Adds a reader of this class.
    #[must_use]
    pub fn reader(mut self, key: impl Into<String>, class: impl Into<String>) -> Self {
        let reader = Reader { class: Some(class.into()), promotion_tier: None };
        self.readers.insert(key.into(), reader);
        self
    }

    /// Sets the range of serverless instances, in Aurora capacity units.
    #[must_use]
    pub fn serverless(mut self, min: f64, max: f64) -> Self {
        self.serverless = Some(Capacity { min, max });
        self
    }

    /// Sets a parameter of the cluster's group.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.parameters.insert(name.into(), value.to_string());
        self
    }

    /// Sets a parameter of the instances' group.
    #[must_use]
    pub fn instance_parameter(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.instance_parameters.insert(name.into(), value.to_string());
        self
    }

    /// Sets how connectors read it.
    #[must_use]
    pub fn capture(mut self, capture: Capture) -> Self {
        self.capture = Some(capture);
        self
    }

    /// Sets how the capture user comes into the database: `sql` or `direct`.
    #[must_use]
    pub fn prepare(mut self, how: impl Into<String>) -> Self {
        self.prepare = Some(how.into());
        self
    }

    /// Sets what a destroy does.
    #[must_use]
    pub fn on_destroy(mut self, on_destroy: OnDestroy) -> Self {
        self.on_destroy = Some(on_destroy);
        self
    }

    /// Gives the instances public addresses, or not.
    #[must_use]
    pub fn public(mut self, public: bool) -> Self {
        self.public = Some(public);
        self
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port.into());
        self
    }

    /// Sets the master user.
    #[must_use]
    pub fn master_user(mut self, user: impl Into<String>) -> Self {
        self.master_user = Some(user.into());
        self
    }

    /// Sets for how many days backups are kept.
    #[must_use]
    pub fn backup_retention_days(mut self, days: u8) -> Self {
        self.backup_retention = Some(format!("{days}d"));
        self
    }

    /// Sets deletion protection.
    #[must_use]
    pub fn deletion_protection(mut self, on: bool) -> Self {
        self.deletion_protection = Some(on);
        self
    }

    /// Sends a log to CloudWatch.
    #[must_use]
    pub fn log(mut self, log: impl Into<String>) -> Self {
        self.logs.push(log.into());
        self
    }

    /// Sets the key for storage and secrets.
    #[must_use]
    pub fn kms_key(mut self, key: impl Into<String>) -> Self {
        self.kms_key = Some(key.into());
        self
    }

    /// Sets the subnets.
    #[must_use]
    pub fn subnets<S: Into<String>>(mut self, subnets: impl IntoIterator<Item = S>) -> Self {
        self.subnets = Some(subnets.into_iter().map(Into::into).collect());
        self
    }

    /// Lets somebody connect.
    #[must_use]
    pub fn allow(mut self, allow: Allow) -> Self {
        self.allow.push(allow);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}
