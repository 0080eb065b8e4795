//! What comes next for a cluster; pure.

use std::collections::BTreeSet;

use msk_pipeline_core::kind::{
    Case, Change, DataEffect, Effect, Input, Next, Proposed, Recorded, Verdict,
};

use super::{AuroraCluster, Call, Changes, Cluster, OnDestroy, Outputs, Props, Seen, same_version};
use crate::kinds::rds::{CLUSTER_USUAL, TagCall, is_under_way, wait};
use crate::kinds::{is_other_key, short_hash};
use crate::tags::marked;

type Step = Next<Call, Outputs>;
const MODIFY: &str = "rds:ModifyDBCluster";

pub(super) fn calls(case: &Case<AuroraCluster>) -> Step {
    match (&case.want, &case.seen) {
        (None, None | Some(Seen::Impossible { .. })) => Next::Gone,
        (None, Some(Seen::Cluster(seen))) => delete(case, seen),
        (Some(want), None) => Next::Calls(vec![create(want, case)]),
        (Some(_), Some(Seen::Impossible { because, help })) => {
            Next::Refuse { because: because.clone(), help: help.clone() }
        }
        (Some(want), Some(Seen::Cluster(seen))) => update(want, seen, case),
    }
}

fn create(want: &Props, case: &Case<AuroraCluster>) -> Proposed<Call> {
    let none = None::<()>;
    let mut fields = vec![
        Change::new("name", none, Some(&want.name)),
        Change::new("version", none, Some(&want.version)),
        Change::new("subnet_group", none, Some(&want.subnet_group)),
        Change::new("parameter_group", none, Some(&want.parameter_group)),
        Change::new("security_groups", none, Some(&want.security_groups)),
        Change::new("deletion_protection", none, Some(want.deletion_protection)),
    ];
    if let Some(database) = &want.database {
        fields.push(Change::new("database", none, Some(database)));
    }
    if let Some(range) = want.serverless {
        fields.push(Change::new("serverless", none, Some(range)));
    }
    let tags = marked(&want.tags, &case.mark);
    let call = Call::Create { props: Box::new(want.clone()), tags };
    Proposed::new("rds:CreateDBCluster", Effect::Create, call)
        .fields(fields)
        .may_change(&[
            AuroraCluster::CLUSTER_ID,
            AuroraCluster::CLUSTER_ARN,
            AuroraCluster::ENDPOINT,
            AuroraCluster::READER_ENDPOINT,
            AuroraCluster::PORT,
            AuroraCluster::SECURITY_GROUPS,
            AuroraCluster::MASTER_SECRET,
        ])
        .usual(CLUSTER_USUAL)
}

fn update(want: &Props, seen: &Cluster, case: &Case<AuroraCluster>) -> Step {
    if seen.status == "deleting" {
        let condition = wait("the old cluster to be gone", &seen.status, CLUSTER_USUAL);
        return Next::Wait { condition, then: vec![create(want, case)] };
    }
    if let Some(because) = immutable(want, seen, case.was.as_ref()) {
        return replace(want, seen, case, because);
    }
    if let Some(next) = broken(seen, case) {
        return next;
    }
    let (changes, fields, data) = match changes(want, seen, case.pursuit.is_some()) {
        Ok(found) => found,
        Err((because, help)) => return Next::Refuse { because, help },
    };
    let mut then = Vec::new();
    // A part of what an accepted modify changes may show before the rest.
    let showing = case.pursuit.as_ref().is_some_and(|p| match &p.call {
        Call::Modify { changes: whole, .. } => is_under_way(&changes, whole, &seen.pending),
        _ => false,
    });
    if !fields.is_empty() && !showing {
        then.push(modify(want, changes, fields.clone(), data));
    }
    then.extend(TagCall::list(&seen.tags, &marked(&want.tags, &case.mark), &seen.arn, Call::Tags));

    let busy = |what: &str, now: String, then| {
        let condition = wait(what, &now, CLUSTER_USUAL);
        Next::Wait { condition, then }
    };
    // Backups come by themselves, and only a modify has to wait for their end.
    let settled = seen.status == "available" || (seen.status == "backing-up" && then.is_empty());
    if !settled {
        return busy("cluster available", seen.status.clone(), then);
    }
    if showing && !fields.is_empty() {
        let left: Vec<_> = fields.iter().map(|f| f.field.as_str()).collect();
        return busy("the change to show", format!("not yet: {}", left.join(", ")), then);
    }
    if !then.is_empty() {
        return Next::Calls(then);
    }
    if !seen.pending.is_empty() {
        return busy("no pending changes", format!("pending: {}", seen.pending.join(", ")), then);
    }
    match &seen.master_secret {
        None => busy("the master secret to be active", "no secret yet".into(), then),
        Some((_, status)) if status == "creating" => {
            busy("the master secret to be active", status.clone(), then)
        }
        Some(_) => Next::Converged(seen.outputs(&want.name)),
    }
}

