//! `database.table`: a table of the tool's own, for signals or heartbeats.
//!
//! # Guarantees
//! Its mark is its comment, in the statement that creates it. One without, or with another's, is never touched.
//! # Caveats
//! Columns are given when it is made and not compared later: a table with our mark is as we made it, or somebody meant to change it.
//! # Sources
//! Signal table: handbook msk.md §8. Comments, at most 2,048 characters: page 'CREATE TABLE Statement', MySQL 8.0.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, Effect, Guard, Input, Kind, Mark, MarkSeen, Next, Proposed,
    Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use super::{Call, Seen, observe, obstacle, perform, proposed};
use crate::catalogue::{Catalogue, Table as Found};
use crate::change::{Change, TableName};
use crate::place::Place;

/// The kind.
pub struct Table {
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
    /// The table.
    pub table: TableName,
    /// Its columns, as in `CREATE TABLE`.
    pub columns: String,
    /// Updates and deletes tell the whole row that was, not its key alone (PostgreSQL).
    #[serde(default)]
    pub whole_rows: bool,
    /// It goes with its cluster when that is deleted.
    #[serde(default)]
    pub with_server: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// `schema.table`
    pub table: String,
}

impl Table {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[async_trait]
impl Kind for Table {
    const TYPE: &'static str = "database.table";
    type Props = Props;
    type Seen = Seen<Found>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        format!("{}/{}", props.at.cluster, props.table)
    }

    fn visibility() -> Duration {
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, server, table, .. } = &target.props;
        observe(target, server, self.catalogue.table(at, table)).await
    }

    fn mark(seen: &Self::Seen) -> MarkSeen {
        match seen {
            Seen::There(table) => Mark::seen_in_text(&table.comment),
            Seen::NotReady(_) | Seen::Unreached(_) => MarkSeen::ByParent,
        }
    }

    fn status(seen: &Self::Seen) -> Option<Status> {
        Some(seen.status())
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let was = case.was.as_ref().map(|was| &was.props);
        let with_server = was.is_some_and(|was| was.with_server);
        if let Some(next) = obstacle(case, with_server) {
            return next;
        }
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(_)) => match was {
                Some(was) => Next::Calls(vec![drop_table(was)]),
                None => Next::Gone,
            },
            (Some(want), Some(Seen::There(table))) => update(want, table, &case.mark),
            (Some(want), _) => Next::Calls(vec![create(want, &case.mark)]),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        perform(&self.catalogue, call).await
    }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let change = Change::CreateTable {
        table: want.table.clone(),
        columns: want.columns.clone(),
        comment: mark.text(),
        whole_rows: want.whole_rows,
    };
    proposed(&want.at, Effect::Create, change)
        .fields([Field::new("table", None::<()>, Some(want.table.to_string()))])
        .may_change(&["table"])
}

fn update(want: &Props, table: &Found, mark: &Mark) -> Next<Call, Outputs> {
    if Mark::seen_in_text(&table.comment) == Mark::seen_in_text(&mark.text()) {
        return Next::Converged(Outputs { table: want.table.to_string() });
    }
    let change = Change::MarkTable { table: want.table.clone(), comment: mark.text() };
    let field = Field::new("comment", Some(&table.comment), Some(mark.text()));
    Next::Calls(vec![proposed(&want.at, Effect::Update, change).fields([field])])
}

fn drop_table(was: &Props) -> Proposed<Call> {
    proposed(&was.at, Effect::Delete, Change::DropTable { table: was.table.clone() })
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Recorded;

    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, mark, ops};

    #[test]
    fn it_is_made_and_dropped() {
        let kind = Table::new(Arc::new(Nowhere));
        let want = || Props {
            at: Place::mysql("orders"),
            server: "arn".into(),
            table: TableName::parse("cdc.signal").expect("a table"),
            columns: "id INT".into(),
            whole_rows: false,
            with_server: false,
        };
        let seen = || Some(Seen::There(Found { comment: mark().text() }));
        assert_eq!(ops(&kind.calls(&case(Some(want()), None))), "CreateTable");
        assert_eq!(ops(&kind.calls(&case(Some(want()), seen()))), "converged");
        let theirs = Some(Seen::There(Found { comment: "theirs".into() }));
        assert_eq!(ops(&kind.calls(&case(Some(want()), theirs))), "MarkTable");
        let outputs = Some(Outputs { table: "cdc.signal".into() });
        let delete = |seen| {
            let was = Some(Recorded { props: want(), outputs: outputs.clone() });
            ops(&kind.calls(&Case { was, ..case(None, seen) }))
        };
        assert_eq!(delete(seen()), "DropTable");
        assert_eq!(delete(None), "gone");
    }

    #[test]
    fn its_mark_is_its_comment() {
        let seen = |comment: &str| Seen::There(Found { comment: comment.into() });
        let ours = MarkSeen::Lineage { lineage: "l1".into(), pipeline: "orders".into() };
        assert_eq!(Table::mark(&seen(&mark().text())), ours);
        assert_eq!(Table::mark(&seen("signals of Debezium")), MarkSeen::Absent);
    }
}
