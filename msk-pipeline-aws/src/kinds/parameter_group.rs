//! What `aws.rds.cluster-parameter-group` and `aws.rds.parameter-group` share: everything but the names of the calls.
//!
//! # Guarantees
//! Parameter values are set absolutely: what the user set in the group and is no longer wanted is reset. At most twenty parameters
//! go into one call, in the order of their names, so that a half-done list goes on where it stopped. Values are compared without
//! their case where AWS lists the allowed words.
//! # Caveats
//! Family, name and description can't be changed: another family is another group, created first and deleted last, because a group
//! in use can't be deleted. A static parameter takes effect when an instance restarts, which is the instance's business: the output
//! `revision` changes whenever that is needed. A dynamic one reaches running instances by itself, a while after the call: the output
//! `values` changes with every parameter, so that instances wait for it.
//! # Sources
//! Handbook aws.md §4.3.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{ApplyMethod, Parameter};
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, DataEffect, Effect, Guard, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Succession, Target,
};
use serde::{Deserialize, Serialize};

use super::rds::{TagCall, tags_of, text};
use crate::error::absent;
use crate::session::Session;
use crate::tags::{Tags, marked};

/// The calls of one of the two families of groups.
#[async_trait]
pub trait Scope: Send + Sync + 'static {
    /// [`Kind::TYPE`].
    const TYPE: &'static str;
    /// The operations: create, modify, reset, delete.
    const OPS: [&'static str; 4];

    /// ARN and family of a group.
    async fn describe(rds: &Client, name: &str) -> Result<Option<(String, String)>, CallError>;
    /// One page of a group's parameters, and where the next begins.
    async fn parameters(
        rds: &Client,
        name: &str,
        marker: Option<String>,
    ) -> Result<(Vec<Parameter>, Option<String>), CallError>;
    /// Creates a group.
    async fn create(
        rds: &Client,
        name: &str,
        family: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<(), CallError>;
    /// Sets parameters.
    async fn modify(rds: &Client, name: &str, list: Vec<Parameter>) -> Result<(), CallError>;
    /// Resets parameters.
    async fn reset(rds: &Client, name: &str, list: Vec<Parameter>) -> Result<(), CallError>;
    /// Deletes a group.
    async fn delete(rds: &Client, name: &str) -> Result<(), CallError>;
}

/// The kind.
pub struct ParameterGroup<S> {
    rds: Client,
    scope: std::marker::PhantomData<fn() -> S>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The group's name, in lower case; it contains the family, because that can't be changed.
    pub name: String,
    /// The family, `aurora-mysql8.0`.
    pub family: String,
    /// What it is for.
    pub description: String,
    /// Every parameter that does not have the engine's default.
    pub parameters: BTreeMap<String, String>,
    /// True if a destroy leaves it in AWS, with the database that uses it.
    #[serde(default)]
    pub keep: bool,
    /// The user's tags.
    pub tags: Tags,
}

/// What AWS says about a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Facts {
    /// It takes effect only when an instance restarts.
    fixed: bool,
    /// The words or the range that are allowed; empty if anything is.
    allowed: String,
    /// It may be set.
    modifiable: bool,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    name: String,
    arn: String,
    family: String,
    tags: Tags,
    /// What was set in this group (`Source=user`).
    values: BTreeMap<String, String>,
    /// The values that wanted parameters have without being set. RDS may go on calling one that was set to just this value a default
    /// (handbook aws.md §4.3), so it counts as set.
    #[serde(default)]
    defaults: BTreeMap<String, String>,
    /// Facts about the parameters that are set or wanted.
    facts: BTreeMap<String, Facts>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The group's name.
    pub name: String,
    /// Another value for other static parameters: whoever uses the group has to restart.
    pub revision: String,
    /// Another value for any other parameters: whoever uses the group has to wait until they are applied.
    #[serde(default)]
    pub values: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateDB…ParameterGroup`
    Create {
        /// Name.
        name: String,
        /// Family.
        family: String,
        /// Description.
        description: String,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `ModifyDB…ParameterGroup`
    Modify {
        /// Name.
        name: String,
        /// At most twenty.
        parameters: BTreeMap<String, String>,
    },
    /// `ResetDB…ParameterGroup`
    Reset {
        /// Name.
        name: String,
        /// At most twenty.
        parameters: Vec<String>,
    },
    /// Tags.
    Tags(TagCall),
    /// `DeleteDB…ParameterGroup`
    Delete {
        /// Name.
        name: String,
    },
}

/// The output with the group's name.
pub const NAME: &str = "name";
/// The output that changes when a restart is needed.
pub const REVISION: &str = "revision";
/// The output that changes with any parameter.
pub const VALUES: &str = "values";
/// How many parameters one call takes.
const CHUNK: usize = 20;

impl<S: Scope> ParameterGroup<S> {
    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { rds: session.rds.clone(), scope: std::marker::PhantomData }
    }

    async fn all(&self, name: &str) -> Result<Vec<Parameter>, CallError> {
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let (page, next) = S::parameters(&self.rds, name, marker).await?;
            found.extend(page);
            marker = next.filter(|m| !m.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// How each parameter has to be applied, and its value as AWS writes it: read now, because neither can be known before the group
    /// exists.
    async fn applied(
        &self,
        name: &str,
        parameters: impl Iterator<Item = (&String, Option<&String>)> + Send,
    ) -> Result<Vec<Parameter>, CallError> {
        let known = self.all(name).await?;
        let facts: BTreeMap<_, _> =
            known.iter().map(|p| (text(p.parameter_name()), facts(p))).collect();
        Ok(parameters
            .map(|(name, value)| {
                let facts = facts.get(name);
                // `immediate` is refused for static parameters; `pending-reboot` is right for what is not known.
                let method = match facts {
                    Some(facts) if !facts.fixed => ApplyMethod::Immediate,
                    _ => ApplyMethod::PendingReboot,
                };
                let allowed = facts.map(|f| f.allowed.as_str()).unwrap_or_default();
                let value = value.map(|v| spelled(v, allowed));
                Parameter::builder()
                    .parameter_name(name)
                    .set_parameter_value(value)
                    .apply_method(method)
                    .build()
            })
            .collect())
    }
}

impl Seen {
    /// Takes in what counts of a group's parameters: those that are set, and those that are wanted.
    fn read(&mut self, all: &[Parameter], wanted: &BTreeMap<String, String>) {
        for parameter in all {
            let name = text(parameter.parameter_name());
            let set = parameter.source() == Some("user");
            if !set && !wanted.contains_key(&name) {
                continue;
            }
            self.facts.insert(name.clone(), facts(parameter));
            match parameter.parameter_value() {
                Some(value) if !set => self.defaults.insert(name, value.to_owned()),
                None if !set => None,
                value => self.values.insert(name, text(value)),
            };
        }
    }

    /// The value that a wanted parameter has, set or not.
    fn value(&self, name: &str) -> Option<&String> {
        self.values.get(name).or_else(|| self.defaults.get(name))
    }
}

fn facts(parameter: &Parameter) -> Facts {
    Facts {
        fixed: parameter.apply_type() != Some("dynamic"),
        allowed: text(parameter.allowed_values()),
        modifiable: parameter.is_modifiable().unwrap_or(true),
    }
}

/// `value` as it stands among the allowed words, whatever its case.
fn spelled(value: &str, allowed: &str) -> String {
    let word = allowed.split(',').map(str::trim).find(|w| w.eq_ignore_ascii_case(value));
    word.unwrap_or(value).to_owned()
}

fn same(seen: &str, wanted: &str, allowed: &str) -> bool {
    seen == wanted || (!allowed.is_empty() && seen.eq_ignore_ascii_case(wanted))
}

#[async_trait]
impl<S: Scope> Kind for ParameterGroup<S> {
    const TYPE: &'static str = S::TYPE;
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn succession() -> Succession {
        Succession::CreateFirst
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let name = &target.props.name;
        let Some((arn, family)) = S::describe(&self.rds, name).await? else { return Ok(None) };
        let Some(tags) = absent(tags_of(&self.rds, &arn).await)? else { return Ok(None) };
        let Some(all) = absent(self.all(name).await)? else { return Ok(None) };
        let mut seen = Seen {
            name: name.clone(),
            arn,
            family,
            tags,
            values: BTreeMap::new(),
            defaults: BTreeMap::new(),
            facts: BTreeMap::new(),
        };
        seen.read(&all, &target.props.parameters);
        Ok(Some(seen))
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
            // Nothing is recorded of a group that was never ready; nobody can want to keep that.
            (None, Some(_)) if case.was.as_ref().is_some_and(|was| was.props.keep) => Next::Kept,
            (None, Some(seen)) => {
                let call = Call::Delete { name: seen.name.clone() };
                Next::Calls(vec![Proposed::new(S::OPS[3], Effect::Delete, call)])
            }
            (Some(want), None) => Next::Calls(create::<S>(want, &case.mark)),
            (Some(want), Some(seen)) => update::<S>(want, seen, &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        let rds = &self.rds;
        match call {
            Call::Create { name, family, description, tags } => {
                S::create(rds, name, family, description, tags).await?;
            }
            Call::Modify { name, parameters } => {
                let pairs = parameters.iter().map(|(name, value)| (name, Some(value)));
                S::modify(rds, name, self.applied(name, pairs).await?).await?;
            }
            Call::Reset { name, parameters } => {
                let names = parameters.iter().map(|name| (name, None));
                S::reset(rds, name, self.applied(name, names).await?).await?;
            }
            Call::Tags(call) => return call.perform(rds).await,
            Call::Delete { name } => S::delete(rds, name).await?,
        }
        Ok(Sent::default())
    }
}

fn create<S: Scope>(want: &Props, mark: &Mark) -> Vec<Proposed<Call>> {
    let call = Call::Create {
        name: want.name.clone(),
        family: want.family.clone(),
        description: want.description.clone(),
        tags: marked(&want.tags, mark),
    };
    let create = Proposed::new(S::OPS[0], Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("family", None::<()>, Some(&want.family)),
        ])
        .may_change(&[NAME, REVISION, VALUES]);
    std::iter::once(create).chain(modify::<S>(want, &want.parameters, None)).collect()
}

/// The calls that set `parameters`.
fn modify<S: Scope>(
    want: &Props,
    parameters: &BTreeMap<String, String>,
    seen: Option<&Seen>,
) -> Vec<Proposed<Call>> {
    let all: Vec<_> = parameters.iter().collect();
    let chunk = |chunk: &[(&String, &String)]| {
        let parameters: BTreeMap<String, String> =
            chunk.iter().map(|&(k, v)| (k.clone(), v.clone())).collect();
        let fields: Vec<_> = chunk
            .iter()
            .map(|(k, v)| {
                let from = seen.and_then(|s| s.value(k));
                Change::new(format!("parameters.{k}"), from, Some(v))
            })
            .collect();
        let restart = restart(seen, parameters.keys());
        let call = Call::Modify { name: want.name.clone(), parameters };
        let proposed = Proposed::new(S::OPS[1], Effect::Update, call).fields(fields);
        proposed.may_change(outputs(restart))
    };
    all.chunks(CHUNK).map(chunk).collect()
}

/// True if one of the parameters is static, or not known.
fn restart<'a>(seen: Option<&Seen>, mut names: impl Iterator<Item = &'a String>) -> bool {
    names.any(|name| seen.and_then(|s| s.facts.get(name)).is_none_or(|facts| facts.fixed))
}

fn update<S: Scope>(want: &Props, seen: &Seen, mark: &Mark) -> Next<Call, Outputs> {
    if want.family != seen.family {
        return Next::Replace {
            because: "the family of a parameter group can't be changed".into(),
            effect: DataEffect::NONE,
        };
    }
    for name in want.parameters.keys() {
        match seen.facts.get(name) {
            None => {
                return Next::Refuse {
                    because: format!("{} has no parameter `{name}`", seen.family),
                    help: "remove it, or look up its name in the engine's parameter reference"
                        .into(),
                };
            }
            Some(facts) if !facts.modifiable => {
                return Next::Refuse {
                    because: format!("RDS does not let anyone set `{name}`"),
                    help: "remove it from `parameters`".into(),
                };
            }
            Some(_) => {}
        }
    }
    let set: BTreeMap<String, String> = want
        .parameters
        .iter()
        .filter(|(name, value)| {
            let allowed = seen.facts.get(*name).map(|f| f.allowed.as_str()).unwrap_or_default();
            !seen.value(name).is_some_and(|s| same(s, value, allowed))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut calls = modify::<S>(want, &set, Some(seen));
    let reset: Vec<&String> =
        seen.values.keys().filter(|name| !want.parameters.contains_key(*name)).collect();
    for names in reset.chunks(CHUNK) {
        let fields: Vec<_> = names
            .iter()
            .map(|name| {
                let from = seen.values.get(*name);
                Change::new(format!("parameters.{name}"), from, None::<()>)
            })
            .collect();
        let call = Call::Reset {
            name: want.name.clone(),
            parameters: names.iter().map(|&n| n.clone()).collect(),
        };
        let proposed = Proposed::new(S::OPS[2], Effect::Update, call).fields(fields);
        let restart = restart(Some(seen), names.iter().copied());
        calls.push(proposed.may_change(outputs(restart)));
    }
    calls.extend(TagCall::list(&seen.tags, &marked(&want.tags, mark), &seen.arn, Call::Tags));
    if calls.is_empty() {
        return Next::Converged(Outputs {
            name: want.name.clone(),
            revision: digest(want, |name| seen.facts.get(name).is_none_or(|f| f.fixed)),
            values: digest(want, |_| true),
        });
    }
    Next::Calls(calls)
}

/// The outputs that are others after a call that changes parameters.
fn outputs(restart: bool) -> &'static [&'static str] {
    if restart { &[REVISION, VALUES] } else { &[VALUES] }
}

/// A short digest of the parameters that count, and of the group's name.
fn digest(want: &Props, counts: impl Fn(&str) -> bool) -> String {
    let lines: BTreeSet<String> = want
        .parameters
        .iter()
        .filter(|(name, _)| counts(name))
        .map(|(name, value)| format!("{name}={}", value.to_ascii_lowercase()))
        .collect();
    let text = format!("{}\n{}", want.name, lines.into_iter().collect::<Vec<_>>().join("\n"));
    super::short_hash(&text)
}

/// A parameter group that exists but is not this kind's: a failure that will stay one.
pub(super) fn incomplete(operation: &'static str) -> CallError {
    CallError::new(Class::Invalid, operation, "the answer lacks the group's ARN or family")
}

#[cfg(test)]
mod tests {
    use super::super::db_cluster_parameter_group::Cluster;
    use super::*;
    use crate::kinds::testing::{case, deletion, kind, mark, ops};

    type Group = ParameterGroup<Cluster>;

    fn props(parameters: &[(&str, &str)]) -> Props {
        Props {
            name: "orders-main-mysql8-0".into(),
            family: "aurora-mysql8.0".into(),
            description: "d".into(),
            parameters: parameters.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
            keep: false,
            tags: Tags::new(),
        }
    }

    fn seen(values: &[(&str, &str)]) -> Seen {
        let facts = [
            ("binlog_format", true, "ROW,STATEMENT,MIXED,OFF"),
            ("binlog_row_image", false, "full,minimal,noblob"),
            ("max_allowed_packet", false, "1024-1073741824"),
        ];
        let facts = facts.map(|(name, fixed, allowed)| {
            (name.to_owned(), Facts { fixed, allowed: allowed.into(), modifiable: true })
        });
        Seen {
            name: "orders-main-mysql8-0".into(),
            arn: "arn".into(),
            family: "aurora-mysql8.0".into(),
            tags: mark().tags(),
            values: values.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
            defaults: BTreeMap::new(),
            facts: facts.into(),
        }
    }

    #[track_caller]
    fn check(want: &[(&str, &str)], found: Option<Seen>, expected: &str) {
        let case = case::<Group>(Some(props(want)), found);
        assert_eq!(ops(&kind(Group::new).calls(&case)), expected);
    }

    #[test]
    fn values_are_set_absolutely() {
        let row = &[("binlog_format", "ROW")];
        check(row, None, "CreateDBClusterParameterGroup, ModifyDBClusterParameterGroup");
        check(&[], None, "CreateDBClusterParameterGroup");
        check(row, Some(seen(row)), "converged");
        check(row, Some(seen(&[])), "ModifyDBClusterParameterGroup");
        check(&[], Some(seen(row)), "ResetDBClusterParameterGroup");
        check(
            &[("binlog_row_image", "FULL")],
            Some(seen(&[("binlog_row_image", "full")])),
            "converged",
        );
        check(&[("binlog_fromat", "ROW")], Some(seen(&[])), "refuse");
        check(row, Some(Seen { family: "aurora-mysql5.7".into(), ..seen(row) }), "replace");
        check(row, Some(Seen { tags: Tags::new(), ..seen(row) }), "AddTagsToResource");
    }

    #[test]
    fn a_default_that_is_wanted_is_there() {
        let parameter = |name: &str, value: Option<&str>, source: &str| {
            Parameter::builder()
                .parameter_name(name)
                .set_parameter_value(value.map(str::to_owned))
                .source(source)
                .allowed_values("1-1000")
                .apply_type("dynamic")
                .build()
        };
        let all = [
            parameter("max_connections", Some("90"), "engine-default"),
            parameter("binlog_format", Some("ROW"), "user"),
            parameter("log_output", None, "engine-default"),
            parameter("of_nobody", Some("1"), "system"),
        ];
        let next = |want: &[(&str, &str)]| {
            let want = props(want);
            let mut found = Seen { facts: BTreeMap::new(), ..seen(&[]) };
            found.read(&all, &want.parameters);
            ops(&kind(Group::new).calls(&case::<Group>(Some(want), Some(found))))
        };
        let row = ("binlog_format", "ROW");
        assert_eq!(next(&[row, ("max_connections", "90")]), "converged");
        assert_eq!(next(&[row, ("max_connections", "91")]), "ModifyDBClusterParameterGroup");
        assert_eq!(next(&[row, ("log_output", "FILE")]), "ModifyDBClusterParameterGroup");
        assert_eq!(next(&[]), "ResetDBClusterParameterGroup");
    }

    #[test]
    fn only_static_parameters_need_a_restart() {
        let changes = |name: &str, value: &str| {
            let case = case::<Group>(Some(props(&[(name, value)])), Some(seen(&[])));
            let Next::Calls(calls) = kind(Group::new).calls(&case) else { panic!("calls") };
            calls[0].may_change.clone()
        };
        assert_eq!(changes("binlog_format", "ROW"), [REVISION, VALUES]);
        assert_eq!(changes("max_allowed_packet", "67108864"), [VALUES]);
    }

    #[test]
    fn a_long_list_goes_on_where_it_stopped() {
        let names: Vec<String> = (0..45).map(|n| format!("p{n:02}")).collect();
        let all: Vec<_> = names.iter().map(|n| (n.as_str(), "1")).collect();
        let want = props(&all);
        let case1 = case::<Group>(Some(want.clone()), None);
        let Next::Calls(planned) = kind(Group::new).calls(&case1) else { panic!("calls") };
        assert_eq!(planned.len(), 4);
        let mut found = seen(&all[..20]);
        let facts = Facts { fixed: false, allowed: String::new(), modifiable: true };
        found.facts.extend(names.iter().map(|n| (n.clone(), facts.clone())));
        let case2 = case::<Group>(Some(want), Some(found));
        let Next::Calls(rest) = kind(Group::new).calls(&case2) else { panic!("calls") };
        let call = |c: &Proposed<Call>| c.call.clone();
        assert_eq!(
            rest.iter().map(call).collect::<Vec<_>>(),
            planned[2..].iter().map(call).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_kept_group_is_only_forgotten() {
        let outputs = Outputs { name: "n".into(), revision: "r".into(), values: "v".into() };
        let delete = deletion::<Group>(props(&[]), outputs.clone(), Some(seen(&[])));
        assert_eq!(ops(&kind(Group::new).calls(&delete)), "DeleteDBClusterParameterGroup");
        let never_ready = case::<Group>(None, Some(seen(&[])));
        assert_eq!(ops(&kind(Group::new).calls(&never_ready)), "DeleteDBClusterParameterGroup");
        let kept = Props { keep: true, ..props(&[]) };
        let delete = deletion::<Group>(kept, outputs, Some(seen(&[])));
        assert_eq!(ops(&kind(Group::new).calls(&delete)), "kept");
    }
}
