//! One test a rule, named after it.

use super::super::rules::RULES;
use super::super::state::{EndpointKind, Peer, Permission};
use super::*;

#[test]
fn has_a_source_and_a_test() {
    let tests = include_str!("each_rule.rs");
    for (rule, source) in RULES {
        assert!(!source.is_empty());
        assert!(tests.contains(&format!("fn {rule}()")), "no test for {rule}");
    }
}

#[track_caller]
fn name_refused(name: &str, description: &str, code: &str) -> String {
    let mut account = Account::new();
    let vpc = account.vpc();
    account.refused(
        "CreateSecurityGroup",
        json!({ "GroupName": name, "Description": description, "VpcId": vpc }),
        code,
    )
}

#[test]
fn group_name_is_allowed() {
    name_refused("sg-mine", "d", "InvalidParameterValue");
    name_refused(&"x".repeat(256), "d", "InvalidParameterValue");
    name_refused("name?", "d", "InvalidParameterValue");
}

#[test]
fn description_is_allowed() {
    name_refused("a", "It's mine", "InvalidParameterValue");
    name_refused("a", &"x".repeat(256), "InvalidParameterValue");
}

#[test]
fn group_name_is_not_reserved() {
    name_refused("Default", "d", "InvalidGroup.Reserved");
}

#[test]
fn group_name_is_free() {
    let mut account = Account::new();
    account.group("msk-sg");
    let vpc = account.vpc();
    let input = |vpc: &str| json!({ "GroupName": "MSK-SG", "Description": "d", "VpcId": vpc });
    let message = account.refused("CreateSecurityGroup", input(&vpc), "InvalidGroup.Duplicate");
    assert_eq!(message, format!("The security group 'MSK-SG' already exists for VPC '{vpc}'"));
    let other = account.other_vpc();
    account.ok("CreateSecurityGroup", input(&other));
}

#[test]
fn groups_in_region() {
    let mut account = Account::new();
    let template = account.world.state.ec2.groups.values().next().unwrap().clone();
    for n in 0..2_500 {
        account.world.state.ec2.groups.insert(format!("sg-{n}"), template.clone());
    }
    let vpc = account.vpc();
    account.refused(
        "CreateSecurityGroup",
        json!({ "GroupName": "a", "Description": "d", "VpcId": vpc }),
        "SecurityGroupLimitExceeded",
    );
}

#[track_caller]
fn permission_refused(permissions: Value, code: &str) -> String {
    let mut account = Account::new();
    let group = account.group("a");
    account.refused(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": group, "IpPermissions": permissions }),
        code,
    )
}

#[test]
fn rule_has_one_peer() {
    permission_refused(json!([tcp(1, &[])]), "MissingParameter");
}

#[test]
fn protocol_is_known() {
    let range = json!([{ "CidrIp": "0.0.0.0/0" }]);
    permission_refused(
        json!([{ "IpProtocol": "tpc", "IpRanges": range }]),
        "InvalidParameterValue",
    );
    assert_eq!(rules::protocol_is_known("6").unwrap(), "tcp");
    assert_eq!(rules::protocol_is_known("TCP").unwrap(), "tcp");
}

#[test]
fn ports_are_given() {
    let range = json!([{ "CidrIp": "0.0.0.0/0" }]);
    permission_refused(
        json!([{ "IpProtocol": "tcp", "FromPort": 1, "IpRanges": range }]),
        "InvalidParameterValue",
    );
    permission_refused(
        json!([{ "IpProtocol": "udp", "FromPort": 2, "ToPort": 1, "IpRanges": range }]),
        "InvalidParameterValue",
    );
    assert_eq!(rules::ports_are_given("-1", Some(1), Some(2)).unwrap(), (-1, -1));
}

#[test]
fn permission_is_named_once() {
    permission_refused(json!([tcp(1, &["10.0.0.0/8", "10.1.0.0/8"])]), "InvalidParameterValue");
}

#[test]
fn rule_is_new() {
    let mut account = Account::new();
    let group = account.group("a");
    let input = |permissions| json!({ "GroupId": group, "IpPermissions": permissions });
    account.ok("AuthorizeSecurityGroupIngress", input(json!([tcp(22, &["0.0.0.0/0"])])));
    let message = account.refused(
        "AuthorizeSecurityGroupIngress",
        input(json!([tcp(23, &["0.0.0.0/0"]), tcp(22, &["0.0.0.0/0"])])),
        "InvalidPermission.Duplicate",
    );
    assert_eq!(
        message,
        "the specified rule \"peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW\" already exists"
    );
}

