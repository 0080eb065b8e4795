//! AWS's wire protocols, driven by the service models: a request becomes (service, operation, input), an outcome a response.
//!
//! Nothing here knows what an operation does. Values hold members by model name, timestamps in milliseconds, blobs in base64.

use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::{self, Kind, Model, Problem, Protocol, Type};
use crate::world::{AwsError, Millis, Reply, Request, Response};

pub mod chunked;
mod errors;
mod form;
mod json;
mod rest;
pub mod time;
mod xml;

pub use errors::{error, invalid, throttle};

/// A member that does not have its model's type on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The member as it is called on the wire.
    pub member: String,
    /// What was sent.
    pub value: String,
}

/// Who is asked for what.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service's signing name.
    pub service: &'static str,
    /// Its table.
    pub model: &'static Model,
    /// The region in the credential scope, if it names one.
    pub region: Option<String>,
    /// The operation's name, as the model or, if that doesn't have it, the request spells it.
    pub operation: String,
    labels: Vec<(String, String)>,
}

/// A decoded request.
#[derive(Debug, Clone)]
pub struct Input {
    /// Members by model name.
    pub value: Value,
    /// The decoded payload of operations with a streaming body; else empty.
    pub body: Bytes,
}

/// Why a request has no target.
#[derive(Debug, Clone)]
pub struct Unroutable {
    /// The protocol to answer in.
    pub protocol: Protocol,
    /// The service, if at least that is known.
    pub service: Option<&'static str>,
    /// What to answer.
    pub error: AwsError,
}

/// Reads a scalar from its text in a form, an element, a header or a query string.
pub(crate) fn scalar(kind: Type, text: &str) -> Option<Value> {
    Some(match kind {
        Type::String | Type::Blob => Value::from(text),
        Type::Integer | Type::Long => Value::from(text.trim().parse::<i64>().ok()?),
        Type::Double | Type::Float => Value::from(text.trim().parse::<f64>().ok()?),
        Type::Boolean => match text.trim() {
            "true" | "True" | "1" => Value::Bool(true),
            "false" | "False" | "0" => Value::Bool(false),
            _ => return None,
        },
        Type::Timestamp => Value::from(time::parse(text.trim())?),
        Type::Structure | Type::List | Type::Map => return None,
    })
}

/// The same request in path style: `bkt.s3.eu-west-1.amazonaws.com/key` and `bkt.localhost/key` are `/bkt/key`.
fn path_style(request: &Request) -> std::borrow::Cow<'_, Request> {
    let host = request.header("host").unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let bucket = match host.split_once(".s3.").or_else(|| host.split_once(".s3-")) {
        Some((bucket, rest)) if rest.contains("amazonaws.com") => Some(bucket),
        _ => host.strip_suffix(".localhost"),
    };
    match bucket.filter(|b| !b.is_empty()) {
        Some(bucket) => std::borrow::Cow::Owned(Request {
            path: format!("/{bucket}{}", request.path),
            ..request.clone()
        }),
        None => std::borrow::Cow::Borrowed(request),
    }
}

/// The id of a request: the same request at the same time has the same one, whatever else happens in the world.
pub fn request_id(now: Millis, request: &Request) -> String {
    let mut hash = Sha256::new();
    hash.update(now.to_le_bytes());
    for part in [&request.method, &request.path, &request.query] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(request.header("x-amz-target").unwrap_or_default().as_bytes());
    // Clients write the members of a map in any order, another one in each process. The id is shown in the state of the world, and
    // must not depend on that: it is made from how often each byte occurs.
    let mut bytes = [0_u32; 256];
    for byte in &request.body {
        bytes[usize::from(*byte)] += 1;
    }
    for often in bytes {
        hash.update(often.to_le_bytes());
    }
    let hex = hex(&hash.finalize()[..16]);
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| DIGITS[usize::from(n)] as char;
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// (region, service) of the credential scope, from the header or a presigned query.
fn scope(request: &Request) -> Option<(Option<String>, String)> {
    let credential = match request.header("authorization") {
        Some(header) => header
            .split_once("Credential=")
            .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default().to_owned()),
        None => rest::query(&request.query)
            .into_iter()
            .find(|(n, _)| n == "X-Amz-Credential")
            .map(|(_, v)| v),
    }?;
    // AKID/date/region/service/aws4_request; SigV4a has no region.
    let parts: Vec<&str> = credential.rsplit('/').collect();
    match parts.as_slice() {
        ["aws4_request", service, region, _, ..] if parts.len() >= 5 => {
            Some((Some((*region).to_owned()), (*service).to_owned()))
        }
        ["aws4_request", service, ..] => Some((None, (*service).to_owned())),
        _ => None,
    }
}

