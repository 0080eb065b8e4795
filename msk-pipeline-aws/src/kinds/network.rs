//! `aws.ec2.network`: the VPC and the subnets that a pipeline lives in. Read and checked, never changed.
//!
//! # Guarantees
//! A selection is made once: while every recorded subnet still exists in the VPC, it is kept, whatever else matches by now. AWS returns
//! subnets in no defined order, so candidates are sorted by availability zone id and subnet id before one is taken.
//! # Caveats
//! A tier asked for by tags must match exactly one subnet a zone. Without a wish, a tier takes private subnets: those without a route
//! to an internet gateway.
//! # Sources
//! Handbook aws.md §3.1 (reads), §12.2–3 (checks), msk.md §4 (two or three subnets, not `use1-az3`), §7.5 (workers have no public
//! address, so a public subnet gives them no way out).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_ec2::types::Filter;
use msk_pipeline_core::kind::{CallError, Case, Guard, Kind, MarkSeen, Next, Sent, Target};
use serde::{Deserialize, Serialize};

use super::security_group::from_ec2;
use crate::error::classify;
use crate::session::Session;
use crate::tags::Tags;

/// The kind.
pub struct Network {
    ec2: aws_sdk_ec2::Client,
    region: String,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The VPC.
    pub vpc: VpcWish,
    /// Subnets of the database; `None` if there is none.
    pub database: Option<TierWish>,
    /// Subnets of the brokers; `None` if there are none.
    pub kafka: Option<TierWish>,
    /// Subnets of the workers; `None` if there are none.
    pub connect: Option<TierWish>,
    /// How workers reach Secrets Manager.
    pub egress: Egress,
}

/// Which VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VpcWish {
    /// By id.
    Id(String),
    /// By tags that match exactly one.
    Tags(Tags),
}

/// Which subnets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierWish {
    /// These.
    Ids(Vec<String>),
    /// Those with these tags; `*` and `?` match as in EC2's filters.
    Tags(Tags),
    /// Private ones.
    Private,
}

/// How workers reach Secrets Manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// There must be a NAT route or an endpoint already.
    #[default]
    Require,
    /// The pipeline makes endpoints.
    CreateEndpoints,
    /// It is not checked.
    Assume,
}

