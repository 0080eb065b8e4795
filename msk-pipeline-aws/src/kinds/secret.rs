//! `aws.secretsmanager.secret`: the user name and password with which a connector reads a database, as `{"username", "password"}`.
//!
//! # Guarantees
//! The password is drawn by Secrets Manager while the secret is created, goes straight into the request, and is nowhere else. A
//! secret that somebody scheduled for deletion is restored, with its password. A secret that is the user's own is only looked up.
//! # Caveats
//! A destroy deletes without a recovery window. A window of seven to thirty days would keep the name taken, so that the next create
//! of the same pipeline failed, and what it would recover is a password of a user whose database is gone, or whose password the next
//! create sets anew. Which user the secret is for is kept in a tag, because the value is never read here; another user gets another
//! password.
//! # Sources
//! Handbook aws.md §8.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::types::Tag;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, Condition, DataEffect, Effect, Guard, Kind, Mark, MarkSeen,
    Next, Proposed, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

/// The kind.
pub struct Secret {
    secrets: aws_sdk_secretsmanager::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The secret's name.
    pub name: String,
    /// The database user.
    pub username: String,
    /// What it is for.
    pub description: String,
    /// A key id, ARN or alias; AWS's own key if none.
    pub kms_key: Option<String>,
    /// True for a secret that the user has already: it is looked up and never changed.
    #[serde(default)]
    pub existing: bool,
    /// A destroy leaves the secret in AWS: the database whose user it is for is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    name: String,
    arn: String,
    description: String,
    kms_key: Option<String>,
    /// It is scheduled for deletion.
    deleted: bool,
    /// Only looked up.
    existing: bool,
    tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The name, for placeholders.
    pub secret_name: String,
    /// The ARN, for policies.
    pub secret_arn: String,
    /// The key that it is encrypted with; empty for AWS's own.
    pub kms_key: String,
}

/// A changing request. None holds a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateSecret`, with a new password.
    Create {
        /// Name.
        name: String,
        /// User.
        username: String,
        /// Description.
        description: String,
        /// Key.
        kms_key: Option<String>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `RestoreSecret`
    Restore {
        /// Name.
        name: String,
    },
    /// `UpdateSecret`, without a value.
    Update {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// Key.
        kms_key: Option<String>,
    },
    /// `PutSecretValue`, with a new password.
    Put {
        /// Name.
        name: String,
        /// User.
        username: String,
    },
    /// `TagResource`
    SetTags {
        /// Name.
        name: String,
        /// Tags.
        tags: Tags,
    },
    /// `UntagResource`
    RemoveTags {
        /// Name.
        name: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// `DeleteSecret`, without a recovery window.
    Delete {
        /// Name.
        name: String,
    },
}

/// Until a deleted secret's name is free.
const GONE_USUAL: Duration = Duration::from_secs(15);

impl Secret {
    /// The output with the name.
    pub const SECRET_NAME: &'static str = "secret_name";
    /// The output with the ARN.
    pub const SECRET_ARN: &'static str = "secret_arn";
    /// The output with the key.
    pub const KMS_KEY: &'static str = "kms_key";
    /// The tag that says which user's password it is.
    pub const USER_TAG: &'static str = "msk-pipeline:user";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { secrets: session.secretsmanager.clone() }
    }

    /// A new password and the user's name, as the secret's value.
    async fn value(&self, username: &str) -> Result<String, CallError> {
        let password = random_password(&self.secrets).await?;
        Ok(serde_json::json!({ "username": username, "password": password }).to_string())
    }
}

/// A password that Secrets Manager draws, of letters and digits: nothing that config files or shells treat specially.
pub(crate) async fn random_password(
    secrets: &aws_sdk_secretsmanager::Client,
) -> Result<String, CallError> {
    const OP: &str = "secretsmanager:GetRandomPassword";
    let request = secrets.get_random_password().password_length(32).exclude_punctuation(true);
    let answer = request.require_each_included_type(true).send().await;
    let answer = answer.map_err(|e| classify(OP, e))?;
    let password = answer.random_password().map(str::to_owned);
    password.ok_or_else(|| CallError::new(Class::Unknown, OP, "the answer has no password"))
}

