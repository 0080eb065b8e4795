//! What can't work, or should be looked at: found before the first request, each with what to do.

mod postgresql;

use msk_pipeline_core::dsl::Expansion;
use msk_pipeline_verify::cause::is_reserved_worker_key;

use super::around::{self, Cluster, Source};
use super::keys::{FREE_PREFIXES, WORKER_CONSUMER, WORKER_PRODUCER};
use super::product::Product;
use super::{Connector, PROVIDER, Parts, Snapshot};
use crate::components::database::Engine;
use crate::components::kafka::Listener;

pub(super) fn check(
    connector: &Connector,
    name: &str,
    cluster: &Cluster<'_>,
    source: &Source<'_>,
    cx: &mut Expansion<'_>,
) {
    tables(connector, cx);
    if matches!(&connector.plugin, Some(Parts::Several(parts)) if parts.is_empty()) {
        cx.error("plugin", "the plugin has no part", "leave `plugin` out for Debezium 2.7.4");
    }
    let product = source.product();
    capacity(connector, product, cx);
    listener(connector, cluster, cx);
    topics(connector, cluster, cx);
    secret(source, cx);
    neighbours(connector, name, source, cx);
    match product.engine {
        Engine::MySql => mysql(connector, cx),
        Engine::PostgreSql => postgresql::check(connector, name, cx),
    }
    transforms(connector, cx);
    snapshot(connector, source, cx);
    for (key, value) in &connector.config {
        configuration(key, value, connector, product, cx);
    }
    queue(connector, cx);
    for key in connector.worker.keys() {
        worker(key, cx);
    }
}

fn tables(connector: &Connector, cx: &mut Expansion<'_>) {
    if connector.tables.is_empty() {
        cx.error("tables", "no table is captured", "name some: tables = [\"shop.orders\"]");
    }
    for (n, table) in connector.tables.iter().enumerate() {
        let key = format!("tables.{n}");
        if let Err(why) = super::table(table) {
            cx.error(&key, why, "");
        }
        if connector.tables[..n].contains(table) {
            cx.error(&key, format!("`{table}` is listed twice"), "leave one out");
        }
    }
}

/// What a connector that reads a binary log can't have.
fn mysql(connector: &Connector, cx: &mut Expansion<'_>) {
    for (key, given) in [("slot", &connector.slot), ("publication", &connector.publication)] {
        if given.is_some() {
            cx.error(key, format!("Aurora MySQL has no {key}"), "leave it out");
        }
    }
}

fn capacity(connector: &Connector, product: &Product, cx: &mut Expansion<'_>) {
    let capacity = &connector.capacity;
    if capacity.autoscaling {
        cx.error(
            "capacity.autoscaling",
            format!("Debezium's {} connector is a single task, which autoscaling can't divide, and it would override tasks.max", product.title),
            "leave it out; give the worker more MCUs: capacity = { mcu = 2 }",
        );
    }
    if !matches!(capacity.mcu, 1 | 2 | 4 | 8) {
        cx.error(
            "capacity.mcu",
            format!("a worker can't have {} MCUs", capacity.mcu),
            "use 1, 2, 4 or 8 (each is one vCPU and 4 GiB)",
        );
    }
    if capacity.workers > 1 {
        cx.warn(
            "capacity.workers",
            format!(
                "Debezium's {} connector is a single task: {} of {} workers idle, and cost",
                product.title,
                capacity.workers - 1,
                capacity.workers
            ),
            "use one worker, and more MCUs if it is slow",
        );
    }
}

fn listener(connector: &Connector, cluster: &Cluster<'_>, cx: &mut Expansion<'_>) {
    if !cluster.kafka.listeners.contains(&cluster.listener) {
        cx.error(
            "kafka",
            format!(
                "MSK Connect speaks to IAM, TLS or plaintext listeners, and `{}` has none of them",
                cluster.name
            ),
            &format!("add one: [kafka.{}] listeners = [\"iam\", …]", cluster.name),
        );
    }
    if cluster.listener == Listener::Iam && cluster.t3() {
        cx.warn(
            "kafka",
            "kafka.t3.small takes 4 new IAM connections a second, too few for MSK Connect: connectors fail at random",
            &format!("use kafka.m7g.large or larger in [kafka.{}] brokers.type", cluster.name),
        );
    }
    if connector.connect_version.as_deref() == Some("2.7.1")
        && let Some(key) = connector.config.keys().find(|k| override_of(k))
    {
        cx.error(
            &under("config", key),
            format!("Connect 2.7.1 lets no connector set `{key}`"),
            "use connect_version = \"3.7.x\", or leave it out",
        );
    }
}

