//! `aws.ec2.security-group-rules`: stands in until the kind itself is here.

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Case, Guard, Input, Kind, MarkSeen, Next, Sent, Target};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct SecurityGroupRules;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// `rules of <group name>`
    pub name: String,
    /// The group.
    pub group_id: Input<String>,
    /// All rules.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The direction.
    pub direction: Direction,
    /// `tcp`
    pub protocol: String,
    /// First port.
    pub from_port: i32,
    /// Last port.
    pub to_port: i32,
    /// The other side.
    pub peer: Peer,
    /// What it is for.
    pub description: String,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// In.
    Ingress,
    /// Out.
    Egress,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// A security group.
    Group(Input<String>),
    /// An IPv4 block.
    Cidr(String),
    /// An IPv6 block.
    Cidr6(String),
    /// A prefix list.
    PrefixList(String),
}

#[async_trait]
impl Kind for SecurityGroupRules {
    const TYPE: &'static str = "aws.ec2.security-group-rules";
    type Props = Props;
    type Seen = ();
    type Outputs = ();
    type Call = ();

    fn name(props: &Props) -> String {
        props.name.clone()
    }
    async fn observe(&self, _target: &Target<Self>) -> Result<Option<()>, CallError> {
        Ok(None)
    }
    fn mark(_seen: &()) -> MarkSeen {
        MarkSeen::ByParent
    }
    fn calls(&self, _case: &Case<Self>) -> Next<(), ()> {
        Next::Gone
    }
    async fn perform(&self, _call: &(), _guard: &Guard) -> Result<Sent, CallError> {
        Ok(Sent::default())
    }
}
