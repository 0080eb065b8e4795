//! `database.capture-user`: the user that connectors read with, and what it may do.
//!
//! # Guarantees
//! It has the privileges that are wanted and no others: what somebody added is taken away, and the plan shows it. Its password is that of
//! its secret: whether it is, is told by logging in with it, so that a secret with a new value is seen and nothing of a password is kept.
//! # Caveats
//! * On MySQL the mark is the user's attribute, in the statement that creates it. MariaDB has none: there a user is ours if state recorded it,
//!   or if our own create was begun before it was seen.
//! * Of PostgreSQL the mark is the role's comment, made in one transaction with it. What is granted in other databases of the cluster, and attributes
//!   such as SUPERUSER, are not looked at. A role is dropped once what was granted in this database is taken back; one that owns something, or may
//!   do something in another database, is refused by the server, which names it.
//! * A request is one grant on one object, so that a run that dies leaves a user that the next one completes.
//! # Sources
//! Privileges: handbook aws.md §4.9, §4.10, msk.md §8. Attributes: page 'CREATE USER Statement', MySQL 8.0 (from 8.0.21 on).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Change as Field, Class, DataEffect, Effect, Guard, Input, Kind, Mark,
    MarkSeen, Next, Proposed, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use super::{Call, Seen, made_by_another, observe, obstacle, perform, proposed};
use crate::catalogue::{Catalogue, Look, Privileges, User as Found};
use crate::change::Change;
use crate::place::{Engine, Place};

/// The kind.
pub struct User {
    catalogue: Arc<dyn Catalogue>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// Where it is.
    #[serde(flatten)]
    pub at: Place,
    /// An output of the cluster: while it isn't known, the cluster is still to be made, or made anew, and nothing is in it.
    pub server: Input<String>,
    /// The user; of MySQL its host is `%`.
    pub name: String,
    /// The name of the secret with its password.
    pub secret: String,
    /// What it may do, and nothing else.
    pub privileges: Privileges,
    /// It goes with its cluster when that is deleted.
    #[serde(default)]
    pub with_server: bool,
}

/// A user that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct There {
    #[serde(flatten)]
    user: Found,
    /// Recorded, or seen after our own create was begun.
    ours: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The user.
    pub user: String,
}

impl User {
    /// The kind on databases.
    pub fn new(catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue }
    }
}

