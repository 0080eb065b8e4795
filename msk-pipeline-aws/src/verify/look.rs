//! One look at a connector: each link in order, judged by `msk-pipeline-verify`.

use std::time::Duration;

use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_verify::canary::{self, CanaryError, Engine, Proof, Row};
use msk_pipeline_verify::cause::diagnose;
use msk_pipeline_verify::chain::connector::{
    judge_diagnosis, judge_secret, judge_state, judge_tasks,
};
use msk_pipeline_verify::chain::kafka::Kafka;
use msk_pipeline_verify::chain::{self, Database, Topics, ago, judge_lag};
use msk_pipeline_verify::{Check, Outcome, Secret};
use serde_json::Value;

use super::secrets::value;
use super::{Ends, Look};
use crate::Session;
use crate::components::connector::CANARY;
use crate::kinds::aurora_cluster;

/// Connect commits once a minute; one that runs for less than three need not have.
const YOUNG: Duration = Duration::from_mins(3);
const PROOF: &str = "the proof by a row";

/// A look under way.
pub(super) struct Looking<'a> {
    session: &'a Session,
    ends: &'a Ends,
    look: &'a Look,
    pub(super) checks: Vec<Check>,
    /// What it is read with; found out once.
    ways: Option<Ways>,
}

/// How both ends are entered.
struct Ways {
    database: Database,
    kafka: Kafka,
}

impl<'a> Looking<'a> {
    pub(super) fn new(session: &'a Session, ends: &'a Ends, look: &'a Look) -> Self {
        Self { session, ends, look, checks: Vec::new(), ways: None }
    }

    fn add(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks.into_iter().map(ours));
    }

    /// What AWS, Connect and the log say of the connector itself.
    pub(super) fn connector(&mut self) {
        let facts = &self.ends.evidence.facts;
        let mut checks = vec![judge_state(&self.ends.state)];
        checks.extend(self.look.tasks.as_deref().map(judge_tasks));
        checks.push(judge_diagnosis(&diagnose(&self.ends.evidence)));
        checks.extend(judge_secret(facts.secret_changed_at, facts.connector_started_at));
        self.add(checks);
    }

    /// Finds out how the ends are entered; false, with a check that says why, if that can't be done.
    pub(super) async fn enter(&mut self) -> Result<bool, CallError> {
        if let Err(unfit) = self.ends.fit() {
            let open = "Its state, log and tasks are all that is looked at.";
            self.add([Check::unreachable("what it captures", unfit.to_string(), open)]);
            return Ok(false);
        }
        let credentials = match self.look.credentials_for(self.session, self.ends).await {
            Ok(credentials) => credentials,
            Err(error) => {
                let open = "The cluster asks for IAM: run it with AWS credentials.";
                self.add([Check::unreachable("credentials", error.to_string(), open)]);
                return Ok(false);
            }
        };
        match self.ends.source(&self.session.secretsmanager).await {
            Ok(database) => {
                let kafka = self.ends.kafka(credentials, self.session.region());
                self.ways = Some(Ways { database, kafka });
                Ok(true)
            }
            Err(check) => {
                self.add([check]);
                Ok(false)
            }
        }
    }

    /// The source: login, rights, settings.
    pub(super) async fn source(&mut self) {
        let Some(ways) = &self.ways else { return };
        let wanted = self.ends.wanted(self.look.retention);
        let checks = chain::check_mysql(&ways.database, &wanted, &self.look.reach).await;
        self.add(checks);
    }

    /// The brokers, the heartbeat, the last event and the distance; the topics, too, if they are asked for.
    pub(super) async fn flow(&mut self, all: bool) {
        let Some(ways) = &self.ways else { return };
        let (look, ends) = (self.look, self.ends);
        let since = look.since(ends.evidence.facts.connector_started_at);
        let topics = Topics {
            needed: if all { needed(ends) } else { Vec::new() },
            heartbeat: ends.heartbeat(),
            since,
        };
        let mut checks = chain::check_kafka(&ways.kafka, &topics, &look.reach, look.now).await;
        // What the brokers don't answer once, they don't answer three times.
        if checks.iter().any(|check| check.name == "the brokers") {
            let events = ends.events();
            checks.push(match chain::last_event(&ways.kafka, &events, &look.reach).await {
                Ok(Some((at, topic))) => {
                    Check::pass("last event", format!("{} on {topic}", ago(at, look.now)))
                }
                Ok(None) => Check::pass("last event", "none yet on the topics of its tables"),
                Err(check) => check,
            });
            let lag = chain::check_lag(
                &ways.database,
                &ways.kafka,
                &ends.offsets,
                &ends.name,
                &look.reach,
            );
            let young = since.is_some_and(|since| {
                u128::try_from(look.now - since).unwrap_or(0) < YOUNG.as_millis()
            });
            checks.push(match lag.await {
                Ok(lag) => judge_lag(&lag, look.most_behind, young),
                Err(check) => check,
            });
        }
        self.add(checks);
    }

    /// The proof: a row that is inserted, updated and deleted. Not tried where something is wrong already.
    pub(super) async fn proof(&mut self, wait: Duration) -> Result<Option<Proof>, CallError> {
        let Some(ways) = &self.ways else { return Ok(None) };
        if self.checks.iter().any(Check::failed) {
            return Ok(None);
        }
        let row = match row(self.ends, self.look.now) {
            Ok(row) => row,
            Err(check) => {
                self.add([check]);
                return Ok(None);
            }
        };
        let master = master(self.session, &ways.database).await?;
        let writer = master.as_ref().unwrap_or(&ways.database);
        let (reach, kafka) = (&self.look.reach, &ways.kafka);
        let outcome = async {
            if master.is_some() {
                canary::prepare(Engine::MySql, writer, &row, reach).await?;
            }
            canary::prove(Engine::MySql, writer, kafka, &row, reach, wait).await
        };
        let (check, proof) = match outcome.await {
            Ok(proof) => (Check::pass(PROOF, proof.to_string()), Some(proof)),
            Err(error) => (unproved(&error, &row, writer, master.is_some(), self.ends), None),
        };
        self.add([check]);
        Ok(proof)
    }
}

