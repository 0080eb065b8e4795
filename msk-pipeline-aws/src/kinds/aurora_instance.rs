//! `aws.rds.instance`: one instance of an Aurora cluster.
//!
//! # Guarantees
//! Ready means: available, every wanted value shown, nothing pending, and both parameter groups (its own and the cluster's) in-sync.
//! A restart that a static parameter needs is a call of its own in the plan. Before anything is created it is checked that RDS offers
//! the class for the version in a zone of the subnets.
//! # Caveats
//! A backup makes an instance unready only while it is new. The first instance of a cluster becomes its writer; after a failover another one is. Cluster and engine can't be changed.
//! Automatic minor upgrades are off, because they would leave the version that was declared.
//! # Sources
//! Handbook aws.md §4.5 (classes), §4.6 (calls, what changes in place), §4.3 and §4.11 (parameter groups).

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance;
use msk_pipeline_core::kind::{
    CallError, Case, Change, DataEffect, Effect, Guard, Input, Kind, Mark, MarkSeen, Next,
    Proposed, Recorded, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use super::aurora_cluster;
use super::rds::{
    INSTANCE_USUAL, REBOOT_USUAL, TagCall, VISIBILITY, from_rds, is_under_way, text, to_rds, wait,
};
use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{Tags, marked};

/// The kind.
pub struct AuroraInstance {
    rds: aws_sdk_rds::Client,
    ec2: aws_sdk_ec2::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The instance's identifier, in lower case.
    pub name: String,
    /// The cluster's identifier.
    pub cluster: Input<String>,
    /// `aurora-mysql`
    pub engine: String,
    /// The cluster's version; only to check that the class can be had.
    pub version: String,
    /// `db.serverless`, `db.r7g.large`
    pub class: String,
    /// 0 is promoted first, 15 last.
    pub promotion_tier: i32,
    /// True if it has a public address.
    pub public: bool,
    /// The instance's parameter group.
    pub parameter_group: Input<String>,
    /// The revisions of the cluster's and the instance's parameter group: another one needs a restart.
    pub revisions: Vec<Input<String>>,
    /// The values of both groups: others are waited for until they are applied.
    #[serde(default)]
    pub values: Vec<Input<String>>,
    /// The subnets; only to check that the class can be had in their zones.
    pub subnets: Input<Vec<String>>,
    /// True if a destroy leaves it in AWS.
    #[serde(default)]
    pub keep: bool,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// It exists.
    Instance(Box<Instance>),
    /// It does not exist, and can't be created as it is wanted.
    Impossible {
        /// Why.
        because: String,
        /// What to do about it.
        help: String,
    },
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    name: String,
    arn: String,
    status: String,
    cluster: String,
    engine: String,
    class: String,
    promotion_tier: i32,
    public: bool,
    auto_minor_upgrade: bool,
    parameter_group: String,
    /// State of its own group and of the cluster's.
    parameter_states: Vec<String>,
    /// Changes that were accepted and are not in effect.
    pending: Vec<String>,
    tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The identifier.
    pub instance_id: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateDBInstance`
    Create {
        /// All of it.
        props: Box<Props>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `ModifyDBInstance`, applied at once.
    Modify {
        /// The instance.
        name: String,
        /// What is changed.
        changes: Box<Changes>,
    },
    /// Tags.
    Tags(TagCall),
    /// `RebootDBInstance`
    Reboot {
        /// The instance.
        name: String,
    },
    /// `DeleteDBInstance`
    Delete {
        /// The instance.
        name: String,
    },
}

/// What a `ModifyDBInstance` changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Promotion tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_tier: Option<i32>,
    /// Public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// Parameter group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_group: Option<Input<String>>,
    /// Automatic minor upgrades.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_minor_upgrade: Option<bool>,
}

impl AuroraInstance {
    /// The output with the identifier.
    pub const INSTANCE_ID: &'static str = "instance_id";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { rds: session.rds.clone(), ec2: session.ec2.clone() }
    }

    /// What would make a create fail: RDS says so only once the cluster exists, so it is asked before.
    async fn preflight(&self, props: &Props) -> Result<Option<Seen>, CallError> {
        let (mut zones, mut any, mut marker) = (BTreeSet::new(), false, None);
        loop {
            let page = self
                .rds
                .describe_orderable_db_instance_options()
                .engine(&props.engine)
                .engine_version(&props.version)
                .db_instance_class(&props.class)
                .set_marker(marker)
                .send()
                .await
                .map_err(|e| classify("rds:DescribeOrderableDBInstanceOptions", e))?;
            for option in page.orderable_db_instance_options() {
                any = true;
                zones.extend(option.availability_zones().iter().map(|z| text(z.name())));
            }
            marker = page.marker().filter(|m| !m.is_empty()).map(str::to_owned);
            if marker.is_none() {
                break;
            }
        }
        if !any {
            let smallest = if props.engine == "aurora-mysql" {
                "; the smallest of version 3 are db.t4g.medium and db.t3.medium"
            } else {
                ""
            };
            return Ok(Some(Seen::Impossible {
                because: format!("RDS offers no {} for version {}", props.class, props.version),
                help: format!("choose another class, or `serverless`{smallest}"),
            }));
        }
        let Some(subnets) = props.subnets.known().filter(|s| !s.is_empty()) else {
            return Ok(None);
        };
        let answer = self
            .ec2
            .describe_subnets()
            .set_subnet_ids(Some(subnets.clone()))
            .send()
            .await
            .map_err(|e| classify("ec2:DescribeSubnets", e))?;
        let ours: BTreeSet<_> =
            answer.subnets().iter().map(|s| text(s.availability_zone())).collect();
        if ours.is_disjoint(&zones) {
            let list = |zones: BTreeSet<String>| zones.into_iter().collect::<Vec<_>>().join(", ");
            return Ok(Some(Seen::Impossible {
                because: format!("RDS offers {} in none of {}", props.class, list(ours)),
                help: format!("choose another class, or subnets in {}", list(zones)),
            }));
        }
        Ok(None)
    }

    async fn describe(&self, name: &str) -> Result<Option<DbInstance>, CallError> {
        let answer = self
            .rds
            .describe_db_instances()
            .db_instance_identifier(name)
            .send()
            .await
            .map_err(|e| classify("rds:DescribeDBInstances", e));
        Ok(absent(answer)?.and_then(|a| a.db_instances().first().cloned()))
    }

    async fn create(&self, props: &Props, tags: &Tags) -> Result<Sent, CallError> {
        let answer = self
            .rds
            .create_db_instance()
            .db_instance_identifier(&props.name)
            .set_db_cluster_identifier(props.cluster.known().cloned())
            .engine(&props.engine)
            .db_instance_class(&props.class)
            .promotion_tier(props.promotion_tier)
            .publicly_accessible(props.public)
            .auto_minor_version_upgrade(false)
            .set_db_parameter_group_name(props.parameter_group.known().cloned())
            .set_tags(Some(to_rds(tags)))
            .send()
            .await
            .map_err(|e| classify("rds:CreateDBInstance", e))?;
        let id = answer.db_instance().and_then(DbInstance::dbi_resource_id);
        Ok(Sent { id: id.map(str::to_owned), operation: None })
    }
}

fn read(instance: &DbInstance, cluster_state: Option<String>) -> Instance {
    let mut pending = Vec::new();
    if let Some(p) = instance.pending_modified_values() {
        if p.db_instance_class().is_some() {
            pending.push("class".to_owned());
        }
        if p.engine_version().is_some() {
            pending.push("version".to_owned());
        }
    }
    let group = instance.db_parameter_groups().first();
    let own = group.map(|g| text(g.parameter_apply_status()));
    Instance {
        name: text(instance.db_instance_identifier()),
        arn: text(instance.db_instance_arn()),
        status: text(instance.db_instance_status()),
        cluster: text(instance.db_cluster_identifier()),
        engine: text(instance.engine()),
        class: text(instance.db_instance_class()),
        promotion_tier: instance.promotion_tier().unwrap_or(1),
        public: instance.publicly_accessible().unwrap_or_default(),
        auto_minor_upgrade: instance.auto_minor_version_upgrade().unwrap_or_default(),
        parameter_group: text(group.and_then(|g| g.db_parameter_group_name())),
        parameter_states: own.into_iter().chain(cluster_state).collect(),
        pending,
        tags: from_rds(instance.tag_list()),
    }
}

#[async_trait]
impl Kind for AuroraInstance {
    const TYPE: &'static str = "aws.rds.instance";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn visibility() -> Duration {
        VISIBILITY
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let props = &target.props;
        let Some(instance) = self.describe(&props.name).await? else {
            return match target.pursuit {
                None => self.preflight(props).await,
                Some(_) => Ok(None),
            };
        };
        // What its cluster says of it matters once it is there: while it is created there is nothing to read, minute after minute.
        let creating = instance.db_instance_status() == Some("creating");
        let cluster = match instance.db_cluster_identifier().filter(|_| !creating) {
            Some(name) => aurora_cluster::describe(&self.rds, name).await?,
            None => None,
        };
        let member = cluster.as_ref().and_then(|c| {
            let is = |m: &&aws_sdk_rds::types::DbClusterMember| {
                m.db_instance_identifier() == Some(props.name.as_str())
            };
            c.db_cluster_members().iter().find(is)
        });
        let state = member.map(|m| text(m.db_cluster_parameter_group_status()));
        Ok(Some(Seen::Instance(Box::new(read(&instance, state)))))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        match seen {
            Seen::Instance(instance) => Mark::seen_in_tags(&instance.tags),
            Seen::Impossible { .. } => MarkSeen::ReadOnly,
        }
    }

    fn ids(seen: &Seen) -> Vec<String> {
        match seen {
            Seen::Instance(instance) => vec![instance.arn.clone()],
            Seen::Impossible { .. } => Vec::new(),
        }
    }

    fn status(seen: &Seen) -> Option<Status> {
        let Seen::Instance(seen) = seen else { return None };
        let mut says: Vec<String> =
            seen.parameter_states.iter().filter(|s| *s != "in-sync").cloned().collect();
        says.extend(seen.pending.iter().map(|what| format!("{what} pending")));
        Some(Status::new(&seen.status).says(Some(says.join(", "))))
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None | Some(Seen::Impossible { .. })) => Next::Gone,
            (None, Some(Seen::Instance(seen))) => delete(case, seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(_), Some(Seen::Impossible { because, help })) => {
                Next::Refuse { because: because.clone(), help: help.clone() }
            }
            (Some(want), Some(Seen::Instance(seen))) => update(want, seen, case),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { props, tags } => return self.create(props, tags).await,
            Call::Modify { name, changes } => {
                let group = changes.parameter_group.as_ref().and_then(|g| g.known().cloned());
                self.rds
                    .modify_db_instance()
                    .db_instance_identifier(name)
                    .apply_immediately(true)
                    .set_db_instance_class(changes.class.clone())
                    .set_promotion_tier(changes.promotion_tier)
                    .set_publicly_accessible(changes.public)
                    .set_db_parameter_group_name(group)
                    .set_auto_minor_version_upgrade(changes.auto_minor_upgrade)
                    .send()
                    .await
                    .map_err(|e| classify("rds:ModifyDBInstance", e))?;
            }
            Call::Tags(call) => return call.perform(&self.rds).await,
            Call::Reboot { name } => {
                self.rds
                    .reboot_db_instance()
                    .db_instance_identifier(name)
                    .send()
                    .await
                    .map_err(|e| classify("rds:RebootDBInstance", e))?;
            }
            Call::Delete { name } => {
                self.rds
                    .delete_db_instance()
                    .db_instance_identifier(name)
                    .send()
                    .await
                    .map_err(|e| classify("rds:DeleteDBInstance", e))?;
            }
        }
        Ok(Sent::default())
    }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create { props: Box::new(want.clone()), tags: marked(&want.tags, mark) };
    Proposed::new("rds:CreateDBInstance", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("class", None::<()>, Some(&want.class)),
            Change::new("cluster", None::<()>, Some(&want.cluster)),
            Change::new("public", None::<()>, Some(want.public)),
        ])
        .may_change(&[AuroraInstance::INSTANCE_ID])
        .usual(INSTANCE_USUAL)
}

fn update(want: &Props, seen: &Instance, case: &Case<AuroraInstance>) -> Next<Call, Outputs> {
    if seen.status == "deleting" {
        let condition = wait("the old instance to be gone", &seen.status, INSTANCE_USUAL);
        return Next::Wait { condition, then: vec![create(want, &case.mark)] };
    }
    if want.cluster.differs(&seen.cluster) || want.engine != seen.engine {
        return Next::Replace {
            because: "an instance can't be moved to another cluster".into(),
            effect: DataEffect::new(Verdict::Restart, "connections to this instance end"),
        };
    }
    let mut then = Vec::new();
    let (changes, fields, data) = changes(want, seen);
    let showing = case.pursuit.as_ref().is_some_and(|p| match &p.call {
        Call::Modify { changes: whole, .. } => is_under_way(&changes, whole, &seen.pending),
        _ => false,
    });
    if !fields.is_empty() && !showing {
        let call = Call::Modify { name: want.name.clone(), changes: Box::new(changes.clone()) };
        let usual = if changes.class.is_some() { INSTANCE_USUAL } else { REBOOT_USUAL };
        then.push(
            Proposed::new("rds:ModifyDBInstance", Effect::Update, call)
                .fields(fields.clone())
                .data(data)
                .usual(usual),
        );
    }
    then.extend(TagCall::list(&seen.tags, &marked(&want.tags, &case.mark), &seen.arn, Call::Tags));
    if restart_needed(want, seen, case) {
        let call = Call::Reboot { name: want.name.clone() };
        let what = "the instance restarts to take over its parameters, connectors reconnect";
        then.push(
            Proposed::new("rds:RebootDBInstance", Effect::Update, call)
                .data(DataEffect::new(Verdict::Restart, what))
                .usual(REBOOT_USUAL),
        );
    }
    if let Some(next) = broken(seen, case, &then) {
        return next;
    }
    let busy = |what: &str, now: String, then| {
        let condition = wait(what, &now, INSTANCE_USUAL);
        Next::Wait { condition, then }
    };
    let idle = matches!(seen.status.as_str(), "available" | "storage-optimization");
    // A new instance is backed up and modified before it is of use; one that was ready before goes on meanwhile.
    let backed_up = seen.status == "backing-up" && before(case).is_some() && then.is_empty();
    if !(idle || backed_up) {
        return busy("instance available", seen.status.clone(), then);
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
    match seen.parameter_states.iter().find(|s| *s != "in-sync") {
        Some(state) if state == "failed-to-apply" => Next::Refuse {
            because: "its parameters could not be applied".into(),
            help: "look at its events (`aws rds describe-events`), correct the parameters, apply again".into(),
        },
        Some(state) => busy("parameter groups in-sync", state.clone(), then),
        // The cluster lists a new member a moment after its instance is shown.
        None if seen.parameter_states.len() < 2 => {
            busy("the cluster to list the instance", "not listed".into(), then)
        }
        None => Next::Converged(Outputs { instance_id: want.name.clone() }),
    }
}

/// A parameter waits for a restart, or will once a group's new revision is in place.
fn restart_needed(want: &Props, seen: &Instance, case: &Case<AuroraInstance>) -> bool {
    // Only a restart that was accepted has done it: after a lost reply, a second one does no more harm than the first.
    let restarted = case
        .pursuit
        .as_ref()
        .is_some_and(|p| p.sent.is_some() && matches!(p.call, Call::Reboot { .. }));
    let waiting = seen.parameter_states.iter().any(|s| s == "pending-reboot");
    let revised = before(case).is_some_and(|was| was.props.revisions != want.revisions);
    waiting || revised && !restarted
}

/// What state says of this very instance: one that is being made again has no past.
fn before(case: &Case<AuroraInstance>) -> Option<&Recorded<Props, Outputs>> {
    let made = case.pursuit.as_ref().is_some_and(|p| matches!(p.call, Call::Create { .. }));
    case.was.as_ref().filter(|_| !made)
}

fn changes(want: &Props, seen: &Instance) -> (Changes, Vec<Change>, DataEffect) {
    let mut changes = Changes::default();
    let mut fields = Vec::new();
    let mut data = DataEffect::NONE;
    if want.class != seen.class {
        fields.push(Change::new("class", Some(&seen.class), Some(&want.class)));
        changes.class = Some(want.class.clone());
        data = DataEffect::new(Verdict::Restart, "the instance restarts, connectors reconnect");
    }
    if want.promotion_tier != seen.promotion_tier {
        let (from, to) = (seen.promotion_tier, want.promotion_tier);
        fields.push(Change::new("promotion_tier", Some(from), Some(to)));
        changes.promotion_tier = Some(to);
    }
    if want.public != seen.public {
        fields.push(Change::new("public", Some(seen.public), Some(want.public)));
        changes.public = Some(want.public);
    }
    if want.parameter_group.differs(&seen.parameter_group) {
        let (from, to) = (&seen.parameter_group, &want.parameter_group);
        fields.push(Change::new("parameter_group", Some(from), Some(to)));
        changes.parameter_group = Some(want.parameter_group.clone());
    }
    if seen.auto_minor_upgrade {
        fields.push(Change::new("auto_minor_upgrade", Some(true), Some(false)));
        changes.auto_minor_upgrade = Some(false);
    }
    (changes, fields, data)
}

/// An instance that waiting does not help, by its status.
fn broken(
    seen: &Instance,
    case: &Case<AuroraInstance>,
    then: &[Proposed<Call>],
) -> Option<Next<Call, Outputs>> {
    let events = "look at its events: `aws rds describe-events --source-type db-instance`";
    match seen.status.as_str() {
        "stopped" | "stopping" => Some(Next::Refuse {
            because: format!("the instance is {}", seen.status),
            help: "start its cluster: `aws rds start-db-cluster`, and wait until it is available"
                .into(),
        }),
        // Other parameters and a restart may help.
        "incompatible-parameters" if !then.is_empty() => Some(Next::Calls(then.to_vec())),
        "failed"
        | "incompatible-restore"
        | "incompatible-network"
        | "incompatible-parameters"
        | "incompatible-credentials"
        | "insufficient-capacity" => {
            let told = format!("the instance is {}", seen.status);
            Some(if case.pursuit.is_some() {
                Next::Failed { cause: told, help: events.into() }
            } else {
                // The data is the cluster's.
                Next::Replace { because: told, effect: DataEffect::NONE }
            })
        }
        "inaccessible-encryption-credentials" | "storage-full" => Some(Next::Refuse {
            because: format!("the instance is {}", seen.status),
            help: events.into(),
        }),
        _ => None,
    }
}

fn delete(case: &Case<AuroraInstance>, seen: &Instance) -> Next<Call, Outputs> {
    // Nothing is recorded of an instance that was never ready; nobody can want to keep that.
    if case.was.as_ref().is_some_and(|was| was.props.keep) {
        return Next::Kept;
    }
    if seen.status == "deleting" {
        let condition = wait("instance gone", &seen.status, INSTANCE_USUAL);
        return Next::Wait { condition, then: Vec::new() };
    }
    let call = Call::Delete { name: seen.name.clone() };
    Next::Calls(vec![
        Proposed::new("rds:DeleteDBInstance", Effect::Delete, call)
            .data(DataEffect::new(Verdict::Restart, "connections to this instance end"))
            .usual(INSTANCE_USUAL),
    ])
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Pursuit;

    use super::*;
    use crate::kinds::testing::{case, deletion, kind, mark, ops};

    fn props() -> Props {
        Props {
            name: "orders-main-writer".into(),
            cluster: "orders-main".into(),
            engine: "aurora-mysql".into(),
            version: "8.0.mysql_aurora.3.10.4".into(),
            class: "db.serverless".into(),
            promotion_tier: 0,
            public: false,
            parameter_group: "group".into(),
            revisions: vec!["1".into(), "2".into()],
            values: vec!["1".into(), "2".into()],
            subnets: Vec::new().into(),
            keep: false,
            tags: Tags::new(),
        }
    }

    fn instance() -> Instance {
        Instance {
            name: "orders-main-writer".into(),
            arn: "arn".into(),
            status: "available".into(),
            cluster: "orders-main".into(),
            engine: "aurora-mysql".into(),
            class: "db.serverless".into(),
            promotion_tier: 0,
            public: false,
            auto_minor_upgrade: false,
            parameter_group: "group".into(),
            parameter_states: vec!["in-sync".into(), "in-sync".into()],
            pending: Vec::new(),
            tags: mark().tags(),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `case` takes")]
    fn seen(instance: Instance) -> Option<Seen> {
        Some(Seen::Instance(Box::new(instance)))
    }

    fn pursuit(call: Call, op: &str, effect: Effect) -> Pursuit<Call> {
        let (guard, sent) = (Guard::default(), Some(Sent::default()));
        Pursuit { call, op: op.into(), effect, guard, sent, begun: Default::default(), ended: None }
    }

    fn next(case: &Case<AuroraInstance>) -> String {
        ops(&kind(AuroraInstance::new).calls(case))
    }

    #[track_caller]
    fn check(want: Props, found: Instance, expected: &str) {
        assert_eq!(next(&case(Some(want), seen(found))), expected);
    }

    #[test]
    fn every_difference_has_its_call() {
        assert_eq!(next(&case(Some(props()), None)), "CreateDBInstance");
        check(props(), instance(), "converged");
        let class = "db.r7g.large".to_owned();
        check(Props { class, ..props() }, instance(), "ModifyDBInstance restart");
        check(Props { promotion_tier: 1, ..props() }, instance(), "ModifyDBInstance");
        check(Props { public: true, ..props() }, instance(), "ModifyDBInstance");
        let group = Input::output("database.main.instance-parameters", "name");
        check(Props { parameter_group: group, ..props() }, instance(), "ModifyDBInstance");
        check(props(), Instance { auto_minor_upgrade: true, ..instance() }, "ModifyDBInstance");
        check(Props { cluster: "other".into(), ..props() }, instance(), "replace restart");
        let pending = Input::output("database.main.cluster", "cluster_id");
        check(Props { cluster: pending, ..props() }, instance(), "replace restart");
        let tags = Tags::from([("Team".into(), "data".into())]);
        check(Props { tags, ..props() }, instance(), "AddTagsToResource");
    }

    #[test]
    fn available_is_not_ready() {
        let at = |status: &str| Instance { status: status.into(), ..instance() };
        let state = |one: &str, two: &str| Instance {
            parameter_states: vec![one.into(), two.into()],
            ..instance()
        };
        check(props(), state("in-sync", "pending-reboot"), "RebootDBInstance restart");
        check(props(), state("pending-reboot", "in-sync"), "RebootDBInstance restart");
        check(props(), state("applying", "in-sync"), "wait");
        check(props(), state("failed-to-apply", "in-sync"), "refuse");
        check(props(), Instance { pending: vec!["class".into()], ..instance() }, "wait");
        check(props(), at("rebooting"), "wait");
        check(props(), at("failed"), "replace");
        check(props(), at("stopped"), "refuse");
        check(props(), at("deleting"), "wait, CreateDBInstance");
    }

    #[test]
    fn the_backup_of_a_new_instance_is_waited_for() {
        let found = Instance { status: "backing-up".into(), ..instance() };
        let mut case = case(Some(props()), seen(found));
        assert_eq!(next(&case), "wait");
        let outputs = Some(Outputs { instance_id: "i".into() });
        case.was = Some(Recorded { props: props(), outputs });
        assert_eq!(next(&case), "converged");
        // Somebody deleted it, and it is made again; its parameters are new, too.
        case.was.as_mut().unwrap().props.revisions.clear();
        let call = Call::Create { props: Box::new(props()), tags: Tags::new() };
        case.pursuit = Some(pursuit(call, "rds:CreateDBInstance", Effect::Create));
        assert_eq!(next(&case), "wait");
        case.seen = seen(instance());
        assert_eq!(next(&case), "converged");
    }

    #[test]
    fn another_revision_restarts_it_once() {
        let outputs = Outputs { instance_id: "i".into() };
        let was = Recorded { props: props(), outputs: Some(outputs) };
        let pending = Input::output("database.main.cluster-parameters", "revision");
        let planned = Props { revisions: vec![pending, "2".into()], ..props() };
        let mut plan = case(Some(planned), seen(instance()));
        plan.was = Some(was.clone());
        assert_eq!(next(&plan), "RebootDBInstance restart");
        let want = Props { revisions: vec!["9".into(), "2".into()], ..props() };
        let mut run = case(Some(want), seen(instance()));
        run.was = Some(was);
        assert_eq!(next(&run), "RebootDBInstance restart");
        let call = Call::Reboot { name: props().name };
        run.pursuit = Some(pursuit(call, "rds:RebootDBInstance", Effect::Update));
        assert_eq!(next(&run), "converged");
    }

    #[test]
    fn it_is_deleted_unless_kept() {
        let outputs = Outputs { instance_id: "i".into() };
        let check = |was: Props, found: Instance, expected: &str| {
            let case = deletion::<AuroraInstance>(was, outputs.clone(), seen(found));
            assert_eq!(next(&case), expected);
        };
        check(props(), instance(), "DeleteDBInstance restart");
        check(Props { keep: true, ..props() }, instance(), "kept");
        assert_eq!(next(&case(None, seen(instance()))), "DeleteDBInstance restart");
        check(props(), Instance { status: "deleting".into(), ..instance() }, "wait");
    }
}
