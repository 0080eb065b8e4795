//! `mysql.binlog-retention`: for how many hours a cluster keeps its binary logs.
//!
//! # Guarantees
//! A cluster of the pipeline keeps them for exactly so long, one that exists already for at least so long: others may need more.
//! # Caveats
//! It is a setting of the server, which always has one: nothing of it is made or removed. A destroy leaves it as it is, because less might
//! purge what others read.
//! # Sources
//! Handbook aws.md §4.9: `mysql.rds_set_configuration`, which no API replaces.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, DataEffect, Effect, Guard, Input, Kind, MarkSeen, Next,
    Proposed, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use super::{Call, Seen, observe, obstacle, perform, proposed};
use crate::catalogue::Catalogue;
use crate::change::Change;
use crate::place::Place;

/// The kind.
pub struct Retention {
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
    /// For how many hours.
    pub hours: u32,
    /// More is as good.
    #[serde(default)]
    pub at_least: bool,
}

/// What is observed: the hours; `None` keeps them only as long as the server needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours(Option<u32>);

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// For how many hours at least.
    pub hours: u32,
}

impl Retention {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[async_trait]
impl Kind for Retention {
    const TYPE: &'static str = "mysql.binlog-retention";
    type Props = Props;
    type Seen = Seen<Hours>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        format!("{}/binlog-retention", props.at.cluster)
    }

    fn visibility() -> Duration {
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, server, .. } = &target.props;
        let seen = observe(target, server, self.catalogue.retention(at)).await?;
        Ok(seen.map(|seen| seen.map(Hours)))
    }

    fn mark(_seen: &Self::Seen) -> MarkSeen {
        MarkSeen::ByParent
    }

    fn status(seen: &Self::Seen) -> Option<Status> {
        Some(match seen {
            Seen::There(Hours(Some(hours))) => Status::new(format!("{hours} h")),
            Seen::There(Hours(None)) => Status::new("none"),
            seen => seen.status(),
        })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let Some(want) = &case.want else { return Next::Gone };
        if let Some(next) = obstacle(case, false) {
            return next;
        }
        match &case.seen {
            Some(Seen::There(Hours(hours))) => {
                let enough = match hours {
                    Some(hours) if want.at_least => *hours >= want.hours,
                    hours => *hours == Some(want.hours),
                };
                if enough {
                    return Next::Converged(Outputs { hours: want.hours });
                }
                Next::Calls(vec![set(want, *hours)])
            }
            _ => Next::Calls(vec![set(want, None)]),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        perform(&self.catalogue, call).await
    }
}

fn set(want: &Props, from: Option<u32>) -> Proposed<Call> {
    let change = Change::SetRetention { hours: want.hours };
    let call = proposed(&want.at, Effect::Update, change)
        .fields([Field::new("hours", from, Some(want.hours))])
        .may_change(&["hours"]);
    if from.is_some_and(|from| from > want.hours) {
        let what = format!(
            "binary logs older than {} hours are purged: a connector that is behind them can't go on",
            want.hours
        );
        return call.data(DataEffect::new(Verdict::Gap, what));
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, ops};

    #[track_caller]
    fn check(want: Option<Props>, seen: Option<Hours>, expected: &str) {
        let kind = Retention::new(Arc::new(Nowhere));
        let seen = seen.map(Seen::There);
        assert_eq!(ops(&kind.calls(&case(want, seen))), expected);
    }

    #[test]
    fn it_is_exactly_or_at_least_so_long() {
        let want = |at_least| {
            Some(Props { at: Place::mysql("orders"), server: "arn".into(), hours: 168, at_least })
        };
        check(want(false), None, "SetRetention");
        check(want(false), Some(Hours(None)), "SetRetention");
        check(want(false), Some(Hours(Some(168))), "converged");
        check(want(false), Some(Hours(Some(24))), "SetRetention");
        check(want(false), Some(Hours(Some(500))), "SetRetention gap");
        check(want(true), Some(Hours(Some(500))), "converged");
        check(want(true), Some(Hours(Some(24))), "SetRetention");
        check(want(true), Some(Hours(None)), "SetRetention");
        check(None, Some(Hours(Some(168))), "gone");
    }
}
