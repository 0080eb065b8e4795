//! What may stand in a section: the one source of key names, types, ranges, defaults and documentation.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::document::{Node, NodeKind};
use super::problem::{Path, Problem, did_you_mean, quoted};

/// The keys of a table.
#[derive(Debug)]
pub struct Schema {
    /// What the table is, in one sentence.
    pub doc: &'static str,
    /// Its keys, in the order in which they are documented.
    pub keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub ty: Type,
    /// True if it must be there.
    pub required: bool,
    /// Its default as a TOML value, for documentation; the component's struct implements it.
    pub default: Option<&'static str>,
    /// What it means: units, effect, caveats.
    pub doc: &'static str,
    /// What changing it later does: `in place`, `replaces the cluster (data lost)`.
    pub change: &'static str,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Any text.
    Text,
    /// Text that a function accepts.
    Checked(fn(&str) -> Result<(), String>),
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Int(i64, i64),
    /// A number in a range.
    Number(f64, f64),
    /// A time such as `7d`, `90m`, `30s`.
    Duration,
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// Any text; these are known.
    Open(&'static [&'static str]),
    /// A list.
    List(&'static Type),
    /// A table with free keys.
    Map(&'static Type),
    /// A table with these keys.
    Table(&'static Schema),
    /// Properties of a Java program: free keys, dotted ones quoted or nested; text, numbers and booleans become text.
    Properties,
    /// One of several.
    OneOf(&'static [Type]),
}

impl Key {
    /// An optional key.
    pub const fn new(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, required: false, default: None, doc, change: "" }
    }

    /// Makes it required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Documents its default.
    #[must_use]
    pub const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    /// Documents what changing it does.
    #[must_use]
    pub const fn change(mut self, change: &'static str) -> Self {
        self.change = change;
        self
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Text | Type::Checked(_) | Type::Open(_) => f.write_str("text"),
            Type::Bool => f.write_str("true or false"),
            Type::Int(i64::MIN, i64::MAX) => f.write_str("a whole number"),
            Type::Int(min, i64::MAX) => write!(f, "a whole number of at least {min}"),
            Type::Int(min, max) => write!(f, "a whole number from {min} to {max}"),
            Type::Number(min, max) => write!(f, "a number from {min} to {max}"),
            Type::Duration => f.write_str("a time such as \"7d\" or \"90m\""),
            Type::Enum(values) => {
                let quoted: Vec<_> = values.iter().map(|v| format!("\"{v}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
            Type::List(item) => write!(f, "a list of {}", item.several()),
            Type::Map(item) => write!(f, "a table of {}", item.several()),
            Type::Table(schema) => {
                let keys: Vec<_> = schema.keys.iter().map(|k| k.name).collect();
                write!(f, "a table with {}", keys.join(", "))
            }
            Type::Properties => f.write_str("a table of properties"),
            Type::OneOf(types) => {
                let all: Vec<_> = types.iter().map(ToString::to_string).collect();
                f.write_str(&all.join(", or "))
            }
        }
    }
}

/// Reads `7d`, `36h`, `90m`, `30s`, `500ms`, `2w`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let wrong = || {
        format!(
            "{} is no time; write one such as \"7d\", \"36h\", \"90m\" or \"30s\"",
            quoted(text)
        )
    };
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// Accepts any text but an empty one.
pub fn filled(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("text is expected between the quotes".into()) } else { Ok(()) }
}

impl Schema {
    /// True if a table that stands where a section's name is expected is one of its keys instead: nothing in it fits the section, and
    /// everything the key.
    pub(super) fn means_key(&self, name: &str, node: &Node) -> bool {
        let NodeKind::Table(entries) = &node.kind else { return false };
        let foreign = |(k, _): &(String, Node)| !self.keys.iter().any(|key| key.name == k);
        let Some(key) = self.keys.iter().find(|k| k.name == name) else { return false };
        let own = match key.ty {
            Type::Table(schema) => {
                entries.iter().all(|(k, _)| schema.keys.iter().any(|key| key.name == k))
            }
            Type::Properties | Type::Map(_) => true,
            _ => false,
        };
        own && !entries.is_empty() && entries.iter().all(foreign)
    }

    /// Checks a table and returns it in plain form: properties flattened, everything else as written.
    pub(super) fn check(&self, node: &Node, path: &Path, problems: &mut Vec<Problem>) -> Value {
        let NodeKind::Table(entries) = &node.kind else {
            problems.push(wrong(
                node,
                path,
                &format!("a table is expected here, not {}", node.kind),
            ));
            return Value::Null;
        };
        let mut out = Map::new();
        for (name, child) in entries {
            let at = path.join(name);
            match self.keys.iter().find(|k| k.name == name) {
                Some(key) => {
                    let value = key.ty.check(child, &at, problems);
                    out.insert(name.clone(), value);
                }
                None => {
                    let names = || self.keys.iter().map(|k| k.name);
                    let help = did_you_mean(name, names()).unwrap_or_else(|| {
                        format!("known keys: {}", names().collect::<Vec<_>>().join(", "))
                    });
                    let mut problem =
                        wrong(child, &at, &format!("unknown key `{name}`")).help(help);
                    problem.span = child.key_span.clone().or(problem.span);
                    problems.push(problem);
                }
            }
        }
        for key in self.keys.iter().filter(|k| k.required && !out.contains_key(k.name)) {
            problems.push(
                wrong(node, path, &format!("`{}` is missing", key.name))
                    .help(format!("{}: {}", key.name, key.doc)),
            );
        }
        Value::Object(out)
    }
}

impl Type {
    fn check(self, node: &Node, path: &Path, problems: &mut Vec<Problem>) -> Value {
        let expected = |problems: &mut Vec<Problem>| {
            let message = format!("{self} is expected here, not {}", node.kind);
            let help = self.hint(node).unwrap_or_default();
            problems.push(wrong(node, path, &message).help(help));
            Value::Null
        };
        match (self, &node.kind) {
            (Type::Text | Type::Open(_), NodeKind::Text(text)) => Value::String(text.clone()),
            (Type::Checked(accepts), NodeKind::Text(text)) => {
                if let Err(why) = accepts(text) {
                    problems.push(wrong(node, path, &why));
                }
                Value::String(text.clone())
            }
            (Type::Duration, NodeKind::Text(text)) => {
                if let Err(why) = duration(text) {
                    problems.push(wrong(node, path, &why));
                }
                Value::String(text.clone())
            }
            (Type::Enum(values), NodeKind::Text(text)) => {
                if !values.contains(&text.as_str()) {
                    let help = did_you_mean(text, values.iter().copied())
                        .unwrap_or_else(|| format!("known: {}", values.join(", ")));
                    problems
                        .push(wrong(node, path, &format!("`{text}` is not known here")).help(help));
                }
                Value::String(text.clone())
            }
            (Type::Bool, NodeKind::Bool(value)) => Value::Bool(*value),
            (Type::Int(min, max), NodeKind::Int(value)) => {
                if *value < min || *value > max {
                    problems.push(wrong(
                        node,
                        path,
                        &format!("{self} is expected here, not {value}"),
                    ));
                }
                Value::Number((*value).into())
            }
            #[expect(clippy::cast_precision_loss, reason = "ranges of settings are small")]
            (Type::Number(min, max), NodeKind::Int(value)) => {
                if (*value as f64) < min || (*value as f64) > max {
                    problems.push(wrong(
                        node,
                        path,
                        &format!("{self} is expected here, not {value}"),
                    ));
                }
                Value::Number((*value).into())
            }
            (Type::Number(min, max), NodeKind::Float(value)) => {
                if *value < min || *value > max || value.is_nan() {
                    problems.push(wrong(
                        node,
                        path,
                        &format!("{self} is expected here, not {value}"),
                    ));
                }
                Number::from_f64(*value).map_or(Value::Null, Value::Number)
            }
            (Type::List(item), NodeKind::List(items)) => {
                let check =
                    |(n, i): (usize, &Node)| item.check(i, &path.join(&n.to_string()), problems);
                Value::Array(items.iter().enumerate().map(check).collect())
            }
            (Type::Map(item), NodeKind::Table(entries)) => {
                let check =
                    |(k, v): &(String, Node)| (k.clone(), item.check(v, &path.join(k), problems));
                Value::Object(entries.iter().map(check).collect())
            }
            (Type::Table(schema), NodeKind::Table(_)) => schema.check(node, path, problems),
            (Type::Properties, NodeKind::Table(_)) => {
                let mut flat = Map::new();
                flatten(node, "", path, &mut flat, problems);
                Value::Object(flat)
            }
            (Type::OneOf(types), _) => {
                let fits = types.iter().find(|ty| {
                    let mut trial = Vec::new();
                    ty.check(node, path, &mut trial);
                    trial.is_empty()
                });
                // If none fits, the problems of the alternative of the same shape say most.
                match fits.or_else(|| types.iter().find(|ty| ty.has_shape_of(&node.kind))) {
                    Some(ty) => ty.check(node, path, problems),
                    None => expected(problems),
                }
            }
            _ => expected(problems),
        }
    }

    /// The type of a list's items, in a message.
    fn several(self) -> String {
        match self {
            Type::Table(_) => self.to_string().replacen("a table", "tables", 1),
            Type::Enum(_) => self.to_string().replacen("one of ", "", 1),
            _ => self.to_string(),
        }
    }

    /// What somebody who wrote a value of another type probably meant.
    fn hint(self, node: &Node) -> Option<String> {
        let fits = |ty: Type| {
            let mut trial = Vec::new();
            ty.check(node, &Path::default(), &mut trial);
            trial.is_empty()
        };
        match (self, &node.kind) {
            (Type::Checked(accepts), NodeKind::Int(_) | NodeKind::Float(_)) => {
                let text = node.kind.to_string();
                let quote = |()| format!("put it in quotes: \"{text}\"");
                Some(accepts(&text).map_or_else(|why| why, quote))
            }
            (Type::Duration, NodeKind::Int(_) | NodeKind::Float(_)) => {
                duration(&node.kind.to_string()).err()
            }
            (Type::Text, NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Bool(_)) => {
                Some(format!("put it in quotes: \"{}\"", node.kind))
            }
            (Type::Open(known), _) => Some(format!("one is \"{}\"", known.first()?)),
            (Type::Int(..) | Type::Number(..), NodeKind::Text(text)) => {
                text.parse::<f64>().ok().map(|_| format!("leave the quotes out: {text}"))
            }
            (Type::List(item), kind) if fits(*item) => Some(match kind {
                NodeKind::Table(_) => "put it in brackets: [{ … }]".into(),
                kind => format!("put it in brackets: [{kind}]"),
            }),
            (Type::Map(_), NodeKind::List(_)) => Some("give each a name: { a = … }".into()),
            (Type::OneOf(types), _) => types.iter().find_map(|ty| ty.hint(node)),
            _ => None,
        }
    }

    fn has_shape_of(self, kind: &NodeKind) -> bool {
        match kind {
            NodeKind::Text(_) => matches!(
                self,
                Type::Text | Type::Checked(_) | Type::Duration | Type::Enum(_) | Type::Open(_)
            ),
            NodeKind::Int(_) => matches!(self, Type::Int(..) | Type::Number(..)),
            NodeKind::Float(_) => matches!(self, Type::Number(..)),
            NodeKind::Bool(_) => matches!(self, Type::Bool),
            NodeKind::List(_) => matches!(self, Type::List(_)),
            NodeKind::Table(_) => matches!(self, Type::Map(_) | Type::Table(_) | Type::Properties),
            NodeKind::Other(_) => false,
        }
    }
}

fn flatten(
    node: &Node,
    prefix: &str,
    path: &Path,
    flat: &mut Map<String, Value>,
    problems: &mut Vec<Problem>,
) {
    let NodeKind::Table(entries) = &node.kind else { return };
    for (name, child) in entries {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let at = path.join(name);
        let text = match &child.kind {
            NodeKind::Table(_) => {
                flatten(child, &key, &at, flat, problems);
                continue;
            }
            NodeKind::Text(text) => text.clone(),
            NodeKind::Int(value) => value.to_string(),
            NodeKind::Float(value) => value.to_string(),
            NodeKind::Bool(value) => value.to_string(),
            other => {
                let message = format!("text, a number or a boolean is expected here, not {other}");
                problems.push(wrong(child, &at, &message));
                continue;
            }
        };
        if flat.insert(key.clone(), Value::String(text)).is_some() {
            problems.push(wrong(child, &at, &format!("`{key}` is set twice, quoted and nested")));
        }
    }
}

fn wrong(node: &Node, path: &Path, message: &str) -> Problem {
    Problem { span: node.span.clone(), ..Problem::error(path.clone(), message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("7d"), Ok(Duration::from_hours(7 * 24)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        for bad in ["", "7", "d", "7 d", "-1s", "99999999999999999999w", "1.5h", "7y"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
