//! `aws.ec2.vpc-endpoint`: a way from private subnets to an AWS service, as interfaces in subnets or as routes.
//!
//! # Guarantees
//! The endpoint is marked by tags in its create call. An endpoint has no name in EC2: it is found by a tag with the name that it has
//! here, and failing that by the id that was recorded. Subnets, groups, route tables and private DNS are absolute.
//! # Caveats
//! Service, type and VPC can't be changed. States come in lower case although the service model capitalises them. The endpoint's
//! policy is left alone.
//! # Sources
//! Handbook aws.md §3.1 and §12; botocore ec2 `ModifyVpcEndpoint`, `DeleteVpcEndpoints`.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, ResourceType, VpcEndpointType};
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, Condition, DataEffect, Effect, Guard, Input, Kind, Mark,
    MarkSeen, Next, Proposed, Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use super::security_group::{
    TagCall, from_ec2, remove_tags, set_tags, tag_calls, tag_specification,
};
use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

/// The kind.
pub struct VpcEndpoint {
    ec2: aws_sdk_ec2::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The name under which it is found again; kept in a tag.
    pub name: String,
    /// The VPC.
    pub vpc_id: Input<String>,
    /// The service, `com.amazonaws.eu-west-1.secretsmanager`.
    pub service: String,
    /// How it is reached.
    #[serde(rename = "type")]
    pub kind: Type,
    /// The subnets with an interface, at most one a zone; for interface endpoints.
    #[serde(default = "none")]
    pub subnets: Input<Vec<String>>,
    /// The security groups of the interfaces; for interface endpoints.
    #[serde(default)]
    pub groups: Vec<Input<String>>,
    /// The route tables with a route; for gateway endpoints.
    #[serde(default = "none")]
    pub route_tables: Input<Vec<String>>,
    /// Whether the service's own name leads to the endpoint; for interface endpoints.
    #[serde(default)]
    pub private_dns: bool,
    /// The user's tags.
    #[serde(default)]
    pub tags: Tags,
}

fn none() -> Input<Vec<String>> {
    Input::Known(Vec::new())
}

/// How an endpoint is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// By interfaces in subnets.
    Interface,
    /// By routes.
    Gateway,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    endpoint_id: String,
    vpc_id: String,
    service: String,
    /// `Interface`, `Gateway`, …
    kind: String,
    /// In lower case.
    state: String,
    failure: String,
    members: Members,
    private_dns: bool,
    tags: Tags,
}

/// What an endpoint is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    subnets: BTreeSet<String>,
    groups: BTreeSet<String>,
    route_tables: BTreeSet<String>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The endpoint's id.
    pub endpoint_id: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the request's own arguments")]
pub enum Call {
    /// `CreateVpcEndpoint`
    Create {
        vpc_id: Input<String>,
        service: String,
        #[serde(rename = "type")]
        kind: Type,
        subnets: Input<Vec<String>>,
        groups: Vec<Input<String>>,
        route_tables: Input<Vec<String>>,
        private_dns: bool,
        tags: Tags,
    },
    /// `ModifyVpcEndpoint`: adds what is missing in `from` and removes what is not wanted.
    Modify {
        endpoint_id: String,
        from: Members,
        subnets: Input<Vec<String>>,
        groups: Vec<Input<String>>,
        route_tables: Input<Vec<String>>,
        /// Its wanted value, if it changes.
        private_dns: Option<bool>,
    },
    /// `CreateTags`
    SetTags { endpoint_id: String, tags: Tags },
    /// `DeleteTags`
    RemoveTags { endpoint_id: String, keys: Vec<String> },
    /// `DeleteVpcEndpoints`
    Delete { endpoint_id: String },
}

impl VpcEndpoint {
    /// The tag with the name.
    const NAME: &'static str = "msk-pipeline:name";
    /// How long an interface takes to come up or to go.
    const USUAL: Duration = Duration::from_mins(2);

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { ec2: session.ec2.clone() }
    }

    async fn find(&self, filter: Filter) -> Result<Option<Seen>, CallError> {
        let mut token = None;
        loop {
            let page = self
                .ec2
                .describe_vpc_endpoints()
                .filters(filter.clone())
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("ec2:DescribeVpcEndpoints", e));
            let Some(page) = absent(page)? else { return Ok(None) };
            // One that is deleted is shown for a while.
            let alive = |s: &Seen| !matches!(s.state.as_str(), "deleted" | "gone");
            if let Some(seen) = page.vpc_endpoints().iter().map(seen).find(alive) {
                return Ok(Some(seen));
            }
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(None);
            }
        }
    }
}

