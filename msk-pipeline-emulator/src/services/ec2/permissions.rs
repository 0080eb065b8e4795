//! The rules of security groups: authorize, revoke, modify, describe anew. Every call is all or nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::describe::{list, text, texts};
use super::groups::{named_in, rule_id, show_rule};
use super::state::{Group, Peer, Permission, Rule, State, canonical_ipv4, canonical_ipv6};
use super::{done, rules, tags};
use crate::world::{AwsError, World};

/// A permission, the description that came with it, and the `IpPermission` that it came in, alone with its one peer.
struct Asked {
    permission: Permission,
    description: Option<String>,
    single: Value,
}

pub(super) fn authorize(world: &mut World, input: &Value, egress: bool) -> Result<Value, AwsError> {
    let state = &world.state.ec2;
    let group_id = named_in(state, input)?;
    let group = &state.groups[&group_id];
    let asked = permissions(state, group, input, egress)?;
    let tags = tags::specified(input, "security-group-rule")?;
    for Asked { permission, description, .. } in &asked {
        if let Some(description) = description {
            rules::description_is_allowed("rule", description)?;
        }
        rules::referenced_group_is_in_vpc(state, &group.vpc_id, &permission.peer)?;
        rules::rule_is_new(group.rules.values(), permission)?;
    }
    let existing = group.rules.values().map(|rule| &rule.permission);
    let all: Vec<_> = existing.chain(asked.iter().map(|asked| &asked.permission)).collect();
    rules::rules_in_group(&all)?;

    let mut shown = Vec::new();
    for Asked { permission, description, .. } in asked {
        let id = rule_id(world, &group_id);
        let rule = Rule { id: id.clone(), permission, description, tags: tags.clone() };
        shown.push(show_rule(world, &group_id, &rule));
        if let Some(group) = world.state.ec2.groups.get_mut(&group_id) {
            group.rules.insert(id, rule);
        }
    }
    let mut answer = done();
    answer["SecurityGroupRules"] = shown.into();
    Ok(answer)
}

pub(super) fn revoke(world: &mut World, input: &Value, egress: bool) -> Result<Value, AwsError> {
    let state = &world.state.ec2;
    let group_id = named_in(state, input)?;
    let group = &state.groups[&group_id];
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    let ids = texts(input, "SecurityGroupRuleIds");
    if ids.is_empty() {
        for Asked { permission, single, .. } in permissions(state, group, input, egress)? {
            match group.rules.values().find(|rule| rule.permission == permission) {
                Some(rule) => found.push(rule.id.clone()),
                None => unknown.push(single),
            }
        }
    } else {
        for id in ids {
            found.push(rules::rule_id_exists(group, &id, Some(egress))?.id.clone());
        }
    }
    let in_default_vpc = state.vpcs.get(&group.vpc_id).is_some_and(|vpc| vpc.is_default);
    rules::revoked_rule_exists(in_default_vpc, unknown.is_empty())?;

    let mut revoked = Vec::new();
    if let Some(group) = world.state.ec2.groups.get_mut(&group_id) {
        for id in found {
            revoked.extend(group.rules.remove(&id).map(|rule| show_revoked(&group_id, &rule)));
        }
    }
    let mut answer = done();
    answer["UnknownIpPermissions"] = unknown.into();
    answer["RevokedSecurityGroupRules"] = revoked.into();
    Ok(answer)
}

