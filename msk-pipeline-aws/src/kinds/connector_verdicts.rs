//! What changing one key of a Debezium connector's configuration does to data.
//!
//! MSK Connect updates any key "in place" (handbook msk.md §5.2), so the API's word says nothing about data. This table does: the
//! first rule whose pattern fits a key decides. A key that no rule knows restarts the tasks, which every configuration update does.
//!
//! Where some values of a key are harmless, the value decides and not the key: leaving `errors.tolerance = all` costs nothing.
//!
//! Sources: handbook msk.md §5.2, §7, §8; design decision D9; defaults as in Debezium's documentation of the connectors for `MySQL` and
//! `PostgreSQL`, 2.7, and in Kafka Connect's (`errors.tolerance`, the producers of source tasks).

use std::collections::BTreeSet;

use msk_pipeline_core::kind::{DataEffect, Verdict};

/// The verdict on a key.
struct Rule {
    /// The key; `*` stands for anything.
    key: &'static str,
    verdict: Judge,
    /// What happens, as a fragment.
    what: &'static str,
}

enum Judge {
    /// Always the same.
    Is(Verdict),
    /// A comma-separated list of what is captured: what is added has a gap, what is removed ends.
    IncludeList,
    /// A comma-separated list of what is left out: what is removed from it has a gap.
    ExcludeList,
    /// By the new value, compared without case: the verdict if it is none of `harmless`. A value that is as bad as the one before
    /// changes nothing but the task, and one that is not known yet is taken for a harmful one.
    Unless {
        /// Values that harm nothing.
        harmless: &'static [&'static str],
        /// The value that an absent key stands for.
        default: &'static str,
        verdict: Verdict,
    },
    /// As `Unless`, with a number: the verdict if it is above `most`.
    Above { most: u64, default: u64, verdict: Verdict },
    /// A comma-separated list of operations that make no events, `none` for an empty one: what is added has the verdict.
    Operations { default: &'static str, verdict: Verdict },
}

const fn rule(key: &'static str, verdict: Verdict, what: &'static str) -> Rule {
    Rule { key, verdict: Judge::Is(verdict), what }
}

const fn unless(
    key: &'static str,
    harmless: &'static [&'static str],
    default: &'static str,
    verdict: Verdict,
    what: &'static str,
) -> Rule {
    Rule { key, verdict: Judge::Unless { harmless, default, verdict }, what }
}

