//! `aws.iam.role`: a role with its trust policy and one inline policy.
//!
//! # Guarantees
//! The role is marked by tags in its create call. It has exactly the one inline policy: any other inline or attached policy is taken
//! away, for the role is ours and what it may do is what was declared. Policies are compared by meaning.
//! # Caveats
//! A role that is in an instance profile is not deleted: the profile is somebody else's. Changing the name replaces the role.
//! `UpdateRole` sets the session duration back to an hour, which is what a role of ours has.
//! # Sources
//! Handbook aws.md §5.

mod policy;

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::types::Tag;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, Effect, Guard, Kind, Mark, MarkSeen, Next, Proposed, Sent,
    Target,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::policy::{Scope, Statement};
use crate::error::{absent, built, classify};
use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

/// The kind.
pub struct IamRole {
    iam: aws_sdk_iam::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The role's name, unique in the account; at most 64 characters.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Who may assume it: a policy document.
    pub trust: Value,
    /// The inline policy's name.
    pub policy_name: String,
    /// What it may do.
    pub policy: Vec<Statement>,
    /// The ARN of the policy that bounds what it may do.
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    /// The user's tags.
    #[serde(default)]
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    name: String,
    arn: String,
    description: String,
    trust: Value,
    permissions_boundary: Option<String>,
    tags: Tags,
    /// Documents of the inline policies by name.
    inline: BTreeMap<String, Value>,
    /// ARNs of the attached policies.
    attached: Vec<String>,
    /// Names of the instance profiles that it is in.
    profiles: Vec<String>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The role's ARN.
    pub role_arn: String,
    /// The role's name.
    pub role_name: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the request's own arguments")]
pub enum Call {
    /// `CreateRole`
    Create {
        name: String,
        description: String,
        trust: Value,
        permissions_boundary: Option<String>,
        tags: Tags,
    },
    /// `PutRolePolicy`
    PutPolicy { name: String, policy_name: String, policy: Vec<Statement> },
    /// `DeleteRolePolicy`
    DeletePolicy { name: String, policy_name: String },
    /// `DetachRolePolicy`
    Detach { name: String, policy_arn: String },
    /// `UpdateAssumeRolePolicy`
    SetTrust { name: String, trust: Value },
    /// `UpdateRole`
    SetDescription { name: String, description: String },
    /// `PutRolePermissionsBoundary`
    SetBoundary { name: String, arn: String },
    /// `DeleteRolePermissionsBoundary`
    RemoveBoundary { name: String },
    /// `TagRole`
    SetTags { name: String, tags: Tags },
    /// `UntagRole`
    RemoveTags { name: String, keys: Vec<String> },
    /// `DeleteRole`
    Delete { name: String },
}

impl IamRole {
    /// The output with the role's ARN.
    pub const ROLE_ARN: &'static str = "role_arn";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { iam: session.iam.clone() }
    }

    async fn inline(&self, name: &str) -> Result<BTreeMap<String, Value>, CallError> {
        let mut names = Vec::new();
        let mut marker = None;
        loop {
            let page = self
                .iam
                .list_role_policies()
                .role_name(name)
                .set_marker(marker)
                .send()
                .await
                .map_err(|e| classify("iam:ListRolePolicies", e))?;
            names.extend(page.policy_names().iter().cloned());
            marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
            if marker.is_none() {
                break;
            }
        }
        let mut inline = BTreeMap::new();
        for policy in names {
            let answer = self
                .iam
                .get_role_policy()
                .role_name(name)
                .policy_name(&policy)
                .send()
                .await
                .map_err(|e| classify("iam:GetRolePolicy", e));
            if let Some(answer) = absent(answer)? {
                inline.insert(policy, policy::decode(answer.policy_document()));
            }
        }
        Ok(inline)
    }

    async fn attached(&self, name: &str) -> Result<Vec<String>, CallError> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let page = self
                .iam
                .list_attached_role_policies()
                .role_name(name)
                .set_marker(marker)
                .send()
                .await
                .map_err(|e| classify("iam:ListAttachedRolePolicies", e))?;
            let arns = page.attached_policies().iter().filter_map(|p| p.policy_arn());
            found.extend(arns.map(str::to_owned));
            marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
            if marker.is_none() {
                found.sort();
                return Ok(found);
            }
        }
    }

    async fn profiles(&self, name: &str) -> Result<Vec<String>, CallError> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let page = self
                .iam
                .list_instance_profiles_for_role()
                .role_name(name)
                .set_marker(marker)
                .send()
                .await
                .map_err(|e| classify("iam:ListInstanceProfilesForRole", e))?;
            let names = page.instance_profiles().iter().map(|p| p.instance_profile_name());
            found.extend(names.map(str::to_owned));
            marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
            if marker.is_none() {
                found.sort();
                return Ok(found);
            }
        }
    }

    async fn look(&self, name: &str) -> Result<Seen, CallError> {
        let answer = self
            .iam
            .get_role()
            .role_name(name)
            .send()
            .await
            .map_err(|e| classify("iam:GetRole", e))?;
        let missing = || CallError::new(Class::NotFound, "iam:GetRole", "no role in the answer");
        let role = answer.role().ok_or_else(missing)?;
        let boundary = role.permissions_boundary().and_then(|b| b.permissions_boundary_arn());
        let tags = role.tags().iter().map(|t| (t.key().to_owned(), t.value().to_owned()));
        Ok(Seen {
            name: name.to_owned(),
            arn: role.arn().to_owned(),
            description: role.description().unwrap_or_default().to_owned(),
            trust: policy::decode(role.assume_role_policy_document().unwrap_or_default()),
            permissions_boundary: boundary.map(str::to_owned),
            tags: tags.collect(),
            inline: self.inline(name).await?,
            attached: self.attached(name).await?,
            profiles: self.profiles(name).await?,
        })
    }
}

