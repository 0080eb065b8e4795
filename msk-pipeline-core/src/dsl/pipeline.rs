//! What is declared: a header and sections. Plain data; the same whether a builder or a document made it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::component::{Component, Components, Declared, Expanded, Expansion, Facts, Parsed};
use super::names::Symbol;
use super::problem::{Path, Problem, Problems, quoted};
use super::schema::{Key, Schema, Type, filled};
use crate::graph::Resource;
use crate::state::Pin;

/// A declared pipeline.
///
/// Container components are declared first and give handles; what uses them takes the handles, so that a wrong pairing does not
/// compile. Nothing is checked before [`expand`](Pipeline::expand), which returns every problem at once.
#[derive(Debug, Clone, Default)]
pub struct Pipeline {
    header: Header,
    sections: Vec<Section>,
    resources: Vec<Resource>,
    spans: BTreeMap<Path, Range<usize>>,
}

/// The `[pipeline]` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The pipeline's name; physical names begin with it.
    pub name: String,
    /// The region.
    pub region: String,
    /// The only account that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Tags on everything that takes tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// A KMS key for what is encrypted at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Where state lives; the default is a folder beside the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// One section: a component's settings in plain form.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The component, `kafka`.
    pub component: String,
    /// Its name, `main`; empty for a component of which there is one.
    pub name: String,
    /// Its settings.
    pub value: Value,
}

impl Section {
    pub(super) fn path(&self) -> Path {
        let named = (!self.name.is_empty()).then_some(&self.name);
        Path::new(std::iter::once(&self.component).chain(named))
    }
}

pub(super) const HEADER: Schema = Schema {
    doc: "The pipeline itself.",
    keys: &[
        Key::new(
            "name",
            Type::Checked(|name| Symbol::new(name).map(|_| ())),
            "The pipeline's name: lower-case letters, digits and single hyphens, at most 24 characters. Physical names begin with it.",
        )
        .required()
        .change("another pipeline: nothing of the old one is touched"),
        Key::new("region", Type::Checked(region), "The AWS region.")
            .required()
            .change("refused: a state belongs to one region"),
        Key::new(
            "account",
            Type::Checked(account),
            "The account id. Any other account is refused before the first call.",
        ),
        Key::new("tags", Type::Map(&Type::Text), "Tags on everything that takes tags.").change("in place"),
        Key::new("kms_key", Type::Checked(filled), "A KMS key (id, ARN or alias) for what is encrypted at rest.")
            .change("replaces what can't change its key (data lost)"),
        Key::new("state", Type::Text, "Where state lives: a folder, relative to the file, or s3://bucket/prefix.")
            .default("\".msk-pipeline/<name>/<account>-<region>\""),
    ],
};

fn region(text: &str) -> Result<(), String> {
    let parts: Vec<_> = text.split('-').collect();
    let well_formed = parts.len() >= 3
        && parts.last().is_some_and(|n| n.parse::<u8>().is_ok())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if well_formed {
        Ok(())
    } else {
        Err(format!("{} is no region; one is `eu-west-1`", quoted(text)))
    }
}

fn account(text: &str) -> Result<(), String> {
    let well_formed = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if well_formed {
        Ok(())
    } else {
        Err(format!("{} is no account id: it has twelve digits", quoted(text)))
    }
}

impl Pipeline {
    /// An empty pipeline.
    pub fn new(name: impl Into<String>, region: impl Into<String>) -> Self {
        let header = Header { name: name.into(), region: region.into(), ..Header::default() };
        Self { header, ..Self::default() }
    }

