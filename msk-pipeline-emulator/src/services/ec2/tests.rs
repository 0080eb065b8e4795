use serde_json::{Value, json};

use super::*;
use crate::world::Settings;

mod each_rule;

const NOW: Millis = 1_767_225_600_000;

struct Account {
    world: World,
    now: Millis,
}

impl Account {
    fn new() -> Self {
        Self { world: World::new(Settings::default()), now: NOW }
    }

    #[track_caller]
    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, &input).unwrap_or_else(|e| panic!("{operation} {input}: {e:?}"))
    }

    fn call(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let cx = Cx { now: self.now, body: bytes::Bytes::new(), request_id: "r".into() };
        (SERVICE.handle)(&mut self.world, &cx, operation, input).map(|reply| reply.value)
    }

    /// Expects a refusal with this code, which changes nothing, and gives the message.
    #[track_caller]
    fn refused(&mut self, operation: &str, input: Value, code: &str) -> String {
        let before = serde_json::to_string(&self.world.state.ec2).unwrap();
        let error = self.call(operation, &input).expect_err("a refusal");
        assert_eq!(error.code, code, "{}", error.message);
        assert_eq!(before, serde_json::to_string(&self.world.state.ec2).unwrap());
        error.message
    }

    fn vpc(&self) -> String {
        self.world.state.ec2.vpcs.keys().next().unwrap().clone()
    }

    /// A VPC beside the seeded one, which has nothing in it.
    fn other_vpc(&mut self) -> String {
        let mut vpc = self.world.state.ec2.vpcs[&self.vpc()].clone();
        vpc.id = "vpc-00000000000000000".into();
        let id = vpc.id.clone();
        self.world.state.ec2.vpcs.insert(id.clone(), vpc);
        id
    }

    fn make_default(&mut self) {
        self.world.state.ec2.vpcs.values_mut().for_each(|vpc| vpc.is_default = true);
    }

    #[track_caller]
    fn group(&mut self, name: &str) -> String {
        let input = json!({ "GroupName": name, "Description": "d", "VpcId": self.vpc() });
        self.ok("CreateSecurityGroup", input)["GroupId"].as_str().unwrap().into()
    }

    fn default_group(&self) -> String {
        let groups = self.world.state.ec2.groups.values();
        groups.clone().find(|group| group.name == "default").unwrap().id.clone()
    }

    fn subnets(&self, tier: &str) -> Vec<String> {
        let mut found: Vec<_> = self
            .world
            .state
            .ec2
            .subnets
            .values()
            .filter(|subnet| subnet.tags["Name"].starts_with(tier))
            .collect();
        found.sort_by(|a, b| a.tags["Name"].cmp(&b.tags["Name"]));
        found.into_iter().map(|subnet| subnet.id.clone()).collect()
    }

    fn table(&self, name: &str) -> String {
        let tables = self.world.state.ec2.route_tables.values();
        tables.clone().find(|table| table.tags["Name"].starts_with(name)).unwrap().id.clone()
    }

    #[track_caller]
    fn rules(&mut self, group: &str) -> Vec<Value> {
        let filter = json!([{ "Name": "group-id", "Values": [group] }]);
        let answer = self.ok("DescribeSecurityGroupRules", json!({ "Filters": filter }));
        answer["SecurityGroupRules"].as_array().unwrap().clone()
    }

    fn secretsmanager(&self) -> Value {
        json!({
            "VpcId": self.vpc(),
            "VpcEndpointType": "Interface",
            "ServiceName": "com.amazonaws.us-east-1.secretsmanager",
            "SubnetIds": [self.subnets("private")[0], self.subnets("private")[1]],
        })
    }
}

fn tcp(port: u16, ranges: &[&str]) -> Value {
    let ranges: Vec<Value> = ranges.iter().map(|range| json!({ "CidrIp": range })).collect();
    json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": ranges })
}

fn tcp_from(port: u16, group: &str) -> Value {
    json!({
        "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
        "UserIdGroupPairs": [{ "GroupId": group, "Description": "from the connector" }],
    })
}

