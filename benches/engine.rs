//! How the engine scales, beside Terraform: the same layered graph, two edges a node, for a kind that does nothing but remember and for
//! Terraform's `terraform_data`, measured in one run.
//!
//! `cargo bench -p msk-pipeline-core --bench engine -- 1000 3000` (see `benches/README.md`). Sizes are numbers of nodes; Terraform takes
//! part where `terraform` is on PATH, up to `--terraform-plan N` and, as its apply is quadratic, `--terraform-apply N` nodes.
//!
//! Each measurement is a process of its own, so that its peak memory is its own. State is in files, every call is journaled and fsynced,
//! in batches, as in a real run.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people who measure")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use msk_pipeline_core::graph::{Graph, Resource};
use msk_pipeline_core::kind::{
    CallError, Case, Effect, Guard, Input, Kind, MarkSeen, Next, Proposed, Registry, Sent, Target,
};
use msk_pipeline_core::plan::Verb;
use msk_pipeline_core::run::{ApplyOptions, AutoApprove, Cancel, Engine, NoEvents};
use msk_pipeline_core::state::{FileStore, Pin};
use msk_pipeline_core::{Entropy, RealClock};
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

/// What one contender needs for one size. `None` is not measured.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Row {
    plan: Option<f64>,
    apply: Option<f64>,
    noop: Option<f64>,
    destroy: Option<f64>,
    /// Peak of resident memory over all steps, in MB.
    memory: Option<f64>,
    /// Bytes of state a node.
    state: Option<f64>,
}

async fn ours(nodes: usize) -> Row {
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
    let never = Cancel::never();
    let seconds = |time: Instant| Some(time.elapsed().as_secs_f64());
    let options = ApplyOptions::default;

    let time = Instant::now();
    let graph = Graph::build(layered(nodes), &registry).unwrap();
    assert!(engine.plan(&graph, Verb::Apply, &[]).await.unwrap().has_changes());
    let plan = seconds(time);
    let time = Instant::now();
    let summary = engine.apply(&graph, options(), &AutoApprove, &never).await.unwrap();
    assert_eq!(summary.created, nodes);
    let apply = seconds(time);
    let state = std::fs::metadata(folder.path().join("state.json")).unwrap().len();
    let time = Instant::now();
    assert!(!engine.plan(&graph, Verb::Apply, &[]).await.unwrap().has_changes());
    let noop = seconds(time);
    let time = Instant::now();
    let summary = engine.destroy(&graph, options(), &AutoApprove, &never).await.unwrap();
    assert_eq!(summary.deleted, nodes);
    let destroy = seconds(time);
    let state = Some(per_node(state, nodes));
    Row { plan, apply, noop, destroy, memory: peak("self"), state }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_node(bytes: u64, nodes: usize) -> f64 {
    bytes as f64 / nodes as f64
}

/// The peak of a process's resident memory so far, in MB.
fn peak(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kb| kb / 1024.0)
}

/// The same graph for Terraform.
fn configuration(nodes: usize) -> String {
    let mut text = String::new();
    for resource in layered(nodes) {
        let name = resource.address.as_str();
        let after = resource.props["after"].as_array().unwrap();
        let after: Vec<_> = after
            .iter()
            .map(|r| format!("terraform_data.{}.id", r["$ref"].as_str().unwrap()))
            .collect();
        let _ = writeln!(
            text,
            "resource \"terraform_data\" \"{name}\" {{\n  input = {{ name = \"{name}\", after = [{}] }}\n}}",
            after.join(", ")
        );
    }
    text
}

