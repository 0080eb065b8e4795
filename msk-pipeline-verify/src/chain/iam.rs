//! The token by which MSK lets a client in: a signed URL of the action `kafka-cluster:Connect`, given as an OAUTHBEARER token.
//!
//! Source: aws/aws-msk-iam-sasl-signer-python README and `MSKAuthTokenProvider`; AWS Signature Version 4, query parameters. Checked against
//! botocore's `SigV4QueryAuth`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};

use crate::secret::Secret;

/// How long a token can be used to connect, in seconds. A connection outlives it.
const EXPIRES: u32 = 900;
const ACTION: &str = "kafka-cluster:Connect";
const SERVICE: &str = "kafka-cluster";
/// What Signature Version 4 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// AWS credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session's token, for temporary credentials.
    pub session_token: Option<Secret>,
}

/// The token for a region, at a time in seconds since 1970.
pub(crate) fn token(credentials: &AwsCredentials, region: &str, now: u64) -> Secret {
    let url = signed_url(credentials, region, now);
    // The agent is no part of what is signed.
    let url = format!("{url}&User-Agent=msk-pipeline%2F{}", env!("CARGO_PKG_VERSION"));
    Secret::new(URL_SAFE_NO_PAD.encode(url))
}

fn signed_url(credentials: &AwsCredentials, region: &str, now: u64) -> String {
    let host = if region.starts_with("cn-") {
        format!("kafka.{region}.amazonaws.com.cn")
    } else {
        format!("kafka.{region}.amazonaws.com")
    };
    let time = timestamp(now);
    let date = &time[..8];
    let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
    let mut query = vec![
        ("Action", ACTION.to_owned()),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("{}/{scope}", credentials.access_key_id)),
        ("X-Amz-Date", time.clone()),
        ("X-Amz-Expires", EXPIRES.to_string()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
    ];
    if let Some(token) = &credentials.session_token {
        query.push(("X-Amz-Security-Token", token.reveal().to_owned()));
    }
    query.sort_unstable();
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ENCODED)))
        .collect();
    let query = query.join("&");
    let request = format!(
        "GET\n/\n{query}\nhost:{host}\n\nhost\n{}",
        hex(digest::digest(&digest::SHA256, b"").as_ref())
    );
    let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let secret = format!("AWS4{}", credentials.secret_access_key.reveal());
    let key = [date, region, SERVICE, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| sign(&key, part));
    format!("https://{host}/?{query}&X-Amz-Signature={}", hex(&sign(&key, &to_sign)))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20260801T120000Z`. Days to a date: Howard Hinnant, *chrono-Compatible Low-Level Date Algorithms*, `civil_from_days`.
fn timestamp(now: u64) -> String {
    let (days, seconds) = (now / 86_400, now % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-08-01T12:00:00Z
    const NOW: u64 = 1_785_585_600;

    fn credentials(session_token: Option<&str>) -> AwsCredentials {
        AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: session_token.map(Secret::new),
        }
    }

    /// The signatures are those that botocore 1.44.5 makes of the same request.
    #[test]
    fn it_is_signed_as_botocore_signs() {
        let url = signed_url(&credentials(None), "us-east-1", NOW);
        assert!(
            url.ends_with(
                "X-Amz-Signature=b70b99f3cbfe68397107ebef8b8c858d2e1caeabd5da119d5e5ec48819a5b60a"
            ),
            "{url}"
        );
        let url = signed_url(&credentials(Some("session/token+=")), "us-east-1", NOW);
        assert!(url.contains("X-Amz-Security-Token=session%2Ftoken%2B%3D&"), "{url}");
        assert!(
            url.ends_with(
                "X-Amz-Signature=5a3e918ef5a23ef208af6d9ca33298fe71036c2520073c939d0deff4da25baba"
            ),
            "{url}"
        );
    }

    #[test]
    fn a_token_is_the_url_in_base64_and_never_prints() {
        let token = token(&credentials(None), "eu-west-1", NOW);
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.reveal()).unwrap()).unwrap();
        assert!(
            url.starts_with(
                "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&"
            ),
            "{url}"
        );
        assert!(url.contains("&User-Agent=msk-pipeline%2F"));
        assert_eq!(format!("{token:?}"), "[hidden]");
        assert!(!format!("{:?}", credentials(Some("hunter2"))).contains("hunter2"));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(951_782_399), "20000228T235959Z");
        assert_eq!(timestamp(951_782_400), "20000229T000000Z");
        assert_eq!(timestamp(NOW), "20260801T120000Z");
    }
}
