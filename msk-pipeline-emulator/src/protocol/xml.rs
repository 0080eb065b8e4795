//! XML both ways: a small tree for request bodies, a writer driven by shapes for answers.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use serde_json::{Map, Value};

use super::{Malformed, scalar, time};
use crate::model::{Member, Model, Shape, Type};

/// One element.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

/// Parses a document; `None` if it isn't well-formed.
pub(super) fn parse(body: &[u8]) -> Option<Element> {
    let mut reader = quick_xml::Reader::from_reader(body);
    let mut stack = vec![Element::default()];
    let mut buffer = Vec::new();
    let open = |start: &quick_xml::events::BytesStart<'_>| -> Option<Element> {
        let mut attributes = Vec::new();
        for a in start.attributes() {
            let a = a.ok()?;
            let name = String::from_utf8(a.key.local_name().as_ref().to_vec()).ok()?;
            attributes.push((name, a.unescape_value().ok()?.into_owned()));
        }
        let name = String::from_utf8(start.local_name().as_ref().to_vec()).ok()?;
        Some(Element { name, attributes, ..Element::default() })
    };
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(start) => stack.push(open(&start)?),
            Event::Empty(start) => {
                let element = open(&start)?;
                stack.last_mut()?.children.push(element);
            }
            Event::End(_) => {
                let done = stack.pop()?;
                stack.last_mut()?.children.push(done);
            }
            Event::Text(text) => stack.last_mut()?.text.push_str(&text.decode().ok()?),
            Event::CData(text) => stack.last_mut()?.text.push_str(&text.decode().ok()?),
            Event::GeneralRef(entity) => {
                let top = stack.last_mut()?;
                match entity.resolve_char_ref().ok()? {
                    Some(c) => top.text.push(c),
                    None => top.text.push_str(resolve_predefined_entity(&entity.decode().ok()?)?),
                }
            }
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    if stack.len() != 1 {
        return None;
    }
    stack.pop()?.children.pop()
}

/// Reads an element as a shape.
pub(super) fn read(model: &Model, name: &str, element: &Element) -> Result<Value, Malformed> {
    let shape = model.shape(name);
    match shape.kind {
        Type::Structure => {
            let mut out = Map::new();
            for (member, m) in shape.members.iter().filter(|(_, m)| m.location.is_none()) {
                if let Some(value) = read_member(model, member, m, element)? {
                    out.insert(member.clone(), value);
                }
            }
            Ok(Value::Object(out))
        }
        Type::List => {
            let inner = shape.member.as_ref().expect("a list has a member");
            let wire = inner.wire("member");
            let items = element.children.iter().filter(|c| c.name == wire);
            items.map(|c| read(model, &inner.shape, c)).collect::<Result<_, _>>().map(Value::Array)
        }
        Type::Map => {
            let (k, v) = (
                shape.key.as_ref().expect("a map has a key"),
                shape.value.as_ref().expect("a map has a value"),
            );
            let mut out = Map::new();
            for entry in element.children.iter().filter(|c| c.name == "entry") {
                let key = entry.children.iter().find(|c| c.name == k.wire("key"));
                let value = entry.children.iter().find(|c| c.name == v.wire("value"));
                if let (Some(key), Some(value)) = (key, value) {
                    out.insert(key.text.clone(), read(model, &v.shape, value)?);
                }
            }
            Ok(Value::Object(out))
        }
        kind => scalar(kind, &element.text)
            .ok_or_else(|| Malformed { member: element.name.clone(), value: element.text.clone() }),
    }
}

fn read_member(
    model: &Model,
    name: &str,
    member: &Member,
    element: &Element,
) -> Result<Option<Value>, Malformed> {
    let wire = member.wire(name);
    if member.attribute() {
        let local = wire.rsplit(':').next().unwrap_or(wire);
        let found = element.attributes.iter().find(|(n, _)| n == local);
        return Ok(found.map(|(_, v)| Value::String(v.clone())));
    }
    let shape = model.shape(&member.shape);
    let mut found = element.children.iter().filter(|c| c.name == wire);
    if shape.kind == Type::List && (shape.flattened() || member.flattened()) {
        let inner = shape.member.as_ref().expect("a list has a member");
        let items = found.map(|c| read(model, &inner.shape, c)).collect::<Result<Vec<_>, _>>()?;
        return Ok((!items.is_empty()).then_some(Value::Array(items)));
    }
    found.next().map(|c| read(model, &member.shape, c)).transpose()
}

