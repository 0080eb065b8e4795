//! The worker's process, its own configuration, and its tasks.

use super::config::shown_by;
use super::{Known, Layer, Rank, sign};
use crate::cause::evidence::Evidence;
use crate::cause::pattern::Gaps;

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-WORKER-MEMORY",
        title: "the worker ran out of memory",
        layer: Layer::Worker,
        signs: &[
            sign("java.lang.OutOfMemoryError: {space}"),
            sign("java.lang.OutOfMemoryError"),
            sign("GC overhead limit exceeded"),
        ],
        meaning: "The heap is full: rows are larger, or queues longer, than the worker's memory allows. An MCU is 4 GiB, of which the heap is a part.",
        fix: &[
            "Bound the queues by bytes: `max.queue.size.in.bytes` = 268435456, with `max.batch.size` = 1024 and `max.queue.size` = 4096.",
            "Or give the worker more MCUs (mcuCount 1, 2, 4 or 8).",
        ],
        source: "java.lang.OutOfMemoryError; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-WORKER-RESERVED-KEY",
        title: "the worker configuration has a key that MSK Connect sets itself: {key}",
        layer: Layer::Worker,
        fact: Some(reserved_key),
        signs: &[
            sign("The worker configuration contains a reserved property"),
            sign("cannot be specified in the worker configuration"),
        ],
        meaning: "MSK Connect refuses worker configurations with keys of its own: clients' security, internal topics, group, listeners.",
        fix: &[
            "Take {key} out of the worker configuration. Of `producer.` and `consumer.` only listed keys may stay (MSK Connect guide, \"Supported worker configuration properties\").",
        ],
        source: "MSK Connect guide, msk-connect-workers",
        ..super::KNOWN
    },
    Known {
        code: "C-NO-TASK",
        title: "the connector is RUNNING and has no task",
        layer: Layer::Tasks,
        fact: Some(no_task),
        rank: Rank::State,
        heals: true,
        meaning: "The connector itself runs, and nothing does its work: no task was made, or the workers lost them in a rebalance. No row arrives, and the state doesn't say so. Only in the first seconds after a start is it nothing.",
        fix: &[
            "Restart the connector with its tasks (RestartConnector).",
            "If it stays: look for the connector's own ERROR in the worker log, and that `tasks.max` is at least 1.",
        ],
        source: "Kafka Connect's REST interface: a connector and its tasks have states of their own",
        ..super::KNOWN
    },
    Known {
        code: "C-TASK-FAILED",
        title: "the connector is RUNNING and a task has failed",
        layer: Layer::Tasks,
        fact: Some(task_failed),
        rank: Rank::State,
        meaning: "A task that failed stays failed; Connect doesn't start it again, and the connector's state stays RUNNING.",
        fix: &[
            "Remove the cause in the task's trace, then restart the failed tasks (RestartConnector, onlyFailedTasks).",
        ],
        source: "WorkerTask.doRun; Kafka Connect's REST interface",
        ..super::KNOWN
    },
];

/// Beginnings of keys that a worker configuration on MSK Connect can't have, and whole keys.
/// Source: MSK Connect guide, msk-connect-workers (handbook msk.md §7.1).
const RESERVED: &[&str] = &[
    "access.control.",
    "admin.",
    "admin.listeners.https.",
    "client.",
    "connect.",
    "inter.worker.",
    "internal.",
    "listeners.https.",
    "metrics.",
    "metrics.context.",
    "rest.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
    "topic.tracking.",
    "worker.",
];
const RESERVED_KEYS: &[&str] = &[
    "bootstrap.servers",
    "config.storage.topic",
    "connections.max.idle.ms",
    "connector.client.config.override.policy",
    "group.id",
    "listeners",
    "metric.reporters",
    "plugin.path",
    "receive.buffer.bytes",
    "response.http.headers.config",
    "scheduled.rebalance.max.delay.ms",
    "send.buffer.bytes",
    "status.storage.topic",
];

/// True if MSK Connect keeps the key for itself and refuses a worker configuration that has it. Of `producer.` and `consumer.`, of which it
/// takes some, this says nothing.
pub fn is_reserved(key: &str) -> bool {
    RESERVED_KEYS.contains(&key) || RESERVED.iter().any(|prefix| key.starts_with(prefix))
}

fn reserved_key(evidence: &Evidence, _: Option<&str>) -> Option<Gaps> {
    let keys = evidence.worker_config.keys().filter(|key| is_reserved(key));
    let keys: Vec<_> = keys.cloned().collect();
    if keys.is_empty() || !evidence.failed() {
        return None;
    }
    let mut gaps = shown_by("the worker configuration".into());
    gaps.insert("key", keys.join(", "));
    Some(gaps)
}

fn no_task(evidence: &Evidence, _: Option<&str>) -> Option<Gaps> {
    let status = evidence.status.as_ref()?;
    (status.state == "RUNNING" && status.tasks.is_empty())
        .then(|| shown_by("Connect tells no task".into()))
}

fn task_failed(evidence: &Evidence, _: Option<&str>) -> Option<Gaps> {
    let status = evidence.status.as_ref().filter(|status| status.state == "RUNNING")?;
    let failed: Vec<_> = status
        .tasks
        .iter()
        .filter(|task| task.state == "FAILED")
        .map(|task| task.id.to_string())
        .collect();
    (!failed.is_empty()).then(|| {
        shown_by(format!("task {} of {} is FAILED", failed.join(", "), status.tasks.len()))
    })
}
