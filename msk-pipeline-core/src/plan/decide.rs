//! From graph, state and observations to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use super::adopt::{Adopt, UNMARKABLE, help_with_foreign};
use super::observe::{READS, Reader, in_window};
use super::order::{Draft, Role, Stuck, order};
use super::step::{Action, Plan, PlanError, Refusal, Step, Verb};
use crate::address::Address;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::graph::{Graph, Resource, dependencies};
use crate::kind::{
    CallError, Condition, DataEffect, Effect, ErasedCase, ErasedKind, ErasedNext, ErasedProposed,
    ErasedTarget, Mark, MarkSeen, Next, Pursuit, Registry, Succession, references, resolve,
};
use crate::state::{Adoption, Object, Pin, Record, State};

/// What a plan is made for.
pub struct Options<'a> {
    /// The direction.
    pub verb: Verb,
    /// For a destroy: only these stages and what depends on them; empty means all.
    pub stages: &'a [String],
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The account and region that the provider reaches.
    pub pin: &'a Pin,
    /// The lineage of the state, or the one that a state that does not exist yet will have.
    pub lineage: String,
    /// Plan no more than to take this object over.
    pub adopt: Option<&'a Adopt>,
}

/// Observes every object and lists the calls that lead from there to the graph, or for a destroy to nothing.
///
/// # Guarantees
/// Reads only; takes no lease. For the same graph, state and cloud the steps are the same.
///
/// # Errors
/// Every object that could not be looked at.
pub async fn plan(
    registry: &Registry,
    clock: &dyn Clock,
    entropy: &Entropy,
    graph: &Graph,
    state: &State,
    options: &Options<'_>,
) -> Result<Plan, Vec<PlanError>> {
    let lineage = options.lineage.clone();
    let mut planner = Planner {
        registry,
        reader: Reader { clock, requests: None },
        clock,
        state,
        options,
        lineage: lineage.clone(),
        drafts: Vec::new(),
        refusals: Vec::new(),
        errors: Vec::new(),
        known: BTreeMap::new(),
    };
    match options.verb {
        Verb::Apply => {
            planner.converge(graph).await;
            if let Some(adopt) = options.adopt {
                planner.narrow(graph, adopt);
            }
            let gone: Vec<_> =
                state.records.keys().filter(|a| graph.get(a.as_str()).is_none()).cloned().collect();
            if options.adopt.is_none() {
                planner.remove(&gone, None).await;
            }
        }
        Verb::Destroy => {
            let doomed = planner.doomed();
            planner.remove(&doomed, Some(graph)).await;
        }
    }
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let (steps, stuck) = order(planner.drafts, state);
    planner.refusals.extend(stuck.into_iter().map(Stuck::refusal));
    Ok(Plan {
        format: Plan::FORMAT,
        pipeline: options.pipeline.to_owned(),
        pin: options.pin.clone(),
        lineage,
        serial: state.serial,
        nonce: entropy.id("plan"),
        verb: options.verb,
        steps,
        refusals: planner.refusals,
        digest: String::new(),
    }
    .sealed())
}

pub(super) struct Planner<'a> {
    registry: &'a Registry,
    pub(super) reader: Reader<'a>,
    clock: &'a dyn Clock,
    state: &'a State,
    pub(super) options: &'a Options<'a>,
    pub(super) lineage: String,
    pub(super) drafts: Vec<Draft>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) errors: Vec<PlanError>,
    /// Outputs as they will be after the steps so far; what a step may change is left out.
    known: BTreeMap<Address, Value>,
}

/// Why nothing can be decided on an observation.
enum Obstacle {
    /// The object is somebody else's, by this mark.
    Foreign(String, MarkSeen),
    /// The kind can't read it. That is no proof of anything.
    Kind(CallError),
}

impl From<CallError> for Obstacle {
    fn from(error: CallError) -> Self {
        Obstacle::Kind(error)
    }
}

/// One object to look at.
pub(super) struct Look {
    pub(super) kind: Arc<dyn ErasedKind>,
    pub(super) target: ErasedTarget,
    /// Its physical name.
    pub(super) name: String,
}

