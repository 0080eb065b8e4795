//! `postgres.publication`: the tables of one connector, as a publication.
//!
//! # Guarantees
//! It lists the tables that are wanted and no others: one that somebody took out comes back, and the plan says that its changes were missed
//! meanwhile. Its mark is its comment, made in one transaction with it. One without, or with another's, is never touched.
//! # Caveats
//! * Whoever publishes a table has to own it: of a table of another role the server's refusal is told with the statement that helps.
//! * One FOR ALL TABLES lists none, and is refused.
//! * A table that is dropped leaves the publication with it.
//! # Sources
//! Handbook aws.md §4.10; pages 'CREATE PUBLICATION' and 'ALTER PUBLICATION', PostgreSQL 16.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, DataEffect, Effect, Guard, Input, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use super::{Call, Seen, observe, obstacle, perform, proposed};
use crate::catalogue::{Catalogue, Publication as Found};
use crate::change::{Change, TableName};
use crate::place::Place;

/// The kind.
pub struct Publication {
    catalogue: Arc<dyn Catalogue>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// Where it is.
    #[serde(flatten)]
    pub at: Place,
    /// An output of the cluster: while it isn't known, the cluster is still to be made, or made anew, and nothing is in it.
    pub server: Input<String>,
    /// The publication.
    pub name: String,
    /// Its tables.
    pub tables: BTreeSet<TableName>,
    /// It goes with its cluster when that is deleted.
    #[serde(default)]
    pub with_server: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The publication.
    pub publication: String,
}

impl Publication {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[async_trait]
impl Kind for Publication {
    const TYPE: &'static str = "postgres.publication";
    type Props = Props;
    type Seen = Seen<Found>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        let database = props.at.database.as_deref().unwrap_or_default();
        format!("{}/{database}/{}", props.at.cluster, props.name)
    }

    fn visibility() -> Duration {
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, server, name, .. } = &target.props;
        observe(target, server, self.catalogue.publication(at, name)).await
    }

    fn mark(seen: &Self::Seen) -> MarkSeen {
        match seen {
            Seen::There(publication) => Mark::seen_in_text(&publication.comment),
            Seen::NotReady(_) | Seen::Unreached(_) => MarkSeen::ByParent,
        }
    }

    fn status(seen: &Self::Seen) -> Option<Status> {
        Some(match seen {
            Seen::There(publication) => Status::new(format!("{} tables", publication.tables.len())),
            seen => seen.status(),
        })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let was = case.was.as_ref().map(|was| &was.props);
        if let Some(next) = obstacle(case, was.is_some_and(|was| was.with_server)) {
            return next;
        }
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(_)) => was.map_or(Next::Gone, |was| Next::Calls(vec![remove(was)])),
            (Some(want), Some(Seen::There(found))) => update(want, found, case),
            (Some(want), _) => Next::Calls(vec![create(want, case)]),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        perform(&self.catalogue, call).await
    }
}

/// Tables that were published, as far as state knows: what happened to them since they are not was missed.
fn missed(tables: &BTreeSet<TableName>, case: &Case<Publication>) -> DataEffect {
    let ready = case.was.as_ref().filter(|was| was.outputs.is_some());
    let known = ready.map(|was| &was.props.tables);
    let missed: Vec<_> =
        tables.iter().filter(|t| known.is_some_and(|known| known.contains(t))).collect();
    if missed.is_empty() {
        return DataEffect::NONE;
    }
    let names = missed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let what = format!(
        "changes of {names} are missed from when somebody ended their publication: read these tables again"
    );
    DataEffect::new(Verdict::Gap, what)
}

fn create(want: &Props, case: &Case<Publication>) -> Proposed<Call> {
    let change = Change::CreatePublication {
        name: want.name.clone(),
        tables: want.tables.clone(),
        comment: case.mark.text(),
    };
    proposed(&want.at, Effect::Create, change)
        .fields([
            Field::new("publication", None::<()>, Some(&want.name)),
            Field::new("tables", None::<()>, Some(names(&want.tables))),
        ])
        .data(missed(&want.tables, case))
        .may_change(&["publication"])
}