/// The rules, most specific first.
const RULES: &[Rule] = &[
    // Whose changes are captured, and from where.
    rule(
        "topic.prefix",
        Verdict::Resnapshot,
        "events go to topics with the new prefix, offsets are stored under it: the connector starts anew, the old topics get no more events",
    ),
    rule(
        "database.hostname",
        Verdict::Resnapshot,
        "binlog positions of another server mean nothing: unless it is another name of the same server, the connector starts anew",
    ),
    rule(
        "database.port",
        Verdict::Resnapshot,
        "binlog positions of another server mean nothing: unless it is the same server on another port, the connector starts anew",
    ),
    rule(
        "database.dbname",
        Verdict::Resnapshot,
        "positions of another database's slot mean nothing: the connector starts anew",
    ),
    rule(
        "slot.name",
        Verdict::Gap,
        "the new slot begins now: what the old one has not read yet is missed",
    ),
    rule(
        "slot.drop.on.stop",
        Verdict::Gap,
        "what is changed while the connector is stopped is missed",
    ),
    rule(
        "plugin.name",
        Verdict::Gap,
        "a slot of another output plugin has to be made anew: what the old one has not read yet is missed",
    ),
    rule(
        "publication.autocreate.mode",
        Verdict::None,
        "it counts where the publication is missing",
    ),
    rule(
        "connector.class",
        Verdict::Resnapshot,
        "another connector doesn't read the offsets of this one",
    ),
    Rule {
        key: "table.include.list",
        verdict: Judge::IncludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    Rule {
        key: "database.include.list",
        verdict: Judge::IncludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    Rule {
        key: "table.exclude.list",
        verdict: Judge::ExcludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    Rule {
        key: "schema.include.list",
        verdict: Judge::IncludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    Rule {
        key: "schema.exclude.list",
        verdict: Judge::ExcludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    Rule {
        key: "database.exclude.list",
        verdict: Judge::ExcludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    rule("gtid.source.*", Verdict::Gap, "transactions of sources that are left out are missed"),
    Rule {
        key: "skipped.operations",
        verdict: Judge::Operations { default: "t", verdict: Verdict::Gap },
        what: "skipped operations make no events",
    },
    unless(
        "event.processing.failure.handling.mode",
        &["fail"],
        "fail",
        Verdict::Gap,
        "events that can't be read are skipped",
    ),
    unless(
        "event.deserialization.failure.handling.mode",
        &["fail"],
        "fail",
        Verdict::Gap,
        "events that can't be read are skipped",
    ),
    unless(
        "event.converting.failure.handling.mode",
        &["fail"],
        "warn",
        Verdict::Gap,
        "values that can't be converted are skipped",
    ),
    unless(
        "inconsistent.schema.handling.mode",
        &["fail"],
        "fail",
        Verdict::Gap,
        "events of tables with an unknown schema are skipped",
    ),
    unless("errors.tolerance", &["none"], "none", Verdict::Gap, "records that fail are dropped"),
    // What it remembers.
    rule(
        "schema.history.internal.kafka.topic",
        Verdict::Resnapshot,
        "the history of the tables' schemas is lost to the connector: it can't read on without a new snapshot or a recovery",
    ),
    rule(
        "schema.history.internal",
        Verdict::Resnapshot,
        "the history of the tables' schemas is lost to the connector: it can't read on without a new snapshot or a recovery",
    ),
    unless(
        "schema.history.internal.store.only.captured.databases.ddl",
        &["false"],
        "true",
        Verdict::Gap,
        "schemas of other databases are missing when their tables are captured later",
    ),
    unless(
        "schema.history.internal.store.only.*",
        &["false"],
        "false",
        Verdict::Gap,
        "schemas of other tables are missing when these are captured later",
    ),
    unless(
        "schema.history.internal.skip.unparseable.ddl",
        &["false"],
        "false",
        Verdict::Gap,
        "a skipped statement leaves a schema that doesn't fit the events after it",
    ),
    rule("schema.history.internal.*", Verdict::Restart, ""),
    rule(
        "snapshot.mode",
        Verdict::None,
        "it counts when there is no offset; a connector that has one streams on",
    ),
    rule("snapshot.*", Verdict::None, "it counts in the next snapshot"),
    rule("incremental.snapshot.*", Verdict::None, "it counts in the next incremental snapshot"),
    rule("read.only", Verdict::None, "it counts in the next incremental snapshot"),
    rule("signal.*", Verdict::None, "signals come by another way; events stay as they are"),
    rule("notification.*", Verdict::None, ""),
    // Where events go, and in which order.
    rule(
        "message.key.columns",
        Verdict::Ordering,
        "keys change: events of a row may be on two partitions",
    ),
    rule(
        "transforms.*.partition.*",
        Verdict::Ordering,
        "events of a row may go to another partition than before",
    ),
    rule(
        "transforms.*.topic.*",
        Verdict::Shape,
        "events may go to other topics, and look otherwise",
    ),
    rule("transforms*", Verdict::Shape, "events look otherwise, or go elsewhere"),
    rule("predicates*", Verdict::Shape, "transforms apply to other events"),
    rule("topic.naming.strategy", Verdict::Resnapshot, "events go to topics with other names"),
    rule("topic.delimiter", Verdict::Resnapshot, "events go to topics with other names"),
    rule("topic.transaction", Verdict::Shape, "transaction markers go to another topic"),
    rule("topic.heartbeat.prefix", Verdict::None, "heartbeats go to another topic"),
    rule("heartbeat.topics.prefix", Verdict::None, "heartbeats go to another topic"),
    rule("topic.creation.*", Verdict::None, "only topics that are created from now on differ"),
    unless(
        "producer.override.partitioner.ignore.keys",
        &["false"],
        "false",
        Verdict::Ordering,
        "events of a row may go to any partition",
    ),
    rule(
        "producer.override.partitioner*",
        Verdict::Ordering,
        "events of a row may go to another partition than before",
    ),
    unless(
        "producer.override.acks",
        &["all", "-1"],
        "all",
        Verdict::Lost,
        "acknowledged events can be lost with a broker",
    ),
    // Connect's own producers have one request under way at a time, and are not idempotent.
    Rule {
        key: "producer.override.max.in.flight.requests.per.connection",
        verdict: Judge::Above { most: 1, default: 1, verdict: Verdict::Ordering },
        what: "a request that is repeated may overtake the one after it",
    },
    rule("producer.override.*", Verdict::Restart, ""),
    rule("exactly.once.support", Verdict::Restart, ""),
    // How events look.
    rule(
        "key.converter*",
        Verdict::Ordering,
        "keys are written otherwise: events of a row may be on two partitions, and consumers see other keys",
    ),
    rule("value.converter*", Verdict::Shape, "consumers see other payloads"),
    rule("header.converter*", Verdict::Shape, "consumers see other headers"),
    rule("converters*", Verdict::Shape, "columns are converted otherwise"),
    rule("decimal.handling.mode", Verdict::Shape, "decimals are written otherwise"),
    rule("time.precision.mode", Verdict::Shape, "times are written otherwise"),
    rule("binary.handling.mode", Verdict::Shape, "binary columns are written otherwise"),
    rule(
        "bigint.unsigned.handling.mode",
        Verdict::Shape,
        "unsigned integers are written otherwise",
    ),
    rule("hstore.handling.mode", Verdict::Shape, "columns are written otherwise"),
    rule("interval.handling.mode", Verdict::Shape, "columns are written otherwise"),
    rule("field.name.adjustment.mode", Verdict::Shape, "fields have other names"),
    rule("schema.name.adjustment.mode", Verdict::Shape, "schemas have other names"),
    rule("sanitize.field.names", Verdict::Shape, "fields have other names"),
    rule("column.*", Verdict::Shape, "columns come, go, or are written otherwise"),
    rule("datatype.propagate.source.type", Verdict::Shape, "schemas carry other parameters"),
    rule(
        "schema.refresh.mode",
        Verdict::Shape,
        "values that the log leaves out may be filled otherwise",
    ),
    rule("include.query", Verdict::Shape, "events gain or lose the statement"),
    rule("include.schema.changes", Verdict::Shape, "the topic of schema changes starts or ends"),
    rule("include.schema.comments", Verdict::Shape, "schema changes carry comments or not"),
    rule("include.unknown.datatypes", Verdict::Shape, "columns of unknown types come or go"),
    rule(
        "tombstones.on.delete",
        Verdict::Shape,
        "deletes are followed by a tombstone or not, which compaction needs",
    ),
    rule(
        "provide.transaction.metadata",
        Verdict::Shape,
        "events and a topic of transactions come or go",
    ),
    rule("sourceinfo.struct.maker", Verdict::Shape, "the source block is written otherwise"),
    rule("unavailable.value.placeholder", Verdict::Shape, "unknown values are written otherwise"),
    rule("enable.time.adjuster", Verdict::Shape, "years of two digits are read otherwise"),
    rule("connection.time.zone", Verdict::Shape, "times may shift"),
    rule("database.connectionTimeZone", Verdict::Shape, "times may shift"),
    rule("custom.*", Verdict::Restart, ""),
    // What only the connection to the database sees.
    rule("database.server.id", Verdict::None, "another number among the replicas of the server"),
    rule("database.server.id.offset", Verdict::None, ""),
    rule("heartbeat.interval.ms", Verdict::None, "heartbeats come at another pace"),
    rule("heartbeat.action.query", Verdict::None, "another statement with each heartbeat"),
    rule("database.user", Verdict::Restart, ""),
    rule("database.password", Verdict::Restart, ""),
    rule(
        "name",
        Verdict::Resnapshot,
        "offsets are stored under the connector's name: it starts anew",
    ),
    rule(
        "offset.storage.topic",
        Verdict::Resnapshot,
        "its offsets stay behind in the old topic: it starts anew",
    ),
];

/// What changing `key` from one value to another does to data. `None` means that the key is absent, so that its default counts;
/// a value that is not known yet is `Some` text that differs.
pub fn verdict(key: &str, from: Option<&str>, to: Option<&str>) -> DataEffect {
    match (key, to) {
        ("snapshot.mode", Some("always")) => {
            let what = "every start reads all rows again, this one and each later one";
            return DataEffect::new(Verdict::Resnapshot, what);
        }
        ("snapshot.mode", Some("initial_only")) => {
            let what = "`snapshot.mode`: after the snapshot nothing is captured any more";
            return DataEffect::new(Verdict::Gap, what);
        }
        _ => {}
    }
    let Some(rule) = RULES.iter().find(|rule| fits(rule.key, key)) else {
        return DataEffect::new(Verdict::Restart, format!("the task restarts with `{key}`"));
    };
    let added = |more: Option<&str>, fewer: Option<&str>| -> Option<Vec<String>> {
        // A list that is absent takes everything in.
        let (Some(more), Some(fewer)) = (more, fewer) else { return None };
        let old = items(fewer);
        Some(items(more).into_iter().filter(|item| !old.contains(item)).collect())
    };
    let gained = match rule.verdict {
        Judge::Is(verdict) => {
            let what = if rule.what.is_empty() {
                format!("the task restarts with `{key}`")
            } else {
                format!("`{key}`: {}", rule.what)
            };
            return match verdict {
                Verdict::None => DataEffect::NONE,
                verdict => DataEffect::new(verdict, what),
            };
        }
        Judge::Unless { harmless, default, verdict } => {
            let harms = |value: Option<&str>| {
                let value = value.unwrap_or(default).trim();
                !harmless.iter().any(|h| h.eq_ignore_ascii_case(value))
            };
            // Of two ways to lose acknowledged events the second is told, too.
            let worse = harms(to) && (!harms(from) || verdict >= Verdict::Resnapshot);
            return by_value(key, rule, worse, verdict);
        }
        Judge::Above { most, default, verdict } => {
            let over = |value: Option<&str>| {
                // What is no number yet is taken for one that is too high.
                value.map_or(default, |v| v.trim().parse().unwrap_or(u64::MAX)) > most
            };
            return by_value(key, rule, over(to) && !over(from), verdict);
        }
        Judge::Operations { default, verdict } => {
            let skipped = |value: Option<&str>| {
                let mut list = items(value.unwrap_or(default));
                list.remove("none");
                list
            };
            let more = !skipped(to).is_subset(&skipped(from));
            return by_value(key, rule, more, verdict);
        }
        Judge::IncludeList => match (from, to) {
            (_, None) => None,
            (None, Some(_)) => Some(Vec::new()),
            _ => added(to, from),
        },
        Judge::ExcludeList => match (from, to) {
            (None, _) => Some(Vec::new()),
            (Some(from), None) => Some(items(from).into_iter().collect()),
            _ => added(from, to),
        },
    };
    match gained {
        None => {
            let what = rule.what.replace("{added}", "everything that was not captured before");
            DataEffect::new(Verdict::Gap, what)
        }
        Some(gained) if gained.is_empty() => DataEffect::new(
            Verdict::Restart,
            format!("`{key}` captures less: events that exist stay, no more come"),
        ),
        Some(gained) => {
            DataEffect::new(Verdict::Gap, rule.what.replace("{added}", &gained.join(", ")))
        }
    }
}

/// The verdict on a value that harms, or the restart that every change brings.
fn by_value(key: &str, rule: &Rule, harms: bool, verdict: Verdict) -> DataEffect {
    if harms {
        DataEffect::new(verdict, format!("`{key}`: {}", rule.what))
    } else {
        DataEffect::new(Verdict::Restart, format!("the task restarts with `{key}`"))
    }
}

/// The worst of several effects, with the texts of all that are as bad.
pub(super) fn worst(effects: impl IntoIterator<Item = DataEffect>) -> DataEffect {
    let mut worst = DataEffect::NONE;
    for effect in effects {
        if effect.verdict > worst.verdict {
            worst = effect;
        } else if effect.verdict == worst.verdict
            && effect.verdict != Verdict::None
            && !worst.what.contains(&effect.what)
        {
            worst.what = format!("{}; {}", worst.what, effect.what);
        }
    }
    worst
}

fn items(list: &str) -> BTreeSet<String> {
    list.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// Whether `key` is what the pattern means; `*` stands for any text, also none.
fn fits(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = key.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    for (n, part) in parts.iter().enumerate() {
        if n + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, from: Option<&str>, to: Option<&str>, expected: Verdict, what: &str) {
        let effect = verdict(key, from, to);
        assert_eq!(effect.verdict, expected, "{key}: {effect}");
        assert!(effect.what.contains(what), "{key}: {effect}");
    }

    #[test]
    fn each_key_has_its_verdict() {
        use Verdict::{Gap, None, Ordering, Resnapshot, Restart, Shape};
        for (key, expected) in [
            ("topic.prefix", Resnapshot),
            ("database.hostname", Resnapshot),
            ("database.port", Resnapshot),
            ("connector.class", Resnapshot),
            ("name", Resnapshot),
            ("offset.storage.topic", Resnapshot),
            ("topic.naming.strategy", Resnapshot),
            ("database.dbname", Resnapshot),
            ("slot.name", Gap),
            ("plugin.name", Gap),
            ("publication.name", Restart),
            ("publication.autocreate.mode", None),
            ("schema.history.internal.kafka.topic", Resnapshot),
            ("schema.history.internal", Resnapshot),
            ("schema.history.internal.producer.security.protocol", Restart),
            ("schema.history.internal.kafka.bootstrap.servers", Restart),
            ("gtid.source.includes", Gap),
            ("producer.override.linger.ms", Restart),
            ("producer.override.partitioner.class", Ordering),
            ("message.key.columns", Ordering),
            ("key.converter", Ordering),
            ("key.converter.schemas.enable", Ordering),
            ("transforms.route.partition.payload.fields", Ordering),
            ("transforms.unwrap.type", Shape),
            ("transforms", Shape),
            ("value.converter", Shape),
            ("value.converter.schemas.enable", Shape),
            ("decimal.handling.mode", Shape),
            ("time.precision.mode", Shape),
            ("binary.handling.mode", Shape),
            ("tombstones.on.delete", Shape),
            ("column.exclude.list", Shape),
            ("snapshot.mode", None),
            ("snapshot.locking.mode", None),
            ("database.server.id", None),
            ("heartbeat.interval.ms", None),
            ("topic.creation.default.partitions", None),
            ("signal.data.collection", None),
            ("max.batch.size", Restart),
            ("database.user", Restart),
            ("something.nobody.knows", Restart),
        ] {
            check(key, Some("a"), Some("b"), expected, "");
        }
    }

    #[test]
    fn the_value_decides_where_some_harm_and_some_do_not() {
        use Verdict::{Gap, Lost, None, Ordering, Resnapshot, Restart};
        let acks = "producer.override.acks";
        let in_flight = "producer.override.max.in.flight.requests.per.connection";
        let tables = "schema.history.internal.store.only.captured.tables.ddl";
        let databases = "schema.history.internal.store.only.captured.databases.ddl";
        let reading = "event.processing.failure.handling.mode";
        let converting = "event.converting.failure.handling.mode";
        for (key, from, to, expected) in [
            (acks, Some("all"), Some("1"), Lost),
            (acks, Option::None, Some("0"), Lost),
            (acks, Some("1"), Some("0"), Lost),
            (acks, Some("1"), Some("all"), Restart),
            (acks, Some("1"), Some("-1"), Restart),
            (acks, Some("1"), Option::None, Restart),
            (acks, Option::None, Some("(known after apply)"), Lost),
            (in_flight, Option::None, Some("5"), Ordering),
            (in_flight, Some("5"), Some("1"), Restart),
            (in_flight, Some("5"), Some("2"), Restart),
            (in_flight, Option::None, Some("(known after apply)"), Ordering),
            ("producer.override.partitioner.ignore.keys", Option::None, Some("true"), Ordering),
            ("producer.override.partitioner.ignore.keys", Option::None, Some("false"), Restart),
            ("producer.override.compression.type", Option::None, Some("zstd"), Restart),
            ("errors.tolerance", Option::None, Some("all"), Gap),
            ("errors.tolerance", Some("none"), Some("ALL"), Gap),
            ("errors.tolerance", Some("all"), Some("none"), Restart),
            ("errors.tolerance", Some("all"), Option::None, Restart),
            (reading, Option::None, Some("skip"), Gap),
            (reading, Some("warn"), Some("skip"), Restart),
            (reading, Some("skip"), Some("FAIL"), Restart),
            (reading, Some("skip"), Option::None, Restart),
            (converting, Some("fail"), Option::None, Gap),
            (converting, Option::None, Some("skip"), Restart),
            ("inconsistent.schema.handling.mode", Some("fail"), Some("warn"), Gap),
            ("inconsistent.schema.handling.mode", Some("warn"), Some("fail"), Restart),
            ("skipped.operations", Option::None, Some("t"), Restart),
            ("skipped.operations", Option::None, Some("t,d"), Gap),
            ("skipped.operations", Some("d"), Some("none"), Restart),
            ("skipped.operations", Some("none"), Option::None, Gap),
            (tables, Some("false"), Some("true"), Gap),
            (tables, Some("true"), Option::None, Restart),
            (databases, Some("false"), Option::None, Gap),
            (databases, Option::None, Some("false"), Restart),
            ("schema.history.internal.skip.unparseable.ddl", Option::None, Some("true"), Gap),
            ("schema.history.internal.skip.unparseable.ddl", Some("true"), Some("false"), Restart),
            ("snapshot.mode", Some("no_data"), Some("always"), Resnapshot),
            ("snapshot.mode", Some("no_data"), Some("initial_only"), Gap),
            ("snapshot.mode", Some("initial_only"), Some("initial"), None),
        ] {
            let effect = verdict(key, from, to);
            assert_eq!(effect.verdict, expected, "{key}: {from:?} to {to:?}: {effect}");
        }
    }

    #[test]
    fn lists_are_judged_by_what_they_gain() {
        let key = "table.include.list";
        check(key, Some("a.b"), Some("a.b,a.c"), Verdict::Gap, "existing rows of a.c are missed");
        check(key, Some("a.b, a.c"), Some("a.b"), Verdict::Restart, "captures less");
        check(key, Some("a.b"), None, Verdict::Gap, "everything");
        check(key, None, Some("a.b"), Verdict::Restart, "captures less");
        check(key, Some("a.b,a.c"), Some("a.c,a.b"), Verdict::Restart, "");
        let key = "database.exclude.list";
        check(key, Some("a,b"), Some("a"), Verdict::Gap, "existing rows of b are missed");
        check(key, Some("a"), Some("a,b"), Verdict::Restart, "captures less");
        check(key, Some("a"), None, Verdict::Gap, "existing rows of a are missed");
        check(key, None, Some("a"), Verdict::Restart, "captures less");
    }

    #[test]
    fn the_worst_of_several_counts_and_equals_are_all_told() {
        let shape = |what: &str| DataEffect::new(Verdict::Shape, what);
        let worst = worst([shape("a"), DataEffect::new(Verdict::Restart, "r"), shape("b")]);
        assert_eq!(worst, shape("a; b"));
    }

    #[test]
    fn every_rule_is_reached_and_says_why() {
        for (n, rule) in RULES.iter().enumerate() {
            let key = rule.key.replace('*', "x");
            let first = RULES.iter().position(|r| fits(r.key, &key));
            assert_eq!(first, Some(n), "{} is hidden by an earlier rule", rule.key);
            if let Judge::Is(verdict) = rule.verdict {
                assert!(verdict <= Verdict::Restart || !rule.what.is_empty(), "{}", rule.key);
            }
        }
    }
}
