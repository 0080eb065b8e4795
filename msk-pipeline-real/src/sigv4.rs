//! Checks Signature Version 4 in its presigned form, as MSK's brokers do for IAM authentication.
//!
//! Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", Amazon S3 API reference; the service is
//! `kafka-cluster`, and the payload is empty.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;
use sha2::{Digest as _, Sha256};

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SERVICE: &str = "kafka-cluster";
/// How far a client's clock may be off, as elsewhere on AWS.
const SKEW_SECONDS: i64 = 300;

/// A presigned `GET /`, by parameter name; values decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The signed host.
    pub host: String,
    /// Every query parameter that was signed, and the signature.
    pub query: BTreeMap<String, String>,
}

/// Why a signature isn't accepted; for the log, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parameter is missing or another than it must be.
    #[error("{0} is missing or not what it must be")]
    Parameter(&'static str),
    /// Signed too long ago, or not yet.
    #[error("the signature is expired or from the future")]
    Time,
    /// No such access key, or not with this session token.
    #[error("the access key is unknown")]
    Key,
    /// It doesn't match.
    #[error("the signature does not match")]
    Signature,
    /// Signed by somebody who may not.
    #[error("no policy of the role allows kafka-cluster:Connect on this cluster")]
    Policy,
}

impl Presigned {
    /// Reads a query string; `+` is a plus here, as in RFC 3986.
    pub fn parse(host: &str, query: &str) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|p| !p.is_empty());
        let query = pairs.map(|p| p.split_once('=').unwrap_or((p, "")));
        Self { host: host.into(), query: query.map(|(k, v)| (decode(k), decode(v))).collect() }
    }

    fn get(&self, name: &'static str) -> Result<&str, Refusal> {
        self.query.get(name).map(String::as_str).ok_or(Refusal::Parameter(name))
    }

    /// The access key's id, before anything is believed.
    pub fn access_key(&self) -> Result<&str, Refusal> {
        let scope = self.get("X-Amz-Credential")?;
        scope
            .split('/')
            .next()
            .filter(|k| !k.is_empty())
            .ok_or(Refusal::Parameter("X-Amz-Credential"))
    }

    /// Whether it is signed with `secret` for this region, now.
    ///
    /// `now` is in seconds since the epoch; a signature holds from its date for as long as it says, at most.
    pub fn check(
        &self,
        secret: &str,
        token: Option<&str>,
        region: &str,
        now: i64,
    ) -> Result<(), Refusal> {
        let must = |name: &'static str, wanted: &str| {
            (self.get(name)? == wanted).then_some(()).ok_or(Refusal::Parameter(name))
        };
        must("Action", "kafka-cluster:Connect")?;
        must("X-Amz-Algorithm", "AWS4-HMAC-SHA256")?;
        must("X-Amz-SignedHeaders", "host")?;
        if self.query.get("X-Amz-Security-Token").map(String::as_str) != token {
            return Err(Refusal::Key);
        }
        let date = self.get("X-Amz-Date")?;
        let day = date.get(..8).ok_or(Refusal::Parameter("X-Amz-Date"))?;
        let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
        let key = self.access_key()?;
        must("X-Amz-Credential", &format!("{key}/{scope}"))?;
        let signed = seconds(date).ok_or(Refusal::Parameter("X-Amz-Date"))?;
        let expires: i64 =
            self.get("X-Amz-Expires")?.parse().map_err(|_| Refusal::Parameter("X-Amz-Expires"))?;
        if now + SKEW_SECONDS < signed || now > signed + expires.min(7 * 86_400) {
            return Err(Refusal::Time);
        }
        let given =
            hex(self.get("X-Amz-Signature")?).ok_or(Refusal::Parameter("X-Amz-Signature"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &signing_key(secret, day, region, SERVICE));
        hmac::verify(&key, self.string_to_sign(date, &scope).as_bytes(), &given)
            .map_err(|_| Refusal::Signature)
    }

    fn string_to_sign(&self, date: &str, scope: &str) -> String {
        let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        let mut pairs: Vec<_> = self
            .query
            .iter()
            .filter(|(name, _)| *name != "X-Amz-Signature")
            .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
            .collect();
        pairs.sort_unstable();
        let canonical = format!("GET\n/\n{}\nhost:{}\n\nhost\n{EMPTY}", pairs.join("&"), self.host);
        let digest: String = Sha256::digest(canonical).iter().map(|b| format!("{b:02x}")).collect();
        format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}")
    }

    /// Signs it, for tests and for clients of ours.
    pub fn sign(&mut self, secret: &str, region: &str) -> Result<(), Refusal> {
        let date = self.get("X-Amz-Date")?.to_owned();
        let day = date.get(..8).ok_or(Refusal::Parameter("X-Amz-Date"))?.to_owned();
        let scope = format!("{day}/{region}/{SERVICE}/aws4_request");
        let text = self.string_to_sign(&date, &scope);
        let key = signing_key(secret, &day, region, SERVICE);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let signature = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        self.query.insert("X-Amz-Signature".into(), signature);
        Ok(())
    }
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Vec<u8> {
    [day, region, service, "aws4_request"].iter().fold(
        format!("AWS4{secret}").into(),
        |key, part| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec()
        },
    )
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Seconds since the epoch of `yyyymmddThhmmssZ`.
fn seconds(date: &str) -> Option<i64> {
    let (day, time) = date.strip_suffix('Z')?.split_once('T')?;
    if day.len() != 8
        || time.len() != 6
        || !day.bytes().chain(time.bytes()).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let number = |text: &str| text.parse::<i64>().ok();
    let (year, month, day) = (number(&day[..4])?, number(&day[4..6])?, number(&day[6..])?);
    let (hour, minute, second) = (number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?);
    // Days before a date, with years that begin in March so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `yyyymmddThhmmssZ` of a moment.
pub fn stamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let (era, day) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let day = day - (153 * shifted + 2) / 5 + 1;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const NOW: i64 = 1_767_225_600;

    fn signed(change: impl FnOnce(&mut Presigned)) -> Presigned {
        let query = format!(
            "Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fus-east-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date={}&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=a%2Bb%3D",
            stamp(NOW)
        );
        let mut request = Presigned::parse("b-1.example", &query);
        change(&mut request);
        request.sign(SECRET, "us-east-1").expect("complete");
        request
    }

    fn check(request: &Presigned, now: i64) -> Result<(), Refusal> {
        request.check(SECRET, Some("a+b="), "us-east-1", now)
    }

    #[test]
    fn dates_there_and_back() {
        for (text, at) in [
            ("20260101T000000Z", NOW),
            ("20240229T123456Z", 1_709_210_096),
            ("19700101T000000Z", 0),
        ] {
            assert_eq!((seconds(text), stamp(at)), (Some(at), text.to_owned()));
        }
        assert_eq!(seconds("2026-1-1T000000Z"), None);
    }

    /// The example of AWS's documentation, "Examples of how to derive a signing key for Signature Version 4".
    #[test]
    fn the_key_is_derived_as_documented() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let key = signing_key(secret, "20120215", "us-east-1", "iam");
        let shown: String = key.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(shown, "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }

    #[test]
    fn only_what_was_signed_now_with_the_secret_for_this_region_is_accepted() {
        let good = signed(|_| ());
        assert_eq!(good.access_key(), Ok("AKIDEXAMPLE"));
        assert_eq!(check(&good, NOW), Ok(()));
        assert_eq!(check(&good, NOW + 900), Ok(()));
        assert_eq!(check(&good, NOW + 901), Err(Refusal::Time));
        assert_eq!(check(&good, NOW - 301), Err(Refusal::Time));
        assert_eq!(good.check("other", Some("a+b="), "us-east-1", NOW), Err(Refusal::Signature));
        assert_eq!(good.check(SECRET, None, "us-east-1", NOW), Err(Refusal::Key));
        assert_eq!(
            good.check(SECRET, Some("a+b="), "eu-west-1", NOW),
            Err(Refusal::Parameter("X-Amz-Credential"))
        );
        let moved = Presigned { host: "b-2.example".into(), ..good.clone() };
        assert_eq!(check(&moved, NOW), Err(Refusal::Signature));
        let action = signed(|r| drop(r.query.insert("Action".into(), "s3:GetObject".into())));
        assert_eq!(check(&action, NOW), Err(Refusal::Parameter("Action")));
        let mut longer = good.clone();
        longer.query.insert("X-Amz-Expires".into(), "604800".into());
        assert_eq!(check(&longer, NOW), Err(Refusal::Signature));
        let mut cut = good;
        cut.query.insert("X-Amz-Signature".into(), "abc".into());
        assert_eq!(check(&cut, NOW), Err(Refusal::Parameter("X-Amz-Signature")));
    }
}
