//! What RDS remembers, and what follows from it at a given time: statuses, values in effect, values still pending.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::world::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;

/// Creating a cluster.
pub(super) const CLUSTER_CREATE: Millis = 5 * MINUTE;
/// Creating an instance.
pub(super) const INSTANCE_CREATE: Millis = 7 * MINUTE;
/// An instance becomes available at least this long after its cluster.
pub(super) const INSTANCE_AFTER_CLUSTER: Millis = MINUTE;
/// Any modification without one of its own below.
pub(super) const MODIFY: Millis = 2 * MINUTE;
/// How long an object still says `available` after a modification was accepted (handbook §4.11: one or two polls).
pub(super) const MODIFY_LAG: Millis = 45 * SECOND;
/// Changing the class of an instance.
pub(super) const CLASS_CHANGE: Millis = 6 * MINUTE;
/// Upgrading the engine of a cluster with its instances.
pub(super) const UPGRADE: Millis = 12 * MINUTE;
/// Rebooting an instance.
pub(super) const REBOOT: Millis = MINUTE;
/// Deleting a cluster or an instance.
pub(super) const DELETE: Millis = 4 * MINUTE;
/// Taking a cluster snapshot.
pub(super) const SNAPSHOT: Millis = 4 * MINUTE;
/// Until a describe shows the managed secret's ARN.
pub(super) const SECRET_VISIBLE: Millis = 5 * SECOND;
/// Until the managed secret is active.
pub(super) const SECRET_ACTIVE: Millis = 30 * SECOND;
/// Pushing a dynamic parameter to the instances.
pub(super) const PARAMETER_APPLY: Millis = 20 * SECOND;
/// How long an instance's network interface outlives it.
pub(super) const INTERFACE_LINGER: Millis = MINUTE;

/// Values of an object by the name under which a describe shows them.
pub(super) type Values = Map<String, Value>;
/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

/// Everything that RDS remembers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The part that all endpoints of the account share in this region; drawn when the first one is made.
    pub(super) account_hash: String,
    /// DB subnet groups by name.
    pub(super) subnet_groups: BTreeMap<String, SubnetGroup>,
    /// Cluster parameter groups by name.
    pub(super) cluster_groups: BTreeMap<String, ParameterGroup>,
    /// Instance parameter groups by name.
    pub(super) instance_groups: BTreeMap<String, ParameterGroup>,
    /// Clusters by identifier.
    pub(super) clusters: BTreeMap<String, Cluster>,
    /// Instances by identifier.
    pub(super) instances: BTreeMap<String, Instance>,
    /// Cluster snapshots by identifier.
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    /// Network interfaces, which outlive their instances for a moment.
    pub(super) interfaces: Vec<Interface>,
}

impl State {
    /// The cluster, unless it is gone.
    pub(super) fn cluster(&self, id: &str, now: Millis) -> Option<&Cluster> {
        self.clusters.get(id).filter(|c| c.life.exists(now))
    }

    /// The instance, unless it is gone.
    pub(super) fn instance(&self, id: &str, now: Millis) -> Option<&Instance> {
        self.instances.get(id).filter(|i| i.life.exists(now))
    }

    /// The members of a cluster in order of creation.
    pub(super) fn members(&self, cluster: &str, now: Millis) -> Vec<&Instance> {
        let mut members: Vec<_> = self
            .instances
            .values()
            .filter(|i| i.cluster == cluster && i.life.exists(now))
            .collect();
        members.sort_by_key(|i| (i.life.created_at, i.id.clone()));
        members
    }

    /// The cluster's writer: the first instance, or the one that took over when a writer was deleted.
    pub(super) fn writer(&self, cluster: &str, now: Millis) -> Option<&Instance> {
        let id = self.cluster(cluster, now)?.writer.as_deref()?;
        self.instance(id, now)
    }

    /// Forgets what is gone.
    pub(super) fn purge(&mut self, now: Millis) {
        self.clusters.retain(|_, c| c.life.exists(now));
        self.instances.retain(|_, i| i.life.exists(now));
        self.interfaces.retain(|i| i.until.is_none_or(|until| now < until));
    }
}

/// A stretch of time with a status of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Phase {
    /// What a describe says during it.
    pub(super) status: String,
    /// When it ends.
    pub(super) until: Millis,
}

/// A change that was accepted: busy from `from` to the end of its last phase, its values visible from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Change {
    /// When the object stops saying `available`.
    pub(super) from: Millis,
    /// What it says then.
    pub(super) phases: Vec<Phase>,
    /// What is different afterwards.
    pub(super) values: Values,
    /// True when it waits for the maintenance window.
    pub(super) deferred: bool,
}

impl Change {
    fn until(&self) -> Millis {
        self.phases.last().map_or(self.from, |p| p.until)
    }

