//! VPC endpoints: how private subnets reach AWS services without a NAT gateway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::describe::{Query, flag, tag_list, text, texts};
use super::rules::Asks;
use super::state::{
    self, DEFAULT_GROUP, Endpoint, EndpointKind, EndpointState, GATEWAY_ENDPOINT,
    INTERFACE_ENDPOINT, State,
};
use super::{done, network, rules, tags};
use crate::world::{AwsError, Millis, World};

const FULL_ACCESS: &str = r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

fn usual(kind: EndpointKind) -> Millis {
    match kind {
        EndpointKind::Gateway => GATEWAY_ENDPOINT,
        EndpointKind::Interface => INTERFACE_ENDPOINT,
    }
}

fn unknown(code: &str, what: &str, id: &str) -> AwsError {
    AwsError::new(code, format!("The {what} '{id}' does not exist"))
}

/// The id of an endpoint that can still be changed.
fn named(state: &State, now: Millis, id: &str) -> Result<Endpoint, AwsError> {
    state
        .endpoints
        .get(id)
        .filter(|endpoint| endpoint.state(now).exists())
        .cloned()
        .ok_or_else(|| unknown("InvalidVpcEndpointId.NotFound", "Vpc Endpoint Id", id))
}

pub(super) fn create(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    world.state.ec2.purge(now);
    let state = &world.state.ec2;
    let vpc_id = text(input, "VpcId").unwrap_or_default();
    let vpc_id = network::vpc_named(state, vpc_id)?.id.clone();
    let kind = match text(input, "VpcEndpointType") {
        None | Some("Gateway") => EndpointKind::Gateway,
        Some("Interface") => EndpointKind::Interface,
        Some(other) => {
            return Err(AwsError::new(
                "InvalidParameter",
                format!("VPC endpoints of type {other} do not exist in the embedded AWS."),
            ));
        }
    };
    let service = text(input, "ServiceName").unwrap_or_default().to_owned();
    rules::endpoint_service_exists(&world.settings.region, kind, &service)?;
    let client_token = text(input, "ClientToken").map(str::to_owned);
    if client_token.is_some()
        && let Some(same) = state
            .endpoints
            .values()
            .find(|e| e.client_token == client_token && e.state(now).exists())
    {
        return Ok(json!({
            "VpcEndpoint": show(world, now, same),
            "ClientToken": client_token,
        }));
    }
    let (subnets, groups) = (texts(input, "SubnetIds"), texts(input, "SecurityGroupIds"));
    let tables = texts(input, "RouteTableIds");
    rules::endpoint_kind_takes(
        kind,
        &[
            (Asks::Subnets, !subnets.is_empty()),
            (Asks::Groups, !groups.is_empty()),
            (Asks::PrivateDns, flag(input, "PrivateDnsEnabled")),
            (Asks::RouteTables, !tables.is_empty()),
        ],
    )?;
    let tags = tags::specified(input, "vpc-endpoint")?;
    let short = service.splitn(4, '.').nth(3).unwrap_or_default().to_owned();
    // Private DNS is on unless it is switched off (terraform-provider-aws #37694, #37783).
    let private_dns =
        kind == EndpointKind::Interface && input["PrivateDnsEnabled"].as_bool().unwrap_or(true);

    let label = format!("ec2/endpoint/{vpc_id}/{short}");
    let id = format!("vpce-{}", world.hex(&label, 17));
    let mut endpoint = Endpoint {
        id: id.clone(),
        kind,
        vpc_id: vpc_id.clone(),
        service,
        policy: text(input, "PolicyDocument").unwrap_or(FULL_ACCESS).to_owned(),
        route_tables: BTreeSet::new(),
        subnets: BTreeMap::new(),
        groups: BTreeSet::new(),
        private_dns,
        dns_label: world.hex(&format!("{label}/dns"), 8),
        created_at: now,
        ready_at: now + world.duration(&label, usual(kind)),
        deleting_since: None,
        deleted_at: None,
        client_token: client_token.clone(),
        tags,
    };
    check_private_dns(world, now, &endpoint)?;
    add_route_tables(&world.state.ec2, now, &mut endpoint, &tables)?;
    add_subnets(world, &mut endpoint, &subnets)?;
    add_groups(&world.state.ec2, &mut endpoint, &groups)?;
    if kind == EndpointKind::Interface && endpoint.groups.is_empty() {
        let default = world
            .state
            .ec2
            .groups
            .values()
            .find(|group| group.vpc_id == vpc_id && group.name == DEFAULT_GROUP);
        endpoint.groups.extend(default.map(|group| group.id.clone()));
    }
    let mut answer = json!({ "VpcEndpoint": show(world, now, &endpoint) });
    if let Some(token) = client_token {
        answer["ClientToken"] = token.into();
    }
    world.state.ec2.endpoints.insert(id, endpoint);
    Ok(answer)
}

