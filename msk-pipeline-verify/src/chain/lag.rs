//! How far a connector is behind its source: where the server's binary log ends, and what the connector has committed.

use serde::{Deserialize, Serialize};

use super::mysql::BinlogPosition;
use super::postgres::Slot;
use crate::check::Check;

/// Where the server's binary log ends and what a connector has committed.
///
/// Connect commits once a minute, and a quiet database's position is moved by heartbeats alone: a distance of minutes is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The server's end; `None` without binary log, or without the right to ask.
    pub server: Option<BinlogPosition>,
    /// The connector's; `None` if it has committed nothing.
    pub committed: Option<BinlogPosition>,
    /// The files that the server still has, with their sizes in bytes, the oldest first; empty without the right to ask.
    pub files: Vec<(String, u64)>,
}

impl Lag {
    /// The distance in bytes; `None` if an end of it is not known, or the files between are not.
    pub fn bytes(&self) -> Option<u64> {
        let (server, committed) = (self.server.as_ref()?, self.committed.as_ref()?);
        if server.file == committed.file {
            return Some(server.position.saturating_sub(committed.position));
        }
        let at = |file: &str| self.files.iter().position(|(name, _)| name == file);
        let (from, to) = (at(&committed.file)?, at(&server.file)?);
        let between: u64 = self.files.get(from..to)?.iter().map(|(_, size)| size).sum();
        Some((between + server.position).saturating_sub(committed.position))
    }

    /// True if the server has deleted what comes after the committed position.
    pub fn purged(&self) -> bool {
        let has = |at: &BinlogPosition| self.files.iter().any(|(name, _)| *name == at.file);
        !self.files.is_empty() && self.committed.as_ref().is_some_and(|at| !has(at))
    }
}

/// Judges a distance: `most` bytes are fine. `young`: the connector runs since so short a time that it need not have committed. Pure.
pub fn judge_lag(lag: &Lag, most: u64, young: bool) -> Check {
    const NAME: &str = "binary log distance";
    let Some(committed) = &lag.committed else {
        let found = "the connector has committed no position";
        return if young {
            Check::pass(NAME, format!("{found} yet: Connect does so once a minute"))
        } else {
            Check::fail(NAME, "C-LAG", found, &[])
                .advise("Look at `explain`: a task that runs commits its place once a minute.")
        };
    };
    let at = format!("committed {} {}", committed.file, committed.position);
    if lag.purged() {
        let found = format!("{at}, which the server has deleted");
        return Check::fail(NAME, "C-MYSQL-PURGED", found, &[]);
    }
    match lag.bytes() {
        None => Check::unreachable(
            NAME,
            format!("the end of the binary log ({at})"),
            "The capture user needs REPLICATION CLIENT, and the server its binary log.",
        ),
        Some(bytes) if bytes <= most => Check::pass(NAME, format!("{bytes} bytes, {at}")),
        Some(bytes) => Check::fail(
            NAME,
            "C-LAG",
            format!("{bytes} bytes, {at}; more than {most} bytes is far behind"),
            &[],
        )
        .advise("If it shrinks, wait. If it grows, the connector is slower than the source: more partitions and a larger `max.batch.size`, or more MCUs.")
        .advise("Keep binary logs for longer until it has caught up: what is deleted before it is read is lost."),
    }
}

