//! `[network]`: the VPC and the subnets that exist already.

use std::collections::BTreeMap;

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::{Component, Expansion, Key, Schema, Type, quoted};
use msk_pipeline_core::kind::Input;
use serde::{Deserialize, Serialize};

use super::connector::Connector;
use super::stage;
use crate::kinds::network::{self as kind, Egress, TierWish, VpcWish};
use crate::kinds::security_group::{self as group, SecurityGroup};
use crate::kinds::security_group_rules::{
    self as rules, Direction, Peer, Rule, SecurityGroupRules,
};
use crate::kinds::vpc_endpoint::{self, VpcEndpoint};

/// The `[network]` section.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The VPC, by id or by tags that match exactly one.
    pub vpc: Option<Select>,
    /// Subnets by tier; a tier that is left out takes private subnets, one a zone.
    #[serde(default)]
    pub subnets: Tiers,
    /// How workers reach Secrets Manager.
    #[serde(default)]
    pub egress: Egress,
}

/// One thing by its id, or by tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Select {
    /// By id.
    Id(String),
    /// By tags.
    Tags {
        /// Tags; `*` and `?` match as in EC2's filters.
        tags: BTreeMap<String, String>,
    },
}

/// Subnets by ids, or by tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subnets {
    /// By ids.
    Ids(Vec<String>),
    /// By tags that match exactly one subnet a zone.
    Tags {
        /// Tags; `*` and `?` match as in EC2's filters.
        tags: BTreeMap<String, String>,
    },
}

/// Subnets by tier.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// Of the database: at least two zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Subnets>,
    /// Of the brokers: two or three zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Subnets>,
    /// Of the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Subnets>,
}

const TAGS: Schema = Schema {
    doc: "Selection by tags.",
    keys: &[Key::new(
        "tags",
        Type::Map(&Type::Text),
        "Tags that must all match; `*` and `?` match as in EC2's filters.",
    )
    .required()],
};

const TIER: Type = Type::OneOf(&[Type::List(&Type::Checked(subnet_id)), Type::Table(&TAGS)]);
const ONE_A_ZONE: &str = "in place for the database; replaces a cluster (data lost) or a connector";

impl Component for Network {
    const NAME: &'static str = "network";
    const NAMED: bool = false;
    const SCHEMA: &'static Schema = &Schema {
        doc: "The VPC and the subnets that exist already. They are read and checked, never changed. A selection by tags, or by default, is made once and kept.",
        keys: &[
            Key::new(
                "vpc",
                Type::OneOf(&[Type::Checked(vpc_id), Type::Table(&TAGS)]),
                "The VPC: its id, or `{ tags = { … } }` that match exactly one.",
            )
            .required()
            .change("replaces everything in it (data lost)"),
            Key::new(
                "subnets",
                Type::Table(&Schema {
                    doc: "Subnets by tier: a list of ids, or `{ tags = { … } }` that match exactly one subnet a zone.",
                    keys: &[
                        Key::new("database", TIER, "Subnets of the database, in at least two zones.")
                            .default("private ones, one a zone")
                            .change(ONE_A_ZONE),
                        Key::new("kafka", TIER, "Subnets of the brokers, in two or three zones.")
                            .default("private ones, one a zone")
                            .change(ONE_A_ZONE),
                        Key::new("connect", TIER, "Subnets of the workers. Workers get no public address.")
                            .default("private ones, one a zone")
                            .change(ONE_A_ZONE),
                    ],
                }),
                "Which subnets.",
            ),
            Key::new(
                "egress",
                Type::Enum(&["require", "create-endpoints", "assume"]),
                "How workers reach Secrets Manager: `require` checks for a NAT route or an endpoint, `create-endpoints` makes endpoints, `assume` does not look.",
            )
            .default("\"require\"")
            .change("in place"),
        ],
    };

    fn expand(&self, _name: &str, cx: &mut Expansion<'_>) {
        let Some(vpc) = &self.vpc else {
            cx.error("vpc", "the VPC is missing", "write `vpc = \"vpc-…\"`");
            return;
        };
        if matches!(vpc, Select::Tags { tags } if tags.is_empty()) {
            cx.error("vpc.tags", "no tag is named", "write one: { Name = \"default-vpc\" }");
        }
        let tiers = &self.subnets;
        check("database", tiers.database.as_ref(), 2, usize::MAX, cx);
        check("kafka", tiers.kafka.as_ref(), 2, 3, cx);
        check("connect", tiers.connect.as_ref(), 1, usize::MAX, cx);
        let props = kind::Props {
            vpc: match vpc {
                Select::Id(id) => VpcWish::Id(id.clone()),
                Select::Tags { tags } => VpcWish::Tags(tags.clone()),
            },
            database: Some(wish(self.subnets.database.as_ref())),
            kafka: Some(wish(self.subnets.kafka.as_ref())),
            connect: Some(wish(self.subnets.connect.as_ref())),
            egress: self.egress,
        };
        cx.add::<kind::Network>("network", stage::SECURITY_GROUPS, &props, []);
        if !endpoints(cx).is_empty() {
            expand_endpoints(cx);
        }
    }
}

