//! `aws.rds.subnet-group`: the subnets that a database may use.
//!
//! # Guarantees
//! The group is marked by tags in its create call. Subnets are changed in place.
//! # Caveats
//! A group belongs to one VPC; another VPC replaces the group, and with it the database. RDS refuses to take a subnet away in which
//! an instance sits.
//! # Sources
//! Handbook aws.md §4.2.

use std::collections::BTreeSet;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change, DataEffect, Effect, Guard, Input, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Target,
};
use serde::{Deserialize, Serialize};

use super::rds::{TagCall, tags_of, text, to_rds};
use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{Tags, marked};

/// The kind.
pub struct DbSubnetGroup {
    rds: aws_sdk_rds::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The group's name, in lower case.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The VPC of the subnets.
    pub vpc_id: Input<String>,
    /// At least two subnets in different zones.
    pub subnets: Input<Vec<String>>,
    /// True if a destroy leaves it in AWS, with the database that uses it.
    #[serde(default)]
    pub keep: bool,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    name: String,
    arn: String,
    vpc_id: String,
    description: String,
    subnets: BTreeSet<String>,
    tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The group's name.
    pub name: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateDBSubnetGroup`
    Create {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// Subnets.
        subnets: Input<Vec<String>>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `ModifyDBSubnetGroup`
    Modify {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// All subnets.
        subnets: Input<Vec<String>>,
    },
    /// Tags.
    Tags(TagCall),
    /// `DeleteDBSubnetGroup`
    Delete {
        /// Name.
        name: String,
    },
}

impl DbSubnetGroup {
    /// The output with the group's name.
    pub const NAME: &'static str = "name";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { rds: session.rds.clone() }
    }
}

#[async_trait]
impl Kind for DbSubnetGroup {
    const TYPE: &'static str = "aws.rds.subnet-group";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let answer = self
            .rds
            .describe_db_subnet_groups()
            .db_subnet_group_name(&target.props.name)
            .send()
            .await
            .map_err(|e| classify("rds:DescribeDBSubnetGroups", e));
        let Some(answer) = absent(answer)? else { return Ok(None) };
        let Some(group) = answer.db_subnet_groups().first() else { return Ok(None) };
        let arn = text(group.db_subnet_group_arn());
        let Some(tags) = absent(tags_of(&self.rds, &arn).await)? else { return Ok(None) };
        Ok(Some(Seen {
            name: target.props.name.clone(),
            arn,
            vpc_id: text(group.vpc_id()),
            description: text(group.db_subnet_group_description()),
            subnets: group.subnets().iter().map(|s| text(s.subnet_identifier())).collect(),
            tags,
        }))
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
            (None, Some(seen)) => delete(case, seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => update(want, seen, &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { name, description, subnets, tags } => {
                self.rds
                    .create_db_subnet_group()
                    .db_subnet_group_name(name)
                    .db_subnet_group_description(description)
                    .set_subnet_ids(subnets.known().cloned())
                    .set_tags(Some(to_rds(tags)))
                    .send()
                    .await
                    .map_err(|e| classify("rds:CreateDBSubnetGroup", e))?;
            }
            Call::Modify { name, description, subnets } => {
                self.rds
                    .modify_db_subnet_group()
                    .db_subnet_group_name(name)
                    .db_subnet_group_description(description)
                    .set_subnet_ids(subnets.known().cloned())
                    .send()
                    .await
                    .map_err(|e| classify("rds:ModifyDBSubnetGroup", e))?;
            }
            Call::Tags(call) => return call.perform(&self.rds).await,
            Call::Delete { name } => {
                self.rds
                    .delete_db_subnet_group()
                    .db_subnet_group_name(name)
                    .send()
                    .await
                    .map_err(|e| classify("rds:DeleteDBSubnetGroup", e))?;
            }
        }
        Ok(Sent::default())
    }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        description: want.description.clone(),
        subnets: want.subnets.clone(),
        tags: marked(&want.tags, mark),
    };
    Proposed::new("rds:CreateDBSubnetGroup", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("subnets", None::<()>, Some(&want.subnets)),
        ])
        .may_change(&[DbSubnetGroup::NAME])
}

fn update(want: &Props, seen: &Seen, mark: &Mark) -> Next<Call, Outputs> {
    if want.vpc_id.differs(&seen.vpc_id) {
        return Next::Replace {
            because: "a subnet group can't be moved to another VPC".into(),
            effect: DataEffect::NONE,
        };
    }
    let subnets: Option<BTreeSet<String>> =
        want.subnets.known().map(|s| s.iter().cloned().collect());
    let other_subnets = subnets.as_ref() != Some(&seen.subnets);
    let other_words = want.description != seen.description;
    let mut calls = Vec::new();
    if other_subnets || other_words {
        let call = Call::Modify {
            name: want.name.clone(),
            description: want.description.clone(),
            subnets: want.subnets.clone(),
        };
        let mut fields = Vec::new();
        if other_subnets {
            fields.push(Change::new("subnets", Some(&seen.subnets), Some(&want.subnets)));
        }
        if other_words {
            let (from, to) = (&seen.description, &want.description);
            fields.push(Change::new("description", Some(from), Some(to)));
        }
        calls.push(Proposed::new("rds:ModifyDBSubnetGroup", Effect::Update, call).fields(fields));
    }
    calls.extend(TagCall::list(&seen.tags, &marked(&want.tags, mark), &seen.arn, Call::Tags));
    if calls.is_empty() {
        return Next::Converged(Outputs { name: want.name.clone() });
    }
    Next::Calls(calls)
}

fn delete(case: &Case<DbSubnetGroup>, seen: &Seen) -> Next<Call, Outputs> {
    // Nothing is recorded of a group that was never ready; nobody can want to keep that.
    if case.was.as_ref().is_some_and(|was| was.props.keep) {
        return Next::Kept;
    }
    let call = Call::Delete { name: seen.name.clone() };
    Next::Calls(vec![Proposed::new("rds:DeleteDBSubnetGroup", Effect::Delete, call)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{case, kind, ops};

    fn props() -> Props {
        Props {
            name: "orders-db".into(),
            description: "subnets".into(),
            vpc_id: "vpc-1".into(),
            subnets: vec!["a".to_owned(), "b".to_owned()].into(),
            keep: false,
            tags: Tags::new(),
        }
    }

    fn seen() -> Seen {
        let case = case::<DbSubnetGroup>(None, None);
        Seen {
            name: "orders-db".into(),
            arn: "arn".into(),
            vpc_id: "vpc-1".into(),
            description: "subnets".into(),
            subnets: BTreeSet::from(["a".into(), "b".into()]),
            tags: case.mark.tags(),
        }
    }

    #[track_caller]
    fn check(want: Option<Props>, seen: Option<Seen>, expected: &str) {
        let case = case::<DbSubnetGroup>(want, seen);
        assert_eq!(ops(&kind(DbSubnetGroup::new).calls(&case)), expected);
    }

    #[test]
    fn every_difference_has_its_call() {
        check(Some(props()), None, "CreateDBSubnetGroup");
        check(Some(props()), Some(seen()), "converged");
        let subnets = vec!["a".to_owned(), "c".to_owned()].into();
        check(Some(Props { subnets, ..props() }), Some(seen()), "ModifyDBSubnetGroup");
        let subnets = Input::output("network", "database_subnets");
        check(Some(Props { subnets, ..props() }), Some(seen()), "ModifyDBSubnetGroup");
        check(Some(Props { vpc_id: "vpc-2".into(), ..props() }), Some(seen()), "replace");
        let tags = Tags::from([("Team".into(), "data".into())]);
        check(Some(Props { tags, ..props() }), Some(seen()), "AddTagsToResource");
        check(None, None, "gone");
        check(None, Some(seen()), "DeleteDBSubnetGroup");
    }

    #[test]
    fn a_kept_group_is_only_forgotten() {
        use crate::kinds::testing::deletion;
        let outputs = Outputs { name: "orders-db".into() };
        let group = kind(DbSubnetGroup::new);
        let delete = deletion::<DbSubnetGroup>(props(), outputs.clone(), Some(seen()));
        assert_eq!(ops(&group.calls(&delete)), "DeleteDBSubnetGroup");
        let kept = Props { keep: true, ..props() };
        let delete = deletion::<DbSubnetGroup>(kept, outputs, Some(seen()));
        assert_eq!(ops(&group.calls(&delete)), "kept");
    }
}
