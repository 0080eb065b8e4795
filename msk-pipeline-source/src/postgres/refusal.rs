//! What a refusal of `PostgreSQL` means. Codes: `PostgreSQL` 16, appendix 'Error Codes'.

use msk_pipeline_core::kind::Class;

/// Of tables that the master user doesn't own.
const OWNER: &str = "the master user has to be the owner, or a member of the owner's role: GRANT <owner> TO <master user>";
/// Of captured tables.
const MISSING: &str = "create it (it is waited for during some minutes, and the next apply goes on), or take it out of `tables`";

/// What a refusal means for the next move, and what to do about it where the server's own words don't say.
pub(crate) fn class(op: &str, code: &str) -> (Class, Option<&'static str>) {
    let on_captured = ["database:Grant", "database:CreatePublication", "database:AddTables"];
    let class = match code {
        // Tables and schemas of others come when their application comes.
        "42P01" | "3F000" if on_captured.contains(&op) => return (Class::NotYet, Some(MISSING)),
        "42501" if op != "database:CreateSlot" => return (Class::Denied, Some(OWNER)),
        "42501" => {
            return (Class::Denied, Some("the master user needs the role `rds_replication`"));
        }
        // A role, publication or slot; a schema; a table; a row.
        "42710" | "42P06" | "42P07" | "23505" => Class::AlreadyExists,
        "42704" | "3F000" | "42P01" => Class::NotFound,
        // A statement or a lock that took too long: a slot waits for the end of all transactions that run when it is made.
        "57014" if op == "database:CreateSlot" => {
            return (
                Class::Conflict,
                Some(
                    "a slot waits for every transaction that is open: end the long ones (pg_stat_activity, pg_prepared_xacts)",
                ),
            );
        }
        // The same of other requests; a slot that somebody reads from; too many connections; a server that is shut down, starts, or has become a reader.
        "57014" | "55P03" | "40001" | "40P01" | "55006" | "53300" | "57P01" | "57P02" | "57P03"
        | "25006" => Class::Conflict,
        "53400" => {
            return (Class::Quota, Some("raise `max_replication_slots` in `parameters`"));
        }
        // A schema or a role on which something depends still.
        "2BP01" if op == "database:DropSchema" => Class::Conflict,
        "2BP01" => {
            return (
                Class::Invalid,
                Some("take from it what it owns or may do elsewhere, then go on"),
            );
        }
        _ => Class::Invalid,
    };
    (class, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_class() {
        for (op, code, expected) in [
            ("database:CreateUser", "42710", Class::AlreadyExists),
            ("database:CreateSlot", "42710", Class::AlreadyExists),
            ("database:DropUser", "42704", Class::NotFound),
            ("database:DropTable", "42P01", Class::NotFound),
            ("database:Grant", "42P01", Class::NotYet),
            ("database:AddTables", "3F000", Class::NotYet),
            ("database:InsertRow", "23505", Class::AlreadyExists),
            ("database:CreatePublication", "42501", Class::Denied),
            ("database:DropSlot", "55006", Class::Conflict),
            ("database:CreateSlot", "57014", Class::Conflict),
            ("database:CreateSlot", "53400", Class::Quota),
            ("database:DropSchema", "2BP01", Class::Conflict),
            ("database:DropUser", "2BP01", Class::Invalid),
            ("database:Grant", "42601", Class::Invalid),
        ] {
            assert_eq!(class(op, code).0, expected, "{op} {code}");
        }
        let (_, help) = class("database:CreatePublication", "42501");
        assert!(help.unwrap_or_default().contains("GRANT <owner>"));
    }
}
