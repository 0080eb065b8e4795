//! Java's property files: the form in which Kafka and Connect take what they are told.

use std::collections::BTreeMap;

/// Keys and values, in order.
pub type Properties = BTreeMap<String, String>;

/// The text of a property file that `java.util.Properties` reads back as exactly these keys and values.
pub fn render(properties: &Properties) -> String {
    properties
        .iter()
        .map(|(key, value)| format!("{}={}\n", escape(key, true), escape(value, false)))
        .collect()
}

/// Reads what `java.util.Properties` would: comments, continued lines, escapes, `=`, `:` or space between key and value.
pub fn parse(text: &str) -> Properties {
    let mut out = Properties::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let (key, value) = split(&line);
        out.insert(unescape(key), unescape(value));
    }
    out
}

fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if matches!(c, '=' | ':' | ' ' | '\t') {
            let rest = line[at..].trim_start();
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..at], rest.trim_start());
        }
    }
    (line, "")
}

fn escape(text: &str, key: bool) -> String {
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '=' | ':' | '#' | '!' if key => out.extend(['\\', c]),
            ' ' if key || at == 0 => out.push_str("\\ "),
            c if c.is_ascii() && !c.is_ascii_control() => out.push(c),
            // The reader takes the file for Latin-1: everything else in UTF-16 units.
            c => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some('f')) => '\u{c}',
            ('\\', Some('u')) => {
                let hex: String = chars.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&hex, 16).unwrap_or(0xfffd));
                continue;
            }
            ('\\', Some(other)) => other,
            (c, _) => c,
        };
        units.extend(c.encode_utf16(&mut [0; 2]).iter());
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_java_reads() {
        for (key, value, expected) in [
            ("a.b", "c", "a.b=c\n"),
            ("a b", " c d", "a\\ b=\\ c d\n"),
            ("k:=#!", "v:=#!", "k\\:\\=\\#\\!=v:=#!\n"),
            ("p", "a\\b\n\tc", "p=a\\\\b\\n\\tc\n"),
            ("ü", "€😀", "\\u00fc=\\u20ac\\ud83d\\ude00\n"),
            ("empty", "", "empty=\n"),
        ] {
            let properties = Properties::from([(key.into(), value.into())]);
            assert_eq!(render(&properties), expected);
            assert_eq!(parse(expected), properties);
        }
    }

    #[test]
    fn every_form_that_java_takes_is_read() {
        let text = "# no\n! no\n\n a = 1 \nb:2\nc 3\nd=\\\n   x\\\n  y\ne=q\\\\\nf\n";
        let expected: Properties =
            [("a", "1 "), ("b", "2"), ("c", "3"), ("d", "xy"), ("e", "q\\"), ("f", "")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
        assert_eq!(parse(text), expected);
    }
}
