//! What exists in Secrets Manager, how a secret changes with time, and what other services see of it: everything but values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::{Millis, World};

/// How long a rotation of a managed secret takes.
pub(super) const ROTATION: Millis = 30_000;
/// How long a secret deleted without recovery still holds its name: the deletion is asynchronous (handbook aws.md §8).
pub(super) const FORCED_DELETION: Millis = 3_000;
/// A day, in which recovery windows and rotation intervals are counted.
pub(super) const DAY: Millis = 86_400_000;

/// The stage of the version that is in use.
pub(super) const CURRENT: &str = "AWSCURRENT";
/// The stage of the version that was in use before.
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";
/// The stage of the version that a rotation prepares.
pub(super) const PENDING: &str = "AWSPENDING";

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Secrets by ARN.
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// A secret value. It never prints; it is stored only in the serialised world, which is private.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Payload {
    /// `SecretString`.
    Text(String),
    /// `SecretBinary`, as base64.
    Binary(String),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// One version of a secret. A version without a stage is deprecated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) payload: Payload,
    pub(super) stages: BTreeSet<String>,
    pub(super) created_at: Millis,
}

/// The scheduled end of a secret.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Deletion {
    /// When it and its name are gone.
    pub(super) gone_at: Millis,
    /// Whether it was deleted without recovery.
    pub(super) forced: bool,
}

/// How a managed secret is rotated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rotation {
    /// `RotationRules`, as they were given.
    pub(super) rules: Value,
    /// When the last rotation was done.
    pub(super) last: Option<Millis>,
    /// The version in the making and when it becomes the current one.
    pub(super) pending: Option<(String, Millis)>,
}

/// One secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) description: Option<String>,
    pub(super) kms_key_id: Option<String>,
    pub(super) created_at: Millis,
    pub(super) changed_at: Millis,
    /// From when on it is there: a managed secret is made in the background.
    pub(super) ready_at: Millis,
    pub(super) deletion: Option<Deletion>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) versions: BTreeMap<String, Version>,
    /// The service that manages it (`rds`).
    pub(super) owning_service: Option<String>,
    pub(super) rotation: Option<Rotation>,
}

impl Secret {
    /// Whether it holds its name.
    fn exists(&self, now: Millis) -> bool {
        self.deletion.is_none_or(|deletion| now < deletion.gone_at)
    }

    /// The version with this stage.
    pub(super) fn staged(&self, stage: &str) -> Option<(&String, &Version)> {
        self.versions.iter().find(|(_, version)| version.stages.contains(stage))
    }

    /// Moves `stage` to the version. When `AWSCURRENT` moves, the version that had it becomes the previous one.
    pub(super) fn stage(&mut self, id: &str, stage: &str) {
        let holder = self.staged(stage).map(|(id, _)| id.clone());
        if holder.as_deref() == Some(id) {
            return;
        }
        if let Some(holder) = holder {
            if stage == CURRENT {
                self.stage(&holder, PREVIOUS);
            }
            if let Some(version) = self.versions.get_mut(&holder) {
                version.stages.remove(stage);
            }
        }
        if let Some(version) = self.versions.get_mut(id) {
            version.stages.insert(stage.into());
            if stage == CURRENT {
                version.stages.remove(PREVIOUS);
            }
        }
    }

    /// The secret as it is at `now`: a rotation whose time has come is done.
    pub(super) fn at(&self, now: Millis) -> Secret {
        let mut secret = self.clone();
        secret.settle(now);
        secret
    }

    /// Carries out what has become due.
    pub(super) fn settle(&mut self, now: Millis) {
        let Some(rotation) = &mut self.rotation else { return };
        if rotation.pending.as_ref().is_some_and(|(_, done)| *done <= now)
            && let Some((id, done)) = rotation.pending.take()
        {
            rotation.last = Some(done);
            self.changed_at = done;
            if let Some(version) = self.versions.get_mut(&id) {
                version.stages.remove(PENDING);
            }
            self.stage(&id, CURRENT);
        }
    }
}

impl State {
    /// The secrets that are there at `now`.
    pub(super) fn visible(&self, now: Millis) -> impl Iterator<Item = &Secret> {
        self.secrets.values().filter(move |s| s.ready_at <= now && s.exists(now))
    }

    /// The ARN of the secret that is meant by a name, a full ARN, or an ARN without its six characters.
    pub(super) fn resolve(&self, now: Millis, id: &str) -> Option<String> {
        let meant = |secret: &&Secret| {
            if id.starts_with("arn:") {
                let partial = secret.arn.len().checked_sub(7).map(|end| &secret.arn[..end]);
                secret.arn == id || partial == Some(id)
            } else {
                secret.name == id
            }
        };
        self.visible(now).find(meant).map(|secret| secret.arn.clone())
    }

    /// The secret that holds this name, also while it is being made or waits for its end.
    pub(super) fn holder(&self, now: Millis, name: &str) -> Option<&Secret> {
        self.secrets.values().find(|secret| secret.name == name && secret.exists(now))
    }

