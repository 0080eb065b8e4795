//! The extension promise, executable: a kind and a stage of one's own, defined outside of the project's crates, go through plan, apply and
//! destroy. Nothing but the engine is used.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use msk_pipeline::graph::{Graph, Resource};
use msk_pipeline::kind::{
    CallError, Case, Change, Effect, Guard, Input, Kind, Mark, MarkSeen, Next, Proposed, Registry,
    Sent, Target,
};
use msk_pipeline::plan::{Action, Verb};
use msk_pipeline::run::{ApplyOptions, AutoApprove, Cancel, Engine, NoEvents};
use msk_pipeline::state::{MemoryStore, Pin};
use msk_pipeline::{Entropy, RealClock};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A notice board: the cloud of this test.
type Board = Arc<Mutex<BTreeMap<String, Note>>>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    tags: BTreeMap<String, String>,
}

struct NoteKind(Board);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Props {
    name: String,
    text: Input<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outputs {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Call {
    Put { name: String, text: Input<String>, tags: BTreeMap<String, String> },
    Remove { name: String },
}

#[async_trait]
impl Kind for NoteKind {
    const TYPE: &'static str = "own.note";
    type Props = Props;
    type Seen = Note;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Note>, CallError> {
        Ok(self.0.lock().unwrap().get(&target.props.name).cloned())
    }

    fn mark(seen: &Note) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let Some(want) = &case.want else {
            let Some(was) = case.was.as_ref().filter(|_| case.seen.is_some()) else {
                return Next::Gone;
            };
            let call = Call::Remove { name: was.props.name.clone() };
            return Next::Calls(vec![Proposed::new("own:Remove", Effect::Delete, call)]);
        };
        let seen = case.seen.as_ref().map(|s| &s.text);
        if let Some(text) = seen.filter(|text| !want.text.differs(text)) {
            return Next::Converged(Outputs { text: text.clone() });
        }
        let effect = if seen.is_some() { Effect::Update } else { Effect::Create };
        let (name, text, tags) = (want.name.clone(), want.text.clone(), case.mark.tags());
        let change = Change::new("text", seen, Some(&text));
        let call = Proposed::new("own:Put", effect, Call::Put { name, text, tags });
        Next::Calls(vec![call.fields([change]).may_change(&["text"])])
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        let mut board = self.0.lock().unwrap();
        match call {
            Call::Put { name, text, tags } => {
                let text = text.known().cloned().unwrap_or_default();
                board.insert(name.clone(), Note { text, tags: tags.clone() });
            }
            Call::Remove { name } => {
                board.remove(name);
            }
        }
        Ok(Sent::default())
    }
}

fn note(address: &str, text: serde_json::Value) -> Resource {
    Resource {
        address: address.into(),
        kind: NoteKind::TYPE.into(),
        stage: "notices".into(),
        props: json!({ "name": address, "text": text }),
        needs: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_and_a_stage_of_ones_own() {
    let board = Board::default();
    let registry = Registry::default().with(NoteKind(Arc::clone(&board)));
    let engine = Engine {
        registry: registry.clone(),
        store: Arc::new(MemoryStore::new()),
        clock: Arc::new(RealClock::system()),
        entropy: Arc::new(Entropy::seeded(1)),
        events: Arc::new(NoEvents),
        pipeline: "notes".into(),
        pin: Pin::default(),
        who: "a test".into(),
    };
    let graph = |text: &str| {
        let copy = note("copy", json!({ "$ref": "first", "output": "text" }));
        Graph::build(vec![copy, note("first", json!(text))], &registry).unwrap()
    };
    let never = Cancel::never();

    let plan = engine.plan(&graph("hello"), Verb::Apply, &[]).await.unwrap();
    assert_eq!(plan.stages(), ["notices"]);
    let order: Vec<_> = plan.steps.iter().map(|s| (s.address.as_str(), s.action)).collect();
    assert_eq!(order, [("first", Action::Create), ("copy", Action::Create)]);

    for text in ["hello", "goodbye"] {
        let options = ApplyOptions::default();
        let summary = engine.apply(&graph(text), options, &AutoApprove, &never).await.unwrap();
        assert!(summary.is_complete(), "{summary:?}");
        assert_eq!(board.lock().unwrap()["copy"].text, text, "the reference follows");
        let plan = engine.plan(&graph(text), Verb::Apply, &[]).await.unwrap();
        assert!(!plan.has_changes());
    }

    let options = ApplyOptions::default();
    let summary = engine.destroy(&graph("goodbye"), options, &AutoApprove, &never).await.unwrap();
    assert_eq!((summary.deleted, board.lock().unwrap().len()), (2, 0));
}
