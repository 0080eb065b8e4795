//! What SHOW GRANTS says: which privileges a MySQL or MariaDB user has, everywhere and by schema.

use std::collections::{BTreeMap, BTreeSet};

/// The privileges of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// On `*.*`.
    everywhere: BTreeSet<String>,
    /// On a schema (a pattern with `%` and `_`).
    schemas: BTreeMap<String, BTreeSet<String>>,
    /// On one table, as `schema.table`.
    tables: BTreeMap<String, BTreeSet<String>>,
}

/// Privileges by another name: MariaDB 10.5 split and renamed them.
const SYNONYMS: &[(&str, &str)] = &[
    ("BINLOG MONITOR", "REPLICATION CLIENT"),
    ("REPLICATION REPLICA", "REPLICATION SLAVE"),
    ("LOCK TABLE", "LOCK TABLES"),
];

impl Grants {
    /// Reads the rows of SHOW GRANTS. What isn't a grant of privileges (roles, proxies) is passed over.
    pub fn parse<'a>(rows: impl IntoIterator<Item = &'a str>) -> Self {
        let mut grants = Self::default();
        for row in rows {
            grants.row(row.trim());
        }
        grants
    }

    fn row(&mut self, row: &str) {
        let Some(rest) = row.strip_prefix("GRANT ") else { return };
        let Some((privileges, rest)) = split_unquoted(rest, " ON ") else { return };
        let Some((object, _)) = split_unquoted(rest, " TO ") else { return };
        let object = object.strip_prefix("TABLE ").unwrap_or(object);
        let privileges = list(privileges);
        match parts(object) {
            Some((schema, _)) if schema == "*" => self.everywhere.extend(privileges),
            Some((schema, table)) if table == "*" => {
                self.schemas.entry(schema).or_default().extend(privileges);
            }
            Some((schema, table)) => {
                self.tables.entry(format!("{schema}.{table}")).or_default().extend(privileges);
            }
            None => {}
        }
    }

    /// Every privilege by what it is on: `*.*`, `shop.*`, `shop.orders`. A schema's name is told without the escapes of its pattern.
    pub fn by_object(&self) -> BTreeMap<String, BTreeSet<String>> {
        let everywhere = ("*.*".to_owned(), self.everywhere.clone());
        let plain = |pattern: &str| pattern.replace("\\_", "_").replace("\\%", "%");
        let schemas = self.schemas.iter().map(|(s, p)| (format!("{}.*", plain(s)), p.clone()));
        let tables = self.tables.iter().map(|(table, p)| (table.clone(), p.clone()));
        let mut all: BTreeMap<_, BTreeSet<String>> =
            std::iter::once(everywhere).chain(schemas).chain(tables).collect();
        for privileges in all.values_mut() {
            privileges.remove("USAGE");
        }
        all.retain(|_, privileges| !privileges.is_empty());
        all
    }

    /// True if the user has the privilege on everything.
    pub fn has(&self, privilege: &str) -> bool {
        contains(&self.everywhere, privilege)
    }

    /// True if the user has the privilege on every table of a schema.
    pub fn has_on(&self, privilege: &str, schema: &str) -> bool {
        let on = |(pattern, privileges): (&String, &BTreeSet<String>)| {
            like(pattern, schema) && contains(privileges, privilege)
        };
        self.has(privilege) || self.schemas.iter().any(on)
    }

    /// True if the user has the privilege on one table.
    pub fn has_on_table(&self, privilege: &str, schema: &str, table: &str) -> bool {
        let on = self.tables.get(&format!("{schema}.{table}"));
        self.has_on(privilege, schema)
            || on.is_some_and(|privileges| contains(privileges, privilege))
    }
}

fn contains(privileges: &BTreeSet<String>, privilege: &str) -> bool {
    privileges.contains(privilege)
        || privileges.contains("ALL PRIVILEGES")
        || privileges.contains("ALL")
}

/// Privileges between commas; one on columns only (`SELECT (a, b)`) is none on the table.
fn list(text: &str) -> Vec<String> {
    let mut depth = 0;
    let split = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    };
    let names = text.split(split).map(str::trim).filter(|name| !name.contains('('));
    names
        .map(|name| {
            SYNONYMS
                .iter()
                .find(|(other, _)| *other == name)
                .map_or(name, |(_, known)| known)
                .to_owned()
        })
        .collect()
}

