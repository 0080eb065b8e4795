//! The world: everything that exists in the embedded account, and the one function that changes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fault::Faults;
use crate::{protocol, services};

/// World time: milliseconds since the Unix epoch.
pub type Millis = u64;

/// What stands behind clusters, databases and connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plane {
    /// Nothing: readiness follows from usual durations.
    #[default]
    Simulated,
    /// Programs of this machine: readiness is what they report ([`crate::plane`]).
    Real,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_simulated(plane: &Plane) -> bool {
    *plane == Plane::Simulated
}

/// What a world is created with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// The account id, twelve digits.
    pub account: String,
    /// The one region that exists.
    pub region: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// Every id and every varied duration is drawn from this.
    pub seed: u64,
    /// Durations vary by at most this share of the usual one (`0.3` is ±30 %).
    pub variance: f64,
    /// When the world began, in world time.
    pub epoch: Millis,
    /// What stands behind clusters, databases and connectors. Left out of the serialised form where it is simulated.
    #[serde(default, skip_serializing_if = "is_simulated")]
    pub plane: Plane,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: "111111111111".into(),
            region: "us-east-1".into(),
            partition: "aws".into(),
            seed: 1,
            variance: 0.0,
            epoch: 1_767_225_600_000, // 2026-01-01T00:00:00Z
            plane: Plane::Simulated,
        }
    }
}

/// One request as it came off the wire.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The raw, still percent-encoded path.
    pub path: String,
    /// The raw query string without `?`.
    pub query: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as sent (maybe `aws-chunked`).
    pub body: bytes::Bytes,
}

impl Request {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What becomes of a response on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// It arrives.
    #[default]
    Normal,
    /// The connection is closed without it (the request may have taken effect).
    Dropped,
    /// Nothing ever comes and the connection stays open, as for a caller that was killed while it waited.
    Held,
}

/// One response, ready for the wire.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: bytes::Bytes,
    /// Whether it arrives.
    pub delivery: Delivery,
    /// How long the reply takes, in world milliseconds; the shell waits that long.
    pub delay: Millis,
    /// True when the state of the world changed: a durable shell must store it before it replies.
    pub changed: bool,
}

/// What a service operation answers when it succeeds.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Output members by their name in the service model; timestamps are integers in milliseconds.
    pub value: Value,
    /// The raw payload, for operations whose output has a streaming body (S3 `GetObject`).
    pub body: Option<bytes::Bytes>,
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self { value, body: None }
    }
}

/// An error as AWS would send it.
#[derive(Debug, Clone)]
pub struct AwsError {
    /// The code on the wire (`DBClusterNotFoundFault`, `InvalidGroup.NotFound`), not the type's name in an SDK.
    pub code: String,
    /// The message.
    pub message: String,
    /// The HTTP status; `None` takes the one in the service model, else 400.
    pub status: Option<u16>,
    /// Further members of the error body (`invalidParameter` of MSK).
    pub extra: BTreeMap<String, Value>,
}

impl AwsError {
    /// An error with the status that the service model gives to the code (else 400).
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: None, extra: BTreeMap::new() }
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a member to the error body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.into(), value.into());
        self
    }
}

/// The result of a service operation.
pub type Outcome = Result<Reply, AwsError>;

/// What an operation gets beside the state: when it is, and the payload that has no place in a `Value`.
#[derive(Debug, Clone)]
pub struct Cx {
    /// The present, in world time.
    pub now: Millis,
    /// The decoded request payload, for operations with a streaming body (S3 `PutObject`); else empty.
    pub body: bytes::Bytes,
    /// The id of this request.
    pub request_id: String,
}

/// Everything that exists. Services may read each other's state; each changes only its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// How often each label was drawn from.
    pub draws: BTreeMap<String, u64>,
    /// What is in the databases, where no real ones stand behind them.
    pub database: services::database::State,
    /// EC2.
    pub ec2: services::ec2::State,
    /// IAM.
    pub iam: services::iam::State,
    /// MSK.
    pub kafka: services::kafka::State,
    /// MSK Connect.
    pub kafkaconnect: services::kafkaconnect::State,
    /// `CloudWatch` Logs.
    pub logs: services::logs::State,
    /// RDS.
    pub rds: services::rds::State,
    /// S3.
    pub s3: services::s3::State,
    /// Secrets Manager.
    pub secretsmanager: services::secretsmanager::State,
}

