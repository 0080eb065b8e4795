//! What a user names (`[kafka.main]`), and the registry that a provider fills. A component expands, purely, to resources.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::names::{Symbol, fit};
use super::pipeline::Header;
use super::problem::{Path, Problem};
use super::schema::Schema;
use crate::address::Address;
use crate::graph::Resource;
use crate::kind::Kind;
use crate::state::Pin;

/// A component: settings that a user writes, and what they become.
pub trait Component: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The section's name, `kafka`.
    const NAME: &'static str;
    /// True if there may be several, each with a name: `[kafka.main]`.
    const NAMED: bool;
    /// Its keys.
    const SCHEMA: &'static Schema;

    /// Adds this component's resources. Pure: it sees only what was declared and the account, region and partition.
    fn expand(&self, name: &str, cx: &mut Expansion<'_>);
}

/// The handle of a declared component. `Copy`, like petgraph's node indices.
pub struct Declared<C> {
    name: Option<Symbol>,
    component: PhantomData<fn() -> C>,
}

impl<C> Declared<C> {
    pub(super) fn new(name: Option<Symbol>) -> Self {
        Self { name, component: PhantomData }
    }

    /// The name that it was declared with.
    pub fn name(&self) -> &str {
        self.name.as_ref().map(Symbol::as_str).unwrap_or_default()
    }
}

impl<C> Clone for Declared<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Declared<C> {}

impl<C> fmt::Debug for Declared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Declared").field(&self.name()).finish()
    }
}

type AnyValue = Arc<dyn Any + Send + Sync>;

/// A component without its types.
#[derive(Clone)]
pub(super) struct ErasedComponent {
    pub(super) named: bool,
    pub(super) schema: &'static Schema,
    read: fn(&Value) -> Result<AnyValue, String>,
    expand: fn(&AnyValue, &str, &mut Expansion<'_>),
}

impl ErasedComponent {
    pub(super) fn read(&self, value: &Value) -> Result<AnyValue, String> {
        (self.read)(value)
    }

    pub(super) fn expand(&self, value: &AnyValue, name: &str, cx: &mut Expansion<'_>) {
        (self.expand)(value, name, cx);
    }
}

/// The components that documents may use.
#[derive(Clone, Default)]
pub struct Components {
    list: Vec<(&'static str, ErasedComponent)>,
}

impl Components {
    /// Adds a component. The order of registration is the order of documentation.
    #[must_use]
    pub fn with<C: Component>(mut self) -> Self {
        let erased = ErasedComponent {
            named: C::NAMED,
            schema: C::SCHEMA,
            read: |value| {
                C::deserialize(value).map(|c| Arc::new(c) as AnyValue).map_err(|e| e.to_string())
            },
            expand: |value, name, cx| {
                if let Some(component) = value.downcast_ref::<C>() {
                    component.expand(name, cx);
                }
            },
        };
        self.list.retain(|(name, _)| *name != C::NAME);
        self.list.push((C::NAME, erased));
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&ErasedComponent> {
        self.list.iter().find(|(n, _)| *n == name).map(|(_, c)| c)
    }

    /// The names of all components.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.list.iter().map(|(name, _)| *name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &ErasedComponent)> {
        self.list.iter().map(|(name, c)| (*name, c))
    }
}

/// Every declared component, by name.
#[derive(Default)]
pub(super) struct Parsed {
    values: BTreeMap<(String, String), AnyValue>,
    order: Vec<(String, String)>,
}

impl Parsed {
    pub(super) fn insert(&mut self, component: &str, name: &str, value: AnyValue) -> bool {
        let key = (component.to_owned(), name.to_owned());
        self.order.push(key.clone());
        self.values.insert(key, value).is_none()
    }

    pub(super) fn value(&self, component: &str, name: &str) -> Option<&AnyValue> {
        self.values.get(&(component.to_owned(), name.to_owned()))
    }
}

/// What a declaration becomes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expanded {
    /// The resources.
    pub resources: Vec<Resource>,
    /// What should be looked at although it works.
    pub problems: Vec<Problem>,
    /// What a person has to do, because no API can.
    pub notices: Vec<Notice>,
}

/// Something that only a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// What it is about: `database.orders`.
    pub about: String,
    /// What has to be done, in one sentence.
    pub title: String,
    /// The exact statements or commands.
    pub body: String,
}

/// What a provider found out before expansion, by a name that it chooses: the digest of a plugin archive, for example. A component
/// must expand without its facts, too (`validate`, `graph`), with a stand-in for what it does not know.
pub type Facts = BTreeMap<String, Value>;

/// What a component sees and fills while it expands.
pub struct Expansion<'a> {
    /// The pipeline's header.
    pub header: &'a Header,
    /// The account, region and partition.
    pub pin: &'a Pin,
    /// What the provider found out before.
    pub facts: &'a Facts,
    parsed: &'a Parsed,
    here: Path,
    out: &'a mut Expanded,
}

impl<'a> Expansion<'a> {
    pub(super) fn new(
        header: &'a Header,
        pin: &'a Pin,
        facts: &'a Facts,
        parsed: &'a Parsed,
        here: Path,
        out: &'a mut Expanded,
    ) -> Self {
        Self { header, pin, facts, parsed, here, out }
    }

    /// Adds a resource; `needs` are resources that must be ready although no output of theirs is used.
    pub fn add<K: Kind>(
        &mut self,
        address: impl Into<Address>,
        stage: &str,
        props: &K::Props,
        needs: impl IntoIterator<Item = Address>,
    ) {
        let address = address.into();
        match serde_json::to_value(props) {
            Ok(props) => self.out.resources.push(Resource {
                address,
                kind: K::TYPE.into(),
                stage: stage.into(),
                props,
                needs: needs.into_iter().collect(),
            }),
            Err(error) => self.error("", format!("{address} can't be written down: {error}"), ""),
        }
    }

    /// True if a resource with this address was added: for resources that several components share.
    pub fn has(&self, address: &str) -> bool {
        self.out.resources.iter().any(|r| r.address.as_str() == address)
    }

    /// The declared component of type `C` named `name`.
    pub fn get<C: Component>(&self, name: &str) -> Option<&'a C> {
        self.parsed.value(C::NAME, name)?.downcast_ref()
    }

    /// All declared components of type `C`, in the order of declaration.
    pub fn all<C: Component>(&self) -> Vec<(&'a str, &'a C)> {
        let parsed = self.parsed;
        let of_type = parsed.order.iter().filter(|(component, _)| component == C::NAME);
        of_type
            .filter_map(|(component, name)| {
                Some((name.as_str(), parsed.value(component, name)?.downcast_ref()?))
            })
            .collect()
    }

    /// A physical name: the pipeline's, then `parts`, at most `max` characters.
    pub fn name(&self, parts: &[&str], max: usize) -> String {
        let mut all = vec![self.header.name.as_str()];
        all.extend(parts);
        fit(&all, max)
    }

    /// Reports something that can't work, at `key` of this section.
    pub fn error(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let problem = Problem::error(self.here.dotted(key), message).help(help);
        self.out.problems.push(problem);
    }

    /// Reports something that works and should be looked at.
    pub fn warn(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let problem = Problem::warning(self.here.dotted(key), message).help(help);
        self.out.problems.push(problem);
    }

    /// Tells what only a person can do.
    pub fn notice(&mut self, notice: Notice) {
        self.out.notices.push(notice);
    }
}
