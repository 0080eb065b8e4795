//! What EC2 refuses beyond the shapes of its model: one function a rule.

use std::collections::BTreeSet;

use super::state::{DEFAULT_GROUP, EndpointKind, Group, Interface, Peer, Permission, Rule, State};
use crate::world::{AwsError, Millis};

/// The rules and where each is known from.
#[allow(dead_code, reason = "the list is for its reader and the tests")]
pub(crate) const RULES: &[(&str, &str)] = &[
    ("group_name_is_allowed", "handbook aws.md §3.2; botocore ec2 CreateSecurityGroup"),
    ("description_is_allowed", "handbook aws.md §3.2; botocore ec2 CreateSecurityGroup, IpRange"),
    ("group_name_is_not_reserved", "AWS page \"Error codes for the Amazon EC2 API\""),
    ("group_name_is_free", "handbook aws.md §3.2; botocore ec2 CreateSecurityGroup"),
    ("groups_in_region", "handbook aws.md §3.4"),
    ("rule_has_one_peer", "handbook aws.md §3.2; botocore ec2 AuthorizeSecurityGroupIngress"),
    ("protocol_is_known", "botocore ec2 IpPermission"),
    ("ports_are_given", "botocore ec2 AuthorizeSecurityGroupIngress"),
    ("permission_is_named_once", "hashicorp/terraform-provider-aws #2587, aws/aws-sdk-go #1340"),
    ("rule_is_new", "handbook aws.md §3.2; galaxyproject/cloudlaunch #56, ansible/ansible #3258"),
    ("rules_in_group", "handbook aws.md §3.2, §3.4"),
    ("referenced_group_is_in_vpc", "ansible/ansible #30053"),
    ("default_group_stays", "handbook aws.md §3.2"),
    ("group_is_unused", "handbook aws.md §3.2; hashicorp/terraform-provider-aws #1671"),
    ("revoked_rule_exists", "handbook aws.md §3.2; cloud-custodian/cloud-custodian #6099"),
    ("rule_id_exists", "handbook aws.md §3.2"),
    ("rule_keeps_its_type", "mukulmantosh/SampleDemo #1"),
    ("tags_are_allowed", "botocore ec2 CreateTags, TagSpecification"),
    ("filter_is_known", "aws/aws-cli #7225, #4013"),
    ("token_is_known", "AWS page \"Error codes for the Amazon EC2 API\""),
    ("page_or_ids", "botocore ec2 DescribeNetworkInterfaces MaxResults"),
    ("endpoint_service_exists", "terraform-aws-modules/terraform-aws-vpc #481"),
    ("endpoint_kind_takes", "nanlabs/terraform-aws-starter #18; botocore ec2 CreateVpcEndpoint"),
    ("one_endpoint_subnet_a_zone", "terraform-aws-modules/terraform-aws-vpc #451, #583"),
    ("private_dns_is_free", "hashicorp/terraform-provider-aws #17535"),
    ("route_table_has_no_such_route", "eksctl-io/eksctl #2510"),
];

/// Groups in a region.
const GROUPS_IN_REGION: usize = 2_500;
/// Rules in one direction of a group, IPv4 and IPv6 apart.
const RULES_IN_GROUP: usize = 60;
/// Tags on an object.
const TAGS_ON_OBJECT: usize = 50;

type Check<T = ()> = Result<T, AwsError>;

fn refuse<T>(code: &str, message: impl Into<String>) -> Check<T> {
    Err(AwsError::new(code, message))
}

fn in_character_set(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
}

/// A name has at most 255 characters of a small set and does not look like an id (handbook §3.2, botocore).
pub(super) fn group_name_is_allowed(name: &str) -> Check {
    if name.starts_with("sg-") {
        return refuse(
            "InvalidParameterValue",
            format!(
                "Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*."
            ),
        );
    }
    if name.is_empty() || name.len() > 255 || !in_character_set(name) {
        return refuse(
            "InvalidParameterValue",
            format!("Value ({name}) for parameter GroupName is invalid."),
        );
    }
    Ok(())
}