/// What is observed: everything in the VPC that a selection may need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Seen {
    vpcs: Vec<(String, String)>,
    subnets: Vec<Subnet>,
    endpoints: BTreeSet<String>,
    main_route_table: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Subnet {
    id: String,
    zone: String,
    zone_id: String,
    tags: Tags,
    public: bool,
    nat: bool,
    route_table: String,
    free: i32,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outputs {
    /// The VPC.
    pub vpc_id: String,
    /// Its IPv4 range.
    pub vpc_cidr: String,
    /// Subnets of the database.
    pub database_subnets: Vec<String>,
    /// Subnets of the brokers.
    pub kafka_subnets: Vec<String>,
    /// Subnets of the workers.
    pub connect_subnets: Vec<String>,
    /// Route tables of the workers' subnets.
    pub route_tables: Vec<String>,
}

/// There is none: the network is only read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Call {}

impl Network {
    /// The output with the VPC's id.
    pub const VPC_ID: &'static str = "vpc_id";
    /// The output with the VPC's IPv4 range.
    pub const VPC_CIDR: &'static str = "vpc_cidr";
    /// The output with the database's subnets.
    pub const DATABASE_SUBNETS: &'static str = "database_subnets";
    /// The output with the brokers' subnets.
    pub const KAFKA_SUBNETS: &'static str = "kafka_subnets";
    /// The output with the workers' subnets.
    pub const CONNECT_SUBNETS: &'static str = "connect_subnets";
    /// The output with the route tables of the workers' subnets.
    pub const ROUTE_TABLES: &'static str = "route_tables";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { ec2: session.ec2.clone(), region: session.region().to_owned() }
    }

    async fn vpcs(&self, wish: &VpcWish) -> Result<Vec<(String, String)>, CallError> {
        let mut request = self.ec2.describe_vpcs();
        request = match wish {
            VpcWish::Id(id) => request.filters(Filter::builder().name("vpc-id").values(id).build()),
            VpcWish::Tags(tags) => tags.iter().fold(request, |request, (key, value)| {
                request.filters(Filter::builder().name(format!("tag:{key}")).values(value).build())
            }),
        };
        let answer = request.send().await.map_err(|e| classify("ec2:DescribeVpcs", e))?;
        let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
        let mut found: Vec<_> =
            answer.vpcs().iter().map(|v| (text(v.vpc_id()), text(v.cidr_block()))).collect();
        found.sort();
        Ok(found)
    }

    async fn subnets(&self, vpc: &str) -> Result<(Vec<Subnet>, String), CallError> {
        let in_vpc = || Filter::builder().name("vpc-id").values(vpc).build();
        let mut subnets = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .ec2
                .describe_subnets()
                .filters(in_vpc())
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("ec2:DescribeSubnets", e))?;
            let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
            subnets.extend(page.subnets().iter().map(|s| Subnet {
                id: text(s.subnet_id()),
                zone: text(s.availability_zone()),
                zone_id: text(s.availability_zone_id()),
                tags: from_ec2(s.tags()),
                free: s.available_ip_address_count().unwrap_or_default(),
                ..Subnet::default()
            }));
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        subnets.sort_by(|a, b| (&a.zone_id, &a.id).cmp(&(&b.zone_id, &b.id)));
        let main = self.routes(vpc, &mut subnets).await?;
        Ok((subnets, main))
    }

    /// Fills in where each subnet's default route leads. A subnet without an association uses the main route table.
    async fn routes(&self, vpc: &str, subnets: &mut [Subnet]) -> Result<String, CallError> {
        let mut main = (String::new(), false, false);
        let mut by_subnet: BTreeMap<String, (String, bool, bool)> = BTreeMap::new();
        let mut token = None;
        loop {
            let page = self
                .ec2
                .describe_route_tables()
                .filters(Filter::builder().name("vpc-id").values(vpc).build())
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("ec2:DescribeRouteTables", e))?;
            for table in page.route_tables() {
                let id = table.route_table_id().unwrap_or_default().to_owned();
                let default_route = table
                    .routes()
                    .iter()
                    .filter(|r| r.destination_cidr_block() == Some("0.0.0.0/0"));
                let (mut public, mut nat) = (false, false);
                for route in default_route {
                    public |= route.gateway_id().is_some_and(|g| g.starts_with("igw-"));
                    nat |= route.nat_gateway_id().is_some()
                        || route.transit_gateway_id().is_some()
                        || route.network_interface_id().is_some()
                        || route.vpc_peering_connection_id().is_some();
                }
                for association in table.associations() {
                    if association.main().unwrap_or_default() {
                        main = (id.clone(), public, nat);
                    }
                    if let Some(subnet) = association.subnet_id() {
                        by_subnet.insert(subnet.to_owned(), (id.clone(), public, nat));
                    }
                }
            }
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        for subnet in subnets {
            let (table, public, nat) = by_subnet.get(&subnet.id).unwrap_or(&main).clone();
            (subnet.route_table, subnet.public, subnet.nat) = (table, public, nat);
        }
        Ok(main.0)
    }

    async fn endpoints(&self, vpc: &str) -> Result<BTreeSet<String>, CallError> {
        let mut found = BTreeSet::new();
        let mut token = None;
        loop {
            let page = self
                .ec2
                .describe_vpc_endpoints()
                .filters(Filter::builder().name("vpc-id").values(vpc).build())
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("ec2:DescribeVpcEndpoints", e))?;
            let prefix = format!("com.amazonaws.{}.", self.region);
            let ready = page.vpc_endpoints().iter().filter(|e| {
                e.state().is_some_and(|s| s.as_str().eq_ignore_ascii_case("available"))
            });
            let names =
                ready.filter_map(|e| e.service_name()?.strip_prefix(&prefix).map(str::to_owned));
            found.extend(names);
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}

