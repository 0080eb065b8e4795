//! `aws.ec2.security-group-rules`: all rules of one security group, set absolutely.
//!
//! # Guarantees
//! Every rule of the group that is not wanted is revoked, EC2's own default egress rule included; every wanted one is added first, so
//! that no traffic drops in between. One rule a call: EC2 refuses a whole call for one duplicate, and after a lost reply only the
//! rules that are missing are asked for again. Destroying the set also revokes the rules of *other* groups that name this one,
//! because EC2 deletes no group that a rule elsewhere names.
//! # Caveats
//! The set is owned through its group. A rule's description can be changed in place; anything else is another rule.
//! # Sources
//! Handbook aws.md §3.2.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, SecurityGroupRule, UserIdGroupPair,
};
use msk_pipeline_core::kind::{
    CallError, Case, Change, Effect, Guard, Input, Kind, MarkSeen, Next, Proposed, Sent, Target,
};
use serde::{Deserialize, Serialize};

use crate::error::{absent, classify};
use crate::session::Session;

/// The kind.
pub struct SecurityGroupRules {
    ec2: aws_sdk_ec2::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// `rules of GROUPNAME`.
    pub name: String,
    /// The group.
    pub group_id: Input<String>,
    /// The rules; there are no others.
    pub rules: Vec<Rule>,
    /// A destroy leaves the rules as they are: their group is kept. Rules that name the group of somebody who goes are revoked with
    /// that group's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Inwards or outwards.
    pub direction: Direction,
    /// `tcp`, `udp`, `icmp`, or `-1` for all.
    pub protocol: String,
    /// First port; -1 for all.
    pub from_port: i32,
    /// Last port; -1 for all.
    pub to_port: i32,
    /// The other side.
    pub peer: Peer,
    /// What the rule is for.
    pub description: String,
}

/// The direction of traffic that a rule lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the group's interfaces.
    Ingress,
    /// Out of them.
    Egress,
}

/// The other side of a rule; EC2 takes exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// Members of a security group.
    Group(Input<String>),
    /// An IPv4 range.
    Cidr(String),
    /// An IPv6 range.
    Cidr6(String),
    /// A prefix list.
    PrefixList(String),
}

impl Peer {
    fn text(&self) -> String {
        match self {
            Peer::Group(Input::Known(id))
            | Peer::Cidr(id)
            | Peer::Cidr6(id)
            | Peer::PrefixList(id) => id.clone(),
            Peer::Group(Input::Pending(of)) => format!("({}.{})", of.address, of.output),
        }
    }
}

impl PartialOrd for Peer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Peer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text().cmp(&other.text())
    }
}

impl Rule {
    /// A rule for one TCP port.
    pub fn tcp(
        direction: Direction,
        port: u16,
        peer: Peer,
        description: impl Into<String>,
    ) -> Self {
        let port = i32::from(port);
        let (protocol, description) = ("tcp".into(), description.into());
        Self { direction, protocol, from_port: port, to_port: port, peer, description }
    }

    /// The rule that EC2 puts on every new group.
    fn default_egress() -> Self {
        Self {
            direction: Direction::Egress,
            protocol: "-1".into(),
            from_port: -1,
            to_port: -1,
            peer: Peer::Cidr("0.0.0.0/0".into()),
            description: String::new(),
        }
    }

    fn same_but_description(&self, other: &Self) -> bool {
        let ports = |r: &Self| if r.protocol == "-1" { (-1, -1) } else { (r.from_port, r.to_port) };
        self.direction == other.direction
            && self.protocol == other.protocol
            && ports(self) == ports(other)
            && self.peer == other.peer
    }

    /// `ingress tcp 9098 from sg-1`.
    fn text(&self) -> String {
        let (direction, preposition) = match self.direction {
            Direction::Ingress => ("ingress", "from"),
            Direction::Egress => ("egress", "to"),
        };
        let ports = match (self.protocol.as_str(), self.from_port, self.to_port) {
            ("-1", ..) => "all".to_owned(),
            (protocol, from, to) if from == to => format!("{protocol} {from}"),
            (protocol, from, to) => format!("{protocol} {from}-{to}"),
        };
        format!("{direction} {ports} {preposition} {}", self.peer.text())
    }
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    group_id: String,
    rules: Vec<Rule>,
    /// Rules of other groups that name this one: group, rule.
    elsewhere: Vec<(String, Rule)>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The group whose rules these are.
    pub group_id: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `AuthorizeSecurityGroupIngress` or `…Egress`
    Authorize {
        /// The group.
        group_id: Input<String>,
        /// The rule.
        rule: Rule,
    },
    /// `RevokeSecurityGroupIngress` or `…Egress`
    Revoke {
        /// The group.
        group_id: Input<String>,
        /// The rule.
        rule: Rule,
    },
    /// `UpdateSecurityGroupRuleDescriptionsIngress` or `…Egress`
    Describe {
        /// The group.
        group_id: Input<String>,
        /// The rule with its new description.
        rule: Rule,
    },
}