/// A description has at most 255 characters of a small set (handbook §3.2, botocore).
pub(super) fn description_is_allowed(what: &str, description: &str) -> Check {
    if description.len() <= 255 && in_character_set(description) {
        return Ok(());
    }
    refuse(
        "InvalidParameterValue",
        format!(
            "Invalid {what} description. Valid descriptions are strings less than 256 characters from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
        ),
    )
}

/// `default` is the group that each VPC is born with (AWS page on error codes: `InvalidGroup.Reserved`).
pub(super) fn group_name_is_not_reserved(name: &str) -> Check {
    if name.eq_ignore_ascii_case(DEFAULT_GROUP) {
        return refuse("InvalidGroup.Reserved", format!("The security group '{name}' is reserved"));
    }
    Ok(())
}

/// Names are unique in a VPC, in whatever case (handbook §3.2, botocore).
pub(super) fn group_name_is_free(state: &State, vpc_id: &str, name: &str) -> Check {
    let taken = state
        .groups
        .values()
        .any(|group| group.vpc_id == vpc_id && group.name.eq_ignore_ascii_case(name));
    if taken {
        return refuse(
            "InvalidGroup.Duplicate",
            format!("The security group '{name}' already exists for VPC '{vpc_id}'"),
        );
    }
    Ok(())
}

/// 2,500 groups in a region (handbook §3.4).
pub(super) fn groups_in_region(state: &State) -> Check {
    if state.groups.len() >= GROUPS_IN_REGION {
        return refuse(
            "SecurityGroupLimitExceeded",
            "The maximum number of security groups has been reached.",
        );
    }
    Ok(())
}

/// Each permission names at least one peer (handbook §3.2: what AWS answers to none is unverified (U)).
pub(super) fn rule_has_one_peer(peers: usize) -> Check {
    if peers == 0 {
        return refuse(
            "MissingParameter",
            "The request must specify exactly one of the following: an IPv4 or IPv6 address range, a prefix list, or a security group.",
        );
    }
    Ok(())
}

/// A protocol is a name, a number or -1 (botocore `IpPermission`); the answer is its canonical form.
pub(super) fn protocol_is_known(protocol: &str) -> Check<String> {
    let lower = protocol.to_ascii_lowercase();
    match lower.as_str() {
        "-1" | "all" => Ok("-1".into()),
        "tcp" | "6" => Ok("tcp".into()),
        "udp" | "17" => Ok("udp".into()),
        "icmp" | "1" => Ok("icmp".into()),
        "icmpv6" | "58" => Ok("icmpv6".into()),
        number if number.parse::<u8>().is_ok() => Ok(lower),
        _ => refuse(
            "InvalidParameterValue",
            format!("Invalid value '{protocol}' for IP protocol. Unknown protocol."),
        ),
    }
}

/// TCP and UDP need both ports, ICMP its type and code; other protocols have none, whatever was sent (botocore).
pub(super) fn ports_are_given(
    protocol: &str,
    from: Option<i64>,
    to: Option<i64>,
) -> Check<(i64, i64)> {
    match (protocol, from, to) {
        ("tcp" | "udp", Some(from), Some(to)) if 0 <= from && from <= to && to <= 65_535 => {
            Ok((from, to))
        }
        ("tcp" | "udp", Some(from), Some(to)) => refuse(
            "InvalidParameterValue",
            format!("Invalid {} port range ({from}-{to})", protocol.to_ascii_uppercase()),
        ),
        ("tcp" | "udp", _, _) => refuse(
            "InvalidParameterValue",
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        ),
        ("icmp", Some(from), Some(to)) => Ok((from, to)),
        ("icmp", _, _) => refuse(
            "InvalidParameterValue",
            "Invalid value for ICMP. Must specify both type and code.",
        ),
        ("icmpv6", from, to) => Ok((from.unwrap_or(-1), to.unwrap_or(-1))),
        _ => Ok((-1, -1)),
    }
}

/// One call names no permission twice, also not in another spelling (terraform-provider-aws #2587).
pub(super) fn permission_is_named_once(permissions: &[Permission]) -> Check {
    let mut seen = BTreeSet::new();
    if permissions.iter().all(|permission| seen.insert(permission)) {
        return Ok(());
    }
    refuse("InvalidParameterValue", "The same permission must not appear multiple times")
}

