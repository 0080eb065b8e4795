//! Tags: the user's and the mark, and the difference to what an object has.

use std::collections::{BTreeMap, BTreeSet};

use msk_pipeline_core::kind::{Change, Mark};

/// Tags as a kind keeps them.
pub(crate) type Tags = BTreeMap<String, String>;

/// What a created object gets: the user's tags and the mark.
pub(crate) fn marked(tags: &Tags, mark: &Mark) -> Tags {
    let mut all = tags.clone();
    all.extend(mark.tags());
    all
}

/// How an object's tags differ from the wanted ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TagDiff {
    pub(crate) set: Tags,
    pub(crate) remove: BTreeSet<String>,
}

impl TagDiff {
    /// The difference; AWS's own tags (`aws:…`) are not ours to remove.
    pub(crate) fn between(seen: &Tags, wanted: &Tags) -> Self {
        let set = wanted.iter().filter(|(k, v)| seen.get(*k) != Some(v));
        let remove = seen.keys().filter(|k| !wanted.contains_key(*k) && !k.starts_with("aws:"));
        Self {
            set: set.map(|(k, v)| (k.clone(), v.clone())).collect(),
            remove: remove.cloned().collect(),
        }
    }

    /// The fields that setting tags changes.
    pub(crate) fn set_fields<'a>(&'a self, seen: &'a Tags) -> impl Iterator<Item = Change> + 'a {
        self.set.iter().map(|(k, v)| Change::new(format!("tags.{k}"), seen.get(k), Some(v)))
    }

    /// The fields that removing tags changes.
    pub(crate) fn remove_fields<'a>(&'a self, seen: &'a Tags) -> impl Iterator<Item = Change> + 'a {
        self.remove.iter().map(|k| Change::new(format!("tags.{k}"), seen.get(k), None::<&str>))
    }
}
