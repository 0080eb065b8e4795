//! What keeps a connector from its database, whichever it is: the way there, TLS, user and password.

use super::{Known, Layer, sign, warning, within, without};

/// Who complains: only exceptions of a database's driver, or of Debezium about it.
const DRIVERS: &[&str] = &[
    "com.mysql.cj.",
    "org.mariadb.jdbc.",
    "org.postgresql.",
    "jdbc:mysql:",
    "jdbc:mariadb:",
    "jdbc:postgresql:",
    "com.github.shyiko.mysql.binlog",
    "The connection attempt failed",
];

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-DB-AUTH",
        title: "the database refuses the password of user {user}",
        layer: Layer::DatabaseLogin,
        signs: &[
            sign("Access denied for user '{user}'@'{from}' (using password: YES)"),
            without(
                "Access denied for user '{user}'@'{from}'",
                &["(using password", "' to database"],
            ),
            sign("FATAL: password authentication failed for user \"{user}\""),
            sign("FATAL: role \"{user}\" does not exist"),
        ],
        meaning: "The server was reached and answered: this user, from this address, with this password, is unknown. It stays so until one of the two changes; Debezium goes on trying.",
        fix: &[
            "Compare the secret with the database: `mysql -h {database.hostname} -P {database.port} -u {user} -p` (psql for PostgreSQL) with the password in the secret.",
            "MySQL: ALTER USER '{user}'@'%' IDENTIFIED BY '<password in the secret>'; PostgreSQL: ALTER ROLE {user} PASSWORD '<password in the secret>';",
            "If the secret was rotated after the connector started, restart the connector: it reads the secret only then.",
            "MariaDB says the same of a connection without TLS while `require_secure_transport` is ON.",
        ],
        source: "MySQL ER_ACCESS_DENIED_ERROR (1045), and 1698 where a user has no password that could be tried; PostgreSQL auth.c auth_failed; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-ROTATED",
        title: "the password of {user} was changed after the connector had read it",
        layer: Layer::DatabaseLogin,
        fact: Some(super::config::rotated),
        explains: &["C-DB-AUTH"],
        meaning: "The secret's value is newer than the connector's last start. A connector reads its secret when it starts, so it still logs in with the old password.",
        fix: &[
            "Restart the connector with its tasks (RestartConnector), which reads the secret again.",
        ],
        source: "KIP-297: config providers are asked when a configuration is resolved; `config.action.reload=none` keeps it so",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-NO-PASSWORD",
        title: "the database was asked without a password for user {user}",
        layer: Layer::DatabaseLogin,
        signs: &[
            sign("Access denied for user '{user}'@'{from}' (using password: NO)"),
            sign("The server requested SCRAM-based authentication, but no password was provided"),
            sign(
                "The server requested password-based authentication, but no password was provided",
            ),
        ],
        meaning: "`database.password` is empty. With a config provider this is what a secret, or a key in it, that doesn't exist looks like: it is taken for an empty text unless NotFoundStrategy is `fail`.",
        fix: &[
            "See that the secret exists and has the key that the placeholder in `database.password` names.",
            "In the worker configuration: config.providers.<name>.param.NotFoundStrategy=fail",
        ],
        source: "MySQL ER_ACCESS_DENIED_ERROR; pgjdbc ConnectionFactoryImpl; aws-samples/msk-config-providers SecretsManagerConfigProvider.handleNotFoundByStrategy; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-HOST",
        title: "the name of the database's host, {host}, has no address",
        layer: Layer::DatabaseNetwork,
        signs: &[
            within("java.net.UnknownHostException: {host}", DRIVERS),
            // The JDK's words where names come from a file, as behind the embedded AWS.
            within(
                "java.net.UnknownHostException: Unable to resolve host {host} in hosts file",
                DRIVERS,
            ),
        ],
        heals: true,
        meaning: "The worker's resolver doesn't know the name: a typing error, a database that is gone, or a VPC whose DHCP options name a resolver that can't be reached.",
        fix: &[
            "Set `database.hostname` to the cluster's writer endpoint (DescribeDBClusters, Endpoint).",
            "If the name is right: the VPC needs enableDnsSupport, and the resolvers in its DHCP option set must answer in the connector's subnets.",
        ],
        source: "java.net.UnknownHostException under Connector/J's CommunicationsException and pgjdbc's PSQLException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-REFUSED",
        title: "nothing listens at the database's port",
        layer: Layer::DatabaseNetwork,
        signs: &[
            within("java.net.ConnectException: Connection refused", DRIVERS),
            sign(
                "PSQLException: Connection to {host} refused. Check that the hostname and port are correct",
            ),
        ],
        heals: true,
        meaning: "The host answered, and refused: the port is wrong, or the database is stopped or restarting. A security group doesn't refuse; it lets nothing through, which is a timeout.",
        fix: &[
            "Compare `database.port` ({database.port}) with the cluster's port (DescribeDBClusters, Port).",
            "See that the instance is `available` (DescribeDBInstances).",
        ],
        source: "java.net.ConnectException under Connector/J's CommunicationsException; pgjdbc ConnectionFactoryImpl; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-TIMEOUT",
        title: "the database does not answer: no rule or no route lets the connector through",
        layer: Layer::DatabaseNetwork,
        signs: &[
            within("java.net.SocketTimeoutException: Connect timed out", DRIVERS),
            within("java.net.SocketTimeoutException: connect timed out", DRIVERS),
            within("java.net.ConnectException: Connection timed out", DRIVERS),
            within("java.net.NoRouteToHostException", DRIVERS),
            within(
                "java.util.concurrent.TimeoutException",
                &["BinaryLogClient was unable to connect"],
            ),
        ],
        heals: true,
        meaning: "The name has an address, and no packet came back. Nearly always a security group: the database's group has no inbound rule for the connector's group, or the connector's has no outbound rule.",
        fix: &[
            "On the database's security group: inbound TCP {database.port} from the connector's security group.",
            "On the connector's security group: outbound TCP {database.port} to the database's.",
            "Then network ACLs of both subnets, and a route where they are in different VPCs.",
        ],
        source: "java.net.SocketTimeoutException under Connector/J's CommunicationsException and pgjdbc's PSQLException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-TLS-REQUIRED",
        title: "the database takes connections with TLS only",
        layer: Layer::DatabaseLogin,
        signs: &[sign(
            "Connections using insecure transport are prohibited while --require_secure_transport=ON",
        )],
        meaning: "The server was reached and refuses plain connections: `require_secure_transport` is ON.",
        fix: &["Set `database.ssl.mode` to `required`."],
        source: "MySQL ER_SECURE_TRANSPORT_REQUIRED (3159); recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-TLS-TRUST",
        title: "the database's certificate is not trusted",
        layer: Layer::DatabaseLogin,
        signs: &[
            within("PKIX path building failed", DRIVERS),
            within("PKIX path validation failed", DRIVERS),
            within("javax.net.ssl.SSLHandshakeException", DRIVERS),
        ],
        meaning: "TLS began and ended at the certificate: `verify_ca` and stricter modes need RDS's authority in a trust store, which the workers don't have by default.",
        fix: &[
            "Put RDS's certificate bundle as a JKS into the plugin and name it in `database.ssl.truststore`; or set `database.ssl.mode` to `required`, which encrypts without checking the name.",
        ],
        source: "sun.security.validator.ValidatorException under Connector/J and pgjdbc",
        ..super::KNOWN
    },
    Known {
        code: "C-NO-TABLES",
        title: "user {user} sees none of the tables to capture",
        layer: Layer::DatabaseRights,
        signs: &[warning(
            "After applying the include/exclude list filters, no changes will be captured",
        )],
        lasts: true,
        meaning: "A user sees only tables on which it has a right. Either SELECT is missing on the captured schemas, or `table.include.list` ({table.include.list}) names no table that exists; names are `schema.table`, and case counts. The connector stays RUNNING, and no row arrives.",
        fix: &[
            "MySQL: GRANT SELECT ON *.* TO '{user}'@'%'; (or on each captured schema). PostgreSQL: GRANT USAGE ON SCHEMA <schema> TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA <schema> TO {user};",
            "Compare `table.include.list` with what the capture user sees (SHOW TABLES; \\dt), then restart the connector.",
        ],
        source: "RelationalDatabaseSchema.assureNonEmptySchema; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-DB-CONNECTIONS",
        title: "the database has no connection left",
        layer: Layer::DatabaseLogin,
        signs: &[
            within("Too many connections", DRIVERS),
            sign("FATAL: sorry, too many clients already"),
            sign("FATAL: remaining connection slots are reserved"),
            sign("number of requested standby connections exceeds max_wal_senders"),
        ],
        heals: true,
        meaning: "The server was reached and is full. A connector holds two to four connections; usually an application's pool took the rest.",
        fix: &[
            "Find who holds them (SHOW PROCESSLIST; SELECT * FROM pg_stat_activity), then raise `max_connections` (`max_wal_senders`) or close pools.",
        ],
        source: "MySQL ER_CON_COUNT_ERROR (1040); PostgreSQL proc.c, walsender.c",
        ..super::KNOWN
    },
];
