//! Whether a connector does what it is for: the chain from the database to its topics, looked at from here, and the proof by a row.
//!
//! AWS says where both ends are ([`Ends`]); `msk-pipeline-verify` looks at each link and judges it. What a look needs of secrets is read at
//! that moment, handed to a client and forgotten: no report, no error and no debug output has it.
//!
//! # Rights
//! Besides those of [`evidence`](crate::evidence): `secretsmanager:GetSecretValue` on the capture user's secret (and on the database's
//! own for the canary, with `rds:DescribeDBClusters`), and with IAM authentication `kafka-cluster:Connect`, `DescribeCluster`,
//! `DescribeTopic` and `ReadData`. What is refused to whoever asks is told as out of reach, not as the connector's fault.

mod ends;
mod look;
mod secrets;

use std::time::Duration;

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::{Component as _, Pipeline};
use msk_pipeline_core::kind::CallError;
use msk_pipeline_verify::canary::Proof;
use msk_pipeline_verify::cause::Task;
use msk_pipeline_verify::chain::AwsCredentials;
use msk_pipeline_verify::{Check, Outcome, Reach};
use serde::{Deserialize, Serialize};

pub use self::ends::{Ends, Unfit, ends};
pub(crate) use self::secrets::placeholder;
use crate::Session;
use crate::components::connector::Connector;
use crate::components::database::Database;

/// How it is looked.
#[derive(Debug, Clone)]
pub struct Look {
    /// The way to the database and the brokers.
    pub reach: Reach,
    /// With which credentials clusters with IAM are entered; `None`: the session's own.
    pub credentials: Option<AwsCredentials>,
    /// What the connector's tasks do, where somebody knows: MSK Connect tells nothing of them.
    pub tasks: Option<Vec<Task>>,
    /// For how long binary logs are to be kept, as declared.
    pub retention: Option<Duration>,
    /// The present in milliseconds since 1970, as programs have it: they write it into records.
    pub now: i64,
    /// The present as AWS has it, and how fast its time goes; of an embedded AWS both are its own.
    pub aws_now: u64,
    /// See [`aws_now`](Self::aws_now).
    pub scale: f64,
    /// How far behind is not too far, in bytes of the binary log.
    pub most_behind: u64,
    /// Why nothing beyond AWS can be looked at, where that is known beforehand: nothing stands behind a simulated AWS.
    pub closed: Option<Closed>,
}

/// Why nothing beyond AWS can be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// What isn't there.
    pub what: String,
    /// What to do about it.
    pub open: String,
}

impl Look {
    /// So far behind is not too far: some seconds for Debezium.
    pub const MOST_BEHIND: u64 = 64 << 20;

    /// With which credentials the connector's cluster is entered; `None` if it asks for none.
    ///
    /// # Errors
    /// If it asks for some, and neither this look nor the session has any.
    pub async fn credentials_for(
        &self,
        session: &Session,
        ends: &Ends,
    ) -> Result<Option<AwsCredentials>, CallError> {
        match &self.credentials {
            Some(given) => Ok(Some(given.clone())),
            None if ends.iam => session.credentials().await.map(Some),
            None => Ok(None),
        }
    }

    /// Since when something is, as programs have the time, from when AWS says that it began.
    fn since(&self, aws: Option<u64>) -> Option<i64> {
        let passed = self.aws_now.saturating_sub(aws?);
        // A millisecond more or less is nothing here, and time that stands still has no past.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "milliseconds of years fit"
        )]
        let passed = if self.scale > 0.0 { (passed as f64 / self.scale) as i64 } else { 0 };
        Some(self.now - passed)
    }
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether it is alive: its state, tasks, log, secret, heartbeat and distance. Reads only, in seconds.
    Alive,
    /// The whole chain: its user's rights, the server's settings, listeners and topics, too.
    Chain,
    /// The chain, and if nothing is wrong with it, the proof by a row.
    Proof {
        /// How long is waited for each step of the row.
        wait: Duration,
    },
}

/// What was found of one connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub connector: String,
    /// Its state, in AWS's words.
    pub state: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// Every link that was looked at, in order.
    pub checks: Vec<Check>,
    /// The row that came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// What checks come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was to be looked at is as it has to be.
    Sound,
    /// Nothing wrong was seen, and not everything could be looked at.
    Unverified,
    /// Something is wrong.
    Wrong,
}

