//! What a connector is configured with, and runs into: its secret, its database, the user's grants, the database's settings, its topics.

use serde_json::{Value, json};

use crate::clients::{Held, Silent};
use crate::failure::Failure;
use crate::lane::Lane;
use crate::stage::{Database, Stage, both};

/// What the capture user needs, as the guide has it.
const GRANTS: &[&str] = &[
    "SELECT",
    "RELOAD",
    "SHOW DATABASES",
    "REPLICATION SLAVE",
    "REPLICATION CLIENT",
    "LOCK TABLES",
];

/// Tables, the capture user, users who lack one thing or another, and their secrets.
pub(crate) fn prepare(stage: &Stage) {
    for database in [&stage.orders, &stage.other] {
        stage.sql(
            database,
            "CREATE TABLE shop.orders (id INT PRIMARY KEY, note LONGTEXT);
             INSERT INTO shop.orders VALUES (1, 'a row')",
        );
        user(stage, database, "debezium", &[]);
    }
    user(stage, &stage.orders, "no_slave", &["REPLICATION SLAVE"]);
    user(stage, &stage.orders, "no_client", &["REPLICATION CLIENT"]);
    user(stage, &stage.orders, "no_lock", &["RELOAD", "LOCK TABLES"]);
    user(stage, &stage.orders, "no_reload", &["RELOAD"]);
    user(stage, &stage.orders, "no_select", &["SELECT"]);
    let secret = |name: &str, password: &str| {
        let value = json!({ "username": "debezium", "password": password });
        stage.account.secret(name, &value);
    };
    secret("cdc/orders", "secret");
    secret("cdc/wrong", "another one");
    secret("cdc/empty", "");
}

fn user(stage: &Stage, database: &Database, name: &str, without: &[&str]) {
    let grants: Vec<&str> = GRANTS.iter().copied().filter(|g| !without.contains(g)).collect();
    stage.sql(
        database,
        &format!(
            "CREATE USER {name}@'%' IDENTIFIED BY 'secret'; GRANT {} ON *.* TO {name}@'%'",
            grants.join(", ")
        ),
    );
}

pub(crate) fn with(mut configuration: Value, pairs: &[(&str, &str)]) -> Value {
    for (key, value) in pairs {
        configuration[*key] = (*value).into();
    }
    configuration
}

fn without(mut configuration: Value, key: &str) -> Value {
    configuration.as_object_mut().expect("an object").remove(key);
    configuration
}

