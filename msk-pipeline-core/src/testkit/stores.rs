//! What every state store promises, as a suite that runs over any of them.

use crate::clock::Timestamp;
use crate::state::{Entry, Holder, Loaded, Pin, Stamped, State, StateStore, StoreError};

/// A holder by that name.
pub fn holder(who: &str) -> Holder {
    Holder { who: who.into(), why: "apply".into(), since: Timestamp(7) }
}

/// The first entries of a journal, and then run after run: `count` entries from `seq` 1.
pub fn history(count: u64) -> Vec<Stamped> {
    let opened =
        Entry::Opened { lineage: "lineage".into(), pipeline: "orders".into(), pin: Pin::default() };
    let entry = |seq: u64| match seq {
        1 => opened.clone(),
        seq if seq % 2 == 0 => Entry::RunStarted {
            verb: "apply".into(),
            plan: format!("plan {seq}"),
            nonce: format!("nonce {seq}"),
            consent: Vec::new(),
        },
        _ => Entry::RunFinished { complete: true },
    };
    (1..=count).map(|seq| Stamped { seq, at: Timestamp(seq), entry: entry(seq) }).collect()
}

/// What `entries` make of nothing.
///
/// # Panics
/// Entries that can't follow each other.
pub fn folded(entries: &[Stamped]) -> State {
    let mut state = State::default();
    for entry in entries {
        state.after(entry).expect("a history that follows");
    }
    state
}

async fn read(store: &dyn StateStore) -> Loaded {
    store.load().await.expect("it is read")
}

async fn state_in(store: &dyn StateStore) -> State {
    read(store).await.fold().expect("whole")
}

/// Runs the suite. `store` is empty, and `same` is the same store as another process would open it.
///
/// # Panics
/// A promise that is not kept.
pub async fn keeps_its_promises(store: &dyn StateStore, same: &dyn StateStore) {
    let all = history(9);
    assert_eq!(store.load().await.expect("an empty store is read").entries, []);

    // What was appended is there, for this process and for others, in order and once.
    let mut lease = store.lease(holder("ann")).await.expect("nobody holds it");
    assert_eq!(lease.taken_from(), None);
    assert_eq!(lease.load().await.expect("it is ours").fold().expect("whole"), State::default());
    lease.append(0, &all[..2]).await.expect("the head is 0");
    lease.append(2, &all[2..3]).await.expect("the head is 2");
    assert_eq!(read(store).await.entries, all[..3]);
    assert_eq!(read(same).await.entries, all[..3]);

    // An append on another head stores nothing.
    for head in [1, 2, 4] {
        let refused = lease.append(head, &all[3..4]).await;
        let Err(StoreError::Fenced { expected, found }) = refused else { panic!("{refused:?}") };
        assert_eq!((expected, found), (head, 3));
    }
    assert_eq!(read(same).await.entries, all[..3]);

    // One writer at a time, and the other is told who.
    lease.renew().await.expect("it is ours");
    match same.lease(holder("bob")).await.err().expect("it is held") {
        StoreError::Locked(found) | StoreError::Leased { holder: found, .. } => {
            assert_eq!(found, holder("ann"));
        }
        other => panic!("{other:?}"),
    }

    // A snapshot is what was folded, and the journal goes on behind it.
    lease.compact(&folded(&all[..3])).await.expect("it is ours");
    assert_eq!(state_in(same).await, folded(&all[..3]));
    lease.append(3, &all[3..5]).await.expect("the head is still 3");
    assert_eq!(state_in(same).await, folded(&all[..5]));

    // What was given back is free at once; the next holder goes on from there.
    lease.release().await.expect("it was ours");
    let mut next = same.lease(holder("bob")).await.expect("it was given back");
    assert_eq!(next.taken_from(), None);
    assert_eq!(next.load().await.expect("it is ours").fold().expect("whole"), folded(&all[..5]));
    next.append(5, &all[5..7]).await.expect("the head is 5");
    next.compact(&folded(&all[..7])).await.expect("it is ours");
    next.append(7, &all[7..]).await.expect("the head is 7");
    next.compact(&folded(&all)).await.expect("it is ours");
    assert_eq!(state_in(store).await, folded(&all));
    next.release().await.expect("it was ours");
}
