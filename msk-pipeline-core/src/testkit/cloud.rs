//! The toy cloud: a value that remembers what was asked of it. What an object looks like follows from its events and the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::kind::{CallError, Class};

/// A handle to a cloud in memory; clones share it. It outlives simulated processes.
#[derive(Clone, Default)]
pub struct ToyCloud(Arc<Mutex<World>>);

#[derive(Clone, Default)]
struct World {
    /// What happened to the object of each name, oldest first.
    objects: BTreeMap<String, Vec<Event>>,
    /// What is to go wrong with the next request of an operation to a name.
    dials: BTreeMap<(String, String), Vec<Dial>>,
    lag: Duration,
    same_names: bool,
    /// Accepted creates of a name while an object of that name existed.
    doubles: u32,
    requests: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Event {
    what: What,
    at: Timestamp,
    /// When it is over.
    until: Timestamp,
    /// Why it fails in the end, if it does.
    fails: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
enum What {
    Create { fields: BTreeMap<String, Value>, tags: BTreeMap<String, String> },
    Update { fields: BTreeMap<String, Value> },
    Delete,
}

/// Something that goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dial {
    /// It is refused for its rate.
    Throttle,
    /// It is refused with this class.
    Refuse(Class),
    /// It takes effect, and the reply is lost.
    LoseReply,
    /// It takes effect so much later, and the reply is lost.
    ArriveLate(Duration),
    /// It never arrives, and neither does a reply.
    NeverArrive,
    /// It is accepted, and what it started fails with this cause.
    FailLate(String),
}

/// What an object is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It is being made.
    Creating,
    /// It can be used.
    Ready,
    /// It is being changed; it has its old values until that is over.
    Updating,
    /// It is being deleted.
    Deleting,
    /// It could not be made. It can only be deleted.
    Failed,
}

/// The newest change of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its identifier.
    pub id: String,
    /// Why it failed, once it has.
    pub failed: Option<String>,
}

/// What a read shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Unique for ever: another object of the same name has another id.
    pub id: String,
    /// What it is doing.
    pub status: Status,
    /// Its values.
    pub fields: BTreeMap<String, Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Changes with every update; an update must name it.
    pub version: u64,
    /// The newest change.
    pub operation: Operation,
}