/// A rule that is there already refuses the whole call (handbook §3.2; text from cloudlaunch #56).
pub(super) fn rule_is_new<'a>(
    mut existing: impl Iterator<Item = &'a Rule>,
    permission: &Permission,
) -> Check {
    if existing.any(|rule| rule.permission == *permission) {
        return refuse(
            "InvalidPermission.Duplicate",
            format!("the specified rule \"{}\" already exists", spoken(permission)),
        );
    }
    Ok(())
}

/// A rule as EC2 speaks of it: `peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW`.
fn spoken(permission: &Permission) -> String {
    let peer = match &permission.peer {
        Peer::Ipv4(peer) | Peer::Ipv6(peer) | Peer::PrefixList(peer) | Peer::Group(peer) => peer,
    };
    let (from, to) = (permission.from, permission.to);
    match permission.protocol.as_str() {
        "-1" => format!("peer: {peer}, ALL, ALLOW"),
        "tcp" | "udp" => format!(
            "peer: {peer}, {}, from port: {from}, to port: {to}, ALLOW",
            permission.protocol.to_ascii_uppercase()
        ),
        "icmp" | "icmpv6" => format!(
            "peer: {peer}, {}, type: {from}, code: {to}, ALLOW",
            permission.protocol.to_ascii_uppercase()
        ),
        number => format!("peer: {peer}, protocol: {number}, ALLOW"),
    }
}

/// 60 rules in each direction, IPv4 and IPv6 counted apart (handbook §3.4); a rule with a group or prefix list counts in both (U).
pub(super) fn rules_in_group(rules: &[&Permission]) -> Check {
    for egress in [false, true] {
        let count = |other: fn(&Peer) -> bool| {
            rules.iter().filter(|rule| rule.egress == egress && !other(&rule.peer)).count()
        };
        let ipv4 = count(|peer| matches!(peer, Peer::Ipv6(_)));
        let ipv6 = count(|peer| matches!(peer, Peer::Ipv4(_)));
        if ipv4.max(ipv6) > RULES_IN_GROUP {
            return refuse(
                "RulesPerSecurityGroupLimitExceeded",
                "The maximum number of rules per security group has been reached.",
            );
        }
    }
    Ok(())
}

/// A rule names only groups that exist, in the VPC of its own (ansible #30053); peered VPCs do not exist here.
pub(super) fn referenced_group_is_in_vpc(state: &State, vpc_id: &str, peer: &Peer) -> Check {
    let Peer::Group(id) = peer else { return Ok(()) };
    match state.groups.get(id) {
        Some(group) if group.vpc_id == vpc_id => Ok(()),
        Some(_) => refuse(
            "InvalidGroup.NotFound",
            "You have specified two resources that belong to different networks.",
        ),
        None => {
            refuse("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
        }
    }
}

/// The `default` group of a VPC goes only with the VPC (handbook §3.2).
pub(super) fn default_group_stays(group: &Group) -> Check {
    if group.name == DEFAULT_GROUP {
        return refuse(
            "CannotDelete",
            format!(
                "the specified group: \"{}\" name: \"{DEFAULT_GROUP}\" cannot be deleted by a user",
                group.id
            ),
        );
    }
    Ok(())
}

/// A group stays while an interface has it or a rule of another group names it (handbook §3.2).
pub(super) fn group_is_unused(state: &State, interfaces: &[Interface], id: &str) -> Check {
    let in_use =
        interfaces.iter().any(|interface| interface.groups.iter().any(|group| group == id));
    let named = state.groups.values().filter(|group| group.id != id).any(|group| {
        group.rules.values().any(|rule| rule.permission.peer == Peer::Group(id.into()))
    });
    if in_use || named {
        return refuse("DependencyViolation", format!("resource {id} has a dependent object"));
    }
    Ok(())
}

/// Revoking what is not there is refused outside the account's default VPC, and then removes nothing (handbook §3.2).
pub(super) fn revoked_rule_exists(in_default_vpc: bool, all_found: bool) -> Check {
    if in_default_vpc || all_found {
        return Ok(());
    }
    refuse(
        "InvalidPermission.NotFound",
        "The specified rule does not exist in this security group.",
    )
}

/// A rule id names a rule of this group, in this direction if one is given (handbook §3.2).
pub(super) fn rule_id_exists<'a>(
    group: &'a Group,
    id: &str,
    egress: Option<bool>,
) -> Check<&'a Rule> {
    match group.rules.get(id) {
        Some(rule) if egress.is_none_or(|egress| rule.permission.egress == egress) => Ok(rule),
        _ => refuse(
            "InvalidSecurityGroupRuleId.NotFound",
            format!("The security group rule ID '{id}' does not exist"),
        ),
    }
}