/// What can't be changed in place, as a reason.
fn immutable(
    want: &Props,
    seen: &Cluster,
    was: Option<&Recorded<Props, Outputs>>,
) -> Option<String> {
    if want.engine != seen.engine {
        return Some(format!("{} can't become {}", seen.engine, want.engine));
    }
    if want.subnet_group.differs(&seen.subnet_group) {
        return Some("a cluster can't be moved to another subnet group".into());
    }
    if want.database.is_some() && want.database != seen.database {
        return Some("the database that was made with a cluster can't be changed".into());
    }
    if want.master_user != seen.master_user {
        return Some("the master user can't be changed".into());
    }
    if !seen.encrypted {
        return Some("an unencrypted cluster can't be encrypted".into());
    }
    let as_recorded = was.map(|w| w.props.kms_key == want.kms_key);
    let other_key = is_other_key(want.kms_key.as_deref(), seen.kms_key.as_deref(), as_recorded);
    other_key.then(|| "the key of an encrypted cluster can't be changed".into())
}

fn replace(want: &Props, seen: &Cluster, case: &Case<AuroraCluster>, because: String) -> Step {
    let before = case.was.as_ref().map_or(want.on_destroy, |w| w.props.on_destroy);
    if before == OnDestroy::Keep || want.on_destroy == OnDestroy::Keep {
        return Next::Refuse {
            because: format!("{because}, and `on_destroy = \"keep\"` forbids to replace it"),
            help: "undo that change, or declare a second database and move over".into(),
        };
    }
    let effect = if never_usable(seen) {
        DataEffect::NONE
    } else if before == OnDestroy::Snapshot {
        let snapshot = final_snapshot(&want.name, seen);
        DataEffect::new(
            Verdict::Lost,
            format!(
                "everything in the database: the new one is empty (snapshot {snapshot} keeps what was in it)"
            ),
        )
    } else {
        DataEffect::new(Verdict::Lost, "everything in the database: the new one is empty")
    };
    Next::Replace { because, effect }
}

/// A cluster that nothing can be done with, by its status.
fn broken(seen: &Cluster, case: &Case<AuroraCluster>) -> Option<Step> {
    let refuse = |help: &str| {
        Some(Next::Refuse {
            because: format!("the cluster is {}", seen.status),
            help: help.to_owned(),
        })
    };
    match seen.status.as_str() {
        "stopped" | "stopping" => {
            refuse("start it: `aws rds start-db-cluster`, and wait until it is available")
        }
        "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable" => {
            refuse("enable the KMS key again and let RDS use it, then start the cluster")
        }
        "cloning-failed" | "migration-failed" | "failed" => Some(if case.pursuit.is_some() {
            Next::Failed {
                cause: format!("the cluster is {}", seen.status),
                help: "look at its events: `aws rds describe-events --source-type db-cluster`"
                    .into(),
            }
        } else {
            // Whether it holds data can't be told from here.
            Next::Replace {
                because: format!("the cluster is {}", seen.status),
                effect: if seen.members.is_empty() && case.was.is_none() {
                    DataEffect::NONE
                } else {
                    DataEffect::new(Verdict::Lost, "what the failed cluster holds")
                },
            }
        }),
        _ => None,
    }
}

type Difference = (Changes, Vec<Change>, DataEffect);

