//! Static knowledge: Kafka versions, broker types, and which broker properties may be set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::world::Millis;

/// 2026-06-01T00:00:00Z, when support for 3.6.0 ends.
const END_OF_3_6: Millis = 1_780_272_000_000;

/// A Kafka version string with the moment its support ended (0: before any world begins). The string is literal: `3.8.x` runs
/// the newest 3.8, `.kraft` selects `KRaft`, and 4.x exists with that suffix only.
const VERSIONS: &[(&str, Option<Millis>)] = &[
    ("1.1.1", Some(0)),
    ("2.2.1", Some(0)),
    ("2.3.1", Some(0)),
    ("2.4.1", Some(0)),
    ("2.4.1.1", Some(0)),
    ("2.5.1", Some(0)),
    ("2.6.0", Some(0)),
    ("2.6.1", Some(0)),
    ("2.6.2", Some(0)),
    ("2.6.3", Some(0)),
    ("2.7.0", Some(0)),
    ("2.7.1", Some(0)),
    ("2.7.2", Some(0)),
    ("2.8.0", Some(0)),
    ("2.8.1", Some(0)),
    ("2.8.2.tiered", Some(0)),
    ("3.1.1", Some(0)),
    ("3.2.0", Some(0)),
    ("3.3.1", Some(0)),
    ("3.3.2", Some(0)),
    ("3.4.0", Some(0)),
    ("3.5.1", Some(0)),
    ("3.6.0", Some(END_OF_3_6)),
    ("3.7.x", None),
    ("3.7.x.kraft", None),
    ("3.8.x", None),
    ("3.8.x.kraft", None),
    ("3.9.x", None),
    ("3.9.x.kraft", None),
    ("4.0.x.kraft", None),
    ("4.1.x.kraft", None),
];

/// Every version with whether it is ACTIVE now.
pub(crate) fn all(now: Millis) -> impl Iterator<Item = (&'static str, bool)> {
    VERSIONS.iter().map(move |(version, end)| (*version, end.is_none_or(|end| now < end)))
}

/// The versions a new cluster may have.
pub(crate) fn active(now: Millis) -> Vec<&'static str> {
    all(now).filter(|(_, active)| *active).map(|(version, _)| version).collect()
}

/// Whether a version keeps its metadata in `KRaft`.
pub(crate) fn kraft(version: &str) -> bool {
    version.rsplit('.').next() == Some("kraft")
}

/// `(major, minor, patch)`; `x` counts as the newest patch.
pub(crate) fn numbers(version: &str) -> (u32, u32, u32) {
    let mut parts =
        version.split('.').map(|p| if p == "x" { u32::MAX } else { p.parse().unwrap_or(0) });
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

/// Where a cluster of this version can go: upward, to a supported version of the same metadata mode.
pub(crate) fn targets(source: &str, now: Millis) -> Vec<&'static str> {
    active(now)
        .into_iter()
        .filter(|target| kraft(target) == kraft(source) && numbers(target) > numbers(source))
        .collect()
}

const M5: &[&str] =
    &["large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge"];
const M7G: &[&str] = &["large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge"];

/// The broker types that a version can run on.
pub(crate) fn instance_types(version: &str) -> Vec<String> {
    let mut out: Vec<String> = M7G.iter().map(|size| format!("express.m7g.{size}")).collect();
    if !kraft(version) {
        out.push("kafka.t3.small".into());
    }
    out.extend(M5.iter().map(|size| format!("kafka.m5.{size}")));
    out.extend(M7G.iter().map(|size| format!("kafka.m7g.{size}")));
    out
}

/// Whether a type is an Express broker.
pub(crate) fn express(instance_type: &str) -> bool {
    instance_type.starts_with("express.")
}

/// How big a size is: 1 = large, 2 = xlarge, 3 = 2xlarge, 5 = 4xlarge, ...; 0 for t3.small.
fn rank(instance_type: &str) -> u32 {
    match instance_type.rsplit('.').next().unwrap_or("") {
        "small" => 0,
        "large" => 1,
        "xlarge" => 2,
        size => size.trim_end_matches("xlarge").parse::<u32>().unwrap_or(0) + 1,
    }
}

/// How many partitions a Standard broker may hold.
pub(crate) fn partition_limit(instance_type: &str) -> usize {
    match rank(instance_type) {
        0 => 300,
        1 | 2 => 1000,
        3 => 2000,
        _ => 4000,
    }
}

/// Whether a type is big enough for provisioned storage throughput: m5.4xlarge, m7g.2xlarge or more.
pub(crate) fn takes_throughput(instance_type: &str) -> bool {
    let least = if instance_type.starts_with("kafka.m7g.") { 3 } else { 5 };
    !express(instance_type) && rank(instance_type) >= least
}

/// The text behind base64, if it is one.
pub(crate) fn decode(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

/// The text as base64.
pub(crate) fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// The keys and values of a Java properties text, in order.
pub(crate) fn properties(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(|line| {
            let end = line.find(['=', ':', ' ', '\t']).unwrap_or(line.len());
            let value = line[end..].trim_start().trim_start_matches(['=', ':']).trim_start();
            (line[..end].to_owned(), value.to_owned())
        })
        .collect()
}

const PROPERTIES: &[&str] = &[
    "allow.everyone.if.no.acl.found",
    "auto.create.topics.enable",
    "compression.type",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "leader.imbalance.per.broker.percentage",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleanup.policy",
    "log.roll.ms",
    "log.segment.bytes",
    "max.incremental.fetch.session.cache.slots",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.partitions",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "offsets.retention.minutes",
    "offsets.topic.replication.factor",
    "transactional.id.expiration.ms",
    "unclean.leader.election.enable",
];

/// Families: a prefix and a suffix.
const FAMILIES: &[(&str, &str)] = &[
    ("group.", ".ms"),
    ("log.flush.interval.", ""),
    ("log.message.timestamp.", ""),
    ("log.retention.", ""),
    ("replica.", ""),
    ("socket.", ""),
    ("transaction.", ""),
    ("zookeeper.", "timeout.ms"),
];

/// Whether a broker property may be set in a configuration.
pub(crate) fn settable(key: &str) -> bool {
    PROPERTIES.contains(&key)
        || FAMILIES.iter().any(|(prefix, suffix)| {
            key.len() > prefix.len() + suffix.len()
                && key.starts_with(prefix)
                && key.ends_with(suffix)
        })
}

/// Ranges of broker properties.
pub(crate) const RANGES: &[(&str, i64, i64)] =
    &[("replica.lag.time.max.ms", 10_000, 30_000), ("zookeeper.session.timeout.ms", 6_000, 18_000)];

const TOPIC_CONFIGS: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// Whether Kafka knows a topic configuration of this name.
pub(crate) fn topic_config(key: &str) -> bool {
    TOPIC_CONFIGS.contains(&key)
}