/// One command of Terraform: seconds and peak memory.
fn terraform(folder: &Path, arguments: &[&str]) -> (f64, f64) {
    let time = Instant::now();
    let mut child = Command::new("terraform")
        .args(arguments)
        .current_dir(folder)
        .env("CHECKPOINT_DISABLE", "1")
        .env_remove("TF_CLI_CONFIG_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut memory = 0.0_f64;
    let status = loop {
        memory = memory.max(peak(&child.id().to_string()).unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "terraform {arguments:?}");
    (time.elapsed().as_secs_f64(), memory)
}

fn theirs(nodes: usize, applies: bool) -> Row {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("main.tf"), configuration(nodes)).unwrap();
    terraform(folder, &["init", "-input=false"]);
    let (plan, mut memory) = terraform(folder, &["plan", "-input=false", "-out=plan"]);
    let mut row = Row { plan: Some(plan), ..Row::default() };
    if applies {
        let mut step = |arguments: &[&str]| {
            let (seconds, peak) = terraform(folder, arguments);
            memory = memory.max(peak);
            Some(seconds)
        };
        row.apply = step(&["apply", "-input=false", "-auto-approve"]);
        let state = std::fs::metadata(folder.join("terraform.tfstate")).unwrap().len();
        row.state = Some(per_node(state, nodes));
        row.noop = step(&["plan", "-input=false"]);
        row.destroy = step(&["destroy", "-auto-approve"]);
    }
    row.memory = Some(memory);
    row
}

fn print(nodes: usize, who: &str, row: Row, digits: usize) {
    let Row { plan, apply, noop, destroy, memory, state } = row;
    let cell = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".into(),
    };
    let times = [plan, apply, noop, destroy].map(|t| format!("{:>9}", cell(t, digits))).join(" ");
    let (memory, state) = (cell(memory, digits.min(1)), cell(state, digits.min(1)));
    println!("{nodes:>7} {who:<10} {times} {memory:>9} {state:>9}");
}

/// How many times more Terraform needs.
fn ratio(theirs: Row, ours: Row) -> Row {
    let of = |theirs: Option<f64>, ours: Option<f64>| Some(theirs? / ours?);
    Row {
        plan: of(theirs.plan, ours.plan),
        apply: of(theirs.apply, ours.apply),
        noop: of(theirs.noop, ours.noop),
        destroy: of(theirs.destroy, ours.destroy),
        memory: of(theirs.memory, ours.memory),
        state: of(theirs.state, ours.state),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut sizes, mut plans, mut applies) = (Vec::new(), 10_000, 1_000);
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().and_then(|n| n.parse().ok()).expect("a number of nodes");
        match argument.as_str() {
            "--one" => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let row = runtime.unwrap().block_on(ours(number()));
                println!("{}", serde_json::to_string(&row).unwrap());
                return;
            }
            "--terraform-plan" => plans = number(),
            "--terraform-apply" => applies = number(),
            // Cargo says so to every benchmark, or test.
            "--bench" | "--test" => {}
            size => sizes.push(size.parse().expect("a number of nodes")),
        }
    }
    if sizes.is_empty() {
        sizes = vec![1_000];
    }
    let version = Command::new("terraform").arg("version").output().ok();
    match version.as_ref().map(|v| String::from_utf8_lossy(&v.stdout)) {
        Some(text) => println!("beside {}", text.lines().next().unwrap_or("terraform")),
        None => println!("terraform is not on PATH: this engine alone"),
    }
    let profile = if cfg!(debug_assertions) { "not optimised" } else { "optimised" };
    println!("this engine: {profile}; seconds, MB, bytes of state a node\n");
    println!(
        "{:>7} {:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "nodes", "", "plan", "apply", "no-op", "destroy", "memory", "state"
    );
    for nodes in sizes {
        let me = std::env::current_exe().unwrap();
        let output = Command::new(me).args(["--one", &nodes.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ours: Row = serde_json::from_slice(&output.stdout).unwrap();
        print(nodes, "ours", ours, 3);
        if version.is_some() && nodes <= plans {
            let theirs = theirs(nodes, nodes <= applies);
            print(nodes, "terraform", theirs, 3);
            print(nodes, "ratio", ratio(theirs, ours), 0);
        }
    }
}
