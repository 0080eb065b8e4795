//! Subnet groups and parameter groups.

use serde_json::{Value, json};

use super::catalog::EngineVersion;
use super::rules;
use super::state::{PARAMETER_APPLY, ParameterGroup, Setting, SubnetGroup};
use super::support::{filters, flag, name_of, needed, page, tags, text, texts};
use super::{account, parameters, views};
use crate::services::ec2;
use crate::world::{AwsError, Cx, Millis, Outcome, Reply, World};

fn subnet_group_not_found(name: &str) -> AwsError {
    AwsError::new("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist."))
}

pub(super) fn subnet_group<'w>(w: &'w World, name: &str) -> Result<&'w SubnetGroup, AwsError> {
    let name = name_of(name);
    w.state.rds.subnet_groups.get(&name).ok_or_else(|| subnet_group_not_found(&name))
}

/// The VPC and the (subnet, zone) pairs of a group with these subnets.
fn resolve(w: &World, ids: &[String]) -> Result<(String, Vec<(String, String)>), AwsError> {
    let found: Vec<_> = ids.iter().map(|id| (id.clone(), ec2::subnet(w, id))).collect();
    let vpcs: Vec<_> =
        found.iter().map(|(id, s)| (id.clone(), s.as_ref().map(|s| s.vpc_id.clone()))).collect();
    rules::subnets_are_in_one_vpc(&vpcs)?;
    let subnets: Vec<_> = found.into_iter().filter_map(|(id, s)| Some((id, s?.az))).collect();
    let zones: Vec<_> = subnets.iter().map(|(_, zone)| zone.clone()).collect();
    rules::subnets_cover_two_zones(&zones)?;
    let vpc = vpcs.into_iter().find_map(|(_, vpc)| vpc).unwrap_or_default();
    Ok((vpc, subnets))
}

pub(super) fn create_subnet_group(w: &mut World, input: &Value) -> Outcome {
    let name = needed(input, "DBSubnetGroupName").to_ascii_lowercase();
    rules::subnet_group_name_is_well_formed(&name)?;
    if w.state.rds.subnet_groups.contains_key(&name) {
        return Err(AwsError::new(
            "DBSubnetGroupAlreadyExists",
            format!("The DB subnet group '{name}' already exists."),
        ));
    }
    let tags = tags(input)?;
    let (vpc_id, subnets) = resolve(w, &texts(input, "SubnetIds").unwrap_or_default())?;
    rules::quota_allows(
        "DBSubnetGroupQuotaExceeded",
        "DB subnet groups",
        w.state.rds.subnet_groups.len(),
        account::SUBNET_GROUPS,
    )?;
    let description = needed(input, "DBSubnetGroupDescription").to_owned();
    let group = SubnetGroup { name: name.clone(), description, vpc_id, subnets, tags };
    let shown = views::subnet_group(w, &group);
    w.state.rds.subnet_groups.insert(name, group);
    Ok(json!({ "DBSubnetGroup": shown }).into())
}

pub(super) fn modify_subnet_group(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let old = subnet_group(w, needed(input, "DBSubnetGroupName"))?.clone();
    let (vpc_id, subnets) = resolve(w, &texts(input, "SubnetIds").unwrap_or_default())?;
    let removed: Vec<_> = old
        .subnets
        .iter()
        .filter(|(id, _)| !subnets.iter().any(|(kept, _)| kept == id))
        .map(|(id, _)| id.clone())
        .collect();
    let state = &w.state.rds;
    let used: Vec<_> = state
        .interfaces
        .iter()
        .filter(|i| state.cluster(&i.cluster, cx.now).is_some_and(|c| c.subnet_group == old.name))
        .filter(|i| state.instance(&i.instance, cx.now).is_some())
        .map(|i| i.subnet_id.clone())
        .collect();
    rules::subnet_is_unused(&removed, &used)?;
    let description = text(input, "DBSubnetGroupDescription").map_or(old.description, Into::into);
    let group = SubnetGroup { description, vpc_id, subnets, ..old };
    let shown = views::subnet_group(w, &group);
    w.state.rds.subnet_groups.insert(group.name.clone(), group);
    Ok(json!({ "DBSubnetGroup": shown }).into())
}

