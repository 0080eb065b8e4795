//! Dials for what goes wrong: throttling, server errors, resets, replies lost after the request took effect, slowness, late failures.
//!
//! A [`Rule`] strikes calls on their way in or out, whatever service they are for. A *named dial* ([`Faults::dial`]) is asked by a
//! service itself, for failures that only it can stage (a cluster that ends FAILED, an update that is rolled back). Counters are
//! part of the world, so that the same seed and the same calls meet the same faults in every process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::protocol;
use crate::world::{AwsError, Millis, is_read};

/// The dials; the default has everything working.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// What strikes calls, in order: of several refusals the first counts, delays add up.
    pub rules: Vec<Rule>,
    /// Named dials that services ask.
    pub dials: BTreeMap<String, Value>,
}

/// One rule: which calls, which of them, and what happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Tells rules apart; part of the label that [`When::Share`] draws by.
    #[serde(default)]
    pub name: String,
    /// The service's signing name; `None` is all.
    #[serde(default)]
    pub service: Option<String>,
    /// The operation; a `*` at the end stands for any rest; `None` is all.
    #[serde(default)]
    pub operation: Option<String>,
    /// Reads, changing calls, or both.
    #[serde(default)]
    pub calls: Calls,
    /// Which of the matching calls.
    #[serde(default)]
    pub when: When,
    /// At most so many strikes; `None` is no limit.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens.
    pub effect: Effect,
    /// Matching calls so far.
    #[serde(default)]
    pub seen: u64,
    /// Strikes so far.
    #[serde(default)]
    pub struck: u64,
}

/// Which calls a rule looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calls {
    /// All.
    #[default]
    All,
    /// Those that can change something.
    Changing,
    /// Those that never change anything.
    Reads,
}

/// Which of the matching calls are struck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Each.
    #[default]
    Always,
    /// Only the nth, from 1.
    Nth(u64),
    /// The nth and every later one.
    From(u64),
    /// This share of them (`0.1` is a tenth), by draw from the seed.
    Share(f64),
}

/// What happens to a struck call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Refused in the code that the service throttles with; nothing was done.
    Throttle,
    /// Refused with 500 or 503; nothing was done.
    ServerError(u16),
    /// Refused with this error; nothing was done.
    Error {
        /// The wire code.
        code: String,
        /// The message.
        message: String,
        /// The HTTP status; `None` takes the model's.
        #[serde(default)]
        status: Option<u16>,
    },
    /// The connection is closed before anything was done.
    Reset,
    /// The call takes effect, then the connection is closed without the reply.
    LostReply,
    /// The call takes effect, but no reply ever comes and the connection stays open.
    Silence,
    /// The reply takes this much longer, in world milliseconds.
    Slow(Millis),
}

impl Rule {
    /// A rule for every call of a service and operation (`"*"` is any).
    pub fn new(service: &str, operation: &str, when: When, effect: Effect) -> Self {
        let some = |text: &str| (text != "*").then(|| text.to_owned());
        Self {
            name: String::new(),
            service: some(service),
            operation: some(operation),
            calls: Calls::All,
            when,
            times: None,
            effect,
            seen: 0,
            struck: 0,
        }
    }

    /// Names the rule.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Limits the number of strikes.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Looks only at reads or only at changing calls.
    #[must_use]
    pub fn calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    fn matches(&self, service: &str, operation: &str) -> bool {
        self.service.as_deref().is_none_or(|s| s == service)
            && self.operation.as_deref().is_none_or(|o| match o.strip_suffix('*') {
                Some(prefix) => operation.starts_with(prefix),
                None => o == operation,
            })
            && match self.calls {
                Calls::All => true,
                Calls::Changing => !is_read(operation),
                Calls::Reads => is_read(operation),
            }
    }

    /// Counts a matching call and says whether it is struck.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    fn strikes(&mut self, seed: u64, service: &str, operation: &str) -> bool {
        self.seen += 1;
        let struck = self.times.is_none_or(|t| self.struck < t)
            && match self.when {
                When::Always => true,
                When::Nth(n) => self.seen == n,
                When::From(n) => self.seen >= n,
                When::Share(share) => {
                    let mut hash = Sha256::new();
                    hash.update(seed.to_le_bytes());
                    hash.update(format!("fault/{}/{service}/{operation}", self.name));
                    hash.update(self.seen.to_le_bytes());
                    let digest = hash.finalize();
                    let draw =
                        u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"));
                    ((draw >> 11) as f64 / (1u64 << 53) as f64) < share
                }
            };
        self.struck += u64::from(struck);
        struck
    }
}

/// What the rules decide about one call.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts; several may hold")]
pub struct Strike {
    /// Answer this instead of carrying the call out.
    pub refusal: Option<AwsError>,
    /// Close the connection instead of carrying the call out.
    pub reset: bool,
    /// Carry it out, then close the connection.
    pub lost: bool,
    /// Carry it out, then say nothing.
    pub silent: bool,
    /// Delay the reply.
    pub delay: Millis,
    /// A rule counted the call: the world has to be stored.
    pub counted: bool,
}

