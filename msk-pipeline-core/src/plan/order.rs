//! The order of a plan's steps.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Refusal, Step};
use crate::address::Address;
use crate::state::State;

/// A step before it has its place.
pub(super) struct Draft {
    pub(super) step: Step,
    pub(super) role: Role,
}

/// A removal that would have to come both before and after its user's change.
pub(super) struct Stuck {
    removed: Address,
    user: Address,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Towards what is wanted.
    Converge,
    /// Deleted before its successor is created.
    MakeRoom,
    /// Deleted for good, or after its successor is in use.
    Remove,
}

impl Stuck {
    pub(super) fn refusal(self) -> Refusal {
        let Self { removed, user } = self;
        Refusal {
            help: format!(
                "apply twice: first with {removed} declared as before, then with its edit"
            ),
            because: format!(
                "{user} uses it until what {user} is changed to is there, and that can only be made once it is deleted"
            ),
            address: removed,
        }
    }
}

/// Connects the steps and sorts them, so that each comes after those that it waits for.
///
/// * A step towards what is wanted waits for those of its dependencies, and for the deletion that makes room for it.
/// * A deletion waits for the deletions of everything that needed the object.
/// * A deletion that makes room also waits until everything that its successor needs is there, or the gap between the two would be
///   longer than it has to be, and last for good where that fails.
/// * A deletion that makes no room (removed from the spec, or deposed) also waits until those that needed the object are converged
///   to something else.
///
/// The second value are the removals that no order satisfies: the user lets go of the object only after the object is gone.
pub(super) fn order(drafts: Vec<Draft>, state: &State) -> (Vec<Step>, Vec<Stuck>) {
    let mut converge: BTreeMap<&Address, usize> = BTreeMap::new();
    let mut deletes: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    let mut needed_by: BTreeMap<&Address, BTreeSet<&Address>> = BTreeMap::new();
    for (n, draft) in drafts.iter().enumerate() {
        let address = &draft.step.address;
        match draft.role {
            Role::Converge => {
                converge.insert(address, n);
            }
            Role::MakeRoom | Role::Remove => deletes.entry(address).or_default().push(n),
        }
        for dep in &draft.step.deps {
            needed_by.entry(dep).or_default().insert(address);
        }
    }
    for (address, record) in &state.records {
        for dep in record.current.iter().flat_map(|o| &o.deps) {
            needed_by.entry(dep).or_default().insert(address);
        }
    }
    let mut after: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); drafts.len()];
    // Waits that only keep an object alive for longer; given up, the first of these first, where they close a circle: until its
    // successor can be made at once, while others still use it, until those that used it are gone.
    let mut patience: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); drafts.len()];
    let mut courtesy: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); drafts.len()];
    let mut firm: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); drafts.len()];
    for (n, draft) in drafts.iter().enumerate() {
        let address = &draft.step.address;
        match draft.role {
            Role::Converge => {
                after[n].extend(draft.step.deps.iter().filter_map(|d| converge.get(d)));
                let room = deletes.get(address).into_iter().flatten();
                after[n].extend(room.filter(|&&d| drafts[d].role == Role::MakeRoom));
            }
            Role::MakeRoom | Role::Remove => {
                for user in needed_by.get(address).into_iter().flatten() {
                    if *user == address {
                        continue;
                    }
                    let all = deletes.get(user).into_iter().flatten();
                    let users: Vec<usize> =
                        all.copied().filter(|&d| drafts[d].step.deps.contains(address)).collect();
                    // A user that is deleted to make room for its successor has let go by then.
                    if draft.role == Role::Remove
                        && !users.iter().any(|&d| drafts[d].role == Role::MakeRoom)
                    {
                        courtesy[n].extend(converge.get(user));
                    }
                    for d in users {
                        // What is deleted last of all waits for its successor, which may wait for this very deletion.
                        let last = drafts[d].role == Role::Remove && converge.contains_key(user);
                        let waits = if last { &mut courtesy[n] } else { &mut firm[n] };
                        waits.insert(d);
                    }
                }
                let heir = converge.get(address);
                if draft.role == Role::Remove {
                    after[n].extend(heir);
                } else {
                    let needed = heir.into_iter().flat_map(|&h| &drafts[h].step.deps);
                    patience[n].extend(needed.filter_map(|dep| converge.get(dep)));
                }
            }
        }
    }
    drop((converge, deletes, needed_by));

    // Sort, smallest index first.
    for soft in [&patience, &courtesy, &firm] {
        for (hard, soft) in after.iter_mut().zip(soft) {
            hard.extend(soft);
        }
    }
    for (n, before) in after.iter_mut().enumerate() {
        before.remove(&n);
    }
    let mut waits: Vec<usize> = after.iter().map(BTreeSet::len).collect();
    let mut unblocks: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    for (n, before) in after.iter().enumerate() {
        for &b in before {
            unblocks[b].push(n);
        }
    }
    let mut ready: BTreeSet<usize> = (0..drafts.len()).filter(|&n| waits[n] == 0).collect();
    let mut sorted = Vec::with_capacity(drafts.len());
    let mut place = vec![usize::MAX; drafts.len()];
    let mut stuck = Vec::new();
    loop {
        if ready.is_empty() {
            let closing = |soft: &[BTreeSet<usize>]| {
                let open = (0..soft.len()).filter(|&n| place[n] == usize::MAX);
                let mut edges = open.flat_map(|n| soft[n].iter().map(move |&s| (n, s)));
                edges.find(|&(n, s)| after[n].contains(&s) && waits_for(s, n, &after, &place))
            };
            let given_up = closing(&patience).or_else(|| closing(&courtesy));
            let Some((n, soft)) = given_up.or_else(|| closing(&firm)) else { break };
            let (removal, user) = (&drafts[n], &drafts[soft]);
            if removal.role == Role::Remove
                && user.role == Role::Converge
                && !user.step.calls.is_empty()
            {
                let (removed, user) = (removal.step.address.clone(), user.step.address.clone());
                stuck.push(Stuck { removed, user });
            }
            after[n].remove(&soft);
            unblocks[soft].retain(|&m| m != n);
            waits[n] -= 1;
            if waits[n] == 0 {
                ready.insert(n);
            }
            continue;
        }
        let Some(n) = ready.pop_first() else { break };
        place[n] = sorted.len();
        sorted.push(n);
        for &next in &unblocks[n] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.insert(next);
            }
        }
    }
    debug_assert_eq!(sorted.len(), drafts.len(), "steps wait for each other");
    let mut steps: Vec<Option<Step>> = drafts.into_iter().map(|d| Some(d.step)).collect();
    let steps = sorted
        .into_iter()
        .filter_map(|n| {
            let mut step = steps[n].take()?;
            step.after = after[n].iter().map(|&b| place[b]).collect();
            step.after.sort_unstable();
            Some(step)
        })
        .collect();
    (steps, stuck)
}

/// True if `step` can't be placed before `other` is, directly or not.
fn waits_for(step: usize, other: usize, after: &[BTreeSet<usize>], place: &[usize]) -> bool {
    let mut known = BTreeSet::from([step]);
    let mut next = vec![step];
    while let Some(n) = next.pop() {
        if n == other {
            return true;
        }
        next.extend(after[n].iter().filter(|&&b| place[b] == usize::MAX && known.insert(b)));
    }
    false
}
