//! `aws.ec2.security-group`: one security group, without its rules.
//!
//! # Guarantees
//! The group is marked by tags in its create call. Deleting waits until no network interface uses the group, and says whose they are.
//! # Caveats
//! Name, description and VPC can't be changed (EC2 has no call for it): another VPC replaces the group. The default egress rule that
//! EC2 adds is the business of `aws.ec2.security-group-rules`.
//! # Sources
//! Handbook aws.md §3.2 (groups) and §3.3 (lingering interfaces).

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use msk_pipeline_core::kind::{
    CallError, Case, Change, Condition, DataEffect, Effect, Guard, Input, Kind, Mark, MarkSeen,
    Next, Proposed, Sent, Target,
};
use serde::{Deserialize, Serialize};

use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

/// The kind.
pub struct SecurityGroup {
    ec2: aws_sdk_ec2::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The group's name, unique in its VPC.
    pub name: String,
    /// What it is for; can't be changed.
    pub description: String,
    /// The VPC.
    pub vpc_id: Input<String>,
    /// A destroy leaves the group in AWS: what is kept uses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    group_id: String,
    vpc_id: String,
    tags: Tags,
    /// The network interfaces that use it: id, description.
    interfaces: Vec<(String, String)>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The group's id.
    pub group_id: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateSecurityGroup`
    Create {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// VPC.
        vpc_id: Input<String>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `CreateTags`
    SetTags {
        /// The group.
        group_id: String,
        /// Tags.
        tags: Tags,
    },
    /// `DeleteTags`
    RemoveTags {
        /// The group.
        group_id: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// `DeleteSecurityGroup`
    Delete {
        /// The group.
        group_id: String,
    },
}

impl SecurityGroup {
    /// The output with the group's id.
    pub const GROUP_ID: &'static str = "group_id";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { ec2: session.ec2.clone() }
    }

    async fn interfaces(&self, group_id: &str) -> Result<Vec<(String, String)>, CallError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .ec2
                .describe_network_interfaces()
                .filters(Filter::builder().name("group-id").values(group_id).build())
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("ec2:DescribeNetworkInterfaces", e))?;
            for interface in page.network_interfaces() {
                let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
                found.push((text(interface.network_interface_id()), text(interface.description())));
            }
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                found.sort();
                return Ok(found);
            }
        }
    }
}

#[async_trait]
impl Kind for SecurityGroup {
    const TYPE: &'static str = "aws.ec2.security-group";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn visibility() -> Duration {
        // A describe right after the create may answer NotFound; EC2's own waiter gives it 30 s.
        Duration::from_secs(30)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let recorded = target.was.as_ref().and_then(|w| w.props.vpc_id.known());
        // A group that has to move is still looked for where it is.
        let Some(vpc_id) = recorded.or(target.props.vpc_id.known()) else { return Ok(None) };
        let answer = self
            .ec2
            .describe_security_groups()
            .filters(Filter::builder().name("group-name").values(&target.props.name).build())
            .filters(Filter::builder().name("vpc-id").values(vpc_id).build())
            .send()
            .await
            .map_err(|e| classify("ec2:DescribeSecurityGroups", e));
        let Some(answer) = absent(answer)? else { return Ok(None) };
        let Some(group) = answer.security_groups().first() else { return Ok(None) };
        let group_id = group.group_id().unwrap_or_default().to_owned();
        Ok(Some(Seen {
            interfaces: self.interfaces(&group_id).await?,
            group_id,
            vpc_id: group.vpc_id().unwrap_or_default().to_owned(),
            tags: from_ec2(group.tags()),
        }))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.group_id.clone()]
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(_)) if case.was.as_ref().is_some_and(|was| was.props.keep) => Next::Kept,
            (None, Some(seen)) => delete(seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => update(want, seen, &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { name, description, vpc_id, tags } => {
                let answer = self
                    .ec2
                    .create_security_group()
                    .group_name(name)
                    .description(description)
                    .set_vpc_id(vpc_id.known().cloned())
                    .tag_specifications(tag_specification(ResourceType::SecurityGroup, tags))
                    .send()
                    .await
                    .map_err(|e| classify("ec2:CreateSecurityGroup", e))?;
                Ok(Sent { id: answer.group_id().map(str::to_owned), operation: None })
            }
            Call::SetTags { group_id, tags } => set_tags(&self.ec2, group_id, tags).await,
            Call::RemoveTags { group_id, keys } => remove_tags(&self.ec2, group_id, keys).await,
            Call::Delete { group_id } => {
                self.ec2
                    .delete_security_group()
                    .group_id(group_id)
                    .send()
                    .await
                    .map_err(|e| classify("ec2:DeleteSecurityGroup", e))?;
                Ok(Sent::default())
            }
        }
    }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        description: want.description.clone(),
        vpc_id: want.vpc_id.clone(),
        tags: marked(&want.tags, mark),
    };
    Proposed::new("ec2:CreateSecurityGroup", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("vpc_id", None::<()>, Some(&want.vpc_id)),
        ])
        .may_change(&[SecurityGroup::GROUP_ID])
}

fn update(want: &Props, seen: &Seen, mark: &Mark) -> Next<Call, Outputs> {
    if want.vpc_id.differs(&seen.vpc_id) {
        return Next::Replace {
            because: "a security group can't be moved to another VPC".into(),
            effect: DataEffect::NONE,
        };
    }
    let diff = TagDiff::between(&seen.tags, &marked(&want.tags, mark));
    let calls = tag_calls(&diff, &seen.tags, &seen.group_id, |tags| match tags {
        TagCall::Set(group_id, tags) => Call::SetTags { group_id, tags },
        TagCall::Remove(group_id, keys) => Call::RemoveTags { group_id, keys },
    });
    if calls.is_empty() {
        return Next::Converged(Outputs { group_id: seen.group_id.clone() });
    }
    Next::Calls(calls)
}

fn delete(seen: &Seen) -> Next<Call, Outputs> {
    let call = Call::Delete { group_id: seen.group_id.clone() };
    let delete = Proposed::new("ec2:DeleteSecurityGroup", Effect::Delete, call);
    if seen.interfaces.is_empty() {
        return Next::Calls(vec![delete]);
    }
    // Requester-managed interfaces are never detached; they vanish some minutes after their connector, cluster or database.
    let holders: Vec<_> =
        seen.interfaces.iter().map(|(id, what)| format!("{id} ({what})")).collect();
    let condition = Condition::new(
        format!("network interfaces to leave {}", seen.group_id),
        format!("held by {}", holders.join(", ")),
        Duration::from_mins(4),
    )
    .deadline(Duration::from_mins(45));
    Next::Wait { condition, then: vec![delete] }
}

pub(super) enum TagCall {
    Set(String, Tags),
    Remove(String, Vec<String>),
}

/// `CreateTags` and `DeleteTags`, as far as needed.
pub(super) fn tag_calls<C>(
    diff: &TagDiff,
    seen: &Tags,
    id: &str,
    make: impl Fn(TagCall) -> C,
) -> Vec<Proposed<C>> {
    let mut calls = Vec::new();
    if !diff.set.is_empty() {
        let call = make(TagCall::Set(id.to_owned(), diff.set.clone()));
        calls.push(
            Proposed::new("ec2:CreateTags", Effect::Update, call).fields(diff.set_fields(seen)),
        );
    }
    if !diff.remove.is_empty() {
        let call = make(TagCall::Remove(id.to_owned(), diff.remove.iter().cloned().collect()));
        calls.push(
            Proposed::new("ec2:DeleteTags", Effect::Update, call).fields(diff.remove_fields(seen)),
        );
    }
    calls
}

pub(super) async fn set_tags(
    ec2: &aws_sdk_ec2::Client,
    id: &str,
    tags: &Tags,
) -> Result<Sent, CallError> {
    ec2.create_tags()
        .resources(id)
        .set_tags(Some(to_ec2(tags)))
        .send()
        .await
        .map_err(|e| classify("ec2:CreateTags", e))?;
    Ok(Sent::default())
}

pub(super) async fn remove_tags(
    ec2: &aws_sdk_ec2::Client,
    id: &str,
    keys: &[String],
) -> Result<Sent, CallError> {
    ec2.delete_tags()
        .resources(id)
        .set_tags(Some(keys.iter().map(|k| Tag::builder().key(k).build()).collect()))
        .send()
        .await
        .map_err(|e| classify("ec2:DeleteTags", e))?;
    Ok(Sent::default())
}

pub(super) fn tag_specification(of: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(of).set_tags(Some(to_ec2(tags))).build()
}

fn to_ec2(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

pub(super) fn from_ec2(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|t| Some((t.key()?.to_owned(), t.value().unwrap_or_default().to_owned())))
        .collect()
}
