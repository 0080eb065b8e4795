//! The way from a cluster as it is to the wanted one; pure.

use std::collections::BTreeSet;
use std::time::Duration;

use msk_pipeline_core::kind::{Change, DataEffect, Effect, Input, Proposed, Verdict};

use super::{Call, Logs, Props, Seen, guard, usual_minutes};
use crate::kinds::is_other_key;

/// Why the wish can't be had in place (handbook msk.md §3, row *replace*).
pub(super) fn immutable(want: &Props, seen: &Seen, was: Option<&Props>) -> Option<String> {
    let wanted_subnets = want.subnets.known().map(|s| s.iter().cloned().collect::<BTreeSet<_>>());
    if wanted_subnets.as_ref() != Some(&seen.subnets) {
        return Some("a cluster can't move to other subnets".into());
    }
    let groups: Option<BTreeSet<_>> =
        want.security_groups.iter().map(|g| g.known().cloned()).collect();
    if groups.as_ref() != Some(&seen.security_groups) {
        return Some("a cluster can't change its security groups".into());
    }
    if mode(&want.version) != mode(&seen.version) {
        return Some("a cluster can't change between ZooKeeper and KRaft".into());
    }
    if number(&want.version) < number(&seen.version) {
        return Some(format!("a cluster can't go back from {} to {}", seen.version, want.version));
    }
    if family(&want.brokers.instance_type) != family(&seen.instance_type) {
        return Some("a cluster can't change between Standard and Express brokers".into());
    }
    let as_recorded = was.map(|was| was.kms_key == want.kms_key);
    if is_other_key(want.kms_key.as_deref(), seen.kms_key.as_deref(), as_recorded) {
        return Some("the key of an encrypted cluster can't be changed".into());
    }
    None
}

/// Why the wish can't be had at all without losing what nobody means to lose.
pub(super) fn impossible(want: &Props, seen: &Seen) -> Option<(String, String)> {
    if want.brokers.storage_gib < seen.storage_gib {
        return Some((
            format!(
                "storage can't shrink from {} to {} GiB",
                seen.storage_gib, want.brokers.storage_gib
            ),
            format!("set storage_gib = {} or more", seen.storage_gib),
        ));
    }
    let subnets = i32::try_from(seen.subnets.len()).unwrap_or(1).max(1);
    if want.brokers.count % subnets != 0 {
        return Some((
            format!("{} brokers don't spread evenly over {subnets} subnets", want.brokers.count),
            format!("choose a multiple of {subnets}"),
        ));
    }
    None
}

