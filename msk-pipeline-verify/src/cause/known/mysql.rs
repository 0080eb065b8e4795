//! Aurora MySQL, MySQL and MariaDB: grants, binary log, position.

use super::{Known, Layer, Rank, sign, told, within, without};
use crate::cause::evidence::Evidence;

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-MYSQL-GRANT-CLIENT",
        title: "user {user} may not read the binary log's position",
        layer: Layer::DatabaseRights,
        signs: &[
            sign(
                "Access denied; you need (at least one of) the SUPER, REPLICATION CLIENT privilege(s) for this operation",
            ),
            sign(
                "Access denied; you need (at least one of) the SUPER, BINLOG MONITOR privilege(s) for this operation",
            ),
            sign(
                "Access denied; you need (at least one of) the BINLOG MONITOR privilege(s) for this operation",
            ),
            sign(
                "Access denied; you need (at least one of) the REPLICATION CLIENT privilege(s) for this operation",
            ),
        ],
        meaning: "Login worked; SHOW MASTER STATUS and SHOW BINARY LOGS need a privilege that the user lacks. Debezium goes on trying, and nothing changes until it is granted.",
        fix: &["GRANT REPLICATION CLIENT ON *.* TO '{user}'@'%';"],
        source: "MySQL ER_SPECIFIC_ACCESS_DENIED_ERROR (1227), named BINLOG MONITOR by MariaDB 10.5 and newer; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-GRANT-SLAVE",
        title: "user {user} may not read the binary log",
        layer: Layer::DatabaseRights,
        signs: &[
            sign(
                "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation",
            ),
            sign(
                "Access denied; you need (at least one of) the SUPER, REPLICATION SLAVE privilege(s) for this operation",
            ),
        ],
        meaning: "The snapshot may have worked: streaming needs a privilege of its own. Debezium goes on trying, and nothing changes until it is granted.",
        fix: &["GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%';"],
        source: "MySQL ER_SPECIFIC_ACCESS_DENIED_ERROR (1227), by mysql-binlog-connector-java's ServerException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-GRANT-LOCK",
        title: "user {user} may not lock tables for the snapshot",
        layer: Layer::DatabaseRights,
        signs: &[
            sign(
                "User does not have the 'LOCK TABLES' privilege required to obtain a consistent snapshot",
            ),
            within("Access denied for user '{user}'@'{from}' to database", &["LOCK TABLES"]),
        ],
        meaning: "A consistent snapshot holds a lock for a moment. The global one (FLUSH TABLES WITH READ LOCK) is not to be had on Aurora, so Debezium locks the tables one by one, and needs LOCK TABLES.",
        fix: &[
            "GRANT LOCK TABLES ON *.* TO '{user}'@'%';",
            "Or snapshot without locks: `snapshot.locking.mode` = `none`, while no DDL runs.",
        ],
        source: "BinlogSnapshotChangeEventSource; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-GRANT-RELOAD",
        title: "user {user} may not flush",
        layer: Layer::DatabaseRights,
        signs: &[
            sign(
                "Access denied; you need (at least one of) the RELOAD privilege(s) for this operation",
            ),
            sign(
                "Access denied; you need (at least one of) the RELOAD or FLUSH_TABLES privilege(s) for this operation",
            ),
        ],
        meaning: "FLUSH TABLES at the beginning of a snapshot needs RELOAD.",
        fix: &["GRANT RELOAD ON *.* TO '{user}'@'%';"],
        source: "MySQL ER_SPECIFIC_ACCESS_DENIED_ERROR (1227); Debezium's documentation, \"Creating a user\"",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-GRANT-SELECT",
        title: "user {user} may not read {table}",
        layer: Layer::DatabaseRights,
        signs: &[
            sign("SELECT command denied to user '{user}'@'{from}' for table `{table}`.`{}`"),
            sign("SELECT command denied to user '{user}'@'{from}' for table '{table}'"),
            without(
                "Access denied for user '{user}'@'{from}' to database '{table}'",
                &["LOCK TABLES"],
            ),
        ],
        meaning: "Login worked, and the user has no SELECT where the connector reads.",
        fix: &[
            "GRANT SELECT ON *.* TO '{user}'@'%'; or on each captured schema and that of the signal table (here {table}).",
        ],
        source: "MySQL ER_TABLEACCESS_DENIED_ERROR (1142), ER_DBACCESS_DENIED_ERROR (1044)",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-BINLOG-OFF",
        title: "the database writes no binary log",
        layer: Layer::DatabaseSettings,
        signs: &[
            sign("Cannot read the binlog filename and position via"),
            sign("The MySQL server is not configured to use a binlog"),
            sign("You are not using binary logging"),
            sign("Binary log is not open"),
        ],
        meaning: "SHOW MASTER STATUS is empty: `log_bin` is off. On Aurora MySQL it is off as long as `binlog_format` is OFF in the *cluster* parameter group, and changes only with a restart of the writer.",
        fix: &[
            "In the cluster parameter group: binlog_format = ROW; then RebootDBInstance on the writer.",
            "SELECT @@log_bin; must tell 1.",
        ],
        source: "BinlogSnapshotChangeEventSource; MySQL ER_NO_BINARY_LOGGING (1381); recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-NOT-ROW",
        title: "binlog_format is not ROW",
        layer: Layer::DatabaseSettings,
        signs: &[
            sign("server is not configured to use a ROW binlog_format"),
            sign("The MySQL server is not configured to use a row-level binlog"),
        ],
        meaning: "With STATEMENT or MIXED the binary log has statements instead of rows: nothing that could become an event.",
        fix: &[
            "Aurora, RDS: binlog_format = ROW in the cluster parameter group, then RebootDBInstance on the writer. Elsewhere: SET GLOBAL binlog_format = 'ROW';",
            "Sessions that were open keep the old format: restart applications that hold connections.",
        ],
        source: "BinlogConnectorTask.validateBinlogConfiguration; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-NOT-FULL",
        title: "binlog_row_image is not FULL",
        layer: Layer::DatabaseSettings,
        signs: &[
            sign("server is not configured to use a FULL binlog_row_image"),
            sign("The MySQL server is not configured to use a full binlog_row_image"),
        ],
        meaning: "With MINIMAL or NOBLOB the binary log leaves columns out, and events would have holes.",
        fix: &[
            "binlog_row_image = FULL in the cluster parameter group (dynamic), or SET GLOBAL binlog_row_image = 'FULL';",
        ],
        source: "BinlogConnectorTask.validateBinlogConfiguration; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-PURGED",
        title: "the connector's position is no longer in the database's binary log",
        layer: Layer::Position,
        signs: &[
            sign(
                "The connector is trying to read binlog starting at {} but this is no longer available on the server",
            ),
            sign("Could not find first log file name in binary log index file"),
            sign("the master has purged binary logs containing GTIDs that the slave requires"),
            sign("the source purged required binary logs"),
            sign("Cannot replicate because the master purged required binary logs"),
        ],
        meaning: "The connector was away longer than the database keeps binary logs, or its offsets are of another server (a restored or replaced database numbers its logs anew). The changes in between are no longer there; going on needs a snapshot.",
        fix: &[
            "Begin a new generation of offsets and history, or set `snapshot.mode` to `when_needed` for one start: rows come again, deletions in the gap are not told.",
            "So that it doesn't happen again: CALL mysql.rds_set_configuration('binlog retention hours', 168);",
        ],
        source: "BinlogConnectorTask.validateAndLoadSchemaHistory; MySQL ER_MASTER_FATAL_ERROR_READING_BINLOG (1236); recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-OFFSETS-FOREIGN",
        title: "the connector's offsets are older than the database: they are of another one",
        layer: Layer::Position,
        fact: Some(super::config::foreign_offsets),
        explains: &["C-MYSQL-PURGED", "C-PG-SLOT-MISSING"],
        meaning: "The position isn't in the binary log, and the database was created after the connector. A restored or replaced database numbers its logs anew, so the offsets mean nothing to it.",
        fix: &[
            "Begin a new generation of offsets and history with a snapshot, and keep the old topics until it is done.",
        ],
        source: "creation times of database and connector, together with the error of a missing position",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-STOPPED",
        title: "the connector is RUNNING and no longer reads the binary log",
        layer: Layer::Position,
        signs: &[told("Stopped reading binlog after {events} events")],
        rank: Rank::State,
        given: Some(Evidence::runs),
        meaning: "The server ended the connection, and nothing opened it again: `connect.keep.alive` is `false`. The states say RUNNING, and no row arrives.",
        fix: &[
            "Restart the connector with its tasks (RestartConnector).",
            "Leave `connect.keep.alive` at its default, `true`.",
        ],
        source: "BinlogStreamingChangeEventSource's listener of the client's life cycle; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-MYSQL-SERVER-ID",
        title: "another replica uses the same server id, {database.server.id}",
        layer: Layer::Position,
        signs: &[
            sign("A slave with the same server_uuid/server_id is already connected"),
            sign(
                "A slave with the same server_uuid/server_id as this slave has connected to the master",
            ),
            sign(
                "A replica with the same server_uuid/server_id as this replica has connected to the source",
            ),
        ],
        lasts: true,
        meaning: "The server ends the older of two clients with one id, so the two throw each other out in turn. The other is a connector, a replica, or a second copy of this pipeline.",
        fix: &[
            "Give `database.server.id` a number that nothing else has: SHOW REPLICAS; (SHOW SLAVE HOSTS;) tells those that are connected.",
        ],
        source: "MySQL ER_MASTER_FATAL_ERROR_READING_BINLOG (1236), rpl_binlog_sender.cc; recorded",
        ..super::KNOWN
    },
];
