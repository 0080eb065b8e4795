//! Errors as each protocol and service words them.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Malformed, xml};
use crate::model::{Kind, Model, Problem, Protocol};
use crate::world::{AwsError, Response};

/// The error of a request whose input does not fit the model, in the code of that service.
pub fn invalid(service: &str, problems: &[Problem]) -> AwsError {
    let first = problems.first().cloned().unwrap_or_else(|| Problem {
        path: String::new(),
        member: String::new(),
        kind: Kind::Type,
        value: String::new(),
        constraint: String::new(),
    });
    let detected = || {
        let list: Vec<String> = problems
            .iter()
            .map(|p| {
                let value =
                    if p.kind == Kind::Missing { "null".into() } else { format!("'{}'", p.value) };
                let mut path: Vec<String> = p.path.split('.').map(uncapitalised).collect();
                if service == "kafka" || service == "kafkaconnect" {
                    path = p.path.split('.').map(str::to_owned).collect();
                }
                format!(
                    "Value {value} at '{}' failed to satisfy constraint: {}",
                    path.join("."),
                    p.constraint
                )
            })
            .collect();
        let n = list.len();
        let s = if n == 1 { "" } else { "s" };
        format!("{n} validation error{s} detected: {}", list.join("; "))
    };
    match service {
        "kafka" => AwsError::new("BadRequestException", detected()).with("invalidParameter", first.path),
        "kafkaconnect" => AwsError::new("BadRequestException", detected()),
        "logs" => AwsError::new("InvalidParameterException", detected()),
        "secretsmanager" => AwsError::new("ValidationException", detected()),
        "iam" | "sts" => AwsError::new("ValidationError", detected()),
        "s3" if first.kind == Kind::Missing => AwsError::new(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        ),
        "s3" => AwsError::new("InvalidArgument", detected())
            .with("ArgumentName", first.path)
            .with("ArgumentValue", first.value),
        _ if first.kind == Kind::Missing => AwsError::new(
            "MissingParameter",
            format!("The request must contain the parameter {}", first.path),
        ),
        _ => AwsError::new(
            "InvalidParameterValue",
            if service == "ec2" {
                format!("Value ({}) for parameter {} is invalid. {}", first.value, first.path, first.constraint)
            } else {
                detected()
            },
        ),
    }
    .status(400)
}

fn uncapitalised(part: &str) -> String {
    let mut chars = part.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_lowercase().to_string() + chars.as_str())
}

/// A member that can't be read as its type.
pub(super) fn malformed(service: &str, model: &Model, m: &Malformed) -> AwsError {
    let Malformed { member, value } = m;
    match model.metadata.protocol {
        Protocol::Json => AwsError::new(
            "SerializationException",
            format!("{member} can not be read from {value}"),
        ),
        Protocol::RestJson => {
            let error = AwsError::new(
                "BadRequestException",
                format!("{member} can not be read from {value}"),
            );
            if service == "kafka" { error.with("invalidParameter", member.clone()) } else { error }
        }
        Protocol::Query if matches!(service, "iam" | "sts") => {
            AwsError::new("MalformedInput", format!("{member} can not be read from {value}"))
        }
        Protocol::Ec2 | Protocol::Query => AwsError::new(
            "InvalidParameterValue",
            format!("Invalid value '{value}' for parameter {member}"),
        ),
        Protocol::RestXml => {
            AwsError::new("InvalidArgument", format!("Invalid value for {member}"))
                .with("ArgumentName", member.clone())
                .with("ArgumentValue", value.clone())
        }
    }
    .status(400)
}