/// The embedded AWS.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    /// What it was created with.
    pub settings: Settings,
    /// Everything that exists.
    pub state: State,
    /// Dials for what goes wrong.
    #[serde(default)]
    pub faults: Faults,
    /// Contents of stored objects by their SHA-256 (hex). Kept out of the serialised world: a durable shell stores each once.
    #[serde(skip)]
    pub blobs: BTreeMap<String, bytes::Bytes>,
    /// Raised by every changing call.
    #[serde(default)]
    pub revision: u64,
    /// Draws made since this value was loaded: tells whether a call drew.
    #[serde(skip)]
    pub drawn: u64,
}

/// Whether an operation never changes anything, by the first word of its name. `GetRandomPassword` moves a generator.
pub fn is_read(operation: &str) -> bool {
    operation != "GetRandomPassword"
        && ["Describe", "Get", "List", "Head", "Filter"]
            .iter()
            .any(|word| operation.starts_with(word))
}

impl World {
    /// Answers one request at a moment of world time. This is the whole of the embedded AWS; everything else is a shell.
    ///
    /// # Guarantees
    /// The response and the next state depend on this state, `now` and the request alone. Reads change nothing. When
    /// [`Response::changed`] is set the state differs from before, and `revision` is higher by one.
    pub fn handle(&mut self, now: Millis, request: &Request) -> Response {
        let mut response = self.answer(now, request);
        // An origin server tells when it answered (RFC 9110 §6.6.1; page 'Common Response Headers', S3 API reference). Leases are
        // judged by it, so it is the world's time and not that of whatever serves the world.
        response.headers.push(("date".into(), protocol::time::http(now + response.delay)));
        response
    }

    fn answer(&mut self, now: Millis, request: &Request) -> Response {
        let request_id = protocol::request_id(now, request);
        let head = request.method == "HEAD";
        let target = match protocol::target(request) {
            Ok(target) => target,
            Err(e) => {
                let model = e.service.and_then(crate::model::of);
                return protocol::error(e.protocol, e.service, model, &e.error, &request_id, head);
            }
        };
        let operation = target.operation.as_str();
        let strike = self.faults.strike(self.settings.seed, target.service, operation);
        let drawn = self.drawn;
        let outcome = match (strike.reset, strike.refusal) {
            (true, _) => Err(AwsError::new("Reset", "")),
            (_, Some(refusal)) => Err(refusal),
            _ => self.carry_out(now, &target, request, &request_id),
        };
        // An operation that failed after it drew has moved a generator: that too has to be stored.
        let changed =
            strike.counted || self.drawn != drawn || (outcome.is_ok() && !is_read(operation));
        debug_assert!(
            !is_read(operation) || self.drawn == drawn,
            "{operation} reads and must not draw"
        );
        if changed {
            self.revision += 1;
        }
        let mut response = match outcome {
            Ok(reply) => protocol::success(&target, &reply, &request_id),
            Err(error) => {
                let (protocol, model) = (target.model.metadata.protocol, Some(target.model));
                protocol::error(protocol, Some(target.service), model, &error, &request_id, head)
            }
        };
        if head {
            response.body = bytes::Bytes::new();
        }
        if strike.reset || strike.lost {
            response.delivery = Delivery::Dropped;
        } else if strike.silent {
            response.delivery = Delivery::Held;
        }
        response.delay += strike.delay;
        response.changed = changed;
        response
    }

    fn carry_out(
        &mut self,
        now: Millis,
        target: &protocol::Target,
        request: &Request,
        request_id: &str,
    ) -> Outcome {
        self.check_region(target)?;
        let service = services::SERVICES.iter().find(|s| s.name == target.service);
        let service = service
            .filter(|s| s.operations.contains(&target.operation.as_str()))
            .ok_or_else(|| {
                let message = format!(
                    "{} of {} is not part of the embedded AWS",
                    target.operation, target.service
                );
                AwsError::new("NotImplemented", message).status(501)
            })?;
        let input = protocol::input(target, request)?;
        let problems = protocol::problems(target, &input);
        if !problems.is_empty() {
            return Err(protocol::invalid(target.service, &problems));
        }
        let cx = Cx { now, body: input.body, request_id: request_id.to_owned() };
        let reply = (service.handle)(self, &cx, &target.operation, &input.value)?;
        let foreign = protocol::output_problems(target.model, &target.operation, &reply.value);
        debug_assert!(
            foreign.is_empty(),
            "{} answers what its model lacks: {foreign:?}",
            target.operation
        );
        Ok(reply)
    }

