//! What IAM refuses beyond the shapes of its model.

use std::collections::BTreeMap;

use serde_json::Value;

use super::policy::{statements, strings};
use super::state::{Role, State};
use crate::world::{AwsError, Millis};

/// The rules and where each comes from.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("policy_is_json", "handbook aws.md §5; messages: moto's iam policy validation cases"),
    ("policy_version_is_known", "page 'Grammar of the IAM JSON policy language'; moto's cases"),
    ("policy_has_statements", "page 'Grammar of the IAM JSON policy language'; moto's cases"),
    ("effect_is_allow_or_deny", "page 'Grammar of the IAM JSON policy language'"),
    (
        "identity_policy_names_no_principal",
        "page 'Grammar of the IAM JSON policy language'; moto's cases",
    ),
    ("identity_policy_names_actions", "aws/aws-cdk issue 7615"),
    ("identity_policy_names_resources", "trussworks/terraform-aws-s3-anti-virus issue 28"),
    ("trust_names_a_principal", "page 'Grammar of the IAM JSON policy language'"),
    ("trust_names_no_resource", "devopsacademyau/academy pull request 1368"),
    (
        "trust_actions_are_of_sts",
        "IAM user guide id_roles_create_for-custom; message as IAM answers it",
    ),
    ("principal_form_is_known", "handbook aws.md §5 (Invalid principal in policy)"),
    ("principal_role_is_there", "handbook aws.md §5, table of propagation"),
    ("trust_is_short_enough", "page 'IAM and AWS STS quotas' (2,048 characters)"),
    (
        "inline_policies_are_short_enough",
        "handbook aws.md §5 (10,240 in all); page 'IAM and AWS STS quotas'",
    ),
    (
        "role_name_is_free",
        "handbook aws.md §5; model documentation of CreateRole (names ignore case)",
    ),
    ("role_has_no_policies", "handbook aws.md §5, delete order"),
    ("tags_are_few_enough", "handbook aws.md §5 (at most 50)"),
    ("managed_policies_are_few_enough", "handbook aws.md §5 (at most 10) (U)"),
    ("managed_policy_is_awss", "handbook aws.md §5; CreatePolicy is not part of the embedded AWS"),
    (
        "service_linked_role_is_protected",
        "model errors of IAM (UnmodifiableEntity); message as the AWS CLI shows it",
    ),
    ("service_linked_role_is_new", "handbook aws.md §5 (InvalidInput) (U)"),
];

fn malformed(message: impl Into<String>) -> AwsError {
    AwsError::new("MalformedPolicyDocument", message)
}

/// A document is a JSON object (handbook aws.md §5: `MalformedPolicyDocument`).
pub(super) fn policy_is_json(text: &str, message: &str) -> Result<Value, AwsError> {
    serde_json::from_str::<Value>(text)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| malformed(message))
}

/// There are two versions of the language; a document without one is of the older (policy grammar).
pub(super) fn policy_version_is_known(policy: &Value) -> Result<(), AwsError> {
    match policy.get("Version").map(|v| v.as_str().unwrap_or_default()) {
        None | Some("2012-10-17" | "2008-10-17") => Ok(()),
        Some(_) => Err(malformed("Syntax errors in policy.")),
    }
}

/// `Statement` is one statement or a list of at least one; a statement has only members of the grammar.
pub(super) fn policy_has_statements(policy: &Value) -> Result<(), AwsError> {
    const MEMBERS: &[&str] = &[
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
        "Condition",
    ];
    let top = ["Version", "Id", "Statement"];
    let known_top = policy.as_object().is_some_and(|o| o.keys().all(|k| top.contains(&k.as_str())));
    let statements = statements(policy);
    let well_formed = statements.iter().all(|statement| {
        statement
            .as_object()
            .is_some_and(|o| o.keys().all(|member| MEMBERS.contains(&member.as_str())))
    });
    if known_top && !statements.is_empty() && well_formed {
        Ok(())
    } else {
        Err(malformed("Syntax errors in policy."))
    }
}