/// What can be changed in place; an error for what RDS would refuse.
fn changes(want: &Props, seen: &Cluster, begun: bool) -> Result<Difference, (String, String)> {
    let mut changes = Changes::default();
    let mut fields = Vec::new();
    let mut data = DataEffect::NONE;
    let mut affects = |verdict: Verdict, what: &str| {
        if data.verdict < verdict {
            data = DataEffect::new(verdict, what);
        }
    };
    if !same_version(&want.version, &seen.version) {
        if numbers(&want.version) < numbers(&seen.version) {
            return Err((
                format!("version {} can't go back to {}", seen.version, want.version),
                "set `version` to the present one or a later one".into(),
            ));
        }
        fields.push(Change::new("version", Some(&seen.version), Some(&want.version)));
        changes.version = Some(want.version.clone());
        affects(Verdict::Restart, "all instances restart for the upgrade, connectors reconnect");
        if major(&want.version) != major(&seen.version) {
            changes.major_with_group = Some(want.instance_parameter_group.clone());
            // Handbook aws.md §4.10.
            if want.engine == "aurora-postgresql" {
                let what = "replication slots don't outlast a major upgrade: drop them before it, and read every table again after it";
                affects(Verdict::Gap, what);
            }
        }
    }
    if want.parameter_group.differs(&seen.parameter_group) {
        let (from, to) = (&seen.parameter_group, &want.parameter_group);
        fields.push(Change::new("parameter_group", Some(from), Some(to)));
        changes.parameter_group = Some(want.parameter_group.clone());
    }
    let wanted: BTreeSet<Option<&String>> = want.security_groups.iter().map(Input::known).collect();
    if wanted != seen.security_groups.iter().map(Some).collect() {
        let (from, to) = (&seen.security_groups, &want.security_groups);
        fields.push(Change::new("security_groups", Some(from), Some(to)));
        changes.security_groups = Some(want.security_groups.clone());
    }
    if want.port != seen.port {
        fields.push(Change::new("port", Some(seen.port), Some(want.port)));
        changes.port = Some(want.port);
        affects(Verdict::Restart, "all instances restart to listen on another port");
    }
    if let Some(range) = want.serverless.filter(|r| Some(*r) != seen.serverless) {
        fields.push(Change::new("serverless", seen.serverless, Some(range)));
        changes.serverless = Some(range);
    }
    if want.backup_retention_days != seen.backup_retention_days {
        let (from, to) = (seen.backup_retention_days, want.backup_retention_days);
        fields.push(Change::new("backup_retention_days", Some(from), Some(to)));
        changes.backup_retention_days = Some(to);
    }
    if want.deletion_protection != seen.deletion_protection {
        let (from, to) = (seen.deletion_protection, want.deletion_protection);
        fields.push(Change::new("deletion_protection", Some(from), Some(to)));
        changes.deletion_protection = Some(to);
    }
    if want.logs != seen.logs {
        fields.push(Change::new("logs", Some(&seen.logs), Some(&want.logs)));
        let list = |l: Vec<String>| (!l.is_empty()).then_some(l);
        changes.enable_logs = list(want.logs.difference(&seen.logs).cloned().collect());
        changes.disable_logs = list(seen.logs.difference(&want.logs).cloned().collect());
    }
    // The secret's ARN may be missing for a while after a create.
    if seen.master_secret.is_none() && !begun && seen.status == "available" {
        fields.push(Change::new("manage_password", Some(false), Some(true)));
        changes.manage_password = Some(true);
    }
    Ok((changes, fields, data))
}

fn modify(want: &Props, changes: Changes, fields: Vec<Change>, data: DataEffect) -> Proposed<Call> {
    let mut outputs = Vec::new();
    if changes.port.is_some() {
        outputs.push(AuroraCluster::PORT);
    }
    if changes.security_groups.is_some() {
        outputs.push(AuroraCluster::SECURITY_GROUPS);
    }
    if changes.manage_password.is_some() {
        outputs.push(AuroraCluster::MASTER_SECRET);
    }
    let usual = if changes.version.is_some() { CLUSTER_USUAL * 3 } else { CLUSTER_USUAL / 2 };
    let call = Call::Modify { name: want.name.clone(), changes: Box::new(changes) };
    Proposed::new(MODIFY, Effect::Update, call)
        .fields(fields)
        .data(data)
        .may_change(&outputs)
        .usual(usual)
}

