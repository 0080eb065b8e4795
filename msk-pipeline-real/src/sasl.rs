//! The frames of Kafka's protocol that a client sends until it is authenticated, and the two mechanisms of MSK's IAM listener.
//!
//! Sources: Kafka's protocol guide (`SaslHandshake`, `SaslAuthenticate`, `ApiVersions`; request headers v1 and v2), KIP-43, KIP-152;
//! for `AWS_MSK_IAM` the README of aws/aws-msk-iam-auth ("Details": the authentication payload), for `OAUTHBEARER` RFC 7628 and the
//! README of aws/aws-msk-iam-sasl-signer-js (the token is a presigned URL in base64url).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::sigv4::Presigned;

/// Largest frame before authentication (Kafka's own limit, `sasl.server.max.receive.size`).
pub const MAX_FRAME: u32 = 524_288;

pub(crate) const SASL_HANDSHAKE: i16 = 17;
pub(crate) const API_VERSIONS: i16 = 18;
pub(crate) const SASL_AUTHENTICATE: i16 = 36;

const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;
const AUTHENTICATION_FAILED: i16 = 58;

/// The mechanisms of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The one of `aws-msk-iam-auth`.
    AwsMskIam,
    /// Of every other client.
    OauthBearer,
}

const MECHANISMS: [(&str, Mechanism); 2] =
    [("AWS_MSK_IAM", Mechanism::AwsMskIam), ("OAUTHBEARER", Mechanism::OauthBearer)];

/// A request as far as it counts here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Passed on to the broker.
    ApiVersions,
    /// The mechanism's name.
    Handshake { correlation: i32, mechanism: String },
    /// What the mechanism says.
    Authenticate { correlation: i32, version: i16, payload: Vec<u8> },
    /// Nothing that may come before authentication.
    Other,
}

/// Reads a frame's content.
pub(crate) fn request(frame: &[u8]) -> Option<Request> {
    let mut from = Reader(frame);
    let (api, version, correlation) = (from.i16()?, from.i16()?, from.i32()?);
    match api {
        API_VERSIONS => Some(Request::ApiVersions),
        SASL_HANDSHAKE => {
            from.nullable_string()?;
            let mechanism = from.nullable_string()?;
            Some(Request::Handshake { correlation, mechanism })
        }
        SASL_AUTHENTICATE => {
            from.nullable_string()?;
            let len = if version >= 2 {
                from.tags()?;
                from.varint()?.checked_sub(1)?
            } else {
                u32::try_from(from.i32()?).ok()?
            };
            let payload = from.take(usize::try_from(len).ok()?)?.to_vec();
            Some(Request::Authenticate { correlation, version, payload })
        }
        _ => Some(Request::Other),
    }
}

/// The mechanism that was asked for, and the answer.
pub(crate) fn handshake(correlation: i32, mechanism: &str) -> (Option<Mechanism>, Vec<u8>) {
    let found = MECHANISMS.iter().find(|(name, _)| *name == mechanism).map(|(_, m)| *m);
    let mut out = Writer::default();
    out.i32(correlation).i16(if found.is_some() { 0 } else { UNSUPPORTED_MECHANISM });
    out.i32(i32::try_from(MECHANISMS.len()).unwrap_or_default());
    for (name, _) in MECHANISMS {
        out.string(name);
    }
    (found, out.0)
}

/// The answer to an authentication: what the server says, or why not.
pub(crate) fn authenticate(
    correlation: i32,
    version: i16,
    outcome: Result<&[u8], (i16, &str)>,
) -> Vec<u8> {
    let (code, message, payload) = match outcome {
        Ok(payload) => (0, None, payload),
        Err((code, message)) => (code, Some(message), &[][..]),
    };
    let mut out = Writer::default();
    out.i32(correlation);
    // Zero: the session does not end before its connection. MSK's ends with the credentials; a proxy that passes frames on
    // unread could not answer the reauthentication.
    let lifetime = 0_i64;
    if version >= 2 {
        out.byte(0).i16(code).compact(message.map(str::as_bytes)).compact(Some(payload));
        out.i64(lifetime).byte(0);
    } else {
        out.i16(code);
        match message {
            Some(message) => out.string(message),
            None => out.i16(-1),
        };
        out.bytes(payload);
        if version >= 1 {
            out.i64(lifetime);
        }
    }
    out.0
}

