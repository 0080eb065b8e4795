//! Engine versions and instance classes on offer.

/// One engine version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EngineVersion {
    pub(super) engine: &'static str,
    pub(super) version: &'static str,
    pub(super) family: &'static str,
    pub(super) major: &'static str,
    /// A line with long-term support.
    pub(super) lts: bool,
    /// Past the end of standard support.
    pub(super) extended: bool,
}

const MYSQL: &str = "aurora-mysql";
const POSTGRESQL: &str = "aurora-postgresql";

const fn mysql57(version: &'static str) -> EngineVersion {
    EngineVersion {
        engine: MYSQL,
        version,
        family: "aurora-mysql5.7",
        major: "5.7",
        lts: false,
        extended: true,
    }
}

const fn mysql80(version: &'static str, lts: bool) -> EngineVersion {
    EngineVersion {
        engine: MYSQL,
        version,
        family: "aurora-mysql8.0",
        major: "8.0",
        lts,
        extended: false,
    }
}

const fn postgresql(
    version: &'static str,
    family: &'static str,
    major: &'static str,
    lts: bool,
) -> EngineVersion {
    EngineVersion { engine: POSTGRESQL, version, family, major, lts, extended: false }
}

/// What DescribeDBEngineVersions lists: Aurora MySQL from handbook aws.md §4.5, Aurora PostgreSQL a few of each line from 14 to
/// 18, as listed in aws/aws-cdk PRs 34151, 34446 and 36222 and aws/aws-cdk#38786; its lines with long-term support from
/// aws/agent-toolkit-for-aws `upgrade-planning-lts-recommendation.md`. In ascending order within an engine.
pub(super) const VERSIONS: &[EngineVersion] = &[
    mysql57("5.7.mysql_aurora.2.11.1"),
    mysql57("5.7.mysql_aurora.2.11.2"),
    mysql57("5.7.mysql_aurora.2.11.3"),
    mysql57("5.7.mysql_aurora.2.11.4"),
    mysql57("5.7.mysql_aurora.2.11.5"),
    mysql57("5.7.mysql_aurora.2.11.6"),
    mysql57("5.7.mysql_aurora.2.12.0"),
    mysql57("5.7.mysql_aurora.2.12.1"),
    mysql57("5.7.mysql_aurora.2.12.2"),
    mysql57("5.7.mysql_aurora.2.12.3"),
    mysql57("5.7.mysql_aurora.2.12.4"),
    mysql57("5.7.mysql_aurora.2.12.5"),
    mysql80("8.0.mysql_aurora.3.04.0", true),
    mysql80("8.0.mysql_aurora.3.04.1", true),
    mysql80("8.0.mysql_aurora.3.04.2", true),
    mysql80("8.0.mysql_aurora.3.04.3", true),
    mysql80("8.0.mysql_aurora.3.04.4", true),
    mysql80("8.0.mysql_aurora.3.04.6", true),
    mysql80("8.0.mysql_aurora.3.08.0", false),
    mysql80("8.0.mysql_aurora.3.08.1", false),
    mysql80("8.0.mysql_aurora.3.08.2", false),
    mysql80("8.0.mysql_aurora.3.09.0", false),
    mysql80("8.0.mysql_aurora.3.10.0", true),
    mysql80("8.0.mysql_aurora.3.10.1", true),
    mysql80("8.0.mysql_aurora.3.10.2", true),
    mysql80("8.0.mysql_aurora.3.10.3", true),
    mysql80("8.0.mysql_aurora.3.10.4", true),
    mysql80("8.0.mysql_aurora.3.11.1", false),
    mysql80("8.0.mysql_aurora.3.12.0", false),
    EngineVersion {
        engine: MYSQL,
        version: "8.4.mysql_aurora.8.4.7",
        family: "aurora-mysql8.4",
        major: "8.4",
        lts: false,
        extended: false,
    },
    postgresql("14.6", "aurora-postgresql14", "14", true),
    postgresql("14.17", "aurora-postgresql14", "14", false),
    postgresql("14.18", "aurora-postgresql14", "14", false),
    postgresql("14.19", "aurora-postgresql14", "14", false),
    postgresql("15.10", "aurora-postgresql15", "15", true),
    postgresql("15.12", "aurora-postgresql15", "15", false),
    postgresql("15.13", "aurora-postgresql15", "15", false),
    postgresql("15.14", "aurora-postgresql15", "15", false),
    postgresql("16.8", "aurora-postgresql16", "16", true),
    postgresql("16.9", "aurora-postgresql16", "16", false),
    postgresql("16.10", "aurora-postgresql16", "16", false),
    postgresql("17.4", "aurora-postgresql17", "17", false),
    postgresql("17.5", "aurora-postgresql17", "17", false),
    postgresql("17.6", "aurora-postgresql17", "17", false),
    postgresql("17.7", "aurora-postgresql17", "17", true),
    postgresql("18.4", "aurora-postgresql18", "18", false),
];

