//! The stored forms: the lease, a segment of the journal, the snapshot. Each is one JSON document with a version.

use msk_pipeline_core::state::{Holder, Stamped, State, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the three forms. It is raised when a field is added.
pub(super) const FORMAT: u32 = 1;

/// Who may write. Every renewal differs from the one before, so that its `ETag` does too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseNote {
    pub(super) format: u32,
    /// Which lease; drawn for each.
    pub(super) lease: String,
    /// Raised with every note that is sent, stored or not.
    pub(super) renewal: u64,
    pub(super) holder: Holder,
    /// Given back: whoever comes may take it.
    pub(super) released: bool,
}

impl LeaseNote {
    pub(super) fn new(lease: String, holder: Holder) -> Self {
        Self { format: FORMAT, lease, renewal: 0, holder, released: false }
    }

    pub(super) fn renewed(&self, renewal: u64) -> Self {
        Self { renewal, ..self.clone() }
    }

    pub(super) fn given_back(&self, renewal: u64) -> Self {
        Self { released: true, ..self.renewed(renewal) }
    }
}

/// One batch of the journal. Its number is its name, so that a number is given once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) format: u32,
    /// Gapless, from 1.
    pub(super) number: u64,
    /// Under which lease it was written.
    pub(super) lease: String,
    pub(super) holder: Holder,
    /// None in the segment that begins a lease: it only takes the number away from whoever wrote before.
    pub(super) entries: Vec<Stamped>,
}

/// Everything up to a segment, folded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) format: u32,
    /// The newest segment that is folded in.
    pub(super) segment: u64,
    /// Under which lease it was written.
    pub(super) lease: String,
    pub(super) state: State,
}

pub(super) fn write(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("stored forms have string keys only")
}

/// Reads a stored form; one of a newer version is told apart from one that is damaged.
pub(super) fn read<T: DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    if let Ok(Version { format }) = serde_json::from_slice(bytes)
        && format > FORMAT
    {
        return Err(StoreError::Newer { found: format, supported: FORMAT });
    }
    serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Damaged { file: place.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::Timestamp;

    use super::*;

    fn holder() -> Holder {
        Holder { who: "ann@here, process 1".into(), why: "apply".into(), since: Timestamp(7) }
    }

    #[test]
    fn no_two_notes_of_a_lease_are_alike() {
        let first = LeaseNote::new("l".into(), holder());
        let second = first.renewed(1);
        let all = [write(&first), write(&second), write(&first.given_back(1))];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }

    #[test]
    fn a_newer_form_is_told_apart_from_damage() {
        let note = LeaseNote { format: FORMAT + 1, ..LeaseNote::new("l".into(), holder()) };
        let newer = read::<LeaseNote>("lease", &write(&note));
        assert!(matches!(newer, Err(StoreError::Newer { found: 2, supported: 1 })), "{newer:?}");
        let whole = write(&LeaseNote::new("l".into(), holder()));
        let damaged = read::<LeaseNote>("lease", &whole[..whole.len() - 1]);
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
    }

    /// The form as version 1 wrote it: it has to stay readable.
    #[test]
    fn the_first_form_is_read() {
        let holder_text = r#"{"who":"ann@here, process 1","why":"apply","since":7}"#;
        let note = format!(
            r#"{{"format":1,"lease":"l","renewal":2,"holder":{holder_text},"released":false}}"#
        );
        let expected = LeaseNote::new("l".into(), holder()).renewed(2);
        assert_eq!(read::<LeaseNote>("lease", note.as_bytes()).unwrap(), expected);
        let segment = format!(
            r#"{{"format":1,"number":3,"lease":"l","holder":{holder_text},"entries":[{{"seq":9,"at":5,"entry":"run_finished","complete":true}}]}}"#
        );
        let segment: Segment = read("segment", segment.as_bytes()).unwrap();
        assert_eq!((segment.number, segment.entries[0].seq), (3, 9));
    }
}
