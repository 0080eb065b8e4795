//! Broker properties: which of them MSK lets anyone set, and which values they take.
//!
//! Sources: handbook msk.md §3 *Configuration* (the list and the ranges); Apache Kafka's documentation of broker settings (types).

use std::collections::BTreeMap;

use msk_pipeline_core::dsl::Expansion;

/// What a property takes.
enum Takes {
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Int(i64, i64),
    /// A positive whole number, or -1 for no limit.
    Limit,
    /// A number from 0 to 1.
    Ratio,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A comma-separated list of these words.
    Words(&'static [&'static str]),
    /// What only MSK can check.
    Any,
}

const MAX: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

/// The properties that can be set; `*` stands for any text, and the first that fits counts.
const SETTABLE: &[(&str, Takes)] = &[
    ("allow.everyone.if.no.acl.found", Takes::Bool),
    ("auto.create.topics.enable", Takes::Bool),
    (
        "compression.type",
        Takes::Word(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
    ),
    ("connections.max.idle.ms", Takes::Int(i64::MIN, MAX)),
    ("default.replication.factor", Takes::Int(1, 32_767)),
    ("delete.topic.enable", Takes::Bool),
    ("group.*.ms", Takes::Int(0, MAX)),
    ("leader.imbalance.per.broker.percentage", Takes::Int(0, 100)),
    ("log.cleaner.delete.retention.ms", Takes::Int(0, MAX)),
    ("log.cleaner.min.cleanable.ratio", Takes::Ratio),
    ("log.cleanup.policy", Takes::Words(&["delete", "compact"])),
    ("log.flush.interval.messages", Takes::Int(1, MAX)),
    ("log.flush.interval.*", Takes::Int(0, MAX)),
    ("log.message.timestamp.type", Takes::Word(&["CreateTime", "LogAppendTime"])),
    ("log.message.timestamp.*", Takes::Int(0, MAX)),
    ("log.retention.*", Takes::Limit),
    ("log.roll.ms", Takes::Int(1, MAX)),
    ("log.segment.bytes", Takes::Int(14, INT)),
    ("max.incremental.fetch.session.cache.slots", Takes::Int(0, INT)),
    ("message.max.bytes", Takes::Int(0, INT)),
    ("min.insync.replicas", Takes::Int(1, INT)),
    ("num.io.threads", Takes::Int(1, INT)),
    ("num.network.threads", Takes::Int(1, INT)),
    ("num.partitions", Takes::Int(1, INT)),
    ("num.recovery.threads.per.data.dir", Takes::Int(1, INT)),
    ("num.replica.fetchers", Takes::Int(1, INT)),
    ("offsets.retention.minutes", Takes::Int(1, INT)),
    ("offsets.topic.replication.factor", Takes::Int(1, 32_767)),
    ("replica.lag.time.max.ms", Takes::Int(10_000, 30_000)),
    ("replica.*", Takes::Any),
    ("socket.*", Takes::Int(-1, INT)),
    ("transaction.*", Takes::Int(1, MAX)),
    ("transactional.id.expiration.ms", Takes::Int(1, INT)),
    ("unclean.leader.election.enable", Takes::Bool),
    ("zookeeper.session.timeout.ms", Takes::Int(6_000, 18_000)),
    ("zookeeper.*timeout.ms", Takes::Int(1, INT)),
];

/// Reports properties that MSK does not know, and values that can't be.
pub(super) fn check(properties: &BTreeMap<String, String>, cx: &mut Expansion<'_>) {
    for (name, value) in properties {
        let key = format!("config.{name}");
        match SETTABLE.iter().find(|(pattern, _)| fits(pattern, name)) {
            None => cx.warn(
                &key,
                format!("`{name}` is not among the broker properties that MSK lets anyone set"),
                "look it up in MSK's list of custom properties, or leave it out",
            ),
            Some((_, takes)) => {
                if let Err(expected) = takes.check(value) {
                    let message = format!("`{name}` can't be `{value}`");
                    cx.error(&key, message, &format!("it takes {expected}"));
                }
            }
        }
    }
}

impl Takes {
    /// An error says what is expected.
    fn check(&self, value: &str) -> Result<(), String> {
        let known = |words: &[&str], word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word));
        let number = value.parse::<i64>();
        let (fits, expected) = match self {
            Takes::Any => return Ok(()),
            Takes::Bool => (known(&["true", "false"], value), "true or false".to_owned()),
            Takes::Int(least, most) => {
                let expected = match (*least, *most) {
                    (i64::MIN, _) => "a whole number".to_owned(),
                    (least, MAX | INT) => format!("a whole number from {least} on"),
                    (least, most) => format!("a whole number from {least} to {most}"),
                };
                (number.is_ok_and(|n| (*least..=*most).contains(&n)), expected)
            }
            Takes::Limit => {
                let expected = "a positive whole number, or -1 for no limit".to_owned();
                (number.is_ok_and(|n| n == -1 || n > 0), expected)
            }
            Takes::Ratio => {
                let ratio = value.parse::<f64>().is_ok_and(|r| (0.0..=1.0).contains(&r));
                (ratio, "a number from 0 to 1".to_owned())
            }
            Takes::Word(words) => (words.contains(&value), format!("one of {}", words.join(", "))),
            Takes::Words(words) => {
                let all = value.split(',').all(|word| words.contains(&word.trim()));
                (all, format!("a list of {}", words.join(", ")))
            }
        };
        if fits { Ok(()) } else { Err(expected) }
    }
}

/// Whether `name` is what a pattern with at most one `*` means.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, right: &[&str], wrong: &[&str]) {
        let (_, takes) = SETTABLE.iter().find(|(pattern, _)| fits(pattern, name)).expect(name);
        for value in right {
            assert_eq!(takes.check(value), Ok(()), "{name} = {value}");
        }
        for value in wrong {
            assert!(takes.check(value).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn each_property_takes_what_it_can_be() {
        check("auto.create.topics.enable", &["true", "FALSE"], &["yes", "1", ""]);
        check("log.retention.ms", &["-1", "1"], &["0", "-5", "7d"]);
        check("log.retention.hours", &["-1", "168"], &["0", "-2"]);
        check("replica.lag.time.max.ms", &["10000", "30000"], &["9999", "30001"]);
        check("replica.selector.class", &["org.x.Selector"], &[]);
        check("zookeeper.session.timeout.ms", &["18000"], &["18001"]);
        check("log.cleanup.policy", &["compact", "compact,delete"], &["keep", ""]);
        check("log.cleaner.min.cleanable.ratio", &["0.5"], &["1.5", "half"]);
        check("compression.type", &["zstd"], &["ZIP"]);
        check("min.insync.replicas", &["2"], &["0", "-1"]);
        check("group.initial.rebalance.delay.ms", &["0"], &["-1"]);
        check("connections.max.idle.ms", &["-1"], &["never"]);
    }
}
