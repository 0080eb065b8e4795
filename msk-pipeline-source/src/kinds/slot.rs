//! `postgres.slot`: the logical replication slot that a connector reads.
//!
//! The server keeps what a slot's reader has not read. So the slot is made before its connector, and no change is missed; and it is dropped
//! right after it, because one that nobody reads fills the disk.
//!
//! # Guarantees
//! A slot that was dropped or lost is made again, and the plan says that changes were missed. One that somebody reads from is not dropped: the
//! step tries again until it is free.
//! # Caveats
//! * A slot takes no comment, so it takes no mark: it is ours by the record, or by a create that was announced before it was seen.
//! * It begins when every transaction that was open is over; with a long one the step says so and tries again.
//! * A failover keeps it (Aurora's storage is one); a major upgrade and a restored snapshot don't.
//! # Sources
//! Handbook aws.md §4.10; view `pg_replication_slots` and section 'Replication Management Functions', PostgreSQL 16.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, DataEffect, Effect, Guard, Input, Kind, MarkSeen, Next,
    Proposed, Sent, Status, Succession, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use super::{Call, Seen, made_by_another, observe, obstacle, perform, proposed};
use crate::catalogue::{Catalogue, Slot as Found};
use crate::change::Change;
use crate::place::Place;
use crate::postgres::PLUGIN;

/// The kind.
pub struct Slot {
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
    /// The slot; its name is the server's, not the database's.
    pub name: String,
    /// It goes with its cluster when that is deleted.
    #[serde(default)]
    pub with_server: bool,
}

/// A slot that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct There {
    #[serde(flatten)]
    slot: Found,
    /// Recorded, or seen after our own create was begun.
    ours: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The slot.
    pub slot: String,
}

impl Slot {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[async_trait]
impl Kind for Slot {
    const TYPE: &'static str = "postgres.slot";
    type Props = Props;
    type Seen = Seen<There>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        format!("{}/{}", props.at.cluster, props.name)
    }

    fn succession() -> Succession {
        // The connector moves to the new slot before the old one goes.
        Succession::CreateFirst
    }

    fn visibility() -> Duration {
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, server, name, .. } = &target.props;
        let ours = target.is_recorded();
        let seen = observe(target, server, self.catalogue.slot(at, name)).await?;
        Ok(seen.map(|seen| seen.map(|slot| There { slot, ours })))
    }

    fn mark(seen: &Self::Seen) -> MarkSeen {
        match seen {
            Seen::There(There { ours: false, .. }) => MarkSeen::Absent,
            _ => MarkSeen::ByParent,
        }
    }

    fn status(seen: &Self::Seen) -> Option<Status> {
        Some(match seen {
            Seen::There(There { slot, .. }) if slot.lost => {
                Status::new("lost").says(Some("what it kept was removed"))
            }
            Seen::There(There { slot, .. }) if slot.active => Status::new("active"),
            Seen::There(_) => Status::new("inactive"),
            seen => seen.status(),
        })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let was = case.was.as_ref().map(|was| &was.props);
        if let Some(next) = obstacle(case, was.is_some_and(|was| was.with_server)) {
            return next;
        }
        // State knows it as one that connectors read.
        let known = case.was.as_ref().is_some_and(|was| was.outputs.is_some());
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(_)) => was.map_or(Next::Gone, |was| Next::Calls(vec![remove(was)])),
            (Some(want), Some(Seen::There(There { slot, .. }))) => match unfit(want, slot) {
                None => Next::Converged(Outputs { slot: want.name.clone() }),
                Some(because) => {
                    let gap = DataEffect::new(Verdict::Gap, because);
                    Next::Calls(vec![remove(want).data(gap.clone()), create(want).data(gap)])
                }
            },
            (Some(want), _) => {
                let effect = if known { dropped() } else { DataEffect::NONE };
                Next::Calls(vec![create(want).data(effect)])
            }
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        perform(&self.catalogue, call).await.map_err(made_by_another)
    }
}

