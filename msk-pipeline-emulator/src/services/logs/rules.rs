//! What `CloudWatch` Logs refuses beyond the shapes of its model: one function a rule.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::state::{Group, State, Stream};
use crate::world::{AwsError, Millis};

/// The rules and where each is known from.
#[allow(dead_code, reason = "the list is for its reader and the tests")]
pub(crate) const RULES: &[(&str, &str)] = &[
    ("group_is_new", "handbook aws.md §7"),
    ("group_exists", "handbook aws.md §7"),
    ("group_is_unprotected", "botocore logs CreateLogGroup deletionProtectionEnabled"),
    ("name_or_identifier", "botocore logs DescribeLogStreams"),
    ("arn_is_of_a_group", "handbook aws.md §7; botocore logs TagResource"),
    ("tags_fit", "botocore logs TagResource TooManyTagsException"),
    ("retention_is_a_listed_value", "handbook aws.md §7"),
    ("prefix_or_pattern", "botocore logs DescribeLogGroups"),
    ("stream_is_new", "botocore logs CreateLogStream"),
    ("stream_exists", "botocore logs PutLogEvents"),
    (
        "time_order_has_no_prefix",
        "botocore logs DescribeLogStreams; turbot/steampipe-plugin-aws #1949",
    ),
    ("names_or_prefix", "botocore logs FilterLogEvents"),
    ("descending_begins_late_enough", "botocore logs FilterLogEvents startFromHead (text (U))"),
    ("batch_is_in_order", "botocore logs PutLogEvents; dibog/cloudwatch-logback-appender #17"),
    ("batch_fits", "botocore logs PutLogEvents"),
    ("batch_spans_a_day", "botocore logs PutLogEvents"),
    ("accepted_window", "botocore logs PutLogEvents"),
    ("token_is_known", "botocore logs DescribeLogGroups (text (U))"),
    ("term_is_plain", "AWS page \"Filter pattern syntax\"; DefangLabs/defang #1008"),
    ("phrase_is_closed", "AWS page \"Filter pattern syntax\" (text (U))"),
];

/// What each event counts beside its message.
pub(super) const EVENT_OVERHEAD: usize = 26;
const BATCH_BYTES: usize = 1_048_576;
const BATCH_EVENTS: usize = 10_000;
const TAGS_ON_GROUP: usize = 50;
const HOUR: Millis = 60 * 60 * 1000;
const DAY: Millis = 24 * HOUR;

const RETENTIONS: &[u64] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

type Check<T = ()> = Result<T, AwsError>;

fn invalid<T>(message: impl Into<String>) -> Check<T> {
    Err(AwsError::new("InvalidParameterException", message))
}

/// A log group's name is unique (handbook §7).
pub(super) fn group_is_new(state: &State, name: &str) -> Check {
    if state.groups.contains_key(name) {
        return Err(AwsError::new(
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ));
    }
    Ok(())
}

/// Every call names a log group that exists (handbook §7).
pub(super) fn group_exists(state: &State, name: &str) -> Check {
    if state.groups.contains_key(name) {
        return Ok(());
    }
    Err(AwsError::new("ResourceNotFoundException", "The specified log group does not exist."))
}

/// A log group with deletion protection stays (botocore `deletionProtectionEnabled`; text (U)).
pub(super) fn group_is_unprotected(group: &Group) -> Check {
    if group.protected {
        return Err(AwsError::new(
            "ValidationException",
            "The log group cannot be deleted because deletion protection is enabled.",
        ));
    }
    Ok(())
}

/// A log group is named by name or by identifier, not both (botocore `DescribeLogStreams`; text (U)).
pub(super) fn name_or_identifier<'a>(
    name: Option<&'a str>,
    identifier: Option<&'a str>,
) -> Check<&'a str> {
    match (name, identifier) {
        (Some(name), None) | (None, Some(name)) => Ok(name),
        _ => invalid("Exactly one of logGroupName and logGroupIdentifier must be specified."),
    }
}

/// Tags are on the ARN of a log group of this account, without the `:*` that `arn` ends in (handbook §7).
pub(super) fn arn_is_of_a_group<'a>(prefix: &str, arn: &'a str) -> Check<&'a str> {
    match arn.strip_prefix(prefix) {
        Some(name) if !name.is_empty() && !name.contains([':', '*']) => Ok(name),
        _ => invalid(format!("Invalid resourceArn: {arn}")),
    }
}

/// At most 50 tags (botocore `TooManyTagsException`).
pub(super) fn tags_fit(tags: usize) -> Check {
    if tags > TAGS_ON_GROUP {
        return Err(AwsError::new(
            "TooManyTagsException",
            format!("A resource can have no more than {TAGS_ON_GROUP} tags."),
        ));
    }
    Ok(())
}

/// Retention is one of a list of days (handbook §7).
pub(super) fn retention_is_a_listed_value(days: &Value) -> Check<u64> {
    match days.as_u64() {
        Some(days) if RETENTIONS.contains(&days) => Ok(days),
        _ => invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: {RETENTIONS:?}"
        )),
    }
}