/// What Debezium's own look at a configuration finds: Connect refuses it.
pub(crate) fn configuration(lane: &Lane<'_>) {
    let good = lane.good.clone();
    let refuses = |failure: &Failure, configuration: Value| lane.refuses(failure, &configuration);
    refuses(
        &Failure::new(
            "wrong password in the secret",
            "a secret with another password than the user's",
            "C-DB-AUTH",
            "Access denied for user",
        ),
        with(good.clone(), &[("database.password", "${secretsmanager:cdc/wrong:password}")]),
    );
    refuses(
        &Failure::new(
            "empty password in the secret",
            "a secret whose password is an empty text",
            "C-DB-NO-PASSWORD",
            "Access denied for user",
        ),
        with(good.clone(), &[("database.password", "${secretsmanager:cdc/empty:password}")]),
    );
    refuses(
        &Failure::new(
            "undeclared provider",
            "a placeholder of a provider that the worker configuration doesn't declare",
            "C-SECRET-PLACEHOLDER",
            "Access denied for user",
        ),
        with(good.clone(), &[("database.user", "${vault:cdc/orders:username}")]),
    );
    refuses(
        &Failure::new(
            "unknown host",
            "`database.hostname` without an address",
            "C-DB-HOST",
            "UnknownHostException",
        ),
        with(good.clone(), &[("database.hostname", "orders-db.invalid")]),
    );
    refuses(
        &Failure::new(
            "refused port",
            "a host where nothing listens at `database.port`",
            "C-DB-REFUSED",
            "Connection refused",
        ),
        with(good.clone(), &[("database.hostname", "127.0.0.1"), ("database.port", "9")]),
    );
    let silent = Silent::new();
    let port = silent.address.port().to_string();
    refuses(
        &Failure::new(
            "database that doesn't answer",
            "a port that takes no further connection and refuses none",
            "C-DB-TIMEOUT",
            "onnect timed out",
        ),
        with(
            good.clone(),
            &[
                ("database.hostname", "127.0.0.1"),
                ("database.port", &port),
                ("connect.timeout.ms", "2000"),
            ],
        ),
    );
    drop(silent);
    refuses(
        &Failure::new(
            "misspelt connector class",
            "`connector.class` = io.debezium.connector.mysql.MySQLConnector",
            "C-PLUGIN-CONNECTOR",
            "Failed to find any class that implements Connector",
        ),
        with(good.clone(), &[("connector.class", "io.debezium.connector.mysql.MySQLConnector")]),
    );
    // Of these the log says nothing but the answer's 400.
    let answered = |failure: &Failure, configuration: Value| {
        lane.is_answered(failure, &configuration);
    };
    answered(
        &Failure::new(
            "missing converter class",
            "`value.converter` that the plugin doesn't have",
            "C-PLUGIN-CLASS",
            "",
        ),
        with(good.clone(), &[("value.converter", "io.confluent.connect.avro.AvroConverter")]),
    );
    answered(
        &Failure::new("missing key", "no `topic.prefix`", "C-CONFIG-MISSING", ""),
        without(good.clone(), "topic.prefix"),
    );
    answered(
        &Failure::new(
            "value that a key can't have",
            "`snapshot.mode` = sometimes",
            "C-CONFIG-VALUE",
            "",
        ),
        with(good, &[("snapshot.mode", "sometimes")]),
    );
}

/// The way and the login to the database, TLS and rights.
pub(crate) fn database(lane: &mut Lane<'_>, stranger: &str) {
    let stage = lane.stage;
    let good = lane.good.clone();
    lane.refuses(
        &Failure::new(
            "wrong trust store for the database",
            "`database.ssl.mode` = verify_ca with another authority's certificate",
            "C-DB-TLS-TRUST",
            "javax.net.ssl.SSLHandshakeException",
        ),
        &with(
            good.clone(),
            &[
                ("database.ssl.mode", "verify_ca"),
                ("database.ssl.truststore", stranger),
                ("database.ssl.truststore.password", msk_pipeline_real::TRUST_PASSWORD),
            ],
        ),
    );
    stage.administer(&stage.other, "SET GLOBAL max_connections = 10");
    let held = Held::new(stage);
    lane.refuses(
        &Failure::new(
            "too many database connections",
            "other clients hold `max_connections`",
            "C-DB-CONNECTIONS",
            "Too many connections",
        ),
        &with(good, &[("database.hostname", &stage.other.endpoint)]),
    );
    drop(held);
    stage.administer(&stage.other, "SET GLOBAL max_connections = 151");
    for (user, failure) in [
        (
            "no_slave",
            Failure::new(
                "user without REPLICATION SLAVE",
                "a capture user without the grant",
                "C-MYSQL-GRANT-SLAVE",
                "REPLICATION SLAVE privilege(s)",
            ),
        ),
        (
            "no_client",
            Failure::new(
                "user without REPLICATION CLIENT",
                "a capture user without the grant",
                "C-MYSQL-GRANT-CLIENT",
                "BINLOG MONITOR privilege(s)",
            ),
        ),
        (
            "no_lock",
            Failure::new(
                "user without LOCK TABLES",
                "a capture user without RELOAD and LOCK TABLES",
                "C-MYSQL-GRANT-LOCK",
                "LOCK TABLES",
            ),
        ),
        (
            "no_reload",
            Failure::new(
                "user without RELOAD",
                "a capture user with LOCK TABLES and without RELOAD",
                "C-MYSQL-GRANT-RELOAD",
                "the RELOAD",
            ),
        ),
        (
            "no_select",
            Failure::new(
                "user without SELECT",
                "a capture user without SELECT on the captured table",
                "C-NO-TABLES",
                "no changes will be captured",
            )
            .likely(),
        ),
    ] {
        let configuration = with(lane.fresh(), &[("database.user", user)]);
        lane.refuses(&failure, &configuration);
    }
}

