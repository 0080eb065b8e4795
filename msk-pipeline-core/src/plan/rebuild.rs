//! State made again from nothing but the marks on the objects that the spec names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decide::foreign;
use super::observe::{READS, Reader};
use super::step::PlanError;
use crate::address::Address;
use crate::clock::Clock;
use crate::graph::{Graph, Resource, dependencies};
use crate::kind::{
    CallError, ErasedCase, ErasedKind, ErasedTarget, Mark, MarkSeen, Next, Registry, references,
    resolve,
};
use crate::state::{Object, Pin, Record, State};

/// What the marks tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebuilt {
    /// Every lineage that marks an object of this pipeline. State can be made if it is one.
    pub lineages: BTreeSet<String>,
    /// What was found for each resource, dependencies first.
    pub traced: Vec<Traced>,
    /// The state that follows; without a lineage where `lineages` is not one.
    pub state: State,
}

/// What was found for a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traced {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// Its physical name.
    pub name: String,
    /// What is there.
    #[serde(flatten)]
    pub claim: Claim,
}

/// Whose an object is that the spec names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Claim {
    /// It carries a mark of this pipeline.
    Ours {
        /// The lineage.
        lineage: String,
        /// False if it is not as declared, or not ready: the next plan says how.
        as_declared: bool,
    },
    /// It carries no mark of its own: it is a part of what is ours, or only read.
    Part {
        /// False if it is not as declared: the next plan says how.
        as_declared: bool,
    },
    /// It is somebody else's.
    Foreign {
        /// Whose.
        whose: String,
    },
    /// There is none.
    Missing,
    /// It can't be known, because it needs this, which is not as declared.
    Unknown {
        /// What it needs.
        needs: Address,
    },
}

impl Claim {
    fn is_recorded(&self) -> bool {
        matches!(self, Claim::Ours { .. } | Claim::Part { .. })
    }
}