/// A batch has to fit into the queue; Debezium refuses to start otherwise. Defaults: handbook msk.md §8.
fn queue(connector: &Connector, cx: &mut Expansion<'_>) {
    let number = |key: &str, default: i64| match connector.config.get(key) {
        Some(value) => value.trim().parse().ok(),
        None => Some(default),
    };
    let (batch, queue) = (number("max.batch.size", 2048), number("max.queue.size", 8192));
    if let (Some(batch), Some(queue)) = (batch, queue)
        && batch >= queue
    {
        let key = if connector.config.contains_key("max.queue.size") { "queue" } else { "batch" };
        cx.error(
            &under("config", &format!("max.{key}.size")),
            format!("batches of {batch} don't fit into a queue of {queue} records"),
            "make `max.queue.size` larger than `max.batch.size`",
        );
    }
}

fn override_of(key: &str) -> bool {
    ["producer.override.", "consumer.override.", "admin.override."]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

fn topics(connector: &Connector, cluster: &Cluster<'_>, cx: &mut Expansion<'_>) {
    let replication = super::replication(connector, cluster);
    if let Some(brokers) = cluster.brokers().filter(|b| replication > *b) {
        cx.error(
            "topics.replication",
            format!("{replication} copies don't fit on {brokers} brokers"),
            "at most one copy a broker is possible",
        );
    }
    if msk_pipeline_core::dsl::duration(&connector.topics.retention).is_ok_and(|d| d.is_zero()) {
        cx.error(
            "topics.retention",
            "events that are kept for no time at all are deleted before they are read",
            "write a time such as \"7d\", or \"forever\"",
        );
    }
    let compacted = connector.topics.cleanup.contains("compact");
    if compacted && connector.config.get("tombstones.on.delete").is_some_and(|v| v == "false") {
        cx.warn(
            "topics.cleanup",
            "compacted topics keep deleted rows for ever without tombstones",
            "leave `tombstones.on.delete` out of `config`",
        );
    }
}

fn secret(source: &Source<'_>, cx: &mut Expansion<'_>) {
    if source.secret.starts_with("arn:") {
        let name = source.secret.rsplit(':').next().unwrap_or_default();
        let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
        cx.error(
            "secret",
            "a placeholder can't hold an ARN: its colons separate path and key",
            &format!("give the secret's name: \"{name}\""),
        );
    }
}

/// What two connectors must not share.
fn neighbours(connector: &Connector, name: &str, source: &Source<'_>, cx: &mut Expansion<'_>) {
    let cluster = around::cluster_of(connector, cx);
    let prefix = super::prefix(connector, name, cx);
    let server_id = super::server_id(connector, name, cx);
    for (other_name, other) in cx.all::<Connector>() {
        // Each pair once, at the later name.
        if other_name >= name {
            continue;
        }
        let same_source = other.source == connector.source;
        let mysql = source.product().engine == Engine::MySql;
        if same_source && mysql && super::server_id(other, other_name, cx) == server_id {
            cx.error(
                "server_id",
                format!("`connector.{other_name}` reads the same database as replica {server_id}, and the server throws one of two out"),
                "give each its own, or leave them out",
            );
        }
        let publication = connector.publication(name, cx);
        if same_source && !mysql && other.publication(other_name, cx) == publication {
            cx.error(
                "publication",
                format!("`connector.{other_name}` has the publication `{publication}`, too, and each has its own tables"),
                "give each its own, or leave them out",
            );
        }
        let slot = connector.slot(name, cx);
        if same_source && !mysql && other.slot(other_name, cx) == slot {
            cx.error(
                "slot",
                format!("`connector.{other_name}` reads the slot `{slot}`, too, and a slot has one reader"),
                "give each its own, or leave them out",
            );
        }
        if around::cluster_of(other, cx) == cluster
            && super::prefix(other, other_name, cx) == prefix
        {
            cx.error(
                "prefix",
                format!(
                    "`connector.{other_name}` writes to topics with the prefix `{prefix}`, too"
                ),
                "give each its own",
            );
        }
    }
}

fn transforms(connector: &Connector, cx: &mut Expansion<'_>) {
    for (n, transform) in connector.transforms.iter().enumerate() {
        let key = format!("transforms.{n}");
        let earlier = &connector.transforms[..n];
        if earlier.iter().any(|t| t.name == transform.name) {
            cx.error(&key, format!("two transforms are called `{}`", transform.name), "rename one");
        }
        if transform.name.is_empty() || transform.name.contains([',', '.', ' ']) {
            cx.error(
                &key,
                format!("`{}` is no name for a transform", transform.name),
                "use letters, digits, - and _",
            );
        }
        if transform.options.contains_key("type") {
            cx.error(&key, "`type` is set twice", "leave it out of `options`");
        }
    }
}

fn snapshot(connector: &Connector, source: &Source<'_>, cx: &mut Expansion<'_>) {
    let locks = source.product().engine == Engine::MySql;
    if locks && connector.snapshot == Snapshot::Initial {
        cx.warn(
            "snapshot",
            "Aurora refuses the global read lock, so an initial snapshot locks every captured table until it is done: writers wait",
            "leave `snapshot` out, and read existing rows by an incremental snapshot",
        );
    }
    if connector.snapshot == Snapshot::Incremental
        && let Err(why) = super::table(source.database.signal_table())
    {
        cx.error("source", format!("the signal table of its database: {why}"), "");
    }
}

fn configuration(
    key: &str,
    value: &str,
    connector: &Connector,
    product: &Product,
    cx: &mut Expansion<'_>,
) {
    let at = under("config", key);
    let keys = product.keys;
    if let Some((_, new)) = keys.renamed.iter().find(|(old, _)| *old == key) {
        let own = keys.owner(new).map(|own| format!(", which {own} sets"));
        cx.error(
            &at,
            format!("`{key}` is a name of Debezium 1.x, which 2.7 ignores"),
            &format!("it is called `{new}` now{}", own.unwrap_or_default()),
        );
        return;
    }
    if let Some(rest) = key.strip_prefix("database.history.") {
        cx.error(
            &at,
            format!("`{key}` is a name of Debezium 1.x, which 2.7 ignores"),
            &format!("it is called `schema.history.internal.{rest}` now"),
        );
        return;
    }
    if let Some((_, whose)) = keys.foreign.iter().find(|(foreign, _)| *foreign == key) {
        cx.error(
            &at,
            format!(
                "`{key}` is a key of Debezium's {whose} connector, and this one is for {}",
                product.title
            ),
            "leave it out",
        );
        return;
    }
    if let Some(own) = keys.owner(key) {
        cx.error(&at, format!("`{key}` is set by {own} of the section"), "leave it out here");
        return;
    }
    match key {
        "name" => {
            cx.error(&at, "the connector's name is derived", "leave it out");
            return;
        }
        "topic.creation.groups" => {
            cx.error(
                &at,
                "one group is made here, for heartbeats and schema changes",
                "leave it out",
            );
            return;
        }
        "connector.class" if value != product.class => {
            let message = format!("only Debezium's {} connector is generated here", product.title);
            cx.error(&at, message, "leave it out");
            return;
        }
        "tasks.max" if value != "1" => {
            let message = format!("Debezium's {} connector is a single task", product.title);
            cx.error(&at, message, "leave `tasks.max` out");
            return;
        }
        "table.exclude.list" | "database.exclude.list" => {
            cx.error(
                &at,
                format!("`{key}` contradicts `tables`: Debezium takes one of both"),
                "leave it out; what is not in `tables` is not captured",
            );
            return;
        }
        _ => {}
    }
    let runtime = ["bootstrap.servers", "group.id", "security.protocol"].contains(&key)
        || ["sasl.", "ssl.", "producer.", "consumer.", "admin."]
            .iter()
            .any(|prefix| key.starts_with(prefix))
            && !override_of(key);
    if runtime {
        cx.error(
            &at,
            format!("`{key}` belongs to the clients of Connect itself, which MSK Connect sets"),
            "leave it out; one connector's producer is set by `producer.override.…`",
        );
        return;
    }
    secrets(key, value, connector, &at, cx);
    if let Some((_, values)) = keys.values.iter().find(|(k, _)| *k == key)
        && !values.contains(&value.to_ascii_lowercase().as_str())
    {
        cx.error(
            &at,
            format!("`{value}` is no value of `{key}`"),
            &format!("known: {}", values.join(", ")),
        );
    }
    // What comes out of a secret can't be judged.
    if !value.contains("${") {
        ranges(key, value, product, &at, cx);
    }
    contradictions(key, value, connector, product, &at, cx);
    let free = FREE_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    if !free
        && !keys.known.contains(&key)
        && let Some(near) = nearest(key, keys.known)
    {
        cx.warn(
            &at,
            format!("Debezium doesn't know `{key}`, and ignores what it doesn't know"),
            &format!("did you mean `{near}`?"),
        );
    }
}

/// Values that no setting of the key can have.
fn ranges(key: &str, value: &str, product: &Product, at: &str, cx: &mut Expansion<'_>) {
    let lower = value.to_ascii_lowercase();
    if product.keys.booleans.contains(&key) && !matches!(lower.as_str(), "true" | "false") {
        cx.error(at, format!("`{value}` is no value of `{key}`"), "known: true, false");
    }
    if key == "skipped.operations"
        && !value.split(',').all(|op| matches!(op.trim(), "c" | "u" | "d" | "t" | "none"))
    {
        cx.error(
            at,
            format!("`{value}` is no value of `{key}`"),
            "a list of c (create), u (update), d (delete), t (truncate), or none",
        );
    }
    let number = value.trim().parse::<i64>();
    let known = product
        .keys
        .numbers
        .iter()
        .find(|(k, ..)| *k == key)
        .map(|&(_, least, most)| (least, most));
    let topic = key.strip_prefix("topic.creation.").map(|rest| rest.split_once('.'));
    // Without a number these ask the broker; without a limit records stay for ever.
    let of_topic = match topic {
        Some(Some((_, "partitions" | "replication.factor"))) => Some((-1, i64::from(i32::MAX))),
        Some(Some((_, "retention.ms" | "retention.bytes"))) => Some((-1, i64::MAX)),
        _ => None,
    };
    if let Some((least, most)) = known.or(of_topic) {
        let no_topic = of_topic.is_some() && number.as_ref().is_ok_and(|n| *n == 0);
        if no_topic || !number.is_ok_and(|n| (least..=most).contains(&n)) {
            let expected = match of_topic {
                Some(_) => "a positive whole number, or -1".to_owned(),
                None => format!("a whole number from {least} on"),
            };
            cx.error(at, format!("`{key}` can't be `{value}`"), &format!("it takes {expected}"));
        }
    }
}

fn secrets(key: &str, value: &str, connector: &Connector, at: &str, cx: &mut Expansion<'_>) {
    let lower = key.to_ascii_lowercase();
    let secret = ["password", "secret", "credentials", "api.key"].iter().any(|w| lower.contains(w));
    if secret && !value.contains("${") {
        cx.error(
            at,
            format!(
                "`{key}` has a secret in the clear, for everybody who may describe the connector"
            ),
            &format!("put it into a secret and write ${{{PROVIDER}:<secret's name>:<key>}}"),
        );
    }
    for placeholder in value.split("${").skip(1) {
        let inner = placeholder.split('}').next().unwrap_or_default();
        let Some((provider, path)) = inner.split_once(':') else { continue };
        let declared = connector.worker.get("config.providers");
        if provider != PROVIDER && !declared.is_some_and(|d| d.split(',').any(|p| p == provider)) {
            cx.error(
                at,
                format!("no config provider is called `{provider}`"),
                &format!("the one there is: {PROVIDER}"),
            );
        }
        if path.starts_with("arn:") {
            cx.error(
                at,
                "a placeholder can't hold an ARN: its colons separate path and key",
                "give the secret's name",
            );
        }
    }
}

fn contradictions(
    key: &str,
    value: &str,
    connector: &Connector,
    product: &Product,
    at: &str,
    cx: &mut Expansion<'_>,
) {
    let (tls, plain) = product.tls;
    match (key, value.to_ascii_lowercase().as_str()) {
        ("snapshot.mode", "never") if product.engine == Engine::PostgreSql => cx.warn(
            at,
            "`never` is deprecated, and Debezium 3 refuses it",
            "it is called no_data",
        ),
        ("snapshot.mode", "never") => cx.warn(
            at,
            "without a snapshot the connector knows no table, unless the binary log begins with their creation",
            "use no_data",
        ),
        ("snapshot.mode", "initial_only") => cx.warn(
            at,
            "after the snapshot the connector captures nothing",
            "use `snapshot = \"initial\"`",
        ),
        ("snapshot.mode", "schema_only" | "schema_only_recovery") => cx.warn(
            at,
            format!("`{value}` is deprecated, and Debezium 3 refuses it"),
            "it is called no_data, and recovery",
        ),
        ("snapshot.locking.mode", "none")
            if connector.snapshot == Snapshot::Initial && product.engine == Engine::MySql =>
        {
            cx.warn(
            at,
            "what is committed while an initial snapshot starts is missed without a lock",
            "use `snapshot = \"incremental\"`",
        );
        }
        (_, mode) if key == tls && plain.contains(&mode) => cx.warn(
            at,
            "the password and every row may travel in the clear",
            "leave it out: TLS is required, which every Aurora cluster offers",
        ),
        ("plugin.name", plugin) if plugin != "pgoutput" => cx.error(
            at,
            format!("Aurora has no output plugin `{plugin}` that Debezium can use"),
            "leave it out: it is pgoutput",
        ),
        ("publication.autocreate.mode", "all_tables" | "filtered") => cx.warn(
            at,
            "the capture user owns no table, so it can make no publication of them: the connector fails where the publication is missing",
            "leave it out: the publication is made before the connector",
        ),
        ("slot.drop.on.stop", "true") => cx.error(
            at,
            "each stop drops the slot, also that of an update: what is changed until the next start is missed",
            "leave it out: the slot is dropped with the connector",
        ),
        ("errors.tolerance", "all") => cx.warn(
            at,
            "events that can't be written are dropped, and only the log tells",
            "leave it out: the connector then stops where it is",
        ),
        ("producer.override.acks", "0" | "1") => cx.warn(
            at,
            "events are lost with a broker that acknowledged them alone",
            "leave it out",
        ),
        ("signal.enabled.channels", channels)
            if connector.snapshot == Snapshot::Incremental && !channels.contains("source") =>
        {
            cx.error(
                at,
                "incremental snapshots are started through the signal table, the channel `source`",
                "add `source`",
            );
        }
        ("schema.history.internal.store.only.captured.tables.ddl", "true") => cx.warn(
            at,
            "a table that is added later has no schema in the history, and stops the connector",
            "leave it out",
        ),
        _ => {}
    }
}

fn worker(key: &str, cx: &mut Expansion<'_>) {
    let at = under("worker", key);
    if key == "offset.storage.topic" {
        cx.error(
            &at,
            "`offset.storage.topic` is the connector's own topic, which `generation` names",
            "leave it out here",
        );
        return;
    }
    let provider = format!("config.providers.{PROVIDER}.");
    if key == "config.providers" || key.starts_with(&provider) {
        cx.error(
            &at,
            format!("`{key}` is what the database's password comes through"),
            "leave it out",
        );
        return;
    }
    let client = [("producer.", WORKER_PRODUCER), ("consumer.", WORKER_CONSUMER)];
    for (prefix, allowed) in client {
        if let Some(rest) = key.strip_prefix(prefix) {
            if !allowed.contains(&rest) {
                let help = nearest(rest, allowed).map_or_else(
                    || format!("allowed: {}", allowed.join(", ")),
                    |near| format!("did you mean `{prefix}{near}`?"),
                );
                cx.error(&at, format!("MSK Connect doesn't allow `{key}`"), &help);
            }
            return;
        }
    }
    if is_reserved_worker_key(key) {
        cx.error(&at, format!("MSK Connect keeps `{key}` for itself"), "leave it out");
    }
}

/// Where a key of a table stands.
fn under(table: &str, key: &str) -> String {
    format!("{table}.{key}")
}

/// The candidate nearest to `word`, if it is a typing error away.
fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let allowed = (word.len() / 6).clamp(1, 3);
    candidates
        .iter()
        .map(|c| (distance(word, c), *c))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, c)| c)
}

/// How many letters have to be put in, taken away or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