/// Groups are asked for by prefix or by pattern, not both (botocore `DescribeLogGroups`; text (U)).
pub(super) fn prefix_or_pattern(prefix: Option<&str>, pattern: Option<&str>) -> Check {
    if prefix.is_some() && pattern.is_some() {
        return invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        );
    }
    Ok(())
}

/// A stream's name is unique in its group (botocore `CreateLogStream`).
pub(super) fn stream_is_new(group: &Group, name: &str, now: Millis) -> Check {
    if group.visible_streams(now).any(|stream| stream.name == name) {
        return Err(AwsError::new(
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ));
    }
    Ok(())
}

/// A call about a stream names one that exists (botocore `PutLogEvents`).
pub(super) fn stream_exists<'a>(group: &'a Group, name: &str, now: Millis) -> Check<&'a Stream> {
    match group.streams.get(name) {
        Some(stream) if stream.created_at <= now => Ok(stream),
        _ => Err(AwsError::new(
            "ResourceNotFoundException",
            "The specified log stream does not exist.",
        )),
    }
}

/// Streams ordered by time cannot be asked for by prefix (botocore; text from steampipe-plugin-aws #1949).
pub(super) fn time_order_has_no_prefix(by_time: bool, prefix: Option<&str>) -> Check {
    if by_time && prefix.is_some() {
        return invalid("Cannot order by LastEventTime with a logStreamNamePrefix.");
    }
    Ok(())
}

/// Events are searched in named streams or by prefix, not both (botocore `FilterLogEvents`; text (U)).
pub(super) fn names_or_prefix(names: bool, prefix: Option<&str>) -> Check {
    if names && prefix.is_some() {
        return invalid(
            "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.",
        );
    }
    Ok(())
}

/// The newest come first only where the search begins in 2024 or later (botocore `FilterLogEvents`, `startFromHead`; text (U)).
pub(super) fn descending_begins_late_enough(forward: bool, from: Option<Millis>) -> Check {
    // 2024-01-01T00:00:00Z
    if !forward && from.is_some_and(|from| from < 1_704_067_200_000) {
        return invalid(
            "startFromHead can be false only with a startTime on or after Jan 1, 2024 00:00:00 UTC.",
        );
    }
    Ok(())
}

/// A batch is in the order of its timestamps (botocore; text from cloudwatch-logback-appender #17).
pub(super) fn batch_is_in_order(events: &[(Millis, String)]) -> Check {
    if events.is_sorted_by_key(|(at, _)| *at) {
        return Ok(());
    }
    invalid("Log events in a single PutLogEvents request must be in chronological order.")
}

/// A batch has at most 10,000 events and 1 MiB, 26 bytes more an event than its message (botocore; text (U)).
pub(super) fn batch_fits(events: &[(Millis, String)]) -> Check {
    let bytes: usize = events.iter().map(|(_, message)| message.len() + EVENT_OVERHEAD).sum();
    if events.len() > BATCH_EVENTS || bytes > BATCH_BYTES {
        return invalid(format!("Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES}"));
    }
    Ok(())
}

/// The accepted events of a batch lie within 24 hours (botocore `PutLogEvents`; text (U)).
pub(super) fn batch_spans_a_day(times: impl Iterator<Item = Millis> + Clone) -> Check {
    let (first, last) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    if last - first > DAY {
        return invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        );
    }
    Ok(())
}

/// When an event must have happened to be taken: not two hours ahead, not 14 days ago, not past the retention (botocore).
pub(super) fn accepted_window(retention: Option<u64>, now: Millis) -> RangeInclusive<Millis> {
    let days = retention.unwrap_or(14).min(14);
    now.saturating_sub(days * DAY)..=now + 2 * HOUR
}

/// A page token is one that was given out.
pub(super) fn token_is_known<T>(parsed: Option<T>) -> Check<T> {
    parsed.map_or_else(|| invalid("The specified nextToken is invalid."), Ok)
}

/// A term outside quotes is made of letters, digits and underscores (AWS page "Filter pattern syntax"; text from
/// DefangLabs/defang #1008).
pub(super) fn term_is_plain(term: &str) -> Check {
    if !term.is_empty() && term.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Ok(());
    }
    invalid(format!("Invalid filter pattern: Invalid character(s) in term '{term}'"))
}

/// A quoted phrase ends. The answer is the phrase, without its escapes, and what follows.
pub(super) fn phrase_is_closed<'a>(pattern: &str, quoted: &'a str) -> Check<(String, &'a str)> {
    let mut phrase = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((phrase, &quoted[at + 1..])),
            '\\' => phrase.extend(chars.next().map(|(_, escaped)| escaped)),
            other => phrase.push(other),
        }
    }
    invalid(format!("Invalid filter pattern: '{pattern}' has an unclosed quote"))
}