/// The protocol that an unsigned request seems to speak.
fn guess(request: &Request) -> Protocol {
    let form = request
        .header("content-type")
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if request.header("x-amz-target").is_some() {
        Protocol::Json
    } else if form {
        Protocol::Query
    } else if ["/v1/", "/api/v2/"].iter().any(|p| request.path.starts_with(p)) {
        Protocol::RestJson
    } else {
        Protocol::RestXml
    }
}

/// Finds service and operation.
///
/// # Errors
/// Without a credential scope, for a service that isn't embedded, and for a path that is no operation of the service.
pub fn target(request: &Request) -> Result<Target, Unroutable> {
    let Some((region, service)) = scope(request) else {
        let protocol = guess(request);
        let code = match protocol {
            Protocol::RestXml => "AccessDenied",
            Protocol::Json | Protocol::RestJson => "MissingAuthenticationTokenException",
            Protocol::Ec2 | Protocol::Query => "MissingAuthenticationToken",
        };
        let error = AwsError::new(code, "Missing Authentication Token").status(403);
        return Err(Unroutable { protocol, service: None, error });
    };
    let entry = crate::services::SERVICES.iter().find(|s| s.name == service);
    let Some((entry, model)) = entry.and_then(|e| model::of(e.name).map(|m| (e, m))) else {
        let message = format!("the embedded AWS has no service {service}");
        let error = AwsError::new("NotImplemented", message).status(501);
        return Err(Unroutable { protocol: guess(request), service: None, error });
    };
    let protocol = model.metadata.protocol;
    let unknown = |what: &str, code: &str, status| Unroutable {
        protocol,
        service: Some(entry.name),
        error: AwsError::new(code, what).status(status),
    };
    let (operation, labels) = match protocol {
        Protocol::Ec2 | Protocol::Query => {
            let fields = form::fields(&request.body);
            let action =
                fields.into_iter().chain(rest::query(&request.query)).find(|(n, _)| n == "Action");
            let (_, action) = action.ok_or_else(|| {
                unknown("The request must contain the parameter Action", "MissingAction", 400)
            })?;
            (action, Vec::new())
        }
        Protocol::Json => {
            let header = request.header("x-amz-target").unwrap_or_default();
            let prefix = model.metadata.target_prefix.as_deref().unwrap_or_default();
            let name = header.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
            let name = name.ok_or_else(|| unknown("", "UnknownOperationException", 400))?;
            (name.to_owned(), Vec::new())
        }
        Protocol::RestJson | Protocol::RestXml => {
            let styled = if service == "s3" {
                path_style(request)
            } else {
                std::borrow::Cow::Borrowed(request)
            };
            let (name, labels) = rest::route(model, &styled).ok_or_else(|| {
                let what =
                    format!("{} {} is no operation of {service}", request.method, request.path);
                if protocol == Protocol::RestJson {
                    unknown(&what, "NotFoundException", 404)
                } else {
                    unknown(&what, "MethodNotAllowed", 405)
                }
            })?;
            (name.to_owned(), labels)
        }
    };
    if !model.knows(&operation) {
        let (code, message) = match protocol {
            Protocol::Json => ("UnknownOperationException", String::new()),
            _ => (
                "InvalidAction",
                format!("The action {operation} is not valid for this web service."),
            ),
        };
        return Err(unknown(&message, code, 400));
    }
    Ok(Target { service: entry.name, model, region, operation, labels })
}

