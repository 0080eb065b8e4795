//! Debezium's schema history: the topic, what is in it, what it can't read.

use super::{Known, Layer, Rank, sign};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-HISTORY-LOST",
        title: "the schema history topic {schema.history.internal.kafka.topic} is gone, or empty",
        layer: Layer::History,
        signs: &[
            sign("The db history topic is missing"),
            sign("The db history topic or its content is fully or partially missing"),
            sign("The database schema history couldn't be recovered"),
        ],
        meaning: "Without the history Debezium can't tell which columns the rows in the binary log have. The topic was deleted, expired (`retention.ms` isn't -1), or is another connector's.",
        fix: &[
            "If no DDL ran since the last position: start once with `snapshot.mode` = `recovery`, which reads the schemas again and no rows.",
            "Otherwise begin a new generation of offsets and history with a snapshot.",
            "The topic must have cleanup.policy=delete, retention.ms=-1, retention.bytes=-1, and belong to one connector only.",
        ],
        source: "BinlogConnectorTask.validateAndLoadSchemaHistory, KafkaSchemaHistory.recoverRecords; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-HISTORY-TABLE",
        title: "the schema of table {table} isn't known to the connector",
        layer: Layer::History,
        signs: &[
            sign("for table {table} whose schema isn't known to this connector"),
            sign(
                "Encountered change event for table {table} whose schema isn't known to this connector",
            ),
        ],
        meaning: "A row came for a table that the schema history doesn't tell of: it was added to `table.include.list` without a snapshot while only captured tables are stored, or the history is incomplete.",
        fix: &[
            "Start once with `snapshot.mode` = `recovery` (all schemas are read again), then an incremental snapshot of {table}.",
            "So that tables can be added later: `schema.history.internal.store.only.captured.tables.ddl` = `false`.",
        ],
        source: "BinlogStreamingChangeEventSource.informAboutUnknownTableIfRequired; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-HISTORY-DDL",
        title: "Debezium can't parse a DDL statement",
        layer: Layer::History,
        signs: &[
            sign(
                "DDL statement couldn't be parsed. Please open a Jira issue with the statement '{statement}",
            ),
            sign("io.debezium.text.ParsingException: {what}"),
        ],
        meaning: "A statement in the binary log is one that Debezium's grammar doesn't know. The task stops so as not to write rows by a wrong schema.",
        fix: &[
            "If the statement doesn't change a captured table: `schema.history.internal.skip.unparseable.ddl` = `true` for as long as it takes to get past it.",
            "If it does: upgrade Debezium, or skip it and start with `snapshot.mode` = `recovery` afterwards.",
        ],
        source: "AntlrDdlParser, ParsingErrorListener; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-HISTORY-CREATE",
        title: "the schema history topic could not be created",
        layer: Layer::History,
        signs: &[sign(
            "Creation of database schema history topic failed, please create the topic manually",
        )],
        rank: Rank::Symptom,
        meaning: "Debezium's own admin client (configured by `schema.history.internal.producer.*`) could not create the topic. What kept it is in the cause of this error.",
        fix: &[
            "Create {schema.history.internal.kafka.topic} with one partition, cleanup.policy=delete, retention.ms=-1, retention.bytes=-1; or give the client the right to.",
        ],
        source: "KafkaSchemaHistory.initializeStorage",
        ..super::KNOWN
    },
];