impl SecurityGroupRules {
    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { ec2: session.ec2.clone() }
    }

    async fn rules_of(&self, group_id: &str) -> Result<Vec<Rule>, CallError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .ec2
                .describe_security_group_rules()
                .filters(Filter::builder().name("group-id").values(group_id).build())
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("ec2:DescribeSecurityGroupRules", e))?;
            found.extend(page.security_group_rules().iter().filter_map(from_ec2));
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                found.sort();
                return Ok(found);
            }
        }
    }

    /// Whether the group exists, and which other groups have rules that name it.
    async fn groups(&self, group_id: &str) -> Result<Option<BTreeSet<String>>, CallError> {
        const OP: &str = "ec2:DescribeSecurityGroups";
        let own = self.ec2.describe_security_groups().group_ids(group_id).send().await;
        if absent(own.map_err(|e| classify(OP, e)))?.is_none() {
            return Ok(None);
        }
        let mut others = BTreeSet::new();
        for filter in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
            let answer = self
                .ec2
                .describe_security_groups()
                .filters(Filter::builder().name(filter).values(group_id).build())
                .send()
                .await
                .map_err(|e| classify(OP, e))?;
            let ids = answer.security_groups().iter().filter_map(|g| g.group_id());
            others.extend(ids.filter(|id| *id != group_id).map(str::to_owned));
        }
        Ok(Some(others))
    }
}

fn from_ec2(rule: &SecurityGroupRule) -> Option<Rule> {
    let peer = if let Some(group) = rule.referenced_group_info() {
        Peer::Group(Input::Known(group.group_id()?.to_owned()))
    } else if let Some(cidr) = rule.cidr_ipv4() {
        Peer::Cidr(cidr.to_owned())
    } else if let Some(cidr) = rule.cidr_ipv6() {
        Peer::Cidr6(cidr.to_owned())
    } else {
        Peer::PrefixList(rule.prefix_list_id()?.to_owned())
    };
    let egress = rule.is_egress().unwrap_or_default();
    Some(Rule {
        direction: if egress { Direction::Egress } else { Direction::Ingress },
        protocol: rule.ip_protocol()?.to_owned(),
        from_port: rule.from_port().unwrap_or(-1),
        to_port: rule.to_port().unwrap_or(-1),
        peer,
        description: rule.description().unwrap_or_default().to_owned(),
    })
}

fn to_ec2(rule: &Rule) -> IpPermission {
    let description = (!rule.description.is_empty()).then(|| rule.description.clone());
    let mut permission = IpPermission::builder().ip_protocol(&rule.protocol);
    if rule.protocol != "-1" {
        permission = permission.from_port(rule.from_port).to_port(rule.to_port);
    }
    match &rule.peer {
        Peer::Group(id) => permission.user_id_group_pairs(
            UserIdGroupPair::builder()
                .set_group_id(id.known().cloned())
                .set_description(description)
                .build(),
        ),
        Peer::Cidr(cidr) => permission
            .ip_ranges(IpRange::builder().cidr_ip(cidr).set_description(description).build()),
        Peer::Cidr6(cidr) => permission
            .ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).set_description(description).build()),
        Peer::PrefixList(id) => permission.prefix_list_ids(
            PrefixListId::builder().prefix_list_id(id).set_description(description).build(),
        ),
    }
    .build()
}

#[async_trait]
impl Kind for SecurityGroupRules {
    const TYPE: &'static str = "aws.ec2.security-group-rules";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn visibility() -> Duration {
        Duration::from_secs(30)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let Some(group_id) = target.props.group_id.known() else { return Ok(None) };
        let Some(others) = self.groups(group_id).await? else { return Ok(None) };
        let mut elsewhere = Vec::new();
        for other in others {
            let names_us = |rule: &Rule| rule.peer == Peer::Group(Input::Known(group_id.clone()));
            let rules = self.rules_of(&other).await?;
            elsewhere.extend(rules.into_iter().filter(names_us).map(|rule| (other.clone(), rule)));
        }
        let rules = self.rules_of(group_id).await?;
        Ok(Some(Seen { group_id: group_id.clone(), rules, elsewhere }))
    }

    fn mark(_seen: &Seen) -> MarkSeen {
        MarkSeen::ByParent
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.group_id.clone()]
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(_)) if case.was.as_ref().is_some_and(|was| was.props.keep) => Next::Kept,
            (None, Some(seen)) => revoke_all(seen),
            (Some(want), seen) => converge(want, seen.as_ref()),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        let ec2 = &self.ec2;
        match call {
            Call::Authorize { group_id, rule } => match rule.direction {
                Direction::Ingress => ec2
                    .authorize_security_group_ingress()
                    .set_group_id(group_id.known().cloned())
                    .ip_permissions(to_ec2(rule))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| classify("ec2:AuthorizeSecurityGroupIngress", e)),
                Direction::Egress => ec2
                    .authorize_security_group_egress()
                    .set_group_id(group_id.known().cloned())
                    .ip_permissions(to_ec2(rule))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| classify("ec2:AuthorizeSecurityGroupEgress", e)),
            },
            Call::Revoke { group_id, rule } => match rule.direction {
                Direction::Ingress => ec2
                    .revoke_security_group_ingress()
                    .set_group_id(group_id.known().cloned())
                    .ip_permissions(to_ec2(rule))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| classify("ec2:RevokeSecurityGroupIngress", e)),
                Direction::Egress => ec2
                    .revoke_security_group_egress()
                    .set_group_id(group_id.known().cloned())
                    .ip_permissions(to_ec2(rule))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| classify("ec2:RevokeSecurityGroupEgress", e)),
            },
            Call::Describe { group_id, rule } => match rule.direction {
                Direction::Ingress => ec2
                    .update_security_group_rule_descriptions_ingress()
                    .set_group_id(group_id.known().cloned())
                    .ip_permissions(to_ec2(rule))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| classify("ec2:UpdateSecurityGroupRuleDescriptionsIngress", e)),
                Direction::Egress => ec2
                    .update_security_group_rule_descriptions_egress()
                    .set_group_id(group_id.known().cloned())
                    .ip_permissions(to_ec2(rule))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| classify("ec2:UpdateSecurityGroupRuleDescriptionsEgress", e)),
            },
        }?;
        Ok(Sent::default())
    }
}

