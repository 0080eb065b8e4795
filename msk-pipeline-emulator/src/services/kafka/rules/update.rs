//! When and how a cluster may change.

use serde_json::Value;

use super::create::vpc_connectivity_asked;
use super::{Check, bad, invalid, require};
use crate::services::kafka::state::{Schemes, flag};
use crate::services::kafka::versions;

/// Only an ACTIVE cluster is updated; so there is one operation at a time.
pub(crate) fn active_for_update(state: &str) -> Check {
    require(state == "ACTIVE", || {
        bad(format!(
            "You can't update a cluster in {state} state. Wait until the cluster is ACTIVE."
        ))
    })
}

/// The version given is the present one.
pub(crate) fn version_current(given: &str, current: &str) -> Check {
    require(given == current, || {
        invalid(
            "currentVersion",
            "The version of the cluster isn't current. Check the current version and try again.",
        )
    })
}

/// Only an ACTIVE or FAILED cluster is deleted.
pub(crate) fn deletable(state: &str) -> Check {
    require(matches!(state, "ACTIVE" | "FAILED"), || {
        bad(format!("You can't delete a cluster in {state} state."))
    })
}

/// The brokers are there.
pub(crate) fn bootstrap_ready(serves: bool, state: &str) -> Check {
    require(serves, || {
        bad(format!("You can't get bootstrap broker nodes for a cluster in {state} state."))
    })
}

/// The number of brokers changes.
pub(crate) fn count_changes(current: u64, target: u64) -> Check {
    require(current != target, || {
        invalid(
            "targetNumberOfBrokerNodes",
            "The target number of broker nodes must differ from the current number.",
        )
    })
}

/// Removal works on M5 and M7g with Kafka 2.8.1 or newer, and only takes brokers without partitions, one in every zone.
pub(crate) fn broker_removal(instance_type: &str, version: &str, enough_empty: bool) -> Check {
    let sizes = instance_type.starts_with("kafka.m5.") || instance_type.starts_with("kafka.m7g.");
    require(sizes && versions::numbers(version) >= (2, 8, 1), || {
        bad(
            "Removing brokers is not supported for the instance type or Kafka version of the cluster.",
        )
    })?;
    require(enough_empty, || {
        bad("There are not enough brokers without partitions. Move the partitions to the brokers \
             that stay and try again.")
    })
}

/// The type changes, within Standard or within Express.
pub(crate) fn type_changes(current: &str, target: &str) -> Check {
    require(current != target, || {
        invalid("targetInstanceType", "The cluster already has the target instance type.")
    })?;
    require(versions::express(current) == versions::express(target), || {
        invalid(
            "targetInstanceType",
            "You can't change between Standard and Express instance types.",
        )
    })
}

/// A cluster with too many partitions for its (target) type takes no configuration, version or type change.
pub(crate) fn partitions_per_broker(instance_type: &str, fullest: usize) -> Check {
    let limit = versions::partition_limit(instance_type);
    require(versions::express(instance_type) || fullest <= limit, || {
        bad(format!(
            "The number of partitions per broker is above the limit of {limit} for {instance_type}."
        ))
    })
}

/// A storage request changes something.
pub(crate) fn storage_changes(changes: bool) -> Check {
    require(changes, || {
        bad("The request does not include any updates to the EBS volumes of the cluster. Verify \
             the request, then try again.")
    })
}

/// Volumes grow, to 16384 GiB at most.
pub(crate) fn storage_only_grows(current: Option<i64>, target: Option<i64>) -> Check {
    let Some(target) = target else { return Ok(()) };
    require(target <= 16_384 && current.is_none_or(|current| target >= current), || {
        invalid("volumeSizeGB", "The size of the EBS volumes can only be increased, to 16384 GiB.")
    })
}

/// The volumes of all brokers change together.
pub(crate) fn storage_all_brokers(ids: &[&str]) -> Check {
    require(matches!(ids, [id] if id.eq_ignore_ascii_case("all")), || {
        invalid("kafkaBrokerNodeId", "Specify All to update the volumes of all brokers.")
    })
}

/// After a change, the volumes are optimized for hours; until then there is no other.
pub(crate) fn storage_not_optimizing(optimizing: bool) -> Check {
    require(!optimizing, || {
        bad("The storage of the cluster is optimizing. Wait until storage optimizing has finished.")
    })
}