#[test]
fn rules_in_group() {
    let permission = |n: i64, peer: Peer| Permission {
        egress: false,
        protocol: "tcp".into(),
        from: n,
        to: n,
        peer,
    };
    let ipv4 = || Peer::Ipv4("0.0.0.0/0".into());
    let ipv6 = || Peer::Ipv6("::/0".into());
    let mut rules: Vec<_> = (0..60).map(|n| permission(n, ipv4())).collect();
    rules.extend((0..60).map(|n| permission(n, ipv6())));
    assert!(rules::rules_in_group(&rules.iter().collect::<Vec<_>>()).is_ok());
    rules.push(permission(60, Peer::Group("sg-1".into())));
    assert_eq!(
        rules::rules_in_group(&rules.iter().collect::<Vec<_>>()).unwrap_err().code,
        "RulesPerSecurityGroupLimitExceeded"
    );
}

#[test]
fn referenced_group_is_in_vpc() {
    permission_refused(json!([tcp_from(1, "sg-0")]), "InvalidGroup.NotFound");
    let mut account = Account::new();
    let (group, vpc) = (account.group("a"), account.other_vpc());
    let input = json!({ "GroupName": "b", "Description": "d", "VpcId": vpc });
    let other = account.ok("CreateSecurityGroup", input)["GroupId"].clone();
    account.refused(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": group, "IpPermissions": [tcp_from(1, other.as_str().unwrap())] }),
        "InvalidGroup.NotFound",
    );
}

#[test]
fn default_group_stays() {
    let mut account = Account::new();
    let id = account.default_group();
    account.refused("DeleteSecurityGroup", json!({ "GroupId": id }), "CannotDelete");
}

#[test]
fn group_is_unused() {
    let mut account = Account::new();
    let (a, b) = (account.group("a"), account.group("b"));
    for (own, other) in [(&a, &b), (&b, &a), (&a, &a)] {
        account.ok(
            "AuthorizeSecurityGroupIngress",
            json!({ "GroupId": own, "IpPermissions": [tcp_from(1, other)] }),
        );
    }
    let message =
        account.refused("DeleteSecurityGroup", json!({ "GroupId": a }), "DependencyViolation");
    assert_eq!(message, format!("resource {a} has a dependent object"));
    account.ok(
        "RevokeSecurityGroupIngress",
        json!({ "GroupId": b, "IpPermissions": [tcp_from(1, &a)] }),
    );
    // A rule of its own that names itself is no obstacle; an interface is.
    let mut input = account.secretsmanager();
    input["SecurityGroupIds"] = json!([a]);
    let made = account.ok("CreateVpcEndpoint", input);
    account.refused("DeleteSecurityGroup", json!({ "GroupId": a }), "DependencyViolation");
    let endpoint = &made["VpcEndpoint"]["VpcEndpointId"];
    account.ok("DeleteVpcEndpoints", json!({ "VpcEndpointIds": [endpoint] }));
    account.refused("DeleteSecurityGroup", json!({ "GroupId": a }), "DependencyViolation");
    account.now += state::INTERFACE_ENDPOINT;
    account.ok("DeleteSecurityGroup", json!({ "GroupId": a }));
    account.refused("DeleteSecurityGroup", json!({ "GroupId": a }), "InvalidGroup.NotFound");
}

#[test]
fn revoked_rule_exists() {
    let mut account = Account::new();
    let group = account.group("a");
    let input = |permissions| json!({ "GroupId": group, "IpPermissions": permissions });
    account.ok("AuthorizeSecurityGroupIngress", input(json!([tcp(1, &["10.0.0.0/8"])])));
    let half = json!([tcp(1, &["10.0.0.0/8"]), tcp(2, &["10.0.0.0/8"])]);
    account.refused(
        "RevokeSecurityGroupIngress",
        input(half.clone()),
        "InvalidPermission.NotFound",
    );
    account.make_default();
    let answer = account.ok("RevokeSecurityGroupIngress", input(half));
    assert_eq!(answer["UnknownIpPermissions"][0]["FromPort"], 2);
    assert_eq!(answer["RevokedSecurityGroupRules"][0]["FromPort"], 1);
}

#[test]
fn rule_id_exists() {
    let mut account = Account::new();
    let group = account.group("a");
    let egress = account.rules(&group)[0]["SecurityGroupRuleId"].clone();
    account.refused(
        "RevokeSecurityGroupIngress",
        json!({ "GroupId": group, "SecurityGroupRuleIds": [egress] }),
        "InvalidSecurityGroupRuleId.NotFound",
    );
}