/// Looks at every object that `graph` names, as if nothing were recorded, and makes the state that the marks prove.
///
/// # Guarantees
/// Reads only. What is not ours by a mark, or a part of something that is, is not in the state.
///
/// # Caveats
/// Objects that the spec does not name any more, and objects that were replaced and not yet deleted, are not found. A topic on a
/// cluster of ours counts as ours if it has the declared name. An object that is not as declared is recorded as never ready.
///
/// # Errors
/// Every object that could not be looked at.
pub async fn rebuild(
    registry: &Registry,
    clock: &dyn Clock,
    graph: &Graph,
    pipeline: &str,
    pin: &Pin,
) -> Result<Rebuilt, Vec<PlanError>> {
    let mut tracer = Tracer {
        registry,
        reader: Reader { clock, requests: None },
        pipeline,
        known: BTreeMap::new(),
        claims: BTreeMap::new(),
    };
    let (mut traced, mut errors, mut records) = (Vec::new(), Vec::new(), BTreeMap::new());
    for wave in graph.waves() {
        let looks: Vec<_> = wave.into_iter().map(|resource| tracer.trace(resource)).collect();
        let found: Vec<_> = stream::iter(looks).buffered(READS).collect().await;
        for found in found {
            match found {
                Err(error) => errors.push(error),
                Ok(Trace { traced: found, object }) => {
                    let address = found.address.clone();
                    if let Some(object) = object.filter(|_| found.claim.is_recorded()) {
                        if object.was_ready() {
                            tracer.known.insert(address.clone(), object.outputs.clone());
                        }
                        let record = Record { current: Some(object), ..Record::default() };
                        records.insert(address.clone(), record);
                    }
                    tracer.claims.insert(address, found.claim.clone());
                    traced.push(found);
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let lineage = |t: &Traced| match &t.claim {
        Claim::Ours { lineage, .. } => Some(lineage.clone()),
        _ => None,
    };
    let lineages: BTreeSet<String> = traced.iter().filter_map(lineage).collect();
    let state = match lineages.first() {
        Some(lineage) if lineages.len() == 1 => State {
            format: State::FORMAT,
            lineage: lineage.clone(),
            pipeline: pipeline.to_owned(),
            pin: pin.clone(),
            serial: 1,
            records,
            ..State::default()
        },
        _ => State::default(),
    };
    Ok(Rebuilt { lineages, traced, state })
}

struct Tracer<'a> {
    registry: &'a Registry,
    reader: Reader<'a>,
    pipeline: &'a str,
    /// Outputs of what is as declared.
    known: BTreeMap<Address, Value>,
    claims: BTreeMap<Address, Claim>,
}

struct Trace {
    traced: Traced,
    object: Option<Object>,
}

impl Tracer<'_> {
    async fn trace(&self, resource: &Resource) -> Result<Trace, PlanError> {
        let address = resource.address.clone();
        let Some(kind) = self.registry.get(&resource.kind) else {
            return Err(PlanError::UnknownKind { address, kind: resource.kind.clone() });
        };
        let failed = |error| PlanError::Observe { address: address.clone(), error };
        let props = resolve(&resource.props, &self.known);
        let name = kind.name(&props).map_err(failed)?;
        let (claim, outputs) = self.claim(resource, kind, &props, &name).await.map_err(failed)?;
        let object = Object {
            generation: 1,
            kind: resource.kind.clone(),
            version: kind.version(),
            stage: resource.stage.clone(),
            name: name.clone(),
            props,
            outputs: outputs.unwrap_or_default(),
            deps: dependencies(resource).into_iter().collect(),
            pending: None,
            origin: None,
            adoption: None,
        };
        let traced = Traced { address, kind: resource.kind.clone(), name, claim };
        Ok(Trace { traced, object: Some(object) })
    }

    async fn claim(
        &self,
        resource: &Resource,
        kind: &Arc<dyn ErasedKind>,
        props: &Value,
        name: &str,
    ) -> Result<(Claim, Option<Value>), CallError> {
        let target = ErasedTarget { props: props.clone(), was: None, pursuit: None };
        let seen = self.reader.observe(kind, &target).await?;
        let exists = match &seen {
            Some(seen) => kind.status(seen)?.is_some(),
            None => false,
        };
        if !exists {
            let needs = references(props).into_iter().next().map(|r| r.address);
            return Ok((needs.map_or(Claim::Missing, |needs| Claim::Unknown { needs }), None));
        }
        let mark = seen.as_ref().map(|seen| kind.mark(seen)).transpose()?;
        // Each object is compared with what its own lineage would want of it: only in the end is it clear that it is one.
        let lineage = match &mark {
            Some(MarkSeen::Lineage { lineage, pipeline }) if pipeline == self.pipeline => {
                lineage.clone()
            }
            _ => String::new(),
        };
        let case = ErasedCase {
            want: Some(props.clone()),
            seen,
            was: None,
            pursuit: None,
            mark: Mark {
                lineage: lineage.clone(),
                pipeline: self.pipeline.to_owned(),
                address: resource.address.clone(),
            },
        };
        let outputs = match kind.calls(&case)? {
            Next::Converged(outputs) => Some(outputs),
            _ => None,
        };
        let as_declared = outputs.is_some();
        let whose = mark.as_ref().and_then(|mark| foreign(mark, &lineage, name, None));
        let parents = || references(&resource.props).into_iter().map(|r| r.address);
        let claim = match (mark, whose) {
            (Some(MarkSeen::Lineage { .. }), None) => Claim::Ours { lineage, as_declared },
            (Some(MarkSeen::Absent), Some(whose)) => {
                let was = Some((props.clone(), outputs.clone().unwrap_or_default()));
                let recorded = self.reader.observe(kind, &ErasedTarget { was, ..target }).await?;
                let mark = recorded.map(|seen| kind.mark(&seen)).transpose()?;
                let ours = |a| matches!(self.claims.get(&a), Some(Claim::Ours { .. }));
                if mark == Some(MarkSeen::ByParent) && parents().all(ours) {
                    Claim::Part { as_declared }
                } else {
                    Claim::Foreign { whose }
                }
            }
            (Some(MarkSeen::ByParent), _) => {
                let strange =
                    |a: &Address| matches!(self.claims.get(a), Some(Claim::Foreign { .. }));
                match parents().find(strange) {
                    Some(parent) => Claim::Foreign {
                        whose: format!("{parent}, which it is a part of, is not ours"),
                    },
                    None => Claim::Part { as_declared },
                }
            }
            (_, Some(whose)) => Claim::Foreign { whose },
            (_, None) => Claim::Part { as_declared },
        };
        Ok((claim, outputs))
    }
}