impl Planner<'_> {
    async fn converge(&mut self, graph: &Graph) {
        for wave in graph.waves() {
            let looks: Vec<Option<Look>> = wave.iter().map(|r| self.look(r)).collect();
            let seen = self.observe_all(&looks).await;
            for ((resource, look), seen) in wave.into_iter().zip(looks).zip(seen) {
                let Some(look) = look else { continue };
                match seen {
                    Err(error) => {
                        self.errors
                            .push(PlanError::Observe { address: resource.address.clone(), error });
                    }
                    Ok(seen) => self.converge_one(resource, &look, seen).await,
                }
            }
        }
    }

    async fn observe_all(&self, looks: &[Option<Look>]) -> Vec<Result<Option<Value>, CallError>> {
        let reads: Vec<_> = looks.iter().map(|look| self.observe(look.as_ref())).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn observe(&self, look: Option<&Look>) -> Result<Option<Value>, CallError> {
        match look {
            Some(look) => self.reader.observe(&look.kind, &look.target).await,
            None => Ok(None),
        }
    }

    fn look(&mut self, resource: &Resource) -> Option<Look> {
        let Some(kind) = self.registry.get(&resource.kind) else {
            self.errors.push(PlanError::UnknownKind {
                address: resource.address.clone(),
                kind: resource.kind.clone(),
            });
            return None;
        };
        let props = resolve(&resource.props, &self.known);
        let name = kind.name(&props).unwrap_or_default();
        let object = self.incumbent(resource, &name).map(|(_, object)| object);
        let (was, pursuit) = object.map(remembered).unwrap_or_default();
        Some(Look { kind: Arc::clone(kind), target: ErasedTarget { props, was, pursuit }, name })
    }

    /// The recorded object that has the wanted name: the current one, or one that was deposed and is wanted again.
    fn incumbent(&self, resource: &Resource, name: &str) -> Option<(bool, &Object)> {
        let record = self.state.records.get(&resource.address)?;
        let is = |o: &&Object| o.name == name && o.kind == resource.kind;
        let current = record.current.as_ref().filter(is).map(|o| (false, o));
        current.or_else(|| record.deposed.iter().rev().find(is).map(|o| (true, o)))
    }

    async fn converge_one(&mut self, resource: &Resource, look: &Look, seen: Option<Value>) {
        let kind = look.kind.as_ref();
        let address = &resource.address;
        let record = self.state.records.get(address).cloned().unwrap_or_default();
        let incumbent = self.incumbent(resource, &look.name).map(|(d, o)| (d, o.clone()));
        let mut restores = incumbent.as_ref().is_some_and(|(deposed, _)| *deposed);
        let incumbent = incumbent.map(|(_, object)| object);
        // A current object of another name has to make way, now or last.
        let displaced = record
            .current
            .as_ref()
            .filter(|c| incumbent.as_ref().is_none_or(|i| i.generation != c.generation));
        let mut because = None;
        let mut deposes = None;
        let mut made_room = false;
        if let Some(old) = displaced {
            because = Some(format!("replaces `{}`", old.name));
            if kind.succession() == Succession::CreateFirst && old.kind == resource.kind {
                deposes = Some(old.generation);
                self.remove_object(address, old, Role::Remove).await;
            } else {
                made_room = self.remove_object(address, old, Role::MakeRoom).await;
            }
        }

        let mut case = ErasedCase {
            want: Some(look.target.props.clone()),
            seen,
            was: look.target.was.clone(),
            pursuit: look.target.pursuit.clone(),
            mark: self.mark(address),
        };
        let mut generation = incumbent.as_ref().map_or(record.newest() + 1, |o| o.generation);
        let adopt = self.adopts(address);
        let fit = adopt.map(|adopt| adopt.check(look, &case, displaced));
        if let Some(Err((because, help))) = fit {
            return self.refuse(address, because, &help);
        }
        // One that an earlier run began to take over is taken over still.
        let begun = incumbent.as_ref().and_then(|o| o.adoption.clone());
        let mark = case.seen.as_ref().and_then(|seen| kind.mark(seen).ok());
        let taken = |a: &Adoption| mark.as_ref().is_some_and(|mark| a.covers(mark));
        let mut adoption = begun.filter(taken);
        let mut decided = self.next(kind, &look.name, &case, adoption.as_ref());
        if let (Some(adopt), Err(Obstacle::Foreign(_, mark))) = (adopt, &decided)
            && let Some(wanted) = adopt.covering(mark)
        {
            // Whatever is recorded of that name was another object.
            (case.was, case.pursuit) = (None, None);
            decided = self.next(kind, &look.name, &case, Some(&wanted));
            adoption = Some(wanted);
        }
        let mut next = match decided {
            Ok(next) => next,
            Err(Obstacle::Foreign(problem, mark)) => {
                return self.refuse(address, problem, &help_with_foreign(address, Some(&mark)));
            }
            Err(Obstacle::Kind(error)) => return self.refuse(address, error.to_string(), ""),
        };
        if adoption.is_some() {
            match self.check_taken_over(&next, look).await {
                Ok(None) => {}
                Ok(Some((because, help))) => return self.refuse(address, because, &help),
                Err(error) => {
                    let address = address.clone();
                    self.errors.push(PlanError::Observe { address, error });
                    return;
                }
            }
        }
        if let Next::Failed { cause, .. } = &next {
            // An earlier attempt failed. It is told, and then tried again as if it had not been begun.
            because = Some(format!("the last attempt failed: {cause}"));
            case.pursuit = None;
            let target = ErasedTarget { pursuit: None, ..look.target.clone() };
            case.seen = match self.reader.observe(&look.kind, &target).await {
                Ok(seen) => seen,
                Err(error) => {
                    let address = address.clone();
                    self.errors.push(PlanError::Observe { address, error });
                    return;
                }
            };
            next = match kind.calls(&case) {
                Ok(next) => next,
                Err(error) => return self.refuse(address, error.to_string(), ""),
            };
        }
        if let Next::Calls(then) | Next::Wait { then, .. } = &next
            && then.first().is_some_and(|call| call.effect == Effect::Create)
            && incumbent.as_ref().is_some_and(Object::is_going)
        {
            // An earlier run began to delete it to make room. What comes after it is the object that was approved then.
            let because = "its deletion has begun".into();
            next = Next::Replace { because, effect: DataEffect::NONE };
        }
        if let Next::Replace { because: reason, effect } = next {
            let unused = record.newest() + 1;
            let old = incumbent.clone().unwrap_or_else(|| stand_in(resource, look, unused));
            let effect = Some(effect);
            let seen = case.seen.take();
            made_room = self.remove_seen(address, &old, seen, Role::MakeRoom, effect, None);
            because = Some(reason);
            // What was deposed and is deleted now can't become the current one again.
            restores = false;
            generation = record.newest().max(old.generation) + 1;
            case.was = None;
            case.pursuit = None;
            next = match kind.calls(&case) {
                Ok(next) => next,
                Err(error) => return self.refuse(address, error.to_string(), ""),
            };
        }

        let deps: Vec<Address> = dependencies(resource).into_iter().collect();
        let mut step = Step {
            address: address.clone(),
            generation,
            kind: resource.kind.clone(),
            stage: resource.stage.clone(),
            name: look.name.clone(),
            action: Action::NoOp,
            calls: Vec::new(),
            because,
            in_flight: None,
            after: Vec::new(),
            props: resource.props.clone(),
            deps,
            outputs: Value::Null,
            deposes,
            restores,
            forgets: false,
            keeps: false,
            adoption,
        };
        match next {
            Next::Converged(outputs) => {
                let known = incumbent.as_ref().is_some_and(|o| {
                    o.props == look.target.props
                        && o.outputs == outputs
                        && o.deps == step.deps
                        && o.stage == step.stage
                        && o.pending.is_none()
                });
                let settled = known && !restores && deposes.is_none();
                let action = if settled { Action::NoOp } else { Action::Record };
                step.action = action;
                self.known.insert(address.clone(), outputs.clone());
                step.outputs = outputs;
            }
            Next::Calls(calls) => {
                let exists = case.seen.is_some();
                step.action = if exists { Action::Update } else { Action::Create };
                let unchanged = incumbent
                    .as_ref()
                    .is_some_and(|o| o.was_ready() && o.props == look.target.props);
                if unchanged && step.because.is_none() && !made_room && case.pursuit.is_none() {
                    let gone = "it was deleted outside of this pipeline";
                    let changed = "it was changed outside of this pipeline";
                    step.because = Some(if exists { changed } else { gone }.into());
                }
                self.learn(address, incumbent.as_ref(), exists, &calls);
                step.calls = calls;
            }
            Next::Wait { condition, then } => {
                let making = case.pursuit.as_ref().is_some_and(|p| p.effect == Effect::Create);
                step.action = match (then.is_empty(), making) {
                    (_, true) => Action::Create,
                    (true, false) => Action::Wait,
                    (false, false) => Action::Update,
                };
                self.learn(address, incumbent.as_ref(), true, &then);
                step.calls = then;
                step.in_flight = Some(condition);
            }
            Next::Refuse { because, help } => return self.refuse(address, because, &help),
            Next::Failed { cause, help } => return self.refuse(address, cause, &help),
            Next::Replace { because, .. } => {
                return self.refuse(address, format!("it would be replaced again: {because}"), "");
            }
            Next::Gone | Next::Kept => {
                return self.refuse(address, "its kind reports it as gone though it is wanted", "");
            }
        }
        if let Some(adoption) = &step.adoption {
            step.action = Action::Update;
            step.because = Some(match &adoption.from {
                Some(lineage) => format!("it is taken over from lineage {lineage}"),
                None => "it is taken over: this pipeline did not create it".into(),
            });
        }
        self.drafts.push(Draft { step, role: Role::Converge });
        let spared: BTreeSet<u64> = incumbent.iter().map(|o| o.generation).chain(deposes).collect();
        for old in record.deposed.iter().filter(|o| !spared.contains(&o.generation)) {
            self.remove_object(address, old, Role::Remove).await;
        }
    }

    /// Why an object can't be taken over by what comes next for it, and what to do about that.
    async fn check_taken_over(
        &self,
        next: &ErasedNext,
        look: &Look,
    ) -> Result<Option<(String, String)>, CallError> {
        let name = &look.name;
        Ok(match next {
            Next::Replace { because, .. } => Some((
                format!("`{name}` can't be taken over: it would have to be replaced: {because}"),
                "declare it as it is, or give it another name".into(),
            )),
            Next::Failed { cause, help } => Some((
                format!("`{name}` can't be taken over: it has failed: {cause}"),
                help.clone(),
            )),
            Next::Converged(outputs) if !self.becomes_ours(look, outputs).await? => {
                Some((format!("`{name}` can't be taken over"), UNMARKABLE.into()))
            }
            _ => None,
        })
    }

    /// Records which outputs stay known while `calls` are made.
    fn learn(
        &mut self,
        address: &Address,
        incumbent: Option<&Object>,
        exists: bool,
        calls: &[ErasedProposed],
    ) {
        let recorded = incumbent.filter(|o| exists && o.was_ready()).map(|o| o.outputs.clone());
        let Some(mut outputs) = recorded else { return };
        if let Some(map) = outputs.as_object_mut() {
            for output in calls.iter().flat_map(|c| &c.may_change) {
                map.remove(output);
            }
        }
        self.known.insert(address.clone(), outputs);
    }

    pub(super) fn refuse(&mut self, address: &Address, because: impl Into<String>, help: &str) {
        // What is refused stays as it is: its dependents are planned against what it is, not against its absence.
        let current = self.state.records.get(address).and_then(|r| r.current.as_ref());
        if let Some(object) = current.filter(|o| o.was_ready()) {
            self.known.entry(address.clone()).or_insert_with(|| object.outputs.clone());
        }
        self.refusals.push(Refusal {
            address: address.clone(),
            because: because.into(),
            help: help.to_owned(),
        });
    }

    /// Whose the object is, then what comes next.
    fn next(
        &self,
        kind: &dyn ErasedKind,
        name: &str,
        case: &ErasedCase,
        adoption: Option<&Adoption>,
    ) -> Result<ErasedNext, Obstacle> {
        let mark = case.seen.as_ref().map(|seen| kind.mark(seen)).transpose()?;
        if in_window(kind, case.pursuit.as_ref(), mark.as_ref(), self.clock.wall()) {
            let blank = ErasedCase { seen: None, ..case.clone() };
            let then = match kind.calls(&blank) {
                Ok(Next::Calls(calls)) => calls,
                _ => Vec::new(),
            };
            let condition = Condition::new(
                "the created object to be visible",
                "not visible yet",
                Duration::from_secs(5),
            );
            return Ok(Next::Wait { condition, then });
        }
        if let Some(mark) = mark
            && let Some(problem) = foreign(&mark, &self.lineage, name, adoption)
        {
            return Err(Obstacle::Foreign(problem, mark));
        }
        Ok(kind.calls(case)?)
    }

    fn mark(&self, address: &Address) -> Mark {
        Mark {
            lineage: self.lineage.clone(),
            pipeline: self.options.pipeline.to_owned(),
            address: address.clone(),
        }
    }

    /// What a destroy deletes: the wanted stages, and everything that depends on them.
    fn doomed(&self) -> Vec<Address> {
        let records = &self.state.records;
        let wanted = |r: &Record| {
            self.options.stages.is_empty()
                || r.current
                    .iter()
                    .chain(&r.deposed)
                    .any(|o| self.options.stages.contains(&o.stage))
        };
        let mut users: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
        for (address, record) in records {
            for dep in record.current.iter().chain(&record.deposed).flat_map(|o| &o.deps) {
                users.entry(dep).or_default().push(address);
            }
        }
        let mut next: Vec<&Address> =
            records.iter().filter(|(_, r)| wanted(r)).map(|(a, _)| a).collect();
        let mut doomed: BTreeSet<&Address> = next.iter().copied().collect();
        while let Some(address) = next.pop() {
            let more = users.get(address).into_iter().flatten();
            next.extend(more.filter(|user| doomed.insert(user)));
        }
        doomed.into_iter().cloned().collect()
    }

    /// Plans the deletion of every object of these resources. With a graph, its present props decide how (`on_destroy`).
    async fn remove(&mut self, addresses: &[Address], graph: Option<&Graph>) {
        let state = self.state;
        let known = state.outputs();
        let (mut objects, mut looks) = (Vec::new(), Vec::new());
        for address in addresses {
            let Some(record) = state.records.get(address) else { continue };
            for object in record.current.iter().chain(&record.deposed) {
                let wish = graph
                    .and_then(|g| g.get(address.as_str()))
                    .filter(|r| r.kind == object.kind)
                    .map(|r| resolve(&r.props, &known))
                    .filter(|props| references(props).is_empty());
                if let Some((object, look)) = self.look_back(address, object, wish) {
                    objects.push((address, object));
                    looks.push(Some(look));
                }
            }
        }
        let seen = self.observe_all(&looks).await;
        let strangers: BTreeSet<&Address> = objects
            .iter()
            .zip(&seen)
            .filter(|((_, object), seen)| match self.mark_of(object, seen.as_ref().ok()) {
                Some(mark) => foreign(&mark, &self.lineage, &object.name, None).is_some(),
                None => false,
            })
            .map(|((address, _), _)| *address)
            .collect();
        for ((address, object), seen) in objects.into_iter().zip(seen) {
            match seen {
                Ok(seen) => {
                    // What is owned through its parent is ours only while the parent is.
                    let part = self.mark_of(&object, Some(&seen)) == Some(MarkSeen::ByParent);
                    let stranger = object.deps.iter().find(|d| part && strangers.contains(d));
                    self.remove_seen(address, &object, seen, Role::Remove, None, stranger);
                }
                Err(error) => {
                    self.errors.push(PlanError::Observe { address: address.clone(), error });
                }
            }
        }
    }

    /// The mark on a recorded object, if it exists and its kind can read it.
    fn mark_of(&self, object: &Object, seen: Option<&Option<Value>>) -> Option<MarkSeen> {
        let seen = seen?.as_ref()?;
        self.registry.get(&object.kind)?.mark(seen).ok()
    }

    /// A recorded object with the props that decide how it is deleted, and how to look at it.
    fn look_back(
        &mut self,
        address: &Address,
        object: &Object,
        wish: Option<Value>,
    ) -> Option<(Object, Look)> {
        let Some(kind) = self.registry.get(&object.kind).cloned() else {
            let (address, kind) = (address.clone(), object.kind.clone());
            self.errors.push(PlanError::UnknownKind { address, kind });
            return None;
        };
        let mut object = object.clone();
        if let Some(wish) = wish.filter(|w| kind.name(w).is_ok_and(|n| n == object.name)) {
            object.props = wish;
        }
        let (was, pursuit) = remembered(&object);
        let target = ErasedTarget { props: object.props.clone(), was, pursuit };
        let name = object.name.clone();
        Some((object, Look { kind, target, name }))
    }

    async fn remove_object(&mut self, address: &Address, object: &Object, role: Role) -> bool {
        let Some((object, look)) = self.look_back(address, object, None) else { return false };
        match self.reader.observe(&look.kind, &look.target).await {
            Ok(seen) => self.remove_seen(address, &object, seen, role, None, None),
            Err(error) => {
                self.errors.push(PlanError::Observe { address: address.clone(), error });
                false
            }
        }
    }

    /// Plans the deletion of an object that was looked at; `stranger` is the somebody else's object that it is a part of. False if
    /// nothing has to be deleted.
    fn remove_seen(
        &mut self,
        address: &Address,
        object: &Object,
        seen: Option<Value>,
        role: Role,
        effect: Option<DataEffect>,
        stranger: Option<&Address>,
    ) -> bool {
        let Some(kind) = self.registry.get(&object.kind) else { return false };
        let (was, pursuit) = remembered(object);
        let was = was.or_else(|| Some((object.props.clone(), Value::Null)));
        let mut case = ErasedCase { want: None, seen, was, pursuit, mark: self.mark(address) };
        let mut because = None;
        let decided = match stranger {
            Some(parent) => {
                let problem = format!("{parent}, which it is a part of, is not ours");
                Err(Obstacle::Foreign(problem, MarkSeen::ByParent))
            }
            None => self.next(kind.as_ref(), &object.name, &case, None),
        };
        let mut next = match decided {
            Ok(next) => next,
            // An object of that name which is not ours: ours does not exist (any more).
            Err(Obstacle::Foreign(problem, _)) => {
                because = Some(format!("it is forgotten, not deleted: {problem}"));
                Next::Gone
            }
            Err(Obstacle::Kind(error)) => {
                self.refuse(address, error.to_string(), "");
                return false;
            }
        };
        if let Next::Failed { .. } = next {
            case.pursuit = None;
            next = match kind.calls(&case) {
                Ok(next) => next,
                Err(error) => {
                    self.refuse(address, error.to_string(), "");
                    return false;
                }
            };
        }
        let mut step = Step {
            address: address.clone(),
            generation: object.generation,
            kind: object.kind.clone(),
            stage: object.stage.clone(),
            name: object.name.clone(),
            action: Action::Delete,
            calls: Vec::new(),
            because,
            in_flight: None,
            after: Vec::new(),
            props: object.props.clone(),
            deps: object.deps.clone(),
            outputs: Value::Null,
            deposes: None,
            restores: false,
            forgets: stranger.is_some(),
            keeps: false,
            adoption: None,
        };
        match next {
            Next::Gone | Next::Converged(_) => step.action = Action::Record,
            Next::Kept => {
                step.action = Action::Record;
                step.keeps = true;
            }
            Next::Calls(calls) => step.calls = calls,
            Next::Wait { condition, then } => {
                step.calls = then;
                step.in_flight = Some(condition);
            }
            Next::Refuse { because, help } | Next::Failed { cause: because, help } => {
                self.refuse(address, because, &help);
                return false;
            }
            Next::Replace { because, .. } => {
                self.refuse(address, because, "");
                return false;
            }
        }
        if let Some(effect) = effect
            && let Some(delete) = step.calls.iter_mut().rev().find(|c| c.effect == Effect::Delete)
            && delete.data.verdict < effect.verdict
        {
            delete.data = effect;
        }
        let any = !step.calls.is_empty() || step.in_flight.is_some();
        self.drafts.push(Draft { step, role });
        any
    }
}

