//! Towards what is declared: the step of each resource of the graph.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::adopt::{UNMARKABLE, help_with_foreign};
use super::decide::{Look, Obstacle, Planner, remembered};
use super::order::{Draft, Role};
use super::step::{Action, PlanError, Step};
use crate::address::Address;
use crate::graph::{Graph, Resource, dependencies};
use crate::kind::{
    CallError, DataEffect, Effect, ErasedCase, ErasedNext, ErasedProposed, ErasedTarget, Next,
    Succession, resolve,
};
use crate::state::{Adoption, Object, Record};

/// Why a resource gets no step.
enum Halt {
    /// What is declared can't be had, and what to do about it.
    Refuse(String, String),
    /// It could not be looked at.
    Unseen(CallError),
}

impl From<CallError> for Halt {
    /// What a kind can't decide is refused in its words.
    fn from(error: CallError) -> Self {
        Halt::Refuse(error.to_string(), String::new())
    }
}

/// A resource on the way to its step.
struct Course<'a> {
    resource: &'a Resource,
    look: &'a Look,
    record: Record,
    /// The recorded object that has the wanted name.
    incumbent: Option<Object>,
    /// The incumbent was deposed, and becomes the current one again.
    restores: bool,
    /// The generation that the new one takes the place of while it still exists.
    deposes: Option<u64>,
    /// Something is deleted first, to make room.
    made_room: bool,
    because: Option<String>,
    generation: u64,
    case: ErasedCase,
    adoption: Option<Adoption>,
}

impl Course<'_> {
    /// The current object, if it has another name than the wanted one: it has to make way, now or last.
    fn displaced(&self) -> Option<Object> {
        let incumbent = self.incumbent.as_ref().map(|object| object.generation);
        self.record.current.clone().filter(|current| incumbent != Some(current.generation))
    }

    /// The step, without what it does.
    fn step(&self) -> Step {
        let Self { resource, look, .. } = self;
        Step {
            address: resource.address.clone(),
            generation: self.generation,
            kind: resource.kind.clone(),
            stage: resource.stage.clone(),
            name: look.name.clone(),
            action: Action::NoOp,
            calls: Vec::new(),
            because: self.because.clone(),
            in_flight: None,
            after: Vec::new(),
            props: resource.props.clone(),
            deps: dependencies(resource).into_iter().collect(),
            outputs: Value::Null,
            deposes: self.deposes,
            restores: self.restores,
            forgets: false,
            keeps: false,
            adoption: self.adoption.clone(),
        }
    }

    /// Whether state says of the incumbent what the step would record.
    fn is_recorded(&self, step: &Step, outputs: &Value) -> bool {
        let same = |object: &Object| {
            object.props == self.look.target.props
                && object.outputs == *outputs
                && object.deps == step.deps
                && object.stage == step.stage
                && object.pending.is_none()
        };
        self.incumbent.as_ref().is_some_and(same) && !self.restores && self.deposes.is_none()
    }

    /// Why there is something to do though nothing was edited.
    fn drift(&self, exists: bool) -> Option<String> {
        let unchanged = |o: &Object| o.was_ready() && o.props == self.look.target.props;
        let settled = self.because.is_none() && !self.made_room && self.case.pursuit.is_none();
        let drifted = settled && self.incumbent.as_ref().is_some_and(unchanged);
        drifted.then(|| {
            let gone = "it was deleted outside of this pipeline";
            let changed = "it was changed outside of this pipeline";
            if exists { changed } else { gone }.into()
        })
    }
}

