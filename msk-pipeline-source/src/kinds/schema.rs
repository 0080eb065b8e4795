//! `database.schema`: the schema that the tool keeps its tables in.
//!
//! # Guarantees
//! One that exists already is used and never dropped. One that was made here is dropped once nothing is in it but the tool's own tables,
//! which go before it; with a table of somebody else in it, it stays.
//! # Caveats
//! * MySQL has no comment of schemas, so it takes no mark: that it was made here is recorded.
//! * `DROP DATABASE` of MySQL asks nobody. That the schema is empty is looked at right before it; a table that is made in between goes with it.
//!   PostgreSQL drops none that isn't empty.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, Class, Effect, Guard, Input, Kind, MarkSeen, Next, Proposed,
    Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use super::{Call, Seen, made_by_another, observe, obstacle, perform, proposed};
use crate::catalogue::{Catalogue, Look, Schema as Found};
use crate::change::Change;
use crate::place::Place;

/// The kind.
pub struct Schema {
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
    /// The schema.
    pub name: String,
    /// The tool's own tables in it.
    pub own: BTreeSet<String>,
    /// It goes with its cluster when that is deleted.
    #[serde(default)]
    pub with_server: bool,
}

/// A schema that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct There {
    #[serde(flatten)]
    schema: Found,
    /// Recorded as made here, or seen after our own create was begun.
    made_here: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The schema.
    pub schema: String,
    /// Whether it was made here.
    pub made_here: bool,
}

impl Schema {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[async_trait]
impl Kind for Schema {
    const TYPE: &'static str = "database.schema";
    type Props = Props;
    type Seen = Seen<There>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        format!("{}/{}", props.at.cluster, props.name)
    }

    fn visibility() -> Duration {
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, server, name, .. } = &target.props;
        let was = target.was.as_ref();
        // One that never became ready was being made.
        let recorded = was.is_some_and(|was| was.outputs.as_ref().is_none_or(|o| o.made_here));
        let made_here = recorded || target.pursuit.is_some();
        let seen = observe(target, server, self.catalogue.schema(at, name)).await?;
        Ok(seen.map(|seen| seen.map(|schema| There { schema, made_here })))
    }

    fn mark(_seen: &Self::Seen) -> MarkSeen {
        MarkSeen::ByParent
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
            (None, Some(Seen::There(there))) => delete(was, there),
            (Some(want), Some(Seen::There(there))) => {
                Next::Converged(Outputs { schema: want.name.clone(), made_here: there.made_here })
            }
            (Some(want), _) => Next::Calls(vec![create(want)]),
            (None, _) => Next::Gone,
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        if let Change::DropSchema { name } = &call.change
            && let Look::Found(schema) = self.catalogue.schema(&call.at, name).await?
            && !schema.tables.is_empty()
        {
            let tables: Vec<_> = schema.tables.iter().map(String::as_str).collect();
            let message = format!("the schema {name} still has {}", tables.join(", "));
            return Err(CallError::new(Class::Conflict, call.change.op(), message));
        }
        perform(&self.catalogue, call).await.map_err(made_by_another)
    }
}

fn create(want: &Props) -> Proposed<Call> {
    proposed(&want.at, Effect::Create, Change::CreateSchema { name: want.name.clone() })
        .fields([Field::new("schema", None::<()>, Some(&want.name))])
        .may_change(&["schema", "made_here"])
}

fn delete(was: Option<&Props>, there: &There) -> Next<Call, Outputs> {
    let Some(was) = was.filter(|_| there.made_here) else { return Next::Kept };
    if !there.schema.tables.is_subset(&was.own) {
        return Next::Kept;
    }
    let change = Change::DropSchema { name: was.name.clone() };
    Next::Calls(vec![proposed(&was.at, Effect::Delete, change)])
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Recorded;

    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, ops};

    fn want() -> Props {
        Props {
            at: Place::mysql("orders"),
            server: "arn".into(),
            name: "cdc".into(),
            own: ["signal".into(), "heartbeat".into()].into(),
            with_server: false,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `case` takes")]
    fn seen(tables: &[&str], made_here: bool) -> Option<Seen<There>> {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        Some(Seen::There(There { schema: Found { tables }, made_here }))
    }

    fn kind() -> Schema {
        Schema::new(Arc::new(Nowhere))
    }

    #[test]
    fn it_is_made_once_and_used_where_it_exists() {
        assert_eq!(ops(&kind().calls(&case(Some(want()), None))), "CreateSchema");
        let next = kind().calls(&case(Some(want()), seen(&["theirs"], false)));
        assert_eq!(next, Next::Converged(Outputs { schema: "cdc".into(), made_here: false }));
    }

    #[test]
    fn it_goes_only_if_it_was_made_here_and_holds_nothing_of_others() {
        let delete = |seen| {
            let outputs = Some(Outputs { schema: "cdc".into(), made_here: true });
            let was = Some(Recorded { props: want(), outputs });
            ops(&kind().calls(&Case { was, ..case(None, seen) }))
        };
        assert_eq!(delete(seen(&[], true)), "DropSchema");
        assert_eq!(delete(seen(&["signal"], true)), "DropSchema");
        assert_eq!(delete(seen(&["signal", "theirs"], true)), "kept");
        assert_eq!(delete(seen(&[], false)), "kept");
        assert_eq!(delete(None), "gone");
    }
}
