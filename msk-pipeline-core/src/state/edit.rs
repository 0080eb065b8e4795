//! Changing what is recorded by hand: the few edits that a person may make without a run.

use super::record::{Record, State};
use crate::address::Address;

/// Why an edit is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Nothing is recorded there.
    #[error("nothing is recorded of `{0}`")]
    Unknown(Address),
    /// Something is recorded there already.
    #[error("`{0}` is recorded already")]
    Taken(Address),
    /// A call is under way, and who looks for its effect would not find it any more.
    #[error("{op} of `{address}` is in flight")]
    InFlight {
        /// Whose call.
        address: Address,
        /// The operation.
        op: String,
    },
    /// The other state is another pipeline's, or another account's or region's.
    #[error("it is the state of {found}, and this is {expected}")]
    OtherWorld {
        /// What is here.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The other state has another lineage: its marks are not on these objects.
    #[error("it has another lineage ({found}, not {expected})")]
    OtherLineage {
        /// The lineage here.
        expected: String,
        /// The lineage given.
        found: String,
    },
    /// The other state is older than this one.
    #[error("it is older: serial {found}, and here is {expected}")]
    Older {
        /// The serial here.
        expected: u64,
        /// The serial given.
        found: u64,
    },
    /// Resources are recorded.
    #[error("resources are recorded already: {0}")]
    Occupied(usize),
    /// The other state has a form that this code is too old for.
    #[error("it has format {0}, which this version does not know")]
    Newer(u32),
}

impl State {
    /// Moves what is recorded from one address to another, in dependencies, too. The mark on the object follows with the next apply.
    ///
    /// # Errors
    /// Nothing is recorded, the new address is taken, or a call is in flight.
    pub fn rename(&mut self, from: &Address, to: &Address) -> Result<(), EditError> {
        self.check_still(from)?;
        if self.records.contains_key(to) {
            return Err(EditError::Taken(to.clone()));
        }
        if let Some(record) = self.records.remove(from) {
            self.records.insert(to.clone(), record);
        }
        let objects =
            self.records.values_mut().flat_map(|r| r.current.iter_mut().chain(&mut r.deposed));
        for dep in objects.flat_map(|o| &mut o.deps).filter(|dep| *dep == from) {
            dep.clone_from(to);
        }
        self.serial += 1;
        Ok(())
    }

    /// Forgets a resource. Its objects stay where they are.
    ///
    /// # Errors
    /// Nothing is recorded, or a call is in flight.
    pub fn forget(&mut self, address: &Address) -> Result<Record, EditError> {
        self.check_still(address)?;
        let record =
            self.records.remove(address).ok_or_else(|| EditError::Unknown(address.clone()))?;
        self.serial += 1;
        Ok(record)
    }

    /// This state replaced by `other`, a copy of it that was kept or edited elsewhere. The journal goes on where it is.
    ///
    /// # Errors
    /// `other` is of another pipeline, account, region or lineage, or is older.
    pub fn replaced_by(&self, other: State) -> Result<State, EditError> {
        if other.format != Self::FORMAT {
            return Err(EditError::Newer(other.format));
        }
        let world = |s: &State| {
            format!("pipeline {} in account {}, region {}", s.pipeline, s.pin.account, s.pin.region)
        };
        if !self.lineage.is_empty() {
            if (&self.pipeline, &self.pin) != (&other.pipeline, &other.pin) {
                return Err(EditError::OtherWorld { expected: world(self), found: world(&other) });
            }
            if self.lineage != other.lineage {
                let (expected, found) = (self.lineage.clone(), other.lineage);
                return Err(EditError::OtherLineage { expected, found });
            }
            // Runs raise the serial when they start and end; between, only the head tells which copy is the older one.
            if (other.serial, other.head) < (self.serial, self.head) {
                return Err(EditError::Older { expected: self.serial, found: other.serial });
            }
            for (address, object, pending) in self.pending() {
                let there = other.records.get(address).and_then(|r| r.object(object.generation));
                if there.and_then(|o| o.pending.as_ref()) != Some(pending) {
                    let (address, op) = (address.clone(), pending.op.clone());
                    return Err(EditError::InFlight { address, op });
                }
            }
        }
        // A plan that was made before is stale.
        Ok(State { head: self.head, serial: other.serial + 1, ..other })
    }

    /// A state that was made again from marks, in the place of this one, which is lost. The journal goes on where it is.
    ///
    /// # Errors
    /// Something is recorded here.
    pub fn restored_from(&self, rebuilt: State) -> Result<State, EditError> {
        if !self.records.is_empty() {
            return Err(EditError::Occupied(self.records.len()));
        }
        let serial = self.serial.max(rebuilt.serial) + 1;
        Ok(State { head: self.head, serial, ..rebuilt })
    }

