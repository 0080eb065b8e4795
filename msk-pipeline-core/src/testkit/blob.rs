//! `toy.blob`: an immutable object with its content's hash in its name; a new content is a new object, and the old one goes last.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::cloud::{Status, ToyCloud, View};
use crate::clock::Clock;
use crate::entropy::hex;
use crate::kind::{
    CallError, Case, Class, Condition, DataEffect, Effect, Guard, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Succession, Target,
};

/// The kind `toy.blob`.
#[derive(Clone)]
pub struct Blob {
    /// Where blobs live.
    pub cloud: ToyCloud,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What is wanted of a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobProps {
    /// The beginning of its physical name.
    pub name: String,
    /// What is in it.
    pub content: String,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobOutputs {
    /// The id.
    pub id: String,
}

/// The changing requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobCall {
    /// Makes it.
    Create {
        /// Its physical name.
        name: String,
        /// What is in it.
        content: String,
        /// The mark.
        tags: BTreeMap<String, String>,
    },
    /// Deletes it.
    Delete {
        /// Its physical name.
        name: String,
    },
}

#[async_trait]
impl Kind for Blob {
    const TYPE: &'static str = "toy.blob";

    type Props = BlobProps;
    type Seen = View;
    type Outputs = BlobOutputs;
    type Call = BlobCall;

    fn name(props: &BlobProps) -> String {
        format!("{}-{}", props.name, &hex(&Sha256::digest(&props.content))[..8])
    }

    fn succession() -> Succession {
        Succession::CreateFirst
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<View>, CallError> {
        Ok(self.cloud.describe(&Self::name(&target.props), self.clock.wall()))
    }

    fn mark(seen: &View) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn calls(&self, case: &Case<Self>) -> Next<BlobCall, BlobOutputs> {
        let wait = |what: &str, seen: &View, then| Next::Wait {
            condition: Condition::new(what, format!("{:?}", seen.status), ToyCloud::CREATE),
            then,
        };
        let create = |want: &BlobProps| {
            let (name, content) = (Self::name(want), want.content.clone());
            let call = BlobCall::Create { name, content, tags: case.mark.tags() };
            Proposed::new("blob:Create", Effect::Create, call).usual(ToyCloud::CREATE)
        };
        let delete = || {
            let name = case.was.as_ref().map_or_else(String::new, |was| Self::name(&was.props));
            Proposed::new("blob:Delete", Effect::Delete, BlobCall::Delete { name })
                .usual(ToyCloud::DELETE)
        };
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (Some(want), None) => Next::Calls(vec![create(want)]),
            (None, Some(seen)) => match seen.status {
                Status::Deleting => wait("blob deleted", seen, Vec::new()),
                Status::Creating | Status::Updating => wait("blob idle", seen, vec![delete()]),
                Status::Ready | Status::Failed => Next::Calls(vec![delete()]),
            },
            (Some(want), Some(seen)) => match seen.status {
                Status::Ready => Next::Converged(BlobOutputs { id: seen.id.clone() }),
                Status::Deleting => wait("blob deleted", seen, vec![create(want)]),
                Status::Creating | Status::Updating => wait("blob ready", seen, Vec::new()),
                Status::Failed if case.pursuit.is_some() => Next::Failed {
                    cause: seen.operation.failed.clone().unwrap_or_default(),
                    help: "run again to try once more".into(),
                },
                Status::Failed => Next::Replace {
                    because: "it could not be made".into(),
                    effect: DataEffect::NONE,
                },
            },
        }
    }

    async fn perform(&self, call: &BlobCall, _guard: &Guard) -> Result<Sent, CallError> {
        let now = self.clock.wall();
        let operation = match call {
            BlobCall::Create { name, content, tags } => {
                let fields = BTreeMap::from([("content".into(), json!(content))]);
                self.cloud.create("blob:Create", name, fields, tags.clone(), now)?
            }
            BlobCall::Delete { name } => match self.cloud.delete("blob:Delete", name, now) {
                Err(error) if error.class == Class::NotFound => return Ok(Sent::default()),
                answer => answer?,
            },
        };
        Ok(Sent { operation: Some(operation), id: None })
    }
}