/// `schema`.`table` without its quotes.
fn parts(object: &str) -> Option<(String, String)> {
    let (schema, table) = split_unquoted(object.trim(), ".")?;
    let plain = |name: &str| name.trim_matches('`').replace("``", "`");
    Some((plain(schema), plain(table)))
}

/// Splits at the first separator that isn't between backticks.
fn split_unquoted<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        quoted ^= c == '`';
        if !quoted && text[at..].starts_with(separator) {
            return Some((&text[..at], &text[at + separator.len()..]));
        }
    }
    None
}

/// A pattern of a grant: `%` is anything, `_` one character, `\` makes the next one literal.
fn like(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('%') => name
            .char_indices()
            .map(|(at, _)| at)
            .chain([name.len()])
            .any(|at| like(rest.as_str(), &name[at..])),
        Some(c) => {
            let literal = if c == '\\' { rest.next().unwrap_or('\\') } else { c };
            let mut others = name.chars();
            let fits = others.next().is_some_and(|other| other == literal || c == '_');
            fits && like(rest.as_str(), others.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_hold_everywhere_on_a_schema_or_on_a_table() {
        let grants = Grants::parse([
            "GRANT SELECT, RELOAD, REPLICATION SLAVE ON *.* TO `cdc`@`%`",
            "GRANT INSERT, DELETE ON `cdc`.`signal` TO `cdc`@`%`",
            "GRANT ALL PRIVILEGES ON `shop\\_%`.* TO `cdc`@`%` WITH GRANT OPTION",
            "GRANT UPDATE (`a`, `b`), CREATE ON `odd`` ON x`.`t` TO `cdc`@`%`",
        ]);
        assert!(
            grants.has("SELECT")
                && grants.has("REPLICATION SLAVE")
                && !grants.has("REPLICATION CLIENT")
        );
        assert!(grants.has_on("SELECT", "any"));
        assert!(grants.has_on("INSERT", "shop_eu") && !grants.has_on("INSERT", "shopXeu"));
        assert!(grants.has_on_table("INSERT", "cdc", "signal") && !grants.has_on("INSERT", "cdc"));
        assert!(
            grants.has_on_table("CREATE", "odd` ON x", "t")
                && !grants.has_on_table("UPDATE", "odd` ON x", "t")
        );
    }

    #[test]
    fn privileges_are_told_by_what_they_are_on() {
        let grants = Grants::parse([
            "GRANT USAGE ON *.* TO `cdc`@`%`",
            "GRANT SELECT ON `my\\_shop`.* TO `cdc`@`%`",
            "GRANT INSERT, DELETE ON `cdc`.`signal` TO `cdc`@`%`",
        ]);
        let told: Vec<_> = grants
            .by_object()
            .into_iter()
            .map(|(on, list)| format!("{on}: {}", list.into_iter().collect::<Vec<_>>().join(" ")))
            .collect();
        assert_eq!(told, ["cdc.signal: DELETE INSERT", "my_shop.*: SELECT"]);
    }

    #[test]
    fn mariadb_says_it_otherwise() {
        let row = "GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `cdc`@`%` IDENTIFIED BY PASSWORD '*AB'";
        assert!(Grants::parse([row]).has("REPLICATION CLIENT"));
    }

    #[test]
    fn roles_and_usage_are_no_privileges() {
        let grants = Grants::parse([
            "GRANT USAGE ON *.* TO `cdc`@`%`",
            "GRANT `reader`@`%` TO `cdc`@`%`",
            "nonsense",
        ]);
        assert!(!grants.has("SELECT") && !grants.has_on("SELECT", "shop"));
    }

    #[test]
    fn patterns_are_those_of_like() {
        assert!(like("%", "") && like("a%c", "abbc") && like("a_c", "abc") && like("a\\_c", "a_c"));
        assert!(!like("a\\_c", "abc") && !like("a", "ab") && !like("", "a"));
    }
}
