//! How the engine scales: a layered graph, two edges a node, of a kind that does nothing but remember; state in files, every call journaled
//! and fsynced in batches. In the development profile, which needs no second build of the SDK crates:
//! `cargo test -p msk-pipeline -p msk-pipeline-cli --bench engine -- 1000 3000 10000`; optimised: the same with `cargo bench`.
//!
//! Prints one row a size. It is a plain program: one run of each size says enough to see what is not linear.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people who measure")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use msk_pipeline::graph::{Graph, Resource};
use msk_pipeline::kind::{
    CallError, Case, Effect, Guard, Input, Kind, MarkSeen, Next, Proposed, Registry, Sent, Target,
};
use msk_pipeline::plan::Verb;
use msk_pipeline::run::{ApplyOptions, AutoApprove, Cancel, Engine, NoEvents};
use msk_pipeline::state::{FileStore, Pin};
use msk_pipeline::{Entropy, RealClock};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Clone, Default)]
struct Remember(Arc<Mutex<BTreeSet<String>>>);

#[derive(Clone, Serialize, Deserialize)]
struct Props {
    name: String,
    after: Vec<Input<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Named {
    id: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
enum Call {
    Make(String),
    Forget(String),
}

#[async_trait]
impl Kind for Remember {
    const TYPE: &'static str = "bench.remember";
    type Props = Props;
    type Seen = Named;
    type Outputs = Named;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Named>, CallError> {
        let name = &target.props.name;
        Ok(self.0.lock().unwrap().contains(name).then(|| Named { id: name.clone() }))
    }

    fn mark(_seen: &Named) -> MarkSeen {
        MarkSeen::ByParent
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Named> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => {
                let call = Call::Forget(seen.id.clone());
                Next::Calls(vec![Proposed::new("bench:Forget", Effect::Delete, call)])
            }
            (Some(_), Some(seen)) => Next::Converged(seen.clone()),
            (Some(want), None) => {
                let call = Call::Make(want.name.clone());
                Next::Calls(vec![
                    Proposed::new("bench:Make", Effect::Create, call).may_change(&["id"]),
                ])
            }
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        let mut made = self.0.lock().unwrap();
        match call {
            Call::Make(name) => made.insert(name.clone()),
            Call::Forget(name) => made.remove(name),
        };
        Ok(Sent::default())
    }
}

/// Layers of a hundred; each node refers to two of the layer before.
fn layered(nodes: usize) -> Vec<Resource> {
    let name = |n: usize| format!("node{n:06}");
    let reference = |n: usize| json!({ "$ref": name(n), "output": "id" });
    (0..nodes)
        .map(|n| {
            let after =
                if n < 100 { vec![] } else { vec![reference(n - 100), reference(n - n % 100 - 1)] };
            Resource {
                address: name(n).into(),
                kind: Remember::TYPE.into(),
                stage: "bench".into(),
                props: json!({ "name": name(n), "after": after }),
                needs: Vec::new(),
            }
        })
        .collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1000, 3000] } else { sizes };
    println!(
        "{:>8} {:>10} {:>10} {:>14} {:>10} {:>14}",
        "nodes", "plan s", "apply s", "no-op plan s", "destroy s", "state B/node"
    );
    for nodes in sizes {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::default().with(Remember::default());
        let engine = Engine {
            registry: registry.clone(),
            store: Arc::new(FileStore::new(folder.path())),
            clock: Arc::new(RealClock::system()),
            entropy: Arc::new(Entropy::seeded(1)),
            events: Arc::new(NoEvents),
            pipeline: "bench".into(),
            pin: Pin::default(),
            who: "bench".into(),
        };
        let graph = Graph::build(layered(nodes), &registry).unwrap();
        let never = Cancel::never();
        let time = Instant::now();
        assert!(engine.plan(&graph, Verb::Apply, &[]).await.unwrap().has_changes());
        let plan = time.elapsed();
        let time = Instant::now();
        let summary =
            engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &never).await.unwrap();
        assert_eq!(summary.created, nodes);
        let apply = time.elapsed();
        let state = std::fs::metadata(folder.path().join("state.json")).unwrap().len();
        let time = Instant::now();
        assert!(!engine.plan(&graph, Verb::Apply, &[]).await.unwrap().has_changes());
        let noop = time.elapsed();
        let time = Instant::now();
        let summary =
            engine.destroy(&graph, ApplyOptions::default(), &AutoApprove, &never).await.unwrap();
        assert_eq!(summary.deleted, nodes);
        let destroy = time.elapsed();
        println!(
            "{nodes:>8} {:>10.3} {:>10.3} {:>14.3} {:>10.3} {:>14}",
            plan.as_secs_f64(),
            apply.as_secs_f64(),
            noop.as_secs_f64(),
            destroy.as_secs_f64(),
            state / nodes as u64
        );
    }
}