#[async_trait]
impl Kind for Network {
    const TYPE: &'static str = "aws.ec2.network";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(_props: &Props) -> String {
        "network".into()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let vpcs = self.vpcs(&target.props.vpc).await?;
        let mut seen = Seen { vpcs, ..Seen::default() };
        if let [(vpc, _)] = seen.vpcs.as_slice() {
            let vpc = vpc.clone();
            (seen.subnets, seen.main_route_table) = self.subnets(&vpc).await?;
            seen.endpoints = self.endpoints(&vpc).await?;
        }
        Ok(Some(seen))
    }

    fn mark(_seen: &Seen) -> MarkSeen {
        MarkSeen::ReadOnly
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let (Some(want), Some(seen)) = (&case.want, &case.seen) else { return Next::Gone };
        let was = case.was.as_ref().and_then(|w| Some((&w.props, w.outputs.as_ref()?)));
        match select(want, seen, was, &self.region) {
            Ok(outputs) => Next::Converged(outputs),
            Err((because, help)) => Next::Refuse { because, help },
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match *call {}
    }
}

type Refusal = (String, String);

fn select(
    want: &Props,
    seen: &Seen,
    was: Option<(&Props, &Outputs)>,
    region: &str,
) -> Result<Outputs, Refusal> {
    let (vpc_id, vpc_cidr) = match seen.vpcs.as_slice() {
        [one] => one.clone(),
        [] => {
            return Err((
                format!("no VPC matches {}", vpc_text(&want.vpc)),
                format!("name one that exists in {region}: `[network] vpc = \"vpc-…\"`"),
            ));
        }
        several => {
            let ids: Vec<_> = several.iter().map(|(id, _)| id.as_str()).collect();
            return Err((
                format!("{} VPCs match {}: {}", several.len(), vpc_text(&want.vpc), ids.join(", ")),
                "name one by its id".into(),
            ));
        }
    };
    let kept = was.filter(|(_, outputs)| outputs.vpc_id == vpc_id);
    let tier = |name: &str,
                wish: Option<&TierWish>,
                was_wish: Option<&TierWish>,
                was: &[String],
                limits: (usize, usize)| {
        let Some(wish) = wish else { return Ok(Vec::new()) };
        // Sticky: what was selected for the same wish stays selected while it exists.
        if was_wish == Some(wish)
            && !was.is_empty()
            && was.iter().all(|id| seen.subnets.iter().any(|s| s.id == *id))
        {
            return Ok(was.to_vec());
        }
        pick(name, wish, seen, limits)
    };
    let was_props = kept.map(|(props, _)| props);
    let none = Vec::new();
    let database_subnets = tier(
        "database",
        want.database.as_ref(),
        was_props.and_then(|p| p.database.as_ref()),
        kept.map_or(&none, |(_, o)| &o.database_subnets),
        (2, 3),
    )?;
    let kafka_subnets = tier(
        "kafka",
        want.kafka.as_ref(),
        was_props.and_then(|p| p.kafka.as_ref()),
        kept.map_or(&none, |(_, o)| &o.kafka_subnets),
        (2, 3),
    )?;
    let connect_subnets = tier(
        "connect",
        want.connect.as_ref(),
        was_props.and_then(|p| p.connect.as_ref()),
        kept.map_or(&none, |(_, o)| &o.connect_subnets),
        (1, 3),
    )?;
    let of = |id: &String| seen.subnets.iter().find(|s| s.id == *id);
    if want.connect.is_some() && want.egress == Egress::Require {
        check_egress(&connect_subnets, seen)?;
    }
    let tables: BTreeSet<_> =
        connect_subnets.iter().filter_map(of).map(|s| s.route_table.clone()).collect();
    Ok(Outputs {
        vpc_id,
        vpc_cidr,
        database_subnets,
        kafka_subnets,
        connect_subnets,
        route_tables: tables.into_iter().collect(),
    })
}