#[async_trait]
impl Kind for User {
    const TYPE: &'static str = "database.capture-user";
    type Props = Props;
    type Seen = Seen<There>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        format!("{}/{}", props.at.cluster, props.name)
    }

    fn visibility() -> Duration {
        // The writer shows what it has committed.
        Duration::ZERO
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError> {
        let Props { at, server, name, secret, .. } = &target.props;
        let ours = target.is_recorded();
        let seen = observe(target, server, self.catalogue.user(at, name, secret)).await?;
        Ok(seen.map(|seen| seen.map(|user| There { user, ours })))
    }

    fn mark(seen: &Self::Seen) -> MarkSeen {
        match seen {
            Seen::There(There { user: Found { attribute: Some(tags), .. }, .. }) => {
                Mark::seen_in_tags(tags)
            }
            Seen::There(There { ours: false, .. }) => MarkSeen::Absent,
            _ => MarkSeen::ByParent,
        }
    }

    fn status(seen: &Self::Seen) -> Option<Status> {
        Some(match seen {
            Seen::There(there) if !there.user.logs_in => {
                Status::new("locked out").says(Some("its password is not that of its secret"))
            }
            seen => seen.status(),
        })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let with_server = case.was.as_ref().is_some_and(|was| was.props.with_server);
        if let Some(next) = obstacle(case, with_server) {
            return next;
        }
        match (&case.want, &case.seen) {
            (None, Some(seen)) => match &case.was {
                Some(was) => Next::Calls(remove(&was.props, seen)),
                None => Next::Gone,
            },
            (None, None) => Next::Gone,
            (Some(want), Some(Seen::There(there))) => update(want, &there.user, &case.mark),
            (Some(want), _) => Next::Calls(create(want, &case.mark)),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        let done = perform(&self.catalogue, call).await;
        let (Err(error), Change::CreateUser { name, secret, .. }) = (&done, &call.change) else {
            return done;
        };
        if error.class != Class::AlreadyExists {
            return done;
        }
        // A mark tells whose it is; without one it can only be somebody else's.
        match self.catalogue.user(&call.at, name, secret).await? {
            Look::Found(Found { attribute: Some(_), .. }) => done,
            _ => done.map_err(made_by_another),
        }
    }
}

fn create(want: &Props, mark: &Mark) -> Vec<Proposed<Call>> {
    let change = Change::CreateUser {
        name: want.name.clone(),
        secret: want.secret.clone(),
        attribute: mark.tags(),
    };
    let create = proposed(&want.at, Effect::Create, change)
        .fields([
            Field::new("user", None::<()>, Some(&want.name)),
            Field::new("secret", None::<()>, Some(&want.secret)),
        ])
        .may_change(&["user"]);
    std::iter::once(create).chain(grants(want, &Privileges::new())).collect()
}

fn update(want: &Props, user: &Found, mark: &Mark) -> Next<Call, Outputs> {
    let mut calls = Vec::new();
    let lineage = |tags: &BTreeMap<String, String>| tags.get(Mark::LINEAGE).cloned();
    if let Some(from) = user.attribute.as_ref().map(lineage)
        && from.as_ref() != Some(&mark.lineage)
    {
        let change = Change::MarkUser { name: want.name.clone(), attribute: mark.tags() };
        calls.push(proposed(&want.at, Effect::Update, change).fields([Field::new(
            "attribute",
            from,
            Some(&mark.lineage),
        )]));
    }
    if !user.logs_in {
        let change = Change::SetPassword { name: want.name.clone(), secret: want.secret.clone() };
        let (from, to) = ("another", format!("as in the secret {}", want.secret));
        let effect = DataEffect::new(
            Verdict::Restart,
            "connectors that hold the former password connect again with the secret's",
        );
        calls.push(
            proposed(&want.at, Effect::Update, change)
                .fields([Field::new("password", Some(from), Some(to))])
                .data(effect),
        );
    }
    // Taken before given: ALL PRIVILEGES would take what is given.
    calls.extend(revokes(want, &user.privileges));
    calls.extend(grants(want, &user.privileges));
    if calls.is_empty() {
        return Next::Converged(Outputs { user: want.name.clone() });
    }
    Next::Calls(calls)
}

/// What `all` has and `but` lacks.
fn without(all: &Privileges, but: &Privileges) -> Privileges {
    let none = std::collections::BTreeSet::new();
    let rest = all.iter().map(|(on, privileges)| {
        let others = but.get(on).unwrap_or(&none);
        (on.clone(), privileges.difference(others).cloned().collect())
    });
    rest.filter(|(_, privileges): &(_, std::collections::BTreeSet<String>)| !privileges.is_empty())
        .collect()
}

fn grants(want: &Props, has: &Privileges) -> Vec<Proposed<Call>> {
    // After ALL PRIVILEGES was taken nothing is left.
    let mut has = has.clone();
    has.retain(|_, privileges| !privileges.contains(ALL));
    let missing = without(&want.privileges, &has).into_iter();
    missing
        .map(|(on, privileges)| {
            let fields: Vec<_> = privileges
                .iter()
                .map(|p| Field::new(format!("privileges.{on}"), None::<()>, Some(p)))
                .collect();
            let change = Change::Grant { name: want.name.clone(), on, privileges };
            proposed(&want.at, Effect::Update, change).fields(fields)
        })
        .collect()
}

const ALL: &str = "ALL PRIVILEGES";

fn revokes(want: &Props, has: &Privileges) -> Vec<Proposed<Call>> {
    let extra = without(has, &want.privileges).into_iter();
    extra
        .map(|(on, privileges)| {
            let fields: Vec<_> = privileges
                .iter()
                .map(|p| Field::new(format!("privileges.{on}"), Some(p), None::<()>))
                .collect();
            let change = Change::Revoke { name: want.name.clone(), on, privileges };
            proposed(&want.at, Effect::Update, change).fields(fields)
        })
        .collect()
}

/// What takes a user away. PostgreSQL drops no role that may still do something.
fn remove(was: &Props, seen: &Seen<There>) -> Vec<Proposed<Call>> {
    let mut calls = Vec::new();
    if let (Engine::Postgres, Seen::There(there)) = (was.at.engine(), seen) {
        let nothing = Props { privileges: Privileges::new(), ..was.clone() };
        calls.extend(revokes(&nothing, &there.user.privileges));
    }
    calls.push(drop_user(was));
    calls
}

fn drop_user(was: &Props) -> Proposed<Call> {
    let effect = DataEffect::new(
        Verdict::Restart,
        format!("whoever connects as `{}` is shut out", was.name),
    );
    proposed(&was.at, Effect::Delete, Change::DropUser { name: was.name.clone() }).data(effect)
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::Recorded;

    use super::*;
    use crate::catalogue::Nowhere;
    use crate::kinds::testing::{case, mark, ops, privileges};

    fn want() -> Props {
        Props {
            at: Place::mysql("orders"),
            server: "arn".into(),
            name: "debezium".into(),
            secret: "s".into(),
            privileges: privileges(&[("*.*", "REPLICATION SLAVE"), ("shop.*", "SELECT")]),
            with_server: false,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `case` takes")]
    fn found(change: impl FnOnce(&mut Found)) -> Option<Seen<There>> {
        let mut user =
            Found { logs_in: true, attribute: Some(mark().tags()), privileges: want().privileges };
        change(&mut user);
        Some(Seen::There(There { user, ours: true }))
    }

    #[track_caller]
    fn check(want: Option<Props>, seen: Option<Seen<There>>, expected: &str) {
        let kind = User::new(Arc::new(Nowhere));
        assert_eq!(ops(&kind.calls(&case(want, seen))), expected);
    }

    #[test]
    fn every_difference_has_its_statement() {
        check(Some(want()), None, "CreateUser, Grant, Grant");
        check(Some(want()), found(|_| ()), "converged");
        check(Some(want()), found(|u| u.logs_in = false), "SetPassword restart");
        check(Some(want()), found(|u| drop(u.privileges.remove("shop.*"))), "Grant");
        let more = |on: &'static str, what: &'static str| {
            found(move |u| {
                u.privileges.entry(on.into()).or_default().insert(what.into());
            })
        };
        check(Some(want()), more("*.*", "SUPER"), "Revoke");
        check(Some(want()), more("hr.*", "SELECT"), "Revoke");
        check(Some(want()), more("*.*", "ALL PRIVILEGES"), "Revoke, Grant");
        // One that is taken over.
        check(Some(want()), found(|u| u.attribute = Some([].into())), "MarkUser");
    }

    #[test]
    fn it_is_dropped_if_it_is_there() {
        let kind = User::new(Arc::new(Nowhere));
        let deletion = |seen, props: Props| {
            let outputs = Some(Outputs { user: "debezium".into() });
            let was = Some(Recorded { props, outputs });
            ops(&kind.calls(&Case { was, ..case(None, seen) }))
        };
        assert_eq!(deletion(found(|_| ()), want()), "DropUser restart");
        assert_eq!(deletion(None, want()), "gone");
        let postgres = Props { at: Place::postgres("orders", "shop"), ..want() };
        assert_eq!(deletion(found(|_| ()), postgres), "Revoke, Revoke, DropUser restart");
        let away =
            || Some(Seen::Unreached(crate::Unreached { what: "w".into(), open: "o".into() }));
        assert_eq!(deletion(away(), want()), "refuse");
        assert_eq!(deletion(away(), Props { with_server: true, ..want() }), "kept");
        check(Some(want()), away(), "refuse");
    }

    #[test]
    fn whose_it_is_says_its_attribute_or_where_there_are_none_the_record() {
        let seen = |attribute, ours| {
            Seen::There(There { user: Found { attribute, ..Found::default() }, ours })
        };
        let ours = MarkSeen::Lineage { lineage: "l1".into(), pipeline: "orders".into() };
        assert_eq!(User::mark(&seen(Some(mark().tags()), false)), ours);
        assert_eq!(User::mark(&seen(Some([].into()), true)), MarkSeen::Absent);
        assert_eq!(User::mark(&seen(None, true)), MarkSeen::ByParent);
        assert_eq!(User::mark(&seen(None, false)), MarkSeen::Absent);
    }
}
