//! The one function that changes a state, an entry at a time.

use super::entry::{ApprovedCall, Described, Entry, Outcome, Stamped};
use super::record::{Object, OpenRun, Pending, Record, State};
use crate::address::Address;
use crate::clock::Timestamp;
use crate::kind::Effect;

/// An entry that can't follow what came before: the journal was damaged or written by other code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} ({entry}) can't follow entry {head}: {why}")]
pub struct IllegalEntry {
    /// Its place.
    pub seq: u64,
    /// The newest good entry.
    pub head: u64,
    /// What it is.
    pub entry: &'static str,
    /// What is wrong.
    pub why: String,
}

/// Why an entry is illegal, or nothing.
type Folded = Result<(), String>;

impl State {
    /// Folds one entry in. After an illegal one the state is of no use.
    ///
    /// # Errors
    /// An entry out of sequence, or about an object that no earlier entry brought into being.
    pub fn after(&mut self, stamped: &Stamped) -> Result<(), IllegalEntry> {
        let Stamped { seq, at, entry } = stamped;
        let folded = self.check_place(*seq, entry).and_then(|()| self.fold_in(entry, *at));
        folded.map_err(|why| {
            let (seq, head, entry) = (*seq, self.head, entry.name());
            IllegalEntry { seq, head, entry, why }
        })?;
        self.head = *seq;
        Ok(())
    }

    fn check_place(&self, seq: u64, entry: &Entry) -> Folded {
        if seq != self.head + 1 {
            return Err("entries must be gapless".into());
        }
        if self.lineage.is_empty() != matches!(entry, Entry::Opened { .. }) {
            return Err("a journal begins with exactly one `opened`".into());
        }
        Ok(())
    }

    fn fold_in(&mut self, entry: &Entry, at: Timestamp) -> Folded {
        match entry {
            Entry::Opened { lineage, pipeline, pin } => {
                self.format = Self::FORMAT;
                self.lineage.clone_from(lineage);
                self.pipeline.clone_from(pipeline);
                self.pin = pin.clone();
            }
            Entry::RunStarted { verb, plan, nonce, consent } => {
                self.serial += 1;
                // What was approved stays approved until a run in that direction completes: a resumed run asks only for what is new.
                let same = self.run.take().filter(|run| run.verb == *verb);
                self.run = Some(OpenRun {
                    verb: verb.clone(),
                    plan: plan.clone(),
                    nonce: nonce.clone(),
                    started: at,
                    consent: consent.clone(),
                    approved: same.map(|run| run.approved).unwrap_or_default(),
                });
            }
            Entry::Approved { stage, calls, .. } => return self.approved(stage, calls),
            Entry::Begin { object, op, effect, call, guard } => {
                let pending = Pending {
                    op: op.clone(),
                    effect: *effect,
                    call: call.clone(),
                    guard: guard.clone(),
                    begun: at,
                    ended: None,
                    sent: None,
                    error: None,
                };
                return self
                    .records
                    .entry(object.address.clone())
                    .or_default()
                    .begun(object, pending);
            }
            Entry::Adopted { object, adoption } => {
                // What was recorded of that name was another object.
                let adopted = Object { adoption: Some(adoption.clone()), ..object.fresh() };
                let record = self.records.entry(object.address.clone()).or_default();
                match &mut record.current {
                    Some(current) if current.generation != object.generation => {
                        return Err(format!("{} has another current object", object.address));
                    }
                    current => *current = Some(adopted),
                }
            }
            Entry::End { address, generation, outcome } => {
                return self.object(address, *generation)?.answered(address, outcome, at);
            }
            Entry::Ready { object, outputs } => {
                let ready = Object { outputs: outputs.clone(), ..object.fresh() };
                let record = self.records.entry(object.address.clone()).or_default();
                if let Some(known) = record.object_mut(object.generation) {
                    *known = ready;
                } else if record.current.is_none() {
                    record.current = Some(ready);
                } else {
                    return Err(format!("{} has another current object", object.address));
                }
            }
            Entry::Settled { address, generation, found: _ } => {
                self.object(address, *generation)?.pending = None;
            }
            Entry::Deposed { address, generation } => {
                let record = self.record(address, *generation)?;
                let current = record.current.take_if(|o| o.generation == *generation);
                record.deposed.push(current.ok_or_else(|| missing(address, *generation))?);
            }
            Entry::Restored { address, generation } => {
                let record = self.record(address, *generation)?;
                if record.current.is_some() {
                    return Err(format!("{address} has a current object already"));
                }
                let at = record.deposed.iter().position(|o| o.generation == *generation);
                let at = at.ok_or_else(|| missing(address, *generation))?;
                record.current = Some(record.deposed.remove(at));
            }
            Entry::Gone { address, generation } => return self.gone(address, *generation),
            Entry::RunFinished { complete } => self.finished(*complete),
        }
        Ok(())
    }