fn pick(
    name: &str,
    wish: &TierWish,
    seen: &Seen,
    (least, most): (usize, usize),
) -> Result<Vec<String>, Refusal> {
    let help = format!("list them: `[network.subnets] {name} = [\"subnet-…\", …]`");
    // MSK refuses this zone (handbook msk.md §4).
    let usable = |s: &&Subnet| name != "kafka" || s.zone_id != "use1-az3";
    let chosen: Vec<&Subnet> = match wish {
        TierWish::Ids(ids) => {
            let mut chosen = Vec::new();
            for id in ids {
                match seen.subnets.iter().find(|s| s.id == *id) {
                    Some(subnet) if usable(&subnet) => chosen.push(subnet),
                    Some(_) => {
                        return Err((
                            format!("{id} is in zone use1-az3, which MSK does not offer"),
                            help,
                        ));
                    }
                    None => return Err((format!("{id} is not in the VPC"), help)),
                }
            }
            chosen
        }
        TierWish::Tags(tags) => {
            let matches = |s: &&Subnet| {
                tags.iter().all(|(k, v)| s.tags.get(k).is_some_and(|found| glob(v, found)))
            };
            let chosen: Vec<_> = seen.subnets.iter().filter(usable).filter(matches).collect();
            let mut zones: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for subnet in &chosen {
                zones.entry(&subnet.zone).or_default().push(&subnet.id);
            }
            if let Some((zone, ids)) = zones.iter().find(|(_, ids)| ids.len() > 1) {
                return Err((
                    format!(
                        "the tags of the {name} tier match {} subnets in {zone}: {}",
                        ids.len(),
                        ids.join(", ")
                    ),
                    help,
                ));
            }
            chosen.into_iter().take(most).collect()
        }
        TierWish::Private => {
            let mut zones = BTreeSet::new();
            seen.subnets
                .iter()
                .filter(usable)
                .filter(|s| !s.public)
                .filter(|s| zones.insert(s.zone.as_str()))
                .take(most)
                .collect()
        }
    };
    let zones: BTreeSet<_> = chosen.iter().map(|s| s.zone.as_str()).collect();
    let what = match wish {
        TierWish::Ids(_) => "given",
        TierWish::Tags(_) => "matching",
        TierWish::Private => "private",
    };
    if zones.len() < least {
        return Err((
            format!(
                "the {name} tier needs {what} subnets in at least {least} zones, and there are {}",
                zones.len()
            ),
            help,
        ));
    }
    if name == "kafka" && zones.len() != chosen.len() {
        return Err(("MSK takes one subnet a zone".into(), help));
    }
    if name == "kafka" && chosen.len() > most {
        return Err((format!("MSK takes two or three subnets, not {}", chosen.len()), help));
    }
    if let Some(full) = chosen.iter().find(|s| s.free < 4) {
        return Err((format!("{} has only {} free addresses", full.id, full.free), help));
    }
    Ok(chosen.into_iter().map(|s| s.id.clone()).collect())
}

/// Workers get no public address, so only a NAT route, or an endpoint with private DNS, leads to Secrets Manager.
fn check_egress(subnets: &[String], seen: &Seen) -> Result<(), Refusal> {
    if seen.endpoints.contains("secretsmanager") {
        return Ok(());
    }
    for id in subnets {
        let Some(subnet) = seen.subnets.iter().find(|s| s.id == *id) else { continue };
        if !subnet.nat {
            let why = if subnet.public {
                "its default route leads to an internet gateway, and workers have no public address"
            } else {
                "it has no NAT route and the VPC has no endpoint for Secrets Manager"
            };
            return Err((
                format!("workers in {id} can't reach Secrets Manager: {why}"),
                "choose subnets with a NAT route, or set `[network] egress = \"create-endpoints\"`"
                    .into(),
            ));
        }
    }
    Ok(())
}

fn vpc_text(wish: &VpcWish) -> String {
    match wish {
        VpcWish::Id(id) => id.clone(),
        VpcWish::Tags(tags) => {
            let pairs: Vec<_> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("the tags {}", pairs.join(", "))
        }
    }
}

