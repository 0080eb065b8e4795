//! What exists in the network, its states as functions of (object, now), and the views that other services read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::services::{kafka, kafkaconnect, rds};
use crate::world::{Millis, World};

/// How long an interface endpoint takes to appear or to go.
pub(super) const INTERFACE_ENDPOINT: Millis = 2 * 60_000;
/// How long a gateway endpoint takes to appear or to go.
pub(super) const GATEWAY_ENDPOINT: Millis = 10_000;
/// How long a deleted endpoint is still described, as `deleted` (U).
pub(super) const DELETED_ENDPOINT_SHOWS: Millis = 60_000;

/// The name of the group that each VPC is born with.
pub(super) const DEFAULT_GROUP: &str = "default";

pub(super) type Tags = BTreeMap<String, String>;

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Zones by name.
    pub(super) zones: BTreeMap<String, Zone>,
    pub(super) vpcs: BTreeMap<String, Vpc>,
    pub(super) subnets: BTreeMap<String, Subnet>,
    pub(super) route_tables: BTreeMap<String, RouteTable>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    /// The prefix lists of the services that have a gateway endpoint, by the service's short name.
    pub(super) prefix_lists: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) id: String,
    /// `availability-zone` or `local-zone`.
    pub(super) kind: String,
    pub(super) group: String,
    pub(super) opt_in: String,
    /// The name and id of a local zone's parent.
    pub(super) parent: Option<(String, String)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Vpc {
    pub(super) id: String,
    pub(super) cidr: String,
    pub(super) cidr_association: String,
    pub(super) dhcp_options: String,
    pub(super) is_default: bool,
    pub(super) tags: Tags,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subnet {
    pub(super) id: String,
    pub(super) vpc_id: String,
    pub(super) zone: String,
    pub(super) cidr: String,
    pub(super) public_addresses: bool,
    pub(super) tags: Tags,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RouteTable {
    pub(super) id: String,
    pub(super) vpc_id: String,
    /// The association that makes it the main table of its VPC.
    pub(super) main: Option<String>,
    /// Association ids by subnet.
    pub(super) subnets: BTreeMap<String, String>,
    /// Where 0.0.0.0/0 goes: an internet gateway or a NAT gateway.
    pub(super) default_route: Option<String>,
    pub(super) tags: Tags,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) vpc_id: String,
    pub(super) rules: BTreeMap<String, Rule>,
    pub(super) tags: Tags,
}

/// What a rule lets in or out, without its identity: two rules of a group never have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Permission {
    pub(super) egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `-1` for all.
    pub(super) protocol: String,
    /// -1 where the protocol has no ports.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) peer: Peer,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Peer {
    Ipv4(String),
    Ipv6(String),
    PrefixList(String),
    Group(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) permission: Permission,
    pub(super) description: Option<String>,
    pub(super) tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EndpointKind {
    Gateway,
    Interface,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointState {
    Pending,
    Available,
    Deleting,
    Deleted,
    Gone,
}

impl EndpointState {
    /// The name on the wire; the service model capitalises it, AWS does not.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Gone => "gone",
        }
    }

    /// Whether the endpoint still stands in the way of others.
    pub(super) fn exists(self) -> bool {
        !matches!(self, Self::Deleted | Self::Gone)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) kind: EndpointKind,
    pub(super) vpc_id: String,
    /// The full name, `com.amazonaws.REGION.SERVICE`.
    pub(super) service: String,
    pub(super) policy: String,
    pub(super) route_tables: BTreeSet<String>,
    /// The interface (id, address) in each subnet.
    pub(super) subnets: BTreeMap<String, (String, String)>,
    pub(super) groups: BTreeSet<String>,
    pub(super) private_dns: bool,
    pub(super) dns_label: String,
    pub(super) created_at: Millis,
    pub(super) ready_at: Millis,
    pub(super) deleting_since: Option<Millis>,
    pub(super) deleted_at: Option<Millis>,
    pub(super) client_token: Option<String>,
    pub(super) tags: Tags,
}

impl Endpoint {
    pub(super) fn state(&self, now: Millis) -> EndpointState {
        match (self.deleting_since, self.deleted_at) {
            (Some(_), Some(deleted)) if now >= deleted + DELETED_ENDPOINT_SHOWS => {
                EndpointState::Gone
            }
            (Some(_), Some(deleted)) if now >= deleted => EndpointState::Deleted,
            (Some(_), _) => EndpointState::Deleting,
            _ if now >= self.ready_at => EndpointState::Available,
            _ => EndpointState::Pending,
        }
    }

    /// The service's name without `com.amazonaws.REGION.`.
    pub(super) fn short_service(&self) -> &str {
        self.service.splitn(4, '.').nth(3).unwrap_or(&self.service)
    }
}