/// The updates, each family its own request, in Terraform's order: type, storage, count, monitoring, configuration or version, security.
pub(super) fn calls(want: &Props, seen: &Seen) -> Vec<Proposed<Call>> {
    let arn = || seen.arn.clone();
    let mut calls = Vec::new();
    let mut add = |op: &str, call: Call, fields: Vec<Change>, data: DataEffect| {
        let usual = Duration::from_secs(usual_minutes(op, seen.count) * 60);
        let call = Proposed::new(op, Effect::Update, call);
        calls.push(call.fields(fields).data(data).usual(usual).guard(guard(seen)));
    };
    let rolling = || DataEffect::new(Verdict::Restart, "brokers restart one after the other");
    if want.brokers.instance_type != seen.instance_type {
        let instance_type = want.brokers.instance_type.clone();
        let change = Change::new("brokers.type", Some(&seen.instance_type), Some(&instance_type));
        add(
            "kafka:UpdateBrokerType",
            Call::Type { arn: arn(), instance_type },
            vec![change],
            rolling(),
        );
    }
    if want.brokers.storage_gib > seen.storage_gib {
        let storage_gib = want.brokers.storage_gib;
        let change = Change::new("brokers.storage_gib", Some(seen.storage_gib), Some(storage_gib));
        let call = Call::Storage { arn: arn(), storage_gib };
        add("kafka:UpdateBrokerStorage", call, vec![change], DataEffect::NONE);
    }
    if want.brokers.count != seen.count {
        let count = want.brokers.count;
        let data = if count > seen.count {
            DataEffect::new(Verdict::None, "existing partitions stay where they are")
        } else {
            DataEffect::new(
                Verdict::Restart,
                "MSK refuses it while the removed brokers have partitions",
            )
        };
        let change = Change::new("brokers.count", Some(seen.count), Some(count));
        add("kafka:UpdateBrokerCount", Call::Count { arn: arn(), count }, vec![change], data);
    }
    let monitoring = monitoring_changes(want, seen);
    if !monitoring.is_empty() {
        let (level, logs) = (want.monitoring.clone(), want.logs.clone());
        let call = Call::Monitoring { arn: arn(), monitoring: level, logs };
        add("kafka:UpdateMonitoring", call, monitoring, DataEffect::NONE);
    }
    let (configuration_arn, revision) =
        (want.configuration_arn.clone(), want.configuration_revision.clone());
    let mut configuration = Vec::new();
    if configuration_arn.differs(&seen.configuration_arn) {
        configuration.push(Change::new(
            "configuration",
            Some(&seen.configuration_arn),
            Some(&configuration_arn),
        ));
    }
    if !configuration.is_empty() || revision.differs(&seen.configuration_revision) {
        configuration.push(Change::new(
            "configuration.revision",
            Some(seen.configuration_revision),
            Some(&revision),
        ));
    }
    if want.version != seen.version {
        let version = want.version.clone();
        let mut fields = vec![Change::new("version", Some(&seen.version), Some(&version))];
        fields.extend(configuration);
        let call = Call::Version { arn: arn(), version, configuration_arn, revision };
        add("kafka:UpdateClusterKafkaVersion", call, fields, rolling());
    } else if !configuration.is_empty() {
        let call = Call::Configuration { arn: arn(), configuration_arn, revision };
        add("kafka:UpdateClusterConfiguration", call, configuration, rolling());
    }
    if want.listeners != seen.listeners {
        let change = Change::new("listeners", Some(&seen.listeners), Some(&want.listeners));
        let call = Call::Security { arn: arn(), listeners: want.listeners.clone() };
        let mut data = rolling();
        if !seen.listeners.is_subset(&want.listeners) {
            data.what =
                "clients of the removed listener can't connect any more; brokers restart".into();
        }
        add("kafka:UpdateSecurity", call, vec![change], data);
        if let Some(security) = calls.last_mut() {
            let outputs =
                ["bootstrap_iam", "bootstrap_scram", "bootstrap_tls", "bootstrap_plaintext"];
            let changed = want.listeners.symmetric_difference(&seen.listeners).map(|l| l.output());
            let changed: BTreeSet<_> = changed.collect();
            let may: Vec<_> = outputs.into_iter().filter(|o| changed.contains(o)).collect();
            security.may_change.extend(may.into_iter().map(str::to_owned));
        }
    }
    calls
}

fn monitoring_changes(want: &Props, seen: &Seen) -> Vec<Change> {
    let mut changes = Vec::new();
    if want.monitoring != seen.monitoring {
        changes.push(Change::new("monitoring", Some(&seen.monitoring), Some(&want.monitoring)));
    }
    let Logs { cloudwatch, s3_bucket, s3_prefix } = &want.logs;
    let mut place = |name: &str, want: &Option<Input<String>>, seen: &Option<String>| {
        let same = match (want, seen) {
            (None, None) => true,
            (Some(want), Some(seen)) => !want.differs(seen),
            _ => false,
        };
        if !same {
            changes.push(Change::new(name, seen.as_ref(), want.as_ref()));
        }
    };
    place("logs.cloudwatch", cloudwatch, &seen.log_group);
    place("logs.s3_bucket", s3_bucket, &seen.log_bucket);
    if s3_prefix.as_deref().unwrap_or_default() != seen.log_prefix.as_deref().unwrap_or_default() {
        changes.push(Change::new("logs.s3_prefix", seen.log_prefix.as_ref(), s3_prefix.as_ref()));
    }
    changes
}

