//! What exists in IAM, and how other services see it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::policy::{self, Context, Decision};
use crate::world::{Millis, World};

/// How long a new or changed role stays unknown to the services that shall assume it. The handbook has 10 to 30 s for
/// `AssumeRole` (aws.md §5).
pub(super) const PROPAGATION: Millis = 12_000;

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Roles by name.
    pub(super) roles: BTreeMap<String, Role>,
}

/// One role. Policies are kept as the text that was sent: IAM answers exactly that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) created_at: Millis,
    /// From when on other services see the role, its trust and its inline policies as they are.
    pub(super) propagated_at: Millis,
    pub(super) description: Option<String>,
    pub(super) max_session_duration: u64,
    pub(super) permissions_boundary: Option<String>,
    pub(super) trust: String,
    pub(super) inline: BTreeMap<String, String>,
    /// ARNs of AWS-managed policies.
    pub(super) attached: BTreeSet<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The service that owns it, for a service-linked role.
    pub(super) service: Option<String>,
}

impl State {
    /// The role whose name differs from `name` in nothing but case.
    pub(super) fn same_name(&self, name: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.name.eq_ignore_ascii_case(name))
    }

    /// The role with this ARN.
    pub(super) fn by_arn(&self, arn: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.arn == arn)
    }
}

/// A role as other services see it.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "a view is whole, whatever its callers need today")]
pub(crate) struct RoleView {
    /// Its name.
    pub(crate) name: String,
    /// Its ARN.
    pub(crate) arn: String,
    /// When it was created.
    pub(crate) created_at: Millis,
    /// From when on a service can assume it with what it says now (`now >= propagated_at`).
    pub(crate) propagated_at: Millis,
    /// The parsed trust policy.
    pub(crate) trust: Value,
    /// The parsed inline policies by name, and by ARN those AWS-managed ones whose content is known here.
    pub(crate) policies: BTreeMap<String, Value>,
}

/// The role with this ARN. It exists at once, but is usable by other services only from `propagated_at` on.
pub(crate) fn role(world: &World, arn: &str) -> Option<RoleView> {
    let role = world.state.iam.by_arn(arn)?;
    let parsed = |text: &String| serde_json::from_str(text).unwrap_or_default();
    let mut policies: BTreeMap<String, Value> =
        role.inline.iter().map(|(name, text)| (name.clone(), parsed(text))).collect();
    for arn in &role.attached {
        if arn.ends_with(":iam::aws:policy/AdministratorAccess") {
            let everything = json!({ "Version": "2012-10-17",
                "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
            policies.insert(arn.clone(), everything);
        }
    }
    Some(RoleView {
        name: role.name.clone(),
        arn: role.arn.clone(),
        created_at: role.created_at,
        propagated_at: role.propagated_at,
        trust: parsed(&role.trust),
        policies,
    })
}

/// Whether the service `principal` (`kafkaconnect.amazonaws.com`) may assume the role on behalf of `source_arn` in
/// `source_account`. A literal `*` under `StringEquals` matches nothing, as in AWS.
pub(crate) fn trusts_service(
    role: &RoleView,
    principal: &str,
    source_account: &str,
    source_arn: &str,
) -> bool {
    let context =
        Context::from([("aws:sourceaccount", source_account), ("aws:sourcearn", source_arn)]);
    policy::trusts(&role.trust, principal, &context)
}

/// Whether the role's policies allow `action` on `resource`. A statement whose condition needs a value that is not known
/// here does not apply; an AWS-managed policy other than `AdministratorAccess` grants nothing.
pub(crate) fn permits(role: &RoleView, action: &str, resource: &str) -> bool {
    let decision = policy::decide(role.policies.values(), action, resource, &Context::new());
    decision == Decision::Allowed
}
