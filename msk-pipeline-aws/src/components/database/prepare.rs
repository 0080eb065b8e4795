//! What only a person with the master password can do in a database: the statements, in full.

mod postgresql;

use msk_pipeline_core::dsl::{Expansion, Notice};

use super::{Connector, Database, Engine};

/// The statements for the capture user, binlog retention and the signal table, and how to verify them.
///
/// Grants: handbook aws.md §4.9. Signal table: handbook msk.md §8.
fn statements(database: &Database, secret: &str) -> String {
    let (user, hours) = (database.capture_user(), database.binlog_hours());
    let signal = database.signal_table();
    let (schema, table) = signal.split_once('.').unwrap_or(("cdc", signal));
    let columns = super::direct::SIGNAL_COLUMNS;
    let password = format!("<password from secret {secret}>");
    format!(
        "-- Run as the master user on the cluster's writer endpoint. The password:
--   aws secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text
CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';
ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';
GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO '{user}'@'%';
CALL mysql.rds_set_configuration('binlog retention hours', {hours});
CREATE DATABASE IF NOT EXISTS `{schema}`;
CREATE TABLE IF NOT EXISTS `{schema}`.`{table}` (
  {columns}
);
GRANT INSERT, DELETE ON `{schema}`.`{table}` TO '{user}'@'%';
-- To verify: the grants above, binlog retention hours = {hours}, ROW and FULL, and a file name.
SHOW GRANTS FOR '{user}'@'%';
CALL mysql.rds_show_configuration;
SHOW VARIABLES WHERE Variable_name IN ('binlog_format', 'binlog_row_image');
SHOW BINARY LOGS;
"
    )
}

pub(super) fn notices(database: &Database, name: &str, secret: &str, cx: &mut Expansion<'_>) {
    let about = format!("database.{name}");
    if !database.is_prepared() {
        cx.notice(Notice {
            about: about.clone(),
            title: format!(
                "Create the capture user `{}` in the database, {}.",
                database.capture_user(),
                match database.engine() {
                    Engine::MySql => "keep its binary logs, and create the signal table",
                    Engine::PostgreSql =>
                        "the tool's own tables, and a publication and a slot for each connector",
                }
            ),
            body: match database.engine() {
                Engine::MySql => statements(database, secret),
                Engine::PostgreSql => postgresql::statements(database, name, secret, cx),
            },
        });
    }
    let Some(existing) = &database.existing else { return };
    let connectors = cx.all::<Connector>().into_iter().filter(|(_, c)| c.source == name);
    let port = database.port_or_default();
    let lines: Vec<String> = connectors
        .map(|(connector, _)| {
            format!(
                "# from the security group of connector.{connector} (its id: `connector.{connector}.group`)\n\
                 aws ec2 authorize-security-group-ingress --group-id <group of {existing}> --protocol tcp \
                 --port {port} --source-group <group of connector.{connector}>\n"
            )
        })
        .collect();
    if !lines.is_empty() {
        cx.notice(Notice {
            about,
            title: format!(
                "Let the connectors reach `{existing}`, whose security group is never changed here."
            ),
            body: lines.concat(),
        });
    }
}