impl State {
    /// The table that routes for a subnet: the associated one, else the main one of its VPC.
    pub(super) fn route_table_of(&self, subnet: &Subnet) -> Option<&RouteTable> {
        self.route_tables.values().find(|table| table.subnets.contains_key(&subnet.id)).or_else(
            || {
                self.route_tables
                    .values()
                    .find(|table| table.vpc_id == subnet.vpc_id && table.main.is_some())
            },
        )
    }

    pub(super) fn default_vpc(&self) -> Option<&Vpc> {
        self.vpcs.values().find(|vpc| vpc.is_default)
    }

    /// Forgets the endpoints that are no longer described.
    pub(super) fn purge(&mut self, now: Millis) {
        self.endpoints.retain(|_, endpoint| endpoint.state(now) != EndpointState::Gone);
    }
}

/// The network address of an IPv4 range and its length, canonical; `None` when it is no range.
pub(super) fn ipv4_range(text: &str) -> Option<(u32, u32)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let mask = mask4(length)?;
    Some((u32::from(address) & mask, length))
}

fn mask4(length: u32) -> Option<u32> {
    (length <= 32).then(|| u32::MAX.checked_shl(32 - length).unwrap_or(0))
}

/// The canonical form of an IPv4 range.
pub(super) fn canonical_ipv4(text: &str) -> Option<String> {
    ipv4_range(text).map(|(network, length)| format!("{}/{length}", Ipv4Addr::from(network)))
}

/// The canonical form of an IPv6 range.
pub(super) fn canonical_ipv6(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (Ipv6Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
    let mask = (length <= 128).then(|| u128::MAX.checked_shl(128 - length).unwrap_or(0))?;
    Some(format!("{}/{length}", Ipv6Addr::from(u128::from(address) & mask)))
}

/// Whether the IPv4 range `outer` contains all of `inner`.
fn covers(outer: &str, inner: &str) -> bool {
    match (ipv4_range(outer), ipv4_range(inner)) {
        (Some((outer, outer_length)), Some((inner, inner_length))) => {
            outer_length <= inner_length
                && mask4(outer_length).is_some_and(|mask| inner & mask == outer)
        }
        _ => false,
    }
}

/// A security group as other services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) vpc_id: String,
}

/// A subnet as other services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubnetView {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    pub(crate) az: String,
    pub(crate) az_id: String,
    pub(crate) cidr: String,
    /// Whether its route table leads 0.0.0.0/0 to an internet gateway.
    pub(crate) public: bool,
}

/// Where a subnet's traffic to the internet goes. A worker without a public address gets nothing from an internet gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Egress {
    InternetGateway,
    Nat,
    None,
}