pub(super) fn delete_subnet_group(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = subnet_group(w, needed(input, "DBSubnetGroupName"))?.name.clone();
    let user = w
        .state
        .rds
        .clusters
        .values()
        .find(|c| c.life.exists(cx.now) && c.subnet_group == name)
        .map(|c| &c.id);
    rules::subnet_group_is_unused(&name, user.map(String::as_str))?;
    w.state.rds.subnet_groups.remove(&name);
    Ok(Reply::default())
}

pub(super) fn describe_subnet_groups(w: &World, input: &Value) -> Outcome {
    filters(input, &[])?;
    let groups = match text(input, "DBSubnetGroupName") {
        Some(name) => vec![subnet_group(w, name)?],
        None => w.state.rds.subnet_groups.values().collect(),
    };
    let records = groups.into_iter().map(|g| (g.name.clone(), views::subnet_group(w, g)));
    Ok(page(input, "DBSubnetGroups", records)?.into())
}

/// The two kinds of parameter groups differ in their member names and in who uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cluster,
    Instance,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "DBClusterParameterGroupName",
            Self::Instance => "DBParameterGroupName",
        }
    }

    fn record(self) -> &'static str {
        match self {
            Self::Cluster => "DBClusterParameterGroup",
            Self::Instance => "DBParameterGroup",
        }
    }

    fn show(self, w: &World, group: &ParameterGroup) -> Value {
        let (arn, prefix) = match self {
            Self::Cluster => ("DBClusterParameterGroupArn", "cluster-pg"),
            Self::Instance => ("DBParameterGroupArn", "pg"),
        };
        json!({
            self.name(): group.name,
            "DBParameterGroupFamily": group.family,
            "Description": group.description,
            arn: w.arn("rds", &format!("{prefix}:{}", group.name)),
        })
    }

    fn all(self, w: &World) -> &std::collections::BTreeMap<String, ParameterGroup> {
        match self {
            Self::Cluster => &w.state.rds.cluster_groups,
            Self::Instance => &w.state.rds.instance_groups,
        }
    }

    fn all_mut(self, w: &mut World) -> &mut std::collections::BTreeMap<String, ParameterGroup> {
        match self {
            Self::Cluster => &mut w.state.rds.cluster_groups,
            Self::Instance => &mut w.state.rds.instance_groups,
        }
    }

    /// Whether a cluster or an instance has the group, now or after a change that it has accepted.
    fn used(self, w: &World, name: &str, now: Millis) -> bool {
        let state = &w.state.rds;
        let (mut lives, member): (Box<dyn Iterator<Item = _>>, _) = match self {
            Self::Cluster => {
                (Box::new(state.clusters.values().map(|c| &c.life)), "DBClusterParameterGroup")
            }
            Self::Instance => {
                (Box::new(state.instances.values().map(|i| &i.life)), "DBParameterGroupName")
            }
        };
        lives.any(|life| {
            life.exists(now)
                && (life.text(now, member) == name
                    || life.pending(now).get(member).is_some_and(|v| v == name))
        })
    }

    fn get<'w>(self, w: &'w World, name: &str) -> Result<&'w ParameterGroup, AwsError> {
        let name = name_of(name);
        self.all(w).get(&name).ok_or_else(|| {
            AwsError::new(
                "DBParameterGroupNotFound",
                format!("{} not found: {name}", self.record()),
            )
        })
    }
}

