//! The services, one room each. A service is a list of operations and a state; what it refuses beyond the shapes of its model
//! is in its `rules.rs`, one function a rule, each with its source.

use serde_json::Value;

use crate::world::{Cx, Outcome, World};

/// What exists: (kind, id or name, state).
pub type Inventory = Vec<(String, String, String)>;

/// How a service takes part in the world.
pub struct Service {
    /// The signing name, which routes a request (`kafka`, `ec2`, ...), and the name of its model file.
    pub name: &'static str,
    /// Carries out one operation. The input has the members of the service model by their model name, already checked for
    /// required members, patterns, ranges and enums; timestamps are integers in milliseconds, blobs are base64.
    pub handle: fn(&mut World, &Cx, &str, &Value) -> Outcome,
    /// The operations that exist here; any other of the service answers 501 with its name.
    pub operations: &'static [&'static str],
    /// What exists, for `local inventory`: (kind, id, state).
    pub inventory: fn(&World, crate::world::Millis) -> Inventory,
}

pub mod ec2;
pub mod iam;
pub mod kafka;
pub mod kafkaconnect;
pub mod logs;
pub mod mysql;
pub mod rds;
pub mod s3;
pub mod secretsmanager;
pub mod sts;

/// Every service there is.
pub const SERVICES: &[Service] = &[
    ec2::SERVICE,
    iam::SERVICE,
    kafka::SERVICE,
    kafkaconnect::SERVICE,
    logs::SERVICE,
    mysql::SERVICE,
    rds::SERVICE,
    s3::SERVICE,
    secretsmanager::SERVICE,
    sts::SERVICE,
];

/// Everything that is refused beyond the shapes of the service models: (service, rule, source).
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lists: [(&str, &[(&str, &str)]); 9] = [
        ("ec2", ec2::rules::RULES),
        ("iam", iam::rules::RULES),
        ("kafka", kafka::rules::RULES),
        ("kafkaconnect", kafkaconnect::rules::RULES),
        ("logs", logs::rules::RULES),
        ("mysql", mysql::rules::RULES),
        ("rds", rds::rules::RULES),
        ("s3", s3::rules::RULES),
        ("secretsmanager", secretsmanager::rules::RULES),
    ];
    lists.into_iter().flat_map(|(service, rules)| {
        rules.iter().map(move |(rule, source)| (service, *rule, *source))
    })
}

#[cfg(test)]
mod tests {
    use super::SERVICES;
    use crate::model;

    /// One that isn't would get none of its input.
    #[test]
    fn every_operation_is_in_its_services_model() {
        let modelled =
            SERVICES.iter().filter_map(|service| Some((service, model::of(service.name)?)));
        for (service, model) in modelled {
            for operation in service.operations {
                assert!(model.operations.contains_key(*operation), "{}:{operation}", service.name);
            }
        }
    }
}