/// Why nobody can read from a slot as it is.
fn unfit(want: &Props, slot: &Found) -> Option<String> {
    const AGAIN: &str = "changes are missed until a new one is made: read the tables again";
    if slot.lost {
        return Some(format!("what the slot kept was removed (wal_status = lost): {AGAIN}"));
    }
    if slot.plugin != PLUGIN {
        return Some(format!("the slot is of the plugin `{}`: {AGAIN}", slot.plugin));
    }
    let other = want.at.database.as_ref().filter(|wanted| **wanted != slot.database);
    other.map(|_| format!("the slot is of the database `{}`: {AGAIN}", slot.database))
}

fn dropped() -> DataEffect {
    DataEffect::new(
        Verdict::Gap,
        "the slot was dropped: changes are missed from then until now; read the tables again",
    )
}

fn create(want: &Props) -> Proposed<Call> {
    proposed(&want.at, Effect::Create, Change::CreateSlot { name: want.name.clone() })
        .fields([
            Field::new("slot", None::<()>, Some(&want.name)),
            Field::new("plugin", None::<()>, Some(PLUGIN)),
        ])
        .may_change(&["slot"])
}

fn remove(was: &Props) -> Proposed<Call> {
    proposed(&was.at, Effect::Delete, Change::DropSlot { name: was.name.clone() })
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Recorded;

    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, ops};

    fn want() -> Props {
        Props {
            at: Place::postgres("orders", "shop"),
            server: "arn".into(),
            name: "orders_1".into(),
            with_server: false,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `case` takes")]
    fn found(change: impl FnOnce(&mut Found)) -> Option<Seen<There>> {
        let (plugin, database) = (PLUGIN.to_owned(), "shop".to_owned());
        let mut slot = Found { plugin, database, active: true, lost: false };
        change(&mut slot);
        Some(Seen::There(There { slot, ours: true }))
    }

    #[track_caller]
    fn check(want: Option<Props>, was: Option<Props>, seen: Option<Seen<There>>, expected: &str) {
        let outputs = Some(Outputs { slot: "orders_1".into() });
        let was = was.map(|props| Recorded { props, outputs });
        let kind = Slot::new(Arc::new(Nowhere));
        assert_eq!(ops(&kind.calls(&Case { was, ..case(want, seen) })), expected);
    }

    #[test]
    fn what_was_missed_is_told() {
        let ours = || Some(want());
        check(ours(), None, None, "CreateSlot");
        check(ours(), ours(), found(|_| ()), "converged");
        check(ours(), ours(), found(|slot| slot.active = false), "converged");
        check(ours(), ours(), None, "CreateSlot gap");
        let again = "DropSlot gap, CreateSlot gap";
        check(ours(), ours(), found(|slot| slot.lost = true), again);
        check(ours(), ours(), found(|slot| slot.plugin = "wal2json".into()), again);
        check(ours(), ours(), found(|slot| slot.database = "other".into()), again);
    }

    #[test]
    fn it_goes_if_it_is_there() {
        check(None, Some(want()), found(|_| ()), "DropSlot");
        check(None, Some(want()), None, "gone");
        let away =
            || Some(Seen::Unreached(crate::Unreached { what: "w".into(), open: "o".into() }));
        check(None, Some(want()), away(), "refuse");
        check(None, Some(Props { with_server: true, ..want() }), away(), "kept");
    }

    #[test]
    fn it_is_ours_by_the_record_alone() {
        let seen = |ours| Seen::There(There { slot: Found::default(), ours });
        assert_eq!(Slot::mark(&seen(true)), MarkSeen::ByParent);
        assert_eq!(Slot::mark(&seen(false)), MarkSeen::Absent);
    }

    #[test]
    fn a_new_slot_is_there_before_the_old_one_goes() {
        assert_eq!(Slot::succession(), Succession::CreateFirst);
    }
}
