//! What all Describe calls share: reading the input, ids that must exist, filters, pages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::rules;
use super::state::Tags;
use crate::world::AwsError;

/// A text member that is there and not empty.
pub(super) fn text<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input[member].as_str().filter(|text| !text.is_empty())
}

/// A boolean member; absent is false.
pub(super) fn flag(input: &Value, member: &str) -> bool {
    input[member].as_bool().unwrap_or(false)
}

/// A list member; absent is empty.
pub(super) fn list<'a>(input: &'a Value, member: &str) -> &'a [Value] {
    input[member].as_array().map_or(&[], Vec::as_slice)
}

/// The texts of a list member.
pub(super) fn texts(input: &Value, member: &str) -> Vec<String> {
    list(input, member).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Tags as EC2 shows them.
pub(super) fn tag_list(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// What a Describe call looks at.
pub(super) struct Query<'a> {
    /// The output member with the list.
    pub(super) output: &'a str,
    /// The input member with ids, and the member of an item that it means.
    pub(super) ids: Option<(&'a str, &'a str)>,
    /// The error code and the message (with `{}` for the id) for an id that does not exist.
    pub(super) unknown: (&'a str, &'a str),
    /// Filter names with the path of the members that they look at; `tag:KEY` and `tag-key` come by themselves where the item
    /// has tags.
    pub(super) filters: &'a [(&'a str, &'a str)],
    /// The member with an item's tags.
    pub(super) tags: Option<&'a str>,
}

impl Query<'_> {
    /// Answers the call from all items, which must be in a stable order.
    pub(super) fn answer(&self, items: Vec<Value>, input: &Value) -> Result<Value, AwsError> {
        let mut items = self.by_id(items, input)?;
        for filter in list(input, "Filters") {
            let name = text(filter, "Name").unwrap_or_default();
            let wanted = texts(filter, "Values");
            let path = rules::filter_is_known(name, self.filters, self.tags)?;
            items.retain(|item| {
                let seen = self.seen(item, name, path);
                wanted.iter().any(|pattern| seen.iter().any(|value| glob(pattern, value)))
            });
        }
        let (items, next) = page(items, input)?;
        let mut answer = Map::from_iter([(self.output.to_owned(), Value::Array(items))]);
        if let Some(next) = next {
            answer.insert("NextToken".into(), next.into());
        }
        Ok(Value::Object(answer))
    }

    fn by_id(&self, items: Vec<Value>, input: &Value) -> Result<Vec<Value>, AwsError> {
        let Some((member, key)) = self.ids else { return Ok(items) };
        let ids = texts(input, member);
        if ids.is_empty() {
            return Ok(items);
        }
        let exists = |id: &String| items.iter().any(|item| item[key] == id.as_str());
        if let Some(missing) = ids.iter().find(|id| !exists(id)) {
            let (code, message) = self.unknown;
            return Err(AwsError::new(code, message.replace("{}", missing)));
        }
        Ok(items.into_iter().filter(|item| ids.iter().any(|id| item[key] == id.as_str())).collect())
    }

    /// The values of an item that a filter looks at.
    fn seen(&self, item: &Value, name: &str, path: &str) -> Vec<String> {
        let tags = self.tags.map_or(&[][..], |member| list(item, member));
        if let Some(key) = name.strip_prefix("tag:") {
            return tags
                .iter()
                .filter(|tag| tag["Key"] == key)
                .filter_map(|tag| tag["Value"].as_str().map(str::to_owned))
                .collect();
        }
        if name == "tag-key" {
            return tags.iter().filter_map(|tag| tag["Key"].as_str().map(str::to_owned)).collect();
        }
        let mut found = Vec::new();
        collect(item, path, &mut found);
        found
    }
}

/// The scalars at a dotted path; lists on the way are looked through.
fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    if let Value::Array(items) = value {
        for item in items {
            collect(item, path, found);
        }
        return;
    }
    if path.is_empty() {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Number(number) => found.push(number.to_string()),
            Value::Bool(truth) => found.push(truth.to_string()),
            _ => {}
        }
        return;
    }
    let (member, rest) = path.split_once('.').unwrap_or((path, ""));
    collect(&value[member], rest, found);
}

/// Whether `text` matches `pattern`, in which `*` stands for any text, `?` for one character, and `\` takes away their meaning.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    fn at(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['*', rest @ ..], _) => (0..=text.len()).any(|skip| at(rest, &text[skip..])),
            (['?', rest @ ..], [_, tail @ ..]) => at(rest, tail),
            (['\\', literal, rest @ ..], [first, tail @ ..]) if literal == first => at(rest, tail),
            ([literal, rest @ ..], [first, tail @ ..]) if literal == first && *literal != '\\' => {
                at(rest, tail)
            }
            _ => false,
        }
    }
    at(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// One page of the items, and the token of the next one: where it begins.
fn page(items: Vec<Value>, input: &Value) -> Result<(Vec<Value>, Option<String>), AwsError> {
    let start = match text(input, "NextToken") {
        None => 0,
        Some(token) => rules::token_is_known(
            STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|text| text.strip_prefix("after:").and_then(|n| n.parse().ok())),
        )?,
    };
    let size = input["MaxResults"].as_u64().map_or(usize::MAX, |size| size.clamp(1, 1000) as usize);
    let end = start.saturating_add(size).min(items.len());
    let next = (end < items.len()).then(|| STANDARD.encode(format!("after:{end}")));
    let size = end.saturating_sub(start);
    Ok((items.into_iter().skip(start).take(size).collect(), next))
}
