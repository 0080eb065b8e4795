//! Aurora PostgreSQL and PostgreSQL: access, WAL level, slot, publication.

use super::{HAD_OFFSET, Known, Layer, Sign, sign, told, warning};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-PG-HBA",
        title: "pg_hba.conf lets user {user} not in from {from}",
        layer: Layer::DatabaseLogin,
        signs: &[
            sign(
                "pg_hba.conf rejects connection for host \"{from}\", user \"{user}\", database \"{database}\"",
            ),
            sign("pg_hba.conf rejects replication connection for host \"{from}\", user \"{user}\""),
            sign(
                "no pg_hba.conf entry for replication connection from host \"{from}\", user \"{user}\"",
            ),
            sign(
                "no pg_hba.conf entry for host \"{from}\", user \"{user}\", database \"{database}\"",
            ),
        ],
        meaning: "The server was reached and has no line that lets this user, from this address, into this database. Replication is a database of its own in that file.",
        fix: &[
            "Elsewhere than on RDS: `host {database.dbname} {user} {from}/32 scram-sha-256` and `host replication {user} {from}/32 scram-sha-256`, then SELECT pg_reload_conf();",
            "On RDS and Aurora the file isn't yours: with `no encryption` in the text it means that TLS is required (rds.force_ssl, on from version 15 of RDS and 17 of Aurora): set `database.sslmode` to `require`. Otherwise the role lacks rds_replication.",
        ],
        source: "PostgreSQL auth.c, ClientAuthentication; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-DATABASE",
        title: "there is no database {database}",
        layer: Layer::Configuration,
        signs: &[sign("FATAL: database \"{database}\" does not exist")],
        meaning: "Login worked; `database.dbname` names nothing. Names are case-sensitive.",
        fix: &["Set `database.dbname` to one of: SELECT datname FROM pg_database;"],
        source: "PostgreSQL postinit.c, InitPostgres; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-WAL-LEVEL",
        title: "wal_level is {level}, and must be logical",
        layer: Layer::DatabaseSettings,
        signs: &[
            sign("Postgres server wal_level property must be 'logical' but is: '{level}'"),
            sign("logical decoding requires wal_level >= logical"),
        ],
        meaning: "Without it the write-ahead log doesn't have what logical replication needs.",
        fix: &[
            "Aurora, RDS: rds.logical_replication = 1 in the cluster parameter group, then reboot the writer. Elsewhere: ALTER SYSTEM SET wal_level = logical; and a restart.",
        ],
        source: "PostgresConnectorTask, checkWalLevel; PostgreSQL logical.c; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-REPLICATION",
        title: "role {user} may not replicate",
        layer: Layer::DatabaseRights,
        signs: &[
            sign("Postgres roles LOGIN and REPLICATION are not assigned to user: {user}"),
            sign("permission denied to start WAL sender"),
            sign("must be superuser or replication role to start walsender"),
            sign("must be superuser or replication role to use replication slots"),
            sign("permission denied to use replication slots"),
            sign("permission denied to create replication slot"),
        ],
        meaning: "Login worked; a replication connection needs an attribute of the role.",
        fix: &[
            "Aurora, RDS: GRANT rds_replication TO {user}; Elsewhere: ALTER ROLE {user} REPLICATION;",
        ],
        source: "PostgresConnector.checkLoginReplicationRoles; PostgreSQL postinit.c, slot.c; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-GRANT-SELECT",
        title: "role {user} may not read {table}",
        layer: Layer::DatabaseRights,
        signs: &[
            sign("permission denied for table {table}"),
            sign("permission denied for relation {table}"),
            sign("permission denied for schema {table}"),
        ],
        meaning: "The snapshot reads the captured tables, and needs USAGE on their schemas.",
        fix: &["GRANT USAGE ON SCHEMA <schema> TO {user}; GRANT SELECT ON {table} TO {user};"],
        source: "PostgreSQL aclchk.c, aclcheck_error; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-PUBLICATION",
        title: "there is no publication {publication.name}",
        layer: Layer::DatabaseSettings,
        signs: &[
            sign(
                "Publication autocreation is disabled, please create one and restart the connector",
            ),
            sign("publication \"{publication}\" does not exist"),
        ],
        meaning: "pgoutput sends what a publication holds. `publication.autocreate.mode` is `disabled`, so the connector makes none, as it should when the role isn't the tables' owner.",
        fix: &[
            "As the tables' owner: CREATE PUBLICATION {publication.name} FOR TABLE {table.include.list};",
            "Then restart the connector.",
        ],
        source: "PostgresReplicationConnection.initPublication; PostgreSQL pgoutput.c; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-PUBLICATION-RIGHTS",
        title: "role {user} may not make or change the publication",
        layer: Layer::DatabaseRights,
        signs: &[
            sign("must be owner of table {table}"),
            sign("must be superuser to create FOR ALL TABLES publication"),
            sign("permission denied for database {database}"),
            sign("must be owner of publication"),
        ],
        meaning: "Only a table's owner may put it into a publication, only a superuser all of them. The capture user should be neither.",
        fix: &[
            "As the tables' owner: CREATE PUBLICATION {publication.name} FOR TABLE {table.include.list};",
            "Set `publication.autocreate.mode` to `disabled`.",
        ],
        source: "PostgreSQL publicationcmds.c; PostgresReplicationConnection.initPublication; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-SLOT-ACTIVE",
        title: "replication slot {slot} is in use",
        layer: Layer::Position,
        signs: &[
            sign("replication slot \"{slot}\" is active for PID {pid}"),
            sign("replication slot \"{slot}\" is active"),
        ],
        meaning: "A slot serves one client. Another connector has the same `slot.name`, or the connector's own last connection hasn't ended yet (`wal_sender_timeout`).",
        fix: &[
            "SELECT pid, application_name, client_addr, backend_start FROM pg_stat_replication; tells who holds it.",
            "If it is another connector: give this one its own `slot.name`. If it is a leftover: SELECT pg_terminate_backend({pid});",
        ],
        source: "PostgreSQL slot.c, ReplicationSlotAcquire; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-SLOT-MISSING",
        title: "replication slot {slot} is gone",
        layer: Layer::Position,
        signs: &[
            sign("replication slot \"{slot}\" does not exist"),
            Sign {
                after: Some(HAD_OFFSET),
                ..told("Creating replication slot with command CREATE_REPLICATION_SLOT {slot} ")
            },
            Sign {
                after: Some(HAD_OFFSET),
                ..told("Creating replication slot with command CREATE_REPLICATION_SLOT \"{slot}\" ")
            },
            sign(
                "The connector is trying to read change stream starting at {} but this is no longer available on the server",
            ),
        ],
        lasts: true,
        meaning: "The slot was dropped, or not carried over by a failover or an upgrade. Debezium makes a new one without a word of warning, and it begins at the present: changes in between are not sent, while the connector is RUNNING.",
        fix: &[
            "Begin a new generation of offsets, or set `snapshot.mode` to `when_needed` for one start: rows come again, deletions in the gap are not told.",
            "After an upgrade or failover: create the slot before writers come back.",
        ],
        source: "PostgreSQL slot.c; PostgresReplicationConnection.createReplicationSlot; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PG-SLOT-LOST",
        title: "replication slot {slot} can't be used: it was invalidated",
        layer: Layer::Position,
        signs: &[
            sign("can no longer get changes from replication slot \"{slot}\""),
            sign("cannot read from logical replication slot \"{slot}\""),
            sign("This slot has been invalidated because it exceeded the maximum reserved size"),
            sign("can no longer access replication slot \"{slot}\""),
            warning("Cannot obtain valid replication slot '{slot}' for plugin"),
        ],
        lasts: true,
        meaning: "The connector was away while more WAL was written than `max_slot_wal_keep_size` keeps: the server gave the slot up. The changes are gone. Debezium tries 900 times and supposes a long transaction, which at a slot's first use is the other thing it can be.",
        fix: &[
            "SELECT slot_name, wal_status, invalidation_reason FROM pg_replication_slots; (`lost` confirms it; invalidation_reason from version 17) and SELECT pid, xact_start FROM pg_stat_activity ORDER BY xact_start; for the transaction.",
            "SELECT pg_drop_replication_slot('{slot}'); then begin a new generation of offsets with a snapshot.",
            "So that it doesn't happen again: raise `max_slot_wal_keep_size`, and alarm on the slot's lag.",
        ],
        source: "PostgreSQL slot.c, logical.c; recorded",
        ..super::KNOWN
    },
];