fn names(tables: &BTreeSet<TableName>) -> String {
    tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn update(want: &Props, found: &Found, case: &Case<Publication>) -> Next<Call, Outputs> {
    if found.all_tables {
        return Next::Refuse {
            because: format!("the publication {} is FOR ALL TABLES, and can't list any", want.name),
            help: format!(
                "name another in `publication`, or drop it: DROP PUBLICATION {};",
                want.name
            ),
        };
    }
    let mut calls = Vec::new();
    if Mark::seen_in_text(&found.comment) != Mark::seen_in_text(&case.mark.text()) {
        let change = Change::MarkPublication { name: want.name.clone(), comment: case.mark.text() };
        let field = Field::new("comment", Some(&found.comment), Some(case.mark.text()));
        calls.push(proposed(&want.at, Effect::Update, change).fields([field]));
    }
    let added: BTreeSet<_> = want.tables.difference(&found.tables).cloned().collect();
    if !added.is_empty() {
        let change = Change::AddTables { name: want.name.clone(), tables: added.clone() };
        let fields = added.iter().map(|t| Field::new("tables", None::<()>, Some(t.to_string())));
        let call = proposed(&want.at, Effect::Update, change).fields(fields);
        calls.push(call.data(missed(&added, case)));
    }
    let removed: BTreeSet<_> = found.tables.difference(&want.tables).cloned().collect();
    if !removed.is_empty() {
        let change = Change::RemoveTables { name: want.name.clone(), tables: removed.clone() };
        let fields = removed.iter().map(|t| Field::new("tables", Some(t.to_string()), None::<()>));
        calls.push(proposed(&want.at, Effect::Update, change).fields(fields));
    }
    if calls.is_empty() {
        return Next::Converged(Outputs { publication: want.name.clone() });
    }
    Next::Calls(calls)
}

fn remove(was: &Props) -> Proposed<Call> {
    let change = Change::DropPublication { name: was.name.clone() };
    proposed(&was.at, Effect::Delete, change)
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Recorded;

    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, mark, ops};

    fn set(tables: &[&str]) -> BTreeSet<TableName> {
        tables.iter().filter_map(|table| TableName::parse(table)).collect()
    }

    fn want(tables: &[&str]) -> Props {
        Props {
            at: Place::postgres("orders", "shop"),
            server: "arn".into(),
            name: "orders".into(),
            tables: set(tables),
            with_server: false,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `case` takes")]
    fn seen(tables: &[&str]) -> Option<Seen<Found>> {
        let comment = mark().text();
        Some(Seen::There(Found { comment, all_tables: false, tables: set(tables) }))
    }

    #[track_caller]
    fn check(want: Option<Props>, was: Option<Props>, seen: Option<Seen<Found>>, expected: &str) {
        let outputs = Some(Outputs { publication: "orders".into() });
        let was = was.map(|props| Recorded { props, outputs });
        let kind = Publication::new(Arc::new(Nowhere));
        assert_eq!(ops(&kind.calls(&Case { was, ..case(want, seen) })), expected);
    }

    #[test]
    fn tables_come_and_go() {
        let two = || Some(want(&["a.b", "a.c"]));
        check(two(), None, None, "CreatePublication");
        check(two(), two(), seen(&["a.b", "a.c"]), "converged");
        check(two(), Some(want(&["a.b"])), seen(&["a.b"]), "AddTables");
        check(Some(want(&["a.b"])), two(), seen(&["a.b", "a.c"]), "RemoveTables");
        check(two(), Some(want(&["a.b", "x.y"])), seen(&["a.b", "x.y"]), "AddTables, RemoveTables");
    }

    #[test]
    fn what_somebody_ended_is_a_gap() {
        let two = || Some(want(&["a.b", "a.c"]));
        check(two(), two(), seen(&["a.b"]), "AddTables gap");
        check(two(), two(), None, "CreatePublication gap");
    }

    #[test]
    fn it_goes_if_it_is_there() {
        let two = || Some(want(&["a.b", "a.c"]));
        check(None, two(), seen(&["a.b"]), "DropPublication");
        check(None, two(), None, "gone");
        let away =
            || Some(Seen::Unreached(crate::Unreached { what: "w".into(), open: "o".into() }));
        check(None, two(), away(), "refuse");
        check(None, two().map(|was| Props { with_server: true, ..was }), away(), "kept");
    }

    #[test]
    fn its_mark_is_its_comment_and_it_lists_tables() {
        let found = |comment: &str, all_tables| {
            Seen::There(Found { comment: comment.into(), all_tables, tables: set(&["a.b"]) })
        };
        let ours = MarkSeen::Lineage { lineage: "l1".into(), pipeline: "orders".into() };
        assert_eq!(Publication::mark(&found(&mark().text(), false)), ours);
        assert_eq!(Publication::mark(&found("", false)), MarkSeen::Absent);
        check(Some(want(&["a.b"])), None, Some(found("", false)), "MarkPublication");
        check(Some(want(&["a.b"])), None, Some(found(&mark().text(), true)), "refuse");
    }
}
