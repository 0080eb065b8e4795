//! The TOML front door: text to spanned sections. It knows keys by the schemas that a provider registered, and no provider.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::component::Components;
use super::names::Symbol;
use super::pipeline::{HEADER, Header, Pipeline, Section};
use super::problem::{Path, Problem, Problems, did_you_mean};

/// A value with its place in the text.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) span: Option<Range<usize>>,
    pub(super) key_span: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
pub(super) enum NodeKind {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// Something that no key takes: a date, a number out of range.
    Other(String),
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeKind::Text(text) => write!(f, "\"{text}\""),
            NodeKind::Int(value) => write!(f, "{value}"),
            // 8.0 stays 8.0: what is shown is what was written.
            NodeKind::Float(value) => write!(f, "{value:?}"),
            NodeKind::Bool(value) => write!(f, "{value}"),
            NodeKind::List(_) => f.write_str("a list"),
            NodeKind::Table(_) => f.write_str("a table"),
            NodeKind::Other(what) => f.write_str(what),
        }
    }
}

/// What is put over a document: an environment's section, and variables.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// `--env NAME`: `[env.NAME]` is merged over the file, tables deeply, lists replaced; `${env}` becomes the name.
    pub env: Option<String>,
    /// `${var.NAME}`; these come before the defaults in `[var]`.
    pub vars: BTreeMap<String, String>,
}

/// A document that was read.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text, for diagnostics.
    pub text: String,
    root: Node,
}