pub(super) fn modify(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let state = &world.state.ec2;
    let group_id = named_in(state, input)?;
    let group = &state.groups[&group_id];
    let mut changed: BTreeMap<String, Rule> = BTreeMap::new();
    for update in list(input, "SecurityGroupRules") {
        let id = text(update, "SecurityGroupRuleId").unwrap_or_default();
        let existing = rules::rule_id_exists(group, id, None)?;
        // The request replaces the rule as a whole: a description that is left out is removed (U).
        let wanted = &update["SecurityGroupRule"];
        let mut single = wanted.clone();
        for (from, to, member) in [
            ("CidrIpv4", "IpRanges", "CidrIp"),
            ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
            ("PrefixListId", "PrefixListIds", "PrefixListId"),
            ("ReferencedGroupId", "UserIdGroupPairs", "GroupId"),
        ] {
            if let Some(peer) = text(wanted, from) {
                single[to] = json!([{ member: peer }]);
            }
        }
        let mut asked = Vec::new();
        split(&single, existing.permission.egress, &mut asked)?;
        let [Asked { permission, .. }] = &asked[..] else {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "Only one source or destination may be specified for a security group rule.",
            ));
        };
        rules::rule_keeps_its_type(&existing.permission.peer, &permission.peer)?;
        rules::referenced_group_is_in_vpc(state, &group.vpc_id, &permission.peer)?;
        let description = text(wanted, "Description").map(str::to_owned);
        rules::description_is_allowed("rule", description.as_deref().unwrap_or_default())?;
        changed.insert(
            id.to_owned(),
            Rule { permission: permission.clone(), description, ..existing.clone() },
        );
    }
    for rule in changed.values() {
        let others = group.rules.values().filter(|other| !changed.contains_key(&other.id));
        let siblings = changed.values().filter(|other| other.id != rule.id);
        rules::rule_is_new(others.chain(siblings), &rule.permission)?;
    }
    if let Some(group) = world.state.ec2.groups.get_mut(&group_id) {
        group.rules.extend(changed);
    }
    Ok(done())
}

pub(super) fn update_descriptions(
    world: &mut World,
    input: &Value,
    egress: bool,
) -> Result<Value, AwsError> {
    let state = &world.state.ec2;
    let group_id = named_in(state, input)?;
    let group = &state.groups[&group_id];
    let mut wanted: Vec<(String, Option<String>)> = Vec::new();
    let by_id = list(input, "SecurityGroupRuleDescriptions");
    if by_id.is_empty() {
        for Asked { permission, description, .. } in permissions(state, group, input, egress)? {
            let found = group.rules.values().find(|rule| rule.permission == permission);
            rules::revoked_rule_exists(false, found.is_some())?;
            wanted.extend(found.map(|rule| (rule.id.clone(), description)));
        }
    }
    for entry in by_id {
        let id = text(entry, "SecurityGroupRuleId").unwrap_or_default();
        rules::rule_id_exists(group, id, Some(egress))?;
        wanted.push((id.to_owned(), text(entry, "Description").map(str::to_owned)));
    }
    for (_, description) in &wanted {
        rules::description_is_allowed("rule", description.as_deref().unwrap_or_default())?;
    }
    if let Some(group) = world.state.ec2.groups.get_mut(&group_id) {
        for (id, description) in wanted {
            if let Some(rule) = group.rules.get_mut(&id) {
                rule.description = description;
            }
        }
    }
    Ok(done())
}

/// What a call asks for, one entry a peer: from `IpPermissions`, or from the older single members of the ingress calls.
fn permissions(
    state: &State,
    group: &Group,
    input: &Value,
    egress: bool,
) -> Result<Vec<Asked>, AwsError> {
    let mut asked = Vec::new();
    for permission in list(input, "IpPermissions") {
        let mut permission = permission.clone();
        resolve_names(state, group, &mut permission);
        split(&permission, egress, &mut asked)?;
    }
    if text(input, "CidrIp").is_some() || text(input, "IpProtocol").is_some() {
        if egress {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "The parameters CidrIp, IpProtocol, FromPort and ToPort are not supported for egress. Use IpPermissions instead.",
            ));
        }
        let mut single = Map::new();
        for member in ["IpProtocol", "FromPort", "ToPort"] {
            single.insert(member.into(), input[member].clone());
        }
        if let Some(range) = text(input, "CidrIp") {
            single.insert("IpRanges".into(), json!([{ "CidrIp": range }]));
        }
        split(&single.into(), egress, &mut asked)?;
    }
    if asked.is_empty() {
        return Err(AwsError::new(
            "MissingParameter",
            "The request must contain the parameter ipPermissions",
        ));
    }
    rules::permission_is_named_once(
        &asked.iter().map(|asked| asked.permission.clone()).collect::<Vec<_>>(),
    )?;
    Ok(asked)
}

