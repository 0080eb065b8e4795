//! Leaves out of a text what may be a secret: logs print more than they should.

use super::pattern::clip;

/// So much of a text is told, in bytes.
const TOLD: usize = 600;
/// Words before a value that isn't told; compared without regard to case.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret_access_key",
    "secretkey",
    "secretstring",
    "sessiontoken",
    "x-amz-signature",
    "x-amz-security-token",
    "api.key",
    "passphrase",
];
/// What may stand between such a word and its value.
const BETWEEN: &[char] = &['"', '\'', '=', ':', ' ', '\\'];

/// The text without values of passwords and keys, and no longer than a paragraph.
pub(super) fn redact(text: &str) -> String {
    // A config provider prints a secret that it can't read (`AwsServiceConfigProvider`, "Unexpected value of a secret's structure").
    if let (Some(from), Some(to)) = (text.find("Invalid value "), text.find(" for configuration"))
        && from < to
        && text.contains("secret's structure")
    {
        return format!("{}Invalid value …{}", &text[..from], &text[to..]);
    }
    let mut told = String::with_capacity(text.len().min(TOLD));
    let mut rest = clip(text, 2 * TOLD);
    while let Some((at, word)) = next_word(rest) {
        let (before, after) = rest.split_at(at + word.len());
        told += before;
        let value = after.trim_start_matches(BETWEEN);
        let between = &after[..after.len() - value.len()];
        told += between;
        if !between.contains(['=', ':']) {
            rest = value;
            continue;
        }
        let end =
            value.find(|c: char| c.is_whitespace() || "\"',;}&".contains(c)).unwrap_or(value.len());
        // `(using password: YES)` and a placeholder tell nothing secret, and what a reader needs.
        if matches!(&value[..end], "" | "YES)" | "NO)")
            || value.starts_with("${")
            || value.starts_with("[hidden]")
        {
            told += &value[..end];
        } else {
            told += "…";
        }
        rest = &value[end..];
    }
    told += rest;
    if told.len() > TOLD { format!("{}…", clip(&told, TOLD)) } else { told }
}

/// The next word before a secret, with its place.
fn next_word(text: &str) -> Option<(usize, &'static str)> {
    let lower = text.to_ascii_lowercase();
    WORDS.iter().filter_map(|word| Some((lower.find(word)?, *word))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_passwords_are_left_out() {
        for text in [
            r#"{"username":"cdc","password":"hunter2"} x"#,
            r#"ScramLoginModule required username="u" password="hunter2"; x"#,
            "jdbc:mysql://db/?user=cdc&password=hunter2&x=y x",
            "database.password = hunter2 x",
            r#"Invalid value {"username":"cdc","pw":"hunter2"} for configuration cdc/orders: Unexpected value of a secret's structure x"#,
            "https://b/?Action=x&X-Amz-Signature=hunter2&y x",
        ] {
            let told = redact(text);
            assert!(
                !told.contains("hunter2") && told.contains('…') && told.ends_with('x'),
                "{told}"
            );
        }
    }

    #[test]
    fn what_a_reader_needs_stays() {
        for text in [
            "Access denied for user 'cdc'@'h' (using password: YES)",
            "password authentication failed for user \"cdc\"",
            "FATAL: password authentication failed",
            "database.password = ${secretsmanager:cdc/orders:password}",
            "Secret undefined cdc/orders:password",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert!(redact(&"é".repeat(10_000)).len() <= TOLD + 3);
    }
}