/// Writes XML answers.
pub(super) struct Writer<'a> {
    /// The service's shapes.
    pub(super) model: &'a Model,
    /// EC2 writes every list as `<item>`s.
    pub(super) ec2: bool,
    /// IAM and STS write timestamps without a fraction.
    pub(super) whole_seconds: bool,
}

impl Writer<'_> {
    /// The members of a structure, without an element around them. Members with a location are left out.
    pub(super) fn members(&self, out: &mut String, shape: &Shape, value: &Value) {
        let Value::Object(map) = value else { return };
        for (name, m) in
            shape.members.iter().filter(|(_, m)| m.location.is_none() && !m.attribute())
        {
            if let Some(value) = map.get(name).filter(|v| !v.is_null()) {
                self.member(out, m.wire(name), m, value);
            }
        }
    }

    fn member(&self, out: &mut String, wire: &str, member: &Member, value: &Value) {
        let shape = self.model.shape(&member.shape);
        let flat = shape.flattened() || member.flattened();
        match (shape.kind, value) {
            (Type::List, Value::Array(items)) => {
                let inner = shape.member.as_ref().expect("a list has a member");
                let name =
                    if flat { wire } else { inner.wire(if self.ec2 { "item" } else { "member" }) };
                let mut content = String::new();
                for item in items {
                    self.member(&mut content, name, inner, item);
                }
                if flat {
                    out.push_str(&content);
                } else {
                    element(out, wire, "", &content);
                }
            }
            (Type::Map, Value::Object(map)) => {
                let (k, v) = (
                    shape.key.as_ref().expect("a map has a key"),
                    shape.value.as_ref().expect("a map has a value"),
                );
                let mut content = String::new();
                for (key, item) in map {
                    let mut entry = String::new();
                    element(&mut entry, k.wire("key"), "", &escape(key));
                    self.member(&mut entry, v.wire("value"), v, item);
                    element(&mut content, if flat { wire } else { "entry" }, "", &entry);
                }
                if flat {
                    out.push_str(&content);
                } else {
                    element(out, wire, "", &content);
                }
            }
            (Type::Structure, _) => {
                let mut attributes = String::new();
                for (name, m) in shape.members.iter().filter(|(_, m)| m.attribute()) {
                    if let Some(Value::String(text)) = value.get(name) {
                        let wire = m.wire(name);
                        if let Some((prefix, _)) = wire.split_once(':') {
                            let uri = "http://www.w3.org/2001/XMLSchema-instance";
                            attributes.extend([" xmlns:", prefix, "=\"", uri, "\""]);
                        }
                        attributes.extend([" ", wire, "=\"", &escape(text), "\""]);
                    }
                }
                let mut content = String::new();
                self.members(&mut content, shape, value);
                element(out, wire, &attributes, &content);
            }
            _ => {
                let format = member.timestamp.as_deref().or(shape.timestamp.as_deref());
                element(out, wire, "", &escape(&self.text(shape.kind, format, value)));
            }
        }
    }

    fn text(&self, kind: Type, format: Option<&str>, value: &Value) -> String {
        match (kind, value) {
            (Type::Timestamp, Value::Number(n)) => {
                let at = n.as_u64().unwrap_or_default();
                match format {
                    Some("rfc822") => time::http(at),
                    Some("unixTimestamp") => (at / 1000).to_string(),
                    _ if self.whole_seconds => time::iso_seconds(at),
                    _ => time::iso(at),
                }
            }
            (_, Value::String(s)) => s.clone(),
            (Type::Double | Type::Float, Value::Number(n)) => {
                // 2.0, not 2.
                n.as_f64().map_or_else(String::new, |f| format!("{f:?}"))
            }
            (_, other) => other.to_string(),
        }
    }
}

/// Appends `<name attributes>content</name>`; `attributes` begins with a blank, `content` is escaped already.
pub(super) fn element(out: &mut String, name: &str, attributes: &str, content: &str) {
    if content.is_empty() {
        out.extend(["<", name, attributes, "/>"]);
    } else {
        out.extend(["<", name, attributes, ">", content, "</", name, ">"]);
    }
}

/// Text for element content and attribute values.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
    }
    out
}