/// Topics that have to exist: its own, and those of tables as far as no transform sends their events elsewhere.
fn needed(ends: &Ends) -> Vec<String> {
    let history = ends.config("schema.history.internal.kafka.topic").map(str::to_owned);
    let mut topics: Vec<String> = history.into_iter().chain([ends.offsets.clone()]).collect();
    if ends.transforms().is_empty() {
        topics.extend(ends.events());
    }
    topics
}

/// The canary's row, or why there can't be one.
fn row(ends: &Ends, now: i64) -> Result<Row, Check> {
    if let Some(class) = ends.foreign_converter() {
        let open =
            "A canary's records are read as JSON (`org.apache.kafka.connect.json.JsonConverter`).";
        return Err(Check::unreachable(PROOF, format!("records of {class} can't be read"), open));
    }
    let Some(table) = ends.canary_table() else {
        let open = "`apply` makes the connector capture it.";
        let what = format!("the connector captures no table `{CANARY}` of the tool's own");
        return Err(Check::unreachable(PROOF, what, open));
    };
    let (schema, name) = table.split_once('.').unwrap_or(("", &table));
    Ok(Row {
        schema: schema.to_owned(),
        table: name.to_owned(),
        id: format!("canary-{now}-{}", std::process::id()),
        topic: ends.topic(&table),
        tombstone: ends.config("tombstones.on.delete") != Some("false"),
    })
}