fn check_private_dns(world: &World, now: Millis, endpoint: &Endpoint) -> Result<(), AwsError> {
    if !endpoint.private_dns {
        return Ok(());
    }
    rules::private_dns_is_free(
        &world.state.ec2,
        now,
        &endpoint.id,
        &endpoint.vpc_id,
        &endpoint.service,
        &public_name(world, endpoint),
    )
}

/// The name that the service has for everybody.
fn public_name(world: &World, endpoint: &Endpoint) -> String {
    format!("{}.{}.amazonaws.com", endpoint.short_service(), world.settings.region)
}

fn add_route_tables(
    state: &State,
    now: Millis,
    endpoint: &mut Endpoint,
    tables: &[String],
) -> Result<(), AwsError> {
    let list = state.prefix_lists.get(endpoint.short_service()).cloned().unwrap_or_default();
    for id in tables {
        if state.route_tables.get(id).is_none_or(|table| table.vpc_id != endpoint.vpc_id) {
            return Err(unknown("InvalidRouteTableId.NotFound", "routeTable ID", id));
        }
        rules::route_table_has_no_such_route(
            state,
            now,
            &endpoint.id,
            &endpoint.service,
            &list,
            id,
        )?;
        endpoint.route_tables.insert(id.clone());
    }
    Ok(())
}

fn add_subnets(
    world: &mut World,
    endpoint: &mut Endpoint,
    subnets: &[String],
) -> Result<(), AwsError> {
    let zone_of = |world: &World, id: &str| {
        world.state.ec2.subnets.get(id).map(|subnet| (subnet.zone.clone(), subnet.vpc_id.clone()))
    };
    let mut zones: BTreeSet<String> =
        endpoint.subnets.keys().filter_map(|id| zone_of(world, id)).map(|(zone, _)| zone).collect();
    for id in subnets {
        match zone_of(world, id) {
            None => return Err(unknown("InvalidSubnetId.NotFound", "subnet ID", id)),
            Some((_, vpc)) if vpc != endpoint.vpc_id => {
                return Err(AwsError::new(
                    "InvalidParameter",
                    format!("Subnet {id} does not belong to VPC {}", endpoint.vpc_id),
                ));
            }
            Some(_) if endpoint.subnets.contains_key(id) => continue,
            Some((zone, _)) => rules::one_endpoint_subnet_a_zone(&mut zones, &zone, id)?,
        }
        let label = format!("ec2/endpoint/{}/{id}", endpoint.id);
        let interface = format!("eni-{}", world.hex(&label, 17));
        let address = state::address(world, &format!("{label}/address"), id);
        endpoint.subnets.insert(id.clone(), (interface, address));
    }
    Ok(())
}

fn add_groups(state: &State, endpoint: &mut Endpoint, groups: &[String]) -> Result<(), AwsError> {
    for id in groups {
        if state.groups.get(id).is_none_or(|group| group.vpc_id != endpoint.vpc_id) {
            return Err(unknown("InvalidGroup.NotFound", "security group", id));
        }
        endpoint.groups.insert(id.clone());
    }
    Ok(())
}

pub(super) fn modify(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    world.state.ec2.purge(now);
    let id = text(input, "VpcEndpointId").unwrap_or_default();
    let mut endpoint = named(&world.state.ec2, now, id)?;
    if endpoint.state(now) == EndpointState::Deleting {
        return Err(AwsError::new(
            "IncorrectState",
            format!("The VPC endpoint {id} is in an incorrect state (deleting)"),
        ));
    }
    let (new_subnets, old_subnets) =
        (texts(input, "AddSubnetIds"), texts(input, "RemoveSubnetIds"));
    let (new_groups, old_groups) =
        (texts(input, "AddSecurityGroupIds"), texts(input, "RemoveSecurityGroupIds"));
    let (new_tables, old_tables) =
        (texts(input, "AddRouteTableIds"), texts(input, "RemoveRouteTableIds"));
    rules::endpoint_kind_takes(
        endpoint.kind,
        &[
            (Asks::Subnets, !new_subnets.is_empty() || !old_subnets.is_empty()),
            (Asks::Groups, !new_groups.is_empty() || !old_groups.is_empty()),
            (Asks::PrivateDns, flag(input, "PrivateDnsEnabled")),
            (Asks::RouteTables, !new_tables.is_empty() || !old_tables.is_empty()),
        ],
    )?;
    endpoint.subnets.retain(|subnet, _| !old_subnets.contains(subnet));
    endpoint.route_tables.retain(|table| !old_tables.contains(table));
    add_subnets(world, &mut endpoint, &new_subnets)?;
    add_route_tables(&world.state.ec2, now, &mut endpoint, &new_tables)?;
    // Groups are added before others are removed, so that one can replace another.
    add_groups(&world.state.ec2, &mut endpoint, &new_groups)?;
    endpoint.groups.retain(|group| !old_groups.contains(group));
    if let Some(wanted) = input["PrivateDnsEnabled"].as_bool() {
        endpoint.private_dns = wanted;
        check_private_dns(world, now, &endpoint)?;
    }
    if flag(input, "ResetPolicy") {
        endpoint.policy = FULL_ACCESS.into();
    }
    if let Some(policy) = text(input, "PolicyDocument") {
        endpoint.policy = policy.into();
    }
    if !new_subnets.is_empty() || !old_subnets.is_empty() {
        let label = format!("ec2/endpoint/{id}/modify");
        endpoint.ready_at = now + world.duration(&label, usual(endpoint.kind));
    }
    world.state.ec2.endpoints.insert(id.to_owned(), endpoint);
    Ok(done())
}