/// The parameter group for a cluster or an instance of that version: the named one, which must be of the version's family, or the
/// family's default, which RDS makes when it is first used.
pub(super) fn parameter_group_for(
    w: &mut World,
    kind: Kind,
    name: Option<&str>,
    version: &EngineVersion,
) -> Result<String, AwsError> {
    let default = format!("default.{}", version.family);
    let name = name.map_or_else(|| default.clone(), str::to_ascii_lowercase);
    if name == default {
        let group = ParameterGroup {
            name: name.clone(),
            family: version.family.into(),
            description: match kind {
                Kind::Cluster => format!("Default cluster parameter group for {}", version.family),
                Kind::Instance => format!("Default parameter group for {}", version.family),
            },
            settings: std::collections::BTreeMap::new(),
            static_changed_at: None,
            dynamic_changed_at: None,
            tags: std::collections::BTreeMap::new(),
        };
        kind.all_mut(w).entry(name.clone()).or_insert(group);
        return Ok(name);
    }
    let group = kind.all(w).get(&name).ok_or_else(|| {
        let code = match kind {
            Kind::Cluster => "DBClusterParameterGroupNotFound",
            Kind::Instance => "DBParameterGroupNotFound",
        };
        AwsError::new(code, format!("{} not found: {name}", kind.record()))
    })?;
    rules::family_matches_version(&name, &group.family, version)?;
    Ok(name)
}

pub(super) fn create_parameter_group(w: &mut World, kind: Kind, input: &Value) -> Outcome {
    let name = needed(input, kind.name()).to_ascii_lowercase();
    rules::identifier_is_well_formed(kind.name(), &name, 255)?;
    let family = needed(input, "DBParameterGroupFamily").to_owned();
    rules::family_exists(&family)?;
    if kind.all(w).contains_key(&name) {
        return Err(AwsError::new(
            "DBParameterGroupAlreadyExists",
            format!("Parameter group {name} already exists"),
        ));
    }
    let tags = tags(input)?;
    rules::quota_allows(
        "DBParameterGroupQuotaExceeded",
        "DB parameter groups",
        kind.all(w).keys().filter(|n| !n.starts_with("default.")).count(),
        account::PARAMETER_GROUPS,
    )?;
    let group = ParameterGroup {
        name: name.clone(),
        family,
        description: needed(input, "Description").to_owned(),
        settings: std::collections::BTreeMap::new(),
        static_changed_at: None,
        dynamic_changed_at: None,
        tags,
    };
    let shown = kind.show(w, &group);
    kind.all_mut(w).insert(name, group);
    Ok(json!({ kind.record(): shown }).into())
}

/// (name, value, method); no value resets.
type Edit = (String, Option<String>, String);

pub(super) fn modify_parameter_group(w: &mut World, cx: &Cx, kind: Kind, input: &Value) -> Outcome {
    let group = kind.get(w, needed(input, kind.name()))?;
    rules::parameter_group_is_not_default(&group.name, "modified")?;
    let edits = edits(group, kind, input, true)?;
    let name = group.name.clone();
    apply(w, cx.now, kind, &name, edits);
    Ok(json!({ kind.name(): name }).into())
}

pub(super) fn reset_parameter_group(w: &mut World, cx: &Cx, kind: Kind, input: &Value) -> Outcome {
    let group = kind.get(w, needed(input, kind.name()))?;
    let name = group.name.clone();
    rules::parameter_group_is_not_default(&name, "modified")?;
    let applying = group.dynamic_changed_at.is_some_and(|at| cx.now < at + PARAMETER_APPLY);
    rules::group_has_no_pending_changes(&name, applying && kind.used(w, &name, cx.now))?;
    let edits = if flag(input, "ResetAllParameters") == Some(true) {
        let of = |name: &String| {
            let dynamic = parameters::find(&group.family, kind == Kind::Cluster, name)
                .is_some_and(|p| p.apply_type == "dynamic");
            if dynamic { "immediate" } else { "pending-reboot" }
        };
        group.settings.keys().map(|n| (n.clone(), None, of(n).to_owned())).collect()
    } else {
        edits(group, kind, input, false)?
    };
    apply(w, cx.now, kind, &name, edits);
    Ok(json!({ kind.name(): name }).into())
}

