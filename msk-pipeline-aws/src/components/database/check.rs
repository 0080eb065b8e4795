//! What is wrong with a `[database.*]`, beyond its schema.

use msk_pipeline_core::dsl::{Expansion, Symbol, quoted};

use super::super::kafka::{cidr, group_id};
use super::super::network::Network;
use super::super::{is_family, is_size};
use super::{Database, Engine, OnDestroy, SERVERLESS_CLASS, hours};

mod postgresql;

/// Reports everything that is wrong or should be looked at. False if it can't become resources.
pub(super) fn check(database: &Database, name: &str, cx: &mut Expansion<'_>) -> bool {
    // A builder sets what a document's schema would have refused.
    if let Err(why) = super::user(database.capture_user()) {
        cx.error("capture.user", why, "");
    }
    if let Some(Err(why)) = database.master_user.as_deref().map(super::master_user) {
        cx.error("master_user", why, "");
    }
    if let Err(why) = super::table(database.signal_table()) {
        cx.error("capture.signal_table", why, "");
    }
    if database.prepare.as_deref() == Some("data-api") {
        cx.error(
            "prepare",
            "`data-api` is not supported: the RDS Data API ends every call after 45 seconds and is off unless a cluster enables it",
            "use \"direct\" from where the database can be reached; or \"sql\": the statements are printed, and you run them as the master user",
        );
    }
    match database.engine() {
        Engine::MySql => mysql(database, cx),
        Engine::PostgreSql => postgresql::check(database, name, cx),
    }
    if database.existing.is_some() {
        existing(database, cx);
    } else if cx.get::<Network>("").is_none() {
        cx.error(
            "",
            "a database needs a network",
            "write a section [network] with `vpc = \"vpc-…\"`",
        );
        return false;
    } else {
        version(database, cx);
        instances(database, cx);
        settings(database, cx);
        access(database, cx);
    }
    true
}

fn mysql(database: &Database, cx: &mut Expansion<'_>) {
    if database.database.is_some() {
        cx.error(
            "database",
            "Aurora MySQL has no databases beside schemas, which `tables` of a connector names",
            "leave it out",
        );
    }
    match database.binlog_hours() {
        0 => cx.error(
            "capture.binlog_retention",
            "binary logs can be kept for whole hours only, at least one",
            "write a time such as \"7d\"",
        ),
        2161.. => cx.error(
            "capture.binlog_retention",
            "Aurora keeps binary logs for at most 90 days",
            "write \"90d\" or less",
        ),
        1..72 => cx.warn(
            "capture.binlog_retention",
            "a connector that is away for longer than this has to read everything again",
            "keep binary logs for at least 3d: a long weekend",
        ),
        _ => {}
    }
}

fn existing(database: &Database, cx: &mut Expansion<'_>) {
    let identifier = database.existing.as_deref().unwrap_or_default();
    if identifier.contains('.') {
        let help = if identifier.contains(".cluster-ro-") {
            format!(
                "{}; write the cluster's identifier, its first part",
                database.engine().no_reader()
            )
        } else {
            "write the cluster's identifier, the first part of its address".into()
        };
        cx.error("existing", format!("`{identifier}` is an address, not an identifier"), &help);
    }
    let set = [
        ("version", database.version.is_some()),
        ("writer", database.writer.is_some()),
        ("readers", !database.readers.is_empty()),
        ("serverless", database.serverless.is_some()),
        ("parameters", !database.parameters.is_empty()),
        ("instance_parameters", !database.instance_parameters.is_empty()),
        ("on_destroy", database.on_destroy.is_some()),
        ("public", database.public.is_some()),
        ("master_user", database.master_user.is_some()),
        ("backup_retention", database.backup_retention.is_some()),
        ("deletion_protection", database.deletion_protection.is_some()),
        ("logs", !database.logs.is_empty()),
        ("subnets", database.subnets.is_some()),
        ("allow", !database.allow.is_empty()),
    ];
    for (key, _) in set.iter().filter(|(_, set)| *set) {
        cx.error(
            key,
            format!("`{key}` can't be set together with `existing`: that cluster is never changed"),
            "remove one of the two",
        );
    }
}

fn version(database: &Database, cx: &mut Expansion<'_>) {
    let version = database.full_version();
    if database.engine() == Engine::PostgreSql {
        return postgresql::version(&version, cx);
    }
    if version.starts_with("5.7") {
        cx.error(
            "version",
            format!(
                "{version} is past standard support, and Debezium 2.7 does not support MySQL 5.7"
            ),
            "use 8.0.mysql_aurora.3.10.4; db.t4g.medium is the smallest class there",
        );
    } else if !(version.starts_with("8.0.mysql_aurora.3.")
        || version.starts_with("8.4.mysql_aurora.8.4."))
    {
        cx.error(
            "version",
            format!("{} is no version of Aurora MySQL", quoted(&version)),
            "write it in full, such as \"8.0.mysql_aurora.3.10.4\", or its last part, \"3.10.4\"",
        );
    }
}

