//! The engines of Aurora that changes are captured from, and all in which they differ as databases.

use msk_pipeline_verify::session::Engine as Protocol;
use serde::{Deserialize, Serialize};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Engine {
    /// Aurora MySQL: changes are read from its binary log.
    #[default]
    #[serde(rename = "aurora-mysql")]
    MySql,
    /// Aurora PostgreSQL: changes are read from a logical replication slot.
    #[serde(rename = "aurora-postgresql")]
    PostgreSql,
}

/// What is fixed for an engine.
struct Facts {
    name: &'static str,
    title: &'static str,
    version: &'static str,
    port: u16,
    master_user: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    logs: &'static [&'static str],
    no_reader: &'static str,
    since: &'static str,
}

/// Versions: handbook aws.md §4.5. Parameters: §4.9. Logs: service model, `CreateDBCluster.EnableCloudwatchLogsExports`.
const MYSQL: Facts = Facts {
    name: "aurora-mysql",
    title: "Aurora MySQL",
    version: "8.0.mysql_aurora.3.10.4",
    port: 3306,
    master_user: "admin",
    parameters: &[("binlog_format", "ROW"), ("binlog_row_image", "FULL")],
    logs: &["audit", "error", "general", "slowquery", "instance", "iam-db-auth-error"],
    no_reader: "a reader has no binary logs",
    since: "Aurora MySQL version 3 and later",
};

/// Versions: doc 'Using an Aurora PostgreSQL long-term support (LTS) release' names 16.8 and 17.7; Debezium 2.7 supports `PostgreSQL` up to 16.
/// Parameters: handbook aws.md §4.10. `admin` is reserved by the engine.
const POSTGRESQL: Facts = Facts {
    name: "aurora-postgresql",
    title: "Aurora PostgreSQL",
    version: "16.8",
    port: 5432,
    master_user: "postgres",
    parameters: &[("rds.logical_replication", "1")],
    logs: &["postgresql", "instance", "iam-db-auth-error"],
    no_reader: "a reader has no replication slots",
    since: "Aurora PostgreSQL",
};

impl Engine {
    /// Every engine's name.
    pub(super) const NAMES: &'static [&'static str] = &[MYSQL.name, POSTGRESQL.name];
    /// Every log that an engine can send to CloudWatch.
    pub(super) const LOGS: &'static [&'static str] =
        &["audit", "error", "general", "slowquery", "instance", "iam-db-auth-error", "postgresql"];

    const fn facts(self) -> &'static Facts {
        match self {
            Self::MySql => &MYSQL,
            Self::PostgreSql => &POSTGRESQL,
        }
    }

    /// The engine of this name, as RDS writes it.
    pub fn named(name: &str) -> Option<Self> {
        [Self::MySql, Self::PostgreSql].into_iter().find(|engine| engine.name() == name)
    }

    /// As RDS writes it: `aurora-mysql`.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// What its servers speak.
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::MySql => Protocol::MySql,
            Self::PostgreSql => Protocol::Postgres,
        }
    }

    /// As people write it: `Aurora MySQL`.
    pub const fn title(self) -> &'static str {
        self.facts().title
    }

    /// The newest version with long-term support that Debezium 2.7 supports.
    pub const fn version(self) -> &'static str {
        self.facts().version
    }

    /// The port on which it usually listens.
    pub const fn port(self) -> u16 {
        self.facts().port
    }

    /// The usual master user.
    pub const fn master_user(self) -> &'static str {
        self.facts().master_user
    }

    /// Parameters of the cluster's group that capturing changes depends on.
    pub(super) const fn parameters(self) -> &'static [(&'static str, &'static str)] {
        self.facts().parameters
    }

    /// Logs that it can send to CloudWatch.
    pub(super) const fn logs(self) -> &'static [&'static str] {
        self.facts().logs
    }

    /// Why nothing is captured from a reader.
    pub(super) const fn no_reader(self) -> &'static str {
        self.facts().no_reader
    }

    /// The versions for which RDS has dropped the oldest and smallest instance classes.
    pub(super) const fn since(self) -> &'static str {
        self.facts().since
    }

    /// A version as the API writes it: of `3.10.4` and `8.4.7` the whole, of PostgreSQL as it is.
    pub(super) fn full_version(self, version: &str) -> String {
        let mysql = |major: &str| format!("{major}.mysql_aurora.{version}");
        match self {
            Self::MySql if version.contains("mysql_aurora") => version.to_owned(),
            Self::MySql if version.starts_with("3.") => mysql("8.0"),
            Self::MySql if version.starts_with("2.") => mysql("5.7"),
            Self::MySql if version.starts_with("8.4.") => mysql("8.4"),
            _ => version.to_owned(),
        }
    }

    /// The family of parameter groups for a full version, `aurora-mysql8.0`.
    pub(super) fn family(self, version: &str) -> String {
        format!("{}{}", self.name(), self.major(version))
    }

    /// What the names of parameter groups say of their family, `mysql8-0`: another family is another group.
    pub(super) fn short_family(self, version: &str) -> String {
        let family = self.family(version).replace('.', "-");
        family.strip_prefix("aurora-").unwrap_or(&family).to_owned()
    }

    /// MySQL's major versions have two numbers, PostgreSQL's one.
    fn major(self, version: &str) -> String {
        let numbers = match self {
            Self::MySql => 2,
            Self::PostgreSql => 1,
        };
        version.split('.').take(numbers).collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_families_are_as_rds_writes_them() {
        let full = |engine: Engine, version: &str| {
            let full = engine.full_version(version);
            (engine.family(&full), engine.short_family(&full), full)
        };
        let of = |family: &str, short: &str, full: &str| {
            (family.to_owned(), short.to_owned(), full.to_owned())
        };
        let mysql = of("aurora-mysql8.0", "mysql8-0", "8.0.mysql_aurora.3.10.4");
        assert_eq!(full(Engine::MySql, "3.10.4"), mysql);
        assert_eq!(full(Engine::MySql, "8.0.mysql_aurora.3.10.4"), mysql);
        let newest = of("aurora-mysql8.4", "mysql8-4", "8.4.mysql_aurora.8.4.7");
        assert_eq!(full(Engine::MySql, "8.4.7"), newest);
        let postgresql = of("aurora-postgresql16", "postgresql16", "16.8");
        assert_eq!(full(Engine::PostgreSql, "16.8"), postgresql);
    }

    #[test]
    fn each_name_and_log_is_listed() {
        for engine in [Engine::MySql, Engine::PostgreSql] {
            assert_eq!(Engine::named(engine.name()), Some(engine));
            assert!(Engine::NAMES.contains(&engine.name()));
            assert!(engine.logs().iter().all(|log| Engine::LOGS.contains(log)));
        }
        assert_eq!(Engine::named("mysql"), None);
    }
}
