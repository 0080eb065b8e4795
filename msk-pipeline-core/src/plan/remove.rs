//! Away from what is recorded: the steps that delete.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::decide::{Look, Obstacle, Planner, foreign, remembered};
use super::order::{Draft, Role};
use super::step::{Action, PlanError, Step};
use crate::address::Address;
use crate::graph::Graph;
use crate::kind::{
    DataEffect, Effect, ErasedCase, ErasedTarget, MarkSeen, Next, references, resolve,
};
use crate::state::{Object, Record};

impl Planner<'_> {
    /// What a destroy deletes: the wanted stages, and everything that depends on them.
    pub(super) fn doomed(&self) -> Vec<Address> {
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
    pub(super) async fn remove(&mut self, addresses: &[Address], graph: Option<&Graph>) {
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

    pub(super) async fn remove_object(
        &mut self,
        address: &Address,
        object: &Object,
        role: Role,
    ) -> bool {
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
    pub(super) fn remove_seen(
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