/// The database as its master user, where its password is managed and may be read: it can make the canary's table, which a capture user
/// can't. `None`: the capture user has to do.
async fn master(session: &Session, database: &Database) -> Result<Option<Database>, CallError> {
    // `<cluster>.cluster-<id>.<region>.rds.amazonaws.com`
    let name = database.host.split('.').next().unwrap_or_default();
    let cluster = match aurora_cluster::describe(&session.rds, name).await {
        Ok(cluster) => cluster,
        Err(error) if error.class == Class::Denied => None,
        Err(error) => return Err(error),
    };
    let cluster = cluster.filter(|c| c.endpoint() == Some(&database.host));
    let secret = cluster.as_ref().and_then(|c| c.master_user_secret()?.secret_arn());
    let Some(secret) = secret else { return Ok(None) };
    // It is the database's own, and nobody has to be allowed to read it.
    let Ok(value) = value(&session.secretsmanager, secret).await else { return Ok(None) };
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let (Some(user), Some(password)) = (text("username"), text("password")) else {
        return Ok(None);
    };
    Ok(Some(Database {
        user: user.to_owned(),
        password: Secret::new(password),
        ..database.clone()
    }))
}

/// Why a row did not come out, as a check.
fn unproved(error: &CanaryError, row: &Row, writer: &Database, master: bool, ends: &Ends) -> Check {
    let transforms = ends.transforms();
    let note = match transforms.as_slice() {
        [] => String::new(),
        names => format!(
            "The connector has transforms ({}): they may send the row elsewhere or change its shape, and then this proves nothing.",
            names.join(", ")
        ),
    };
    let fail = |code: &str, text: String| {
        let failed = Check::fail(PROOF, code, text, &[]);
        if note.is_empty() { failed } else { failed.advise(&note) }
    };
    match error {
        CanaryError::Check(check) => check.clone(),
        CanaryError::Missing { .. } => fail("C-CANARY-MISSING", error.to_string()).advise(
            "Look at `explain` and `connector logs`; a busy connector may need a longer `--wait`.",
        ),
        CanaryError::Wrong { .. } => fail("C-CANARY-WRONG", error.to_string()),
        CanaryError::Kafka { source, .. } => {
            let open = "Ask again; the chain says whether the brokers answer.";
            Check::unreachable(PROOF, format!("{error}: {source}"), open)
        }
        _ if master => fail("C-CANARY-STATEMENT", error.to_string()),
        _ => {
            let Row { schema, table, .. } = row;
            let statements = row.preparation(Engine::MySql).join("; ");
            let open = format!(
                "As a user that may: {statements}; GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table} TO '{}'@'%';",
                writer.user
            );
            Check::unreachable(PROOF, error.to_string(), open)
        }
    }
}

/// What is refused to whoever asks here, or isn't trusted here, says nothing of the connector.
fn ours(check: Check) -> Check {
    let Outcome::Fail { code, found, .. } = &check.outcome else { return check };
    let open = match code.as_str() {
        "C-KAFKA-IAM" | "C-KAFKA-UNREACHED" if is_denied(found) => {
            "Run it with credentials that may kafka-cluster:Connect and DescribeCluster on the cluster, DescribeTopic and ReadData on the connector's topics."
        }
        "C-DB-TLS-TRUST" | "C-KAFKA-TRUST" => {
            "Give the authority's certificate with --ca-bundle FILE; RDS's is https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem."
        }
        _ => return check,
    };
    Check::unreachable(check.name.clone(), found.clone(), open)
}

fn is_denied(found: &str) -> bool {
    let text = found.to_lowercase();
    ["access denied", "authorization failed", "authorizationfailed"]
        .iter()
        .any(|t| text.contains(t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_to_us_is_out_of_reach() {
        let code = |code: &str, found: &str| {
            ours(Check::fail("x", code, found, &[])).code().map(str::to_owned)
        };
        assert_eq!(code("C-KAFKA-IAM", "[1]: Access denied"), None);
        assert_eq!(code("C-KAFKA-UNREACHED", "TopicAuthorizationFailed"), None);
        assert_eq!(code("C-KAFKA-UNREACHED", "early eof").as_deref(), Some("C-KAFKA-UNREACHED"));
        assert_eq!(code("C-DB-TLS-TRUST", "UnknownIssuer"), None);
        assert_eq!(code("C-DB-AUTH", "Access denied").as_deref(), Some("C-DB-AUTH"));
    }
}