/// The error of a request out of turn.
pub(crate) fn out_of_turn() -> (i16, &'static str) {
    (ILLEGAL_STATE, "SaslAuthenticate request received out of turn")
}

/// The error of whoever isn't let in; the words are MSK's, which doesn't say why.
pub(crate) fn denied(message: &str) -> (i16, &str) {
    (AUTHENTICATION_FAILED, message)
}

/// What a client's first message claims.
pub(crate) fn claim(mechanism: Mechanism, payload: &[u8]) -> Option<Presigned> {
    match mechanism {
        Mechanism::AwsMskIam => iam_claim(payload),
        Mechanism::OauthBearer => bearer_claim(payload),
    }
}

/// The names in the payload with those that were signed.
const SIGNED: [(&str, &str); 8] = [
    ("action", "Action"),
    ("x-amz-algorithm", "X-Amz-Algorithm"),
    ("x-amz-credential", "X-Amz-Credential"),
    ("x-amz-date", "X-Amz-Date"),
    ("x-amz-expires", "X-Amz-Expires"),
    ("x-amz-security-token", "X-Amz-Security-Token"),
    ("x-amz-signature", "X-Amz-Signature"),
    ("x-amz-signedheaders", "X-Amz-SignedHeaders"),
];

fn iam_claim(payload: &[u8]) -> Option<Presigned> {
    let payload: BTreeMap<String, Value> = serde_json::from_slice(payload).ok()?;
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    if text("version")? != "2020_10_22" {
        return None;
    }
    let query = SIGNED
        .iter()
        .filter_map(|(name, signed)| Some(((*signed).to_owned(), text(name)?.to_owned())));
    Some(Presigned { host: text("host")?.to_owned(), query: query.collect() })
}

fn bearer_claim(payload: &[u8]) -> Option<Presigned> {
    let text = std::str::from_utf8(payload).ok()?;
    let token = text.split('\u{1}').find_map(|part| part.strip_prefix("auth=Bearer "))?;
    let decoded = URL_SAFE_NO_PAD.decode(token).or_else(|_| URL_SAFE.decode(token)).ok()?;
    let url = String::from_utf8(decoded).ok()?;
    let (host, query) = url.strip_prefix("https://")?.split_once("/?")?;
    let mut claim = Presigned::parse(host, query);
    // Added after signing, for the brokers' logs.
    claim.query.remove("User-Agent");
    Some(claim)
}