/// Handbook aws.md §4.5; Aurora PostgreSQL has the same.
const SMALLEST: &str =
    "the smallest are db.t4g.medium and db.t3.medium; or leave it out for Serverless v2";

fn instances(database: &Database, cx: &mut Expansion<'_>) {
    let since = database.engine().since();
    for (key, class) in database.classes() {
        let parts: Vec<&str> = class.split('.').collect();
        let shape = match parts.as_slice() {
            _ if class == SERVERLESS_CLASS => continue,
            ["db", family, size] if is_family(family) => Some((*family, *size)),
            _ => None,
        };
        match shape {
            Some((family @ ("t2" | "r3" | "r4"), _)) => cx.error(
                &key,
                format!("{class} does not exist for {since}: db.{family} is too old"),
                SMALLEST,
            ),
            Some((_, "micro" | "small")) => {
                cx.error(&key, format!("{class} does not exist for {since}"), SMALLEST);
            }
            Some((_, size)) if is_size(size) => {}
            _ => cx.error(
                &key,
                format!("{} is no instance class", quoted(class)),
                "one is \"db.r7g.large\"",
            ),
        }
    }
    for key in database.readers.keys() {
        if let Err(why) = Symbol::new(key) {
            cx.error(&format!("readers.{key}"), why, "choose another key");
        }
    }
    let Some(range) = database.serverless else { return };
    if database.capacity().is_none() {
        cx.error(
            "serverless",
            format!("no instance is of the class {SERVERLESS_CLASS}, so a range has no effect"),
            "remove it, or a `class`",
        );
    }
    let stepped = |value: f64| (value * 2.0).fract() == 0.0;
    if range.min > range.max || range.max < 1.0 || range.max > 256.0 || range.min < 0.0 {
        cx.error(
            "serverless",
            "the range must go from 0.5 or more up to between 1 and 256",
            "the default is { min = 0.5, max = 8 }",
        );
    } else if !stepped(range.min) || !stepped(range.max) {
        cx.error("serverless", "capacity comes in steps of 0.5", "round it up");
    } else if range.min == 0.0 {
        cx.warn(
            "serverless.min",
            "a database that a connector reads never pauses: the connector holds a connection",
            "use 0.5: it costs the same and resumes without delay",
        );
    }
}

fn settings(database: &Database, cx: &mut Expansion<'_>) {
    for (name, value) in database.engine().parameters() {
        let given = database.parameters.get(*name).filter(|v| !v.eq_ignore_ascii_case(value));
        if let Some(given) = given {
            cx.error(
                &format!("parameters.{name}"),
                format!("{name} = {given} breaks capturing changes"),
                "remove it: it is set as Debezium needs it",
            );
        }
    }
    let engine = database.engine();
    for (n, log) in database.logs.iter().enumerate() {
        if !engine.logs().contains(&log.as_str()) {
            cx.error(
                &format!("logs.{n}"),
                format!("{} has no log `{log}`", engine.title()),
                &format!("its logs: {}", engine.logs().join(", ")),
            );
        }
    }
    let backup = database.backup_retention.as_deref().unwrap_or("7d");
    if !(1..=35).contains(&database.backup_days()) || !hours(backup).is_multiple_of(24) {
        cx.error("backup_retention", "backups are kept for 1 to 35 whole days", "write \"7d\"");
    }
    if database.on_destroy == Some(OnDestroy::Keep) {
        cx.warn(
            "on_destroy",
            "a destroy leaves the database and what it needs in AWS: its security group with its rules, its subnet and parameter groups, the capture user's secret",
            "an apply with the same state takes them back; delete them by hand when they are no longer needed",
        );
    }
}

fn access(database: &Database, cx: &mut Expansion<'_>) {
    let public = database.public.unwrap_or_default();
    if public {
        cx.warn(
            "public",
            "the database gets public addresses",
            "leave it private and reach it through the VPC, unless you must",
        );
    }
    for (n, allow) in database.allow.iter().enumerate() {
        let key = format!("allow.{n}");
        let given = [&allow.cidr, &allow.security_group, &allow.prefix_list];
        if given.iter().filter(|g| g.is_some()).count() != 1 {
            cx.error(
                &key,
                "exactly one of cidr, security_group and prefix_list is expected",
                "write one entry for each",
            );
        }
        // IPv6 blocks are left to EC2.
        let range = allow.cidr.as_deref().filter(|c| !c.contains(':')).map(cidr);
        let group = allow.security_group.as_deref().map(group_id);
        for why in [range, group].into_iter().flatten().filter_map(Result::err) {
            cx.error(&key, why, "");
        }
        if matches!(allow.cidr.as_deref(), Some("0.0.0.0/0" | "::/0")) {
            let help = "allow the blocks that need it, or a security group";
            if public {
                cx.error(&key, "this opens the database to the internet", help);
            } else {
                cx.warn(&key, "this allows every address that can reach the subnets", help);
            }
        }
    }
    if let Some(subnets) = &database.subnets
        && subnets.len() < 2
    {
        cx.error("subnets", "a database needs subnets in at least two zones", "name two or more");
    }
}
