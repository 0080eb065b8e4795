//! What a new cluster may be. Several of these rules hold for updates too.

use serde_json::Value;

use super::{Check, bad, invalid, require};
use crate::services::ec2::SubnetView;
use crate::services::kafka::state::{Schemes, flag, text};
use crate::services::kafka::versions;
use crate::world::AwsError;

/// Two or three client subnets; in us-west-1 exactly two.
pub(crate) fn subnets_two_or_three(region: &str, count: usize) -> Check {
    let allowed = if region == "us-west-1" { count == 2 } else { (2..=3).contains(&count) };
    require(allowed, || {
        invalid(
            "clientSubnets",
            "Specify either two or three client subnets, each in a different Availability Zone.",
        )
    })
}

/// Every subnet exists.
pub(crate) fn subnets_exist(found: &[(String, Option<SubnetView>)]) -> Check {
    match found.iter().find(|(_, view)| view.is_none()) {
        Some((id, _)) => Err(invalid("clientSubnets", format!("The subnet {id} does not exist."))),
        None => Ok(()),
    }
}

/// All subnets are in one VPC.
pub(crate) fn subnets_one_vpc(subnets: &[SubnetView]) -> Check {
    require(subnets.windows(2).all(|pair| pair[0].vpc_id == pair[1].vpc_id), || {
        invalid("clientSubnets", "The client subnets must be in the same VPC.")
    })
}

/// No two subnets share a zone.
pub(crate) fn subnets_one_per_zone(subnets: &[SubnetView]) -> Check {
    let distinct = subnets
        .iter()
        .enumerate()
        .all(|(i, s)| subnets[..i].iter().all(|earlier| earlier.az_id != s.az_id));
    require(distinct, || {
        bad("The number of Availability Zones in the BrokerAZDistribution parameter must be equal \
             to the number of client subnets.")
    })
}

/// `use1-az3` has no brokers. The zone's name differs by account, its id does not.
pub(crate) fn zone_not_use1_az3(subnets: &[SubnetView]) -> Check {
    match subnets.iter().find(|s| s.az_id == "use1-az3") {
        Some(subnet) => Err(invalid(
            "clientSubnets",
            format!("The subnet {} is in an unsupported Availability Zone: use1-az3.", subnet.id),
        )),
        None => Ok(()),
    }
}

/// Every security group exists, in the VPC of the subnets.
pub(crate) fn groups_exist(vpc: &str, found: &[(String, Option<String>)]) -> Check {
    match found.iter().find(|(_, in_vpc)| in_vpc.as_deref() != Some(vpc)) {
        Some((id, _)) => Err(invalid(
            "securityGroups",
            format!("The security group {id} does not exist in the VPC {vpc}."),
        )),
        None => Ok(()),
    }
}

/// The number of brokers is a multiple of the number of subnets.
pub(crate) fn broker_count_multiple(brokers: u64, subnets: usize) -> Check {
    let subnets = subnets as u64;
    require(brokers > 0 && subnets > 0 && brokers.is_multiple_of(subnets), || {
        invalid(
            "numberOfBrokerNodes",
            "The target number of broker nodes must be a multiple of the number of Availability \
             Zones.",
        )
    })
}

/// 30 brokers in a cluster with `ZooKeeper`, 60 with `KRaft`, 90 in the account.
pub(crate) fn broker_quota(version: &str, brokers: u64, elsewhere: u64) -> Check {
    let limit = if versions::kraft(version) { 60 } else { 30 };
    require(brokers <= limit && brokers + elsewhere <= 90, || {
        AwsError::new(
            "TooManyRequestsException",
            "The number of brokers exceeds the limit of brokers per cluster or per account.",
        )
        .status(429)
    })
}

/// A new cluster takes a supported version, in its literal spelling.
pub(crate) fn kafka_version_offered(version: &str, offered: &[&str]) -> Check {
    require(offered.contains(&version), || {
        invalid(
            "kafkaVersion",
            format!("Unsupported KafkaVersion [{version}]. Valid values: [{}]", offered.join(", ")),
        )
    })
}

/// A broker type that the version runs on; `.kraft` versions drop kafka.t3.small.
pub(crate) fn instance_type_offered(instance_type: &str, version: &str) -> Check {
    let offered = versions::instance_types(version);
    require(offered.iter().any(|t| t == instance_type), || {
        invalid(
            "instanceType",
            format!("Unsupported InstanceType specified. Valid values: [{}]", offered.join(", ")),
        )
    })
}

/// Express brokers: three zones, no EBS block, no broker logs, Kafka 3.6 or 3.8.
pub(crate) fn express_rules(
    instance_type: &str,
    version: &str,
    subnets: usize,
    storage: bool,
    logging: Option<&Value>,
) -> Check {
    if !versions::express(instance_type) {
        return Ok(());
    }
    let line = versions::numbers(version);
    require(matches!((line.0, line.1), (3, 6 | 8)) && !versions::kraft(version), || {
        bad(format!("Express instance types are not supported for Kafka version {version}."))
    })?;
    require(subnets == 3, || {
        invalid("clientSubnets", "Clusters with Express instance types need three client subnets.")
    })?;
    require(!storage, || {
        invalid("storageInfo", "Clusters with Express instance types have no EBS storage.")
    })?;
    let logs = logging
        .and_then(|l| l.pointer("/BrokerLogs"))
        .and_then(Value::as_object)
        .is_some_and(|sinks| sinks.values().any(|s| flag(s, "/Enabled") == Some(true)));
    require(!logs, || {
        bad("Broker logs are not supported for clusters with Express instance types.")
    })
}

