//! Components of the smallest file, until the provider has its own: enough of them to bring up security groups.

use std::collections::BTreeMap;

use msk_pipeline_aws::kinds::security_group::{Props, SecurityGroup};
use msk_pipeline_core::dsl::{Component, Components, Expansion, Key, Notice, Schema, Type};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) fn components() -> Components {
    Components::default().with::<Network>().with::<Database>().with::<Kafka>().with::<Connector>()
}

#[derive(Clone, Serialize, Deserialize)]
struct Network {
    vpc: Value,
}

const TAGS: Schema = Schema {
    doc: "Tags that match exactly one.",
    keys: &[Key::new("tags", Type::Map(&Type::Text), "All of them.").required()],
};

impl Component for Network {
    const NAME: &'static str = "network";
    const NAMED: bool = false;
    const SCHEMA: &'static Schema = &Schema {
        doc: "The VPC.",
        keys: &[Key::new(
            "vpc",
            Type::OneOf(&[Type::Text, Type::Table(&TAGS)]),
            "Its id, or tags that match exactly one.",
        )
        .required()],
    };

    fn expand(&self, _name: &str, _cx: &mut Expansion<'_>) {}
}

#[derive(Clone, Serialize, Deserialize)]
struct Database {
    engine: String,
}

impl Component for Database {
    const NAME: &'static str = "database";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "A database.",
        keys: &[Key::new("engine", Type::Enum(&["aurora-mysql"]), "The engine.").required()],
    };

    fn expand(&self, name: &str, cx: &mut Expansion<'_>) {
        group(cx, "database", name, "database");
        cx.notice(Notice {
            about: format!("database.{name}"),
            title: "create the capture user".into(),
            body: "CREATE USER 'capture'@'%' IDENTIFIED BY '…';\nGRANT REPLICATION SLAVE ON *.* TO 'capture'@'%';".into(),
        });
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Kafka {
    #[serde(default)]
    brokers: Option<BTreeMap<String, Value>>,
}

impl Component for Kafka {
    const NAME: &'static str = "kafka";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "A Kafka cluster.",
        keys: &[Key::new(
            "brokers",
            Type::Table(&Schema {
                doc: "The brokers.",
                keys: &[Key::new("count", Type::Int(2, 60), "How many.").default("3")],
            }),
            "The brokers.",
        )],
    };

    fn expand(&self, name: &str, cx: &mut Expansion<'_>) {
        group(cx, "kafka", name, "security-groups");
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Connector {
    source: String,
    #[serde(default)]
    tables: Vec<String>,
}

impl Component for Connector {
    const NAME: &'static str = "connector";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "A connector.",
        keys: &[
            Key::new("source", Type::Text, "The database.").required(),
            Key::new("tables", Type::List(&Type::Text), "The tables.").required(),
        ],
    };

    fn expand(&self, name: &str, cx: &mut Expansion<'_>) {
        if cx.get::<Database>(&self.source).is_none() {
            let message = format!("there is no `[database.{}]`", self.source);
            cx.error("source", message, "name a declared database");
        }
        group(cx, "connector", name, "connect");
    }
}

fn group(cx: &mut Expansion<'_>, component: &str, name: &str, stage: &str) {
    let vpc = cx.all::<Network>().first().and_then(|(_, n)| n.vpc.as_str().map(str::to_owned));
    let props = Props {
        name: cx.name(&[component, name], 255),
        description: format!("{component} {name}"),
        vpc_id: vpc.unwrap_or_else(|| "vpc-00000000".into()).into(),
        tags: cx.header.tags.clone(),
    };
    let needs = (stage == "connect").then(|| "kafka.main.group".into());
    let needs = needs.filter(|n: &msk_pipeline_core::Address| cx.has(n.as_str()));
    cx.add::<SecurityGroup>(format!("{component}.{name}.group"), stage, &props, needs);
}