#[test]
fn a_fresh_account_has_a_network() {
    let mut account = Account::new();
    let filter = json!([{ "Name": "tag:Name", "Values": ["default-vpc"] }]);
    let vpcs = account.ok("DescribeVpcs", json!({ "Filters": filter }));
    assert_eq!(vpcs["Vpcs"][0]["CidrBlock"], "172.31.0.0/16");
    assert_eq!(vpcs["Vpcs"][0]["IsDefault"], false);

    let zones = account.ok("DescribeAvailabilityZones", json!({}));
    let zones = zones["AvailabilityZones"].as_array().unwrap();
    assert_eq!(zones.len(), 5);
    let mut ids: Vec<_> = zones.iter().map(|zone| zone["ZoneId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["use1-az1", "use1-az2", "use1-az3", "use1-az4", "use1-az5"]);
    let all = account.ok("DescribeAvailabilityZones", json!({ "AllAvailabilityZones": true }));
    assert_eq!(all["AvailabilityZones"].as_array().unwrap().len(), 6);

    let (public, private) = (account.subnets("public"), account.subnets("private"));
    assert_eq!((public.len(), private.len()), (4, 4));
    let world = &account.world;
    assert_eq!(egress(world, &public[0]), Egress::InternetGateway);
    assert_eq!(egress(world, &private[3]), Egress::Nat);
    assert_eq!(egress(world, "subnet-0"), Egress::None);
    let (a, b) = (subnet(world, &public[0]).unwrap(), subnet(world, &private[0]).unwrap());
    assert!(a.public && !b.public);
    assert_eq!((&a.az, &a.az_id), (&b.az, &b.az_id));

    let main = account.ok(
        "DescribeRouteTables",
        json!({ "Filters": [{ "Name": "association.main", "Values": ["true"] }] }),
    );
    assert_eq!(main["RouteTables"].as_array().unwrap().len(), 1);
    assert_eq!(main["RouteTables"][0]["Routes"].as_array().unwrap().len(), 1);
    assert_eq!(inventory(&account.world, NOW), []);
}

#[test]
fn the_same_seed_makes_the_same_network() {
    assert_eq!(Account::new().vpc(), Account::new().vpc());
    let other = World::new(Settings { seed: 2, ..Settings::default() });
    assert!(!other.state.ec2.vpcs.contains_key(&Account::new().vpc()));
}

#[test]
fn a_new_group_lets_everything_out() {
    let mut account = Account::new();
    let vpc = account.vpc();
    let group = account.ok(
        "CreateSecurityGroup",
        json!({
            "GroupName": "msk-sg", "Description": "MSK", "VpcId": vpc,
            "TagSpecifications": [{
                "ResourceType": "security-group",
                "Tags": [{ "Key": "Name", "Value": "msk-sg" }],
            }],
        }),
    );
    let id = group["GroupId"].as_str().unwrap();
    assert!(id.starts_with("sg-") && id.len() == 20);
    let rules = account.rules(id);
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0]["IsEgress"], true);
    assert_eq!(rules[0]["CidrIpv4"], "0.0.0.0/0");
    assert_eq!((&rules[0]["IpProtocol"], &rules[0]["FromPort"]), (&json!("-1"), &json!(-1)));
    let groups = account.ok("DescribeSecurityGroups", json!({ "GroupIds": [id] }));
    let shown = &groups["SecurityGroups"][0];
    assert_eq!(shown["IpPermissions"], json!([]));
    assert_eq!(shown["IpPermissionsEgress"][0]["IpRanges"][0]["CidrIp"], "0.0.0.0/0");
    assert!(shown["IpPermissionsEgress"][0].get("FromPort").is_none());
    assert_eq!(shown["Tags"], json!([{ "Key": "Name", "Value": "msk-sg" }]));
}

#[test]
fn one_permission_with_several_sources_is_several_rules() {
    let mut account = Account::new();
    let (a, b) = (account.group("a"), account.group("b"));
    let mut permission = tcp(9098, &["10.1.2.3/16", "10.9.0.0/16"]);
    permission["UserIdGroupPairs"] = json!([{ "GroupId": b }, { "GroupId": a }]);
    permission["Ipv6Ranges"] = json!([{ "CidrIpv6": "2001:DB8::1/32" }]);
    let answer = account.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": a, "IpPermissions": [permission] }),
    );
    let made = answer["SecurityGroupRules"].as_array().unwrap();
    assert_eq!(made.len(), 5);
    assert_eq!(made[0]["CidrIpv4"], "10.1.0.0/16");
    assert_eq!(made[2]["CidrIpv6"], "2001:db8::/32");
    assert_eq!(made[3]["ReferencedGroupInfo"]["GroupId"], json!(b));
    let groups = account.ok(
        "DescribeSecurityGroups",
        json!({ "Filters": [{ "Name": "ip-permission.group-id", "Values": [b] }] }),
    );
    assert_eq!(groups["SecurityGroups"][0]["GroupId"], json!(a));
    assert_eq!(groups["SecurityGroups"][0]["IpPermissions"].as_array().unwrap().len(), 1);
}

