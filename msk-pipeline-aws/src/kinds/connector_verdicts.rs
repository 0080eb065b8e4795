//! What changing one key of a Debezium connector's configuration does to data.
//!
//! MSK Connect updates any key "in place" (handbook msk.md §5.2), so the API's word says nothing about data. This table does: the
//! first rule whose pattern fits a key decides. A key that no rule knows restarts the tasks, which every configuration update does.
//!
//! Sources: handbook msk.md §5.2, §7, §8; design decision D9.

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
}

const fn rule(key: &'static str, verdict: Verdict, what: &'static str) -> Rule {
    Rule { key, verdict: Judge::Is(verdict), what }
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
        key: "database.exclude.list",
        verdict: Judge::ExcludeList,
        what: "existing rows of {added} are missed until an incremental snapshot reads them",
    },
    rule("gtid.source.*", Verdict::Gap, "transactions of sources that are left out are missed"),
    rule("skipped.operations", Verdict::Gap, "skipped operations make no events"),
    rule(
        "event.processing.failure.handling.mode",
        Verdict::Gap,
        "unless it fails, events that can't be read are skipped",
    ),
    rule(
        "inconsistent.schema.handling.mode",
        Verdict::Gap,
        "unless it fails, events of tables with an unknown schema are skipped",
    ),
    rule("errors.tolerance", Verdict::Gap, "unless it is `none`, records that fail are dropped"),
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
    rule(
        "schema.history.internal.store.only.*",
        Verdict::Gap,
        "schemas that were not stored before are missing when their tables are captured later",
    ),
    rule(
        "schema.history.internal.skip.unparseable.ddl",
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
    rule(
        "producer.override.partitioner*",
        Verdict::Ordering,
        "events of a row may go to another partition than before",
    ),
    rule(
        "producer.override.acks",
        Verdict::Lost,
        "without `all`, acknowledged events can be lost with a broker",
    ),
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
    if key == "snapshot.mode" && to == Some("always") {
        let what = "every start reads all rows again, this one and each later one";
        return DataEffect::new(Verdict::Resnapshot, what);
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
        use Verdict::{Gap, Lost, None, Ordering, Resnapshot, Restart, Shape};
        for (key, expected) in [
            ("topic.prefix", Resnapshot),
            ("database.hostname", Resnapshot),
            ("database.port", Resnapshot),
            ("connector.class", Resnapshot),
            ("name", Resnapshot),
            ("offset.storage.topic", Resnapshot),
            ("topic.naming.strategy", Resnapshot),
            ("schema.history.internal.kafka.topic", Resnapshot),
            ("schema.history.internal", Resnapshot),
            ("schema.history.internal.store.only.captured.tables.ddl", Gap),
            ("schema.history.internal.producer.security.protocol", Restart),
            ("schema.history.internal.kafka.bootstrap.servers", Restart),
            ("gtid.source.includes", Gap),
            ("skipped.operations", Gap),
            ("errors.tolerance", Gap),
            ("producer.override.acks", Lost),
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
