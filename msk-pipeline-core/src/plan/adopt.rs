//! Taking over an object that is not ours: what may be taken, and the part of a plan that does it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::decide::{Look, Planner, foreign};
use super::order::{Draft, Role};
use super::step::{Action, PlanError};
use crate::address::Address;
use crate::graph::{Graph, dependencies};
use crate::kind::{CallError, ErasedCase, ErasedTarget, MarkSeen, references};
use crate::state::{Adoption, Object};

/// Which object is to be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// The resource that it is to be. The object is the one with the physical name that the declaration gives this resource.
    pub address: Address,
    /// The name or an identifier of the object as its owner knows it; refused unless it is that of the very object.
    pub id: Option<String>,
    /// The lineage whose mark the object carries. Without it only an object without a mark is taken.
    pub from_lineage: Option<String>,
}

/// A reason and what to do about it.
type No = (String, String);

impl Adopt {
    /// Whether what was observed at the address is what is to be taken over.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    pub(super) fn check(
        &self,
        look: &Look,
        case: &ErasedCase,
        displaced: Option<&Object>,
    ) -> Result<(), No> {
        let address = &self.address;
        let name = &look.name;
        let no = |because: String, help: String| Err((because, help));
        if let Some(old) = displaced {
            return no(
                format!("`{}` is recorded there, and the declaration names `{name}`", old.name),
                format!("forget it with `state rm {address}`, or let `apply` replace it"),
            );
        }
        if let Some(missing) = references(&look.target.props).first() {
            let needed = &missing.address;
            return no(
                format!("it needs {needed}, which is not ready"),
                format!("adopt {needed}, or apply, first"),
            );
        }
        let told = |error: CallError| (error.to_string(), String::new());
        let seen = case.seen.as_ref();
        let Some(seen) = seen.filter(|s| !matches!(look.kind.status(s), Ok(None))) else {
            return no(
                format!("there is no `{name}`, which is what {address} is named"),
                "what does not exist is made by `apply`; what has another name can't be taken over, but declared with `existing` where the section has that key".into(),
            );
        };
        let ids = look.kind.ids(seen).map_err(told)?;
        if let Some(id) = self.id.as_ref().filter(|id| *id != name && !ids.contains(id)) {
            let known = ids.iter().filter(|id| !id.is_empty()).map(|id| format!(", {id}"));
            return no(
                format!("{address} is `{name}`{}, not `{id}`", known.collect::<String>()),
                "names follow from the pipeline's name and the address; declare another object with `existing` where the section has that key".into(),
            );
        }
        let mark = look.kind.mark(seen).map_err(told)?;
        let found = match &mark {
            MarkSeen::Lineage { lineage, .. } => Some(lineage),
            _ => None,
        };
        match &self.from_lineage {
            // Ours already: an earlier attempt came so far.
            Some(from) if found != Some(from) && found != Some(&case.mark.lineage) => no(
                match found {
                    Some(found) => {
                        format!("`{name}` carries the mark of lineage {found}, not {from}")
                    }
                    None => format!("`{name}` carries no mark, and so not that of lineage {from}"),
                },
                "look whose it is, and name exactly that".into(),
            ),
            _ => Ok(()),
        }
    }

    /// How an object with this mark is taken over; `None` if that is not what was asked for.
    pub(super) fn covering(&self, mark: &MarkSeen) -> Option<Adoption> {
        Some(Adoption { from: self.from_lineage.clone() }).filter(|a| a.covers(mark))
    }
}

/// Why an object that is as wanted can't be taken over.
pub(crate) const UNMARKABLE: &str = "its kind can't put the mark on an object that exists: give it another name, or declare it with `existing`";

/// What to do about somebody else's object.
pub(crate) fn help_with_foreign(address: &Address, mark: Option<&MarkSeen>) -> String {
    let from = match mark {
        Some(MarkSeen::Lineage { lineage, .. }) => format!(" --from-lineage {lineage}"),
        _ => String::new(),
    };
    format!(
        "take it over with `adopt {address}{from}`, give it another name, remove that object, or declare it with `existing`"
    )
}