    fn boots(&self) -> impl Iterator<Item = Millis> {
        self.phases
            .iter()
            .filter(|p| p.status == "rebooting" || p.status == "upgrading")
            .map(|p| p.until)
    }
}

/// The recorded events of a cluster or an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Life {
    pub(super) created_at: Millis,
    pub(super) creating: Vec<Phase>,
    /// The status in which creation ends instead of `available`.
    pub(super) fails: Option<String>,
    pub(super) values: Values,
    pub(super) changes: Vec<Change>,
    /// When it booted, as far as changes do not tell.
    pub(super) boots: Vec<Millis>,
    pub(super) deleting_since: Option<Millis>,
    pub(super) gone_at: Option<Millis>,
}

impl Life {
    pub(super) fn exists(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    pub(super) fn ready_at(&self) -> Millis {
        self.creating.last().map_or(self.created_at, |p| p.until)
    }

    pub(super) fn deleting(&self) -> bool {
        self.deleting_since.is_some()
    }

    pub(super) fn status(&self, now: Millis) -> &str {
        if self.deleting() {
            return "deleting";
        }
        if let Some(phase) = self.creating.iter().find(|p| now < p.until) {
            return &phase.status;
        }
        if let Some(status) = &self.fails {
            return status;
        }
        self.changes
            .iter()
            .filter(|c| c.from <= now)
            .flat_map(|c| &c.phases)
            .find(|p| now < p.until)
            .map_or("available", |p| &p.status)
    }

    /// The values in effect.
    pub(super) fn values(&self, now: Millis) -> Values {
        let mut values = self.values.clone();
        for change in self.changes.iter().filter(|c| c.until() <= now) {
            values.extend(change.values.clone());
        }
        values
    }

    /// One value in effect, as text.
    pub(super) fn text(&self, now: Millis, name: &str) -> String {
        self.values(now).get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The values accepted and not in effect yet.
    pub(super) fn pending(&self, now: Millis) -> Values {
        let mut values = Values::new();
        for change in self.changes.iter().filter(|c| now < c.until()) {
            values.extend(change.values.clone());
        }
        values
    }

    /// When it last booted: at the end of its creation, of a reboot, of an upgrade.
    pub(super) fn booted_at(&self, now: Millis) -> Option<Millis> {
        let planned = self.changes.iter().flat_map(Change::boots);
        self.boots.iter().copied().chain(planned).filter(|&at| at <= now).max()
    }

    /// Folds what is over, so that the list of changes stays short.
    pub(super) fn settle(&mut self, now: Millis) {
        self.values = self.values(now);
        self.boots.extend(self.booted_at(now));
        self.boots.sort_unstable();
        self.boots.dedup();
        self.changes.retain(|c| now < c.until());
    }

    /// Takes out what waits for the maintenance window, engine upgrades or all the rest, to be done now.
    pub(super) fn take_deferred(&mut self, now: Millis, upgrades: bool) -> Values {
        let waits = |c: &Change| {
            c.deferred
                && now < c.from
                && c.phases.iter().any(|p| p.status == "upgrading") == upgrades
        };
        let mut values = Values::new();
        for change in self.changes.iter().filter(|c| waits(c)) {
            values.extend(change.values.clone());
        }
        self.changes.retain(|c| !waits(c));
        values
    }

    /// Accepts a change: `steps` are statuses with their durations. Two immediate changes run one after the other.
    pub(super) fn change(
        &mut self,
        now: Millis,
        at: When,
        steps: &[(&str, Millis)],
        values: Values,
    ) {
        let last =
            self.changes.iter().filter(|c| !c.deferred).map(Change::until).max().unwrap_or(0);
        let from = match at {
            When::Now => now,
            When::Soon => last.max(now + MODIFY_LAG),
            When::Window(start) => start,
        };
        let mut until = from;
        let phases = steps
            .iter()
            .map(|&(status, duration)| {
                until += duration;
                Phase { status: status.into(), until }
            })
            .collect();
        self.changes.push(Change { from, phases, values, deferred: matches!(at, When::Window(_)) });
    }

    /// Begins deletion.
    pub(super) fn delete(&mut self, now: Millis, gone_at: Millis) {
        self.deleting_since = Some(now);
        self.gone_at = Some(gone_at);
    }
}

/// When an accepted change begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// At once, seen in the very answer (a reboot, a snapshot).
    Now,
    /// As soon as possible, after the object has said `available` for a while.
    Soon,
    /// In the maintenance window that begins then.
    Window(Millis),
}

/// A DB subnet group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SubnetGroup {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) vpc_id: String,
    /// (subnet, availability zone).
    pub(super) subnets: Vec<(String, String)>,
    pub(super) tags: Tags,
}

/// A parameter that a user has set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) method: String,
}

