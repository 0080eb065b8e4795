//! `database.snapshot-signal`: that the rows which captured tables have already were asked for.
//!
//! A connector that reads incrementally streams changes only; a row in its signal table makes it read the tables that the row names. This
//! resource is the set of tables that were asked for. A table that is added is one row more, after the connector was updated.
//!
//! # Guarantees
//! A signal's id follows from the lineage, the connector's place, how many signals there were before, and the tables: the same call,
//! repeated, is the same row. A table is asked for once for each place of the connector.
//! A connector of MySQL begins at the position that the binary log has when its task starts, and would not see a row from before: the first
//! signal at a place waits until the connector's heartbeat shows that it streams. Later ones are behind its position in any case, and one of
//! PostgreSQL streams from its slot, which is made before it.
//! # Caveats
//! Rows are not removed with their table's capture; they go with the signal table. A row that somebody deletes is not written again: it was
//! read when it was inserted.
//! # Sources
//! Handbook msk.md §8: the signal table, `execute-snapshot`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, Class, Condition, DataEffect, Effect, Guard, Kind, MarkSeen,
    Next, Proposed, Recorded, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Call, Seen, obstacle, perform, proposed};
use crate::catalogue::{Catalogue, Look};
use crate::change::{Change, TableName};
use crate::place::Place;

/// The kind.
pub struct Signal {
    catalogue: Arc<dyn Catalogue>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// Where it is.
    #[serde(flatten)]
    pub at: Place,
    /// The signal table.
    pub table: TableName,
    /// The connector.
    pub connector: String,
    /// What keeps its place: another one begins anew.
    pub place: String,
    /// The captured tables, `schema.table`.
    pub tables: BTreeSet<String>,
    /// The row that the connector writes at this place once it streams; `None` if it need not be waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat: Option<Beat>,
}

/// A row of a connector's heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// The table.
    pub table: TableName,
    /// Its `id`.
    pub id: String,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct There {
    /// The row of the call that is pursued.
    written: Option<String>,
    /// The connector hasn't streamed at this place.
    silent: bool,
}

impl There {
    const STREAMS: Self = Self { written: None, silent: false };
    const SILENT: Self = Self { written: None, silent: true };
}

/// How long a connector usually takes from RUNNING to its first heartbeat, and how long it may: it reads the structure of all tables first.
const BEAT_USUAL: Duration = Duration::from_secs(30);
const BEAT_AT_MOST: Duration = Duration::from_hours(1);

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// How many signals were written.
    pub signals: u32,
}

impl Signal {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

type Was = Recorded<Props, Outputs>;

#[async_trait]
impl Kind for Signal {
    const TYPE: &'static str = "database.snapshot-signal";
    type Props = Props;
    type Seen = Seen<There>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        format!("{}/{}/{}", props.at.cluster, props.table, props.connector)
    }

    fn visibility() -> Duration {
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, table, .. } = &target.props;
        let known = target.was.as_ref().is_some_and(|was| was.outputs.is_some());
        let pursued = target.pursuit.as_ref().and_then(|p| match &p.call.change {
            Change::InsertRow { id, .. } => Some(id.clone()),
            _ => None,
        });
        let none = known.then_some(Seen::There(There::STREAMS));
        let Some(id) = pursued else {
            let goes_on =
                target.was.as_ref().is_some_and(|was| was.props.place == target.props.place);
            let Some(beat) = target.props.beat.as_ref().filter(|_| !(known && goes_on)) else {
                return Ok(none);
            };
            return Ok(match self.catalogue.row(at, &beat.table, &beat.id).await? {
                Look::Found(()) | Look::NoServer => none,
                Look::Absent => Some(Seen::There(There::SILENT)),
                look => Seen::of(look, known).map(|seen| seen.map(|()| There::STREAMS)),
            });
        };
        let seen = Seen::of(self.catalogue.row(at, table, &id).await?, true);
        let written = |()| There { written: Some(id), silent: false };
        Ok(seen.map(|seen| seen.map(written)).or(none))
    }

    fn mark(_seen: &Self::Seen) -> MarkSeen {
        MarkSeen::ByParent
    }

    fn status(seen: &Self::Seen) -> Option<Status> {
        Some(match seen {
            Seen::There(_) => Status::new("asked for"),
            seen => seen.status(),
        })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let Some(want) = &case.want else { return Next::Gone };
        if let Some(next) = obstacle(case, false) {
            return next;
        }
        let signals = signals(case.was.as_ref());
        let new = new_tables(want, case.was.as_ref());
        if new.is_empty() {
            return Next::Converged(Outputs { signals });
        }
        let id = id(&case.mark.lineage, want, signals, &new);
        match &case.seen {
            Some(Seen::There(There { written: Some(row), .. })) if *row == id => {
                Next::Converged(Outputs { signals: signals + 1 })
            }
            Some(Seen::There(There { silent: true, .. })) => {
                let what = "the connector to stream (its first heartbeat)";
                let condition = Condition::new(what, "none yet", BEAT_USUAL).deadline(BEAT_AT_MOST);
                Next::Wait { condition, then: vec![insert(want, id, &new)] }
            }
            _ => Next::Calls(vec![insert(want, id, &new)]),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match perform(&self.catalogue, call).await {
            // The same row: it was asked for already.
            Err(error) if error.class == Class::AlreadyExists => Ok(Sent::default()),
            done => done,
        }
    }
}

