//! What a refusal of `MySQL` means. Codes: page 'Server Error Message Reference', `MySQL` 8.0.

use msk_pipeline_core::kind::Class;

/// What a refusal means for the next move.
pub(crate) fn class(op: &str, code: &str) -> Class {
    let creates = op.starts_with("database:Create");
    match code.parse() {
        // A user that exists, or doesn't: the server has one code for both.
        Ok(1396) if creates => Class::AlreadyExists,
        Ok(1007 | 1050 | 1062) => Class::AlreadyExists,
        Ok(1008 | 1049 | 1051 | 1141 | 1146 | 1147 | 1396 | 1410) => Class::NotFound,
        Ok(1044 | 1045 | 1142 | 1227 | 1370) => Class::Denied,
        // Too many connections; a lock that was waited for; a server that is being shut down, or has become a reader.
        Ok(1040 | 1053 | 1205 | 1213 | 1290 | 1836) => Class::Conflict,
        _ => Class::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_class() {
        for (op, code, expected) in [
            ("database:CreateUser", "1396", Class::AlreadyExists),
            ("database:DropUser", "1396", Class::NotFound),
            ("database:InsertRow", "1062", Class::AlreadyExists),
            ("database:DropTable", "1051", Class::NotFound),
            ("database:Grant", "1044", Class::Denied),
            ("database:Grant", "1213", Class::Conflict),
            ("database:Grant", "1064", Class::Invalid),
        ] {
            assert_eq!(class(op, code), expected, "{op} {code}");
        }
    }
}
