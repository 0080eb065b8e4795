//! Shapes, patterns, enums, required members and URIs, from the AWS service models.
//!
//! The tables in `model/*.json` are written by `model/extract.py` (`database.json`, which is no service of AWS, by hand) and embedded; each is parsed
//! once, on first use.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

mod validate;

pub use validate::{Kind, Problem, UNENFORCED, validate};

/// One service's table.
#[derive(Debug, Deserialize)]
pub struct Model {
    /// Protocol, version, namespace.
    pub metadata: Metadata,
    /// The operations in use by name.
    pub operations: BTreeMap<String, Operation>,
    /// Every other operation of the service: its name and, for REST protocols, its route.
    pub others: BTreeMap<String, Other>,
    /// Everything reachable from `operations`.
    pub shapes: BTreeMap<String, Shape>,
}

/// What a service says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// `ec2`, `query`, `json`, `rest-json` or `rest-xml`.
    pub protocol: Protocol,
    /// As in `Version=` of the query protocols.
    pub api_version: String,
    /// Of XML answers.
    #[serde(default)]
    pub xml_namespace: Option<String>,
    /// Before the dot in `x-amz-target`.
    #[serde(default)]
    pub target_prefix: Option<String>,
}

/// AWS's wire protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// Form in, XML out, without a result wrapper.
    #[serde(rename = "ec2")]
    Ec2,
    /// Form in, XML out, in a result wrapper.
    #[serde(rename = "query")]
    Query,
    /// JSON both ways, the operation in `x-amz-target`.
    #[serde(rename = "json")]
    Json,
    /// JSON bodies, the operation in method and path.
    #[serde(rename = "rest-json")]
    RestJson,
    /// XML bodies, the operation in method, path and query.
    #[serde(rename = "rest-xml")]
    RestXml,
}

/// The route of an operation that is not in use.
#[derive(Debug, Deserialize)]
pub struct Other {
    /// HTTP method.
    #[serde(default, rename = "m")]
    pub method: String,
    /// URI template.
    #[serde(default, rename = "u")]
    pub uri: String,
    /// Names that must be in the query string.
    #[serde(default, rename = "rq")]
    pub required_query: Vec<String>,
    /// Headers that must be there.
    #[serde(default, rename = "rh")]
    pub required_headers: Vec<String>,
}

/// An operation in use.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// Its route.
    #[serde(flatten)]
    pub route: Other,
    /// Status of a success.
    #[serde(default = "ok", rename = "c")]
    pub code: u16,
    /// Input shape.
    #[serde(default, rename = "i")]
    pub input: Option<String>,
    /// Output shape.
    #[serde(default, rename = "o")]
    pub output: Option<String>,
    /// Element around the output in query answers.
    #[serde(default, rename = "w")]
    pub wrapper: Option<String>,
    /// Shapes of the errors that it declares.
    #[serde(default, rename = "e")]
    pub errors: Vec<String>,
}

fn ok() -> u16 {
    200
}

/// What a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Type {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Double,
    Float,
    Boolean,
    Timestamp,
    Blob,
}

/// A shape.
#[derive(Debug, Deserialize)]
pub struct Shape {
    /// What it is.
    #[serde(rename = "t")]
    pub kind: Type,
    /// Members of a structure by model name.
    #[serde(default, rename = "m")]
    pub members: BTreeMap<String, Member>,
    /// Members that must be given.
    #[serde(default, rename = "r")]
    pub required: Vec<String>,
    /// The member that is the body.
    #[serde(default, rename = "p")]
    pub payload: Option<String>,
    /// Member of a list.
    #[serde(default, rename = "l")]
    pub member: Option<Member>,
    /// Key of a map.
    #[serde(default, rename = "k")]
    pub key: Option<Member>,
    /// Value of a map.
    #[serde(default, rename = "v")]
    pub value: Option<Member>,
    #[serde(default, rename = "f")]
    flattened: u8,
    /// Values of an enum.
    #[serde(default, rename = "e")]
    pub values: Vec<String>,
    /// Regular expression for the whole text.
    #[serde(default, rename = "x")]
    pub pattern: Option<String>,
    /// Lower bound of the length or value.
    #[serde(default, rename = "lo")]
    pub min: Option<f64>,
    /// Upper bound of the length or value.
    #[serde(default, rename = "hi")]
    pub max: Option<f64>,
    /// `iso8601`, `rfc822` or `unixTimestamp`.
    #[serde(default, rename = "ts")]
    pub timestamp: Option<String>,
    /// For errors: the code on the wire (else the shape's name) and the HTTP status.
    #[serde(default, rename = "err")]
    pub error: Option<(Option<String>, Option<u16>)>,
}