impl Document {
    /// Reads TOML.
    ///
    /// # Errors
    /// Every syntax error.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem = |e: &toml::de::Error| Problem { span: e.span(), ..syntax(e.message()) };
            return Err(Problems(errors.iter().map(problem).collect()));
        }
        let span = Some(table.span());
        let root = Node { kind: table_node(table.get_ref()), span, key_span: None };
        Ok(Self { text: text.to_owned(), root })
    }

    /// The pipeline that the document declares.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn pipeline(
        &self,
        components: &Components,
        overlay: &Overlay,
    ) -> Result<Pipeline, Problems> {
        let mut problems = Vec::new();
        let root = self.overlaid(overlay, &mut problems);
        let mut spans = BTreeMap::new();
        collect_spans(&root, &Path::default(), &mut spans);
        let NodeKind::Table(entries) = &root.kind else { return Err(Problems(problems)) };
        let mut header = None;
        let mut sections = Vec::new();
        for (name, node) in entries {
            let path = Path::new([name.as_str()]);
            if name == "pipeline" {
                header = Some(HEADER.check(node, &path, &mut problems));
                continue;
            }
            let Some(component) = components.get(name) else {
                if !matches!(node.kind, NodeKind::Table(_) | NodeKind::List(_)) {
                    let own = HEADER.keys.iter().any(|k| k.name == name);
                    let help = if own {
                        format!("put it below `[pipeline]`: {name} = {}", node.kind)
                    } else {
                        "put it below the header of its section, such as `[pipeline]`".into()
                    };
                    let span = node.key_span.clone();
                    let problem =
                        Problem::error(path, format!("`{name}` is in no section")).help(help);
                    problems.push(Problem { span, ..problem });
                    continue;
                }
                let known = components.names().chain(["pipeline", "env", "var"]);
                let help = did_you_mean(name, known.clone())
                    .unwrap_or_else(|| format!("known: {}", known.collect::<Vec<_>>().join(", ")));
                let span = node.key_span.clone().or(node.span.clone());
                let problem = Problem::error(path, format!("unknown section `{name}`")).help(help);
                problems.push(Problem { span, ..problem });
                continue;
            };
            if !component.named {
                let value = component.schema.check(node, &path, &mut problems);
                sections.push(Section { component: name.clone(), name: String::new(), value });
                continue;
            }
            let NodeKind::Table(named) = &node.kind else {
                let message = format!("`{name}` needs a name: `[{name}.main]`");
                problems.push(Problem { span: node.span.clone(), ..Problem::error(path, message) });
                continue;
            };
            for (instance, node) in named {
                let path = path.join(instance);
                if !matches!(node.kind, NodeKind::Table(_)) {
                    let message = format!(
                        "`{name}` needs a name: `[{name}.main]`, then `{instance} = …` in it"
                    );
                    let span = node.key_span.clone();
                    problems.push(Problem { span, ..Problem::error(path, message) });
                    continue;
                }
                if component.schema.means_key(instance, node) {
                    let message = format!(
                        "`{name}` needs a name: `[{name}.main]`, then `{instance} = …` in it"
                    );
                    let span = node.key_span.clone();
                    problems.push(Problem { span, ..Problem::error(path, message) });
                    continue;
                }
                if let Err(why) = Symbol::new(instance) {
                    let span = node.key_span.clone();
                    problems.push(Problem { span, ..Problem::error(path.clone(), why) });
                }
                let value = component.schema.check(node, &path, &mut problems);
                sections.push(Section { component: name.clone(), name: instance.clone(), value });
            }
        }
        let mut read = Header::default();
        match header {
            None => problems.push(
                Problem::error(Path::default(), "section `[pipeline]` is missing")
                    .help("begin with [pipeline], name = \"…\" and region = \"…\""),
            ),
            Some(value) => match serde_json::from_value(value) {
                Ok(header) => read = header,
                Err(error) if problems.is_empty() => {
                    problems.push(Problem::error(Path::new(["pipeline"]), error.to_string()));
                }
                Err(_) => {}
            },
        }
        if problems.is_empty() {
            for section in &sections {
                let path = section.path();
                let component = components.get(&section.component);
                if let Some(Err(why)) = component.map(|c| c.read(&section.value)) {
                    problems.push(Problem::error(path, why));
                }
            }
        }
        let pipeline = Pipeline::from_parts(read, sections, spans);
        if problems.is_empty() { Ok(pipeline) } else { Err(pipeline.locate(Problems(problems))) }
    }

    /// The document with `[env.NAME]` merged in and `${…}` replaced, without `[env]` and `[var]`.
    fn overlaid(&self, overlay: &Overlay, problems: &mut Vec<Problem>) -> Node {
        let mut root = self.root.clone();
        let NodeKind::Table(entries) = &mut root.kind else { return root };
        let mut take = |name: &str| {
            let at = entries.iter().position(|(k, _)| k == name)?;
            Some(entries.remove(at).1)
        };
        let (envs, vars) = (take("env"), take("var"));
        if let Some(env) = &overlay.env {
            let known = match envs.as_ref().map(|n| &n.kind) {
                Some(NodeKind::Table(entries)) => entries.as_slice(),
                _ => &[],
            };
            match known.iter().find(|(name, _)| name == env) {
                Some((_, over)) => merge(&mut root, over),
                None => {
                    let names: Vec<_> = known.iter().map(|(n, _)| n.as_str()).collect();
                    let help = did_you_mean(env, names.iter().copied()).unwrap_or_else(|| {
                        if names.is_empty() {
                            format!("write a section [env.{env}] with what differs there")
                        } else {
                            format!("known: {}", names.join(", "))
                        }
                    });
                    let problem =
                        Problem::error(Path::new(["env"]), format!("no section `[env.{env}]`"));
                    problems.push(problem.help(help));
                }
            }
        }
        let mut values = overlay.vars.clone();
        if let Some(Node { kind: NodeKind::Table(defaults), .. }) = &vars {
            for (name, node) in defaults {
                match &node.kind {
                    NodeKind::Text(text) => {
                        values.entry(name.clone()).or_insert_with(|| text.clone());
                    }
                    other => {
                        let problem = Problem::error(
                            Path::new(["var", name]),
                            format!("a variable is text, not {other}"),
                        );
                        problems.push(Problem { span: node.span.clone(), ..problem });
                    }
                }
            }
        }
        substitute(&mut root, &Path::default(), overlay.env.as_deref(), &values, problems);
        root
    }
}