impl Faults {
    /// Counts the call with every rule that it matches and says what becomes of it.
    pub fn strike(&mut self, seed: u64, service: &str, operation: &str) -> Strike {
        let mut out = Strike::default();
        for rule in &mut self.rules {
            if !rule.matches(service, operation) {
                continue;
            }
            out.counted = true;
            if !rule.strikes(seed, service, operation) {
                continue;
            }
            let refused = out.refusal.is_some() || out.reset;
            match &rule.effect {
                Effect::Slow(delay) => out.delay += delay,
                Effect::LostReply => out.lost = true,
                Effect::Silence => out.silent = true,
                Effect::Reset if !refused => out.reset = true,
                Effect::Throttle if !refused => out.refusal = Some(protocol::throttle(service)),
                Effect::ServerError(status) if !refused => {
                    out.refusal = Some(server_error(service, *status));
                }
                Effect::Error { code, message, status } if !refused => {
                    let mut error = AwsError::new(code, message);
                    error.status = *status;
                    out.refusal = Some(error);
                }
                _ => {}
            }
        }
        out
    }

    /// A named dial, if it is set: `world.faults.dial("kafka.late-failure")`.
    pub fn dial(&self, name: &str) -> Option<&Value> {
        self.dials.get(name)
    }

    /// Sets a named dial; `Value::Null` takes it away.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        match value.into() {
            Value::Null => self.dials.remove(name),
            value => self.dials.insert(name.to_owned(), value),
        };
    }
}

fn server_error(service: &str, status: u16) -> AwsError {
    let code = match (service, status) {
        ("kafka" | "kafkaconnect" | "logs", 503) => "ServiceUnavailableException",
        ("kafka" | "kafkaconnect", _) => "InternalServerErrorException",
        ("s3" | "ec2", 500) => "InternalError",
        ("secretsmanager", 500) => "InternalServiceError",
        ("ec2", 503) => "Unavailable",
        (_, 503) => "ServiceUnavailable",
        _ => "InternalFailure",
    };
    AwsError::new(code, "We encountered an internal error. Please try again.").status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rule: Rule, calls: usize) -> Vec<usize> {
        let mut faults = Faults { rules: vec![rule], ..Faults::default() };
        (1..=calls)
            .filter(|_| faults.strike(7, "kafka", "CreateClusterV2").refusal.is_some())
            .collect()
    }

    #[test]
    fn the_nth_call_and_only_that() {
        let rule = Rule::new("kafka", "CreateCluster*", When::Nth(2), Effect::Throttle);
        assert_eq!(struck(rule, 4), [2]);
        let rule = Rule::new("kafka", "*", When::From(3), Effect::ServerError(503)).times(2);
        assert_eq!(struck(rule, 6), [3, 4]);
    }

    #[test]
    fn others_are_not_even_counted() {
        let rule = Rule::new("rds", "*", When::Always, Effect::Reset);
        let reads = Rule::new("*", "*", When::Always, Effect::Reset).calls(Calls::Reads);
        let mut faults = Faults { rules: vec![rule, reads], ..Faults::default() };
        let strike = faults.strike(1, "kafka", "CreateClusterV2");
        assert!(!strike.reset && !strike.counted);
        assert!(faults.strike(1, "kafka", "DescribeClusterV2").reset);
    }

    #[test]
    fn a_share_is_drawn_from_the_seed() {
        let rule = || Rule::new("*", "*", When::Share(0.25), Effect::Throttle).named("quarter");
        let first = struck(rule(), 400);
        assert_eq!(first, struck(rule(), 400));
        assert!((60..140).contains(&first.len()), "{}", first.len());
    }

    #[test]
    fn codes_are_the_services_own() {
        let throttled = |service: &str| {
            let rules = vec![Rule::new("*", "*", When::Always, Effect::Throttle)];
            let error = Faults { rules, ..Faults::default() }.strike(1, service, "X").refusal;
            error.map(|e| (e.code, e.status))
        };
        assert_eq!(throttled("kafka"), Some(("TooManyRequestsException".into(), Some(429))));
        assert_eq!(throttled("ec2"), Some(("RequestLimitExceeded".into(), Some(503))));
        assert_eq!(throttled("rds"), Some(("Throttling".into(), Some(400))));
        assert_eq!(throttled("s3"), Some(("SlowDown".into(), Some(503))));
        assert_eq!(throttled("logs"), Some(("ThrottlingException".into(), Some(400))));
    }

    #[test]
    fn faults_survive_storage_with_their_counters() {
        let mut faults = Faults::default();
        faults.rules.push(Rule::new("kafka", "*", When::Nth(2), Effect::LostReply));
        faults.set("kafka.late-failure", "orders");
        faults.strike(1, "kafka", "DeleteCluster");
        let text = serde_json::to_string(&faults).expect("serialises");
        let mut read: Faults = serde_json::from_str(&text).expect("parses");
        assert_eq!(read, faults);
        assert!(read.strike(1, "kafka", "DeleteCluster").lost);
        assert_eq!(read.dial("kafka.late-failure"), Some(&Value::from("orders")));
        read.set("kafka.late-failure", Value::Null);
        assert_eq!(read.dial("kafka.late-failure"), None);
    }
}