/// A rule cannot change from one sort of peer to another (text as reported in mukulmantosh/SampleDemo #1).
pub(super) fn rule_keeps_its_type(existing: &Peer, wanted: &Peer) -> Check {
    let describe = |peer: &Peer| match peer {
        Peer::Ipv4(_) => "IPv4 CIDR",
        Peer::Ipv6(_) => "IPv6 CIDR",
        Peer::PrefixList(_) => "prefix list id",
        Peer::Group(_) => "referenced group id",
    };
    if std::mem::discriminant(existing) == std::mem::discriminant(wanted) {
        return Ok(());
    }
    let article = if matches!(wanted, Peer::Ipv4(_) | Peer::Ipv6(_)) { "an" } else { "a" };
    refuse(
        "InvalidParameterValue",
        format!(
            "You may not specify {article} {} for an existing {} rule.",
            describe(wanted),
            describe(existing)
        ),
    )
}

/// At most 50 tags, each key once, at most 128 and 256 characters, no `aws:` (botocore `CreateTags`, `Tag`).
pub(super) fn tags_are_allowed(keys: &[(&str, &str)], total: usize) -> Check {
    let mut seen = BTreeSet::new();
    for (key, value) in keys {
        if key.starts_with("aws:") {
            return refuse(
                "InvalidParameterValue",
                "Tag keys starting with 'aws:' are reserved for internal use",
            );
        }
        if key.is_empty() || key.chars().count() > 128 {
            return refuse("InvalidParameterValue", "Tag key exceeds the maximum length of 128");
        }
        if value.chars().count() > 256 {
            return refuse("InvalidParameterValue", "Tag value exceeds the maximum length of 256");
        }
        if !seen.insert(*key) {
            return refuse(
                "InvalidParameterValue",
                format!("Duplicate tag key '{key}' specified."),
            );
        }
    }
    if total > TAGS_ON_OBJECT {
        return refuse(
            "TagLimitExceeded",
            format!("More than {TAGS_ON_OBJECT} tags specified for resource."),
        );
    }
    Ok(())
}

/// A Describe call refuses a filter that it does not have (aws-cli #7225, #4013); the answer is the filter's path.
pub(super) fn filter_is_known<'a>(
    name: &str,
    filters: &[(&str, &'a str)],
    tags: Option<&str>,
) -> Check<&'a str> {
    if tags.is_some() && (name == "tag-key" || name.len() > 4 && name.starts_with("tag:")) {
        return Ok("");
    }
    match filters.iter().find(|(known, _)| *known == name) {
        Some((_, path)) => Ok(path),
        None => refuse("InvalidParameterValue", format!("The filter '{name}' is invalid")),
    }
}

/// A page token is one that was given out (AWS page on error codes: `InvalidNextToken`).
pub(super) fn token_is_known(start: Option<usize>) -> Check<usize> {
    start.map_or_else(|| refuse("InvalidNextToken", "The specified NextToken is not valid."), Ok)
}

/// Interfaces are asked for by id or by page, not both (botocore `DescribeNetworkInterfaces`).
pub(super) fn page_or_ids(has_ids: bool, has_size: bool) -> Check {
    if has_ids && has_size {
        return refuse(
            "InvalidParameterCombination",
            "The parameter NetworkInterfaceIds cannot be used with the parameter MaxResults",
        );
    }
    Ok(())
}

/// The services that have endpoints here, of each kind.
const GATEWAY_SERVICES: &[&str] = &["s3", "dynamodb"];
const INTERFACE_SERVICES: &[&str] = &[
    "ec2",
    "glue",
    "kafka",
    "kms",
    "logs",
    "monitoring",
    "rds",
    "rds-data",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
];

