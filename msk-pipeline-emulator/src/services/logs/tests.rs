use serde_json::{Value, json};

use super::rules::RULES;
use super::*;
use crate::world::Settings;

const NOW: Millis = 1_767_225_600_000;
const SECOND: Millis = 1_000;
const DAY: Millis = 86_400_000;

struct Account {
    world: World,
    now: Millis,
}

impl Account {
    fn new() -> Self {
        Self { world: World::new(Settings::default()), now: NOW }
    }

    /// An account with the log group `g`.
    fn with_group() -> Self {
        let mut account = Self::new();
        account.ok("CreateLogGroup", json!({ "logGroupName": "g" }));
        account
    }

    /// An account with the stream `s` in the log group `g`.
    fn with_stream() -> Self {
        let mut account = Self::with_group();
        account.ok("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "s" }));
        account
    }

    #[track_caller]
    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, &input).unwrap_or_else(|e| panic!("{operation} {input}: {e:?}"))
    }

    fn call(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let cx = Cx { now: self.now, body: bytes::Bytes::new(), request_id: "r".into() };
        (SERVICE.handle)(&mut self.world, &cx, operation, input).map(|reply| reply.value)
    }

    #[track_caller]
    fn refused(&mut self, operation: &str, input: Value, code: &str) -> String {
        let before = serde_json::to_string(&self.world.state.logs).unwrap();
        let error = self.call(operation, &input).expect_err("a refusal");
        assert_eq!(error.code, code, "{}", error.message);
        assert_eq!(before, serde_json::to_string(&self.world.state.logs).unwrap());
        error.message
    }

    #[track_caller]
    fn put(&mut self, events: &[(Millis, &str)]) -> Value {
        let events: Vec<Value> = events
            .iter()
            .map(|(at, message)| json!({ "timestamp": at, "message": message }))
            .collect();
        self.ok(
            "PutLogEvents",
            json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events }),
        )
    }
}