/// SASL and mutual TLS need a TLS listener.
pub(crate) fn auth_needs_encryption(schemes: Schemes, client_broker: &str) -> Check {
    require(!(schemes.any() && client_broker == "PLAINTEXT"), || {
        invalid(
            "clientBroker",
            "To turn on client authentication, set the encryption between clients and brokers to \
             TLS or TLS_PLAINTEXT.",
        )
    })
}

/// SASL and mutual TLS need encryption between the brokers.
pub(crate) fn auth_needs_in_cluster(schemes: Schemes, in_cluster: bool) -> Check {
    require(!schemes.any() || in_cluster, || {
        invalid("inCluster", "To turn on client authentication, set inCluster to true.")
    })
}

/// SASL beside a plaintext listener needs unauthenticated access, which is what that listener gives.
pub(crate) fn sasl_with_plaintext_needs_unauthenticated(
    schemes: Schemes,
    client_broker: &str,
) -> Check {
    let sasl = schemes.iam || schemes.scram;
    require(!sasl || client_broker != "TLS_PLAINTEXT" || schemes.unauthenticated, || {
        invalid(
            "unauthenticated",
            "With SASL, TLS_PLAINTEXT requires unauthenticated access to be turned on.",
        )
    })
}

/// Public access is turned on after creation.
pub(crate) fn no_public_access_at_create(connectivity: &Value) -> Check {
    let asked = text(connectivity, "/PublicAccess/Type").is_some_and(|t| t != "DISABLED");
    require(!asked, || {
        invalid(
            "publicAccess",
            "You can't turn on public access when you create a cluster. Update it once it is \
             ACTIVE.",
        )
    })
}

/// Private connectivity from other VPCs is turned on after creation.
pub(crate) fn no_vpc_connectivity_at_create(connectivity: &Value) -> Check {
    require(!vpc_connectivity_asked(connectivity), || {
        invalid(
            "vpcConnectivity",
            "You can't turn on VPC connectivity when you create a cluster. Update it once it is \
             ACTIVE.",
        )
    })
}

pub(super) fn vpc_connectivity_asked(connectivity: &Value) -> bool {
    ["Sasl/Iam", "Sasl/Scram", "Tls"].iter().any(|scheme| {
        let pointer = format!("/VpcConnectivity/ClientAuthentication/{scheme}/Enabled");
        flag(connectivity, &pointer) == Some(true)
    })
}

/// kafka.t3.small has no tiered storage.
pub(crate) fn t3_small_no_tiered(instance_type: &str, storage_mode: &str) -> Check {
    require(!(instance_type == "kafka.t3.small" && storage_mode == "TIERED"), || {
        invalid("storageMode", "Tiered storage is not supported for kafka.t3.small.")
    })
}

/// kafka.t3.small has no private connectivity from other VPCs.
pub(crate) fn t3_small_no_multi_vpc(instance_type: &str, connectivity: &Value) -> Check {
    require(!(instance_type == "kafka.t3.small" && vpc_connectivity_asked(connectivity)), || {
        invalid("vpcConnectivity", "VPC connectivity is not supported for kafka.t3.small.")
    })
}

/// Provisioned throughput: 250 to 2375 MiB/s, 10 GiB or more, m5.4xlarge or m7g.2xlarge or more.
pub(crate) fn throughput_limits(
    instance_type: &str,
    volume: Option<i64>,
    throughput: Option<&Value>,
) -> Check {
    let Some(asked) = throughput.filter(|t| flag(t, "/Enabled") == Some(true)) else {
        return Ok(());
    };
    require(versions::takes_throughput(instance_type), || {
        invalid(
            "provisionedThroughput",
            format!("Provisioned throughput is not supported for {instance_type}."),
        )
    })?;
    let rate = asked.pointer("/VolumeThroughput").and_then(Value::as_i64).unwrap_or(250);
    require((250..=2375).contains(&rate) && volume.is_none_or(|size| size >= 10), || {
        invalid("volumeThroughput", "Specify a volume throughput between 250 and 2375 MiB/s.")
    })
}

/// A `CloudWatch` log group that takes broker logs is given and exists.
pub(crate) fn log_group_exists(logging: &Value, exists: impl Fn(&str) -> bool) -> Check {
    for logs in ["BrokerLogs", "AuthorizerLogs"] {
        let sink = format!("/{logs}/CloudWatchLogs");
        if flag(logging, &format!("{sink}/Enabled")) != Some(true) {
            continue;
        }
        let group = text(logging, &format!("{sink}/LogGroup")).unwrap_or_default();
        require(exists(group), || {
            invalid("logGroup", format!("The CloudWatch log group {group} does not exist."))
        })?;
    }
    Ok(())
}