/// A token for a request: the same for the same call, so that a repeated request is one request and no randomness of the SDK's is
/// used.
pub(crate) fn token(parts: &[&str]) -> String {
    let text = parts.join("\n");
    format!("{}{}{}", super::short_hash(&text), super::short_hash(&format!("2{text}")), "00000000")
}

/// A name that is not free yet is told as an invalid request ("scheduled for deletion").
fn not_yet(error: CallError) -> CallError {
    let early = error.code.as_deref() == Some("InvalidRequestException")
        && error.message.contains("deletion");
    if early { CallError { class: Class::NotYet, ..error } } else { error }
}

#[async_trait]
impl Kind for Secret {
    const TYPE: &'static str = "aws.secretsmanager.secret";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let answer = self
            .secrets
            .describe_secret()
            .secret_id(&target.props.name)
            .send()
            .await
            .map_err(|e| classify("secretsmanager:DescribeSecret", e));
        let Some(secret) = absent(answer)? else { return Ok(None) };
        Ok(Some(Seen {
            name: target.props.name.clone(),
            arn: secret.arn().unwrap_or_default().to_owned(),
            description: secret.description().unwrap_or_default().to_owned(),
            kms_key: secret.kms_key_id().map(str::to_owned),
            deleted: secret.deleted_date().is_some(),
            existing: target.props.existing,
            tags: from_secret(secret.tags()),
        }))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        if seen.existing { MarkSeen::ReadOnly } else { Mark::seen_in_tags(&seen.tags) }
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(if seen.deleted { Status::new("scheduled for deletion") } else { Status::exists() })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => delete(case, seen),
            (Some(want), seen) if want.existing => look_up(want, seen.as_ref()),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => update(want, seen, case),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        let secrets = &self.secrets;
        match call {
            Call::Create { name, username, description, kms_key, tags } => {
                let value = self.value(username).await?;
                let lineage = tags.get(Mark::LINEAGE).map(String::as_str).unwrap_or_default();
                secrets
                    .create_secret()
                    .name(name)
                    .description(description)
                    .set_kms_key_id(kms_key.clone())
                    .client_request_token(token(&["create", name, lineage]))
                    .secret_string(value)
                    .set_tags(Some(to_secret(tags)))
                    .send()
                    .await
                    .map_err(|e| not_yet(classify("secretsmanager:CreateSecret", e)))?;
            }
            Call::Restore { name } => {
                secrets
                    .restore_secret()
                    .secret_id(name)
                    .send()
                    .await
                    .map_err(|e| classify("secretsmanager:RestoreSecret", e))?;
            }
            Call::Update { name, description, kms_key } => {
                secrets
                    .update_secret()
                    .secret_id(name)
                    .description(description)
                    .set_kms_key_id(kms_key.clone())
                    .client_request_token(token(&["update", name]))
                    .send()
                    .await
                    .map_err(|e| classify("secretsmanager:UpdateSecret", e))?;
            }
            Call::Put { name, username } => {
                let value = self.value(username).await?;
                // The token names the version, and a version's value can't be changed: another one for each password.
                secrets
                    .put_secret_value()
                    .secret_id(name)
                    .client_request_token(token(&["put", name, &value]))
                    .secret_string(value)
                    .send()
                    .await
                    .map_err(|e| classify("secretsmanager:PutSecretValue", e))?;
            }
            Call::SetTags { name, tags } => {
                secrets
                    .tag_resource()
                    .secret_id(name)
                    .set_tags(Some(to_secret(tags)))
                    .send()
                    .await
                    .map_err(|e| classify("secretsmanager:TagResource", e))?;
            }
            Call::RemoveTags { name, keys } => {
                secrets
                    .untag_resource()
                    .secret_id(name)
                    .set_tag_keys(Some(keys.clone()))
                    .send()
                    .await
                    .map_err(|e| classify("secretsmanager:UntagResource", e))?;
            }
            Call::Delete { name } => {
                secrets
                    .delete_secret()
                    .secret_id(name)
                    .force_delete_without_recovery(true)
                    .send()
                    .await
                    .map_err(|e| classify("secretsmanager:DeleteSecret", e))?;
            }
        }
        Ok(Sent::default())
    }
}

