//! The parameters that a parameter group knows: those that change data capture depends on, and enough of the rest that paging,
//! filters and refusals have something to work on.

/// One parameter of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
    /// `static` needs a reboot, `dynamic` does not.
    pub(super) apply_type: &'static str,
    pub(super) data_type: &'static str,
    /// Values separated by commas, or a range `low-high`; empty when anything goes.
    pub(super) allowed: &'static str,
    pub(super) modifiable: bool,
    /// `system` for what RDS fills in itself.
    pub(super) source: &'static str,
    /// Exists in cluster parameter groups only. All others are instance parameters, for which a cluster group holds defaults.
    pub(super) cluster_only: bool,
    /// The prefix of the names of the families that have it.
    families: &'static str,
}

const STATIC: &str = "static";
const DYNAMIC: &str = "dynamic";
const MY: &str = "aurora-mysql";
const MY8: &str = "aurora-mysql8";
const PG: &str = "aurora-postgresql";
const ON_OFF: &str = "0,1";

const fn row(
    families: &'static str,
    cluster_only: bool,
    name: &'static str,
    apply_type: &'static str,
    data_type: &'static str,
    allowed: &'static str,
    default: &'static str,
) -> Parameter {
    let default = if default.is_empty() { None } else { Some(default) };
    Parameter {
        name,
        default,
        apply_type,
        data_type,
        allowed,
        modifiable: true,
        source: "engine-default",
        cluster_only,
        families,
    }
}

const fn system(families: &'static str, name: &'static str, default: &'static str) -> Parameter {
    Parameter {
        modifiable: false,
        source: "system",
        ..row(families, false, name, STATIC, "string", "", default)
    }
}

const CHARSETS: &str = "ascii,big5,binary,cp1250,cp1251,cp1256,cp1257,cp850,cp852,cp866,cp932,euckr,gb2312,gbk,greek,hebrew,\
latin1,latin2,latin5,latin7,sjis,ucs2,ujis,utf16,utf32,utf8,utf8mb3,utf8mb4";
const ZONES: &str = "Africa/Cairo,Africa/Casablanca,Africa/Johannesburg,Africa/Lagos,Africa/Nairobi,America/Anchorage,\
America/Bogota,America/Buenos_Aires,America/Caracas,America/Chicago,America/Denver,America/Halifax,America/Los_Angeles,\
America/Mexico_City,America/New_York,America/Phoenix,America/Santiago,America/Sao_Paulo,America/Toronto,Asia/Bangkok,\
Asia/Calcutta,Asia/Dhaka,Asia/Dubai,Asia/Hong_Kong,Asia/Jakarta,Asia/Jerusalem,Asia/Karachi,Asia/Kolkata,Asia/Manila,\
Asia/Seoul,Asia/Shanghai,Asia/Singapore,Asia/Taipei,Asia/Tehran,Asia/Tokyo,Australia/Adelaide,Australia/Brisbane,\
Australia/Darwin,Australia/Perth,Australia/Sydney,Europe/Amsterdam,Europe/Athens,Europe/Berlin,Europe/Dublin,Europe/Helsinki,\
Europe/Istanbul,Europe/Lisbon,Europe/London,Europe/Madrid,Europe/Moscow,Europe/Paris,Europe/Prague,Europe/Rome,\
Europe/Stockholm,Europe/Vienna,Europe/Warsaw,Europe/Zurich,Pacific/Auckland,Pacific/Honolulu,UTC";