/// What EC2 takes in a rule's description: fewer than 256 of these characters (`InvalidParameterValue` otherwise).
fn is_description(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ". _-:/()#,@[]+=&;{}!$*".contains(c);
    text.len() < 256 && text.chars().all(allowed)
}

fn converge(want: &Props, seen: Option<&Seen>) -> Next<Call, Outputs> {
    if let Some(rule) = want.rules.iter().find(|r| !is_description(&r.description)) {
        return Next::Refuse {
            because: format!("EC2 does not take the description `{}`", rule.description),
            help: "use letters, digits, blanks and . _-:/()#,@[]+=&;{}!$*".into(),
        };
    }
    // A group that does not exist yet will have EC2's default rule.
    let fresh = [Rule::default_egress()];
    let present = seen.map_or(fresh.as_slice(), |s| s.rules.as_slice());
    let group_id = &want.group_id;
    let mut calls = Vec::new();
    for rule in &want.rules {
        match present.iter().find(|p| p.same_but_description(rule)) {
            None => {
                let call = Call::Authorize { group_id: group_id.clone(), rule: rule.clone() };
                let op = match rule.direction {
                    Direction::Ingress => "ec2:AuthorizeSecurityGroupIngress",
                    Direction::Egress => "ec2:AuthorizeSecurityGroupEgress",
                };
                calls.push(Proposed::new(op, Effect::Update, call).fields([Change::new(
                    "rules",
                    None::<()>,
                    Some(rule.text()),
                )]));
            }
            Some(found) if found.description != rule.description => {
                let call = Call::Describe { group_id: group_id.clone(), rule: rule.clone() };
                let op = match rule.direction {
                    Direction::Ingress => "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
                    Direction::Egress => "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                };
                let field = format!("rules[{}].description", rule.text());
                calls.push(Proposed::new(op, Effect::Update, call).fields([Change::new(
                    field,
                    Some(&found.description),
                    Some(&rule.description),
                )]));
            }
            Some(_) => {}
        }
    }
    for rule in present.iter().filter(|p| !want.rules.iter().any(|w| w.same_but_description(p))) {
        calls.push(revoke(group_id.clone(), rule, Effect::Update));
    }
    if seen.is_none() {
        // In a VPC with IPv6 EC2 adds a second default rule.
        let default6 = Rule { peer: Peer::Cidr6("::/0".into()), ..Rule::default_egress() };
        if !want.rules.iter().any(|w| w.same_but_description(&default6)) {
            let call = revoke(group_id.clone(), &default6, Effect::Update);
            calls.push(call.only_if("the VPC has IPv6"));
        }
    }
    match seen {
        Some(seen) if calls.is_empty() => {
            Next::Converged(Outputs { group_id: seen.group_id.clone() })
        }
        _ => Next::Calls(calls),
    }
}

fn revoke(group_id: Input<String>, rule: &Rule, effect: Effect) -> Proposed<Call> {
    let op = match rule.direction {
        Direction::Ingress => "ec2:RevokeSecurityGroupIngress",
        Direction::Egress => "ec2:RevokeSecurityGroupEgress",
    };
    Proposed::new(op, effect, Call::Revoke { group_id, rule: rule.clone() }).fields([Change::new(
        "rules",
        Some(rule.text()),
        None::<()>,
    )])
}

fn revoke_all(seen: &Seen) -> Next<Call, Outputs> {
    let elsewhere = seen.elsewhere.iter().map(|(group, rule)| {
        revoke(Input::Known(group.clone()), rule, Effect::Delete)
            .only_if(format!("{group} still has this rule, which names {}", seen.group_id))
    });
    let own = seen
        .rules
        .iter()
        .map(|rule| revoke(Input::Known(seen.group_id.clone()), rule, Effect::Delete));
    let calls: Vec<_> = elsewhere.chain(own).collect();
    if calls.is_empty() { Next::Gone } else { Next::Calls(calls) }
}