#[async_trait]
impl Kind for IamRole {
    const TYPE: &'static str = "aws.iam.role";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        // A role that vanishes between two reads is absent.
        absent(self.look(&target.props.name).await)
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => delete(seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark), put(want, None)]),
            (Some(want), Some(seen)) => update(want, seen, &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        self.send(call).await.map_err(|mut error| {
            // A principal that was just made is not known everywhere at once (handbook aws.md §5).
            if error.code.as_deref() == Some("MalformedPolicyDocument")
                && error.message.contains("Invalid principal")
            {
                error.class = Class::NotYet;
            }
            error
        })?;
        Ok(Sent::default())
    }
}

impl IamRole {
    async fn send(&self, call: &Call) -> Result<(), CallError> {
        let iam = &self.iam;
        match call {
            Call::Create { name, description, trust, permissions_boundary, tags } => {
                const OP: &str = "iam:CreateRole";
                iam.create_role()
                    .role_name(name)
                    .set_description(Some(description.clone()).filter(|d| !d.is_empty()))
                    .assume_role_policy_document(trust.to_string())
                    .set_permissions_boundary(permissions_boundary.clone())
                    .set_tags(Some(to_iam(OP, tags)?))
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::PutPolicy { name, policy_name, policy } => {
                const OP: &str = "iam:PutRolePolicy";
                let document = policy::document(policy).ok_or_else(|| {
                    CallError::new(Class::Invalid, OP, "a resource of the policy is not known")
                })?;
                iam.put_role_policy()
                    .role_name(name)
                    .policy_name(policy_name)
                    .policy_document(document.to_string())
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::DeletePolicy { name, policy_name } => {
                iam.delete_role_policy()
                    .role_name(name)
                    .policy_name(policy_name)
                    .send()
                    .await
                    .map_err(|e| classify("iam:DeleteRolePolicy", e))?;
            }
            Call::Detach { name, policy_arn } => {
                iam.detach_role_policy()
                    .role_name(name)
                    .policy_arn(policy_arn)
                    .send()
                    .await
                    .map_err(|e| classify("iam:DetachRolePolicy", e))?;
            }
            Call::SetTrust { name, trust } => {
                iam.update_assume_role_policy()
                    .role_name(name)
                    .policy_document(trust.to_string())
                    .send()
                    .await
                    .map_err(|e| classify("iam:UpdateAssumeRolePolicy", e))?;
            }
            Call::SetDescription { name, description } => {
                iam.update_role()
                    .role_name(name)
                    .description(description)
                    .send()
                    .await
                    .map_err(|e| classify("iam:UpdateRole", e))?;
            }
            Call::SetBoundary { name, arn } => {
                iam.put_role_permissions_boundary()
                    .role_name(name)
                    .permissions_boundary(arn)
                    .send()
                    .await
                    .map_err(|e| classify("iam:PutRolePermissionsBoundary", e))?;
            }
            Call::RemoveBoundary { name } => {
                iam.delete_role_permissions_boundary()
                    .role_name(name)
                    .send()
                    .await
                    .map_err(|e| classify("iam:DeleteRolePermissionsBoundary", e))?;
            }
            Call::SetTags { name, tags } => {
                const OP: &str = "iam:TagRole";
                iam.tag_role()
                    .role_name(name)
                    .set_tags(Some(to_iam(OP, tags)?))
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
            }
            Call::RemoveTags { name, keys } => {
                iam.untag_role()
                    .role_name(name)
                    .set_tag_keys(Some(keys.clone()))
                    .send()
                    .await
                    .map_err(|e| classify("iam:UntagRole", e))?;
            }
            Call::Delete { name } => {
                iam.delete_role()
                    .role_name(name)
                    .send()
                    .await
                    .map_err(|e| classify("iam:DeleteRole", e))?;
            }
        }
        Ok(())
    }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        description: want.description.clone(),
        trust: want.trust.clone(),
        permissions_boundary: want.permissions_boundary.clone(),
        tags: marked(&want.tags, mark),
    };
    Proposed::new("iam:CreateRole", Effect::Create, call)
        .fields([Change::new("name", None::<()>, Some(&want.name))])
        .fields(policy::changes("trust", None, Some(&want.trust)))
        .may_change(&["role_arn", "role_name"])
}

fn put(want: &Props, present: Option<&Value>) -> Proposed<Call> {
    let call = Call::PutPolicy {
        name: want.name.clone(),
        policy_name: want.policy_name.clone(),
        policy: want.policy.clone(),
    };
    let wanted = policy::preview(&want.policy);
    let mut fields = policy::changes("policy", present, Some(&wanted));
    if fields.is_empty() {
        // Only what is not known yet may differ.
        fields.push(Change::new("policy", present, Some(wanted)));
    }
    Proposed::new("iam:PutRolePolicy", Effect::Update, call).fields(fields)
}

fn update(want: &Props, seen: &Seen, mark: &Mark) -> Next<Call, Outputs> {
    let name = || want.name.clone();
    let propose = |op: &str, call: Call| Proposed::new(op, Effect::Update, call);
    let mut calls = Vec::new();
    if !policy::equivalent(&seen.trust, &want.trust) {
        let call = Call::SetTrust { name: name(), trust: want.trust.clone() };
        let fields = policy::changes("trust", Some(&seen.trust), Some(&want.trust));
        calls.push(propose("iam:UpdateAssumeRolePolicy", call).fields(fields));
    }
    let present = seen.inline.get(&want.policy_name);
    // What is not known yet may differ.
    let same = present
        .zip(policy::document(&want.policy))
        .is_some_and(|(seen, want)| policy::equivalent(seen, &want));
    if !same {
        calls.push(put(want, present));
    }
    for (policy_name, document) in seen.inline.iter().filter(|(n, _)| **n != want.policy_name) {
        let call = Call::DeletePolicy { name: name(), policy_name: policy_name.clone() };
        let fields = policy::changes(&format!("policy.{policy_name}"), Some(document), None);
        calls.push(propose("iam:DeleteRolePolicy", call).fields(fields));
    }
    for policy_arn in &seen.attached {
        let call = Call::Detach { name: name(), policy_arn: policy_arn.clone() };
        let field = Change::new("attached", Some(policy_arn), None::<()>);
        calls.push(propose("iam:DetachRolePolicy", call).fields([field]));
    }
    if seen.description != want.description {
        let call = Call::SetDescription { name: name(), description: want.description.clone() };
        let field = Change::new("description", Some(&seen.description), Some(&want.description));
        calls.push(propose("iam:UpdateRole", call).fields([field]));
    }
    if seen.permissions_boundary != want.permissions_boundary {
        let (from, to) = (&seen.permissions_boundary, &want.permissions_boundary);
        let field = Change::new("permissions_boundary", from.as_ref(), to.as_ref());
        let proposed = match to.clone() {
            Some(arn) => {
                propose("iam:PutRolePermissionsBoundary", Call::SetBoundary { name: name(), arn })
            }
            None => {
                propose("iam:DeleteRolePermissionsBoundary", Call::RemoveBoundary { name: name() })
            }
        };
        calls.push(proposed.fields([field]));
    }
    let diff = TagDiff::between(&seen.tags, &marked(&want.tags, mark));
    if !diff.set.is_empty() {
        let call = Call::SetTags { name: name(), tags: diff.set.clone() };
        calls.push(propose("iam:TagRole", call).fields(diff.set_fields(&seen.tags)));
    }
    if !diff.remove.is_empty() {
        let keys = diff.remove.iter().cloned().collect();
        let call = Call::RemoveTags { name: name(), keys };
        calls.push(propose("iam:UntagRole", call).fields(diff.remove_fields(&seen.tags)));
    }
    if calls.is_empty() {
        return Next::Converged(Outputs {
            role_arn: seen.arn.clone(),
            role_name: seen.name.clone(),
        });
    }
    Next::Calls(calls)
}

fn delete(seen: &Seen) -> Next<Call, Outputs> {
    if !seen.profiles.is_empty() {
        return Next::Refuse {
            because: format!(
                "role {} is in instance profile {}",
                seen.name,
                seen.profiles.join(", ")
            ),
            help: "take it out there first: whoever uses the profile would lose the role".into(),
        };
    }
    let name = || seen.name.clone();
    let mut calls = Vec::new();
    for policy_name in seen.inline.keys() {
        let call = Call::DeletePolicy { name: name(), policy_name: policy_name.clone() };
        calls.push(Proposed::new("iam:DeleteRolePolicy", Effect::Update, call));
    }
    for policy_arn in &seen.attached {
        let call = Call::Detach { name: name(), policy_arn: policy_arn.clone() };
        calls.push(Proposed::new("iam:DetachRolePolicy", Effect::Update, call));
    }
    calls.push(Proposed::new("iam:DeleteRole", Effect::Delete, Call::Delete { name: name() }));
    Next::Calls(calls)
}

fn to_iam(op: &'static str, tags: &Tags) -> Result<Vec<Tag>, CallError> {
    tags.iter().map(|(k, v)| built(op, Tag::builder().key(k).value(v).build())).collect()
}

#[cfg(test)]
mod tests;