fn delete(case: &Case<AuroraCluster>, seen: &Cluster) -> Step {
    // Of a cluster that was never ready nothing is recorded; it may hold data all the same, if only the record was lost.
    let on_destroy = case.was.as_ref().map_or(OnDestroy::Snapshot, |was| was.props.on_destroy);
    let name = &seen.name;
    if on_destroy == OnDestroy::Keep {
        return Next::Kept;
    }
    if seen.status == "deleting" {
        let condition = wait("cluster gone", &seen.status, CLUSTER_USUAL);
        return Next::Wait { condition, then: Vec::new() };
    }
    let mine = &case.mark.lineage;
    let strangers: Vec<&str> =
        seen.owners.iter().filter(|(_, owner)| *owner != mine).map(|(id, _)| id.as_str()).collect();
    if !strangers.is_empty() {
        // RDS deletes no cluster that has instances, and these are not ours to delete.
        return Next::Refuse {
            because: format!(
                "{} in the cluster {name} was not made by this pipeline",
                strangers.join(", ")
            ),
            help: "delete it, or take the database out of the pipeline's hands with `on_destroy = \"keep\"`".into(),
        };
    }
    let mut calls = Vec::new();
    if seen.deletion_protection {
        let changes = Changes { deletion_protection: Some(false), ..Changes::default() };
        let call = Call::Modify { name: name.clone(), changes: Box::new(changes) };
        calls.push(
            Proposed::new(MODIFY, Effect::Delete, call)
                .fields([Change::new("deletion_protection", Some(true), Some(false))])
                .only_if("protection is on"),
        );
    }
    let final_snapshot = (on_destroy == OnDestroy::Snapshot).then(|| final_snapshot(name, seen));
    let data = match &final_snapshot {
        Some(snapshot) => {
            let what = format!("the database goes, its data stays in the snapshot {snapshot}");
            DataEffect::new(Verdict::Gap, what)
        }
        None => DataEffect::new(Verdict::Lost, "the database, and its automated backups"),
    };
    let call = Call::Delete { name: name.clone(), final_snapshot };
    calls.push(
        Proposed::new("rds:DeleteDBCluster", Effect::Delete, call).data(data).usual(CLUSTER_USUAL),
    );
    if matches!(seen.status.as_str(), "available" | "stopped" | "failed") {
        return Next::Calls(calls);
    }
    let condition = wait("cluster available, to delete it", &seen.status, CLUSTER_USUAL);
    Next::Wait { condition, then: calls }
}

/// It is still being created, so nothing can be in it.
fn never_usable(seen: &Cluster) -> bool {
    seen.status == "creating"
}

/// Follows from the cluster's immutable id: the same for every repetition, another for the next cluster of that name.
fn final_snapshot(name: &str, seen: &Cluster) -> String {
    format!("{name}-final-{}", short_hash(&seen.resource_id))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|p| p.parse().ok()).collect()
}

