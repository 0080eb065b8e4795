//! The keys of `[database.*]`.

use msk_pipeline_core::dsl::{Key, Schema, Type, filled};

use super::Engine;

/// What may stand in `[database.*]`.
pub(super) const SCHEMA: Schema = Schema {
    doc: "An Aurora database that changes are captured from: created, or an existing one.",
    keys: &[
        Key::new("engine", Type::Enum(Engine::NAMES), "The engine.")
            .default("\"aurora-mysql\"")
            .change("replaces the database (data lost)"),
        Key::new("existing", Type::Checked(filled), "The identifier of a cluster that exists already. It is read and checked, never changed, never deleted.")
            .change("replaces the database (data lost) if one was created"),
        Key::new("version", Type::Text, "The engine version: `8.0.mysql_aurora.3.10.4` or only `3.10.4`; of PostgreSQL `16.8`. The default is the newest version with long-term support that Debezium 2.7 supports.")
            .default("\"8.0.mysql_aurora.3.10.4\"; of PostgreSQL \"16.8\"")
            .change("in place with a restart; never back"),
        Key::new("database", Type::Checked(super::database), "PostgreSQL: the database inside the cluster that changes are captured from. It is made with the cluster; of an existing cluster it has to be named.")
            .default("the section's name, with `_` for `-`")
            .change("replaces the database (data lost)"),
        Key::new("writer", Type::Table(&WRITER), "The instance that is created first, and writes.").change("in place, see its keys"),
        Key::new("readers", Type::Map(&Type::Table(&READER)), "Further instances by a key of your choice; one of them takes over if the writer fails.")
            .change("adds or deletes instances; no data is lost"),
        Key::new("serverless", Type::Table(&SERVERLESS), "The capacity range of instances of the class `db.serverless`.")
            .default("{ min = 0.5, max = 8 }")
            .change("in place"),
        Key::new("parameters", Type::Properties, "Parameters of the cluster's parameter group, beside binlog_format=ROW and binlog_row_image=FULL, or rds.logical_replication=1 of PostgreSQL.")
            .change("in place; static ones restart the instances"),
        Key::new("instance_parameters", Type::Properties, "Parameters of the instances' parameter group; they win over the cluster's.")
            .change("in place; static ones restart the instances"),
        Key::new("capture", Type::Table(&CAPTURE), "How connectors read it."),
        Key::new("prepare", Type::Enum(&["sql", "direct", "data-api"]), "How the capture user, its grants, binlog retention or publication and slot, and the tables for signals and heartbeats come into the database. `direct` makes and removes them as resources of the pipeline, as the master user, whose password RDS has to manage; what runs it has to reach the database. `sql` prints the statements, and you run them. `data-api` is refused.")
            .default("\"sql\"")
            .change("from `sql` to `direct`: `adopt` takes over what was made by hand; back: what `direct` made is dropped, the capture user too"),
        Key::new("on_destroy", Type::Enum(&["snapshot", "keep", "delete"]), "What a destroy does: take a final snapshot and delete, leave it in AWS and forget it, or delete it with its backups.")
            .default("\"snapshot\""),
        Key::new("public", Type::Bool, "True gives the instances public addresses.").default("false").change("in place"),
        Key::new("port", Type::Int(1150, 65535), "The port. Beside `existing` it is the one that the cluster has.").default("3306; of PostgreSQL 5432").change("in place with a restart"),
        Key::new("master_user", Type::Checked(super::master_user), "The master user. RDS makes and rotates its password.")
            .default("\"admin\"; of PostgreSQL \"postgres\"")
            .change("replaces the database (data lost)"),
        Key::new("backup_retention", Type::Duration, "How long automatic backups are kept: whole days, 1 to 35.").default("\"7d\"").change("in place"),
        Key::new("deletion_protection", Type::Bool, "True refuses deletion by others. A destroy that you approve turns it off first.")
            .default("true")
            .change("in place"),
        Key::new("logs", Type::List(&Type::Enum(Engine::LOGS)), "Logs that go to CloudWatch; MySQL has `error`, `general` and `slowquery`, PostgreSQL `postgresql`. RDS makes their log groups and leaves them behind.")
            .default("[]")
            .change("in place"),
        Key::new("kms_key", Type::Checked(filled), "The key for storage and secrets: id, ARN or alias.")
            .default("pipeline.kms_key, else AWS's own")
            .change("replaces the database (data lost)"),
        Key::new("subnets", Type::List(&Type::Text), "Subnets for this database, in at least two zones of one VPC.")
            .default("network.subnets.database")
            .change("in place; another VPC replaces the database (data lost)"),
        Key::new("allow", Type::List(&Type::Table(&ALLOW)), "Who may connect beside the connectors.").default("[]").change("in place"),
        Key::new("tags", Type::Map(&Type::Text), "Tags beside the pipeline's.").change("in place"),
    ],
};

const CLASS: Key = Key::new(
    "class",
    Type::Open(&["db.serverless", "db.t4g.medium", "db.t4g.large", "db.r7g.large", "db.r8g.large"]),
    "The instance class.",
)
.default("\"db.serverless\"")
.change("in place with a restart");

const WRITER: Schema = Schema { doc: "The first instance.", keys: &[CLASS] };

const READER: Schema = Schema {
    doc: "A further instance.",
    keys: &[
        Key::new("class", Type::Open(&["db.serverless", "db.r7g.large"]), "The instance class.")
            .default("the writer's")
            .change("in place with a restart"),
        Key::new("promotion_tier", Type::Int(0, 15), "0 takes over first, 15 last.")
            .default("1")
            .change("in place"),
    ],
};

const SERVERLESS: Schema = Schema {
    doc: "A range of Aurora capacity units (2 GiB of memory each), in steps of 0.5.",
    keys: &[
        Key::new(
            "min",
            Type::Number(0.0, 256.0),
            "The least. 0 pauses an idle database, which one with a connector never is.",
        )
        .required(),
        Key::new("max", Type::Number(1.0, 256.0), "The most.").required(),
    ],
};

const CAPTURE: Schema = Schema {
    doc: "The user that connectors read with, and what they need in the database.",
    keys: &[
        Key::new("user", Type::Checked(super::user), "The capture user.").default("\"debezium\"").change("in place; create the new user first"),
        Key::new("secret", Type::Checked(filled), "The name of a secret that exists, with a JSON value {\"username\", \"password\"}. Without it one is created.")
            .change("connectors restart with the other credentials"),
        Key::new("binlog_retention", Type::Duration, "MySQL: for how long binary logs are kept: longer than a connector may ever be away. Whole hours, at most 90d.")
            .default("\"7d\"")
            .change("run the printed statement again"),
        Key::new("signal_table", Type::Checked(super::table), "The table, `database.table`, of PostgreSQL `schema.table`, that starts incremental snapshots.")
            .default("\"cdc.signal\"")
            .change("run the printed statements again"),
    ],
};

const ALLOW: Schema = Schema {
    doc: "Somebody who may connect; exactly one of cidr, security_group and prefix_list.",
    keys: &[
        Key::new(
            "cidr",
            Type::Checked(crate::components::kafka::cidr),
            "A block of addresses, `10.0.0.0/16`.",
        ),
        Key::new("security_group", Type::Text, "A security group's id."),
        Key::new("prefix_list", Type::Text, "A managed prefix list's id."),
        Key::new("description", Type::Text, "What it is for."),
    ],
};
