//! A session with a source of either engine, for statements whose answers are of no interest.

use mysql_async::prelude::Queryable;
use postgres_protocol::password::scram_sha_256;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::chain::{Database, mysql, postgres};
use crate::check::Check;
use crate::reach::Reach;
use crate::secret::Secret;

/// The engine of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Aurora MySQL, MySQL, MariaDB.
    MySql,
    /// Aurora PostgreSQL, PostgreSQL.
    Postgres,
}

/// A session that is open.
pub struct Session(Driver);

enum Driver {
    MySql(Box<mysql_async::Conn>),
    Postgres(postgres::Session),
}

/// A server's refusal of a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// The engine's code: an error number, or an SQLSTATE. Empty if the connection broke.
    pub code: String,
    /// The server's words.
    pub text: String,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// Why that can't be done, as a check.
    pub async fn open(engine: Engine, database: &Database, reach: &Reach) -> Result<Self, Check> {
        Ok(Self(match engine {
            Engine::MySql => Driver::MySql(Box::new(mysql::connect(database, reach).await?)),
            Engine::Postgres => Driver::Postgres(postgres::connect(database, reach).await?),
        }))
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn run(&mut self, statement: &str) -> Result<(), Refused> {
        match &mut self.0 {
            Driver::MySql(session) => session.query_drop(statement).await.map_err(|error| {
                let code = match &error {
                    mysql_async::Error::Server(server) => server.code.to_string(),
                    _ => String::new(),
                };
                Refused { code, text: error.to_string() }
            }),
            Driver::Postgres(session) => {
                session.client.batch_execute(statement).await.map_err(|error| {
                    match error.as_db_error() {
                        Some(server) => Refused {
                            code: server.code().code().to_owned(),
                            text: server.message().to_owned(),
                        },
                        None => Refused { code: String::new(), text: error.to_string() },
                    }
                })
            }
        }
    }

    /// Gives the user that is logged in another password, for which it needs no right. Sessions that are open stay open.
    ///
    /// # Errors
    /// The server's refusal, without the password.
    pub async fn set_own_password(&mut self, password: &Secret) -> Result<(), Refused> {
        let word = self.engine().literal(password.reveal());
        let done = match self.engine() {
            Engine::Postgres => {
                // A server may log statements: it gets what it would keep of the password, not the password.
                let verifier = scram_sha_256(password.reveal().as_bytes());
                let word = Engine::Postgres.literal(&verifier);
                self.run(&format!("ALTER ROLE CURRENT_USER PASSWORD {word}")).await
            }
            Engine::MySql => {
                let alter = format!("ALTER USER CURRENT_USER() IDENTIFIED BY {word}");
                match self.run(&alter).await {
                    // MariaDB wants the right to create users for it, but not for its own statement.
                    Err(Refused { code, .. }) if code == "1227" => {
                        self.run(&format!("SET PASSWORD = PASSWORD({word})")).await
                    }
                    done => done,
                }
            }
        };
        done.map_err(|refused| Refused {
            text: refused.text.replace(password.reveal(), "[hidden]"),
            ..refused
        })
    }

    /// Asks, by a row in the signal table, for the rows that tables have (handbook msk.md §8). The same id again is refused: it was asked already.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn ask_for_rows(
        &mut self,
        signal_table: &str,
        id: &str,
        tables: &[String],
    ) -> Result<(), Refused> {
        let engine = self.engine();
        let data = json!({ "data-collections": tables, "type": "incremental" }).to_string();
        let statement = format!(
            "INSERT INTO {} (id, type, data) VALUES ({}, 'execute-snapshot', {})",
            engine.full(signal_table),
            engine.literal(id),
            engine.literal(&data)
        );
        self.run(&statement).await
    }

    fn engine(&self) -> Engine {
        match self.0 {
            Driver::MySql(_) => Engine::MySql,
            Driver::Postgres(_) => Engine::Postgres,
        }
    }
}

impl Engine {
    /// A string literal, for a session in its engine's default mode.
    pub fn literal(self, text: &str) -> String {
        let text = text.replace('\'', "''");
        match self {
            Self::MySql => format!("'{}'", text.replace('\\', "\\\\")),
            Self::Postgres => format!("'{text}'"),
        }
    }

    /// An identifier.
    pub fn quoted(self, name: &str) -> String {
        let (quote, twice) = match self {
            Self::MySql => ('`', "``"),
            Self::Postgres => ('"', "\"\""),
        };
        format!("{quote}{}{quote}", name.replace(quote, twice))
    }

    /// `schema.table`, as identifiers.
    fn full(self, table: &str) -> String {
        table.split('.').map(|name| self.quoted(name)).collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_names_are_quoted_as_the_engine_reads_them() {
        assert_eq!(Engine::MySql.literal(r"it's \ so"), r"'it''s \\ so'");
        assert_eq!(Engine::Postgres.literal(r"it's \ so"), r"'it''s \ so'");
        assert_eq!(Engine::MySql.full("cdc.sig`nal"), "`cdc`.`sig``nal`");
        assert_eq!(Engine::Postgres.full("cdc.sig\"nal"), "\"cdc\".\"sig\"\"nal\"");
    }
}