/// Settings of the database, which are its cluster parameter group's.
pub(crate) fn settings(lane: &mut Lane<'_>) {
    let stage = lane.stage;
    for (parameter, value, failure) in [
        (
            "binlog_row_image",
            "minimal",
            Failure::new(
                "row image not FULL",
                "`binlog_row_image` = minimal in the parameter group, and a reboot",
                "C-MYSQL-NOT-FULL",
                "binlog_row_image",
            ),
        ),
        (
            "binlog_format",
            "STATEMENT",
            Failure::new(
                "binary log not in rows",
                "`binlog_format` = STATEMENT in the parameter group, and a reboot",
                "C-MYSQL-NOT-ROW",
                "binlog_format",
            ),
        ),
        (
            "binlog_format",
            "OFF",
            Failure::new(
                "binary log off",
                "`binlog_format` = OFF in the parameter group, and a reboot",
                "C-MYSQL-NOT-ROW",
                "binlog_format",
            ),
        ),
    ] {
        stage.parameters(&stage.other, &[(parameter, value, "pending-reboot")]);
        stage.reboot(&stage.other);
        let configuration = with(lane.fresh(), &[("database.hostname", &stage.other.endpoint)]);
        lane.refuses(&failure, &configuration);
        if parameter == "binlog_row_image" {
            stage.parameters(&stage.other, &[(parameter, "full", "pending-reboot")]);
        }
    }
    stage.administer(&stage.other, "SET GLOBAL binlog_format = 'ROW'");
    let configuration = with(lane.fresh(), &[("database.hostname", &stage.other.endpoint)]);
    lane.refuses(
        &Failure::new(
            "binary log off, and its format ROW",
            "the same, and SET GLOBAL binlog_format = 'ROW'",
            "C-MYSQL-BINLOG-OFF",
            "Cannot read the binlog filename and position",
        ),
        &configuration,
    );
}

/// Brokers and topics, as the connector's configuration has them.
pub(crate) fn kafka(lane: &mut Lane<'_>, stranger: &str) {
    let configuration = with(lane.fresh(), &[("topic.creation.default.replication.factor", "4")]);
    lane.refuses(
        &Failure::new(
            "replication factor over broker count",
            "`topic.creation.default.replication.factor` = 4 with three brokers",
            "C-KAFKA-REPLICATION",
            "InvalidReplicationFactorException",
        ),
        &configuration,
    );
    let mut configuration = lane.fresh();
    both(&mut configuration, "sasl.mechanism", "SCRAM-SHA-512");
    both(
        &mut configuration,
        "sasl.jaas.config",
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"a\" password=\"b\";",
    );
    for side in ["producer", "consumer"] {
        let key = format!("schema.history.internal.{side}.sasl.client.callback.handler.class");
        configuration = without(configuration, &key);
    }
    lane.refuses(
        &Failure::new(
            "wrong SASL mechanism",
            "SCRAM for the schema history at the IAM port",
            "C-KAFKA-MECHANISM",
            "Client SASL mechanism",
        ),
        &configuration,
    );
    let mut configuration = lane.fresh();
    both(&mut configuration, "ssl.truststore.location", stranger);
    both(&mut configuration, "ssl.truststore.password", msk_pipeline_real::TRUST_PASSWORD);
    lane.refuses(
        &Failure::new(
            "wrong trust store for the brokers",
            "another authority's certificate for the schema history",
            "C-KAFKA-TRUST",
            "PKIX path",
        ),
        &configuration,
    );
    let configuration = with(
        lane.fresh(),
        &[("schema.history.internal.kafka.bootstrap.servers", "b-1.orders.invalid:9098")],
    );
    lane.refuses(
        &Failure::new(
            "unknown broker",
            "bootstrap servers without an address for the schema history",
            "C-KAFKA-HOST",
            "b-1.orders.invalid",
        ),
        &configuration,
    );
}
