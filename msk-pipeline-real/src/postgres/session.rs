//! Sessions of the superuser.

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::place::Place;
use super::{ADMINISTRATOR, ALWAYS};
use crate::error::{Error, Result};

/// Opens a session in the database `postgres`, over the server's own socket.
pub(super) async fn open(place: &Place) -> Result<Client> {
    let connected = tokio_postgres::Config::new()
        .host_path(&place.socket)
        .port(place.port)
        .user(ADMINISTRATOR)
        .dbname(ALWAYS)
        .application_name(ADMINISTRATOR)
        .connect(NoTls)
        .await;
    let (client, connection) = connected.map_err(refused)?;
    // It ends with the client; what ends it earlier is told by the next statement.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// Runs statements; rows come back tab-separated without a header.
pub(super) async fn rows(client: &Client, statements: &str) -> Result<String> {
    let messages = client.simple_query(statements).await.map_err(refused)?;
    let mut out = String::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let cells = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL"));
            out += &(cells.collect::<Vec<_>>().join("\t") + "\n");
        }
    }
    Ok(out)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: tokio_postgres::Error) -> Error {
    // The server's words and never the statement.
    let message = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
    Error::Sql { server: "PostgreSQL", message }
}