/// A parameter group, of clusters or of instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ParameterGroup {
    pub(super) name: String,
    pub(super) family: String,
    pub(super) description: String,
    pub(super) settings: BTreeMap<String, Setting>,
    /// When a change was last made that needs a reboot.
    pub(super) static_changed_at: Option<Millis>,
    /// When a change was last made that is pushed to running instances.
    pub(super) dynamic_changed_at: Option<Millis>,
    pub(super) tags: Tags,
}

impl ParameterGroup {
    /// `in-sync`, `applying` or `pending-reboot` for an instance that uses the group since `attached_at` and booted then.
    pub(super) fn apply_status(
        &self,
        attached_at: Millis,
        booted: Option<Millis>,
        now: Millis,
    ) -> &'static str {
        let Some(booted) = booted else {
            return "in-sync"; // it reads the group when it first boots
        };
        let behind = |at: Option<Millis>| at.is_some_and(|at| at >= booted);
        if behind(self.static_changed_at) || attached_at >= booted {
            return "pending-reboot";
        }
        match self.dynamic_changed_at {
            Some(at) if at >= booted && now < at + PARAMETER_APPLY => "applying",
            _ => "in-sync",
        }
    }
}

/// A secret that RDS manages for a cluster. The value lives in Secrets Manager alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ManagedSecret {
    pub(super) arn: String,
    pub(super) kms_key: String,
    pub(super) visible_at: Millis,
    pub(super) active_at: Millis,
    pub(super) rotating: Option<(Millis, Millis)>,
}

impl ManagedSecret {
    pub(super) fn status(&self, now: Millis) -> &'static str {
        match self.rotating {
            _ if now < self.active_at => "creating",
            Some((from, until)) if from <= now && now < until => "rotating",
            _ => "active",
        }
    }
}

/// An Aurora cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) resource_id: String,
    pub(super) engine: String,
    pub(super) subnet_group: String,
    pub(super) zones: Vec<String>,
    pub(super) database: Option<String>,
    pub(super) master_username: String,
    pub(super) kms_key: Option<String>,
    pub(super) encrypted: bool,
    pub(super) life: Life,
    pub(super) secret: Option<ManagedSecret>,
    pub(super) writer: Option<String>,
    /// When its present parameter group was attached.
    pub(super) group_attached_at: Millis,
    pub(super) tags: Tags,
}

/// An instance of a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) resource_id: String,
    pub(super) cluster: String,
    pub(super) engine: String,
    pub(super) zone: String,
    pub(super) life: Life,
    /// When its present instance parameter group was attached.
    pub(super) group_attached_at: Millis,
    pub(super) tags: Tags,
}

impl Instance {
    pub(super) fn tier(&self, now: Millis) -> i64 {
        self.life.values(now).get("PromotionTier").and_then(Value::as_i64).unwrap_or(1)
    }

    /// Whether it answers on its port: booted, not going away, and not between two boots. The first backup, which follows the
    /// first boot, keeps nobody out.
    pub(super) fn serves(&self, now: Millis) -> bool {
        let booted = self.life.creating.first().map_or(self.life.created_at, |phase| phase.until);
        booted <= now
            && self.life.fails.is_none()
            && !matches!(self.life.status(now), "deleting" | "rebooting" | "upgrading")
    }
}

/// A cluster snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) created_at: Millis,
    pub(super) ready_at: Millis,
    /// What the snapshot repeats of its cluster.
    pub(super) values: Values,
    pub(super) tags: Tags,
}

impl Snapshot {
    pub(super) fn status(&self, now: Millis) -> &'static str {
        if now < self.ready_at { "creating" } else { "available" }
    }
}

/// The network interface of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Interface {
    pub(super) id: String,
    pub(super) instance: String,
    pub(super) cluster: String,
    pub(super) subnet_id: String,
    pub(super) vpc_id: String,
    pub(super) zone: String,
    pub(super) private_ip: String,
    /// The groups it had when its instance went.
    pub(super) groups: Vec<String>,
    pub(super) until: Option<Millis>,
}

/// When the next maintenance window (`ddd:hh:mm-ddd:hh:mm`, UTC) begins.
pub(super) fn next_window(window: &str, now: Millis) -> Millis {
    const DAY: Millis = 24 * 60 * MINUTE;
    const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"]; // the epoch was a Thursday
    let mut parts = window.split([':', '-']);
    let day = parts.next().unwrap_or_default().to_ascii_lowercase();
    let day = DAYS.iter().position(|d| *d == day).unwrap_or(3) as Millis;
    let mut number = || parts.next().and_then(|p| p.parse::<Millis>().ok()).unwrap_or(0);
    let offset = day * DAY + number() * 60 * MINUTE + number() * MINUTE;
    let start = now - now % (7 * DAY) + offset;
    if start > now { start } else { start + 7 * DAY }
}