    pub(super) fn from_parts(
        header: Header,
        sections: Vec<Section>,
        spans: BTreeMap<Path, Range<usize>>,
    ) -> Self {
        Self { header, sections, resources: Vec::new(), spans }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header, to change it.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// The sections, in the order of declaration.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Adds a component and returns its handle. For a component of which there is one, `name` is empty.
    pub fn declare<C: Component>(&mut self, name: &str, component: C) -> Declared<C> {
        let value = serde_json::to_value(&component).unwrap_or(Value::Null);
        let section =
            Section { component: C::NAME.into(), name: name.into(), value: without_nulls(value) };
        self.sections.push(section);
        // A name that is no symbol is reported with all other problems; its handle leads nowhere.
        Declared::new(Symbol::new(name).ok())
    }

    /// Adds a resource of a kind of one's own.
    pub fn resource(&mut self, resource: Resource) {
        self.resources.push(resource);
    }

    /// Checks everything and expands the components to resources: a pure function of the declaration, the account, region and
    /// partition, and of facts that the provider gathered before.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn expand(
        &self,
        components: &Components,
        pin: &Pin,
        facts: &Facts,
    ) -> Result<Expanded, Problems> {
        let mut problems = Vec::new();
        let at = |key: &str| Path::new(["pipeline", key]);
        if let Err(why) = Symbol::new(&self.header.name) {
            problems.push(Problem::error(at("name"), why));
        }
        if let Err(why) = region(&self.header.region) {
            problems.push(Problem::error(at("region"), why));
        }
        if let Some(Err(why)) = self.header.account.as_deref().map(account) {
            problems.push(Problem::error(at("account"), why));
        }
        let mut parsed = Parsed::default();
        for section in &self.sections {
            let path = section.path();
            let Some(component) = components.get(&section.component) else {
                let message = format!("unknown component `{}`", section.component);
                problems.push(Problem::error(path, message));
                continue;
            };
            if component.named
                && let Err(why) = Symbol::new(&section.name)
            {
                problems.push(Problem::error(path.clone(), why));
            }
            match component.read(&section.value) {
                Ok(value) => {
                    if !parsed.insert(&section.component, &section.name, value) {
                        problems.push(Problem::error(path, "it is declared twice"));
                    }
                }
                Err(why) => problems.push(Problem::error(path, why)),
            }
        }
        let mut expanded = Expanded { resources: self.resources.clone(), ..Expanded::default() };
        if problems.is_empty() {
            for section in &self.sections {
                let Some(component) = components.get(&section.component) else { continue };
                let Some(value) = parsed.value(&section.component, &section.name) else { continue };
                let mut cx = Expansion::new(
                    &self.header,
                    pin,
                    facts,
                    &parsed,
                    section.path(),
                    &mut expanded,
                );
                component.expand(value, &section.name, &mut cx);
            }
        }
        problems.append(&mut expanded.problems);
        let problems = self.locate(Problems(problems));
        if problems.has_errors() {
            return Err(problems);
        }
        expanded.problems = problems.0;
        Ok(expanded)
    }

    /// Fills in where in the text problems are.
    pub(super) fn locate(&self, mut problems: Problems) -> Problems {
        for problem in &mut problems.0 {
            let mut path = Some(problem.path.clone());
            while let (None, Some(at)) = (&problem.span, &path) {
                problem.span = self.spans.get(at).cloned();
                path = at.parent().filter(|p| !p.names().is_empty());
            }
        }
        problems
    }

    /// The pipeline as a TOML document.
    pub fn to_toml(&self) -> String {
        let mut root = toml::Table::new();
        let plain = |value: &Value| toml::Value::try_from(value).ok();
        if let Some(header) = serde_json::to_value(&self.header).ok().as_ref().and_then(plain) {
            root.insert("pipeline".into(), header);
        }
        for section in &self.sections {
            let Some(value) = plain(&section.value) else { continue };
            if section.name.is_empty() {
                root.insert(section.component.clone(), value);
            } else {
                let group = root
                    .entry(section.component.clone())
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let Some(group) = group.as_table_mut() {
                    group.insert(section.name.clone(), value);
                }
            }
        }
        toml::to_string(&root).unwrap_or_default()
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k, without_nulls(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain => plain,
    }
}
