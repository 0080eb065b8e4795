//! How a secret value may be written, and where it is kept on purpose. Also used by the tests of the command line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// The passwords in a world's own secret store, given the world's state.
pub fn secrets(state: &Value) -> Vec<String> {
    let secrets = state["secretsmanager"]["secrets"].as_object().expect("secrets").values();
    let versions = secrets.flat_map(|s| s["versions"].as_object().expect("versions").values());
    let passwords = versions.map(|version| {
        let text = version["payload"]["Text"].as_str().expect("a text");
        let value: Value = serde_json::from_str(text).expect("a document");
        value["password"].as_str().expect("a password").to_owned()
    });
    passwords.collect()
}

/// The ways in which a value may be written.
pub fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(secret).expect("a text");
    let twice = serde_json::to_string(json.trim_matches('"')).expect("a text");
    let percent: String = secret
        .bytes()
        .map(|b| match b {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let json = json.trim_matches('"').to_owned();
    let twice = twice.trim_matches('"').to_owned();
    // Base64 depends on where in the text the value begins; its middle doesn't, for each of three places.
    let inside = (0..3).map(|skip| {
        let text = format!("{}{secret}", "x".repeat(skip));
        let coded = BASE64.encode(text);
        coded[4.min(coded.len())..coded.len() - 4].to_owned()
    });
    let plain = [secret.to_owned(), json, twice, percent];
    plain.into_iter().chain(inside).map(String::into_bytes).collect()
}

/// True if one of `spelled` is in `bytes`.
pub fn found(spelled: &[Vec<u8>], bytes: &[u8]) -> bool {
    spelled.iter().any(|s| bytes.windows(s.len()).any(|window| window == s.as_slice()))
}