#[test]
fn traffic_needs_a_way_out_and_a_way_in() {
    let mut account = Account::new();
    let (worker, broker) = (account.group("worker"), account.group("broker"));
    let (from, to) = (vec![worker.clone()], vec![broker.clone()]);
    assert!(!allows(&account.world, &from, &to, 9098));
    account.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": broker, "IpPermissions": [tcp_from(9098, &worker)] }),
    );
    assert!(allows(&account.world, &from, &to, 9098));
    assert!(!allows(&account.world, &from, &to, 9092));
    account.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": broker, "IpPermissions": [tcp(9092, &["172.16.0.0/12"])] }),
    );
    assert!(allows(&account.world, &from, &to, 9092));
    let all = json!([{ "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] }]);
    account.ok("RevokeSecurityGroupEgress", json!({ "GroupId": worker, "IpPermissions": all }));
    assert!(!allows(&account.world, &from, &to, 9098));
}

#[test]
fn rules_are_revoked_by_id_and_by_value() {
    let mut account = Account::new();
    let group = account.group("a");
    let ingress = json!({ "GroupId": group, "IpPermissions": [tcp(1, &["10.0.0.0/8"]), tcp(2, &["10.0.0.0/8"])] });
    let made = account.ok("AuthorizeSecurityGroupIngress", ingress);
    let id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"].clone();
    let answer = account.ok(
        "RevokeSecurityGroupIngress",
        json!({ "GroupId": group, "SecurityGroupRuleIds": [id] }),
    );
    assert_eq!(answer["RevokedSecurityGroupRules"][0]["SecurityGroupRuleId"], id);
    account.ok(
        "RevokeSecurityGroupIngress",
        json!({ "GroupId": group, "IpPermissions": [tcp(2, &["10.9.9.9/8"])] }),
    );
    assert_eq!(account.rules(&group).len(), 1);
}

#[test]
fn rules_are_modified_and_described_anew() {
    let mut account = Account::new();
    let (a, b) = (account.group("a"), account.group("b"));
    let made = account.ok(
        "AuthorizeSecurityGroupIngress",
        json!({ "GroupId": a, "IpPermissions": [tcp_from(3306, &b)] }),
    );
    let id = made["SecurityGroupRules"][0]["SecurityGroupRuleId"].clone();
    account.ok(
        "ModifySecurityGroupRules",
        json!({ "GroupId": a, "SecurityGroupRules": [{
            "SecurityGroupRuleId": id,
            "SecurityGroupRule": {
                "IpProtocol": "tcp", "FromPort": 3307, "ToPort": 3307, "ReferencedGroupId": a,
            },
        }] }),
    );
    let find = |rules: Vec<Value>| {
        rules.into_iter().find(|rule| rule["SecurityGroupRuleId"] == id).unwrap()
    };
    let rule = find(account.rules(&a));
    assert_eq!(rule["FromPort"], 3307);
    assert_eq!(rule["ReferencedGroupInfo"]["GroupId"], json!(a));
    account.ok(
        "UpdateSecurityGroupRuleDescriptionsIngress",
        json!({ "GroupId": a, "SecurityGroupRuleDescriptions": [
            { "SecurityGroupRuleId": id, "Description": "new" },
        ] }),
    );
    assert_eq!(find(account.rules(&a))["Description"], "new");
}

#[test]
fn endpoints_live_through_their_states() {
    let mut account = Account::new();
    let input = account.secretsmanager();
    let made = account.ok("CreateVpcEndpoint", input);
    let id = made["VpcEndpoint"]["VpcEndpointId"].as_str().unwrap().to_owned();
    assert_eq!(made["VpcEndpoint"]["State"], "pending");
    let (vpc, subnet) = (account.vpc(), account.subnets("private")[3].clone());
    let reaches =
        |account: &Account| endpoint(&account.world, account.now, &vpc, &subnet, "secretsmanager");
    assert!(!reaches(&account));
    account.now += state::INTERFACE_ENDPOINT;
    assert!(reaches(&account));

    let filter = json!([{ "Name": "group-id", "Values": [account.default_group()] }]);
    let seen = account.ok("DescribeNetworkInterfaces", json!({ "Filters": filter }));
    let seen = seen["NetworkInterfaces"].as_array().unwrap().clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0]["InterfaceType"], "vpc_endpoint");
    assert_eq!(seen[0]["RequesterManaged"], true);
    let subnets = account.ok("DescribeSubnets", json!({ "SubnetIds": [seen[0]["SubnetId"]] }));
    assert_eq!(subnets["Subnets"][0]["AvailableIpAddressCount"], 4090);

    account.ok("DeleteVpcEndpoints", json!({ "VpcEndpointIds": [id] }));
    let state = |account: &mut Account| {
        let answer = account.ok("DescribeVpcEndpoints", json!({ "VpcEndpointIds": [id] }));
        answer["VpcEndpoints"][0]["State"].clone()
    };
    assert_eq!(state(&mut account), "deleting");
    account.now += state::INTERFACE_ENDPOINT;
    assert_eq!(state(&mut account), "deleted");
    assert!(state::interfaces(&account.world, account.now).is_empty());
    account.now += state::DELETED_ENDPOINT_SHOWS;
    account.refused(
        "DescribeVpcEndpoints",
        json!({ "VpcEndpointIds": [id] }),
        "InvalidVpcEndpointId.NotFound",
    );
    let again = account.ok("DeleteVpcEndpoints", json!({ "VpcEndpointIds": [id] }));
    assert_eq!(again["Unsuccessful"][0]["Error"]["Code"], "InvalidVpcEndpointId.NotFound");
}