/// Puts the id to a referenced group that is given by name (a convenience of the default VPC).
fn resolve_names(state: &State, group: &Group, permission: &mut Value) {
    let Some(pairs) = permission["UserIdGroupPairs"].as_array_mut() else { return };
    for pair in pairs {
        let (None, Some(name)) = (text(pair, "GroupId"), text(pair, "GroupName")) else { continue };
        let found = state.groups.values().find(|g| g.vpc_id == group.vpc_id && g.name == name);
        let id = found.map_or_else(|| name.to_owned(), |found| found.id.clone());
        pair["GroupId"] = id.into();
    }
}

/// Takes an `IpPermission` apart, one entry a peer.
fn split(permission: &Value, egress: bool, asked: &mut Vec<Asked>) -> Result<(), AwsError> {
    let Some(protocol) = text(permission, "IpProtocol") else {
        return Err(AwsError::new(
            "MissingParameter",
            "The request must contain the parameter ipProtocol",
        ));
    };
    let protocol = rules::protocol_is_known(protocol)?;
    let (from, to) = rules::ports_are_given(
        &protocol,
        permission["FromPort"].as_i64(),
        permission["ToPort"].as_i64(),
    )?;
    let before = asked.len();
    for (member, key) in [
        ("IpRanges", "CidrIp"),
        ("Ipv6Ranges", "CidrIpv6"),
        ("PrefixListIds", "PrefixListId"),
        ("UserIdGroupPairs", "GroupId"),
    ] {
        for entry in list(permission, member) {
            let peer = text(entry, key).unwrap_or_default();
            let mut single = json!({ "IpProtocol": protocol.as_str(), member: [entry.clone()] });
            for port in ["FromPort", "ToPort"] {
                if permission[port].is_number() {
                    single[port] = permission[port].clone();
                }
            }
            asked.push(Asked {
                permission: Permission {
                    egress,
                    protocol: protocol.clone(),
                    from,
                    to,
                    peer: peer_of(member, peer)?,
                },
                description: text(entry, "Description").map(str::to_owned),
                single,
            });
        }
    }
    rules::rule_has_one_peer(asked.len() - before)
}

fn peer_of(member: &str, peer: &str) -> Result<Peer, AwsError> {
    let range = match member {
        "IpRanges" => canonical_ipv4(peer).map(Peer::Ipv4),
        "Ipv6Ranges" => canonical_ipv6(peer).map(Peer::Ipv6),
        "PrefixListIds" => Some(Peer::PrefixList(peer.into())),
        _ => Some(Peer::Group(peer.into())),
    };
    range.ok_or_else(|| {
        AwsError::new("InvalidParameterValue", format!("CIDR block {peer} is malformed"))
    })
}

fn show_revoked(group_id: &str, rule: &Rule) -> Value {
    let mut shown = json!({
        "SecurityGroupRuleId": rule.id,
        "GroupId": group_id,
        "IsEgress": rule.permission.egress,
        "IpProtocol": rule.permission.protocol,
        "FromPort": rule.permission.from,
        "ToPort": rule.permission.to,
    });
    let (member, peer) = match &rule.permission.peer {
        Peer::Ipv4(range) => ("CidrIpv4", range),
        Peer::Ipv6(range) => ("CidrIpv6", range),
        Peer::PrefixList(id) => ("PrefixListId", id),
        Peer::Group(id) => ("ReferencedGroupId", id),
    };
    shown[member] = peer.as_str().into();
    if let Some(description) = &rule.description {
        shown["Description"] = description.as_str().into();
    }
    shown
}