/// Sorted by name within an engine. Handbook aws.md §4.9 and §4.10 for the ones of change data capture; the ranges and defaults
/// of the others are the engines' own (U: RDS narrows some of them).
const TABLE: &[Parameter] = &[
    row(MY8, true, "aurora_enhanced_binlog", STATIC, "boolean", ON_OFF, "0"),
    system(MY, "basedir", "/rdsdbbin/oscar"),
    row(MY, false, "binlog_cache_size", DYNAMIC, "integer", "4096-18446744073709547520", "32768"),
    row(MY, true, "binlog_checksum", DYNAMIC, "string", "NONE,CRC32", ""),
    row(MY, true, "binlog_format", STATIC, "string", "ROW,STATEMENT,MIXED,OFF", "OFF"),
    row(MY, true, "binlog_row_image", DYNAMIC, "string", "full,minimal,noblob", ""),
    row(MY8, true, "binlog_row_metadata", DYNAMIC, "string", "MINIMAL,FULL", ""),
    row(MY8, true, "binlog_row_value_options", DYNAMIC, "string", "PARTIAL_JSON", ""),
    row(MY, true, "character_set_client", DYNAMIC, "string", CHARSETS, ""),
    row(MY, true, "character_set_connection", DYNAMIC, "string", CHARSETS, ""),
    row(MY, true, "character_set_database", DYNAMIC, "string", CHARSETS, ""),
    row(MY, true, "character_set_filesystem", DYNAMIC, "string", "binary", ""),
    row(MY, true, "character_set_results", DYNAMIC, "string", CHARSETS, ""),
    row(MY, true, "character_set_server", DYNAMIC, "string", CHARSETS, ""),
    row(MY, true, "collation_connection", DYNAMIC, "string", "", ""),
    row(MY, true, "collation_server", DYNAMIC, "string", "", ""),
    system(MY, "datadir", "/rdsdbdata/db/"),
    row(MY, true, "enforce_gtid_consistency", STATIC, "string", "OFF,ON,WARN", ""),
    row(MY, false, "event_scheduler", DYNAMIC, "boolean", "ON,OFF", ""),
    row(MY, false, "general_log", DYNAMIC, "boolean", ON_OFF, ""),
    row(MY, false, "group_concat_max_len", DYNAMIC, "integer", "4-18446744073709551615", ""),
    row(
        MY,
        true,
        "gtid-mode",
        STATIC,
        "string",
        "OFF,OFF_PERMISSIVE,ON_PERMISSIVE,ON",
        "OFF_PERMISSIVE",
    ),
    row(MY, true, "innodb_autoinc_lock_mode", STATIC, "integer", "0,1,2", ""),
    row(MY, true, "innodb_flush_log_at_trx_commit", DYNAMIC, "integer", "0-2", "1"),
    row(MY, false, "innodb_lock_wait_timeout", DYNAMIC, "integer", "1-1073741824", ""),
    row(MY, false, "innodb_print_all_deadlocks", DYNAMIC, "boolean", ON_OFF, "0"),
    row(MY, false, "interactive_timeout", DYNAMIC, "integer", "1-31536000", ""),
    row(MY, false, "log_bin_trust_function_creators", DYNAMIC, "boolean", ON_OFF, ""),
    row(MY, false, "log_output", DYNAMIC, "string", "TABLE,FILE,NONE", "FILE"),
    row(MY, false, "long_query_time", DYNAMIC, "float", "0-31536000", ""),
    row(MY, true, "lower_case_table_names", STATIC, "integer", "0,1", "0"),
    row(MY, false, "max_allowed_packet", DYNAMIC, "integer", "1024-1073741824", ""),
    row(
        MY,
        false,
        "max_connections",
        DYNAMIC,
        "integer",
        "1-16000",
        "GREATEST({log(DBInstanceClassMemory/805306368)*45},{log(DBInstanceClassMemory/8187281408)*1000})",
    ),
    row(MY, false, "net_read_timeout", DYNAMIC, "integer", "1-31536000", ""),
    row(MY, false, "net_write_timeout", DYNAMIC, "integer", "1-31536000", ""),
    row(MY, false, "performance_schema", STATIC, "boolean", ON_OFF, "0"),
    system(MY, "port", "{EndPointPort}"),
    row(MY, true, "require_secure_transport", DYNAMIC, "boolean", "ON,OFF", "OFF"),
    row(
        MY,
        true,
        "server_audit_events",
        DYNAMIC,
        "list",
        "CONNECT,QUERY,QUERY_DCL,QUERY_DDL,QUERY_DML,TABLE",
        "",
    ),
    row(MY, true, "server_audit_logging", DYNAMIC, "boolean", ON_OFF, "0"),
    row(MY, false, "slow_query_log", DYNAMIC, "boolean", ON_OFF, ""),
    row(MY, false, "sql_mode", DYNAMIC, "list", "", ""),
    row(MY, true, "time_zone", DYNAMIC, "string", ZONES, "UTC"),
    row(MY, true, "tls_version", STATIC, "list", "TLSv1,TLSv1.1,TLSv1.2,TLSv1.3", ""),
    system(MY, "tmpdir", "/rdsdbdata/tmp/"),
    row(
        MY8,
        false,
        "transaction_isolation",
        DYNAMIC,
        "string",
        "READ-UNCOMMITTED,READ-COMMITTED,REPEATABLE-READ,SERIALIZABLE",
        "",
    ),
    row(
        "aurora-mysql5.7",
        false,
        "tx_isolation",
        DYNAMIC,
        "string",
        "READ-UNCOMMITTED,READ-COMMITTED,REPEATABLE-READ,SERIALIZABLE",
        "",
    ),
    row(MY, false, "wait_timeout", DYNAMIC, "integer", "1-31536000", ""),
    row(PG, false, "autovacuum_naptime", DYNAMIC, "integer", "1-2147483", ""),
    row(PG, true, "client_encoding", DYNAMIC, "string", "", ""),
    system(PG, "config_file", "/rdsdbdata/config/postgresql.conf"),
    system(PG, "data_directory", "/rdsdbdata/db"),
    row(
        PG,
        false,
        "idle_in_transaction_session_timeout",
        DYNAMIC,
        "integer",
        "0-2147483647",
        "86400000",
    ),
    row(PG, false, "log_min_duration_statement", DYNAMIC, "integer", "-1-2147483647", ""),
    row(PG, false, "log_statement", DYNAMIC, "string", "none,ddl,mod,all", ""),
    row(PG, false, "logical_decoding_work_mem", DYNAMIC, "integer", "64-2147483647", ""),
    row(
        PG,
        false,
        "max_connections",
        STATIC,
        "integer",
        "6-262143",
        "LEAST({DBInstanceClassMemory/9531392},5000)",
    ),
    row(PG, true, "max_logical_replication_workers", STATIC, "integer", "0-262143", ""),
    row(PG, true, "max_replication_slots", STATIC, "integer", "5-262143", "20"),
    row(PG, true, "max_slot_wal_keep_size", DYNAMIC, "integer", "-1-2147483647", ""),
    row(PG, true, "max_wal_senders", STATIC, "integer", "5-262143", "20"),
    row(
        PG,
        true,
        "max_worker_processes",
        STATIC,
        "integer",
        "0-262143",
        "GREATEST(${DBInstanceVCPU*2},8)",
    ),
    system(PG, "port", "{EndPointPort}"),
    // On by default from version 17 on (8monkey-ai/hebo-platform PR 8; Aurora user guide, "Updating applications to connect to
    // Aurora PostgreSQL DB clusters using new SSL/TLS certificates").
    row("aurora-postgresql14", true, "rds.force_ssl", DYNAMIC, "boolean", ON_OFF, "0"),
    row("aurora-postgresql15", true, "rds.force_ssl", DYNAMIC, "boolean", ON_OFF, "0"),
    row("aurora-postgresql16", true, "rds.force_ssl", DYNAMIC, "boolean", ON_OFF, "0"),
    row("aurora-postgresql17", true, "rds.force_ssl", DYNAMIC, "boolean", ON_OFF, "1"),
    row("aurora-postgresql18", true, "rds.force_ssl", DYNAMIC, "boolean", ON_OFF, "1"),
    row(PG, true, "rds.logical_replication", STATIC, "boolean", ON_OFF, "0"),
    row(PG, true, "rds.logical_wal_cache", STATIC, "integer", "-1-2147483647", ""),
    row(PG, false, "search_path", DYNAMIC, "string", "", ""),
    row(
        PG,
        false,
        "shared_preload_libraries",
        STATIC,
        "list",
        "auto_explain,orafce,pg_bigm,pg_cron,pg_hint_plan,pg_prewarm,pg_similarity,pg_stat_statements,pg_tle,pgaudit,pglogical,plprofiler",
        "pg_stat_statements",
    ),
    row(PG, false, "statement_timeout", DYNAMIC, "integer", "0-2147483647", ""),
    row(PG, false, "synchronous_commit", DYNAMIC, "string", "local,on,off", "on"),
    row(PG, true, "timezone", DYNAMIC, "string", "", "UTC"),
    row(PG, false, "track_activity_query_size", STATIC, "integer", "100-1048576", "4096"),
    row(PG, true, "wal_receiver_timeout", DYNAMIC, "integer", "0-3600000", ""),
    row(PG, true, "wal_sender_timeout", DYNAMIC, "integer", "0-3600000", ""),
    row(PG, false, "work_mem", DYNAMIC, "integer", "64-2147483647", ""),
];