fn outputs(want: &Props, seen: &Seen) -> Outputs {
    Outputs {
        secret_name: want.name.clone(),
        secret_arn: seen.arn.clone(),
        kms_key: seen.kms_key.clone().unwrap_or_default(),
    }
}

fn look_up(want: &Props, seen: Option<&Seen>) -> Next<Call, Outputs> {
    let name = &want.name;
    match seen {
        None => Next::Refuse {
            because: format!("there is no secret `{name}` in this account and region"),
            help: "create it with a JSON value {\"username\": …, \"password\": …}, or remove `capture.secret` to have one created"
                .into(),
        },
        Some(seen) if seen.deleted => Next::Refuse {
            because: format!("the secret `{name}` is scheduled for deletion"),
            help: format!("restore it: `aws secretsmanager restore-secret --secret-id {name}`"),
        },
        Some(seen) => Next::Converged(outputs(want, seen)),
    }
}

/// All tags that the secret must have: the user's, the mark, and whose password it is.
fn tags(want: &Props, mark: &Mark) -> Tags {
    let mut tags = marked(&want.tags, mark);
    tags.insert(Secret::USER_TAG.into(), want.username.clone());
    tags
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        username: want.username.clone(),
        description: want.description.clone(),
        kms_key: want.kms_key.clone(),
        tags: tags(want, mark),
    };
    Proposed::new("secretsmanager:CreateSecret", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("username", None::<()>, Some(&want.username)),
        ])
        .may_change(&[Secret::SECRET_NAME, Secret::SECRET_ARN, Secret::KMS_KEY])
}

fn update(want: &Props, seen: &Seen, case: &Case<Secret>) -> Next<Call, Outputs> {
    let name = || want.name.clone();
    let mut calls = Vec::new();
    if seen.deleted {
        let call = Call::Restore { name: name() };
        calls.push(
            Proposed::new("secretsmanager:RestoreSecret", Effect::Update, call)
                .fields([Change::new("deletion", Some("scheduled"), None::<()>)]),
        );
    }
    let other_key = match (&want.kms_key, &seen.kms_key) {
        (Some(wanted), seen) => seen.as_ref() != Some(wanted),
        // Without a key in the request the present one stays; AWS's own has to be named.
        (None, Some(seen)) => !seen.ends_with("alias/aws/secretsmanager"),
        (None, None) => false,
    };
    if other_key || want.description != seen.description {
        let aws = || "alias/aws/secretsmanager".to_owned();
        let kms_key = other_key.then(|| want.kms_key.clone().unwrap_or_else(aws));
        let mut fields = Vec::new();
        if other_key {
            fields.push(Change::new("kms_key", seen.kms_key.as_ref(), want.kms_key.as_ref()));
        }
        if want.description != seen.description {
            let (from, to) = (&seen.description, &want.description);
            fields.push(Change::new("description", Some(from), Some(to)));
        }
        let call = Call::Update { name: name(), description: want.description.clone(), kms_key };
        calls.push(
            Proposed::new("secretsmanager:UpdateSecret", Effect::Update, call)
                .fields(fields)
                .may_change(&[Secret::KMS_KEY]),
        );
    }
    // The tag is set last: until it shows the new user, the value is written again.
    let wanted = tags(want, &case.mark);
    let user = seen.tags.get(Secret::USER_TAG);
    let put = case.pursuit.as_ref().is_some_and(|p| {
        p.sent.is_some()
            && matches!(&p.call, Call::Put { username, .. } if *username == want.username)
    });
    if user != Some(&want.username) && !put {
        let call = Call::Put { name: name(), username: want.username.clone() };
        let what = "connectors can't log in until the new user exists with the new password";
        calls.push(
            Proposed::new("secretsmanager:PutSecretValue", Effect::Update, call)
                .fields([Change::new("username", user, Some(&want.username))])
                .data(DataEffect::new(Verdict::Restart, what)),
        );
    }
    let diff = TagDiff::between(&seen.tags, &wanted);
    if !diff.set.is_empty() {
        let call = Call::SetTags { name: name(), tags: diff.set.clone() };
        calls.push(
            Proposed::new("secretsmanager:TagResource", Effect::Update, call)
                .fields(diff.set_fields(&seen.tags)),
        );
    }
    if !diff.remove.is_empty() {
        let keys = diff.remove.iter().cloned().collect();
        let call = Call::RemoveTags { name: name(), keys };
        calls.push(
            Proposed::new("secretsmanager:UntagResource", Effect::Update, call)
                .fields(diff.remove_fields(&seen.tags)),
        );
    }
    if calls.is_empty() {
        return Next::Converged(outputs(want, seen));
    }
    Next::Calls(calls)
}