/// Deletes what it can and lists what it cannot; an endpoint that is being deleted already is no failure.
pub(super) fn delete(world: &mut World, now: Millis, input: &Value) -> Value {
    world.state.ec2.purge(now);
    let mut unsuccessful = Vec::new();
    for id in texts(input, "VpcEndpointIds") {
        let mut endpoint = match named(&world.state.ec2, now, &id) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                unsuccessful.push(json!({
                    "ResourceId": id,
                    "Error": { "Code": error.code, "Message": error.message },
                }));
                continue;
            }
        };
        if endpoint.deleting_since.is_none() {
            let label = format!("ec2/endpoint/{id}/delete");
            endpoint.deleting_since = Some(now);
            endpoint.deleted_at = Some(now + world.duration(&label, usual(endpoint.kind)));
            world.state.ec2.endpoints.insert(id, endpoint);
        }
    }
    json!({ "Unsuccessful": unsuccessful })
}

pub(super) fn describe(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let endpoints = world
        .state
        .ec2
        .endpoints
        .values()
        .filter(|endpoint| endpoint.state(now) != EndpointState::Gone)
        .map(|endpoint| show(world, now, endpoint))
        .collect();
    Query {
        output: "VpcEndpoints",
        ids: Some(("VpcEndpointIds", "VpcEndpointId")),
        unknown: ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{}' does not exist"),
        filters: &[
            ("ip-address-type", "IpAddressType"),
            ("service-name", "ServiceName"),
            ("service-region", "ServiceRegion"),
            ("vpc-endpoint-id", "VpcEndpointId"),
            ("vpc-endpoint-state", "State"),
            ("vpc-endpoint-type", "VpcEndpointType"),
            ("vpc-id", "VpcId"),
        ],
        tags: Some("Tags"),
    }
    .answer(endpoints, input)
}

fn show(world: &World, now: Millis, endpoint: &Endpoint) -> Value {
    let groups: Vec<Value> = endpoint
        .groups
        .iter()
        .map(|id| {
            let group = world.state.ec2.groups.get(id);
            json!({ "GroupId": id, "GroupName": group.map(|group| group.name.as_str()) })
        })
        .collect();
    let mut shown = json!({
        "VpcEndpointId": endpoint.id,
        "VpcEndpointType": match endpoint.kind {
            EndpointKind::Gateway => "Gateway",
            EndpointKind::Interface => "Interface",
        },
        "VpcId": endpoint.vpc_id,
        "ServiceName": endpoint.service,
        "ServiceRegion": world.settings.region,
        "State": endpoint.state(now).name(),
        "PolicyDocument": endpoint.policy,
        "RouteTableIds": endpoint.route_tables,
        "SubnetIds": endpoint.subnets.keys().collect::<Vec<_>>(),
        "Groups": groups,
        "PrivateDnsEnabled": endpoint.private_dns,
        "RequesterManaged": false,
        "NetworkInterfaceIds": endpoint.subnets.values().map(|(id, _)| id).collect::<Vec<_>>(),
        "DnsEntries": [],
        "CreationTimestamp": endpoint.created_at,
        "OwnerId": world.settings.account,
        "Tags": tag_list(&endpoint.tags),
    });
    if endpoint.kind == EndpointKind::Interface {
        let own = format!(
            "{}-{}.{}.{}.vpce.amazonaws.com",
            endpoint.id,
            endpoint.dns_label,
            endpoint.short_service(),
            world.settings.region
        );
        let mut names = vec![json!({ "DnsName": own })];
        if endpoint.private_dns {
            names.push(json!({ "DnsName": public_name(world, endpoint) }));
        }
        shown["DnsEntries"] = names.into();
        shown["IpAddressType"] = "ipv4".into();
    }
    shown
}