/// An endpoint is for a service that has this kind of it in this region (text from terraform-aws-vpc #481).
pub(super) fn endpoint_service_exists(region: &str, kind: EndpointKind, service: &str) -> Check {
    let known = match kind {
        EndpointKind::Gateway => GATEWAY_SERVICES,
        EndpointKind::Interface => INTERFACE_SERVICES,
    };
    let short = service
        .strip_prefix("com.amazonaws.")
        .and_then(|rest| rest.strip_prefix(region))
        .and_then(|rest| rest.strip_prefix('.'));
    if short.is_some_and(|short| known.contains(&short)) {
        return Ok(());
    }
    if short.is_some_and(|short| INTERFACE_SERVICES.contains(&short)) {
        return refuse(
            "InvalidParameter",
            format!(
                "Endpoint type (Gateway) does not match available service types ([Interface]) of {service}."
            ),
        );
    }
    refuse("InvalidServiceName", format!("The Vpc Endpoint Service '{service}' does not exist"))
}

/// What a call asks of an endpoint that only one kind of it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Subnets,
    Groups,
    PrivateDns,
    RouteTables,
}

/// Subnets, groups and private DNS are for interface endpoints, route tables for gateway endpoints (terraform-aws-starter #18,
/// botocore).
pub(super) fn endpoint_kind_takes(kind: EndpointKind, asks: &[(Asks, bool)]) -> Check {
    let refused =
        asks.iter().filter(|(_, given)| *given).find_map(|(asks, _)| match (kind, asks) {
            (EndpointKind::Gateway, Asks::Subnets) => {
                Some(("Subnet IDs", "Interface and GatewayLoadBalancer"))
            }
            (EndpointKind::Gateway, Asks::Groups) => Some(("Security Group IDs", "Interface")),
            (EndpointKind::Gateway, Asks::PrivateDns) => Some(("Private DNS options", "Interface")),
            (EndpointKind::Interface, Asks::RouteTables) => Some(("Route table IDs", "Gateway")),
            _ => None,
        });
    let Some((what, of)) = refused else { return Ok(()) };
    refuse("InvalidParameter", format!("{what} are only supported for {of} type VPC Endpoints."))
}

/// An interface endpoint has one subnet in a zone (terraform-aws-vpc #451, #583). `zones` are those of its subnets so far.
pub(super) fn one_endpoint_subnet_a_zone(
    zones: &mut BTreeSet<String>,
    zone: &str,
    subnet_id: &str,
) -> Check {
    if zones.insert(zone.into()) {
        return Ok(());
    }
    refuse(
        "DuplicateSubnetsInSameZone",
        format!(
            "Found another VPC endpoint subnet in the availability zone of {subnet_id}. VPC endpoint subnets should be in different availability zones supported by the VPC endpoint service."
        ),
    )
}

/// One endpoint of a service in a VPC has private DNS (terraform-provider-aws #17535).
pub(super) fn private_dns_is_free(
    state: &State,
    now: Millis,
    endpoint_id: &str,
    vpc_id: &str,
    service: &str,
    domain: &str,
) -> Check {
    let taken = state.endpoints.values().any(|endpoint| {
        endpoint.id != endpoint_id
            && endpoint.vpc_id == vpc_id
            && endpoint.service == service
            && endpoint.private_dns
            && endpoint.state(now).exists()
    });
    if taken {
        return refuse(
            "InvalidParameter",
            format!(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {domain} in the VPC {vpc_id}"
            ),
        );
    }
    Ok(())
}

/// A route table has one gateway endpoint of a service (eksctl #2510).
pub(super) fn route_table_has_no_such_route(
    state: &State,
    now: Millis,
    endpoint_id: &str,
    service: &str,
    prefix_list: &str,
    table_id: &str,
) -> Check {
    let taken = state.endpoints.values().any(|endpoint| {
        endpoint.id != endpoint_id
            && endpoint.kind == EndpointKind::Gateway
            && endpoint.service == service
            && endpoint.route_tables.contains(table_id)
            && endpoint.state(now).exists()
    });
    if taken {
        return refuse(
            "RouteAlreadyExists",
            format!(
                "route table {table_id} already has a route with destination-prefix-list-id {prefix_list}"
            ),
        );
    }
    Ok(())
}
