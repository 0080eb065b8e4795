//! The order of a graph, and what is wrong when there is none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::NodeIndex;

use super::build::{Graph, GraphError};

impl Graph {
    /// Orders the nodes: dependencies first, otherwise as declared (Kahn's algorithm with the smallest index first).
    pub(super) fn sort(&mut self, errors: &mut Vec<GraphError>) {
        let mut waits: Vec<usize> = self
            .dag
            .node_indices()
            .map(|n| self.dag.neighbors_directed(n, Direction::Incoming).count())
            .collect();
        let mut ready: BinaryHeap<Reverse<usize>> =
            waits.iter().enumerate().filter(|&(_, &w)| w == 0).map(|(n, _)| Reverse(n)).collect();
        self.order.clear();
        while let Some(Reverse(n)) = ready.pop() {
            self.order.push(n);
            for next in self.dag.neighbors(NodeIndex::new(n)) {
                waits[next.index()] -= 1;
                if waits[next.index()] == 0 {
                    ready.push(Reverse(next.index()));
                }
            }
        }
        if self.order.len() < self.nodes.len() {
            for component in tarjan_scc(&self.dag) {
                let cyclic =
                    component.len() > 1 || self.dag.contains_edge(component[0], component[0]);
                if cyclic {
                    let mut members: Vec<_> = component.iter().map(|n| n.index()).collect();
                    members.sort_unstable();
                    let addresses = members.iter().map(|&n| self.nodes[n].address.clone());
                    errors.push(GraphError::Cycle(addresses.collect()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::build::Resource;
    use super::*;
    use crate::kind::{MockErasedKind, Registry};

    fn registry() -> Registry {
        let mut kind = MockErasedKind::new();
        kind.expect_type_name().return_const("toy");
        kind.expect_name().returning(|props| Ok(props["name"].as_str().unwrap_or("?").to_owned()));
        Registry::default().with_erased(Arc::new(kind))
    }

    fn node(address: &str, needs: &[&str]) -> Resource {
        Resource {
            address: address.into(),
            kind: "toy".into(),
            stage: "s".into(),
            props: json!({ "name": address }),
            needs: needs.iter().map(|&n| n.into()).collect(),
        }
    }

    #[track_caller]
    fn check(resources: Vec<Resource>, expected: Result<&[&str], &[&str]>) {
        let built = Graph::build(resources, &registry());
        let order = built
            .as_ref()
            .map(|g| g.resources().map(|r| r.address.to_string()).collect::<Vec<_>>());
        match (order, expected) {
            (Ok(order), Ok(expected)) => assert_eq!(order, expected),
            (Err(errors), Err(expected)) => {
                assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
            }
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn dependencies_come_first_and_ties_keep_the_order_of_declaration() {
        check(
            vec![node("d", &["b", "c"]), node("b", &["a"]), node("c", &["a"]), node("a", &[])],
            Ok(&["a", "b", "c", "d"]),
        );
        check(vec![node("z", &[]), node("a", &[])], Ok(&["z", "a"]));
    }

    #[test]
    fn a_reference_in_the_props_is_an_edge() {
        let mut late = node("late", &[]);
        late.props["group"] = json!({ "$ref": "early", "output": "id" });
        check(vec![late, node("early", &[])], Ok(&["early", "late"]));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut unknown = node("u", &[]);
        unknown.kind = "nothing".into();
        let mut same = node("same", &[]);
        same.props["name"] = json!("a");
        check(
            vec![
                node("a", &["b"]),
                node("b", &["a"]),
                node("c", &["x"]),
                node("c", &[]),
                unknown,
                same,
            ],
            Err(&[
                "two resources have the address c",
                "c and c would both be the toy named `c`",
                "u is of kind nothing, which is not registered",
                "a and same would both be the toy named `a`",
                "c refers to x, which is not declared",
                "these resources wait for each other: a, b",
            ]),
        );
    }
}