/// What workers ask of AWS themselves: the capture user's secret, and who they are.
const SERVICES: &[&str] = &["secretsmanager", "sts"];

/// The endpoints that workers need ready; none where the network is not to make any, or nobody would use them.
pub(super) fn endpoints(cx: &Expansion<'_>) -> Vec<Address> {
    let wanted = cx.get::<Network>("").is_some_and(|n| n.egress == Egress::CreateEndpoints);
    if !wanted || cx.all::<Connector>().is_empty() {
        return Vec::new();
    }
    SERVICES.iter().map(|service| Address::new(format!("network.endpoint-{service}"))).collect()
}

/// Interface endpoints in the workers' subnets, open to workers alone.
fn expand_endpoints(cx: &mut Expansion<'_>) {
    let (group_address, rules_address) = ("network.endpoints-group", "network.endpoints-rules");
    let name = cx.name(&["endpoints"], 255);
    let tags = cx.header.tags.clone();
    let group = group::Props {
        name: name.clone(),
        description: format!("Endpoints of {}", cx.header.name),
        vpc_id: Network::output(kind::Network::VPC_ID),
        keep: false,
        tags: tags.clone(),
    };
    cx.add::<SecurityGroup>(group_address, stage::SECURITY_GROUPS, &group, []);
    let group_id: Input<String> = Input::output(group_address, SecurityGroup::GROUP_ID);
    let from = |connector: &str| {
        let group = format!("connector.{connector}.group");
        let peer = Peer::Group(Input::output(group, SecurityGroup::GROUP_ID));
        let what = format!("workers of connector {connector}");
        Rule::tcp(Direction::Ingress, 443, peer, what)
    };
    let rules = rules::Props {
        name: format!("rules of {name}"),
        group_id: group_id.clone(),
        rules: cx.all::<Connector>().into_iter().map(|(connector, _)| from(connector)).collect(),
        keep: false,
    };
    cx.add::<SecurityGroupRules>(rules_address, stage::SECURITY_GROUPS, &rules, []);
    for (service, address) in SERVICES.iter().zip(endpoints(cx)) {
        let endpoint = vpc_endpoint::Props {
            name: cx.name(&[service], 255),
            vpc_id: Network::output(kind::Network::VPC_ID),
            service: format!("com.amazonaws.{}.{service}", cx.pin.region),
            kind: vpc_endpoint::Type::Interface,
            subnets: Network::output(kind::Network::CONNECT_SUBNETS),
            groups: vec![group_id.clone()],
            route_tables: Input::Known(Vec::new()),
            private_dns: true,
            tags: tags.clone(),
        };
        cx.add::<VpcEndpoint>(address, stage::SECURITY_GROUPS, &endpoint, [rules_address.into()]);
    }
}