fn messages(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[test]
fn a_group_is_described_by_prefix() {
    let mut account = Account::new();
    for name in ["/aws/msk/orders", "/aws/msk/orders-2", "/aws/rds"] {
        account.ok("CreateLogGroup", json!({ "logGroupName": name, "tags": { "a": "b" } }));
    }
    let input = json!({ "logGroupName": "/aws/msk/orders", "retentionInDays": 14 });
    account.ok("PutRetentionPolicy", input);
    let seen = account.ok("DescribeLogGroups", json!({ "logGroupNamePrefix": "/aws/msk/orders" }));
    let groups = seen["logGroups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let arn = "arn:aws:logs:us-east-1:111111111111:log-group:/aws/msk/orders";
    assert_eq!(groups[0]["arn"], format!("{arn}:*"));
    assert_eq!(groups[0]["logGroupArn"], arn);
    assert_eq!(groups[0]["retentionInDays"], 14);
    assert!(groups[1].get("retentionInDays").is_none());
    account.ok("DeleteRetentionPolicy", json!({ "logGroupName": "/aws/msk/orders" }));

    let brief = account.ok("DescribeLogGroups", json!({ "logGroupNamePattern": "rds" }));
    assert_eq!(brief["logGroups"][0].as_object().unwrap().len(), 3);
    let first = account.ok("DescribeLogGroups", json!({ "limit": 2 }));
    let next = json!({ "limit": 2, "nextToken": first["nextToken"] });
    let second = account.ok("DescribeLogGroups", next);
    assert_eq!(second["logGroups"][0]["logGroupName"], "/aws/rds");
    assert!(second.get("nextToken").is_none());

    account.ok("TagResource", json!({ "resourceArn": arn, "tags": { "c": "d" } }));
    account.ok("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["a"] }));
    let tags = account.ok("ListTagsForResource", json!({ "resourceArn": arn }));
    assert_eq!(tags, json!({ "tags": { "c": "d" } }));
    assert_eq!(inventory(&account.world, NOW).len(), 3);
}

#[test]
fn what_a_service_writes_is_there_from_its_time_on() {
    let mut account = Account::with_group();
    put(&mut account.world, "g", "w", NOW + SECOND, &["started".into()]);
    put(&mut account.world, "g", "w", NOW + 2 * SECOND, &["ERROR lost".into(), "at x".into()]);
    put(&mut account.world, "nowhere", "w", NOW, &["x".into()]);
    assert!(exists(&account.world, "g") && !exists(&account.world, "nowhere"));

    let streams = json!({ "logGroupName": "g" });
    let none = account.ok("DescribeLogStreams", streams.clone());
    assert_eq!(none["logStreams"], json!([]));
    account.now += SECOND;
    assert_eq!(messages(&account.ok("FilterLogEvents", streams.clone())), ["started"]);
    account.now += SECOND;
    let errors = json!({ "logGroupName": "g", "filterPattern": "ERROR" });
    assert_eq!(messages(&account.ok("FilterLogEvents", errors)), ["ERROR lost"]);
    let seen = account.ok("DescribeLogStreams", streams);
    assert_eq!(seen["logStreams"][0]["lastEventTimestamp"], NOW + 2 * SECOND);
}

#[test]
fn pages_may_be_empty() {
    let mut account = Account::with_stream();
    account.now = NOW + DAY;
    let lines: Vec<String> = (0..1_500).map(|n| format!("line {n}")).collect();
    put(&mut account.world, "g", "s", NOW, &lines);
    let input = json!({ "logGroupName": "g", "filterPattern": "\"line 1499\"" });
    let first = account.ok("FilterLogEvents", input.clone());
    assert_eq!(messages(&first), [""; 0]);
    let mut next = input;
    next["nextToken"] = first["nextToken"].clone();
    let second = account.ok("FilterLogEvents", next);
    assert_eq!(messages(&second), ["line 1499"]);
    assert!(second.get("nextToken").is_none());

    let newest = json!({ "logGroupName": "g", "startFromHead": false, "limit": 2 });
    let first = account.ok("FilterLogEvents", newest.clone());
    assert_eq!(messages(&first), ["line 1499", "line 1498"]);
    let mut next = newest;
    next["nextToken"] = first["nextToken"].clone();
    assert_eq!(messages(&account.ok("FilterLogEvents", next)), ["line 1497", "line 1496"]);
}

#[test]
fn reading_a_stream_ends_where_the_token_comes_back() {
    let mut account = Account::with_stream();
    let at = NOW - 5 * SECOND;
    account.put(&[(at, "1"), (at + 1, "2"), (at + 2, "3")]);
    let stream = json!({ "logGroupName": "g", "logStreamName": "s", "limit": 2 });
    // Without a direction the newest come, oldest first.
    assert_eq!(messages(&account.ok("GetLogEvents", stream.clone())), ["2", "3"]);

    let mut input = stream;
    input["startFromHead"] = true.into();
    let first = account.ok("GetLogEvents", input.clone());
    assert_eq!(messages(&first), ["1", "2"]);
    input["nextToken"] = first["nextForwardToken"].clone();
    let second = account.ok("GetLogEvents", input.clone());
    assert_eq!(messages(&second), ["3"]);
    input["nextToken"] = second["nextForwardToken"].clone();
    let end = account.ok("GetLogEvents", input.clone());
    assert_eq!(messages(&end), [""; 0]);
    assert_eq!(end["nextForwardToken"], input["nextToken"]);
    account.put(&[(NOW, "4")]);
    assert_eq!(messages(&account.ok("GetLogEvents", input.clone())), ["4"]);
    input["nextToken"] = second["nextBackwardToken"].clone();
    assert_eq!(messages(&account.ok("GetLogEvents", input)), ["1", "2"]);
}

#[test]
fn the_end_of_a_time_range_differs() {
    let mut account = Account::with_stream();
    account.put(&[(NOW - 2, "1"), (NOW - 1, "2")]);
    let range = json!({
        "logGroupName": "g", "logStreamName": "s", "startTime": NOW - 2, "endTime": NOW - 1,
    });
    assert_eq!(messages(&account.ok("FilterLogEvents", range.clone())), ["1", "2"]);
    assert_eq!(messages(&account.ok("GetLogEvents", range)), ["1"]);
}

#[test]
fn events_go_when_their_retention_has_passed() {
    let mut account = Account::with_stream();
    account.put(&[(NOW, "1")]);
    account.ok("PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": 1 }));
    account.now += 4 * DAY;
    assert_eq!(messages(&account.ok("FilterLogEvents", json!({ "logGroupName": "g" }))), ["1"]);
    account.now += 1;
    assert_eq!(messages(&account.ok("FilterLogEvents", json!({ "logGroupName": "g" }))), [""; 0]);
}

/// One test a rule, named after it.
mod each_rule {
    use super::*;

    #[test]
    fn has_a_source_and_a_test() {
        let tests = include_str!("tests.rs");
        for (rule, source) in RULES {
            assert!(!source.is_empty());
            assert!(tests.contains(&format!("fn {rule}()")), "no test for {rule}");
        }
    }

    const INVALID: &str = "InvalidParameterException";
    const MISSING: &str = "ResourceNotFoundException";

    #[test]
    fn group_is_new() {
        Account::with_group().refused(
            "CreateLogGroup",
            json!({ "logGroupName": "g" }),
            "ResourceAlreadyExistsException",
        );
    }

    #[test]
    fn group_exists() {
        let mut account = Account::with_group();
        account.ok("DeleteLogGroup", json!({ "logGroupName": "g" }));
        account.refused("DeleteLogGroup", json!({ "logGroupName": "g" }), MISSING);
        account.refused("DescribeLogStreams", json!({ "logGroupName": "g" }), MISSING);
    }

    #[test]
    fn group_is_unprotected() {
        let mut account = Account::new();
        let input = json!({ "logGroupName": "g", "deletionProtectionEnabled": true });
        account.ok("CreateLogGroup", input);
        account.refused("DeleteLogGroup", json!({ "logGroupName": "g" }), "ValidationException");
    }

    #[test]
    fn name_or_identifier() {
        let mut account = Account::with_group();
        let both = json!({ "logGroupName": "g", "logGroupIdentifier": "g" });
        account.refused("DescribeLogStreams", both, INVALID);
        account.refused("DescribeLogStreams", json!({}), INVALID);
        let arn = account.world.arn("logs", "log-group:g");
        account.ok("DescribeLogStreams", json!({ "logGroupIdentifier": arn }));
    }

    #[test]
    fn arn_is_of_a_group() {
        let mut account = Account::with_group();
        let arn = account.world.arn("logs", "log-group:g:*");
        account.refused("ListTagsForResource", json!({ "resourceArn": arn }), INVALID);
        let arn = account.world.arn("logs", "log-group:other");
        account.refused("ListTagsForResource", json!({ "resourceArn": arn }), MISSING);
    }

    #[test]
    fn tags_fit() {
        let mut account = Account::with_group();
        let arn = account.world.arn("logs", "log-group:g");
        let tags: serde_json::Map<String, Value> =
            (0..51).map(|n| (n.to_string(), json!(""))).collect();
        account.refused(
            "TagResource",
            json!({ "resourceArn": arn, "tags": tags }),
            "TooManyTagsException",
        );
    }

    #[test]
    fn retention_is_a_listed_value() {
        let input = json!({ "logGroupName": "g", "retentionInDays": 31 });
        Account::with_group().refused("PutRetentionPolicy", input, INVALID);
    }

    #[test]
    fn prefix_or_pattern() {
        let input = json!({ "logGroupNamePrefix": "g", "logGroupNamePattern": "g" });
        Account::new().refused("DescribeLogGroups", input, INVALID);
    }

    #[test]
    fn stream_is_new() {
        Account::with_stream().refused(
            "CreateLogStream",
            json!({ "logGroupName": "g", "logStreamName": "s" }),
            "ResourceAlreadyExistsException",
        );
    }

    #[test]
    fn stream_exists() {
        let mut account = Account::with_group();
        let stream = json!({ "logGroupName": "g", "logStreamName": "s" });
        account.refused("GetLogEvents", stream.clone(), MISSING);
        let mut events = stream;
        events["logEvents"] = json!([{ "timestamp": NOW, "message": "x" }]);
        account.refused("PutLogEvents", events, MISSING);
    }

    #[test]
    fn time_order_has_no_prefix() {
        let input = json!({
            "logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "s",
        });
        Account::with_group().refused("DescribeLogStreams", input, INVALID);
    }

    #[test]
    fn names_or_prefix() {
        let input = json!({
            "logGroupName": "g", "logStreamNames": ["s"], "logStreamNamePrefix": "s",
        });
        Account::with_stream().refused("FilterLogEvents", input, INVALID);
    }

    #[test]
    fn descending_begins_late_enough() {
        let input =
            |from: u64| json!({ "logGroupName": "g", "startFromHead": false, "startTime": from });
        Account::with_group().refused("FilterLogEvents", input(1_704_067_199_999), INVALID);
        Account::with_group().ok("FilterLogEvents", input(1_704_067_200_000));
    }

    #[track_caller]
    fn batch_refused(events: &[(Millis, &str)]) {
        let events: Vec<Value> =
            events.iter().map(|(at, m)| json!({ "timestamp": at, "message": m })).collect();
        Account::with_stream().refused(
            "PutLogEvents",
            json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events }),
            INVALID,
        );
    }

    #[test]
    fn batch_is_in_order() {
        batch_refused(&[(NOW, "2"), (NOW - 1, "1")]);
    }

    #[test]
    fn batch_fits() {
        batch_refused(&[(NOW, &"x".repeat(1_048_576 - 25))]);
    }

    #[test]
    fn batch_spans_a_day() {
        batch_refused(&[(NOW - DAY - 1, "1"), (NOW, "2")]);
    }

    #[test]
    fn accepted_window() {
        let mut account = Account::with_stream();
        let answer =
            account.put(&[(NOW - 15 * DAY, "old"), (NOW, "1"), (NOW + 3 * 3_600_000, "new")]);
        let rejected = json!({ "tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2 });
        assert_eq!(answer["rejectedLogEventsInfo"], rejected);
        let seen = account.ok("FilterLogEvents", json!({ "logGroupName": "g" }));
        assert_eq!(messages(&seen), ["1"]);
    }

    #[test]
    fn token_is_known() {
        let input = json!({ "logGroupName": "g", "nextToken": "x" });
        Account::with_group().refused("FilterLogEvents", input, INVALID);
        Account::new().refused("DescribeLogGroups", json!({ "nextToken": "x" }), INVALID);
    }

    #[test]
    fn term_is_plain() {
        let input = json!({ "logGroupName": "g", "filterPattern": "a:b" });
        let message = Account::with_group().refused("FilterLogEvents", input, INVALID);
        assert_eq!(message, "Invalid filter pattern: Invalid character(s) in term 'a:b'");
    }

    #[test]
    fn phrase_is_closed() {
        let input = json!({ "logGroupName": "g", "filterPattern": "\"a" });
        Account::with_group().refused("FilterLogEvents", input, INVALID);
    }
}