fn edits(
    group: &ParameterGroup,
    kind: Kind,
    input: &Value,
    values: bool,
) -> Result<Vec<Edit>, AwsError> {
    let list =
        input.get("Parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    rules::at_most_twenty_parameters(list.len())?;
    list.iter()
        .map(|item| {
            let name = needed(item, "ParameterName");
            let parameter = rules::parameter_exists(&group.family, kind == Kind::Cluster, name)?;
            rules::parameter_is_modifiable(&parameter)?;
            let method = text(item, "ApplyMethod").unwrap_or("pending-reboot");
            rules::static_parameter_waits_for_reboot(&parameter, method)?;
            let value = if values {
                let value = needed(item, "ParameterValue");
                rules::parameter_value_is_allowed(&parameter, value)?;
                Some(value.to_owned())
            } else {
                None
            };
            Ok((name.to_owned(), value, method.to_owned()))
        })
        .collect()
}

fn apply(w: &mut World, now: Millis, kind: Kind, name: &str, edits: Vec<Edit>) {
    let Some(group) = kind.all_mut(w).get_mut(name) else { return };
    for (parameter, value, method) in edits {
        let same = group.settings.get(&parameter).map(|s| &s.value) == value.as_ref();
        match value {
            Some(value) => {
                group.settings.insert(parameter, Setting { value, method: method.clone() })
            }
            None => group.settings.remove(&parameter),
        };
        if same {
            continue; // only what changes needs a reboot
        }
        if method == "immediate" {
            group.dynamic_changed_at = Some(now);
        } else {
            group.static_changed_at = Some(now);
        }
    }
}

pub(super) fn delete_parameter_group(w: &mut World, cx: &Cx, kind: Kind, input: &Value) -> Outcome {
    let name = name_of(needed(input, kind.name()));
    rules::parameter_group_is_not_default(&name, "deleted")?;
    kind.get(w, &name)?;
    rules::parameter_group_is_unused(&name, kind.used(w, &name, cx.now))?;
    kind.all_mut(w).remove(&name);
    Ok(Reply::default())
}

pub(super) fn describe_parameter_groups(w: &World, kind: Kind, input: &Value) -> Outcome {
    filters(input, &[])?;
    let groups = match text(input, kind.name()) {
        Some(name) => vec![kind.get(w, name)?],
        None => kind.all(w).values().collect(),
    };
    let member = format!("{}s", kind.record());
    Ok(page(input, &member, groups.into_iter().map(|g| (g.name.clone(), kind.show(w, g))))?.into())
}

pub(super) fn describe_parameters(w: &World, kind: Kind, input: &Value) -> Outcome {
    let group = kind.get(w, needed(input, kind.name()))?;
    let wanted = filters(input, &["parameter-name"])?;
    let source = text(input, "Source");
    let records = parameters::of(&group.family, kind == Kind::Cluster)
        .filter(|p| wanted.iter().all(|(_, names)| names.iter().any(|n| n == p.name)))
        .filter_map(|p| {
            let setting = group.settings.get(p.name);
            let from = if setting.is_some() { "user" } else { p.source };
            if source.is_some_and(|s| s != from) {
                return None;
            }
            let mut shown = json!({
                "ParameterName": p.name,
                "Description": p.name.replace(['_', '.'], " "),
                "Source": from,
                "ApplyType": p.apply_type,
                "DataType": p.data_type,
                "IsModifiable": p.modifiable,
                "ApplyMethod": setting.map_or("pending-reboot", |s| &s.method),
            });
            if kind == Kind::Cluster {
                shown["SupportedEngineModes"] = json!(["provisioned"]);
            }
            if !p.allowed.is_empty() {
                shown["AllowedValues"] = json!(p.allowed);
            }
            if let Some(value) = setting.map(|s| s.value.as_str()).or(p.default) {
                shown["ParameterValue"] = json!(value);
            }
            Some((p.name.to_owned(), shown))
        });
    Ok(page(input, "Parameters", records)?.into())
}