/// The parameters of a group, sorted by name.
pub(super) fn of(family: &str, cluster: bool) -> impl Iterator<Item = Parameter> {
    let family = family.to_owned();
    TABLE
        .iter()
        .filter(move |p| family.starts_with(p.families) && (cluster || !p.cluster_only))
        .copied()
}

/// One parameter of a group.
pub(super) fn find(family: &str, cluster: bool, name: &str) -> Option<Parameter> {
    of(family, cluster).find(|p| p.name == name)
}

/// Whether a value is allowed. Words are compared without their case (handbook §4.3: case is kept as sent); a value with `{` is a
/// formula.
pub(super) fn allows(parameter: &Parameter, value: &str) -> bool {
    if parameter.allowed.is_empty() || value.contains('{') {
        return true;
    }
    let word = |value: &str| parameter.allowed.split(',').any(|a| a.eq_ignore_ascii_case(value));
    match parameter.data_type {
        "integer" | "float" if !parameter.allowed.contains(',') => {
            let Some((low, high)) = range(parameter.allowed) else { return true };
            if parameter.data_type == "integer" && value.contains('.') {
                return false;
            }
            value.parse::<f64>().is_ok_and(|v| low <= v && v <= high)
        }
        "list" => value.is_empty() || value.split(',').all(|v| word(v.trim())),
        _ => word(value),
    }
}

fn range(text: &str) -> Option<(f64, f64)> {
    let at = text.get(1..)?.find('-')? + 1; // the first character may be a sign
    Some((text[..at].parse().ok()?, text[at + 1..].parse().ok()?))
}