    /// Forgets what is gone.
    pub(super) fn purge(&mut self, now: Millis) {
        self.secrets.retain(|_, secret| secret.exists(now));
    }
}

/// A number below `of`, drawn for `label`.
pub(super) fn pick(world: &mut World, label: &str, of: usize) -> usize {
    let drawn = world.draw(label) % u64::try_from(of).expect("a length fits");
    usize::try_from(drawn).expect("it is below a length")
}

/// The ARN of a new secret: its name, a hyphen, six characters.
pub(super) fn new_arn(world: &mut World, name: &str) -> String {
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
    let label = format!("secretsmanager/secret/{name}/arn");
    let suffix: String = (0..6).map(|_| letters[pick(world, &label, letters.len())]).collect();
    world.arn("secretsmanager", &format!("secret:{name}-{suffix}"))
}

/// A secret as other services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretView {
    /// Its name.
    pub(crate) name: String,
    /// Its ARN.
    pub(crate) arn: String,
    /// The keys of its current value, when that is a JSON object; never values.
    pub(crate) keys: Vec<String>,
}

/// The secret meant by a name or an ARN, unless it is scheduled for deletion.
pub(crate) fn find(world: &World, name_or_arn: &str, now: Millis) -> Option<SecretView> {
    let state = &world.state.secretsmanager;
    let arn = state.resolve(now, name_or_arn)?;
    let secret = state.secrets.get(&arn)?.at(now);
    if secret.deletion.is_some() {
        return None;
    }
    let keys = match secret.staged(CURRENT).map(|(_, version)| &version.payload) {
        Some(Payload::Text(text)) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(members)) => members.keys().cloned().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    Some(SecretView { name: secret.name, arn: secret.arn, keys })
}

/// The id of a secret's current version, unless it is scheduled for deletion.
pub(crate) fn current_version(world: &World, name_or_arn: &str, now: Millis) -> Option<String> {
    let state = &world.state.secretsmanager;
    let secret = state.secrets.get(&state.resolve(now, name_or_arn)?)?.at(now);
    let (id, _) = secret.staged(CURRENT).filter(|_| secret.deletion.is_none())?;
    Some(id.clone())
}

/// Makes a secret that `owning_service` manages (`rds` for a master user's password) and answers its ARN. It is there from
/// `ready_at` on, rotates every seven days by its rules, and refuses direct edits and deletes.
pub(crate) fn create_managed(
    world: &mut World,
    now: Millis,
    owning_service: &str,
    name: &str,
    value: &str,
    ready_at: Millis,
) -> String {
    let arn = new_arn(world, name);
    let id = world.uuid(&format!("secretsmanager/secret/{name}/version"));
    let version = Version {
        payload: Payload::Text(value.into()),
        stages: BTreeSet::from([CURRENT.into()]),
        created_at: ready_at,
    };
    let secret = Secret {
        name: name.into(),
        arn: arn.clone(),
        description: None,
        kms_key_id: None,
        created_at: ready_at,
        changed_at: ready_at,
        ready_at,
        deletion: None,
        tags: BTreeMap::from([("aws:secretsmanager:owningService".into(), owning_service.into())]),
        versions: BTreeMap::from([(id, version)]),
        owning_service: Some(owning_service.into()),
        rotation: Some(Rotation {
            rules: serde_json::json!({ "AutomaticallyAfterDays": 7 }),
            last: None,
            pending: None,
        }),
    };
    let state = &mut world.state.secretsmanager;
    state.purge(now);
    state.secrets.insert(arn.clone(), secret);
    arn
}

/// Deletes a managed secret at once, as its service does when it deletes what the secret is for.
pub(crate) fn delete_managed(world: &mut World, now: Millis, arn: &str) {
    let state = &mut world.state.secretsmanager;
    state.purge(now);
    if state.secrets.get(arn).is_some_and(|secret| secret.owning_service.is_some()) {
        state.secrets.remove(arn);
    }
}

/// Every secret that isn't scheduled for deletion: (name, ARN).
pub(crate) fn all(world: &World, now: Millis) -> Vec<(String, String)> {
    let visible = world.state.secretsmanager.visible(now).filter(|s| s.deletion.is_none());
    visible.map(|s| (s.name.clone(), s.arn.clone())).collect()
}

/// The text members of a secret's current value, when that is a JSON object. What isn't text has no member: the config providers for
/// Secrets Manager read texts alone (handbook msk.md §7.2).
pub(crate) fn members(
    world: &World,
    name_or_arn: &str,
    now: Millis,
) -> Option<BTreeMap<String, String>> {
    let state = &world.state.secretsmanager;
    let secret = state.secrets.get(&state.resolve(now, name_or_arn)?)?.at(now);
    let (_, version) = secret.staged(CURRENT).filter(|_| secret.deletion.is_none())?;
    let Payload::Text(text) = &version.payload else { return None };
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else { return None };
    let texts = members.into_iter().filter_map(|(k, v)| Some((k, v.as_str()?.to_owned())));
    Some(texts.collect())
}
