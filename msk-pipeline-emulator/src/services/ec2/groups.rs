//! Security groups as objects: create, delete, describe. Their rules are changed in `permissions`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::describe::{Query, tag_list, text};
use super::state::{self, Group, Peer, Permission, Rule, State, Tags};
use super::{done, rules, tags};
use crate::world::{AwsError, Cx, Millis, World};

const UNKNOWN: &str = "InvalidGroup.NotFound";

/// The id of the group that a call is about: by id, or by name in the account's default VPC.
pub(super) fn named_in(state: &State, input: &Value) -> Result<String, AwsError> {
    if let Some(id) = text(input, "GroupId") {
        if !id.starts_with("sg-") {
            return Err(AwsError::new(
                "InvalidGroupId.Malformed",
                format!("Invalid id: \"{id}\" (expecting \"sg-...\")"),
            ));
        }
        return match state.groups.get(id) {
            Some(group) => Ok(group.id.clone()),
            None => {
                Err(AwsError::new(UNKNOWN, format!("The security group '{id}' does not exist")))
            }
        };
    }
    let Some(name) = text(input, "GroupName") else {
        return Err(AwsError::new(
            "MissingParameter",
            "The request must contain the parameter groupName or groupId",
        ));
    };
    let default = state.default_vpc();
    let found = default.and_then(|vpc| {
        state.groups.values().find(|group| group.vpc_id == vpc.id && group.name == name)
    });
    found.map(|group| group.id.clone()).ok_or_else(|| {
        let place = default.map_or(String::new(), |vpc| format!(" in default VPC '{}'", vpc.id));
        AwsError::new(UNKNOWN, format!("The security group '{name}' does not exist{place}"))
    })
}

pub(super) fn create(world: &mut World, _cx: &Cx, input: &Value) -> Result<Value, AwsError> {
    let state = &world.state.ec2;
    let vpc_id = match text(input, "VpcId") {
        Some(id) => super::network::vpc_named(state, id)?.id.clone(),
        None => match state.default_vpc() {
            Some(vpc) => vpc.id.clone(),
            None => {
                return Err(AwsError::new("VPCIdNotSpecified", "No default VPC for this user"));
            }
        },
    };
    let name = input["GroupName"].as_str().unwrap_or_default().to_owned();
    let description = input["Description"].as_str().unwrap_or_default().to_owned();
    rules::group_name_is_allowed(&name)?;
    rules::description_is_allowed("security group", &description)?;
    let tags = tags::specified(input, "security-group")?;
    rules::group_name_is_not_reserved(&name)?;
    rules::group_name_is_free(state, &vpc_id, &name)?;
    rules::groups_in_region(state)?;

    let id = format!("sg-{}", world.hex(&format!("ec2/group/{name}"), 17));
    let rule = Rule {
        id: rule_id(world, &id),
        permission: Permission {
            egress: true,
            protocol: "-1".into(),
            from: -1,
            to: -1,
            peer: Peer::Ipv4("0.0.0.0/0".into()),
        },
        description: None,
        tags: Tags::new(),
    };
    let group = Group {
        id: id.clone(),
        name,
        description,
        vpc_id,
        rules: BTreeMap::from([(rule.id.clone(), rule)]),
        tags,
    };
    let answer = json!({
        "GroupId": id,
        "Tags": tag_list(&group.tags),
        "SecurityGroupArn": world.arn("ec2", &format!("security-group/{id}")),
    });
    world.state.ec2.groups.insert(id, group);
    Ok(answer)
}

pub(super) fn rule_id(world: &mut World, group_id: &str) -> String {
    format!("sgr-{}", world.hex(&format!("ec2/rule/{group_id}"), 17))
}

pub(super) fn delete(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let id = named_in(&world.state.ec2, input)?;
    rules::default_group_stays(&world.state.ec2.groups[&id])?;
    rules::group_is_unused(&world.state.ec2, &state::interfaces(world, now), &id)?;
    world.state.ec2.groups.remove(&id);
    let mut answer = done();
    answer["GroupId"] = id.into();
    Ok(answer)
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let mut groups: Vec<Value> =
        world.state.ec2.groups.values().map(|group| show(world, group)).collect();
    let names = super::describe::texts(input, "GroupNames");
    if !names.is_empty() {
        // Names mean groups of the default VPC only.
        let default = world.state.ec2.default_vpc().map(|vpc| vpc.id.clone());
        groups.retain(|group| default.as_deref().is_some_and(|vpc| group["VpcId"] == vpc));
        groups.retain(|group| names.iter().any(|name| group["GroupName"] == name.as_str()));
        if let Some(missing) =
            names.iter().find(|name| !groups.iter().any(|g| g["GroupName"] == name.as_str()))
        {
            return Err(AwsError::new(
                UNKNOWN,
                format!("The security group '{missing}' does not exist"),
            ));
        }
    }
    Query {
        output: "SecurityGroups",
        ids: Some(("GroupIds", "GroupId")),
        unknown: (UNKNOWN, "The security group '{}' does not exist"),
        filters: &[
            ("description", "Description"),
            ("egress.ip-permission.cidr", "IpPermissionsEgress.IpRanges.CidrIp"),
            ("egress.ip-permission.from-port", "IpPermissionsEgress.FromPort"),
            ("egress.ip-permission.group-id", "IpPermissionsEgress.UserIdGroupPairs.GroupId"),
            ("egress.ip-permission.ipv6-cidr", "IpPermissionsEgress.Ipv6Ranges.CidrIpv6"),
            (
                "egress.ip-permission.prefix-list-id",
                "IpPermissionsEgress.PrefixListIds.PrefixListId",
            ),
            ("egress.ip-permission.protocol", "IpPermissionsEgress.IpProtocol"),
            ("egress.ip-permission.to-port", "IpPermissionsEgress.ToPort"),
            ("egress.ip-permission.user-id", "IpPermissionsEgress.UserIdGroupPairs.UserId"),
            ("group-id", "GroupId"),
            ("group-name", "GroupName"),
            ("ip-permission.cidr", "IpPermissions.IpRanges.CidrIp"),
            ("ip-permission.from-port", "IpPermissions.FromPort"),
            ("ip-permission.group-id", "IpPermissions.UserIdGroupPairs.GroupId"),
            ("ip-permission.ipv6-cidr", "IpPermissions.Ipv6Ranges.CidrIpv6"),
            ("ip-permission.prefix-list-id", "IpPermissions.PrefixListIds.PrefixListId"),
            ("ip-permission.protocol", "IpPermissions.IpProtocol"),
            ("ip-permission.to-port", "IpPermissions.ToPort"),
            ("ip-permission.user-id", "IpPermissions.UserIdGroupPairs.UserId"),
            ("owner-id", "OwnerId"),
            ("vpc-id", "VpcId"),
        ],
        tags: Some("Tags"),
    }
    .answer(groups, input)
}