/// `Effect` is `Allow` or `Deny`, in this spelling (policy grammar).
pub(super) fn effect_is_allow_or_deny(policy: &Value) -> Result<(), AwsError> {
    let fine =
        |s: &&Value| matches!(s.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny"));
    if statements(policy).iter().all(fine) {
        Ok(())
    } else {
        Err(malformed("Syntax errors in policy."))
    }
}

/// The policy of an identity does not name who it is for (policy grammar).
pub(super) fn identity_policy_names_no_principal(policy: &Value) -> Result<(), AwsError> {
    if statements(policy)
        .iter()
        .any(|s| s.get("Principal").is_some() || s.get("NotPrincipal").is_some())
    {
        return Err(malformed("Policy document should not specify a principal."));
    }
    Ok(())
}

/// Each statement names actions, each with its service (aws/aws-cdk issue 7615).
pub(super) fn identity_policy_names_actions(policy: &Value) -> Result<(), AwsError> {
    for statement in statements(policy) {
        let actions: Vec<&str> =
            [strings(statement.get("Action")), strings(statement.get("NotAction"))].concat();
        if actions.is_empty() {
            return Err(malformed("Policy statement must contain actions."));
        }
        if actions.iter().any(|action| *action != "*" && !action.contains(':')) {
            return Err(malformed(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ));
        }
    }
    Ok(())
}

/// Each statement names resources, as ARN or `*` (trussworks/terraform-aws-s3-anti-virus issue 28).
pub(super) fn identity_policy_names_resources(policy: &Value) -> Result<(), AwsError> {
    for statement in statements(policy) {
        let resources =
            [strings(statement.get("Resource")), strings(statement.get("NotResource"))].concat();
        if resources.is_empty() {
            return Err(malformed("Policy statement must contain resources."));
        }
        if let Some(bad) = resources.iter().find(|r| **r != "*" && !r.starts_with("arn:")) {
            return Err(malformed(format!("Resource {bad} must be in ARN format or \"*\".")));
        }
    }
    Ok(())
}

/// A trust policy says who is trusted (policy grammar).
pub(super) fn trust_names_a_principal(policy: &Value) -> Result<(), AwsError> {
    if statements(policy).iter().all(|s| s.get("Principal").is_some()) {
        Ok(())
    } else {
        Err(malformed("Missing required field Principal"))
    }
}

/// A trust policy belongs to its role and names no resource (devopsacademyau/academy pull request 1368).
pub(super) fn trust_names_no_resource(policy: &Value) -> Result<(), AwsError> {
    if statements(policy)
        .iter()
        .any(|s| s.get("Resource").is_some() || s.get("NotResource").is_some())
    {
        return Err(malformed("Has prohibited field Resource"));
    }
    Ok(())
}

/// A trust policy speaks of assuming the role alone, without wildcards.
pub(super) fn trust_actions_are_of_sts(policy: &Value) -> Result<(), AwsError> {
    const KNOWN: &[&str] = &[
        "sts:assumerole",
        "sts:assumerolewithsaml",
        "sts:assumerolewithwebidentity",
        "sts:setcontext",
        "sts:setsourceidentity",
        "sts:tagsession",
    ];
    for statement in statements(policy) {
        let actions = strings(statement.get("Action"));
        if actions.is_empty() {
            return Err(malformed("Missing required field Action"));
        }
        if actions.iter().any(|a| !KNOWN.contains(&a.to_ascii_lowercase().as_str())) {
            return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
        }
    }
    Ok(())
}

fn invalid_principal(kind: &str, principal: &str) -> AwsError {
    malformed(format!("Invalid principal in policy: \"{kind}\":\"{principal}\""))
}

/// A principal is `*`, or an account, an identity's ARN, a service or an identity provider (handbook aws.md §5).
pub(super) fn principal_form_is_known(policy: &Value) -> Result<(), AwsError> {
    for statement in statements(policy) {
        let kinds = match statement.get("Principal") {
            Some(Value::String(star)) if star == "*" => continue,
            Some(Value::Object(kinds)) if !kinds.is_empty() => kinds,
            _ => return Err(malformed("Invalid principal in policy")),
        };
        for (kind, value) in kinds {
            for principal in strings(Some(value)) {
                let account =
                    principal.len() == 12 && principal.bytes().all(|b| b.is_ascii_digit());
                let arn = principal.starts_with("arn:")
                    && matches!(principal.split(':').nth(2), Some("iam" | "sts"));
                let fine = match kind.as_str() {
                    "AWS" => principal == "*" || account || arn,
                    "Service" => {
                        principal.ends_with(".amazonaws.com")
                            || principal.ends_with(".amazonaws.com.cn")
                    }
                    "Federated" | "CanonicalUser" => !principal.is_empty(),
                    _ => false,
                };
                if !fine {
                    let kind = if kind == "Service" { "SERVICE" } else { kind };
                    return Err(invalid_principal(kind, principal));
                }
            }
        }
    }
    Ok(())
}

/// A role of this account that a trust policy names is there, and IAM has heard of it (handbook aws.md §5).
pub(super) fn principal_role_is_there(
    policy: &Value,
    state: &State,
    account: &str,
    now: Millis,
) -> Result<(), AwsError> {
    for statement in statements(policy) {
        for principal in strings(statement.get("Principal").and_then(|p| p.get("AWS"))) {
            let own_role = principal
                .split_once(":iam::")
                .is_some_and(|(_, rest)| rest.starts_with(&format!("{account}:role/")));
            let known = || state.by_arn(principal).is_some_and(|role| now >= role.propagated_at);
            if own_role && !known() {
                return Err(invalid_principal("AWS", principal));
            }
        }
    }
    Ok(())
}

fn limit_exceeded(message: impl Into<String>) -> AwsError {
    AwsError::new("LimitExceeded", message)
}

/// Policies are measured without white space.
fn measured(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// A trust policy has at most 2,048 characters (page "IAM and AWS STS quotas").
pub(super) fn trust_is_short_enough(text: &str) -> Result<(), AwsError> {
    if measured(text) > 2048 {
        return Err(limit_exceeded("Cannot exceed quota for ACLSizePerRole: 2048"));
    }
    Ok(())
}

/// The inline policies of a role have at most 10,240 characters in all (handbook aws.md §5).
pub(super) fn inline_policies_are_short_enough(
    role: &Role,
    name: &str,
    text: &str,
) -> Result<(), AwsError> {
    let others: usize =
        role.inline.iter().filter(|(n, _)| *n != name).map(|(_, text)| measured(text)).sum();
    if others + measured(text) > 10_240 {
        return Err(limit_exceeded(format!(
            "Maximum policy size of 10240 bytes exceeded for role {}",
            role.name
        )));
    }
    Ok(())
}

/// Names of roles are unique without regard to case (model documentation of `CreateRole`).
pub(super) fn role_name_is_free(state: &State, name: &str) -> Result<(), AwsError> {
    if state.same_name(name).is_some() {
        return Err(AwsError::new(
            "EntityAlreadyExists",
            format!("Role with name {name} already exists."),
        ));
    }
    Ok(())
}

/// A role is deleted last: policies are detached and deleted before (handbook aws.md §5).
pub(super) fn role_has_no_policies(role: &Role) -> Result<(), AwsError> {
    let message = if !role.attached.is_empty() {
        "Cannot delete entity, must detach all policies first."
    } else if !role.inline.is_empty() {
        "Cannot delete entity, must delete policies first."
    } else {
        return Ok(());
    };
    Err(AwsError::new("DeleteConflict", message))
}

/// A role has at most 50 tags (handbook aws.md §5).
pub(super) fn tags_are_few_enough(tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
    if tags.len() > 50 {
        return Err(limit_exceeded("Cannot exceed quota for TagsPerRole: 50"));
    }
    Ok(())
}

/// At most 10 managed policies are attached to a role (handbook aws.md §5, (U)).
pub(super) fn managed_policies_are_few_enough(role: &Role, arn: &str) -> Result<(), AwsError> {
    if role.attached.len() >= 10 && !role.attached.contains(arn) {
        return Err(limit_exceeded("Cannot exceed quota for PoliciesPerRole: 10"));
    }
    Ok(())
}

/// Only policies of AWS can be attached: customer-managed ones cannot be created here, so none exists.
pub(super) fn managed_policy_is_awss(arn: &str) -> Result<(), AwsError> {
    if arn.contains(":iam::aws:policy/") {
        return Ok(());
    }
    Err(AwsError::new("NoSuchEntity", format!("Policy {arn} does not exist or is not attachable.")))
}

/// A service-linked role is changed by its service alone (model errors: `UnmodifiableEntity`).
pub(super) fn service_linked_role_is_protected(role: &Role) -> Result<(), AwsError> {
    if role.service.is_none() {
        return Ok(());
    }
    Err(AwsError::new(
        "UnmodifiableEntity",
        format!(
            "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
            role.name
        ),
    ))
}

/// A service-linked role is created once (handbook aws.md §5, (U)).
pub(super) fn service_linked_role_is_new(state: &State, name: &str) -> Result<(), AwsError> {
    if state.same_name(name).is_none() {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidInput",
        format!(
            "Service role name {name} has been taken in this account, please try a different suffix."
        ),
    ))
}
