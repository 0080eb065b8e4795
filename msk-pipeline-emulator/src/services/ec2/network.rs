//! Reading the network: VPCs, subnets, route tables, zones, interfaces.

use serde_json::{Value, json};

use super::describe::{Query, flag, list, tag_list, texts};
use super::rules;
use super::state::{self, EndpointKind, Interface, RouteTable, State, Subnet, Vpc, ipv4_range};
use crate::world::{AwsError, Millis, World};

pub(super) fn vpc_named<'a>(state: &'a State, id: &str) -> Result<&'a Vpc, AwsError> {
    state.vpcs.get(id).ok_or_else(|| {
        AwsError::new("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist"))
    })
}

pub(super) fn vpcs(world: &World, input: &Value) -> Result<Value, AwsError> {
    let vpcs = world
        .state
        .ec2
        .vpcs
        .values()
        .map(|vpc| {
            json!({
                "VpcId": vpc.id,
                "OwnerId": world.settings.account,
                "CidrBlock": vpc.cidr,
                "CidrBlockAssociationSet": [{
                    "AssociationId": vpc.cidr_association,
                    "CidrBlock": vpc.cidr,
                    "CidrBlockState": { "State": "associated" },
                }],
                "DhcpOptionsId": vpc.dhcp_options,
                "InstanceTenancy": "default",
                "IsDefault": vpc.is_default,
                "State": "available",
                "Tags": tag_list(&vpc.tags),
            })
        })
        .collect();
    Query {
        output: "Vpcs",
        ids: Some(("VpcIds", "VpcId")),
        unknown: ("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"),
        filters: &[
            ("cidr", "CidrBlock"),
            ("cidr-block-association.association-id", "CidrBlockAssociationSet.AssociationId"),
            ("cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock"),
            ("cidr-block-association.state", "CidrBlockAssociationSet.CidrBlockState.State"),
            ("dhcp-options-id", "DhcpOptionsId"),
            ("is-default", "IsDefault"),
            ("isDefault", "IsDefault"),
            ("owner-id", "OwnerId"),
            ("state", "State"),
            ("vpc-id", "VpcId"),
        ],
        tags: Some("Tags"),
    }
    .answer(vpcs, input)
}

pub(super) fn subnets(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let interfaces = state::interfaces(world, now);
    let subnets = world
        .state
        .ec2
        .subnets
        .values()
        .map(|subnet| show_subnet(world, subnet, &interfaces))
        .collect();
    Query {
        output: "Subnets",
        ids: Some(("SubnetIds", "SubnetId")),
        unknown: ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
        filters: &[
            ("availability-zone", "AvailabilityZone"),
            ("availabilityZone", "AvailabilityZone"),
            ("availability-zone-id", "AvailabilityZoneId"),
            ("availabilityZoneId", "AvailabilityZoneId"),
            ("available-ip-address-count", "AvailableIpAddressCount"),
            ("cidr", "CidrBlock"),
            ("cidr-block", "CidrBlock"),
            ("cidrBlock", "CidrBlock"),
            ("default-for-az", "DefaultForAz"),
            ("defaultForAz", "DefaultForAz"),
            ("ipv6-native", "Ipv6Native"),
            ("map-public-ip-on-launch", "MapPublicIpOnLaunch"),
            ("owner-id", "OwnerId"),
            ("state", "State"),
            ("subnet-arn", "SubnetArn"),
            ("subnet-id", "SubnetId"),
            ("vpc-id", "VpcId"),
        ],
        tags: Some("Tags"),
    }
    .answer(subnets, input)
}

fn show_subnet(world: &World, subnet: &Subnet, interfaces: &[Interface]) -> Value {
    let state = &world.state.ec2;
    // AWS keeps five addresses of each subnet for itself.
    let addresses = ipv4_range(&subnet.cidr).map_or(0, |(_, length)| (1u64 << (32 - length)) - 5);
    let used = interfaces.iter().filter(|interface| interface.subnet_id == subnet.id).count();
    json!({
        "SubnetId": subnet.id,
        "SubnetArn": world.arn("ec2", &format!("subnet/{}", subnet.id)),
        "VpcId": subnet.vpc_id,
        "OwnerId": world.settings.account,
        "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": state.zones.get(&subnet.zone).map(|zone| zone.id.as_str()),
        "AvailableIpAddressCount": addresses.saturating_sub(used as u64),
        "AssignIpv6AddressOnCreation": false,
        "CidrBlock": subnet.cidr,
        "DefaultForAz": false,
        "Ipv6Native": false,
        "MapPublicIpOnLaunch": subnet.public_addresses,
        "State": "available",
        "Tags": tag_list(&subnet.tags),
    })
}