/// What a plan shows of a cluster that is to be made.
pub(super) fn all_fields(want: &Props) -> Vec<Change> {
    let new = |field: &str, value: serde_json::Value| Change::new(field, None::<()>, Some(value));
    let value = |v: &dyn erased::Value| v.value();
    vec![
        new("version", value(&want.version)),
        new("brokers.count", value(&want.brokers.count)),
        new("brokers.type", value(&want.brokers.instance_type)),
        new("brokers.storage_gib", value(&want.brokers.storage_gib)),
        new("subnets", value(&want.subnets)),
        new("security_groups", value(&want.security_groups)),
        new("listeners", value(&want.listeners)),
    ]
}

/// `serde_json::to_value` behind a trait object, so that a list of fields can mix types.
mod erased {
    pub(super) trait Value {
        fn value(&self) -> serde_json::Value;
    }
    impl<T: serde::Serialize> Value for T {
        fn value(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap_or_default()
        }
    }
}

#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a version, not a file")]
fn mode(version: &str) -> &'static str {
    if version.ends_with(".kraft") || number(version).first() >= Some(&4) {
        "kraft"
    } else {
        "zookeeper"
    }
}

/// `3.9.x.kraft` → `[3, 9]`.
fn number(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

fn family(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Brokers, Listener};
    use super::*;
    use crate::tags::Tags;

    fn want() -> Props {
        Props {
            name: "orders-main".into(),
            version: "3.9.x.kraft".into(),
            brokers: Brokers {
                count: 3,
                instance_type: "kafka.m7g.large".into(),
                storage_gib: 100,
            },
            subnets: Input::Known(vec!["subnet-1".into(), "subnet-2".into(), "subnet-3".into()]),
            security_groups: vec!["sg-1".into()],
            configuration_arn: "arn:c".into(),
            configuration_revision: Input::Known(1),
            listeners: BTreeSet::from([Listener::Iam]),
            kms_key: None,
            monitoring: "DEFAULT".into(),
            logs: Logs { cloudwatch: Some("logs".into()), ..Logs::default() },
            tags: Tags::new(),
        }
    }

    fn seen() -> Seen {
        let want = want();
        Seen {
            arn: "arn:k".into(),
            state: "ACTIVE".into(),
            version: want.version,
            count: 3,
            instance_type: want.brokers.instance_type,
            storage_gib: 100,
            subnets: BTreeSet::from(["subnet-3".into(), "subnet-1".into(), "subnet-2".into()]),
            security_groups: BTreeSet::from(["sg-1".into()]),
            configuration_arn: "arn:c".into(),
            configuration_revision: 1,
            listeners: want.listeners,
            monitoring: want.monitoring,
            kms_key: Some("arn:aws:kms:eu-west-1:1:key/own".into()),
            log_group: Some("logs".into()),
            ..Seen::default()
        }
    }

    #[track_caller]
    fn check(edit: impl FnOnce(&mut Props), expected: &[(&str, Verdict, &[&str])]) {
        let mut want = want();
        edit(&mut want);
        assert_eq!(immutable(&want, &seen(), None), None);
        assert_eq!(impossible(&want, &seen()), None);
        let calls = calls(&want, &seen());
        let found: Vec<_> = calls
            .iter()
            .map(|c| {
                let fields: Vec<_> = c.fields.iter().map(|f| f.field.as_str()).collect();
                (c.op.as_str(), c.data.verdict, fields)
            })
            .collect();
        let expected: Vec<_> = expected.iter().map(|(op, v, f)| (*op, *v, f.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_field_has_its_operation() {
        use Verdict::{None as Nothing, Restart};
        check(|_| {}, &[]);
        check(|w| w.brokers.count = 6, &[("kafka:UpdateBrokerCount", Nothing, &["brokers.count"])]);
        check(
            |w| w.brokers.storage_gib = 200,
            &[("kafka:UpdateBrokerStorage", Nothing, &["brokers.storage_gib"])],
        );
        check(
            |w| w.brokers.instance_type = "kafka.m7g.xlarge".into(),
            &[("kafka:UpdateBrokerType", Restart, &["brokers.type"])],
        );
        check(
            |w| w.version = "4.0.x.kraft".into(),
            &[("kafka:UpdateClusterKafkaVersion", Restart, &["version"])],
        );
        check(
            |w| w.configuration_revision = Input::output("c", "revision"),
            &[("kafka:UpdateClusterConfiguration", Restart, &["configuration.revision"])],
        );
        check(
            |w| {
                w.version = "4.0.x.kraft".into();
                w.configuration_revision = Input::Known(2);
            },
            &[("kafka:UpdateClusterKafkaVersion", Restart, &["version", "configuration.revision"])],
        );
        check(
            |w| {
                w.listeners.insert(Listener::Tls);
            },
            &[("kafka:UpdateSecurity", Restart, &["listeners"])],
        );
        check(
            |w| {
                w.monitoring = "PER_BROKER".into();
                w.logs.s3_bucket = Some("b".into());
            },
            &[("kafka:UpdateMonitoring", Nothing, &["monitoring", "logs.s3_bucket"])],
        );
        check(
            |w| {
                w.brokers.count = 6;
                w.brokers.storage_gib = 200;
                w.brokers.instance_type = "kafka.m7g.xlarge".into();
            },
            &[
                ("kafka:UpdateBrokerType", Restart, &["brokers.type"]),
                ("kafka:UpdateBrokerStorage", Nothing, &["brokers.storage_gib"]),
                ("kafka:UpdateBrokerCount", Nothing, &["brokers.count"]),
            ],
        );
    }

    #[test]
    fn another_key_is_another_cluster() {
        let with = |key: &str| {
            let key = (!key.is_empty()).then(|| key.to_owned());
            Props { kms_key: key, ..want() }
        };
        let fresh = |wanted| immutable(&with(wanted), &seen(), None).is_some();
        let other = |wanted, was| immutable(&with(wanted), &seen(), Some(&with(was))).is_some();
        let (arn, alias) = ("arn:aws:kms:eu-west-1:1:key/own", "alias/data");
        assert!(!fresh(arn));
        assert!(!other("own", alias));
        assert!(other("arn:aws:kms:eu-west-1:1:key/new", arn));
        // An alias, or none, is known by what was recorded.
        assert!(!fresh(alias) && !fresh(""));
        assert!(!other(alias, alias) && !other("", ""));
        assert!(other("alias/new", alias));
        assert!(other("", alias));
    }

    #[test]
    fn what_can_not_be_changed_replaces_or_is_refused() {
        let replaced = |edit: fn(&mut Props)| {
            let mut want = want();
            edit(&mut want);
            immutable(&want, &seen(), None).is_some()
        };
        assert!(replaced(|w| w.subnets = Input::Known(vec!["subnet-1".into()])));
        assert!(replaced(|w| w.security_groups = vec!["sg-2".into()]));
        assert!(replaced(|w| w.security_groups = vec![Input::output("g", "group_id")]));
        assert!(replaced(|w| w.version = "3.9.x".into()));
        assert!(replaced(|w| w.kms_key = Some("other".into())));
        assert!(replaced(|w| w.version = "3.8.x.kraft".into()));
        assert!(replaced(|w| w.brokers.instance_type = "express.m7g.large".into()));
        let refused = |edit: fn(&mut Props)| {
            let mut want = want();
            edit(&mut want);
            impossible(&want, &seen()).is_some()
        };
        assert!(refused(|w| w.brokers.storage_gib = 50));
        assert!(refused(|w| w.brokers.count = 4));
    }
}