impl ToyCloud {
    /// How long it takes to make an object.
    pub const CREATE: Duration = Duration::from_mins(1);
    /// How long it takes to change one.
    pub const UPDATE: Duration = Duration::from_secs(30);
    /// How long it takes to delete one.
    pub const DELETE: Duration = Duration::from_secs(20);

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy that goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world().clone())))
    }

    /// Reads show the world as it was `lag` ago.
    pub fn set_lag(&self, lag: Duration) {
        self.world().lag = lag;
    }

    /// Names are not unique any more: a second create makes a second object, and [`doubles`](Self::doubles) counts it.
    pub fn allow_same_names(&self) {
        self.world().same_names = true;
    }

    /// Makes the next request of `operation` (`toy:Create`) to `name` go wrong; several are taken in turn.
    pub fn dial(&self, operation: &str, name: &str, dial: Dial) {
        let key = (operation.to_owned(), name.to_owned());
        self.world().dials.entry(key).or_default().push(dial);
    }

    /// Puts a ready object there that nobody here made.
    pub fn plant(&self, name: &str, tags: BTreeMap<String, String>) {
        let (at, what) = (Timestamp(0), What::Create { fields: BTreeMap::new(), tags });
        let event = Event { what, at, until: at, fails: None };
        self.world().objects.insert(name.to_owned(), vec![event]);
    }

    /// Changes a field behind the engine's back.
    pub fn tamper(&self, name: &str, field: &str, value: Value, now: Timestamp) {
        let what = What::Update { fields: BTreeMap::from([(field.to_owned(), value)]) };
        let event = Event { what, at: now, until: now, fails: None };
        self.world().objects.entry(name.to_owned()).or_default().push(event);
    }

    /// The object named `name` as it really is.
    pub fn truth(&self, name: &str, now: Timestamp) -> Option<View> {
        view(name, self.world().objects.get(name)?, now)
    }

    /// Every object that exists, as it really is.
    pub fn all(&self, now: Timestamp) -> BTreeMap<String, View> {
        self.world().all(now)
    }

    /// How often an object of this name was made.
    pub fn creates(&self, name: &str) -> usize {
        let made = |e: &&Event| matches!(e.what, What::Create { .. });
        self.world().objects.get(name).map_or(0, |events| events.iter().filter(made).count())
    }

    /// How often an object was made whose name another had at that time.
    pub fn doubles(&self) -> u32 {
        self.world().doubles
    }

    /// How many changing requests have arrived, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.world().requests
    }

    /// Reads.
    pub fn describe(&self, name: &str, now: Timestamp) -> Option<View> {
        let world = self.world();
        let then = Timestamp(now.0.saturating_sub(millis(world.lag)));
        view(name, world.objects.get(name)?, then)
    }

    /// Makes an object. `needs` are the ids of objects that have to be ready.
    pub fn create(
        &self,
        operation: &str,
        name: &str,
        fields: BTreeMap<String, Value>,
        tags: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<String, CallError> {
        let what = What::Create { fields, tags };
        self.request(operation, name, what, now, |world| {
            if view_in(world, name, now).is_some() {
                if !world.same_names {
                    return Err((Class::AlreadyExists, "an object of that name exists"));
                }
                world.doubles += 1;
            }
            Ok(Self::CREATE)
        })
    }

    /// Changes an object, provided that it has `version`.
    pub fn update(
        &self,
        operation: &str,
        name: &str,
        fields: BTreeMap<String, Value>,
        version: Option<&str>,
        now: Timestamp,
    ) -> Result<String, CallError> {
        self.request(operation, name, What::Update { fields }, now, |world| {
            let object = view_in(world, name, now).ok_or((Class::NotFound, "no such object"))?;
            if object.status != Status::Ready {
                return Err((Class::Conflict, "it is busy"));
            }
            if version.is_none_or(|v| v != object.version.to_string()) {
                return Err((Class::Conflict, "its version is another"));
            }
            Ok(Self::UPDATE)
        })
    }

    /// Deletes an object, provided that no other names its id.
    pub fn delete(&self, operation: &str, name: &str, now: Timestamp) -> Result<String, CallError> {
        self.request(operation, name, What::Delete, now, |world| {
            let object = view_in(world, name, now).ok_or((Class::NotFound, "no such object"))?;
            if matches!(object.status, Status::Creating | Status::Updating | Status::Deleting) {
                return Err((Class::Conflict, "it is busy"));
            }
            let named = |v: &View| v.fields.values().flat_map(ids).any(|id| id == object.id);
            if world.all(now).values().any(named) {
                return Err((Class::Conflict, "others use it"));
            }
            Ok(Self::DELETE)
        })
    }

    /// Takes a request: what goes wrong by dial, the checks that every request gets, its own, and then its effect.
    fn request(
        &self,
        operation: &str,
        name: &str,
        what: What,
        now: Timestamp,
        check: impl FnOnce(&mut World) -> Result<Duration, (Class, &'static str)>,
    ) -> Result<String, CallError> {
        let error = |class, why: &str| CallError::new(class, operation, why);
        let mut world = self.world();
        let dial = world
            .dials
            .get_mut(&(operation.to_owned(), name.to_owned()))
            .and_then(|list| (!list.is_empty()).then(|| list.remove(0)));
        let mut fails = None;
        match &dial {
            Some(Dial::NeverArrive) => return Err(error(Class::Unknown, "no answer")),
            Some(Dial::Throttle) => return Err(error(Class::Throttled, "too many requests")),
            Some(Dial::Refuse(class)) => return Err(error(*class, "refused")),
            Some(Dial::FailLate(cause)) => fails = Some(cause.clone()),
            Some(Dial::LoseReply | Dial::ArriveLate(_)) | None => {}
        }
        world.requests += 1;
        let (What::Create { fields, .. } | What::Update { fields }) = &what else {
            return world.accept(name, what, now, fails, check, &error, dial.as_ref());
        };
        // Whatever a request names has to be there and usable.
        let all = world.all(now);
        let usable = |id: &str| {
            all.values()
                .any(|v| v.id == id && !matches!(v.status, Status::Creating | Status::Deleting))
        };
        if let Some(id) = fields.values().flat_map(ids).find(|id| !usable(id)) {
            return Err(error(Class::Invalid, &format!("{id} can't be used")));
        }
        world.accept(name, what, now, fails, check, &error, dial.as_ref())
    }
}

impl World {
    fn all(&self, now: Timestamp) -> BTreeMap<String, View> {
        let exists =
            |(name, events): (&String, &Vec<Event>)| Some((name.clone(), view(name, events, now)?));
        self.objects.iter().filter_map(exists).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "the second half of one function")]
    fn accept(
        &mut self,
        name: &str,
        what: What,
        now: Timestamp,
        fails: Option<String>,
        check: impl FnOnce(&mut World) -> Result<Duration, (Class, &'static str)>,
        error: &dyn Fn(Class, &str) -> CallError,
        dial: Option<&Dial>,
    ) -> Result<String, CallError> {
        let takes = check(self).map_err(|(class, why)| error(class, why))?;
        let late = if let Some(Dial::ArriveLate(late)) = dial { *late } else { Duration::ZERO };
        let at = now + late;
        let events = self.objects.entry(name.to_owned()).or_default();
        events.push(Event { what, at, until: at + takes, fails });
        let operation = format!("{name}/{}", events.len());
        match dial {
            Some(Dial::LoseReply | Dial::ArriveLate(_)) => {
                Err(error(Class::Unknown, "connection reset"))
            }
            _ => Ok(operation),
        }
    }
}

fn view_in(world: &World, name: &str, now: Timestamp) -> Option<View> {
    view(name, world.objects.get(name)?, now)
}

/// What `events` have made of an object at the time `when`.
fn view(name: &str, events: &[Event], when: Timestamp) -> Option<View> {
    let mut object: Option<View> = None;
    for (n, event) in events.iter().enumerate().filter(|(_, e)| e.at <= when) {
        let over = event.until <= when;
        let failed = event.fails.clone().filter(|_| over);
        let operation = Operation { id: format!("{name}/{}", n + 1), failed: failed.clone() };
        match (&event.what, &mut object) {
            (What::Create { fields, tags }, object) => {
                let status = match (over, &failed) {
                    (false, _) => Status::Creating,
                    (true, None) => Status::Ready,
                    (true, Some(_)) => Status::Failed,
                };
                *object = Some(View {
                    id: operation.id.clone(),
                    status,
                    fields: fields.clone(),
                    tags: tags.clone(),
                    version: 1,
                    operation,
                });
            }
            (What::Update { fields }, Some(object)) => {
                object.operation = operation;
                object.status = if over { Status::Ready } else { Status::Updating };
                if over && failed.is_none() {
                    object.fields.extend(fields.clone());
                    object.version += 1;
                }
            }
            (What::Delete, Some(object)) if !over || failed.is_some() => {
                object.operation = operation;
                object.status = if over { Status::Ready } else { Status::Deleting };
            }
            (What::Delete, object) => *object = None,
            (What::Update { .. }, None) => {}
        }
    }
    object
}

/// The ids of other objects in a value: strings that look like one.
fn ids(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) if text.contains('/') => vec![text],
        Value::Array(items) => items.iter().flat_map(ids).collect(),
        _ => Vec::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