pub(super) fn route_tables(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let tables = world
        .state
        .ec2
        .route_tables
        .values()
        .map(|table| show_route_table(world, now, table))
        .collect();
    Query {
        output: "RouteTables",
        ids: Some(("RouteTableIds", "RouteTableId")),
        unknown: ("InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist"),
        filters: &[
            ("association.gateway-id", "Associations.GatewayId"),
            ("association.main", "Associations.Main"),
            ("association.route-table-association-id", "Associations.RouteTableAssociationId"),
            ("association.route-table-id", "Associations.RouteTableId"),
            ("association.subnet-id", "Associations.SubnetId"),
            ("owner-id", "OwnerId"),
            ("route-table-id", "RouteTableId"),
            ("route.destination-cidr-block", "Routes.DestinationCidrBlock"),
            ("route.destination-prefix-list-id", "Routes.DestinationPrefixListId"),
            ("route.gateway-id", "Routes.GatewayId"),
            ("route.nat-gateway-id", "Routes.NatGatewayId"),
            ("route.origin", "Routes.Origin"),
            ("route.state", "Routes.State"),
            ("vpc-id", "VpcId"),
        ],
        tags: Some("Tags"),
    }
    .answer(tables, input)
}

fn show_route_table(world: &World, now: Millis, table: &RouteTable) -> Value {
    let state = &world.state.ec2;
    let association = |id: &str, subnet: Option<&str>| {
        let mut shown = json!({
            "Main": subnet.is_none(),
            "RouteTableAssociationId": id,
            "RouteTableId": table.id,
            "AssociationState": { "State": "associated" },
        });
        if let Some(subnet) = subnet {
            shown["SubnetId"] = subnet.into();
        }
        shown
    };
    let main = table.main.iter().map(|id| association(id, None));
    let explicit = table.subnets.iter().map(|(subnet, id)| association(id, Some(subnet)));

    let mut routes = vec![json!({
        "DestinationCidrBlock": state.vpcs.get(&table.vpc_id).map(|vpc| vpc.cidr.as_str()),
        "GatewayId": "local",
        "Origin": "CreateRouteTable",
        "State": "active",
    })];
    if let Some(target) = &table.default_route {
        let member = if target.starts_with("nat-") { "NatGatewayId" } else { "GatewayId" };
        routes.push(json!({
            "DestinationCidrBlock": "0.0.0.0/0",
            member: target,
            "Origin": "CreateRoute",
            "State": "active",
        }));
    }
    for endpoint in state.endpoints.values() {
        let routed = endpoint.kind == EndpointKind::Gateway
            && endpoint.route_tables.contains(&table.id)
            && endpoint.state(now) == state::EndpointState::Available;
        if routed {
            routes.push(json!({
                "DestinationPrefixListId": state.prefix_lists.get(endpoint.short_service()),
                "GatewayId": endpoint.id,
                "Origin": "CreateRoute",
                "State": "active",
            }));
        }
    }
    json!({
        "RouteTableId": table.id,
        "VpcId": table.vpc_id,
        "OwnerId": world.settings.account,
        "Associations": main.chain(explicit).collect::<Vec<_>>(),
        "PropagatingVgws": [],
        "Routes": routes,
        "Tags": tag_list(&table.tags),
    })
}

pub(super) fn zones(world: &World, input: &Value) -> Result<Value, AwsError> {
    let names = texts(input, "ZoneNames");
    let ids = texts(input, "ZoneIds");
    let all = flag(input, "AllAvailabilityZones");
    let zones = world.state.ec2.zones.values();
    for (wanted, known) in [
        (&names, zones.clone().map(|zone| &zone.name).collect::<Vec<_>>()),
        (&ids, zones.clone().map(|zone| &zone.id).collect::<Vec<_>>()),
    ] {
        if let Some(missing) = wanted.iter().find(|name| !known.contains(name)) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("Invalid availability zone: [{missing}]"),
            ));
        }
    }
    // Without AllAvailabilityZones only the zones that are opted in show.
    let zones = zones
        .filter(|zone| all || zone.opt_in != "not-opted-in")
        .filter(|zone| names.is_empty() || names.contains(&zone.name))
        .filter(|zone| ids.is_empty() || ids.contains(&zone.id))
        .map(|zone| {
            let mut shown = json!({
                "ZoneName": zone.name,
                "ZoneId": zone.id,
                "ZoneType": zone.kind,
                "GroupName": zone.group,
                "NetworkBorderGroup": if zone.parent.is_some() {
                    &zone.group
                } else {
                    &world.settings.region
                },
                "OptInStatus": zone.opt_in,
                "RegionName": world.settings.region,
                "State": "available",
                "Messages": [],
            });
            if let Some((name, id)) = &zone.parent {
                shown["ParentZoneName"] = name.as_str().into();
                shown["ParentZoneId"] = id.as_str().into();
            }
            shown
        })
        .collect();
    Query {
        output: "AvailabilityZones",
        ids: None,
        unknown: ("", ""),
        filters: &[
            ("group-name", "GroupName"),
            ("message", "Messages.Message"),
            ("opt-in-status", "OptInStatus"),
            ("parent-zone-id", "ParentZoneId"),
            ("parent-zone-name", "ParentZoneName"),
            ("region-name", "RegionName"),
            ("state", "State"),
            ("zone-id", "ZoneId"),
            ("zone-name", "ZoneName"),
            ("zone-type", "ZoneType"),
        ],
        tags: None,
    }
    .answer(zones, input)
}

