//! An undisturbed run of the same operations, and how two ways to the same end are compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Cloud;
use super::mortal::outside;
use msk_pipeline_core::state::State;

/// What is declared to be, in the world and in state, once an operation has come to its end.
///
/// Faults make some things come out otherwise, and rightly so. Left out are therefore:
/// * *times*, and what is made from them;
/// * *ids that AWS draws* (of groups, rules, versions, ARNs' last parts): an object that failed late, or that somebody deleted, is made
///   again and is another one. Where state records one as an output, it stands as the address and output that it is, so that whoever
///   refers to it must refer to the right one; the lineage likewise;
/// * *generations* and which were retired: a failed object's is not given out again;
/// * *histories*: how many operations, draws, log events, revisions and versions led to what is there.
///
/// What is left: which objects exist and are called what; which parts they have; and of every record the kind, stage, name,
/// dependencies, props and the names of its outputs, that it is ready, and that nothing is begun, deposed or open.
pub fn canonical(cloud: &Cloud, state: &State) -> Value {
    let known = known(state);
    let named = |text: &str| known.get(text).cloned().unwrap_or_else(|| text.to_owned());
    let mut records = Map::new();
    for (address, record) in &state.records {
        let Some(object) = &record.current else {
            records.insert(address.to_string(), json!({ "deposed": record.deposed.len() }));
            continue;
        };
        let outputs = object.outputs.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        let told = json!({
            "kind": object.kind,
            "stage": object.stage,
            "name": masked(&json!(object.name), &known),
            "deps": object.deps,
            "props": masked(&object.props, &known),
            "outputs": outputs,
            "pending": object.pending.is_some() || object.adoption.is_some(),
            "deposed": record.deposed.len(),
        });
        records.insert(address.to_string(), told);
    }
    let last = |row: &str| {
        let (rest, id) = row.rsplit_once(' ').unwrap();
        format!("{rest} {}", named(id))
    };
    let mut objects: Vec<String> = outside::inventory(cloud).iter().map(|row| last(row)).collect();
    objects.sort();
    // How many of each sort there are of each object.
    let mut parts: BTreeMap<String, usize> = BTreeMap::new();
    for row in outside::parts(cloud) {
        let words: Vec<_> = row.split(' ').collect();
        let sort = if words[0] == "policy" { row.clone() } else { words[0].to_owned() };
        // Versions that were replaced or deleted are history.
        if sort != "version" {
            *parts.entry(format!("{sort} of {}", named(words[words.len() - 1]))).or_default() += 1;
        }
    }
    json!({ "objects": objects, "parts": parts, "records": records, "open": state.run.is_some() })
}

/// What recorded outputs stand for.
fn known(state: &State) -> BTreeMap<String, String> {
    let mut known = BTreeMap::from([(state.lineage.clone(), "the lineage".to_owned())]);
    for (address, record) in &state.records {
        let outputs = record.current.as_ref().and_then(|o| o.outputs.as_object());
        for (name, value) in outputs.into_iter().flatten() {
            // The first to have it is the one that made it: addresses are in order.
            if let Some(text) = value.as_str().filter(|text| text.len() > 8) {
                known.entry(text.to_owned()).or_insert_with(|| format!("<{address}.{name}>"));
            }
        }
    }
    known
}

/// A value with every text that is, or has in it, something known replaced by what it stands for.
fn masked(value: &Value, known: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            // The longest first: an ARN has names in it.
            let mut all: Vec<_> = known.iter().filter(|(k, _)| text.contains(*k)).collect();
            all.sort_by_key(|(k, _)| std::cmp::Reverse(k.len()));
            let told = all.iter().fold(text.clone(), |text, (k, stands)| text.replace(*k, stands));
            Value::String(told)
        }
        Value::Array(items) => items.iter().map(|item| masked(item, known)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), masked(value, known))).collect()
        }
        plain => plain.clone(),
    }
}
