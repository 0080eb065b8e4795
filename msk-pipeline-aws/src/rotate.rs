//! A new password for a capture user: in the database, in its secret, and in the connectors that read it.
//!
//! The steps are those of Secrets Manager's own rotation: the new password is *pending* in the secret, the user gives it to itself
//! in the database, it is tried, it becomes the secret's *current* one, and each connector that resolves it is restarted, because a
//! task keeps what it resolved when it started. No right but the user's own is needed in the database.
//!
//! # Guarantees
//! * No row is missed: connectors are restarted with their place, and sessions that are open outlive a change of their password.
//! * Whatever is killed, the same rotation goes on from where it was: a pending password is used again, and none is made that nobody
//!   knows. Between the database and the secret there is a moment in which a task that restarts by itself is refused; if the
//!   rotation was killed just there, rotate again.
//! * Nothing is begun unless the secret carries this state's mark and every connector runs.
//!
//! # Sources
//! Handbook aws.md §8; Secrets Manager's user guide, "Rotation by Lambda function" (create, set, test, finish); handbook msk.md §7.2.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::Client;
use msk_pipeline_core::Clock;
use msk_pipeline_core::kind::{CallError, Class, Mark, MarkSeen};
use msk_pipeline_verify::chain::Database;
use msk_pipeline_verify::session::Session as Source;
use msk_pipeline_verify::{Check, Reach, Secret};
use serde_json::{Map, Value};

use crate::Session;
use crate::error::{absent, classify};
use crate::kinds::connector::observe::{configuration, find_described};
use crate::kinds::secret::{from_secret, random_password, token};
use crate::operate::{self, OperateError, Operation};
use crate::verify::{ends, placeholder};

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
const RESTART: Operation = Operation::Restart { only_failed: false };

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The secret.
    pub secret: String,
    /// The user.
    pub user: String,
    /// The connectors that were restarted.
    pub connectors: Vec<String>,
}

/// Why a rotation is not begun, or did not end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// There is no such connector.
    #[error("connector {0} does not exist")]
    Absent(String),
    /// Its configuration has no secret for user and password.
    #[error("connector {0} has no placeholder of one secret for its user and password")]
    NoSecret(String),
    /// The secret is somebody else's.
    #[error(
        "secret {0} is not ours: its mark is of another state, or it has none. Rotate it where it is made, then `connector restart`"
    )]
    Foreign(String),
    /// The secret's value isn't a user and a password.
    #[error("secret {0} has no text `username` and `password`")]
    Value(String),
    /// The database can't be logged in to, or not from here.
    #[error("{0}")]
    Login(Check),
    /// The database refused the new password.
    #[error("the database refuses the new password: {0}")]
    Refused(String),
    /// A connector's restart.
    #[error(transparent)]
    Operate(#[from] OperateError),
    /// AWS refused, or did not answer.
    #[error("{0}")]
    Call(#[from] CallError),
}

/// Rotates the password that the connector `name` logs in with. Of `connectors`, the names of all that this state has, those with the
/// same secret are restarted. `said` is told each step.
///
/// # Errors
/// See [`RotateError`]; the same call again goes on.
pub async fn rotate(
    session: &Session,
    clock: &dyn Clock,
    lineage: &str,
    name: &str,
    connectors: &[String],
    reach: &Reach,
    mut said: impl FnMut(&str),
) -> Result<Rotated, RotateError> {
    let own = ends(session, name).await?.ok_or_else(|| RotateError::Absent(name.to_owned()))?;
    let secret = secret_of(&own.evidence.connector_config)
        .ok_or_else(|| RotateError::NoSecret(name.to_owned()))?;
    let users = users(session, connectors, &secret).await?;
    for connector in &users {
        operate::check(session, connector, lineage, RESTART).await?;
    }
    let versions = Versions { client: &session.secretsmanager, secret: &secret };
    versions.are_ours(lineage).await?;

    let current = versions.get(CURRENT).await?.ok_or_else(|| RotateError::Value(secret.clone()))?;
    let pending = match versions.get(PENDING).await?.filter(|pending| pending.user == current.user)
    {
        Some(pending) if pending.id == current.id => {
            versions.moved(PENDING, Some(&pending.id), None).await?;
            None
        }
        pending => pending,
    };
    let pending = match pending {
        Some(pending) => {
            said("a pending password is there already: going on with it");
            pending
        }
        None => {
            let made = versions.make_pending(&current).await?;
            said(&format!("a new password is pending in secret {secret}"));
            made
        }
    };

    let as_user = |credentials: &Credentials| Database {
        user: credentials.user.clone(),
        password: credentials.password.clone(),
        ..own.place()
    };
    match Source::open(own.engine(), &as_user(&pending), reach).await {
        Ok(_) => {}
        Err(check) if is_refusal(&check) => {
            let opened = Source::open(own.engine(), &as_user(&current), reach).await;
            let mut source = opened.map_err(RotateError::Login)?;
            let set = source.set_own_password(&pending.password).await;
            set.map_err(|refused| RotateError::Refused(refused.text))?;
            said(&format!("{} has it in the database", current.user));
            let tried = Source::open(own.engine(), &as_user(&pending), reach).await;
            tried.map_err(RotateError::Login)?;
        }
        Err(check) => return Err(RotateError::Login(check)),
    }
    said(&format!("{} logs in with it", current.user));
    versions.moved(CURRENT, Some(&current.id), Some(&pending.id)).await?;
    versions.moved(PENDING, Some(&pending.id), None).await?;
    said(&format!("it is the current one of secret {secret}"));

    for connector in &users {
        if let Some(begun) = operate::begin(session, clock, connector, lineage, RESTART).await? {
            said(&format!("connector {connector} is restarted"));
            operate::settle(session, clock, &begun, |state| said(&format!("  {state}"))).await?;
        }
    }
    Ok(Rotated { secret, user: current.user, connectors: users })
}

/// Whether the database answers, and takes this user with this password for nobody.
pub fn is_refusal(check: &Check) -> bool {
    check.code() == Some("C-DB-AUTH")
}

/// The secret that both user and password are of.
fn secret_of(configuration: &BTreeMap<String, String>) -> Option<String> {
    let of = |key| placeholder(configuration.get(key)?);
    let password = of("database.password")?.0.to_owned();
    let user = of("database.user");
    user.is_none_or(|(secret, _)| secret == password).then_some(password)
}

/// The connectors that resolve a secret.
async fn users(
    session: &Session,
    connectors: &[String],
    secret: &str,
) -> Result<Vec<String>, CallError> {
    let mut users = BTreeSet::new();
    for name in connectors {
        let found = find_described(&session.kafkaconnect, name).await?;
        let found = found.and_then(|(_, described)| secret_of(&configuration(&described)));
        if found.as_deref() == Some(secret) {
            users.insert(name.clone());
        }
    }
    Ok(users.into_iter().collect())
}

/// A version of the secret: who logs in with what.
struct Credentials {
    id: String,
    user: String,
    password: Secret,
    /// Everything that the value has.
    value: Map<String, Value>,
}

/// The versions of a secret.
struct Versions<'a> {
    client: &'a Client,
    secret: &'a str,
}

