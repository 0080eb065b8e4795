//! Resources and their references become a directed acyclic graph. petgraph stays private to this folder.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::address::Address;
use crate::kind::{self, Registry};

/// One declared cloud object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name in the pipeline.
    pub address: Address,
    /// Its kind, `aws.kafka.cluster`.
    pub kind: String,
    /// The stage whose gate it passes.
    pub stage: String,
    /// What is wanted; references to outputs of others are edges.
    pub props: Value,
    /// Resources that must be ready although no output of theirs is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Address>,
}

/// What can't be made a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two resources have one address.
    #[error("two resources have the address {0}")]
    Duplicate(Address),
    /// A reference to nothing.
    #[error("{from} refers to {to}, which is not declared")]
    Dangling {
        /// Who refers.
        from: Address,
        /// To what.
        to: Address,
    },
    /// Resources that wait for each other.
    #[error("these resources wait for each other: {}", join(.0))]
    Cycle(Vec<Address>),
    /// A kind that no provider has registered.
    #[error("{address} is of kind {kind}, which is not registered")]
    UnknownKind {
        /// Which resource.
        address: Address,
        /// Its kind.
        kind: String,
    },
    /// Props that the kind can't read.
    #[error("{address}: {why}")]
    Props {
        /// Which resource.
        address: Address,
        /// What is wrong.
        why: String,
    },
    /// Two resources that would be one object.
    #[error("{first} and {second} would both be the {kind} named `{name}`")]
    SameObject {
        /// One.
        first: Address,
        /// The other.
        second: Address,
        /// Their kind.
        kind: String,
        /// Their physical name.
        name: String,
    },
}

fn join(addresses: &[Address]) -> String {
    addresses.iter().map(Address::as_str).collect::<Vec<_>>().join(", ")
}

/// The resources of a pipeline and who waits for whom.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub(super) nodes: Vec<Resource>,
    pub(super) dag: DiGraph<(), ()>,
    pub(super) order: Vec<usize>,
    index: BTreeMap<Address, usize>,
}

impl Graph {
    /// Builds the graph, or returns everything that is wrong with it.
    pub fn build(resources: Vec<Resource>, registry: &Registry) -> Result<Self, Vec<GraphError>> {
        let mut errors = Vec::new();
        let mut graph = Graph { nodes: resources, ..Graph::default() };
        graph.index_nodes(&mut errors);
        graph.check_kinds(registry, &mut errors);
        graph.connect(&mut errors);
        graph.sort(&mut errors);
        if errors.is_empty() { Ok(graph) } else { Err(errors) }
    }

    fn index_nodes(&mut self, errors: &mut Vec<GraphError>) {
        for (n, resource) in self.nodes.iter().enumerate() {
            self.dag.add_node(());
            if self.index.insert(resource.address.clone(), n).is_some() {
                errors.push(GraphError::Duplicate(resource.address.clone()));
            }
        }
    }

    fn check_kinds(&self, registry: &Registry, errors: &mut Vec<GraphError>) {
        let mut names: BTreeMap<(&str, String), &Address> = BTreeMap::new();
        for resource in &self.nodes {
            let (address, kind) = (resource.address.clone(), resource.kind.clone());
            let Some(known) = registry.get(&kind) else {
                errors.push(GraphError::UnknownKind { address, kind });
                continue;
            };
            match known.name(&resource.props) {
                Err(error) => errors.push(GraphError::Props { address, why: error.message }),
                Ok(name) => {
                    if let Some(first) =
                        names.insert((&resource.kind, name.clone()), &resource.address)
                    {
                        let (first, second) = (first.clone(), address);
                        errors.push(GraphError::SameObject { first, second, kind, name });
                    }
                }
            }
        }
    }

    fn connect(&mut self, errors: &mut Vec<GraphError>) {
        for (n, resource) in self.nodes.iter().enumerate() {
            for to in dependencies(resource) {
                match self.index.get(&to) {
                    // Edges point from what must be ready to who waits for it.
                    Some(&m) => {
                        self.dag.add_edge(NodeIndex::new(m), NodeIndex::new(n), ());
                    }
                    None => {
                        errors.push(GraphError::Dangling { from: resource.address.clone(), to });
                    }
                }
            }
        }
    }

    /// All resources, each after those that it waits for; otherwise in the order of declaration.
    pub fn resources(&self) -> impl DoubleEndedIterator<Item = &Resource> {
        self.order.iter().map(|&n| &self.nodes[n])
    }

    /// All resources by their distance from those that wait for nothing: each wave needs only what earlier ones give.
    pub(crate) fn waves(&self) -> Vec<Vec<&Resource>> {
        let mut level = vec![0; self.nodes.len()];
        let mut waves: Vec<Vec<&Resource>> = Vec::new();
        for &n in &self.order {
            let needed = self.dag.neighbors_directed(NodeIndex::new(n), Direction::Incoming);
            level[n] = needed.map(|m| level[m.index()] + 1).max().unwrap_or(0);
            if waves.len() <= level[n] {
                waves.resize_with(level[n] + 1, Vec::new);
            }
            waves[level[n]].push(&self.nodes[n]);
        }
        waves
    }

    /// The resource at `address`.
    pub fn get(&self, address: &str) -> Option<&Resource> {
        self.index.get(address).map(|&n| &self.nodes[n])
    }

    /// The number of resources.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True without resources.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// The addresses that a resource waits for, without repetition.
pub(crate) fn dependencies(resource: &Resource) -> BTreeSet<Address> {
    let references = kind::references(&resource.props).into_iter().map(|r| r.address);
    references.chain(resource.needs.iter().cloned()).collect()
}
