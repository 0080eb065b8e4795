//! What a topic holds: for counting, and for topics that fit into memory.

use std::time::Duration;

use rskafka::client::partition::OffsetAt;

use super::kafka::{Kafka, KafkaError};
use crate::check::Check;
use crate::reach::Reach;

/// A broker that has records answers at once; so long it waits for some where it has none.
const WAIT: Duration = Duration::from_millis(200);

/// A record's key and value; either may be missing.
pub type KeyValue = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Why a topic could not be read.
#[derive(Debug)]
pub enum RecordsError {
    /// The brokers can't be used.
    Brokers(Check),
    /// The topic isn't there, or its leader doesn't answer.
    Topic(KafkaError),
}

impl Kafka {
    /// Every record of a topic from its beginning to its end, in the order of each partition.
    ///
    /// # Errors
    /// As soon as one partition can't be read: a part would look like all.
    pub async fn records(&self, topic: &str, reach: &Reach) -> Result<Vec<KeyValue>, RecordsError> {
        let broker = self.connect(reach).await.map_err(RecordsError::Brokers)?;
        let reader = broker.read(topic, OffsetAt::Earliest).await;
        let mut reader = reader.map_err(RecordsError::Topic)?;
        let mut all = Vec::new();
        loop {
            let records = reader.poll(WAIT).await.map_err(RecordsError::Topic)?;
            if records.is_empty() {
                return Ok(all);
            }
            all.extend(records.into_iter().map(|r| (r.record.key, r.record.value)));
        }
    }
}