fn seen(endpoint: &aws_sdk_ec2::types::VpcEndpoint) -> Seen {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let groups = endpoint.groups().iter().filter_map(|g| g.group_id());
    Seen {
        endpoint_id: text(endpoint.vpc_endpoint_id()),
        vpc_id: text(endpoint.vpc_id()),
        service: text(endpoint.service_name()),
        kind: text(endpoint.vpc_endpoint_type().map(VpcEndpointType::as_str)),
        state: text(endpoint.state().map(|s| s.as_str())).to_ascii_lowercase(),
        failure: text(
            endpoint.last_error().and_then(|e| e.message()).or(endpoint.failure_reason()),
        ),
        members: Members {
            subnets: endpoint.subnet_ids().iter().cloned().collect(),
            groups: groups.map(str::to_owned).collect(),
            route_tables: endpoint.route_table_ids().iter().cloned().collect(),
        },
        private_dns: endpoint.private_dns_enabled().unwrap_or_default(),
        tags: from_ec2(endpoint.tags()),
    }
}

#[async_trait]
impl Kind for VpcEndpoint {
    const TYPE: &'static str = "aws.ec2.vpc-endpoint";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let name = &target.props.name;
        let tag = Filter::builder().name(format!("tag:{}", Self::NAME)).values(name).build();
        if let Some(seen) = self.find(tag).await? {
            return Ok(Some(seen));
        }
        // The answer to an open create names the endpoint before its tags can be searched.
        let id = target.pursuit.as_ref().and_then(|p| p.sent.as_ref()?.id.clone());
        match id {
            Some(id) => {
                self.find(Filter::builder().name("vpc-endpoint-id").values(id).build()).await
            }
            None => Ok(None),
        }
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.endpoint_id.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(Status::new(&seen.state).says(Some(&seen.failure)))
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => delete(seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => {
                let pursued = case.pursuit.is_some();
                update(want, seen, &case.mark, pursued)
            }
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create {
                vpc_id,
                service,
                kind,
                subnets,
                groups,
                route_tables,
                private_dns,
                tags,
            } => {
                let interface = *kind == Type::Interface;
                let kind = match kind {
                    Type::Interface => VpcEndpointType::Interface,
                    Type::Gateway => VpcEndpointType::Gateway,
                };
                let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
                let answer = self
                    .ec2
                    .create_vpc_endpoint()
                    .vpc_endpoint_type(kind)
                    .set_vpc_id(vpc_id.known().cloned())
                    .service_name(service)
                    .set_subnet_ids(some(list(subnets).into_iter().collect()))
                    .set_security_group_ids(some(each(groups).into_iter().collect()))
                    .set_route_table_ids(some(list(route_tables).into_iter().collect()))
                    .set_private_dns_enabled(interface.then_some(*private_dns))
                    .tag_specifications(tag_specification(ResourceType::VpcEndpoint, tags))
                    .send()
                    .await
                    .map_err(|e| classify("ec2:CreateVpcEndpoint", e))?;
                let id = answer.vpc_endpoint().and_then(|e| e.vpc_endpoint_id());
                return Ok(Sent { id: id.map(str::to_owned), operation: None });
            }
            Call::Modify { endpoint_id, from, subnets, groups, route_tables, private_dns } => {
                let added = |to: &BTreeSet<String>, from: &BTreeSet<String>| {
                    Some(to.difference(from).cloned().collect::<Vec<_>>()).filter(|l| !l.is_empty())
                };
                let (subnets, groups, tables) = (list(subnets), each(groups), list(route_tables));
                self.ec2
                    .modify_vpc_endpoint()
                    .vpc_endpoint_id(endpoint_id)
                    .set_add_subnet_ids(added(&subnets, &from.subnets))
                    .set_remove_subnet_ids(added(&from.subnets, &subnets))
                    .set_add_security_group_ids(added(&groups, &from.groups))
                    .set_remove_security_group_ids(added(&from.groups, &groups))
                    .set_add_route_table_ids(added(&tables, &from.route_tables))
                    .set_remove_route_table_ids(added(&from.route_tables, &tables))
                    .set_private_dns_enabled(*private_dns)
                    .send()
                    .await
                    .map_err(|e| classify("ec2:ModifyVpcEndpoint", e))?;
            }
            Call::SetTags { endpoint_id, tags } => {
                set_tags(&self.ec2, endpoint_id, tags).await?;
            }
            Call::RemoveTags { endpoint_id, keys } => {
                remove_tags(&self.ec2, endpoint_id, keys).await?;
            }
            Call::Delete { endpoint_id } => {
                const OP: &str = "ec2:DeleteVpcEndpoints";
                let answer = self
                    .ec2
                    .delete_vpc_endpoints()
                    .vpc_endpoint_ids(endpoint_id)
                    .send()
                    .await
                    .map_err(|e| classify(OP, e))?;
                // The answer is 200 also when the endpoint was refused.
                if let Some(error) = answer.unsuccessful().first().and_then(|u| u.error()) {
                    let code = error.code().unwrap_or_default();
                    let class =
                        if code.contains("NotFound") { Class::NotFound } else { Class::Conflict };
                    let message = error.message().unwrap_or_default();
                    let code = Some(code.to_owned());
                    return Err(CallError { code, ..CallError::new(class, OP, message) });
                }
            }
        }
        Ok(Sent::default())
    }
}

