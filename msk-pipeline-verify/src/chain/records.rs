//! What a topic holds: for counting, and for topics that fit into memory.

use super::kafka::{Kafka, KafkaError};
use crate::check::Check;
use crate::reach::Reach;

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
    /// Every record that a topic holds now, in the order of each partition.
    ///
    /// # Errors
    /// As soon as one partition can't be read: a part would look like all.
    pub async fn records(&self, topic: &str, reach: &Reach) -> Result<Vec<KeyValue>, RecordsError> {
        let broker = self.connect(reach).await.map_err(RecordsError::Brokers)?;
        let mut all = Vec::new();
        let scanned = broker.scan(topic, |record| all.push((record.key, record.value))).await;
        scanned.map_err(RecordsError::Topic)?;
        Ok(all)
    }
}