/// Decodes the input of an operation in use.
///
/// # Errors
/// If it isn't well-formed, a checksum is wrong, or a member has another type than the model's.
pub fn input(target: &Target, request: &Request) -> Result<Input, AwsError> {
    let Target { service, model, operation, labels, .. } = target;
    let shape = model.operations.get(operation).and_then(|o| o.input.as_deref());
    let malformed = |m: &Malformed| errors::malformed(service, model, m);
    let plain = |value| Ok(Input { value, body: Bytes::new() });
    match model.metadata.protocol {
        protocol @ (Protocol::Ec2 | Protocol::Query) => {
            let dialect =
                if protocol == Protocol::Ec2 { form::Dialect::Ec2 } else { form::Dialect::Query };
            let mut fields = form::fields(&request.body);
            fields.extend(
                rest::query(&request.query).into_iter().filter(|(n, _)| !n.starts_with("X-Amz-")),
            );
            plain(form::input(model, dialect, shape, fields).map_err(|m| malformed(&m))?)
        }
        Protocol::Json => {
            let Some(shape) = shape else { return plain(Value::Object(Map::new())) };
            let body = parse_json(service, &request.body)?;
            plain(json::read(model, shape, &body, "").map_err(|m| malformed(&m))?)
        }
        Protocol::RestJson | Protocol::RestXml => {
            let Some(shape) = shape else { return plain(Value::Object(Map::new())) };
            let (headers, body) = payload(request)?;
            let mut out = Map::new();
            rest::locations(model, shape, labels, request, &headers, &mut out)
                .map_err(|m| malformed(&m))?;
            let rest_json = model.metadata.protocol == Protocol::RestJson;
            let Some(name) = &model.shape(shape).payload else {
                if rest_json {
                    let parsed = parse_json(service, &body)?;
                    if let Value::Object(map) =
                        json::read(model, shape, &parsed, "").map_err(|m| malformed(&m))?
                    {
                        out.extend(map);
                    }
                }
                return plain(Value::Object(out));
            };
            let member = &model.shape(shape).members[name];
            if member.streaming() {
                return Ok(Input { value: Value::Object(out), body });
            }
            match model.shape(&member.shape).kind {
                Type::Structure if rest_json => {
                    let parsed = parse_json(service, &body)?;
                    let value =
                        json::read(model, &member.shape, &parsed, "").map_err(|m| malformed(&m))?;
                    out.insert(name.clone(), value);
                }
                Type::Structure if body.is_empty() => {}
                Type::Structure => {
                    let element = xml::parse(&body).ok_or_else(errors::malformed_xml)?;
                    if element.name != member.wire(name) {
                        return Err(errors::malformed_xml());
                    }
                    let value =
                        xml::read(model, &member.shape, &element).map_err(|m| malformed(&m))?;
                    out.insert(name.clone(), value);
                }
                _ if body.is_empty() => {}
                _ => {
                    out.insert(
                        name.clone(),
                        Value::from(String::from_utf8_lossy(&body).into_owned()),
                    );
                }
            }
            plain(Value::Object(out))
        }
    }
}

fn parse_json(service: &str, body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(errors::malformed_json(service)),
    }
}