pub(super) fn malformed_xml() -> AwsError {
    AwsError::new(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
    .status(400)
}

pub(super) fn malformed_json(service: &str) -> AwsError {
    let code =
        if service.starts_with("kafka") { "BadRequestException" } else { "SerializationException" };
    AwsError::new(code, "the body is not a JSON object").status(400)
}

/// How a service says that it is asked too often.
pub fn throttle(service: &str) -> AwsError {
    match service {
        "ec2" => AwsError::new("RequestLimitExceeded", "Request limit exceeded.").status(503),
        "iam" | "rds" | "sts" => AwsError::new("Throttling", "Rate exceeded").status(400),
        "kafka" | "kafkaconnect" => {
            AwsError::new("TooManyRequestsException", "Too Many Requests").status(429)
        }
        "s3" => AwsError::new("SlowDown", "Please reduce your request rate.").status(503),
        _ => AwsError::new("ThrottlingException", "Rate exceeded").status(400),
    }
}

/// Statuses that the models don't hold.
fn status(service: Option<&str>, model: Option<&Model>, code: &str) -> u16 {
    if service == Some("s3") {
        return match code {
            "NotModified" => 304,
            "AccessDenied"
            | "AllAccessDisabled"
            | "InvalidObjectState"
            | "SignatureDoesNotMatch" => 403,
            "MethodNotAllowed" => 405,
            "BucketAlreadyExists"
            | "BucketAlreadyOwnedByYou"
            | "BucketNotEmpty"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "InvalidBucketState" => 409,
            "PreconditionFailed" => 412,
            "InvalidRange" => 416,
            "InternalError" => 500,
            "NotImplemented" => 501,
            "ServiceUnavailable" | "SlowDown" => 503,
            "NotFound"
            | "OwnershipControlsNotFoundError"
            | "ServerSideEncryptionConfigurationNotFoundError" => 404,
            other if other.starts_with("NoSuch") => 404,
            _ => 400,
        };
    }
    if let Some(status) = model.and_then(|m| m.error_status(code)) {
        return status;
    }
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "UnauthorizedOperation"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
            if !matches!(service, Some("logs")) =>
        {
            403
        }
        "InternalError" | "InternalFailure" | "InternalServiceError" => 500,
        "ServiceUnavailable" | "RequestLimitExceeded" | "Unavailable" => 503,
        _ => 400,
    }
}

/// Writes an error.
pub fn error(
    protocol: Protocol,
    service: Option<&str>,
    model: Option<&Model>,
    error: &AwsError,
    request_id: &str,
    head: bool,
) -> Response {
    let status = error.status.unwrap_or_else(|| status(service, model, &error.code));
    let mut response = Response { status, ..Response::default() };
    response.headers.push(("x-amzn-requestid".into(), request_id.into()));
    let code = xml::escape(&error.code);
    let message = xml::escape(&error.message);
    let extra = || {
        let mut out = String::new();
        for (name, value) in &error.extra {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            xml::element(&mut out, name, "", &xml::escape(&text));
        }
        out
    };
    let (content_type, body) = match protocol {
        Protocol::Ec2 => (
            "text/xml;charset=UTF-8",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
                 <Message>{message}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
            ),
        ),
        Protocol::Query => {
            let kind = if status >= 500 { "Receiver" } else { "Sender" };
            let namespace = model.and_then(|m| m.metadata.xml_namespace.as_deref());
            let namespace = namespace.map(|n| format!(" xmlns=\"{n}\"")).unwrap_or_default();
            (
                "text/xml",
                format!(
                    "<ErrorResponse{namespace}><Error><Type>{kind}</Type><Code>{code}</Code>\
                     <Message>{message}</Message>{}</Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                    extra()
                ),
            )
        }
        Protocol::RestXml => {
            response.headers.push(("x-amz-request-id".into(), request_id.into()));
            response.headers.push(("x-amz-id-2".into(), request_id.replace('-', "")));
            (
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
                     {}<RequestId>{request_id}</RequestId><HostId>{}</HostId></Error>",
                    extra(),
                    request_id.replace('-', "")
                ),
            )
        }
        Protocol::Json | Protocol::RestJson => {
            response.headers.push(("x-amzn-errortype".into(), error.code.clone()));
            let mut body = Map::new();
            if protocol == Protocol::Json {
                body.insert("__type".into(), Value::from(error.code.as_str()));
            }
            body.insert("message".into(), Value::from(error.message.as_str()));
            body.extend(error.extra.iter().map(|(k, v)| (k.clone(), v.clone())));
            let kind = if protocol == Protocol::Json {
                "application/x-amz-json-1.1"
            } else {
                "application/json"
            };
            (kind, Value::Object(body).to_string())
        }
    };
    if !head && status != 304 {
        response.headers.push(("content-type".into(), content_type.into()));
        response.body = Bytes::from(body);
    }
    response
}