fn list(input: &Input<Vec<String>>) -> BTreeSet<String> {
    input.known().into_iter().flatten().cloned().collect()
}

fn each(inputs: &[Input<String>]) -> BTreeSet<String> {
    inputs.iter().filter_map(Input::known).cloned().collect()
}

fn tags(want: &Props, mark: &Mark) -> Tags {
    let mut tags = marked(&want.tags, mark);
    tags.insert(VpcEndpoint::NAME.into(), want.name.clone());
    tags.entry("Name".into()).or_insert_with(|| want.name.clone());
    tags
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        vpc_id: want.vpc_id.clone(),
        service: want.service.clone(),
        kind: want.kind,
        subnets: want.subnets.clone(),
        groups: want.groups.clone(),
        route_tables: want.route_tables.clone(),
        private_dns: want.private_dns,
        tags: tags(want, mark),
    };
    Proposed::new("ec2:CreateVpcEndpoint", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("service", None::<()>, Some(&want.service)),
        ])
        .may_change(&["endpoint_id"])
        .usual(match want.kind {
            Type::Interface => VpcEndpoint::USUAL,
            Type::Gateway => Duration::from_secs(10),
        })
}

fn update(want: &Props, seen: &Seen, mark: &Mark, pursued: bool) -> Next<Call, Outputs> {
    let replace = |because: String| Next::Replace { because, effect: DataEffect::NONE };
    let kind = match want.kind {
        Type::Interface => "Interface",
        Type::Gateway => "Gateway",
    };
    match seen.state.as_str() {
        "deleting" => {
            return Next::Wait {
                condition: waits(seen, "to be gone"),
                then: vec![create(want, mark)],
            };
        }
        "failed" | "rejected" | "expired" if pursued => {
            return Next::Failed {
                cause: format!("endpoint {} is {}: {}", seen.endpoint_id, seen.state, seen.failure),
                help: "mend the cause and run again: it is replaced".into(),
            };
        }
        "failed" | "rejected" | "expired" => {
            return replace(format!("the endpoint is {}: {}", seen.state, seen.failure));
        }
        _ => {}
    }
    if want.vpc_id.differs(&seen.vpc_id) {
        return replace("an endpoint can't be moved to another VPC".into());
    }
    if want.service != seen.service || kind != seen.kind {
        return replace("service and type of an endpoint can't be changed".into());
    }
    let mut calls = modify(want, seen);
    let diff = TagDiff::between(&seen.tags, &tags(want, mark));
    calls.extend(tag_calls(&diff, &seen.tags, &seen.endpoint_id, |tags| match tags {
        TagCall::Set(endpoint_id, tags) => Call::SetTags { endpoint_id, tags },
        TagCall::Remove(endpoint_id, keys) => Call::RemoveTags { endpoint_id, keys },
    }));
    if seen.state != "available" {
        return Next::Wait { condition: waits(seen, "available"), then: calls };
    }
    if calls.is_empty() {
        return Next::Converged(Outputs { endpoint_id: seen.endpoint_id.clone() });
    }
    Next::Calls(calls)
}

fn modify(want: &Props, seen: &Seen) -> Vec<Proposed<Call>> {
    let list_differs = |input: &Input<Vec<String>>, seen: &BTreeSet<String>| {
        input.known().is_none() || list(input) != *seen
    };
    let mut fields = Vec::new();
    if list_differs(&want.subnets, &seen.members.subnets) {
        fields.push(Change::new("subnets", Some(&seen.members.subnets), Some(&want.subnets)));
    }
    // An interface endpoint without a group has the VPC's default group.
    let pending = want.groups.iter().any(|g| g.known().is_none());
    if !want.groups.is_empty() && (pending || each(&want.groups) != seen.members.groups) {
        fields.push(Change::new("groups", Some(&seen.members.groups), Some(&want.groups)));
    }
    if list_differs(&want.route_tables, &seen.members.route_tables) {
        let from = Some(&seen.members.route_tables);
        fields.push(Change::new("route_tables", from, Some(&want.route_tables)));
    }
    let dns = want.kind == Type::Interface && want.private_dns != seen.private_dns;
    if dns {
        fields.push(Change::new("private_dns", Some(seen.private_dns), Some(want.private_dns)));
    }
    if fields.is_empty() {
        return Vec::new();
    }
    let groups = if want.groups.is_empty() {
        seen.members.groups.iter().cloned().map(Input::Known).collect()
    } else {
        want.groups.clone()
    };
    let call = Call::Modify {
        endpoint_id: seen.endpoint_id.clone(),
        from: seen.members.clone(),
        subnets: want.subnets.clone(),
        groups,
        route_tables: want.route_tables.clone(),
        private_dns: dns.then_some(want.private_dns),
    };
    let modify = Proposed::new("ec2:ModifyVpcEndpoint", Effect::Update, call);
    vec![modify.fields(fields).usual(VpcEndpoint::USUAL)]
}