    fn approved(&mut self, stage: &str, calls: &[ApprovedCall]) -> Folded {
        let run = self.run.as_mut().ok_or("an approval needs a started run")?;
        run.approved.entry(stage.to_owned()).or_default().extend(calls.iter().cloned());
        Ok(())
    }

    fn gone(&mut self, address: &Address, generation: u64) -> Folded {
        let in_run = self.run.is_some();
        let record = self.record(address, generation)?;
        let object = record.object(generation).ok_or_else(|| missing(address, generation))?;
        // A create that never arrived used no generation up: it is begun again, as it was approved.
        let deletes = object.pending.as_ref().is_some_and(|p| p.effect == Effect::Delete);
        if object.was_ready() || deletes {
            record.retired = record.retired.max(generation);
        }
        record.current.take_if(|o| o.generation == generation);
        record.deposed.retain(|o| o.generation != generation);
        if record.is_empty() && (!in_run || record.retired == 0) {
            self.records.remove(address);
        }
        Ok(())
    }

    fn finished(&mut self, complete: bool) {
        self.serial += 1;
        if let Some(run) = self.run.take_if(|_| complete) {
            self.spent = run.nonce;
            self.records.retain(|_, record| !record.is_empty());
        }
    }

    fn record(&mut self, address: &Address, generation: u64) -> Result<&mut Record, String> {
        self.records.get_mut(address).ok_or_else(|| missing(address, generation))
    }

    fn object(&mut self, address: &Address, generation: u64) -> Result<&mut Object, String> {
        let object = self.record(address, generation)?.object_mut(generation);
        object.ok_or_else(|| missing(address, generation))
    }
}

fn missing(address: &Address, generation: u64) -> String {
    format!("no object {generation} of {address} is known")
}

impl Record {
    fn begun(&mut self, described: &Described, pending: Pending) -> Folded {
        let deletes = pending.effect == Effect::Delete;
        if let Some(object) = self.object_mut(described.generation) {
            let accepted = |p: &Pending| p.effect == Effect::Create && p.sent.is_some();
            if let Some(made) = object.pending.replace(pending).filter(accepted) {
                object.origin = Some(Box::new(made));
            }
            if !deletes && !object.was_ready() {
                object.props = described.props.clone();
                object.deps.clone_from(&described.deps);
            }
            return Ok(());
        }
        let object = Object { pending: Some(pending), ..described.fresh() };
        match &mut self.current {
            current @ None => *current = Some(object),
            // An object of ours that state did not know, in the way of what is wanted, has no place of its own.
            Some(_) if deletes => self.deposed.push(object),
            Some(_) => return Err(format!("{} has a current object already", described.address)),
        }
        Ok(())
    }
}

impl Object {
    fn answered(&mut self, address: &Address, outcome: &Outcome, at: Timestamp) -> Folded {
        let pending = self.pending.as_mut();
        let pending = pending.ok_or_else(|| format!("{address} has no begun call"))?;
        pending.ended = Some(at);
        match outcome {
            Outcome::Accepted(sent) => {
                pending.sent = Some(sent.clone());
                pending.error = None;
            }
            Outcome::Failed(error) => pending.error = Some(error.clone()),
        }
        Ok(())
    }
}