/// `*` and `?`, as in EC2's filters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            (0..=text.len()).any(|n| text.is_char_boundary(n) && glob(&pattern[1..], &text[n..]))
        }
        Some(first) => text.chars().next().is_some_and(|c| {
            (first == '?' || first == c)
                && glob(&pattern[first.len_utf8()..], &text[c.len_utf8()..])
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(id: &str, zone: &str, public: bool, nat: bool) -> Subnet {
        Subnet {
            id: id.into(),
            zone: format!("us-east-1{zone}"),
            zone_id: format!("use1-az{zone}"),
            tags: Tags::from([(
                "Name".into(),
                format!("{}-{id}", if public { "pub" } else { "priv" }),
            )]),
            public,
            nat,
            route_table: "rtb-1".into(),
            free: 200,
        }
    }

    fn seen() -> Seen {
        let mut subnets = Vec::new();
        for zone in ["1", "2", "3", "4"] {
            subnets.push(subnet(&format!("subnet-p{zone}"), zone, false, true));
            subnets.push(subnet(&format!("subnet-u{zone}"), zone, true, false));
        }
        Seen { vpcs: vec![("vpc-1".into(), "10.0.0.0/16".into())], subnets, ..Seen::default() }
    }

    fn want(kafka: TierWish) -> Props {
        Props {
            vpc: VpcWish::Id("vpc-1".into()),
            database: None,
            kafka: Some(kafka),
            connect: None,
            egress: Egress::Require,
        }
    }

    #[test]
    fn private_subnets_one_a_zone_are_the_default_and_msk_avoids_use1_az3() {
        let outputs = select(&want(TierWish::Private), &seen(), None, "us-east-1").unwrap();
        assert_eq!(outputs.kafka_subnets, ["subnet-p1", "subnet-p2", "subnet-p4"]);
    }

    #[test]
    fn a_selection_is_kept_when_another_subnet_sorts_first() {
        let (want, mut seen) = (want(TierWish::Private), seen());
        let first = select(&want, &seen, None, "us-east-1").unwrap();
        seen.subnets.insert(0, subnet("subnet-a0", "0", false, true));
        let again = select(&want, &seen, Some((&want, &first)), "us-east-1").unwrap();
        assert_eq!(again, first);
        // Without the record it would have been taken.
        let fresh = select(&want, &seen, None, "us-east-1").unwrap();
        assert_eq!(fresh.kafka_subnets[0], "subnet-a0");
    }

    #[test]
    fn what_can_not_be_chosen_is_said() {
        let tags = |name: &str| TierWish::Tags(Tags::from([("Name".into(), name.into())]));
        for (wish, expected) in [
            (
                tags("nothing"),
                "the kafka tier needs matching subnets in at least 2 zones, and there are 0",
            ),
            (
                tags("*"),
                "the tags of the kafka tier match 2 subnets in us-east-11: subnet-p1, subnet-u1",
            ),
            (TierWish::Ids(vec!["subnet-x".into()]), "subnet-x is not in the VPC"),
            (
                TierWish::Ids(vec!["subnet-p3".into()]),
                "subnet-p3 is in zone use1-az3, which MSK does not offer",
            ),
            (
                TierWish::Ids(vec!["subnet-p1".into(), "subnet-u1".into(), "subnet-p2".into()]),
                "MSK takes one subnet a zone",
            ),
        ] {
            let (because, _) = select(&want(wish), &seen(), None, "us-east-1").unwrap_err();
            assert_eq!(because, expected);
        }
    }

    #[test]
    fn workers_need_a_way_out() {
        let public = TierWish::Tags(Tags::from([("Name".into(), "pub-*".into())]));
        let mut want = Props { connect: Some(public), ..want(TierWish::Private) };
        let (because, _) = select(&want, &seen(), None, "us-east-1").unwrap_err();
        assert!(because.contains("can't reach Secrets Manager"), "{because}");
        want.egress = Egress::Assume;
        assert!(select(&want, &seen(), None, "us-east-1").is_ok());
        want.egress = Egress::Require;
        let mut seen = seen();
        seen.endpoints.insert("secretsmanager".into());
        assert!(select(&want, &seen, None, "us-east-1").is_ok());
    }

    #[test]
    fn globs_match_as_ec2_filters_do() {
        for (pattern, text, expected) in [
            ("public-subnet-*", "public-subnet-1", true),
            ("public-subnet-?", "public-subnet-10", false),
            ("*", "", true),
            ("a", "", false),
            ("*b", "aab", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