pub(super) fn describe_rules(world: &World, input: &Value) -> Result<Value, AwsError> {
    let rules = world
        .state
        .ec2
        .groups
        .values()
        .flat_map(|group| group.rules.values().map(|rule| show_rule(world, &group.id, rule)))
        .collect();
    Query {
        output: "SecurityGroupRules",
        ids: Some(("SecurityGroupRuleIds", "SecurityGroupRuleId")),
        unknown: (
            "InvalidSecurityGroupRuleId.NotFound",
            "The security group rule ID '{}' does not exist",
        ),
        filters: &[("group-id", "GroupId"), ("security-group-rule-id", "SecurityGroupRuleId")],
        tags: Some("Tags"),
    }
    .answer(rules, input)
}

fn show(world: &World, group: &Group) -> Value {
    let of = |egress| {
        let rules: Vec<&Rule> =
            group.rules.values().filter(|rule| rule.permission.egress == egress).collect();
        ip_permissions(&world.settings.account, &rules)
    };
    json!({
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "VpcId": group.vpc_id,
        "OwnerId": world.settings.account,
        "SecurityGroupArn": world.arn("ec2", &format!("security-group/{}", group.id)),
        "IpPermissions": of(false),
        "IpPermissionsEgress": of(true),
        "Tags": tag_list(&group.tags),
    })
}

/// Rules in the older form: those with the same protocol and ports make one permission.
fn ip_permissions(account: &str, rules: &[&Rule]) -> Value {
    let mut permissions: BTreeMap<(&str, i64, i64), Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        let Permission { protocol, from, to, .. } = &rule.permission;
        permissions.entry((protocol, *from, *to)).or_default().push(rule);
    }
    let show = |((protocol, from, to), rules): ((&str, i64, i64), Vec<&Rule>)| {
        let mut permission = json!({
            "IpProtocol": protocol,
            "IpRanges": [],
            "Ipv6Ranges": [],
            "PrefixListIds": [],
            "UserIdGroupPairs": [],
        });
        if matches!(protocol, "tcp" | "udp" | "icmp" | "icmpv6") {
            permission["FromPort"] = from.into();
            permission["ToPort"] = to.into();
        }
        for rule in rules {
            let (list, mut entry) = match &rule.permission.peer {
                Peer::Ipv4(range) => ("IpRanges", json!({ "CidrIp": range })),
                Peer::Ipv6(range) => ("Ipv6Ranges", json!({ "CidrIpv6": range })),
                Peer::PrefixList(id) => ("PrefixListIds", json!({ "PrefixListId": id })),
                Peer::Group(id) => {
                    ("UserIdGroupPairs", json!({ "GroupId": id, "UserId": account }))
                }
            };
            if let Some(description) = &rule.description {
                entry["Description"] = description.as_str().into();
            }
            if let Some(list) = permission[list].as_array_mut() {
                list.push(entry);
            }
        }
        permission
    };
    permissions.into_iter().map(show).collect()
}

pub(super) fn show_rule(world: &World, group_id: &str, rule: &Rule) -> Value {
    let mut shown = json!({
        "SecurityGroupRuleId": rule.id,
        "GroupId": group_id,
        "GroupOwnerId": world.settings.account,
        "IsEgress": rule.permission.egress,
        "IpProtocol": rule.permission.protocol,
        "FromPort": rule.permission.from,
        "ToPort": rule.permission.to,
        "SecurityGroupRuleArn": world.arn("ec2", &format!("security-group-rule/{}", rule.id)),
        "Tags": tag_list(&rule.tags),
    });
    match &rule.permission.peer {
        Peer::Ipv4(range) => shown["CidrIpv4"] = range.as_str().into(),
        Peer::Ipv6(range) => shown["CidrIpv6"] = range.as_str().into(),
        Peer::PrefixList(id) => shown["PrefixListId"] = id.as_str().into(),
        Peer::Group(id) => {
            shown["ReferencedGroupInfo"] = json!({
                "GroupId": id,
                "UserId": world.settings.account,
            });
        }
    }
    if let Some(description) = &rule.description {
        shown["Description"] = description.as_str().into();
    }
    shown
}