#[test]
fn a_gateway_endpoint_is_a_route() {
    let mut account = Account::new();
    let (vpc, table) = (account.vpc(), account.table("private"));
    account.ok(
        "CreateVpcEndpoint",
        json!({ "VpcId": vpc, "ServiceName": "com.amazonaws.us-east-1.s3", "RouteTableIds": [table] }),
    );
    account.now += state::GATEWAY_ENDPOINT;
    let tables = account.ok("DescribeRouteTables", json!({ "RouteTableIds": [table] }));
    let routes = tables["RouteTables"][0]["Routes"].as_array().unwrap();
    assert!(routes[2]["DestinationPrefixListId"].as_str().unwrap().starts_with("pl-"));
    let now = account.now;
    let [public, private] = ["public", "private"].map(|tier| account.subnets(tier)[0].clone());
    assert!(endpoint(&account.world, now, &vpc, &private, "s3"));
    assert!(!endpoint(&account.world, now, &vpc, &public, "s3"));
}

#[test]
fn pages_and_tags() {
    let mut account = Account::new();
    let first = account.ok("DescribeSubnets", json!({ "MaxResults": 5 }));
    let second =
        account.ok("DescribeSubnets", json!({ "MaxResults": 5, "NextToken": first["NextToken"] }));
    assert_eq!(first["Subnets"].as_array().unwrap().len(), 5);
    assert_eq!(second["Subnets"].as_array().unwrap().len(), 3);
    assert!(second.get("NextToken").is_none());

    let group = account.group("a");
    let tags = json!([{ "Key": "Owner", "Value": "me" }, { "Key": "Empty" }]);
    account.ok("CreateTags", json!({ "Resources": [group], "Tags": tags }));
    let filters = json!([
        { "Name": "resource-id", "Values": [group] },
        { "Name": "tag:Owner", "Values": ["m?"] },
    ]);
    let seen = account.ok("DescribeTags", json!({ "Filters": filters }));
    assert_eq!(
        seen["Tags"],
        json!([{
            "ResourceId": group, "ResourceType": "security-group", "Key": "Owner", "Value": "me",
        }])
    );
    let not_this = json!([{ "Key": "Owner", "Value": "you" }, { "Key": "Empty" }]);
    account.ok("DeleteTags", json!({ "Resources": [group], "Tags": not_this }));
    let left = account.ok("DescribeSecurityGroups", json!({ "GroupIds": [group] }));
    assert_eq!(left["SecurityGroups"][0]["Tags"].as_array().unwrap().len(), 1);
}

#[test]
fn dry_runs_change_nothing() {
    let mut account = Account::new();
    let input = json!({ "GroupName": "a", "Description": "d", "DryRun": true });
    account.refused("CreateSecurityGroup", input, "DryRunOperation");
}
