//! `aws.rds.cluster`: one Aurora cluster, without its instances.
//!
//! # Guarantees
//! The cluster is marked by tags in its create call. RDS makes and rotates the master password; no password passes through here. What
//! can be changed is changed in one call that applies at once. Deleting takes a final snapshot, unless `on_destroy` says otherwise,
//! under a name that follows from the cluster's resource id, so that a repeated delete makes no second one. Before anything is
//! created it is checked that RDS offers the version.
//! # Caveats
//! Engine, subnet group, master user and key can't be changed: they replace the cluster, which loses the database, and is refused
//! where the database is to be kept. A cluster alone answers nobody: dependents wait for its writer, an `aws.rds.instance`. Whether
//! a parameter is in effect is a matter of the instances, too.
//! # Sources
//! Handbook aws.md §4.4 (calls, statuses, what changes in place), §4.5 (versions), §4.8 (managed secret), §4.11 (transitions).

mod diff;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_rds::types::{
    CloudwatchLogsExportConfiguration, DbCluster, Filter, ServerlessV2ScalingConfiguration,
};
use msk_pipeline_core::kind::{
    CallError, Case, Guard, Input, Kind, Mark, MarkSeen, Next, Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use super::rds::{TagCall, VISIBILITY, from_rds, text, to_rds};
use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::Tags;

/// The kind.
pub struct AuroraCluster {
    rds: aws_sdk_rds::Client,
}

/// What becomes of a database when it is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDestroy {
    /// It is deleted after a final snapshot.
    #[default]
    Snapshot,
    /// It stays in AWS, and is forgotten.
    Keep,
    /// It is deleted, and its backups with it.
    Delete,
}

