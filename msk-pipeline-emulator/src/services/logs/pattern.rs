//! Filter patterns over unstructured lines: terms, quoted phrases, `?either`, `-without`.
//!
//! Patterns for JSON (`{ $.level = "ERROR" }`), for columns (`[a, b]`) and regular expressions (`%x%`) do not exist here.

use super::rules;
use crate::world::AwsError;

/// A parsed filter pattern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, AwsError> {
        let mut pattern = Self::default();
        let mut rest = text.trim_start();
        if rest.starts_with(['{', '[', '%']) {
            return Err(AwsError::new(
                "NotImplemented",
                "filter patterns for JSON, columns and regular expressions are not implemented by the embedded AWS",
            )
            .status(501));
        }
        while !rest.is_empty() {
            let terms = match rest.as_bytes()[0] {
                b'?' => &mut pattern.any,
                b'-' => &mut pattern.none,
                _ => &mut pattern.all,
            };
            rest = rest.strip_prefix(['?', '-']).unwrap_or(rest);
            let term = if let Some(quoted) = rest.strip_prefix('"') {
                let (term, tail) = rules::phrase_is_closed(text, quoted)?;
                rest = tail;
                term
            } else {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (term, tail) = rest.split_at(end);
                rules::term_is_plain(term)?;
                rest = tail;
                term.to_owned()
            };
            terms.push(term);
            rest = rest.trim_start();
        }
        Ok(pattern)
    }

    /// Whether a line has what the pattern asks for. Case matters. Terms with `?` count only where there are no others.
    pub(super) fn matches(&self, line: &str) -> bool {
        let has = |term: &String| line.contains(term.as_str());
        let alone = self.all.is_empty() && self.none.is_empty();
        self.all.iter().all(has)
            && !self.none.iter().any(has)
            && (self.any.is_empty() || !alone || self.any.iter().any(has))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, line: &str, expected: bool) {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(line), expected, "{pattern:?} on {line:?}");
    }

    #[test]
    fn terms_phrases_alternatives_and_exclusions() {
        let line = "[Worker-0f] ERROR Task threw an exception. Caused by: Access denied";
        check("", line, true);
        check("ERROR", line, true);
        check("error", line, false);
        check("ERROR WARN", line, false);
        check("?ERROR ?WARN", line, true);
        check("?FATAL ?WARN", line, false);
        check("\"Caused by: Access\"", line, true);
        check("\"Caused by: Denied\"", line, false);
        check("ERROR -exception", line, false);
        check("ERROR -\"no such\"", line, true);
        check("?\"Caused by\" ?FATAL", line, true);
        check(r#""say \"no\"""#, r#"they say "no""#, true);
    }

    #[test]
    fn what_is_not_here_says_so() {
        assert_eq!(Pattern::parse("{ $.level = \"ERROR\" }").unwrap_err().code, "NotImplemented");
    }
}