impl Planner<'_> {
    /// What is to be taken over, if this is where.
    pub(super) fn adopts(&self, address: &Address) -> Option<&Adopt> {
        self.options.adopt.filter(|adopt| adopt.address == *address)
    }

    /// Whether an object that is as wanted would be ours once it is recorded. A part, which its kind can't mark, is; other objects are
    /// by their mark alone.
    pub(super) async fn becomes_ours(
        &self,
        look: &Look,
        outputs: &Value,
    ) -> Result<bool, CallError> {
        let was = Some((look.target.props.clone(), outputs.clone()));
        let target = ErasedTarget { was, pursuit: None, ..look.target.clone() };
        let seen = self.reader.observe(&look.kind, &target).await?;
        let mark = seen.map(|seen| look.kind.mark(&seen)).transpose()?;
        Ok(mark.is_none_or(|mark| foreign(&mark, &self.lineage, &look.name, None).is_none()))
    }

    /// Leaves of the plan what takes one object over: its own step, and the notes of what it needs that are not in state yet.
    pub(super) fn narrow(&mut self, graph: &Graph, adopt: &Adopt) {
        if graph.get(adopt.address.as_str()).is_none() {
            let help = "list addresses with `graph`";
            self.refuse(&adopt.address, "nothing of that address is declared", help);
        }
        let mut needed = BTreeSet::from([adopt.address.clone()]);
        let mut next = vec![adopt.address.clone()];
        while let Some(address) = next.pop() {
            let deps = graph.get(address.as_str()).map(dependencies).unwrap_or_default();
            next.extend(deps.into_iter().filter(|dep| needed.insert(dep.clone())));
        }
        let own = |address: &Address| *address == adopt.address;
        let made = |d: &Draft| own(&d.step.address) && d.step.action == Action::Create;
        if self.drafts.iter().any(made) {
            let help = "let `apply` finish that";
            self.refuse(
                &adopt.address,
                "it is being made by an earlier run of this pipeline",
                help,
            );
        }
        self.drafts.retain(|d| {
            d.role == Role::Converge
                && (own(&d.step.address)
                    || d.step.action == Action::Record && needed.contains(&d.step.address))
        });
        self.refusals.retain(|refusal| own(&refusal.address));
        let observed = |e: &PlanError| match e {
            PlanError::Observe { address, .. } | PlanError::UnknownKind { address, .. } => {
                needed.contains(address)
            }
        };
        self.errors.retain(observed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use crate::entropy::Entropy;
    use crate::graph::Resource;
    use crate::kind::{Case, Effect, Guard, Kind, Mark, Next, Proposed, Registry, Sent, Target};
    use crate::run::{ApplyOptions, AutoApprove, Cancel, Engine, NoEvents, RunError, RunSummary};
    use crate::state::{MemoryStore, Pin};
    use crate::{RealClock, Timestamp};

    /// A sign on somebody else's door: its text, and the lineage on it.
    #[derive(Default, Clone)]
    struct Door(Arc<Mutex<(String, Option<String>)>>);

    /// `paints` sets the text, and with `marks` the mark, too.
    #[derive(Clone)]
    struct Sign {
        door: Door,
        paints: bool,
        marks: bool,
    }

    #[async_trait]
    impl Kind for Sign {
        const TYPE: &'static str = "sign";
        type Props = String;
        type Seen = (String, Option<String>);
        type Outputs = String;
        type Call = String;

        fn name(_: &String) -> String {
            "door".into()
        }
        async fn observe(&self, _: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
            Ok(Some(self.door.0.lock().unwrap().clone()))
        }
        fn mark(seen: &Self::Seen) -> MarkSeen {
            let lineage = seen.1.clone();
            let pipeline = String::new();
            lineage.map_or(MarkSeen::Absent, |lineage| MarkSeen::Lineage { lineage, pipeline })
        }
        fn calls(&self, case: &Case<Self>) -> Next<String, String> {
            let (Some(want), Some((text, lineage))) = (&case.want, &case.seen) else {
                return Next::Gone;
            };
            let Mark { lineage: ours, .. } = &case.mark;
            if text == want && !(self.marks && lineage.as_ref() != Some(ours)) || !self.paints {
                return Next::Converged(text.clone());
            }
            let call = format!("{want} {ours}");
            Next::Calls(vec![Proposed::new("paint", Effect::Update, call)])
        }
        async fn perform(&self, call: &String, _: &Guard) -> Result<Sent, CallError> {
            let (text, lineage) = call.split_once(' ').unwrap();
            let mut door = self.door.0.lock().unwrap();
            door.0 = text.to_owned();
            if self.marks {
                door.1 = Some(lineage.to_owned());
            }
            Ok(Sent::default())
        }
    }

    async fn adopted(sign: Sign) -> (Result<RunSummary, RunError>, Option<Object>) {
        let registry = Registry::default().with(sign);
        let resource = Resource {
            address: "door".into(),
            kind: "sign".into(),
            stage: "all".into(),
            props: json!("welcome"),
            needs: Vec::new(),
        };
        let graph = Graph::build(vec![resource], &registry).unwrap();
        let engine = Engine {
            registry,
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(RealClock::starting_at(Timestamp(0))),
            entropy: Arc::new(Entropy::seeded(1)),
            events: Arc::new(NoEvents),
            pipeline: "p".into(),
            pin: Pin::default(),
            who: "test".into(),
        };
        let adopt = Some(Adopt { address: "door".into(), id: None, from_lineage: None });
        let options = ApplyOptions { adopt, ..ApplyOptions::default() };
        let outcome = engine.apply(&graph, options, &AutoApprove, &Cancel::never()).await;
        let mut records = engine.state().await.unwrap().records;
        (outcome, records.remove("door").and_then(|r| r.current))
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_no_mark_is_refused_by_the_plan_or_else_by_the_step() {
        let door = Door::default();
        let sign = Sign { door: door.clone(), paints: false, marks: false };
        let (outcome, object) = adopted(sign.clone()).await;
        let refused = matches!(&outcome, Err(RunError::Refused(r)) if r[0].help == UNMARKABLE);
        assert!(refused && object.is_none(), "{outcome:?}");

        // What it comes to shows only once it was painted.
        let (outcome, object) = adopted(Sign { paints: true, ..sign.clone() }).await;
        assert_eq!(outcome.unwrap().failed, ["door".into()]);
        assert!(!object.unwrap().was_ready());
        assert_eq!(*door.0.lock().unwrap(), ("welcome".into(), None));

        let (outcome, object) = adopted(Sign { paints: true, marks: true, ..sign }).await;
        assert_eq!(outcome.unwrap().adopted, 1);
        assert!(object.unwrap().was_ready());
    }
}