impl Network {
    /// A VPC by its id, or by `("Name", "platform")`-like tags through [`Network::vpc_tagged`].
    pub fn vpc(id: impl Into<String>) -> Self {
        Self { vpc: Some(Select::Id(id.into())), ..Self::default() }
    }

    /// The VPC with this tag.
    pub fn vpc_tagged(key: impl Into<String>, value: impl Into<String>) -> Self {
        let tags = BTreeMap::from([(key.into(), value.into())]);
        Self { vpc: Some(Select::Tags { tags }), ..Self::default() }
    }

    /// Subnets of the database.
    #[must_use]
    pub fn database_subnets(mut self, subnets: Subnets) -> Self {
        self.subnets.database = Some(subnets);
        self
    }

    /// Subnets of the brokers.
    #[must_use]
    pub fn kafka_subnets(mut self, subnets: Subnets) -> Self {
        self.subnets.kafka = Some(subnets);
        self
    }

    /// Subnets of the workers.
    #[must_use]
    pub fn connect_subnets(mut self, subnets: Subnets) -> Self {
        self.subnets.connect = Some(subnets);
        self
    }

    /// How workers reach Secrets Manager.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// An output of the network, for props of other resources.
    pub(crate) fn output<T>(name: &str) -> Input<T> {
        Input::output("network", name)
    }
}

impl Subnets {
    /// Subnets by their ids.
    pub fn ids<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Self {
        Subnets::Ids(ids.into_iter().map(Into::into).collect())
    }

    /// Subnets with this tag.
    pub fn tagged(key: impl Into<String>, value: impl Into<String>) -> Self {
        Subnets::Tags { tags: BTreeMap::from([(key.into(), value.into())]) }
    }
}

/// What a list of subnets shows without looking at AWS.
fn check(tier: &str, subnets: Option<&Subnets>, least: usize, most: usize, cx: &mut Expansion<'_>) {
    let key = format!("subnets.{tier}");
    match subnets {
        Some(Subnets::Tags { tags }) if tags.is_empty() => {
            cx.error(&key, "no tag is named", "write one: { Name = \"private-*\" }");
        }
        None | Some(Subnets::Tags { .. }) => {}
        Some(Subnets::Ids(ids)) => {
            if let Some((n, id)) = ids.iter().enumerate().find(|(n, id)| ids[..*n].contains(id)) {
                cx.error(&format!("{key}.{n}"), format!("`{id}` is listed twice"), "leave one out");
            } else if ids.len() < least || ids.len() > most {
                let message = match (least, most) {
                    (2, 3) => "brokers take two or three subnets".to_owned(),
                    (2, _) => "a database takes subnets of at least two zones".to_owned(),
                    _ => "workers take at least one subnet".to_owned(),
                };
                let help = "leave the key out to take private ones, one a zone";
                cx.error(&key, format!("{message}, not {}", ids.len()), help);
            }
        }
    }
}

fn wish(subnets: Option<&Subnets>) -> TierWish {
    match subnets {
        None => TierWish::Private,
        Some(Subnets::Ids(ids)) => TierWish::Ids(ids.clone()),
        Some(Subnets::Tags { tags }) => TierWish::Tags(tags.clone()),
    }
}

fn vpc_id(text: &str) -> Result<(), String> {
    let by_name = format!("; by its name it is {{ tags = {{ Name = \"{text}\" }} }}");
    let is_id = text.is_empty() || text.starts_with("vpc-") || text.starts_with("subnet-");
    id("vpc-", "VPC", text).map_err(|why| if is_id { why } else { why + &by_name })
}

fn subnet_id(text: &str) -> Result<(), String> {
    id("subnet-", "subnet", text)
}

fn id(prefix: &str, what: &str, text: &str) -> Result<(), String> {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format!("{} is no {what} id; one begins with `{prefix}`", quoted(text)))
}