    fn check_still(&self, address: &Address) -> Result<(), EditError> {
        let record =
            self.records.get(address).ok_or_else(|| EditError::Unknown(address.clone()))?;
        let mut objects = record.current.iter().chain(&record.deposed);
        match objects.find_map(|o| o.pending.as_ref()) {
            None => Ok(()),
            Some(pending) => {
                Err(EditError::InFlight { address: address.clone(), op: pending.op.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::kind::{Effect, Guard};
    use crate::state::{Object, Pending, Pin};

    fn object(deps: &[&str]) -> Object {
        Object {
            generation: 1,
            kind: "toy".into(),
            version: 1,
            stage: "s".into(),
            name: "n".into(),
            props: serde_json::json!({}),
            outputs: serde_json::json!({ "id": "i" }),
            deps: deps.iter().map(|d| (*d).into()).collect(),
            pending: None,
            origin: None,
            adoption: None,
        }
    }

    fn state() -> State {
        let record = |deps: &[&str]| Record { current: Some(object(deps)), ..Record::default() };
        State {
            format: State::FORMAT,
            lineage: "l".into(),
            pipeline: "p".into(),
            pin: Pin::default(),
            head: 9,
            serial: 4,
            records: [("a".into(), record(&[])), ("b".into(), record(&["a"]))].into(),
            ..State::default()
        }
    }

    #[test]
    fn a_renamed_resource_is_renamed_wherever_it_is_named() {
        let mut renamed = state();
        renamed.rename(&"a".into(), &"c".into()).unwrap();
        assert_eq!(renamed.records.keys().map(Address::as_str).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(renamed.records["b"].current.as_ref().unwrap().deps, ["c".into()]);
        assert_eq!(renamed.serial, 5);
    }

    #[test]
    fn a_forgotten_resource_is_gone() {
        let mut edited = state();
        assert_eq!(edited.forget(&"a".into()).unwrap(), state().records["a"]);
        assert_eq!((edited.records.len(), edited.serial), (1, 5));
    }

    #[test]
    fn edits_that_would_lose_something_are_refused() {
        let mut edited = state();
        let unknown = Err(EditError::Unknown("x".into()));
        assert_eq!(edited.rename(&"x".into(), &"y".into()), unknown);
        assert_eq!(edited.forget(&"x".into()).map(|_| ()), unknown);
        assert_eq!(edited.rename(&"a".into(), &"b".into()), Err(EditError::Taken("b".into())));
        assert_eq!(edited, state());
        let mut busy = state();
        let object = busy.records.get_mut("a").unwrap().current.as_mut().unwrap();
        object.pending = Some(Pending {
            op: "Delete".into(),
            effect: Effect::Delete,
            call: serde_json::Value::Null,
            guard: Guard::default(),
            begun: Timestamp(1),
            ended: None,
            sent: None,
            error: None,
        });
        let before = busy.clone();
        let refused = EditError::InFlight { address: "a".into(), op: "Delete".into() };
        assert_eq!(busy.forget(&"a".into()), Err(refused.clone()));
        assert_eq!(busy.rename(&"a".into(), &"c".into()), Err(refused.clone()));
        assert_eq!(busy, before);
        // Nor is what is in flight overwritten; a copy that knows it may be pushed.
        assert_eq!(busy.replaced_by(state()), Err(refused));
        assert!(busy.replaced_by(before).is_ok());
    }

    #[test]
    fn only_a_newer_copy_of_the_same_state_replaces_it() {
        let here = state();
        let pushed = State { records: [].into(), ..state() };
        let replaced = here.replaced_by(pushed.clone()).unwrap();
        assert_eq!(replaced, State { head: 9, serial: 5, ..pushed.clone() });
        // One that was pulled earlier in the same run.
        let early = here.replaced_by(State { head: 8, ..pushed.clone() });
        assert_eq!(early, Err(EditError::Older { expected: 4, found: 4 }));
        let older = here.replaced_by(State { serial: 3, ..pushed.clone() });
        assert_eq!(older, Err(EditError::Older { expected: 4, found: 3 }));
        let other = here.replaced_by(State { lineage: "m".into(), ..pushed.clone() });
        assert!(matches!(other, Err(EditError::OtherLineage { .. })), "{other:?}");
        let other = here.replaced_by(State { pipeline: "q".into(), ..pushed.clone() });
        assert!(matches!(other, Err(EditError::OtherWorld { .. })), "{other:?}");
        let newer = here.replaced_by(State { format: 2, ..pushed.clone() });
        assert_eq!(newer, Err(EditError::Newer(2)));
        let occupied = here.restored_from(State { serial: 9, ..state() });
        assert_eq!(occupied, Err(EditError::Occupied(2)));
        let bare = State { records: [].into(), ..state() };
        let restored = bare.restored_from(State { lineage: "m".into(), head: 0, ..state() });
        assert_eq!(restored, Ok(State { lineage: "m".into(), serial: 5, ..state() }));
        let empty = State::default().replaced_by(pushed.clone()).unwrap();
        assert_eq!(empty, State { head: 0, serial: 5, ..pushed });
    }
}