impl Verdict {
    /// Of several checks; of none nothing is known.
    pub fn of(checks: &[Check]) -> Self {
        let each = checks.iter().map(|check| match check.outcome {
            Outcome::Pass { .. } => Self::Sound,
            Outcome::Unreachable { .. } => Self::Unverified,
            Outcome::Fail { .. } => Self::Wrong,
        });
        each.max().unwrap_or(Self::Unverified)
    }
}

impl Report {
    /// The first check that decided the verdict; `None` of a sound one.
    pub fn reason(&self) -> Option<&Check> {
        let decides = |check: &&Check| match self.verdict {
            Verdict::Sound => false,
            Verdict::Unverified => !check.passed(),
            Verdict::Wrong => check.failed(),
        };
        self.checks.iter().find(decides)
    }
}

/// Looks at a connector; `None` if there is none with this name.
///
/// # Errors
/// A read of AWS's that failed. What can't be reached or isn't allowed beyond it is a check of the report.
pub async fn verify(
    session: &Session,
    connector: &str,
    look: &Look,
    depth: Depth,
) -> Result<Option<Report>, CallError> {
    let Some(ends) = ends(session, connector).await? else { return Ok(None) };
    let mut looking = look::Looking::new(session, &ends, look);
    looking.connector();
    let mut proof = None;
    if let Some(Closed { what, open }) = &look.closed {
        looking.checks.push(Check::unreachable("its rows", what, open));
    } else if looking.enter().await? {
        if depth != Depth::Alive {
            looking.source().await;
        }
        looking.flow(depth != Depth::Alive).await;
        if let Depth::Proof { wait } = depth {
            proof = looking.proof(wait).await?;
        }
    }
    let checks = looking.checks;
    let verdict = Verdict::of(&checks);
    Ok(Some(Report { connector: connector.to_owned(), state: ends.state, verdict, checks, proof }))
}

/// For how long the binary logs of a connector's source are to be kept, as declared; `address` is the connector's. `None` if the
/// declaration doesn't have it any more.
pub fn declared_retention(pipeline: &Pipeline, address: &Address) -> Option<Duration> {
    let section = address.as_str().strip_prefix("connector.")?.strip_suffix(".connector")?;
    let of = |component: &str, name: &str| {
        let mut sections = pipeline.sections().iter();
        let found = sections.find(|s| s.component == component && s.name == name);
        found.map(|section| section.value.clone())
    };
    let connector: Connector = serde_json::from_value(of(Connector::NAME, section)?).ok()?;
    let source = of(Database::NAME, &connector.source)?;
    let database: Database = serde_json::from_value(source).ok()?;
    Some(database.binlog_retention())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> [Check; 3] {
        [
            Check::pass("a", "x"),
            Check::unreachable("b", "x", "open"),
            Check::fail("c", "C-LAG", "x", &[]),
        ]
    }

    #[test]
    fn the_worst_check_decides_and_nothing_is_no_proof() {
        let [pass, unreachable, fail] = checks();
        let of =
            |checks: &[&Check]| Verdict::of(&checks.iter().copied().cloned().collect::<Vec<_>>());
        assert_eq!(of(&[&pass]), Verdict::Sound);
        assert_eq!(of(&[&pass, &unreachable]), Verdict::Unverified);
        assert_eq!(of(&[&fail, &unreachable, &pass]), Verdict::Wrong);
        assert_eq!(of(&[]), Verdict::Unverified);
    }

    #[test]
    fn the_reason_is_what_decided() {
        let report = |checks: &[Check]| Report {
            connector: "c".into(),
            state: "RUNNING".into(),
            verdict: Verdict::of(checks),
            checks: checks.to_vec(),
            proof: None,
        };
        let all = checks();
        assert_eq!(report(&all[..1]).reason(), None);
        assert_eq!(report(&all[..2]).reason().unwrap().name, "b");
        assert_eq!(report(&all).reason().unwrap().name, "c");
    }

    #[test]
    fn the_time_of_an_embedded_aws_is_told_as_programs_have_it() {
        let look = Look {
            reach: Reach::default(),
            credentials: None,
            tasks: None,
            retention: None,
            now: 1_000_000,
            aws_now: 500_000,
            scale: 10.0,
            most_behind: Look::MOST_BEHIND,
            closed: None,
        };
        assert_eq!(look.since(Some(400_000)), Some(990_000));
        assert_eq!(look.since(Some(600_000)), Some(1_000_000), "not in the future");
        assert_eq!(look.since(None), None);
    }
}
