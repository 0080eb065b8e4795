//! Timestamps as the protocols write them; in values they are milliseconds since the epoch.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "calendar arithmetic: years stay in four digits, milliseconds far below 2^53"
)]

use serde_json::{Number, Value};

use crate::world::Millis;

/// (year, month, day) of days since 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = (if mp < 10 { mp + 3 } else { mp - 9 }) as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn days(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// `2026-01-01T00:00:00.000Z`.
pub fn iso(at: Millis) -> String {
    let whole = iso_seconds(at);
    format!("{}.{:03}Z", &whole[..whole.len() - 1], at % 1000)
}

/// `2026-01-01T00:00:00Z`, as IAM writes it.
pub fn iso_seconds(at: Millis) -> String {
    let seconds = at / 1000;
    let (y, m, d) = civil((seconds / 86_400) as i64);
    let s = seconds % 86_400;
    format!("{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Thu, 01 Jan 2026 00:00:00 GMT`, as in HTTP headers.
pub fn http(at: Millis) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = at / 1000;
    let day = seconds / 86_400;
    let (y, m, d) = civil(day as i64);
    let s = seconds % 86_400;
    format!(
        "{}, {d:02} {} {y:04} {:02}:{:02}:{:02} GMT",
        DAYS[(day % 7) as usize],
        MONTHS[m as usize - 1],
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

/// Epoch seconds as a JSON number, with a fraction only if there is one.
pub fn epoch(at: Millis) -> Value {
    if at.is_multiple_of(1000) {
        return Value::from(at / 1000);
    }
    Number::from_f64(at as f64 / 1000.0).map_or(Value::Null, Value::Number)
}

/// Reads any of the forms: ISO 8601 (with fraction or offset), HTTP date, epoch seconds.
pub fn parse(text: &str) -> Option<Millis> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds >= 0.0).then_some((seconds * 1000.0).round() as Millis);
    }
    if text.as_bytes().get(3) == Some(&b',') {
        let mut parts = text[4..].split_ascii_whitespace();
        let day = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        let month = MONTHS.iter().position(|m| *m == name)? as u32 + 1;
        let year = parts.next()?.parse().ok()?;
        return clock(parts.next()?).and_then(|ms| join(days(year, month, day), ms, 0));
    }
    let (date, rest) = text.split_once(['T', ' '])?;
    let mut parts = date.splitn(3, '-').map(str::parse::<u32>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, "Z"),
    };
    let offset = match offset {
        "Z" | "z" => 0,
        other => {
            let (h, m) = other[1..].split_once(':').unwrap_or((&other[1..], "0"));
            let minutes = h.parse::<i64>().ok()? * 60 + m.parse::<i64>().ok()?;
            if other.starts_with('-') { -minutes } else { minutes }
        }
    };
    join(days(i64::from(year), month, day), clock(time)?, offset)
}

fn clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some((hours * 60 + minutes) * 60_000 + (seconds * 1000.0).round() as i64)
}

fn join(days: i64, millis: i64, offset_minutes: i64) -> Option<Millis> {
    Millis::try_from(days * 86_400_000 + millis - offset_minutes * 60_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let at = 1_767_225_600_123;
        assert_eq!(iso(at), "2026-01-01T00:00:00.123Z");
        assert_eq!(iso_seconds(at), "2026-01-01T00:00:00Z");
        assert_eq!(http(at), "Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(epoch(at).to_string(), "1767225600.123");
        assert_eq!(epoch(1_767_225_600_000).to_string(), "1767225600");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn every_form_reads_back() {
        for text in [
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T01:30:00+01:30",
            "Thu, 01 Jan 2026 00:00:00 GMT",
            "1767225600",
            "1767225600.0",
        ] {
            assert_eq!(parse(text), Some(1_767_225_600_000), "{text}");
        }
        assert_eq!(
            parse("2024-02-29T12:34:56.789Z").map(iso).as_deref(),
            Some("2024-02-29T12:34:56.789Z")
        );
        assert_eq!(parse("yesterday"), None);
    }
}