#[test]
fn rule_keeps_its_type() {
    let mut account = Account::new();
    let group = account.group("a");
    let rule = account.rules(&group)[0]["SecurityGroupRuleId"].clone();
    let message = account.refused(
        "ModifySecurityGroupRules",
        json!({ "GroupId": group, "SecurityGroupRules": [{
            "SecurityGroupRuleId": rule,
            "SecurityGroupRule": { "IpProtocol": "-1", "ReferencedGroupId": group },
        }] }),
        "InvalidParameterValue",
    );
    assert_eq!(
        message,
        "You may not specify a referenced group id for an existing IPv4 CIDR rule."
    );
}

#[test]
fn tags_are_allowed() {
    let mut account = Account::new();
    let group = account.group("a");
    let mut refused = |tags: Value, code: &str| {
        account.refused("CreateTags", json!({ "Resources": [group], "Tags": tags }), code)
    };
    refused(json!([{ "Key": "aws:x", "Value": "" }]), "InvalidParameterValue");
    refused(json!([{ "Key": "x" }, { "Key": "x" }]), "InvalidParameterValue");
    refused(json!([{ "Key": "x".repeat(129) }]), "InvalidParameterValue");
    let many: Vec<Value> = (0..51).map(|n| json!({ "Key": n.to_string() })).collect();
    refused(many.into(), "TagLimitExceeded");
    let vpc = account.vpc();
    account.refused(
        "CreateSecurityGroup",
        json!({
            "GroupName": "b", "Description": "d", "VpcId": vpc,
            "TagSpecifications": [{
                "ResourceType": "vpc", "Tags": [{ "Key": "a", "Value": "b" }],
            }],
        }),
        "InvalidParameterValue",
    );
}

#[test]
fn filter_is_known() {
    let mut account = Account::new();
    let message = account.refused(
        "DescribeVpcs",
        json!({ "Filters": [{ "Name": "name", "Values": ["x"] }] }),
        "InvalidParameterValue",
    );
    assert_eq!(message, "The filter 'name' is invalid");
    // A filter without values matches nothing.
    let none = account.ok("DescribeVpcs", json!({ "Filters": [{ "Name": "vpc-id" }] }));
    assert_eq!(none["Vpcs"], json!([]));
}

#[test]
fn token_is_known() {
    Account::new().refused("DescribeVpcs", json!({ "NextToken": "x" }), "InvalidNextToken");
}

#[test]
fn page_or_ids() {
    Account::new().refused(
        "DescribeNetworkInterfaces",
        json!({ "NetworkInterfaceIds": ["eni-1"], "MaxResults": 5 }),
        "InvalidParameterCombination",
    );
}

#[test]
fn endpoint_service_exists() {
    let mut account = Account::new();
    let mut input = account.secretsmanager();
    input["ServiceName"] = "com.amazonaws.eu-west-1.secretsmanager".into();
    account.refused("CreateVpcEndpoint", input, "InvalidServiceName");
    assert!(
        rules::endpoint_service_exists(
            "us-east-1",
            EndpointKind::Interface,
            "com.amazonaws.us-east-1.dynamodb",
        )
        .is_err()
    );
}

#[test]
fn endpoint_kind_takes() {
    let mut account = Account::new();
    let mut input = account.secretsmanager();
    input["ServiceName"] = "com.amazonaws.us-east-1.s3".into();
    input["VpcEndpointType"] = "Gateway".into();
    let message = account.refused("CreateVpcEndpoint", input, "InvalidParameter");
    assert_eq!(
        message,
        "Subnet IDs are only supported for Interface and GatewayLoadBalancer type VPC Endpoints."
    );
}

#[test]
fn one_endpoint_subnet_a_zone() {
    let mut account = Account::new();
    let mut input = account.secretsmanager();
    input["SubnetIds"] = json!([account.subnets("private")[0], account.subnets("public")[0]]);
    account.refused("CreateVpcEndpoint", input, "DuplicateSubnetsInSameZone");
}

#[test]
fn private_dns_is_free() {
    let mut account = Account::new();
    let mut input = account.secretsmanager();
    account.ok("CreateVpcEndpoint", input.clone());
    let message = account.refused("CreateVpcEndpoint", input.clone(), "InvalidParameter");
    assert_eq!(
        message,
        format!(
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain for secretsmanager.us-east-1.amazonaws.com in the VPC {}",
            account.vpc()
        )
    );
    input["PrivateDnsEnabled"] = false.into();
    account.ok("CreateVpcEndpoint", input);
}

#[test]
fn route_table_has_no_such_route() {
    let mut account = Account::new();
    let table = account.table("private");
    let input = json!({
        "VpcId": account.vpc(),
        "ServiceName": "com.amazonaws.us-east-1.s3",
        "RouteTableIds": [table],
    });
    account.ok("CreateVpcEndpoint", input.clone());
    account.refused("CreateVpcEndpoint", input, "RouteAlreadyExists");
}
