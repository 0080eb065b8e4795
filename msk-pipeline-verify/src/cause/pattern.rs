//! The pattern by which an entry of the table recognises a text: literals with named gaps.
//!
//! `Access denied for user '{user}'@'{}'` matches where its literals stand one after the other; what stands in a named gap can be
//! used in the fix. A gap at the beginning or at the end takes one word.

use std::collections::BTreeMap;

/// What named gaps held.
pub(super) type Gaps = BTreeMap<&'static str, String>;

/// So much of a gap is kept, in bytes.
const GAP: usize = 200;

/// Where a pattern matches, what its gaps hold; `None` if it doesn't.
pub(super) fn gaps(pattern: &'static str, text: &str) -> Option<Gaps> {
    let mut found = Gaps::new();
    let mut pieces = Pieces(pattern);
    let (first, mut gap) = pieces.next()?;
    let mut rest = &text[text.find(first)? + first.len()..];
    for (literal, next) in pieces {
        let end = if literal.is_empty() { word(rest) } else { rest.find(literal)? };
        if let Some(name) = gap.filter(|name| !name.is_empty()) {
            let held = if found.is_empty() && pattern.starts_with('{') {
                last_word(&rest[..end])
            } else {
                rest[..end].trim()
            };
            found.insert(name, clip(held, GAP).to_owned());
        }
        rest = &rest[end + literal.len()..];
        gap = next;
    }
    Some(found)
}

/// The longest literal of a pattern: where it isn't, the pattern can't match.
pub(super) fn anchor(pattern: &'static str) -> &'static str {
    Pieces(pattern).map(|(literal, _)| literal).max_by_key(|literal| literal.len()).unwrap_or("")
}

/// How much of a text a pattern determines.
pub(super) fn weight(pattern: &'static str) -> usize {
    Pieces(pattern).map(|(literal, _)| literal.len()).sum()
}

/// The names of a pattern's gaps.
#[cfg(test)]
pub(super) fn names(pattern: &'static str) -> impl Iterator<Item = &'static str> {
    Pieces(pattern).filter_map(|(_, gap)| gap).filter(|name| !name.is_empty())
}

/// The first bytes of a text, cut between characters.
pub(super) fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end();
    &text[text.rfind(is_between).map_or(0, |at| at + 1)..]
}

/// What no word has; all of them are one byte long, blanks but those of ASCII excepted.
fn is_between(c: char) -> bool {
    c.is_ascii_whitespace() || "'\"`,;()[]{}<>".contains(c)
}

fn word(text: &str) -> usize {
    let end = text.find(is_between).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ':']).len()
}

/// Literals, each with the gap behind it; a gap at the end is followed by an empty literal.
struct Pieces(&'static str);

impl Iterator for Pieces {
    type Item = (&'static str, Option<&'static str>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0 == "\0" {
            return None;
        }
        let Some((literal, rest)) = self.0.split_once('{') else {
            return Some((std::mem::replace(&mut self.0, "\0"), None));
        };
        let (name, rest) = rest.split_once('}').unwrap_or((rest, ""));
        self.0 = rest;
        Some((literal, Some(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &'static str, text: &str) -> Option<Vec<(&'static str, String)>> {
        gaps(pattern, text).map(|gaps| gaps.into_iter().collect())
    }

    #[test]
    fn literals_stand_in_order_and_gaps_between_them() {
        let pattern = "Access denied for user '{user}'@'{host}' (using password: YES)";
        assert_eq!(
            found(pattern, "x: Access denied for user 'cdc'@'10.0.0.7' (using password: YES) y"),
            Some(vec![("host", "10.0.0.7".into()), ("user", "cdc".into())])
        );
        assert_eq!(found(pattern, "(using password: YES) Access denied for user 'cdc'@'h'"), None);
        assert_eq!(found("plain", "a plain text"), Some(vec![]));
        assert_eq!(found("plain", "another text"), None);
    }

    #[test]
    fn a_gap_at_the_end_is_a_word_and_one_without_name_is_not_kept() {
        assert_eq!(
            found(
                "UnknownHostException: {host}",
                "java.net.UnknownHostException: db.example.com: Name or service not known"
            ),
            Some(vec![("host", "db.example.com".into())])
        );
        assert_eq!(
            found("{topic}=UNKNOWN}", "id 4 : {orders.a=UNKNOWN}"),
            Some(vec![("topic", "orders.a".into())])
        );
        assert_eq!(
            found("table {} is {what}", "table a.b is gone."),
            Some(vec![("what", "gone".into())])
        );
    }

    #[test]
    fn the_anchor_is_the_longest_literal() {
        assert_eq!(anchor("a {x} long literal {y} b"), " long literal ");
        assert_eq!(weight("ab{x}cde"), 5);
        assert_eq!(anchor("whole"), "whole");
    }

    #[test]
    fn gaps_are_clipped_between_characters() {
        let text = format!("<{}>", "é".repeat(GAP));
        let gaps = gaps("<{all}>", &text).unwrap();
        assert_eq!(gaps["all"], "é".repeat(GAP / 2));
    }
}