fn delete(case: &Case<Secret>, seen: &Seen) -> Next<Call, Outputs> {
    if seen.existing {
        return Next::Gone;
    }
    if case.was.as_ref().is_some_and(|was| was.props.keep) {
        return Next::Kept;
    }
    let ours = case.pursuit.as_ref().is_some_and(|p| matches!(p.call, Call::Delete { .. }));
    if seen.deleted && ours {
        let condition = Condition::new("secret gone", "being deleted", GONE_USUAL);
        return Next::Wait { condition, then: Vec::new() };
    }
    let call = Call::Delete { name: seen.name.clone() };
    Next::Calls(vec![
        Proposed::new("secretsmanager:DeleteSecret", Effect::Delete, call).usual(GONE_USUAL),
    ])
}

fn to_secret(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

pub(crate) fn from_secret(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|t| Some((t.key()?.to_owned(), t.value().unwrap_or_default().to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{case, deletion, kind, mark, ops};

    fn want() -> Props {
        Props {
            name: "orders/main/capture".into(),
            username: "debezium".into(),
            description: "d".into(),
            kms_key: None,
            existing: false,
            keep: false,
            tags: Tags::new(),
        }
    }

    fn seen() -> Seen {
        Seen {
            name: "orders/main/capture".into(),
            arn: "arn".into(),
            description: "d".into(),
            kms_key: None,
            deleted: false,
            existing: false,
            tags: tags(&want(), &mark()),
        }
    }

    #[track_caller]
    fn check(want: Props, seen: Option<Seen>, expected: &str) {
        assert_eq!(ops(&kind(Secret::new).calls(&case(Some(want), seen))), expected);
    }

    #[test]
    fn every_difference_has_its_call() {
        check(want(), None, "CreateSecret");
        check(want(), Some(seen()), "converged");
        check(want(), Some(Seen { deleted: true, ..seen() }), "RestoreSecret");
        check(Props { kms_key: Some("k".into()), ..want() }, Some(seen()), "UpdateSecret");
        check(want(), Some(Seen { kms_key: Some("k".into()), ..seen() }), "UpdateSecret");
        check(
            Props { username: "other".into(), ..want() },
            Some(seen()),
            "PutSecretValue restart, TagResource",
        );
        let tags = Tags::from([("Team".into(), "data".into())]);
        check(Props { tags, ..want() }, Some(seen()), "TagResource");
    }

    #[test]
    fn a_secret_of_the_user_is_only_looked_up() {
        let own = || Props { existing: true, ..want() };
        let found = || Seen { existing: true, tags: Tags::new(), ..seen() };
        check(own(), None, "refuse");
        check(own(), Some(found()), "converged");
        check(own(), Some(Seen { deleted: true, ..found() }), "refuse");
        let kind = kind(Secret::new);
        let outputs = outputs(&own(), &found());
        assert_eq!(
            ops(&kind.calls(&deletion::<Secret>(own(), outputs.clone(), Some(found())))),
            "gone"
        );
        assert_eq!(
            ops(&kind.calls(&deletion::<Secret>(want(), outputs, Some(seen())))),
            "DeleteSecret"
        );
    }

    #[test]
    fn tokens_fit_and_follow_from_the_call() {
        assert_eq!(token(&["create", "n", "l"]).len(), 32);
        assert_eq!(token(&["create", "n", "l"]), token(&["create", "n", "l"]));
        assert_ne!(token(&["create", "n", "l"]), token(&["create", "m", "l"]));
    }
}
