//! The network of a fresh account.

use std::collections::BTreeMap;

use super::state::{
    DEFAULT_GROUP, Group, Peer, Permission, RouteTable, Rule, Subnet, Tags, Vpc, Zone,
};
use crate::world::World;

/// How many availability zones the region has.
const ZONES: u64 = 5;
/// How many of them have subnets.
const ZONES_WITH_SUBNETS: usize = 4;

/// Lays out the network of a fresh account: one VPC with its default group, zones, public and private subnets in four zones,
/// an internet gateway, a NAT gateway and the three route tables.
///
/// The VPC is tagged `Name=default-vpc`, the tag by which the replaced pipeline finds its network, but is not the account's
/// *default VPC*: in that one, revoking a rule that is not there succeeds, everywhere else it fails, and a client has to manage
/// with the stricter. Any zone may have the id `use1-az3`, which MSK refuses (handbook msk.md, "Subnets"): a client has to look at
/// ids, since names are shuffled per account.
pub(crate) fn seed(world: &mut World) {
    seed_zones(world);
    let vpc = id(world, "vpc");
    let vpc_row = Vpc {
        id: vpc.clone(),
        cidr: "172.31.0.0/16".into(),
        cidr_association: id(world, "vpc-cidr-assoc"),
        dhcp_options: id(world, "dopt"),
        is_default: false,
        tags: named("default-vpc"),
    };
    world.state.ec2.vpcs.insert(vpc.clone(), vpc_row);
    for service in ["s3", "dynamodb"] {
        let list = format!("pl-{}", world.hex(&format!("ec2/prefix-list/{service}"), 8));
        world.state.ec2.prefix_lists.insert(service.into(), list);
    }
    seed_default_group(world, &vpc);

    let zones: Vec<String> = world
        .state
        .ec2
        .zones
        .values()
        .filter(|zone| zone.kind == "availability-zone")
        .map(|zone| zone.name.clone())
        .take(ZONES_WITH_SUBNETS)
        .collect();
    let mut public = BTreeMap::new();
    let mut private = BTreeMap::new();
    for (index, zone) in zones.iter().enumerate() {
        for tier in ["public", "private"] {
            let is_public = tier == "public";
            let block = 16 * (index + if is_public { 0 } else { ZONES_WITH_SUBNETS });
            let mut tags = named(&format!("{tier}-subnet-{}", index + 1));
            if !is_public {
                tags.insert("Tier".into(), "private".into());
            }
            let subnet = Subnet {
                id: id(world, "subnet"),
                vpc_id: vpc.clone(),
                zone: zone.clone(),
                cidr: format!("172.31.{block}.0/20"),
                public_addresses: is_public,
                tags,
            };
            let association = id(world, "rtbassoc");
            let table = if is_public { &mut public } else { &mut private };
            table.insert(subnet.id.clone(), association);
            world.state.ec2.subnets.insert(subnet.id.clone(), subnet);
        }
    }

    let internet = id(world, "igw");
    let nat = id(world, "nat");
    let main = id(world, "rtbassoc");
    for (main, subnets, default_route, name) in [
        (Some(main), BTreeMap::new(), None, "main"),
        (None, public, Some(internet), "public"),
        (None, private, Some(nat), "private"),
    ] {
        let table = RouteTable {
            id: id(world, "rtb"),
            vpc_id: vpc.clone(),
            main,
            subnets,
            default_route,
            tags: named(&format!("{name}-route-table")),
        };
        world.state.ec2.route_tables.insert(table.id.clone(), table);
    }
}

fn seed_zones(world: &mut World) {
    let region = world.settings.region.clone();
    let prefix = zone_id_prefix(&region);
    // Names are shuffled against ids per account, so that nobody takes `a` for a place.
    let mut numbers: Vec<u64> = (1..=ZONES).collect();
    for (last, choices) in (1..numbers.len()).rev().zip((2..=ZONES).rev()) {
        let other = usize::try_from(world.draw("ec2/zones") % choices).unwrap_or_default();
        numbers.swap(last, other);
    }
    let mut parent = None;
    for (letter, number) in ('a'..).zip(numbers) {
        let zone = Zone {
            name: format!("{region}{letter}"),
            id: format!("{prefix}-az{number}"),
            kind: "availability-zone".into(),
            group: format!("{region}-zg-1"),
            opt_in: "opt-in-not-required".into(),
            parent: None,
        };
        parent.get_or_insert((zone.name.clone(), zone.id.clone()));
        world.state.ec2.zones.insert(zone.name.clone(), zone);
    }
    let local = Zone {
        name: format!("{region}-bos-1a"),
        id: format!("{prefix}-bos1-az1"),
        kind: "local-zone".into(),
        group: format!("{region}-bos-1"),
        opt_in: "not-opted-in".into(),
        parent,
    };
    world.state.ec2.zones.insert(local.name.clone(), local);
}

/// `us-east-1` → `use1`, `ap-southeast-2` → `apse2`, `us-gov-west-1` → `usgw1`.
fn zone_id_prefix(region: &str) -> String {
    let mut parts = region.split('-');
    let mut prefix = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        prefix.push_str(match part {
            "northeast" => "ne",
            "northwest" => "nw",
            "southeast" => "se",
            "southwest" => "sw",
            other => &other[..other.len().min(1)],
        });
    }
    prefix
}

/// The group that each VPC is born with: all from itself, all to everywhere.
fn seed_default_group(world: &mut World, vpc: &str) {
    let group = id(world, "sg");
    let mut rules = BTreeMap::new();
    for (egress, peer) in
        [(false, Peer::Group(group.clone())), (true, Peer::Ipv4("0.0.0.0/0".into()))]
    {
        let rule = Rule {
            id: id(world, "sgr"),
            permission: Permission { egress, protocol: "-1".into(), from: -1, to: -1, peer },
            description: None,
            tags: Tags::new(),
        };
        rules.insert(rule.id.clone(), rule);
    }
    let group = Group {
        id: group,
        name: DEFAULT_GROUP.into(),
        description: "default VPC security group".into(),
        vpc_id: vpc.into(),
        rules,
        tags: Tags::new(),
    };
    world.state.ec2.groups.insert(group.id.clone(), group);
}

fn id(world: &mut World, prefix: &str) -> String {
    format!("{prefix}-{}", world.hex(&format!("ec2/seed/{prefix}"), 17))
}

fn named(name: &str) -> Tags {
    Tags::from([("Name".into(), name.into())])
}
