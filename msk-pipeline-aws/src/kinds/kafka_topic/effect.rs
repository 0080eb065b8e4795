//! What changes of a topic do to the records in it.

use msk_pipeline_core::kind::{DataEffect, Verdict};

use super::{Configs, Holds};

/// The topic goes, with all that is in it.
pub(super) fn of_deleting(holds: Holds, name: &str) -> DataEffect {
    let what = match holds {
        Holds::Data => format!("the records of topic {name}"),
        Holds::History => {
            format!("the schema history in topic {name}: its connector can't go on without it")
        }
        Holds::Offsets => {
            format!("the place of a connector, in topic {name}: it begins with a new snapshot")
        }
    };
    DataEffect::new(Verdict::Lost, what)
}

/// A key's next event may go to another partition than its last.
pub(super) fn of_more_partitions(name: &str) -> DataEffect {
    let what = format!("keys of topic {name} move to other partitions");
    DataEffect::new(Verdict::Ordering, what)
}

/// Configs change: the worst of what each of them does.
pub(super) fn of_configs(holds: Holds, name: &str, from: &Configs, to: &Configs) -> DataEffect {
    let mut shrinks = Vec::new();
    for (key, default) in [("retention.ms", Some(DEFAULT_RETENTION_MS)), ("retention.bytes", None)]
    {
        if limit(to, key, default) < limit(from, key, default) {
            shrinks.push(key);
        }
    }
    if shrinks.is_empty() && policy(from) == policy(to) {
        return DataEffect::NONE;
    }
    let what = if shrinks.is_empty() {
        format!(
            "cleanup.policy of topic {name} changes: older records of each key, or old records, go"
        )
    } else {
        format!("{} of topic {name} shrinks: older records go", shrinks.join(" and "))
    };
    match holds {
        Holds::Data => DataEffect::new(Verdict::Gap, format!("{what}; consumers behind miss them")),
        Holds::History | Holds::Offsets => DataEffect::new(Verdict::Lost, what),
    }
}

/// `log.retention.hours` is 168 unless the cluster's configuration says otherwise.
const DEFAULT_RETENTION_MS: u64 = 168 * 3600 * 1000;

/// A limit as a number; unlimited is the highest.
fn limit(configs: &Configs, key: &str, default: Option<u64>) -> u64 {
    let default = default.unwrap_or(u64::MAX);
    match configs.get(key).map(|v| v.parse::<i64>()) {
        Some(Ok(n)) => u64::try_from(n).unwrap_or(u64::MAX),
        _ => default,
    }
}

fn policy(configs: &Configs) -> Vec<&str> {
    let policy = configs.get("cleanup.policy").map_or("delete", String::as_str);
    let mut parts: Vec<&str> = policy.split(',').map(str::trim).collect();
    parts.sort_unstable();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_retention_and_another_policy_cost_records() {
        let configs = |list: &[(&str, &str)]| -> Configs {
            list.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let verdict = |holds, from: &[(&str, &str)], to: &[(&str, &str)]| {
            of_configs(holds, "t", &configs(from), &configs(to)).verdict
        };
        use Holds::{Data, History, Offsets};
        use Verdict::{Gap, Lost, None};
        for (holds, from, to, expected) in [
            (Data, [("retention.ms", "1000")], [("retention.ms", "2000")], None),
            (Data, [("retention.ms", "2000")], [("retention.ms", "1000")], Gap),
            (Data, [("retention.ms", "1000")], [("retention.ms", "-1")], None),
            (History, [("retention.ms", "-1")], [("retention.ms", "1000")], Lost),
            (Data, [("retention.bytes", "-1")], [("retention.bytes", "9")], Gap),
            (Data, [("cleanup.policy", "delete")], [("cleanup.policy", "compact")], Gap),
            (Offsets, [("cleanup.policy", "compact")], [("cleanup.policy", "delete")], Lost),
            (
                Data,
                [("cleanup.policy", "compact,delete")],
                [("cleanup.policy", "delete, compact")],
                None,
            ),
            (Data, [("max.message.bytes", "2")], [("max.message.bytes", "1")], None),
        ] {
            assert_eq!(verdict(holds, &from, &to), expected, "{holds:?} {from:?} {to:?}");
        }
        assert_eq!(verdict(Data, &[], &[("retention.ms", "3600000")]), Gap, "default: 7 days");
        assert_eq!(verdict(Data, &[("retention.ms", "1209600000")], &[]), Gap);
    }
}