/// What a kind is told of a recorded object.
fn remembered(object: &Object) -> (Option<(Value, Value)>, Option<Pursuit<Value>>) {
    let was = object.was_ready().then(|| (object.props.clone(), object.outputs.clone()));
    (was, object.pursuit())
}

/// An object that exists, is ours by its mark, and is missing in state.
fn stand_in(resource: &Resource, look: &Look, generation: u64) -> Object {
    Object {
        generation,
        kind: resource.kind.clone(),
        version: look.kind.version(),
        stage: resource.stage.clone(),
        name: look.name.clone(),
        props: look.target.props.clone(),
        outputs: Value::Null,
        deps: dependencies(resource).into_iter().collect(),
        pending: None,
        origin: None,
        adoption: None,
    }
}

/// Why an object with this mark is not ours; `adoption` is what makes it no hindrance.
pub(crate) fn foreign(
    mark: &MarkSeen,
    lineage: &str,
    name: &str,
    adoption: Option<&Adoption>,
) -> Option<String> {
    match mark {
        mark if adoption.is_some_and(|a| a.covers(mark)) => None,
        MarkSeen::Lineage { lineage: found, pipeline } if found != lineage => Some(format!(
            "`{name}` exists and belongs to another state (pipeline `{pipeline}`, lineage {found})"
        )),
        MarkSeen::Absent => Some(format!("`{name}` exists and this pipeline did not create it")),
        _ => None,
    }
}