impl Shape {
    /// Whether the list has no element of its own around its members.
    pub fn flattened(&self) -> bool {
        self.flattened == 1
    }
}

/// A reference to a shape.
#[derive(Debug, Deserialize)]
pub struct Member {
    /// The shape's name.
    #[serde(rename = "s")]
    pub shape: String,
    /// Its name on the wire, if that isn't the model's.
    #[serde(default, rename = "n")]
    pub location_name: Option<String>,
    /// `uri`, `querystring`, `header`, `headers` or `statusCode`.
    #[serde(default, rename = "l")]
    pub location: Option<String>,
    /// Its name in EC2 requests.
    #[serde(default, rename = "q")]
    pub query_name: Option<String>,
    #[serde(default, rename = "f")]
    flattened: u8,
    #[serde(default, rename = "a")]
    attribute: u8,
    /// Overrides the shape's timestamp format.
    #[serde(default, rename = "ts")]
    pub timestamp: Option<String>,
    #[serde(default, rename = "st")]
    streaming: u8,
}

impl Member {
    /// The name on the wire.
    pub fn wire<'a>(&'a self, model_name: &'a str) -> &'a str {
        self.location_name.as_deref().unwrap_or(model_name)
    }

    /// Whether this member's list has no element of its own.
    pub fn flattened(&self) -> bool {
        self.flattened == 1
    }

    /// Whether it is an XML attribute.
    pub fn attribute(&self) -> bool {
        self.attribute == 1
    }

    /// Whether it is the raw body.
    pub fn streaming(&self) -> bool {
        self.streaming == 1
    }
}

impl Model {
    /// The shape of that name.
    ///
    /// # Panics
    /// If the table is not closed over its references; `extract.py` writes only closed ones.
    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).unwrap_or_else(|| panic!("shape {name} is not in the table"))
    }

    /// The HTTP status that the model gives to a wire code.
    pub fn error_status(&self, code: &str) -> Option<u16> {
        self.shapes.iter().find_map(|(name, shape)| match &shape.error {
            Some((wire, status)) if wire.as_deref().unwrap_or(name) == code => *status,
            _ => None,
        })
    }

    /// Whether the service has the operation, in use or not.
    pub fn knows(&self, operation: &str) -> bool {
        self.operations.contains_key(operation) || self.others.contains_key(operation)
    }
}

macro_rules! tables {
    ($($name:literal),*) => {
        /// The table of a service by its signing name.
        ///
        /// # Panics
        /// If an embedded table does not parse, which a test rules out.
        pub fn of(service: &str) -> Option<&'static Model> {
            match service {
                $($name => {
                    static TABLE: OnceLock<Model> = OnceLock::new();
                    Some(TABLE.get_or_init(|| {
                        serde_json::from_str(include_str!(concat!("../../model/", $name, ".json")))
                            .unwrap_or_else(|e| panic!("model/{}.json: {e}", $name))
                    }))
                })*
                _ => None,
            }
        }

        /// The services that have a table.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

tables!(
    "database",
    "ec2",
    "iam",
    "kafka",
    "kafkaconnect",
    "logs",
    "rds",
    "s3",
    "secretsmanager",
    "sts"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_parses_and_is_closed() {
        for name in NAMES {
            let model = of(name).expect("listed");
            for (operation, o) in &model.operations {
                for shape in o.input.iter().chain(&o.output).chain(&o.errors) {
                    assert!(model.shapes.contains_key(shape), "{name} {operation} {shape}");
                }
            }
            for shape in model.shapes.values() {
                let refs = shape
                    .members
                    .values()
                    .chain(&shape.member)
                    .chain(&shape.key)
                    .chain(&shape.value);
                for r in refs {
                    model.shape(&r.shape);
                }
            }
        }
    }

    #[test]
    fn every_service_has_a_table_and_lists_only_operations_of_it() {
        for service in crate::services::SERVICES {
            let model = of(service.name).expect("each service has a table");
            for operation in service.operations {
                assert!(model.operations.contains_key(*operation), "{} {operation}", service.name);
            }
        }
    }

    #[test]
    fn statuses_are_found_by_wire_code() {
        let rds = of("rds").expect("there");
        assert_eq!(rds.error_status("DBInstanceNotFound"), Some(404));
        assert_eq!(rds.error_status("DBClusterNotFoundFault"), Some(404));
        assert_eq!(rds.error_status("InvalidDBClusterStateFault"), Some(400));
        assert_eq!(of("iam").expect("there").error_status("NoSuchEntity"), Some(404));
        assert_eq!(of("kafka").expect("there").error_status("TooManyRequestsException"), Some(429));
    }
}