/// A network interface that a service keeps in a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "`type` is a keyword, and EC2 says interface type")]
pub(crate) struct Interface {
    /// `eni-` and 17 digits.
    pub(crate) id: String,
    pub(crate) subnet_id: String,
    pub(crate) vpc_id: String,
    /// The zone's name.
    pub(crate) az: String,
    pub(crate) groups: Vec<String>,
    pub(crate) description: String,
    pub(crate) requester_id: String,
    pub(crate) requester_managed: bool,
    /// `interface`, `vpc_endpoint`, ...
    pub(crate) interface_type: String,
    pub(crate) private_ip: String,
    /// `available`, `in-use`, ...
    pub(crate) status: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A security group by id.
pub(crate) fn group(world: &World, id: &str) -> Option<GroupView> {
    world.state.ec2.groups.get(id).map(|group| GroupView {
        id: group.id.clone(),
        name: group.name.clone(),
        vpc_id: group.vpc_id.clone(),
    })
}

/// A subnet by id.
pub(crate) fn subnet(world: &World, id: &str) -> Option<SubnetView> {
    let state = &world.state.ec2;
    let subnet = state.subnets.get(id)?;
    Some(SubnetView {
        id: subnet.id.clone(),
        vpc_id: subnet.vpc_id.clone(),
        az: subnet.zone.clone(),
        az_id: state.zones.get(&subnet.zone).map(|zone| zone.id.clone()).unwrap_or_default(),
        cidr: subnet.cidr.clone(),
        public: egress(world, id) == Egress::InternetGateway,
    })
}

/// Where the traffic of a subnet to the internet goes.
pub(crate) fn egress(world: &World, subnet_id: &str) -> Egress {
    let state = &world.state.ec2;
    let target = state
        .subnets
        .get(subnet_id)
        .and_then(|subnet| state.route_table_of(subnet))
        .and_then(|table| table.default_route.as_deref());
    match target {
        Some(target) if target.starts_with("igw-") => Egress::InternetGateway,
        Some(target) if target.starts_with("nat-") => Egress::Nat,
        _ => Egress::None,
    }
}

/// Whether the public name of an AWS service (`secretsmanager`, `s3`) leads to an available endpoint for what runs in the
/// subnet: a gateway endpoint on the subnet's route table, or an interface endpoint of the VPC with private DNS. The endpoint's
/// own security groups are not considered.
pub(crate) fn endpoint(
    world: &World,
    now: Millis,
    vpc_id: &str,
    subnet_id: &str,
    service: &str,
) -> bool {
    let state = &world.state.ec2;
    let table = state.subnets.get(subnet_id).and_then(|subnet| state.route_table_of(subnet));
    state
        .endpoints
        .values()
        .filter(|endpoint| endpoint.vpc_id == vpc_id && endpoint.short_service() == service)
        .filter(|endpoint| endpoint.state(now) == EndpointState::Available)
        .any(|endpoint| match endpoint.kind {
            EndpointKind::Gateway => {
                table.is_some_and(|table| endpoint.route_tables.contains(&table.id))
            }
            EndpointKind::Interface => endpoint.private_dns,
        })
}

/// Whether TCP from an interface with `from_groups` reaches `port` of one with `to_groups`: some rule lets it out and some rule
/// lets it in. A rule with an address range counts when the range covers the whole VPC of the other side, since interfaces are
/// not looked up here.
pub(crate) fn allows(
    world: &World,
    from_groups: &[String],
    to_groups: &[String],
    port: u16,
) -> bool {
    let passes = |own: &[String], other: &[String], egress: bool| {
        let state = &world.state.ec2;
        let ranges: Vec<&str> = other
            .iter()
            .filter_map(|id| state.groups.get(id))
            .filter_map(|group| state.vpcs.get(&group.vpc_id))
            .map(|vpc| vpc.cidr.as_str())
            .collect();
        own.iter()
            .filter_map(|id| state.groups.get(id))
            .flat_map(|group| group.rules.values())
            .map(|rule| &rule.permission)
            .filter(|permission| permission.egress == egress)
            .filter(|permission| match permission.protocol.as_str() {
                "-1" => true,
                "tcp" => (permission.from..=permission.to).contains(&i64::from(port)),
                _ => false,
            })
            .any(|permission| match &permission.peer {
                Peer::Group(id) => other.contains(id),
                Peer::Ipv4(range) => ranges.iter().any(|inner| covers(range, inner)),
                Peer::Ipv6(_) | Peer::PrefixList(_) => false,
            })
    };
    passes(from_groups, to_groups, true) && passes(to_groups, from_groups, false)
}

/// An address in the subnet, drawn for `label`. Two draws may meet: nothing rests on addresses being unique.
pub(crate) fn address(world: &mut World, label: &str, subnet_id: &str) -> String {
    let range = world.state.ec2.subnets.get(subnet_id).and_then(|subnet| ipv4_range(&subnet.cidr));
    let Some((network, length)) = range else { return "0.0.0.0".into() };
    // AWS keeps the first four addresses and the last one of each subnet for itself.
    let usable = (1u64 << (32 - length)).saturating_sub(5).max(1);
    let host = u32::try_from(4 + world.draw(label) % usable).unwrap_or(4);
    Ipv4Addr::from(network.wrapping_add(host)).to_string()
}

/// Every interface in the account's network: those of the endpoints and those that other services keep.
pub(crate) fn interfaces(world: &World, now: Millis) -> Vec<Interface> {
    let mut all = endpoint_interfaces(world, now);
    all.extend(kafka::interfaces(world, now));
    all.extend(kafkaconnect::interfaces(world, now));
    all.extend(rds::interfaces(world, now));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

fn endpoint_interfaces(world: &World, now: Millis) -> Vec<Interface> {
    let state = &world.state.ec2;
    let mut interfaces = Vec::new();
    for endpoint in state.endpoints.values().filter(|endpoint| endpoint.state(now).exists()) {
        for (subnet_id, (id, address)) in &endpoint.subnets {
            interfaces.push(Interface {
                id: id.clone(),
                subnet_id: subnet_id.clone(),
                vpc_id: endpoint.vpc_id.clone(),
                az: state.subnets.get(subnet_id).map(|s| s.zone.clone()).unwrap_or_default(),
                groups: endpoint.groups.iter().cloned().collect(),
                description: format!("VPC Endpoint Interface {}", endpoint.id),
                requester_id: world.settings.account.clone(),
                requester_managed: true,
                interface_type: "vpc_endpoint".into(),
                private_ip: address.clone(),
                status: "in-use".into(),
                tags: Tags::new(),
            });
        }
    }
    interfaces
}