    /// One region exists. IAM is global and STS has a global endpoint; both are signed for the partition's first region.
    fn check_region(&self, target: &protocol::Target) -> Result<(), AwsError> {
        let expected = &self.settings.region;
        match &target.region {
            Some(region) if region != expected && !matches!(target.service, "iam" | "sts") => {
                Err(match target.service {
                    "s3" => AwsError::new(
                        "AuthorizationHeaderMalformed",
                        format!(
                            "The authorization header is malformed; the region '{region}' is wrong; expecting '{expected}'"
                        ),
                    )
                    .status(400)
                    .with("Region", expected.as_str()),
                    "ec2" => AwsError::new(
                        "AuthFailure",
                        "Credential should be scoped to a valid region.",
                    ),
                    "rds" => AwsError::new(
                        "SignatureDoesNotMatch",
                        "Credential should be scoped to a valid region.",
                    ),
                    _ => AwsError::new(
                        "InvalidSignatureException",
                        "Credential should be scoped to a valid region.",
                    ),
                }
                .status(if target.service == "s3" { 400 } else { 403 }))
            }
            _ => Ok(()),
        }
    }

    /// A fresh account with its default network.
    pub fn new(settings: Settings) -> Self {
        let mut world = Self { settings, ..Self::default() };
        services::ec2::seed(&mut world);
        world
    }

    /// The next value of the generator for `label`. Labels are independent: what one object draws does not depend on which
    /// other objects were made before it.
    pub fn draw(&mut self, label: &str) -> u64 {
        self.drawn += 1;
        let n = self.state.draws.entry(label.into()).or_default();
        *n += 1;
        let mut hash = Sha256::new();
        hash.update(self.settings.seed.to_le_bytes());
        hash.update(label.as_bytes());
        hash.update(n.to_le_bytes());
        let digest = hash.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
    }

    /// `len` lower-case hexadecimal digits, as in EC2's ids.
    pub fn hex(&mut self, label: &str, len: usize) -> String {
        const DIGITS: &[u8] = b"0123456789abcdef";
        let mut out = String::new();
        while out.len() < len {
            let drawn = self.draw(label);
            out.extend((0..16).rev().map(|i| DIGITS[(drawn >> (4 * i) & 15) as usize] as char));
        }
        out.truncate(len);
        out
    }

    /// `len` characters of `A-Z0-9`, as in MSK's version tokens and RDS's resource ids.
    pub fn token(&mut self, label: &str, len: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..len).map(|_| ALPHABET[(self.draw(label) % 36) as usize] as char).collect()
    }

    /// A UUID in its usual form.
    pub fn uuid(&mut self, label: &str) -> String {
        let hex = self.hex(label, 32);
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..32]
        )
    }

    /// `usual` varied by the world's variance, drawn for `label`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "durations stay far below 2^53 and the variance below 1"
    )]
    pub fn duration(&mut self, label: &str, usual: Millis) -> Millis {
        let variance = self.settings.variance;
        if variance == 0.0 {
            return usual;
        }
        let unit = (self.draw(label) >> 11) as f64 / (1u64 << 53) as f64; // [0, 1)
        (usual as f64 * (1.0 + variance * (2.0 * unit - 1.0))) as Millis
    }

    /// How long something lasts that a program does where the plane is real: there, until it is reported. Draws in either case, so that
    /// ids are the same.
    pub(crate) fn lasting(&mut self, label: &str, usual: Millis) -> Millis {
        let duration = self.duration(label, usual);
        if self.settings.plane == Plane::Real { crate::plane::UNTIL_REPORTED } else { duration }
    }

    /// `arn:PARTITION:SERVICE:REGION:ACCOUNT:REST`.
    pub fn arn(&self, service: &str, rest: &str) -> String {
        let Settings { partition, region, account, .. } = &self.settings;
        format!("arn:{partition}:{service}:{region}:{account}:{rest}")
    }
}