impl Planner<'_> {
    /// Plans what leads from what is there to the graph.
    pub(super) async fn converge(&mut self, graph: &Graph) {
        for wave in graph.waves() {
            let looks: Vec<Option<Look>> = wave.iter().map(|r| self.look(r)).collect();
            let seen = self.observe_all(&looks).await;
            for ((resource, look), seen) in wave.into_iter().zip(looks).zip(seen) {
                let Some(look) = look else { continue };
                let halt = match seen {
                    Err(error) => Some(Halt::Unseen(error)),
                    Ok(seen) => self.converge_one(resource, &look, seen).await.err(),
                };
                let address = resource.address.clone();
                match halt {
                    None => {}
                    Some(Halt::Refuse(because, help)) => self.refuse(&address, because, &help),
                    Some(Halt::Unseen(error)) => {
                        self.errors.push(PlanError::Observe { address, error });
                    }
                }
            }
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

    async fn converge_one(
        &mut self,
        resource: &Resource,
        look: &Look,
        seen: Option<Value>,
    ) -> Result<(), Halt> {
        let mut course = self.course(resource, look, seen);
        let displaced = course.displaced();
        if let Some(old) = &displaced {
            self.displace(&mut course, old).await;
        }
        let next = self.decide(&mut course, displaced.as_ref()).await?;
        let next = self.tried_again(&mut course, next).await?;
        let next = self.replaced(&mut course, next)?;
        let step = self.conclude(&course, next)?;
        self.drafts.push(Draft { step, role: Role::Converge });
        let incumbent = course.incumbent.iter().map(|o| o.generation);
        let spared: BTreeSet<u64> = incumbent.chain(course.deposes).collect();
        for old in course.record.deposed.iter().filter(|o| !spared.contains(&o.generation)) {
            self.remove_object(&resource.address, old, Role::Remove).await;
        }
        Ok(())
    }

    fn course<'a>(
        &self,
        resource: &'a Resource,
        look: &'a Look,
        seen: Option<Value>,
    ) -> Course<'a> {
        let record = self.state.records.get(&resource.address).cloned().unwrap_or_default();
        let incumbent = self.incumbent(resource, &look.name);
        let restores = incumbent.is_some_and(|(deposed, _)| deposed);
        let incumbent = incumbent.map(|(_, object)| object.clone());
        Course {
            resource,
            look,
            restores,
            deposes: None,
            made_room: false,
            because: None,
            generation: incumbent.as_ref().map_or(record.newest() + 1, |o| o.generation),
            case: ErasedCase {
                want: Some(look.target.props.clone()),
                seen,
                was: look.target.was.clone(),
                pursuit: look.target.pursuit.clone(),
                mark: self.mark(&resource.address),
            },
            adoption: None,
            record,
            incumbent,
        }
    }

    async fn displace(&mut self, course: &mut Course<'_>, old: &Object) {
        let (resource, kind) = (course.resource, &course.look.kind);
        course.because = Some(format!("replaces `{}`", old.name));
        if kind.succession() == Succession::CreateFirst && old.kind == resource.kind {
            course.deposes = Some(old.generation);
            self.remove_object(&resource.address, old, Role::Remove).await;
        } else {
            course.made_room = self.remove_object(&resource.address, old, Role::MakeRoom).await;
        }
    }

    /// Whose the object is, whether it is taken over, and what comes next for it.
    async fn decide(
        &self,
        course: &mut Course<'_>,
        displaced: Option<&Object>,
    ) -> Result<ErasedNext, Halt> {
        let Course { look, case, .. } = course;
        let (kind, address) = (look.kind.as_ref(), &course.resource.address);
        let adopt = self.adopts(address);
        if let Some(adopt) = adopt {
            let refused = |(because, help)| Halt::Refuse(because, help);
            adopt.check(look, case, displaced).map_err(refused)?;
        }
        // One that an earlier run began to take over is taken over still.
        let begun = course.incumbent.as_ref().and_then(|o| o.adoption.clone());
        let mark = case.seen.as_ref().and_then(|seen| kind.mark(seen).ok());
        let taken = |a: &Adoption| mark.as_ref().is_some_and(|mark| a.covers(mark));
        course.adoption = begun.filter(taken);
        let mut decided = self.next(kind, &look.name, case, course.adoption.as_ref());
        if let (Some(adopt), Err(Obstacle::Foreign(_, mark))) = (adopt, &decided)
            && let Some(wanted) = adopt.covering(mark)
        {
            // Whatever is recorded of that name was another object.
            (case.was, case.pursuit) = (None, None);
            decided = self.next(kind, &look.name, case, Some(&wanted));
            course.adoption = Some(wanted);
        }
        let next = decided.map_err(|obstacle| match obstacle {
            Obstacle::Foreign(problem, mark) => {
                Halt::Refuse(problem, help_with_foreign(address, Some(&mark)))
            }
            Obstacle::Kind(error) => error.into(),
        })?;
        if course.adoption.is_some() {
            self.check_taken_over(&next, look).await?;
        }
        Ok(next)
    }

    /// Refuses what can't be taken over by what comes next for it.
    async fn check_taken_over(&self, next: &ErasedNext, look: &Look) -> Result<(), Halt> {
        let name = &look.name;
        let no = |why: String, help: &str| {
            Err(Halt::Refuse(format!("`{name}` can't be taken over{why}"), help.to_owned()))
        };
        match next {
            Next::Replace { because, .. } => no(
                format!(": it would have to be replaced: {because}"),
                "declare it as it is, or give it another name",
            ),
            Next::Failed { cause, help } => no(format!(": it has failed: {cause}"), help),
            Next::Converged(outputs) => {
                if self.becomes_ours(look, outputs).await.map_err(Halt::Unseen)? {
                    Ok(())
                } else {
                    no(String::new(), UNMARKABLE)
                }
            }
            _ => Ok(()),
        }
    }

    /// An earlier attempt that failed is told, and then tried again as if it had not been begun.
    async fn tried_again(
        &self,
        course: &mut Course<'_>,
        next: ErasedNext,
    ) -> Result<ErasedNext, Halt> {
        let Next::Failed { cause, .. } = &next else { return Ok(next) };
        let Course { look, case, .. } = course;
        course.because = Some(format!("the last attempt failed: {cause}"));
        case.pursuit = None;
        let target = ErasedTarget { pursuit: None, ..look.target.clone() };
        let seen = self.reader.observe(&look.kind, &target).await;
        case.seen = seen.map_err(Halt::Unseen)?;
        Ok(look.kind.calls(case)?)
    }

    /// What can't be changed in place is deleted, and made anew under the next generation.
    fn replaced(
        &mut self,
        course: &mut Course<'_>,
        mut next: ErasedNext,
    ) -> Result<ErasedNext, Halt> {
        if let Next::Calls(then) | Next::Wait { then, .. } = &next
            && then.first().is_some_and(|call| call.effect == Effect::Create)
            && course.incumbent.as_ref().is_some_and(Object::is_going)
        {
            // An earlier run began to delete it to make room. What comes after it is the object that was approved then.
            let because = "its deletion has begun".into();
            next = Next::Replace { because, effect: DataEffect::NONE };
        }
        let Next::Replace { because, effect } = next else { return Ok(next) };
        let Course { resource, look, record, case, .. } = course;
        let unused = record.newest() + 1;
        let recorded = course.incumbent.clone();
        let old = recorded.unwrap_or_else(|| stand_in(resource, look, unused));
        let seen = case.seen.take();
        let (address, effect) = (&resource.address, Some(effect));
        course.made_room = self.remove_seen(address, &old, seen, Role::MakeRoom, effect, None);
        course.because = Some(because);
        // What was deposed and is deleted now can't become the current one again.
        course.restores = false;
        course.generation = record.newest().max(old.generation) + 1;
        (case.was, case.pursuit) = (None, None);
        Ok(look.kind.calls(case)?)
    }

    /// The step that carries out what comes next, and what of its outputs is known from here on.
    fn conclude(&mut self, course: &Course<'_>, next: ErasedNext) -> Result<Step, Halt> {
        let (address, case) = (&course.resource.address, &course.case);
        let (incumbent, mut step) = (course.incumbent.as_ref(), course.step());
        match next {
            Next::Converged(outputs) => {
                let recorded = course.is_recorded(&step, &outputs);
                step.action = if recorded { Action::NoOp } else { Action::Record };
                self.known.insert(address.clone(), outputs.clone());
                step.outputs = outputs;
            }
            Next::Calls(calls) => {
                let exists = case.seen.is_some();
                step.action = if exists { Action::Update } else { Action::Create };
                step.because = step.because.or_else(|| course.drift(exists));
                self.learn(address, incumbent, exists, &calls);
                step.calls = calls;
            }
            Next::Wait { condition, then } => {
                let making = case.pursuit.as_ref().is_some_and(|p| p.effect == Effect::Create);
                step.action = match (then.is_empty(), making) {
                    (_, true) => Action::Create,
                    (true, false) => Action::Wait,
                    (false, false) => Action::Update,
                };
                self.learn(address, incumbent, true, &then);
                step.calls = then;
                step.in_flight = Some(condition);
            }
            Next::Refuse { because, help } | Next::Failed { cause: because, help } => {
                return Err(Halt::Refuse(because, help));
            }
            Next::Replace { because, .. } => {
                let again = format!("it would be replaced again: {because}");
                return Err(Halt::Refuse(again, String::new()));
            }
            Next::Gone | Next::Kept => {
                let gone = "its kind reports it as gone though it is wanted";
                return Err(Halt::Refuse(gone.into(), String::new()));
            }
        }
        if let Some(adoption) = &step.adoption {
            step.action = Action::Update;
            step.because = Some(match &adoption.from {
                Some(lineage) => format!("it is taken over from lineage {lineage}"),
                None => "it is taken over: this pipeline did not create it".into(),
            });
        }
        Ok(step)
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