/// What the server says to who is let in.
pub(crate) fn welcome(mechanism: Mechanism, request_id: &str) -> Vec<u8> {
    match mechanism {
        Mechanism::AwsMskIam => {
            json!({ "version": "2020_10_22", "request-id": request_id }).to_string().into_bytes()
        }
        Mechanism::OauthBearer => Vec::new(),
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A string; null is an empty one.
    fn nullable_string(&mut self) -> Option<String> {
        let len = self.i16()?;
        let bytes = self.take(if len == -1 { 0 } else { usize::try_from(len).ok()? })?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    /// Tagged fields, none of which means anything here.
    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let len = self.varint()?;
            self.take(usize::try_from(len).ok()?)?;
        }
        Some(())
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn string(&mut self, value: &str) -> &mut Self {
        self.i16(i16::try_from(value.len()).unwrap_or(i16::MAX));
        self.0.extend(value.bytes().take(32_767));
        self
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.0.extend(value);
        self
    }

    fn compact(&mut self, value: Option<&[u8]>) -> &mut Self {
        let mut len = value.map_or(0, |v| v.len() + 1);
        while len >= 0x80 {
            self.0.push(u8::try_from(len & 0x7f).unwrap_or_default() | 0x80);
            len >>= 7;
        }
        self.0.push(u8::try_from(len).unwrap_or_default());
        self.0.extend(value.unwrap_or_default());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
        [&api.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), body].concat()
    }

    #[test]
    fn requests_are_read_in_every_version() {
        let handshake = frame(17, 1, b"\0\x02me\0\x0bAWS_MSK_IAM");
        let expected = Request::Handshake { correlation: 7, mechanism: "AWS_MSK_IAM".into() };
        assert_eq!(request(&handshake), Some(expected));
        for (version, body) in [
            (0, &b"\0\x02me\0\0\0\x03abc"[..]),
            (1, b"\xff\xff\0\0\0\x03abc"),
            (2, b"\0\x02me\0\x04abc\0"),
            (2, b"\0\x02me\x01\x05\x01x\x04abc\0"),
        ] {
            let expected =
                Request::Authenticate { correlation: 7, version, payload: b"abc".into() };
            assert_eq!(request(&frame(36, version, body)), Some(expected), "{version}");
        }
        assert_eq!(request(&frame(18, 4, b"...")), Some(Request::ApiVersions));
        assert_eq!(request(&frame(0, 9, b"")), Some(Request::Other));
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_length_is_no_request() {
        for bytes in [
            &b""[..],
            &frame(17, 1, b"\0\x02m"),
            &frame(17, 1, b"\xff\xff\xff\xfe"),
            &frame(36, 0, b"\0\0\0\0\0\x09abc"),
            &frame(36, 0, b"\0\0\xff\xff\xff\xffabc"),
            &frame(36, 2, b"\0\0\0\0"),
            &frame(36, 2, b"\0\0\0\xff\xff\xff\xff\xff\xff"),
        ] {
            assert_eq!(request(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn answers_have_the_bytes_of_the_protocol() {
        let (found, bytes) = handshake(7, "AWS_MSK_IAM");
        assert_eq!(found, Some(Mechanism::AwsMskIam));
        assert_eq!(bytes, b"\0\0\0\x07\0\0\0\0\0\x02\0\x0bAWS_MSK_IAM\0\x0bOAUTHBEARER");
        let (found, bytes) = handshake(7, "PLAIN");
        assert_eq!((found, &bytes[4..6]), (None, &b"\0\x21"[..]));
        for (version, expected) in [
            (0, &b"\0\0\0\x07\0\0\xff\xff\0\0\0\x02ok"[..]),
            (1, b"\0\0\0\x07\0\0\xff\xff\0\0\0\x02ok\0\0\0\0\0\0\0\0"),
            (2, b"\0\0\0\x07\0\0\0\0\x03ok\0\0\0\0\0\0\0\0\0"),
        ] {
            assert_eq!(authenticate(7, version, Ok(b"ok")), expected, "{version}");
        }
        let refused = authenticate(7, 2, Err(denied("no")));
        assert_eq!(refused, b"\0\0\0\x07\0\0\x3a\x03no\x01\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn both_mechanisms_make_the_same_claim() {
        let claimed = claim(
            Mechanism::AwsMskIam,
            br#"{"version":"2020_10_22","host":"h","user-agent":"u","action":"kafka-cluster:Connect","x-amz-date":"d"}"#,
        );
        let query: BTreeMap<String, String> =
            [("Action", "kafka-cluster:Connect"), ("X-Amz-Date", "d")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
        let expected = Some(Presigned { host: "h".into(), query });
        assert_eq!(claimed, expected);
        let url = "https://h/?Action=kafka-cluster%3AConnect&X-Amz-Date=d&User-Agent=me";
        for token in [URL_SAFE_NO_PAD.encode(url), URL_SAFE.encode(url)] {
            let message = format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}");
            assert_eq!(claim(Mechanism::OauthBearer, message.as_bytes()), expected);
        }
        assert_eq!(claim(Mechanism::OauthBearer, b"n,,\x01auth=Bearer %%\x01\x01"), None);
        assert_eq!(claim(Mechanism::AwsMskIam, br#"{"version":"2019_01_01","host":"h"}"#), None);
    }
}