/// Headers and body with `aws-chunked` taken off; the trailers become headers. Checksums that came along are verified.
fn payload(request: &Request) -> Result<(Vec<(String, String)>, Bytes), AwsError> {
    let mut headers = request.headers.clone();
    let mut body = request.body.clone();
    let encoding = request.header("content-encoding").unwrap_or_default();
    let streaming =
        request.header("x-amz-content-sha256").is_some_and(|v| v.starts_with("STREAMING-"));
    if streaming || encoding.split(',').any(|e| e.trim() == "aws-chunked") {
        let incomplete = || {
            AwsError::new(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
            )
            .status(400)
        };
        let decoded = chunked::decode(&body).ok_or_else(incomplete)?;
        let length =
            request.header("x-amz-decoded-content-length").and_then(|l| l.parse::<usize>().ok());
        if length.is_some_and(|l| l != decoded.body.len()) {
            return Err(incomplete());
        }
        let rest: Vec<&str> = encoding
            .split(',')
            .map(str::trim)
            .filter(|e| !e.is_empty() && *e != "aws-chunked")
            .collect();
        headers.retain(|(n, _)| n != "content-encoding" && n != "content-length");
        if !rest.is_empty() {
            headers.push(("content-encoding".into(), rest.join(",")));
        }
        headers.push(("content-length".into(), decoded.body.len().to_string()));
        headers.extend(decoded.trailers);
        body = decoded.body;
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let encode =
        |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let digest = Sha256::digest(&body);
    let checks = [
        ("x-amz-checksum-crc32", "CRC32", encode(&crc32fast::hash(&body).to_be_bytes())),
        ("x-amz-checksum-sha256", "SHA256", encode(&digest)),
    ];
    // A multipart upload is completed with the checksum of the object, not of the request.
    let whole_object = request.method == "POST" && request.query.contains("uploadId=");
    for (name, algorithm, computed) in checks {
        if !whole_object && header(name).is_some_and(|sent| sent != computed) {
            let message =
                format!("The {algorithm} you specified did not match the calculated checksum.");
            return Err(AwsError::new("BadDigest", message).status(400));
        }
    }
    if header("x-amz-content-sha256").is_some_and(|sent| sent.len() == 64 && sent != hex(&digest)) {
        return Err(AwsError::new(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
        .status(400));
    }
    Ok((headers, body))
}

/// Checks an input against the model.
pub fn problems(target: &Target, input: &Input) -> Vec<Problem> {
    let Some(shape) =
        target.model.operations.get(&target.operation).and_then(|o| o.input.as_deref())
    else {
        return Vec::new();
    };
    let mut problems = model::validate(target.model, target.service, shape, &input.value);
    // A streaming payload is never a member of the value.
    problems.retain(|p| {
        p.kind != Kind::Missing
            || !target
                .model
                .shape(shape)
                .members
                .get(&p.member)
                .is_some_and(model::Member::streaming)
    });
    problems
}

/// Members of an output that the model doesn't have or that have another type: mistakes of a service, not of its caller.
pub fn output_problems(model: &Model, operation: &str, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    match model.operations.get(operation).and_then(|o| o.output.as_deref()) {
        Some(shape) => foreign(model, shape, value, "", &mut out),
        None => {
            if value.as_object().is_some_and(|o| !o.is_empty()) {
                out.push(format!("{operation} has no output"));
            }
        }
    }
    out
}

fn foreign(model: &Model, name: &str, value: &Value, path: &str, out: &mut Vec<String>) {
    let shape = model.shape(name);
    let fits = match (shape.kind, value) {
        (Type::Structure, Value::Object(map)) => {
            for (key, v) in map {
                match shape.members.get(key) {
                    Some(m) => foreign(model, &m.shape, v, &format!("{path}.{key}"), out),
                    None => out.push(format!("{path}.{key} is not in {name}")),
                }
            }
            true
        }
        (Type::List, Value::Array(items)) => {
            let inner = shape.member.as_ref().expect("a list has a member");
            for v in items {
                foreign(model, &inner.shape, v, path, out);
            }
            true
        }
        (Type::Map, Value::Object(map)) => {
            let inner = shape.value.as_ref().expect("a map has a value");
            for v in map.values() {
                foreign(model, &inner.shape, v, path, out);
            }
            true
        }
        (_, Value::Null)
        | (Type::String | Type::Blob, Value::String(_))
        | (Type::Double | Type::Float, Value::Number(_))
        | (Type::Boolean, Value::Bool(_)) => true,
        (Type::Integer | Type::Long, Value::Number(n)) => n.is_i64() || n.is_u64(),
        (Type::Timestamp, Value::Number(n)) => n.is_u64(),
        _ => false,
    };
    if !fits {
        out.push(format!("{path} is not a {:?}", shape.kind));
    }
}

/// Writes a success.
pub fn success(target: &Target, reply: &Reply, request_id: &str) -> Response {
    let Target { service, model, operation, .. } = target;
    let entry = &model.operations[operation];
    let mut response = Response { status: entry.code, ..Response::default() };
    response.headers.push(("x-amzn-requestid".into(), request_id.into()));
    let content_type = |response: &mut Response, text: &str| {
        response.headers.push(("content-type".into(), text.into()));
    };
    let writer = xml::Writer {
        model,
        ec2: model.metadata.protocol == Protocol::Ec2,
        whole_seconds: matches!(*service, "iam" | "sts"),
    };
    let mut text = String::new();
    let members = |out: &mut String| {
        if let Some(shape) = &entry.output {
            writer.members(out, model.shape(shape), &reply.value);
        }
    };
    match model.metadata.protocol {
        Protocol::Ec2 => {
            let mut content = format!("<requestId>{request_id}</requestId>");
            members(&mut content);
            if entry.output.is_none() {
                content.push_str("<return>true</return>");
            }
            let namespace = namespace(model);
            xml::element(&mut text, &format!("{operation}Response"), &namespace, &content);
            content_type(&mut response, "text/xml;charset=UTF-8");
        }
        Protocol::Query => {
            let mut content = String::new();
            if entry.output.is_some() {
                let mut inner = String::new();
                members(&mut inner);
                let wrapper = entry.wrapper.clone().unwrap_or_else(|| format!("{operation}Result"));
                xml::element(&mut content, &wrapper, "", &inner);
            }
            let mut metadata = String::new();
            xml::element(&mut metadata, "RequestId", "", request_id);
            xml::element(&mut content, "ResponseMetadata", "", &metadata);
            xml::element(&mut text, &format!("{operation}Response"), &namespace(model), &content);
            content_type(&mut response, "text/xml");
        }
        Protocol::Json => {
            if let Some(shape) = &entry.output {
                text = json::write(model, shape, None, &object(&reply.value)).to_string();
            }
            content_type(&mut response, "application/x-amz-json-1.1");
        }
        Protocol::RestJson => {
            if let Some(shape) = &entry.output {
                response.headers.extend(rest::headers(model, shape, &reply.value));
                text = json::write(model, shape, None, &object(&reply.value)).to_string();
            } else if response.status != 204 {
                text = "{}".into();
            }
            content_type(&mut response, "application/json");
        }
        Protocol::RestXml => {
            response.headers.push(("x-amz-request-id".into(), request_id.into()));
            response.headers.push(("x-amz-id-2".into(), request_id.replace('-', "")));
            if let Some(shape) = &entry.output {
                response.headers.extend(rest::headers(model, shape, &reply.value));
                if let Some(body) = rest_xml(&writer, operation, shape, reply, &mut text) {
                    // A wrong length would hang the client: the body decides.
                    if let Some((_, l)) =
                        response.headers.iter_mut().find(|(n, _)| n == "content-length")
                    {
                        *l = body.len().to_string();
                    }
                    response.body = body;
                }
            }
            if !text.is_empty() && !response.headers.iter().any(|(n, _)| n == "content-type") {
                content_type(&mut response, "application/xml");
            }
        }
    }
    if !text.is_empty() {
        let xml = !matches!(model.metadata.protocol, Protocol::Json | Protocol::RestJson)
            && text.starts_with('<');
        response.body = if xml {
            Bytes::from(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}"))
        } else {
            Bytes::from(text)
        };
    }
    response
}

fn object(value: &Value) -> Value {
    if value.is_null() { Value::Object(Map::new()) } else { value.clone() }
}

fn namespace(model: &Model) -> String {
    let uri = model
        .metadata
        .xml_namespace
        .as_deref()
        .unwrap_or("http://s3.amazonaws.com/doc/2006-03-01/");
    format!(" xmlns=\"{}/\"", uri.trim_end_matches('/'))
}

/// The body of a REST XML answer: raw bytes are returned, XML is written to `text`.
fn rest_xml(
    writer: &xml::Writer<'_>,
    operation: &str,
    shape: &str,
    reply: &Reply,
    text: &mut String,
) -> Option<Bytes> {
    let model = writer.model;
    let shape = model.shape(shape);
    let namespace = namespace(model);
    if let Some(payload) = &shape.payload {
        let member = &shape.members[payload];
        let inner = model.shape(&member.shape);
        if member.streaming() {
            return Some(reply.body.clone().unwrap_or_default());
        }
        let value = reply.value.get(payload)?;
        if inner.kind != Type::Structure {
            return Some(Bytes::from(value.as_str().unwrap_or_default().to_owned()));
        }
        let mut content = String::new();
        writer.members(&mut content, inner, value);
        xml::element(text, member.wire(payload), &namespace, &content);
        return None;
    }
    if operation == "GetBucketLocation" {
        // The one answer whose root is its member.
        let value =
            reply.value.get("LocationConstraint").and_then(Value::as_str).unwrap_or_default();
        xml::element(text, "LocationConstraint", &namespace, &xml::escape(value));
        return None;
    }
    if shape.members.values().any(|m| m.location.is_none()) {
        let mut content = String::new();
        writer.members(&mut content, shape, &reply.value);
        xml::element(text, root(operation), &namespace, &content);
    }
    None
}

/// Root elements of S3 answers, which the shapes don't name.
fn root(operation: &str) -> &str {
    match operation {
        "CompleteMultipartUpload" => "CompleteMultipartUploadResult",
        "CreateMultipartUpload" => "InitiateMultipartUploadResult",
        "DeleteObjects" => "DeleteResult",
        "GetBucketLifecycleConfiguration" => "LifecycleConfiguration",
        "GetBucketTagging" | "GetObjectTagging" => "Tagging",
        "GetBucketVersioning" => "VersioningConfiguration",
        "ListBuckets" => "ListAllMyBucketsResult",
        "ListMultipartUploads" => "ListMultipartUploadsResult",
        "ListObjectVersions" => "ListVersionsResult",
        "ListObjectsV2" => "ListBucketResult",
        "ListParts" => "ListPartsResult",
        other => other,
    }
}