/// A syntax error, with what it usually means.
fn syntax(message: &str) -> Problem {
    if message.starts_with("unexpected leading zero") {
        return Problem::error(Path::default(), "a number can't begin with 0")
            .help("if it is text, such as an account id, put it in quotes");
    }
    Problem::error(Path::default(), message)
}

fn table_node(table: &DeTable<'_>) -> NodeKind {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let mut node = value_node(value);
        node.key_span = Some(key.span());
        (key.get_ref().to_string(), node)
    };
    NodeKind::Table(table.iter().map(entry).collect())
}

fn value_node(value: &Spanned<DeValue<'_>>) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => NodeKind::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| NodeKind::Other(integer.as_str().to_owned()), NodeKind::Int),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .map_or_else(|_| NodeKind::Other(float.as_str().to_owned()), NodeKind::Float),
        DeValue::Boolean(value) => NodeKind::Bool(*value),
        DeValue::Datetime(_) => NodeKind::Other("a date".into()),
        DeValue::Array(items) => NodeKind::List(items.iter().map(value_node).collect()),
        DeValue::Table(table) => table_node(table),
    };
    Node { kind, span: Some(value.span()), key_span: None }
}

/// Puts `over` over `base`: tables are merged, everything else is replaced.
fn merge(base: &mut Node, over: &Node) {
    match (&mut base.kind, &over.kind) {
        (NodeKind::Table(entries), NodeKind::Table(overs)) => {
            for (name, over) in overs {
                match entries.iter_mut().find(|(k, _)| k == name) {
                    Some((_, node)) => merge(node, over),
                    None => entries.push((name.clone(), over.clone())),
                }
            }
        }
        _ => *base = over.clone(),
    }
}

fn substitute(
    node: &mut Node,
    path: &Path,
    env: Option<&str>,
    vars: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) {
    match &mut node.kind {
        NodeKind::Text(text) if text.contains("${") => {
            let mut out = String::new();
            let mut rest = text.as_str();
            while let Some(at) = rest.find("${") {
                out.push_str(&rest[..at]);
                let inner = &rest[at + 2..];
                let Some(end) = inner.find('}') else {
                    out.push_str(&rest[at..]);
                    rest = "";
                    break;
                };
                let name = &inner[..end];
                let value = match name {
                    "env" => env.ok_or_else(|| "`${env}` needs `--env NAME`".to_owned()).map(str::to_owned),
                    _ => match name.strip_prefix("var.") {
                        Some(var) => vars.get(var).cloned().ok_or_else(|| {
                            format!("variable `{var}` has no value: set it in [var] or with `--var {var}=…`")
                        }),
                        // Placeholders of Kafka Connect's config providers, `${secretsmanager:…}`, are not ours.
                        None if name.contains(':') => Ok(format!("${{{name}}}")),
                        None => Err(format!("`${{{name}}}` is not known; there are `${{env}}` and `${{var.NAME}}`")),
                    },
                };
                match value {
                    Ok(value) => out.push_str(&value),
                    Err(why) => {
                        problems.push(Problem {
                            span: node.span.clone(),
                            ..Problem::error(path.clone(), why)
                        });
                    }
                }
                rest = &inner[end + 1..];
            }
            out.push_str(rest);
            *text = out;
        }
        NodeKind::List(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                substitute(item, &path.join(&n.to_string()), env, vars, problems);
            }
        }
        NodeKind::Table(entries) => {
            for (name, item) in entries {
                let at = path.join(name);
                substitute(item, &at, env, vars, problems);
            }
        }
        _ => {}
    }
}

fn collect_spans(node: &Node, path: &Path, spans: &mut BTreeMap<Path, Range<usize>>) {
    if let Some(span) = node.span.clone() {
        spans.insert(path.clone(), span);
    }
    match &node.kind {
        NodeKind::Table(entries) => {
            for (name, child) in entries {
                collect_spans(child, &path.join(name), spans);
            }
        }
        NodeKind::List(items) => {
            for (n, child) in items.iter().enumerate() {
                collect_spans(child, &path.join(&n.to_string()), spans);
            }
        }
        _ => {}
    }
}