/// Judges a replication slot by what its reader has confirmed: `most` bytes of WAL behind are fine. `young`: the connector runs since so short a
/// time that it need not read yet. Pure.
pub fn judge_slot(slot: Option<&Slot>, name: &str, most: u64, young: bool) -> Check {
    const NAME: &str = "replication slot distance";
    let values = [("slot", name), ("slot.name", name)];
    let Some(slot) = slot else {
        let found = format!("there is no slot {name}");
        return Check::fail(NAME, "C-PG-SLOT-MISSING", found, &values);
    };
    if slot.wal_status.as_deref() == Some("lost") {
        return Check::fail(NAME, "C-PG-SLOT-LOST", "wal_status = lost", &values);
    }
    if !slot.active && !young {
        let found =
            format!("nobody reads the slot {name}, and the server keeps all that is written");
        return Check::fail(NAME, "C-LAG", found, &[])
            .advise("Look at `explain`: a connector that runs holds its slot.");
    }
    match slot.behind.and_then(|behind| u64::try_from(behind).ok()) {
        None => Check::unreachable(
            NAME,
            format!("what the slot {name} holds back"),
            "Ask at the cluster's writer endpoint: a reader has no slots.",
        ),
        Some(behind) if behind <= most => Check::pass(NAME, format!("{behind} bytes")),
        Some(behind) => Check::fail(
            NAME,
            "C-LAG",
            format!("{behind} bytes; more than {most} bytes is far behind"),
            &[],
        )
        .advise("If it shrinks, wait. If it grows, the connector is slower than the source: a larger `max.batch.size`, or more MCUs.")
        .advise("The server keeps all of it until it is read: watch its free storage."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_judged() {
        let slot = |active, behind| Slot { active, wal_status: Some("reserved".into()), behind };
        let code = |slot: Option<&Slot>, young| {
            judge_slot(slot, "s", 1_000, young).code().map(str::to_owned)
        };
        assert_eq!(code(Some(&slot(true, Some(1_000))), false), None);
        assert_eq!(code(Some(&slot(true, Some(1_001))), false).as_deref(), Some("C-LAG"));
        assert_eq!(code(Some(&slot(false, Some(0))), false).as_deref(), Some("C-LAG"));
        assert_eq!(code(Some(&slot(false, Some(0))), true), None);
        assert_eq!(code(None, true).as_deref(), Some("C-PG-SLOT-MISSING"));
        let lost = Slot { wal_status: Some("lost".into()), ..slot(true, None) };
        assert_eq!(code(Some(&lost), true).as_deref(), Some("C-PG-SLOT-LOST"));
        let unknown = judge_slot(Some(&slot(true, None)), "s", 0, false);
        assert!(!unknown.passed() && !unknown.failed(), "{unknown}");
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
    fn at(file: &str, position: u64) -> Option<BinlogPosition> {
        Some(BinlogPosition { file: file.into(), position })
    }

    fn lag(server: Option<BinlogPosition>, committed: Option<BinlogPosition>) -> Lag {
        let files = vec![("b.2".into(), 1_000), ("b.3".into(), 2_000), ("b.4".into(), 900)];
        Lag { server, committed, files }
    }

    #[test]
    fn the_distance_is_told_within_a_file_and_over_files() {
        assert_eq!(lag(at("b.4", 900), at("b.4", 400)).bytes(), Some(500));
        assert_eq!(lag(at("b.4", 300), at("b.4", 400)).bytes(), Some(0));
        assert_eq!(lag(at("b.4", 900), at("b.2", 400)).bytes(), Some(600 + 2_000 + 900));
        assert_eq!(lag(at("b.4", 900), at("b.1", 400)).bytes(), None);
        let unknown = Lag { files: Vec::new(), ..lag(at("b.4", 900), at("b.2", 400)) };
        assert_eq!((unknown.bytes(), unknown.purged()), (None, false));
    }

    #[test]
    fn a_distance_is_judged() {
        let code = |lag: &Lag, young| judge_lag(lag, 1_000, young).code().map(str::to_owned);
        assert_eq!(code(&lag(at("b.4", 900), at("b.3", 1_900)), false), None);
        assert_eq!(code(&lag(at("b.4", 900), at("b.3", 1_899)), false).as_deref(), Some("C-LAG"));
        let purged = lag(at("b.4", 900), at("b.1", 400));
        assert_eq!(code(&purged, false).as_deref(), Some("C-MYSQL-PURGED"));
        assert_eq!(code(&lag(at("b.4", 9), None), false).as_deref(), Some("C-LAG"));
        assert!(judge_lag(&lag(at("b.4", 9), None), 0, true).passed());
        let unknown = judge_lag(&lag(None, at("b.4", 9)), 0, false);
        assert!(!unknown.passed() && !unknown.failed(), "{unknown}");
    }
}