/// Tiered storage stays.
pub(crate) fn tiered_stays(current: &str, target: Option<&str>) -> Check {
    require(!(current == "TIERED" && target == Some("LOCAL")), || {
        invalid("storageMode", "You can't change the storage mode from TIERED to LOCAL.")
    })
}

/// One family of attributes a request.
pub(crate) fn one_attribute_a_request(families: usize) -> Check {
    require(families <= 1, || {
        bad("You can't update multiple attributes of the cluster in same request. Use a different \
             request for each update.")
    })
}

/// A cluster only goes up, within its metadata mode, to a version that is offered.
pub(crate) fn upgrade_only(target: &str, targets: &[&str]) -> Check {
    require(targets.contains(&target), || {
        invalid(
            "targetKafkaVersion",
            format!("Unsupported KafkaVersion [{target}]. Valid values: [{}]", targets.join(", ")),
        )
    })
}

/// `UpdateSecurity` takes no key.
pub(crate) fn security_not_at_rest(encryption: &Value) -> Check {
    require(encryption.get("EncryptionAtRest").is_none_or(Value::is_null), || {
        bad("Updating encryption-at-rest settings on your cluster is not currently supported.")
    })
}

/// `UpdateSecurity` takes no encryption between the brokers.
pub(crate) fn security_not_in_cluster(encryption: &Value) -> Check {
    require(encryption.pointer("/EncryptionInTransit/InCluster").is_none_or(Value::is_null), || {
        bad(
            "Updating the inter-broker encryption setting on your cluster is not currently supported.",
        )
    })
}

/// A security request changes something.
pub(crate) fn security_changes(changes: bool) -> Check {
    require(changes, || {
        bad("The request does not include any updates to the security setting of the cluster. \
             Verify the request, then try again.")
    })
}

/// What public access needs.
pub(crate) struct PublicAccess<'a> {
    pub(crate) version: &'a str,
    pub(crate) subnets_public: bool,
    pub(crate) schemes: Schemes,
    pub(crate) client_broker: &'a str,
    pub(crate) in_cluster: bool,
    /// `allow.everyone.if.no.acl.found` is false.
    pub(crate) acls_required: bool,
}

/// Public access: Kafka 2.6.0, public subnets, no unauthenticated or plaintext traffic, and with SCRAM or mutual TLS, ACLs.
pub(crate) fn public_access_allowed(have: &PublicAccess<'_>) -> Check {
    let Schemes { unauthenticated, tls, scram, .. } = have.schemes;
    let refuse = |why: &str| Err(invalid("publicAccess", format!("Public access needs {why}.")));
    if versions::numbers(have.version) < (2, 6, 0) {
        refuse("Kafka 2.6.0 or newer")
    } else if !have.subnets_public {
        refuse("public subnets")
    } else if unauthenticated {
        refuse("unauthenticated access to be off")
    } else if !have.in_cluster || have.client_broker != "TLS" {
        refuse("encryption within the cluster and no plaintext traffic")
    } else if (tls || scram) && !have.acls_required {
        refuse("ACLs, with allow.everyone.if.no.acl.found set to false")
    } else {
        Ok(())
    }
}

/// Private connectivity: Kafka 2.7.1, and only schemes that the cluster has.
pub(crate) fn vpc_connectivity_allowed(
    version: &str,
    schemes: Schemes,
    connectivity: &Value,
) -> Check {
    let asked = |scheme: &str| {
        let pointer = format!("/VpcConnectivity/ClientAuthentication/{scheme}/Enabled");
        flag(connectivity, &pointer) == Some(true)
    };
    require(
        !vpc_connectivity_asked(connectivity) || versions::numbers(version) >= (2, 7, 1),
        || invalid("vpcConnectivity", "VPC connectivity needs Kafka 2.7.1 or newer."),
    )?;
    let covered = (!asked("Sasl/Iam") || schemes.iam)
        && (!asked("Sasl/Scram") || schemes.scram)
        && (!asked("Tls") || schemes.tls);
    require(covered, || {
        invalid("vpcConnectivity", "Turn the authentication scheme on for the cluster first.")
    })
}

/// One broker is rebooted a call, and it exists.
pub(crate) fn one_broker_a_reboot(ids: &[&str], known: &[String]) -> Check {
    require(matches!(ids, [id] if known.iter().any(|k| k == id)), || {
        invalid("brokerIds", "Specify the ID of one broker of the cluster.")
    })
}