fn signals(was: Option<&Was>) -> u32 {
    was.and_then(|was| was.outputs.as_ref()).map_or(0, |outputs| outputs.signals)
}

/// The tables that were not asked for at this place.
fn new_tables(want: &Props, was: Option<&Was>) -> BTreeSet<String> {
    let known = was.filter(|was| was.outputs.is_some() && was.props.place == want.place);
    match known {
        Some(was) => want.tables.difference(&was.props.tables).cloned().collect(),
        None => want.tables.clone(),
    }
}

/// At most 42 characters fit.
fn id(lineage: &str, want: &Props, signals: u32, tables: &BTreeSet<String>) -> String {
    let tables: Vec<_> = tables.iter().map(String::as_str).collect();
    let text =
        [lineage, &want.connector, &want.place, &signals.to_string(), &tables.join(",")].join("\n");
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("mskp-{hex}")
}

fn insert(want: &Props, id: String, new: &BTreeSet<String>) -> Proposed<Call> {
    let names: Vec<_> = new.iter().map(String::as_str).collect();
    let data = serde_json::json!({ "data-collections": names, "type": "incremental" }).to_string();
    let change =
        Change::InsertRow { table: want.table.clone(), id, kind: "execute-snapshot".into(), data };
    let what = format!("rows that {} has already come out as `r` events", names.join(", "));
    proposed(&want.at, Effect::Update, change)
        .fields(names.iter().map(|name| Field::new("tables", None::<()>, Some(name))))
        .data(DataEffect::new(Verdict::None, what))
        .may_change(&["signals"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, ops};

    fn want(tables: &[&str]) -> Props {
        Props {
            at: Place::mysql("orders"),
            table: TableName::parse("cdc.signal").expect("a table"),
            connector: "orders".into(),
            place: "offsets.1".into(),
            tables: tables.iter().map(|table| (*table).to_owned()).collect(),
            beat: None,
        }
    }

    fn next(want: Props, was: Option<Props>, written: Option<String>) -> Next<Call, Outputs> {
        let kind = Signal::new(Arc::new(Nowhere));
        let there = There { written, silent: false };
        let seen = (was.is_some() || there.written.is_some()).then_some(Seen::There(there));
        let was = was.map(|props| Recorded { props, outputs: Some(Outputs { signals: 1 }) });
        kind.calls(&Case { was, ..case(Some(want), seen) })
    }

    fn row(next: &Next<Call, Outputs>) -> (String, String) {
        let Next::Calls(calls) = next else { panic!("{next:?}") };
        let Change::InsertRow { id, data, .. } = &calls[0].call.change else { panic!() };
        (id.clone(), data.clone())
    }

    #[test]
    fn tables_are_asked_for_once_at_each_place() {
        let (one, two) = (|| want(&["shop.a"]), || want(&["shop.a", "shop.b"]));
        let (_, data) = row(&next(two(), None, None));
        assert!(data.contains("shop.a") && data.contains("shop.b"), "{data}");
        let (_, data) = row(&next(two(), Some(one()), None));
        assert!(!data.contains("shop.a") && data.contains("shop.b"), "{data}");
        assert_eq!(ops(&next(two(), Some(two()), None)), "converged");
        assert_eq!(ops(&next(one(), Some(two()), None)), "converged");
        let elsewhere = Props { place: "offsets.2".into(), ..one() };
        let (_, data) = row(&next(two(), Some(elsewhere), None));
        assert!(data.contains("shop.a") && data.contains("shop.b"), "{data}");
    }

    #[test]
    fn the_first_signal_waits_for_the_connector_to_stream() {
        let kind = Signal::new(Arc::new(Nowhere));
        let next = kind.calls(&case(Some(want(&["shop.a"])), Some(Seen::There(There::SILENT))));
        let Next::Wait { then, .. } = &next else { panic!("{next:?}") };
        assert_eq!(then.len(), 1, "what is planned is listed");
        let next = kind.calls(&case(Some(want(&["shop.a"])), Some(Seen::There(There::STREAMS))));
        assert_eq!(ops(&next), "InsertRow");
    }

    #[test]
    fn the_same_call_is_the_same_row_and_its_row_ends_it() {
        let (id, _) = row(&next(want(&["shop.a"]), None, None));
        assert_eq!(row(&next(want(&["shop.a"]), None, None)).0, id);
        assert!(id.len() <= 42, "{id}");
        assert_eq!(ops(&next(want(&["shop.a"]), None, Some(id.clone()))), "converged");
        // A table that was taken away and is added again is another signal.
        let again = next(want(&["shop.a"]), Some(want(&[])), Some(id.clone()));
        assert_ne!(row(&again).0, id);
    }
}