/// `8.0` of `8.0.mysql_aurora.3.10.4`, `16` of `16.8`.
fn major(version: &str) -> String {
    let numbers = if version.contains("mysql_aurora") { 2 } else { 1 };
    version.split('.').take(numbers).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{case, deletion, mark, ops};
    use msk_pipeline_core::kind::Pursuit;
    use std::collections::BTreeMap;

    fn props() -> Props {
        Props {
            name: "orders-main".into(),
            engine: "aurora-mysql".into(),
            version: "8.0.mysql_aurora.3.10.4".into(),
            database: None,
            master_user: "admin".into(),
            port: 3306,
            serverless: Some(super::super::Capacity { min: 0.5, max: 8.0 }),
            kms_key: None,
            backup_retention_days: 7,
            deletion_protection: true,
            logs: BTreeSet::new(),
            subnet_group: "subnets".into(),
            parameter_group: "cluster-group".into(),
            instance_parameter_group: "instance-group".into(),
            security_groups: vec!["sg-1".into()],
            on_destroy: OnDestroy::Snapshot,
            tags: Default::default(),
        }
    }

    fn cluster() -> Cluster {
        Cluster {
            name: "orders-main".into(),
            arn: "arn:aws:rds:eu-west-1:111111111111:cluster:orders-main".into(),
            resource_id: "cluster-ABC".into(),
            status: "available".into(),
            engine: "aurora-mysql".into(),
            version: "8.0.mysql_aurora.3.10.4".into(),
            database: None,
            master_user: "admin".into(),
            endpoint: "e".into(),
            reader_endpoint: "r".into(),
            port: 3306,
            serverless: Some(super::super::Capacity { min: 0.5, max: 8.0 }),
            encrypted: true,
            kms_key: Some("arn:aws:kms:eu-west-1:111111111111:key/aws-rds".into()),
            backup_retention_days: 7,
            deletion_protection: true,
            logs: BTreeSet::new(),
            subnet_group: "subnets".into(),
            parameter_group: "cluster-group".into(),
            security_groups: vec!["sg-1".into()],
            master_secret: Some((
                "arn:aws:secretsmanager:eu-west-1:111111111111:secret:rds!cluster-1-2-AbCdEf"
                    .into(),
                "active".into(),
            )),
            pending: Vec::new(),
            members: Vec::new(),
            owners: BTreeMap::new(),
            tags: mark().tags(),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `case` takes")]
    fn seen(cluster: Cluster) -> Option<Seen> {
        Some(Seen::Cluster(Box::new(cluster)))
    }

    #[track_caller]
    fn check(want: Props, found: Cluster, expected: &str) {
        assert_eq!(ops(&calls(&case(Some(want), seen(found)))), expected);
    }

    #[test]
    fn every_difference_in_place() {
        let p = props;
        let c = cluster;
        assert_eq!(ops(&calls(&case(Some(p()), None))), "CreateDBCluster");
        check(p(), c(), "converged");
        let version = "8.0.mysql_aurora.3.12.0".to_owned();
        check(Props { version, ..p() }, c(), "ModifyDBCluster restart");
        check(Props { version: "3.10.4".into(), ..p() }, c(), "converged");
        let version = "8.0.mysql_aurora.3.08.0".to_owned();
        check(Props { version, ..p() }, c(), "refuse");
        check(Props { parameter_group: "other".into(), ..p() }, c(), "ModifyDBCluster");
        let pending = Input::output("database.main.cluster-parameters", "name");
        check(Props { parameter_group: pending, ..p() }, c(), "ModifyDBCluster");
        check(Props { security_groups: vec!["sg-2".into()], ..p() }, c(), "ModifyDBCluster");
        check(Props { port: 3307, ..p() }, c(), "ModifyDBCluster restart");
        check(Props { serverless: None, ..p() }, c(), "converged");
        check(Props { backup_retention_days: 14, ..p() }, c(), "ModifyDBCluster");
        check(Props { deletion_protection: false, ..p() }, c(), "ModifyDBCluster");
        check(Props { logs: ["error".into()].into(), ..p() }, c(), "ModifyDBCluster");
        let tags = [("Team".into(), "data".into())].into();
        check(Props { tags, ..p() }, c(), "AddTagsToResource");
        check(p(), Cluster { master_secret: None, ..c() }, "ModifyDBCluster");
        let two = Props { port: 3307, backup_retention_days: 14, ..p() };
        check(two, c(), "ModifyDBCluster restart");
    }

    #[test]
    fn a_major_upgrade_of_postgresql_costs_the_slots() {
        let pg = |version: &str| Cluster {
            engine: "aurora-postgresql".into(),
            version: version.into(),
            ..cluster()
        };
        let want = |version: &str| Props {
            engine: "aurora-postgresql".into(),
            version: version.into(),
            ..props()
        };
        check(want("16.9"), pg("16.8"), "ModifyDBCluster restart");
        check(want("16.8"), pg("15.12"), "ModifyDBCluster gap");
    }

    #[test]
    fn a_major_upgrade_names_both_groups() {
        let version = "8.4.mysql_aurora.8.4.7".to_owned();
        let want = Props { version, parameter_group: "new".into(), ..props() };
        let Next::Calls(list) = calls(&case(Some(want), seen(cluster()))) else { panic!("calls") };
        let Call::Modify { changes, .. } = &list[0].call else { panic!("modify") };
        assert_eq!(changes.major_with_group, Some("instance-group".into()));
        assert_eq!(changes.parameter_group, Some("new".into()));
    }

    #[test]
    fn what_cannot_be_changed_replaces_or_is_refused() {
        let p = props;
        check(Props { subnet_group: "other".into(), ..p() }, cluster(), "replace lost");
        let pending = Input::output("database.main.subnets", "name");
        check(Props { subnet_group: pending, ..p() }, cluster(), "replace lost");
        check(Props { master_user: "root".into(), ..p() }, cluster(), "replace lost");
        check(Props { database: Some("shop".into()), ..p() }, cluster(), "replace lost");
        let shop = || Some("shop".to_owned());
        let named = Cluster { database: shop(), ..cluster() };
        check(Props { database: shop(), ..p() }, named.clone(), "converged");
        check(p(), named, "converged");
        check(Props { kms_key: Some("other".into()), ..p() }, cluster(), "replace lost");
        check(p(), Cluster { encrypted: false, ..cluster() }, "replace lost");
        let kept = Props { master_user: "root".into(), on_destroy: OnDestroy::Keep, ..p() };
        check(kept, cluster(), "refuse");
    }

    #[test]
    fn states_are_waited_for_or_reported() {
        let at = |status: &str| Cluster { status: status.into(), ..cluster() };
        check(props(), at("modifying"), "wait");
        check(props(), at("backing-up"), "converged");
        check(Props { port: 1, ..props() }, at("backing-up"), "wait, ModifyDBCluster restart");
        check(props(), at("stopped"), "refuse");
        check(props(), at("inaccessible-encryption-credentials"), "refuse");
        check(props(), at("deleting"), "wait, CreateDBCluster");
        check(props(), Cluster { pending: vec!["version".into()], ..cluster() }, "wait");
        let impossible = Seen::Impossible { because: "b".into(), help: "h".into() };
        assert_eq!(ops(&calls(&case(Some(props()), Some(impossible.clone())))), "refuse");
        assert_eq!(ops(&calls(&case(None, Some(impossible)))), "gone");
    }

    #[test]
    fn a_change_that_shows_in_parts_is_waited_for() {
        let want = Props { backup_retention_days: 14, deletion_protection: false, ..props() };
        let first = case(Some(want.clone()), seen(cluster()));
        let Next::Calls(list) = calls(&first) else { panic!("calls") };
        let pursuit = Pursuit {
            call: list[0].call.clone(),
            op: MODIFY.into(),
            effect: Effect::Update,
            guard: Default::default(),
            sent: Some(Default::default()),
            begun: Default::default(),
            ended: None,
        };
        let half = Cluster { deletion_protection: false, ..cluster() };
        let mut then = case(Some(want.clone()), seen(half));
        then.pursuit = Some(pursuit.clone());
        assert_eq!(ops(&calls(&then)), "wait");
        // Nothing shows: the engine itself waits when the same call is asked for again.
        let mut again = case(Some(want), seen(cluster()));
        again.pursuit = Some(pursuit);
        assert_eq!(ops(&calls(&again)), "ModifyDBCluster");
    }

    #[test]
    fn deletion_follows_on_destroy() {
        let outputs = cluster().outputs("orders-main");
        assert_eq!(outputs.master_secret, "rds!cluster-1-2");
        let check = |on_destroy, found: Cluster, expected: &str| {
            let was = Props { on_destroy, ..props() };
            let next = calls(&deletion(was, outputs.clone(), seen(found)));
            assert_eq!(ops(&next), expected, "{on_destroy:?}");
        };
        let open = || Cluster { deletion_protection: false, ..cluster() };
        check(OnDestroy::Snapshot, cluster(), "ModifyDBCluster?, DeleteDBCluster gap");
        check(OnDestroy::Snapshot, open(), "DeleteDBCluster gap");
        check(OnDestroy::Delete, open(), "DeleteDBCluster lost");
        check(OnDestroy::Keep, cluster(), "kept");
        let at = |status: &str| Cluster { status: status.into(), ..open() };
        check(OnDestroy::Delete, at("deleting"), "wait");
        check(OnDestroy::Delete, at("creating"), "wait, DeleteDBCluster lost");
        assert_eq!(ops(&calls(&case(None, seen(open())))), "DeleteDBCluster gap");
        let with = |id: &str, lineage: &str| {
            let mut owners = BTreeMap::from([("writer".to_owned(), mark().lineage)]);
            owners.insert(id.into(), lineage.into());
            Cluster { owners, ..open() }
        };
        check(OnDestroy::Snapshot, with("reader", &mark().lineage), "DeleteDBCluster gap");
        check(OnDestroy::Snapshot, with("analytics", ""), "refuse");
        check(OnDestroy::Delete, with("analytics", "other"), "refuse");
        check(OnDestroy::Keep, with("analytics", ""), "kept");
    }
}
