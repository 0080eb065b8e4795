//! From the SDK's errors to the classes that the engine tells apart: here, and nowhere else.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use msk_pipeline_core::kind::{CallError, Class};

/// Classifies a failed request by what it means for the next move.
///
/// Source of the codes: handbook aws.md §1.3, §3.2, §4.4, §5–8 and msk.md §1. A request without an answer, and an answer with a
/// server error, are [`Class::Unknown`]: the request may have taken effect.
pub(crate) fn classify<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let service = match &error {
        SdkError::ServiceError(service) => service,
        SdkError::ConstructionFailure(_) => {
            return CallError::new(Class::Invalid, operation, chain(&error));
        }
        // Credentials are fetched before the request is made; a failure there sent nothing.
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            return CallError::new(Class::Denied, operation, chain(&error));
        }
        _ => return CallError::new(Class::Unknown, operation, chain(&error)),
    };
    let code = service.err().code().unwrap_or_default();
    let message = service.err().message().unwrap_or_default();
    let status = service.raw().status().as_u16();
    CallError {
        class: class(code, message, status),
        operation: operation.to_owned(),
        code: (!code.is_empty()).then(|| code.to_owned()),
        message: if message.is_empty() {
            format!("HTTP status {status}")
        } else {
            message.to_owned()
        },
    }
}

fn class(code: &str, message: &str, status: u16) -> Class {
    const THROTTLED: &[&str] = &[
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "SlowDown",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
    ];
    const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException", "RequestExpired"];
    const EXISTS: &[&str] = &[
        "InvalidGroup.Duplicate",
        "InvalidPermission.Duplicate",
        "ResourceExistsException",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "PreconditionFailed",
        "TopicExistsException",
    ];
    const BUSY: &[&str] = &[
        "DependencyViolation",
        "DeleteConflict",
        "ConcurrentModification",
        "ConditionalRequestConflict",
        "OperationAborted",
        "OperationAbortedException",
        "ResourceInUseException",
        "BucketNotEmpty",
        "ConflictException",
        // MSK's topic API passes on what brokers say for a moment (handbook msk.md §1).
        "ClusterConnectivityException",
        "ControllerMovedException",
        "NotControllerException",
        "ReassignmentInProgressException",
        "GroupSubscribedToTopicException",
    ];
    if THROTTLED.contains(&code) {
        // MSK Connect answers 429 for its quotas, too (handbook msk.md §1).
        return if message.contains("quota")
            || message.contains("limit of")
            || message.contains("maximum number")
        {
            Class::Quota
        } else {
            Class::Throttled
        };
    }
    if code == "KafkaTimeoutException" {
        // The brokers may have done it all the same.
        return Class::Unknown;
    }
    if EXPIRED.contains(&code) {
        return Class::Expired;
    }
    if EXISTS.contains(&code)
        || code.contains("AlreadyExists")
        || (code == "ConflictException" && message.contains("already exists"))
    {
        return Class::AlreadyExists;
    }
    if code.contains("NotFound") || code.starts_with("NoSuch") {
        return Class::NotFound;
    }
    if BUSY.contains(&code) || (code.starts_with("Invalid") && code.contains("State")) {
        return Class::Conflict;
    }
    if code == "BadRequestException" {
        // MSK and MSK Connect say with one code that a request is wrong, early, or outdated; the text tells (msk.md §3).
        let busy =
            ["isn't current", "in use by", "ACTIVE state", "in state", "is not in", "currently"];
        // "… is not currently supported" stays so.
        return if !message.contains("not currently supported")
            && busy.iter().any(|b| message.contains(b))
        {
            Class::Conflict
        } else {
            Class::Invalid
        };
    }
    if code.contains("LimitExceeded") || code.contains("QuotaExceeded") {
        return Class::Quota;
    }
    if code.contains("AccessDenied")
        || code.contains("Unauthorized")
        || code.starts_with("Forbidden")
        || code.contains("NotAuthorized")
        || code == "AuthFailure"
        || code == "UnrecognizedClientException"
        || code == "InvalidClientTokenId"
    {
        return Class::Denied;
    }
    match status {
        404 => Class::NotFound,
        403 => Class::Denied,
        429 => Class::Throttled,
        500.. => Class::Unknown,
        _ => Class::Invalid,
    }
}

/// An error with its causes, which the SDK's own display leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A part of a request that the SDK checks before it is sent.
pub(crate) fn built<T>(
    operation: &'static str,
    part: Result<T, aws_smithy_types::error::operation::BuildError>,
) -> Result<T, CallError> {
    part.map_err(|error| CallError::new(Class::Invalid, operation, chain(&error)))
}

/// `Ok(None)` for an object that does not exist.
pub(crate) fn absent<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.class == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_class() {
        for (code, message, status, expected) in [
            ("RequestLimitExceeded", "", 503, Class::Throttled),
            (
                "TooManyRequestsException",
                "You have reached the maximum number of workers",
                429,
                Class::Quota,
            ),
            ("InvalidGroup.NotFound", "", 400, Class::NotFound),
            ("DBClusterNotFoundFault", "", 404, Class::NotFound),
            ("NoSuchEntity", "", 404, Class::NotFound),
            ("InvalidGroup.Duplicate", "", 400, Class::AlreadyExists),
            ("DBClusterAlreadyExistsFault", "", 400, Class::AlreadyExists),
            (
                "ConflictException",
                "A resource with this name already exists.",
                409,
                Class::AlreadyExists,
            ),
            ("ConflictException", "busy", 409, Class::Conflict),
            ("InvalidDBClusterStateFault", "", 400, Class::Conflict),
            ("DependencyViolation", "", 400, Class::Conflict),
            (
                "BadRequestException",
                "The version of the cluster isn't current.",
                400,
                Class::Conflict,
            ),
            ("BadRequestException", "Unsupported InstanceType", 400, Class::Invalid),
            ("DBClusterQuotaExceededFault", "", 403, Class::Quota),
            ("AccessDeniedException", "", 400, Class::Denied),
            ("ExpiredToken", "", 400, Class::Expired),
            ("BadRequestException", "Updating … is not currently supported", 400, Class::Invalid),
            ("KafkaTimeoutException", "", 409, Class::Unknown),
            ("NotControllerException", "", 409, Class::Conflict),
            ("InternalServerErrorException", "", 500, Class::Unknown),
            ("", "", 503, Class::Unknown),
            ("InvalidParameterValue", "", 400, Class::Invalid),
        ] {
            assert_eq!(class(code, message, status), expected, "{code} {message}");
        }
    }
}
