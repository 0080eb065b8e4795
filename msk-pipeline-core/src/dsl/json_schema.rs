//! The published JSON Schema of the file, from the same schemas that check it.

use serde_json::{Map, Value, json};

use super::component::Components;
use super::pipeline::HEADER;
use super::schema::{Schema, Type};

impl Components {
    /// A JSON Schema (draft 2020-12) of the whole file: descriptions, defaults, and in `x-change` what changing a key later does.
    pub fn json_schema(&self) -> Value {
        let mut properties = Map::new();
        properties.insert("pipeline".into(), table(&HEADER));
        for (name, component) in self.iter() {
            let one = table(component.schema);
            let schema = if component.named {
                json!({
                    "type": "object",
                    "description": component.schema.doc,
                    "propertyNames": { "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "maxLength": 24 },
                    "additionalProperties": one,
                })
            } else {
                one
            };
            properties.insert(name.into(), schema);
        }
        let free = json!({ "type": "object" });
        properties.insert("env".into(), json!({ "type": "object", "additionalProperties": free }));
        let text = json!({ "type": "string" });
        properties.insert("var".into(), json!({ "type": "object", "additionalProperties": text }));
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "msk-pipeline",
            "type": "object",
            "required": ["pipeline"],
            "properties": properties,
            "additionalProperties": false,
        })
    }
}

fn table(schema: &Schema) -> Value {
    let mut properties = Map::new();
    for key in schema.keys {
        let mut value = one(key.ty);
        if let Some(map) = value.as_object_mut() {
            map.insert("description".into(), key.doc.into());
            if let Some(default) = key.default {
                map.insert("default".into(), literal(default));
            }
            if !key.change.is_empty() {
                map.insert("x-change".into(), key.change.into());
            }
        }
        properties.insert(key.name.into(), value);
    }
    let required: Vec<_> = schema.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    json!({
        "type": "object",
        "description": schema.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A default as JSON; one that is a rule rather than a value stays text.
fn literal(toml: &str) -> Value {
    let parsed = format!("x = {toml}").parse::<toml::Table>().ok();
    let value = parsed.and_then(|mut t| t.remove("x"));
    value.and_then(|v| serde_json::to_value(v).ok()).unwrap_or_else(|| toml.into())
}

fn one(ty: Type) -> Value {
    match ty {
        Type::Text | Type::Checked(_) => json!({ "type": "string" }),
        Type::Open(values) => json!({ "type": "string", "examples": values }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int(min, i64::MAX) => json!({ "type": "integer", "minimum": min }),
        Type::Int(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Type::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Type::Duration => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d|w)$" }),
        Type::Enum(values) => json!({ "enum": values }),
        Type::List(item) => json!({ "type": "array", "items": one(*item) }),
        Type::Map(item) => json!({ "type": "object", "additionalProperties": one(*item) }),
        Type::Table(schema) => table(schema),
        Type::Properties => json!({ "type": "object" }),
        Type::OneOf(types) => {
            json!({ "anyOf": types.iter().map(|t| one(*t)).collect::<Vec<_>>() })
        }
    }
}