impl Versions<'_> {
    async fn are_ours(&self, lineage: &str) -> Result<(), RotateError> {
        let answer = self.client.describe_secret().secret_id(self.secret).send().await;
        let answer = answer.map_err(|e| classify("secretsmanager:DescribeSecret", e))?;
        let seen = Mark::seen_in_tags(&from_secret(answer.tags()));
        match seen {
            MarkSeen::Lineage { lineage: whose, .. } if whose == lineage => Ok(()),
            _ => Err(RotateError::Foreign(self.secret.to_owned())),
        }
    }

    /// The version with this stage.
    async fn get(&self, stage: &str) -> Result<Option<Credentials>, RotateError> {
        let request = self.client.get_secret_value().secret_id(self.secret).version_stage(stage);
        let answer = request.send().await;
        let answer = answer.map_err(|e| classify("secretsmanager:GetSecretValue", e));
        let Some(answer) = absent(answer)? else { return Ok(None) };
        let text = answer.secret_string().unwrap_or_default();
        let id = answer.version_id().unwrap_or_default().to_owned();
        let found = read(id, text).ok_or_else(|| RotateError::Value(self.secret.to_owned()))?;
        Ok(Some(found))
    }

    /// Adds a version with a new password and all else of `current`.
    async fn make_pending(&self, current: &Credentials) -> Result<Credentials, RotateError> {
        const OP: &str = "secretsmanager:PutSecretValue";
        let password = random_password(self.client).await?;
        let mut value = current.value.clone();
        value.insert("password".into(), password.clone().into());
        let put = self.client.put_secret_value().secret_id(self.secret);
        let text = Value::Object(value.clone()).to_string();
        let put = put.client_request_token(token(&["rotate", self.secret, &text]));
        let answer = put.secret_string(text).version_stages(PENDING).send().await;
        let answer = answer.map_err(|e| classify(OP, e))?;
        let Some(id) = answer.version_id().map(str::to_owned) else {
            return Err(CallError::new(Class::Unknown, OP, "the answer has no version").into());
        };
        Ok(Credentials { id, user: current.user.clone(), password: Secret::new(password), value })
    }

    /// `UpdateSecretVersionStage`
    async fn moved(
        &self,
        stage: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), CallError> {
        let request = self.client.update_secret_version_stage().secret_id(self.secret);
        let request = request.version_stage(stage);
        let request = request.set_remove_from_version_id(from.map(str::to_owned));
        let answer = request.set_move_to_version_id(to.map(str::to_owned)).send().await;
        answer.map_err(|e| classify("secretsmanager:UpdateSecretVersionStage", e)).map(drop)
    }
}

fn read(id: String, text: &str) -> Option<Credentials> {
    let value: Map<String, Value> = serde_json::from_str(text).ok()?;
    let of = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let (user, password) = (of("username")?, Secret::new(of("password")?));
    Some(Credentials { id, user, password, value })
}
