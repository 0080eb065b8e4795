//! Classes that aren't there, or aren't for this Java.

use super::{Known, Layer, sign, without};

/// What a worker writes at its start of each optional class that it can't load, in healthy workers too.
const DISCOVERY: &[&str] = &["Failed to discover"];

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-PLUGIN-CONNECTOR",
        title: "the plugin has no connector class {class}",
        layer: Layer::Plugin,
        signs: &[sign(
            "Failed to find any class that implements Connector and which name matches {class}",
        )],
        meaning: "`connector.class` names no class in the plugin. Names are case-sensitive; the error goes on with those that are there.",
        fix: &[
            "Set `connector.class` to one that the error lists, or put the jar that has it into the plugin.",
        ],
        source: "org.apache.kafka.connect.runtime.isolation.DelegatingClassLoader, Plugins.connectorClass; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PLUGIN-CLASS",
        title: "class {class} is missing",
        layer: Layer::Plugin,
        signs: &[
            without("java.lang.NoClassDefFoundError: {class}", DISCOVERY),
            without("java.lang.ClassNotFoundException: {class}", DISCOVERY),
            sign("Class {class} could not be found"),
            sign("Invalid value {class} for configuration config.providers"),
        ],
        explains: &["C-PLUGIN-CONNECTOR"],
        meaning: "A jar is not in the plugin: a converter, a config provider, a driver, or a library of one of them. Plugins don't see each other's jars.",
        fix: &[
            "Put the jar with {class}, and what it needs, into the same plugin ZIP; a plugin's content is fixed when it is created, so make a new one.",
        ],
        source: "java.lang.NoClassDefFoundError, ClassNotFoundException; ConfigDef.parseType; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PLUGIN-JAVA",
        title: "the plugin is compiled for a newer Java than the worker's",
        layer: Layer::Plugin,
        signs: &[
            sign(
                "{class} has been compiled by a more recent version of the Java Runtime (class file version {needs}), this version of the Java Runtime only recognizes class file versions up to {has}",
            ),
            sign("java.lang.UnsupportedClassVersionError"),
        ],
        explains: &["C-PLUGIN-CONNECTOR"],
        meaning: "Class file version {needs} was met, and the worker's Java reads up to {has} (55 is Java 11, 61 is Java 17). Connect 2.7.1 runs on Java 11, 3.7.x on Java 17; Debezium 3 needs 17.",
        fix: &[
            "Use a Debezium that fits (2.7.x for Java 11), or Kafka Connect 3.7.x, which needs a new connector.",
        ],
        source: "java.lang.UnsupportedClassVersionError (ClassFileParser); MSK Connect guide, \"Create custom plugins\"; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-PLUGIN-CONFLICT",
        title: "two versions of a library meet in the plugin",
        layer: Layer::Plugin,
        signs: &[
            sign("java.lang.NoSuchMethodError: {member}"),
            sign("java.lang.NoSuchFieldError: {member}"),
            sign("java.lang.AbstractMethodError"),
            sign("java.lang.IncompatibleClassChangeError"),
        ],
        explains: &["C-PLUGIN-CONNECTOR"],
        meaning: "A class was compiled against another version of a library than the one that was loaded.",
        fix: &[
            "List the jars of the plugin and leave only one version of each; take all Debezium jars from one release.",
        ],
        source: "java.lang.NoSuchMethodError and its kin",
        ..super::KNOWN
    },
];