/// The version that a create without one gets (U: which it is changes over time; read it with `DefaultOnly`).
pub(super) fn default_version(engine: &str) -> Option<EngineVersion> {
    let version = match engine {
        MYSQL => "8.0.mysql_aurora.3.10.4",
        POSTGRESQL => "17.7",
        _ => return None,
    };
    find(engine, version)
}

/// The version by its string. Handbook §4.5: the documentation prints 8.4 without the prefix, so both are accepted.
pub(super) fn find(engine: &str, version: &str) -> Option<EngineVersion> {
    VERSIONS
        .iter()
        .find(|v| {
            v.engine == engine
                && (v.version == version
                    || v.major == "8.4"
                        && v.version.strip_prefix("8.4.mysql_aurora.") == Some(version))
        })
        .copied()
}

pub(super) fn engine_exists(engine: &str) -> bool {
    engine == MYSQL || engine == POSTGRESQL
}

pub(super) fn is_mysql(engine: &str) -> bool {
    engine == MYSQL
}

pub(super) fn family_exists(family: &str) -> bool {
    VERSIONS.iter().any(|v| v.family == family)
}

/// The major version as numbers that compare.
pub(super) fn major(version: &EngineVersion) -> Vec<u32> {
    numbers(version.major)
}

/// The whole version as numbers that compare.
pub(super) fn rank(version: &EngineVersion) -> Vec<u32> {
    numbers(version.version)
}

fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|p| p.parse().ok()).collect()
}

/// What a cluster of this version may be upgraded to, and whether that is a major upgrade. Aurora MySQL goes one major version
/// at a time.
pub(super) fn upgrades(from: &EngineVersion) -> Vec<(EngineVersion, bool)> {
    let next = |to: &EngineVersion| match from.major {
        "5.7" => to.major == "8.0",
        "8.0" => to.major == "8.4",
        _ => major(to) > major(from),
    };
    VERSIONS
        .iter()
        .filter(|to| to.engine == from.engine && rank(to) > rank(from))
        .filter_map(|to| {
            if to.major == from.major {
                Some((*to, false))
            } else {
                next(to).then_some((*to, true))
            }
        })
        .collect()
}

const SMALL: &[&str] = &["small", "medium"];
const BURST: &[&str] = &["medium", "large"];
const SIZES: &[&str] =
    &["large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge"];

/// The instance classes on offer for a version. Handbook §4.5: db.t2, db.t3.small, db.r3 and db.r4 do not exist for Aurora MySQL
/// 3; `db.serverless` does not exist for Aurora MySQL 2.
pub(super) fn classes(version: &EngineVersion) -> Vec<String> {
    let mut families: Vec<(&str, &[&str])> = if version.major == "5.7" {
        vec![
            ("t2", SMALL),
            ("t3", &["small", "medium", "large"]),
            ("t4g", BURST),
            ("r4", &SIZES[..4]),
        ]
    } else {
        vec![("t3", BURST), ("t4g", BURST)]
    };
    families.extend([("r5", SIZES), ("r6g", SIZES), ("r6i", SIZES), ("r7g", SIZES)]);
    if version.major != "5.7" {
        families.extend([("r7i", SIZES), ("r8g", SIZES)]);
    }
    let mut out: Vec<String> = families
        .iter()
        .flat_map(|(family, sizes)| sizes.iter().map(move |size| format!("db.{family}.{size}")))
        .filter(|c| !c.ends_with("g.24xlarge") || c.starts_with("db.r8g"))
        .collect();
    if version.major != "5.7" {
        out.push("db.serverless".into());
    }
    out
}

/// The logs that can be sent to CloudWatch (service model, `CreateDBCluster.EnableCloudwatchLogsExports`).
pub(super) fn log_types(engine: &str) -> &'static [&'static str] {
    if is_mysql(engine) {
        &["audit", "error", "general", "instance", "slowquery", "iam-db-auth-error"]
    } else {
        &["instance", "postgresql", "iam-db-auth-error"]
    }
}

pub(super) fn default_port(engine: &str) -> u16 {
    if is_mysql(engine) { 3306 } else { 5432 }
}