pub(super) fn interfaces(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    rules::page_or_ids(
        !list(input, "NetworkInterfaceIds").is_empty(),
        input["MaxResults"].is_number(),
    )?;
    let interfaces = state::interfaces(world, now)
        .iter()
        .map(|interface| show_interface(world, interface))
        .collect();
    Query {
        output: "NetworkInterfaces",
        ids: Some(("NetworkInterfaceIds", "NetworkInterfaceId")),
        unknown: (
            "InvalidNetworkInterfaceID.NotFound",
            "The networkInterface ID '{}' does not exist",
        ),
        filters: &[
            ("addresses.primary", "PrivateIpAddresses.Primary"),
            ("addresses.private-ip-address", "PrivateIpAddresses.PrivateIpAddress"),
            ("attachment.attachment-id", "Attachment.AttachmentId"),
            ("attachment.instance-id", "Attachment.InstanceId"),
            ("attachment.instance-owner-id", "Attachment.InstanceOwnerId"),
            ("attachment.status", "Attachment.Status"),
            ("availability-zone", "AvailabilityZone"),
            ("availability-zone-id", "AvailabilityZoneId"),
            ("description", "Description"),
            ("group-id", "Groups.GroupId"),
            ("group-name", "Groups.GroupName"),
            ("interface-type", "InterfaceType"),
            ("mac-address", "MacAddress"),
            ("network-interface-id", "NetworkInterfaceId"),
            ("owner-id", "OwnerId"),
            ("private-dns-name", "PrivateDnsName"),
            ("private-ip-address", "PrivateIpAddress"),
            ("requester-id", "RequesterId"),
            ("requester-managed", "RequesterManaged"),
            ("source-dest-check", "SourceDestCheck"),
            ("status", "Status"),
            ("subnet-id", "SubnetId"),
            ("vpc-id", "VpcId"),
        ],
        tags: Some("TagSet"),
    }
    .answer(interfaces, input)
}

fn show_interface(world: &World, interface: &Interface) -> Value {
    let state = &world.state.ec2;
    let domain = match world.settings.region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    };
    let dns = format!("ip-{}.{domain}", interface.private_ip.replace('.', "-"));
    let groups: Vec<Value> = interface
        .groups
        .iter()
        .map(|id| {
            json!({ "GroupId": id, "GroupName": state.groups.get(id).map(|g| g.name.as_str()) })
        })
        .collect();
    let mut shown = json!({
        "NetworkInterfaceId": interface.id,
        "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id,
        "AvailabilityZone": interface.az,
        "AvailabilityZoneId": state.zones.get(&interface.az).map(|zone| zone.id.as_str()),
        "OwnerId": world.settings.account,
        "Description": interface.description,
        "Groups": groups,
        "InterfaceType": interface.interface_type,
        "MacAddress": mac_address(&interface.id),
        "PrivateDnsName": dns,
        "PrivateIpAddress": interface.private_ip,
        "PrivateIpAddresses": [{
            "Primary": true,
            "PrivateDnsName": dns,
            "PrivateIpAddress": interface.private_ip,
        }],
        "Ipv6Addresses": [],
        "RequesterId": interface.requester_id,
        "RequesterManaged": interface.requester_managed,
        "SourceDestCheck": true,
        "Status": interface.status,
        "TagSet": tag_list(&interface.tags),
    });
    if interface.status == "in-use" {
        // The other side is a machine of AWS, so there is no instance id.
        shown["Attachment"] = json!({
            "AttachmentId": interface.id.replacen("eni-", "eni-attach-", 1),
            "DeleteOnTermination": false,
            "DeviceIndex": 1,
            "InstanceOwnerId": "amazon-aws",
            "Status": "attached",
        });
    }
    shown
}

/// A locally administered address that follows from the interface's id.
fn mac_address(id: &str) -> String {
    let digits: Vec<char> = id.chars().filter(char::is_ascii_hexdigit).rev().take(10).collect();
    digits
        .chunks(2)
        .fold(String::from("02"), |mac, pair| mac + ":" + &pair.iter().collect::<String>())
}