fn waits(seen: &Seen, what: &str) -> Condition {
    Condition::new(format!("endpoint {} {what}", seen.endpoint_id), &seen.state, VpcEndpoint::USUAL)
}

fn delete(seen: &Seen) -> Next<Call, Outputs> {
    if seen.state == "deleting" {
        return Next::Wait { condition: waits(seen, "to be gone"), then: Vec::new() };
    }
    let call = Call::Delete { endpoint_id: seen.endpoint_id.clone() };
    let delete = Proposed::new("ec2:DeleteVpcEndpoints", Effect::Delete, call);
    Next::Calls(vec![delete.usual(VpcEndpoint::USUAL)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{mark, ops, session};

    fn want() -> Props {
        Props {
            name: "p-secretsmanager".into(),
            vpc_id: "vpc-1".into(),
            service: "com.amazonaws.eu-west-1.secretsmanager".into(),
            kind: Type::Interface,
            subnets: Input::Known(vec!["subnet-1".into(), "subnet-2".into()]),
            groups: vec!["sg-1".into()],
            route_tables: none(),
            private_dns: true,
            tags: Tags::new(),
        }
    }

    fn seen() -> Seen {
        Seen {
            endpoint_id: "vpce-1".into(),
            vpc_id: "vpc-1".into(),
            service: want().service,
            kind: "Interface".into(),
            state: "available".into(),
            failure: String::new(),
            members: Members {
                subnets: list(&want().subnets),
                groups: each(&want().groups),
                route_tables: BTreeSet::new(),
            },
            private_dns: true,
            tags: tags(&want(), &mark()),
        }
    }

    fn next(want: Option<Props>, seen: Option<Seen>) -> String {
        let case = Case { want, seen, was: None, pursuit: None, mark: mark() };
        ops(&VpcEndpoint::new(&session()).calls(&case))
    }

    #[test]
    fn every_difference_has_its_call() {
        let with = |change: &dyn Fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            next(Some(want()), Some(seen))
        };
        const MODIFY: &str = "ModifyVpcEndpoint";
        assert_eq!(next(Some(want()), None), "CreateVpcEndpoint");
        assert_eq!(with(&|_| ()), "converged");
        assert_eq!(with(&|s| s.members.subnets.clear()), MODIFY);
        assert_eq!(with(&|s| s.members.groups.clear()), MODIFY);
        assert_eq!(with(&|s| s.private_dns = false), MODIFY);
        assert_eq!(with(&|s| drop(s.tags.remove("Name"))), "CreateTags");
        assert_eq!(with(&|s| drop(s.tags.insert("a".into(), "b".into()))), "DeleteTags");
        assert_eq!(with(&|s| s.state = "pending".into()), "wait");
        assert_eq!(with(&|s| s.state = "deleting".into()), "wait, CreateVpcEndpoint");
        assert_eq!(with(&|s| s.state = "failed".into()), "replace");
        assert_eq!(with(&|s| s.vpc_id = "vpc-2".into()), "replace");
        assert_eq!(with(&|s| s.kind = "Gateway".into()), "replace");

        let pending = Props { groups: vec![Input::output("g", "group_id")], ..want() };
        assert_eq!(next(Some(pending), Some(seen())), MODIFY, "may differ");
        let default = Props { groups: Vec::new(), ..want() };
        assert_eq!(next(Some(default), Some(seen())), "converged");
    }

    #[test]
    fn it_is_deleted_once() {
        assert_eq!(next(None, None), "gone");
        assert_eq!(next(None, Some(seen())), "DeleteVpcEndpoints");
        assert_eq!(next(None, Some(Seen { state: "deleting".into(), ..seen() })), "wait");
    }

    #[test]
    fn a_route_table_is_compared_as_a_set() {
        let tables = Input::Known(vec!["rtb-2".into(), "rtb-1".into()]);
        let gateway = Props {
            kind: Type::Gateway,
            subnets: none(),
            groups: Vec::new(),
            route_tables: tables.clone(),
            private_dns: false,
            ..want()
        };
        let mut there = Seen { kind: "Gateway".into(), private_dns: false, ..seen() };
        there.members = Members { route_tables: list(&tables), ..Members::default() };
        assert_eq!(next(Some(gateway.clone()), Some(there.clone())), "converged");
        there.members.route_tables.clear();
        assert_eq!(next(Some(gateway), Some(there)), "ModifyVpcEndpoint");
    }
}
