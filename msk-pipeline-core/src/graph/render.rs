//! A graph as text for other programs.

use std::fmt::Write as _;

use super::build::{Graph, dependencies};

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Graphviz.
    Dot,
    /// Mermaid, as GitHub renders it.
    Mermaid,
    /// `{"nodes": […], "edges": […]}`.
    Json,
}

impl Graph {
    /// Renders the graph; an arrow points from what must be ready to who waits for it.
    pub fn render(&self, format: Format) -> String {
        let mut stages: Vec<&str> = Vec::new();
        for resource in self.resources() {
            if !stages.contains(&resource.stage.as_str()) {
                stages.push(&resource.stage);
            }
        }
        let edges = || {
            self.resources().flat_map(|to| {
                dependencies(to).into_iter().map(move |from| (from, to.address.clone()))
            })
        };
        let mut out = String::new();
        // Writing to a String can't fail.
        match format {
            Format::Dot => {
                out.push_str("digraph pipeline {\n  rankdir=LR;\n  node [shape=box];\n");
                for (n, stage) in stages.iter().enumerate() {
                    let _ = writeln!(out, "  subgraph cluster_{n} {{\n    label=\"{stage}\";");
                    for r in self.resources().filter(|r| r.stage == *stage) {
                        let _ =
                            writeln!(out, "    \"{}\" [label=\"{0}\\n{}\"];", r.address, r.kind);
                    }
                    out.push_str("  }\n");
                }
                for (from, to) in edges() {
                    let _ = writeln!(out, "  \"{from}\" -> \"{to}\";");
                }
                out.push_str("}\n");
            }
            Format::Mermaid => {
                let id = |address: &str| address.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                out.push_str("flowchart LR\n");
                for stage in &stages {
                    let _ = writeln!(out, "  subgraph {} [{stage}]", id(stage));
                    for r in self.resources().filter(|r| r.stage == *stage) {
                        let _ = writeln!(out, "    {}[\"{}\"]", id(r.address.as_str()), r.address);
                    }
                    out.push_str("  end\n");
                }
                for (from, to) in edges() {
                    let _ = writeln!(out, "  {} --> {}", id(from.as_str()), id(to.as_str()));
                }
            }
            Format::Json => {
                let nodes: Vec<_> = self
                    .resources()
                    .map(|r| serde_json::json!({ "address": r.address, "kind": r.kind, "stage": r.stage }))
                    .collect();
                let edges: Vec<_> = edges()
                    .map(|(from, to)| serde_json::json!({ "from": from, "to": to }))
                    .collect();
                out = serde_json::json!({ "nodes": nodes, "edges": edges }).to_string();
                out.push('\n');
            }
        }
        out
    }
}