/// A range of Aurora capacity units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The cluster's identifier, in lower case.
    pub name: String,
    /// `aurora-mysql` or `aurora-postgresql`
    pub engine: String,
    /// `8.0.mysql_aurora.3.10.4`, `16.8`
    pub version: String,
    /// The database that is made with the cluster; `None` makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The master user, whose password RDS manages.
    pub master_user: String,
    /// The port.
    pub port: i32,
    /// The range of serverless instances; needed if there is any.
    pub serverless: Option<Capacity>,
    /// The key for storage and the managed secret; AWS's own if none.
    pub kms_key: Option<String>,
    /// For how many days automatic backups are kept.
    pub backup_retention_days: i32,
    /// True if it can't be deleted before this is turned off.
    pub deletion_protection: bool,
    /// The logs that go to CloudWatch.
    pub logs: BTreeSet<String>,
    /// The subnet group.
    pub subnet_group: Input<String>,
    /// The cluster's parameter group.
    pub parameter_group: Input<String>,
    /// The instances' parameter group; a major upgrade has to name it.
    pub instance_parameter_group: Input<String>,
    /// The security groups.
    pub security_groups: Vec<Input<String>>,
    /// What a destroy does.
    pub on_destroy: OnDestroy,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// It exists.
    Cluster(Box<Cluster>),
    /// It does not exist, and can't be created as it is wanted.
    Impossible {
        /// Why.
        because: String,
        /// What to do about it.
        help: String,
    },
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) resource_id: String,
    pub(super) status: String,
    pub(super) engine: String,
    pub(super) version: String,
    #[serde(default)]
    pub(super) database: Option<String>,
    pub(super) master_user: String,
    pub(super) endpoint: String,
    pub(super) reader_endpoint: String,
    pub(super) port: i32,
    pub(super) serverless: Option<Capacity>,
    pub(super) encrypted: bool,
    pub(super) kms_key: Option<String>,
    pub(super) backup_retention_days: i32,
    pub(super) deletion_protection: bool,
    pub(super) logs: BTreeSet<String>,
    pub(super) subnet_group: String,
    pub(super) parameter_group: String,
    pub(super) security_groups: Vec<String>,
    /// ARN and status of the managed secret.
    pub(super) master_secret: Option<(String, String)>,
    /// Changes that were accepted and are not in effect.
    pub(super) pending: Vec<String>,
    /// Identifier, whether it is the writer, state of the cluster's parameter group.
    pub(super) members: Vec<(String, bool, String)>,
    /// The lineage on each instance that is not being deleted; empty for none.
    #[serde(default)]
    pub(super) owners: BTreeMap<String, String>,
    pub(super) tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The identifier.
    pub cluster_id: String,
    /// The ARN.
    pub cluster_arn: String,
    /// The writer's address.
    pub endpoint: String,
    /// The readers' address.
    pub reader_endpoint: String,
    /// The port.
    pub port: i32,
    /// The security groups.
    pub security_groups: Vec<String>,
    /// The name of the secret with the master password; empty if RDS does not manage it.
    pub master_secret: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateDBCluster`
    Create {
        /// All of it.
        props: Box<Props>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `ModifyDBCluster`, applied at once.
    Modify {
        /// The cluster.
        name: String,
        /// What is changed.
        changes: Box<Changes>,
    },
    /// Tags.
    Tags(TagCall),
    /// `DeleteDBCluster`
    Delete {
        /// The cluster.
        name: String,
        /// The snapshot to take before; none is taken without.
        final_snapshot: Option<String>,
    },
}

/// What a `ModifyDBCluster` changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Engine version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// For an upgrade to another major version: the instances' parameter group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_with_group: Option<Input<String>>,
    /// Cluster parameter group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_group: Option<Input<String>>,
    /// Security groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<Input<String>>>,
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Serverless range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless: Option<Capacity>,
    /// Backup retention in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_retention_days: Option<i32>,
    /// Deletion protection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// Logs to send to CloudWatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_logs: Option<Vec<String>>,
    /// Logs not to send any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_logs: Option<Vec<String>>,
    /// Let RDS manage the master password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage_password: Option<bool>,
}

impl AuroraCluster {
    /// The output with the identifier.
    pub const CLUSTER_ID: &'static str = "cluster_id";
    /// The output with the ARN.
    pub const CLUSTER_ARN: &'static str = "cluster_arn";
    /// The output with the writer's address.
    pub const ENDPOINT: &'static str = "endpoint";
    /// The output with the readers' address.
    pub const READER_ENDPOINT: &'static str = "reader_endpoint";
    /// The output with the port.
    pub const PORT: &'static str = "port";
    /// The output with the security groups.
    pub const SECURITY_GROUPS: &'static str = "security_groups";
    /// The output with the name of the master secret.
    pub const MASTER_SECRET: &'static str = "master_secret";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { rds: session.rds.clone() }
    }

    /// What would make a create fail, in words: RDS is asked before anything is made.
    async fn preflight(&self, props: &Props) -> Result<Option<Seen>, CallError> {
        let (mut offered, mut marker) = (Vec::new(), None);
        loop {
            let page = self
                .rds
                .describe_db_engine_versions()
                .engine(&props.engine)
                .set_marker(marker)
                .send()
                .await
                .map_err(|e| classify("rds:DescribeDBEngineVersions", e))?;
            for version in page.db_engine_versions() {
                let family = text(version.db_parameter_group_family());
                offered.push((text(version.engine_version()), family));
            }
            marker = page.marker().filter(|m| !m.is_empty()).map(str::to_owned);
            if marker.is_none() {
                break;
            }
        }
        let found = offered.iter().find(|(version, _)| same_version(version, &props.version));
        let because = match found {
            Some((_, family)) if family == "aurora-mysql5.7" => {
                format!("version {} is past standard support", props.version)
            }
            Some(_) => return Ok(None),
            None => format!("RDS offers no version {} of {}", props.version, props.engine),
        };
        let current: Vec<_> = offered
            .iter()
            .filter(|(_, family)| family != "aurora-mysql5.7")
            .map(|(version, _)| version.as_str())
            .collect();
        let help = format!("set `version` to one of: {}", current.join(", "));
        Ok(Some(Seen::Impossible { because, help }))
    }
}

/// Versions are the same if what follows `mysql_aurora.` is: the documentation prints `8.4.7`, the API `8.4.mysql_aurora.8.4.7`.
fn same_version(a: &str, b: &str) -> bool {
    let tail = |v: &str| v.rsplit("mysql_aurora.").next().unwrap_or_default().to_owned();
    tail(a) == tail(b)
}

/// Whose mark is on each instance of a cluster, by identifier; those that are going don't count.
async fn owners(
    rds: &aws_sdk_rds::Client,
    cluster: &str,
) -> Result<BTreeMap<String, String>, CallError> {
    let (mut found, mut marker) = (BTreeMap::new(), None);
    loop {
        let page = rds
            .describe_db_instances()
            .filters(Filter::builder().name("db-cluster-id").values(cluster).build())
            .set_marker(marker)
            .send()
            .await
            .map_err(|e| classify("rds:DescribeDBInstances", e))?;
        let here =
            page.db_instances().iter().filter(|i| i.db_instance_status() != Some("deleting"));
        found.extend(here.map(|instance| {
            let lineage = from_rds(instance.tag_list()).get(Mark::LINEAGE).cloned();
            (text(instance.db_instance_identifier()), lineage.unwrap_or_default())
        }));
        marker = page.marker().filter(|m| !m.is_empty()).map(str::to_owned);
        if marker.is_none() {
            return Ok(found);
        }
    }
}

/// The cluster of this identifier.
pub(crate) async fn describe(
    rds: &aws_sdk_rds::Client,
    name: &str,
) -> Result<Option<DbCluster>, CallError> {
    let answer = rds
        .describe_db_clusters()
        .db_cluster_identifier(name)
        .send()
        .await
        .map_err(|e| classify("rds:DescribeDBClusters", e));
    Ok(absent(answer)?.and_then(|a| a.db_clusters().first().cloned()))
}

impl Cluster {
    /// Its state, for people.
    pub(super) fn state(&self) -> Status {
        let mut says: Vec<String> =
            self.pending.iter().map(|what| format!("{what} pending")).collect();
        if let Some((_, status)) = self.master_secret.as_ref().filter(|(_, s)| s != "active") {
            says.push(format!("master secret {status}"));
        }
        let behind = self.members.iter().filter(|(.., parameters)| parameters != "in-sync");
        says.extend(
            behind.map(|(name, _, parameters)| format!("parameters of {name} {parameters}")),
        );
        Status::new(&self.status).says(Some(says.join(", ")))
    }

    pub(super) fn read(cluster: &DbCluster) -> Self {
        let mut pending = Vec::new();
        if let Some(p) = cluster.pending_modified_values() {
            let mut add = |there: bool, what: &str| {
                if there {
                    pending.push(what.to_owned());
                }
            };
            add(p.engine_version().is_some(), "version");
            add(p.backup_retention_period().is_some(), "backup_retention");
            add(p.storage_type().is_some(), "storage type");
            add(p.master_user_password().is_some(), "master password");
            let logs = p.pending_cloudwatch_logs_exports();
            let any = |l: &aws_sdk_rds::types::PendingCloudwatchLogsExports| {
                !l.log_types_to_enable().is_empty() || !l.log_types_to_disable().is_empty()
            };
            add(logs.is_some_and(any), "logs");
        }
        let serverless = cluster.serverless_v2_scaling_configuration().and_then(|s| {
            s.min_capacity().zip(s.max_capacity()).map(|(min, max)| Capacity { min, max })
        });
        let groups = cluster.vpc_security_groups().iter();
        Self {
            name: text(cluster.db_cluster_identifier()),
            arn: text(cluster.db_cluster_arn()),
            resource_id: text(cluster.db_cluster_resource_id()),
            status: text(cluster.status()),
            engine: text(cluster.engine()),
            version: text(cluster.engine_version()),
            database: cluster.database_name().map(str::to_owned),
            master_user: text(cluster.master_username()),
            endpoint: text(cluster.endpoint()),
            reader_endpoint: text(cluster.reader_endpoint()),
            port: cluster.port().unwrap_or_default(),
            serverless,
            encrypted: cluster.storage_encrypted().unwrap_or_default(),
            kms_key: cluster.kms_key_id().map(str::to_owned),
            backup_retention_days: cluster.backup_retention_period().unwrap_or_default(),
            deletion_protection: cluster.deletion_protection().unwrap_or_default(),
            logs: cluster.enabled_cloudwatch_logs_exports().iter().cloned().collect(),
            subnet_group: text(cluster.db_subnet_group()),
            parameter_group: text(cluster.db_cluster_parameter_group()),
            security_groups: groups.map(|g| text(g.vpc_security_group_id())).collect(),
            master_secret: cluster
                .master_user_secret()
                .and_then(|s| Some((s.secret_arn()?.to_owned(), text(s.secret_status())))),
            pending,
            members: cluster
                .db_cluster_members()
                .iter()
                .map(|m| {
                    let id = text(m.db_instance_identifier());
                    let status = text(m.db_cluster_parameter_group_status());
                    (id, m.is_cluster_writer().unwrap_or_default(), status)
                })
                .collect(),
            owners: BTreeMap::new(),
            tags: from_rds(cluster.tag_list()),
        }
    }

    pub(super) fn outputs(&self, name: &str) -> Outputs {
        let secret = self.master_secret.as_ref().map(|(arn, _)| secret_name(arn));
        let mut security_groups = self.security_groups.clone();
        security_groups.sort();
        Outputs {
            cluster_id: name.to_owned(),
            cluster_arn: self.arn.clone(),
            endpoint: self.endpoint.clone(),
            reader_endpoint: self.reader_endpoint.clone(),
            port: self.port,
            security_groups,
            master_secret: secret.unwrap_or_default(),
        }
    }
}

/// The name in a secret's ARN: what follows `:secret:`, without the hyphen and six characters that Secrets Manager adds.
fn secret_name(arn: &str) -> String {
    let tail = arn.split(":secret:").nth(1).unwrap_or(arn);
    tail.rsplit_once('-').map_or(tail, |(name, _)| name).to_owned()
}

#[async_trait]
impl Kind for AuroraCluster {
    const TYPE: &'static str = "aws.rds.cluster";
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
        match describe(&self.rds, &target.props.name).await? {
            Some(cluster) => {
                let mut cluster = Cluster::read(&cluster);
                if !cluster.members.is_empty() {
                    cluster.owners = owners(&self.rds, &cluster.name).await?;
                }
                Ok(Some(Seen::Cluster(Box::new(cluster))))
            }
            None if target.pursuit.is_none() => self.preflight(&target.props).await,
            None => Ok(None),
        }
    }

    fn mark(seen: &Seen) -> MarkSeen {
        match seen {
            Seen::Cluster(cluster) => Mark::seen_in_tags(&cluster.tags),
            Seen::Impossible { .. } => MarkSeen::ReadOnly,
        }
    }

    fn ids(seen: &Seen) -> Vec<String> {
        match seen {
            Seen::Cluster(cluster) => vec![cluster.arn.clone(), cluster.resource_id.clone()],
            Seen::Impossible { .. } => Vec::new(),
        }
    }

    fn status(seen: &Seen) -> Option<Status> {
        match seen {
            Seen::Cluster(cluster) => Some(cluster.state()),
            Seen::Impossible { .. } => None,
        }
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        diff::calls(case)
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { props, tags } => self.create(props, tags).await,
            Call::Modify { name, changes } => self.modify(name, changes).await,
            Call::Tags(call) => call.perform(&self.rds).await,
            Call::Delete { name, final_snapshot } => {
                self.rds
                    .delete_db_cluster()
                    .db_cluster_identifier(name)
                    .skip_final_snapshot(final_snapshot.is_none())
                    .set_final_db_snapshot_identifier(final_snapshot.clone())
                    .send()
                    .await
                    .map_err(|e| classify("rds:DeleteDBCluster", e))?;
                Ok(Sent::default())
            }
        }
    }
}

impl AuroraCluster {
    async fn create(&self, props: &Props, tags: &Tags) -> Result<Sent, CallError> {
        let answer = self
            .rds
            .create_db_cluster()
            .db_cluster_identifier(&props.name)
            .engine(&props.engine)
            .engine_version(&props.version)
            // A version past standard support is refused instead of billed as extended support.
            .engine_lifecycle_support("open-source-rds-extended-support-disabled")
            .set_database_name(props.database.clone())
            .master_username(&props.master_user)
            .manage_master_user_password(true)
            .set_master_user_secret_kms_key_id(props.kms_key.clone())
            .port(props.port)
            .storage_encrypted(true)
            .set_kms_key_id(props.kms_key.clone())
            .backup_retention_period(props.backup_retention_days)
            .deletion_protection(props.deletion_protection)
            .copy_tags_to_snapshot(true)
            .set_enable_cloudwatch_logs_exports(some_list(props.logs.iter().cloned()))
            .set_db_subnet_group_name(props.subnet_group.known().cloned())
            .set_db_cluster_parameter_group_name(props.parameter_group.known().cloned())
            .set_vpc_security_group_ids(some_list(known(&props.security_groups)))
            .set_serverless_v2_scaling_configuration(props.serverless.map(range))
            .set_tags(Some(to_rds(tags)))
            .send()
            .await
            .map_err(|e| classify("rds:CreateDBCluster", e))?;
        let id = answer.db_cluster().and_then(DbCluster::db_cluster_resource_id);
        Ok(Sent { id: id.map(str::to_owned), operation: None })
    }

    async fn modify(&self, name: &str, changes: &Changes) -> Result<Sent, CallError> {
        let logs = (changes.enable_logs.is_some() || changes.disable_logs.is_some()).then(|| {
            CloudwatchLogsExportConfiguration::builder()
                .set_enable_log_types(changes.enable_logs.clone())
                .set_disable_log_types(changes.disable_logs.clone())
                .build()
        });
        let resolved = |input: &Option<Input<String>>| input.as_ref()?.known().cloned();
        self.rds
            .modify_db_cluster()
            .db_cluster_identifier(name)
            .apply_immediately(true)
            .set_engine_version(changes.version.clone())
            .set_allow_major_version_upgrade(changes.major_with_group.as_ref().map(|_| true))
            .set_db_instance_parameter_group_name(resolved(&changes.major_with_group))
            .set_db_cluster_parameter_group_name(resolved(&changes.parameter_group))
            .set_vpc_security_group_ids(changes.security_groups.as_deref().map(known_list))
            .set_port(changes.port)
            .set_serverless_v2_scaling_configuration(changes.serverless.map(range))
            .set_backup_retention_period(changes.backup_retention_days)
            .set_deletion_protection(changes.deletion_protection)
            .set_cloudwatch_logs_export_configuration(logs)
            .set_manage_master_user_password(changes.manage_password)
            .send()
            .await
            .map_err(|e| classify("rds:ModifyDBCluster", e))?;
        Ok(Sent::default())
    }
}

fn range(capacity: Capacity) -> ServerlessV2ScalingConfiguration {
    ServerlessV2ScalingConfiguration::builder()
        .min_capacity(capacity.min)
        .max_capacity(capacity.max)
        .build()
}

fn known(inputs: &[Input<String>]) -> impl Iterator<Item = String> + '_ {
    inputs.iter().filter_map(|i| i.known().cloned())
}

fn known_list(inputs: &[Input<String>]) -> Vec<String> {
    known(inputs).collect()
}

/// A list, or nothing instead of an empty one.
fn some_list(items: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let list: Vec<_> = items.collect();
    (!list.is_empty()).then_some(list)
}
