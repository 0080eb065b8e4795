//! The clients of one account and region: real, or of an embedded AWS in this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_sts::error::DisplayErrorContext;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_core::state::Pin;
use msk_pipeline_core::state::lease::LONGEST_REQUEST;
use msk_pipeline_source::{Catalogue, Nowhere};
use msk_pipeline_verify::chain::AwsCredentials;
use msk_pipeline_verify::{Reach, Secret};

use crate::error::classify;
use crate::source;

/// One HTTP request, for a [`Handler`].
#[derive(Debug, Clone)]
pub struct PlainRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The raw, still percent-encoded path.
    pub path: String,
    /// The raw query without `?`.
    pub query: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// One HTTP response of a [`Handler`].
#[derive(Debug, Clone)]
pub struct PlainResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Answers requests in this process, in place of AWS.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers; `None` closes the connection without an answer, whatever became of the request.
    async fn handle(&self, request: PlainRequest) -> Option<PlainResponse>;
}

/// The clients of one account and region.
///
/// The SDK's own retries are off: the engine has one retry policy, which looks before it repeats (design decisions D4 and D15).
#[derive(Clone)]
pub struct Session {
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// MSK.
    pub kafka: aws_sdk_kafka::Client,
    /// MSK Connect.
    pub kafkaconnect: aws_sdk_kafkaconnect::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// RDS.
    pub rds: aws_sdk_rds::Client,
    /// S3.
    pub s3: aws_sdk_s3::Client,
    /// Secrets Manager.
    pub secretsmanager: aws_sdk_secretsmanager::Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    source: Arc<dyn Catalogue>,
    region: String,
    credentials: Option<SharedCredentialsProvider>,
}

impl Session {
    /// Connects with the environment's credentials, as every AWS tool does: variables, profiles, SSO, instance and container roles,
    /// `AWS_ENDPOINT_URL` included.
    pub async fn connect(region: &str) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    // A successor counts on it that no request takes longer.
                    .operation_attempt_timeout(LONGEST_REQUEST)
                    .build(),
            )
            .load()
            .await;
        let session = Self::from_config(&config, region);
        let source = source::databases(&session, Arc::new(Reach::default()));
        session.with_source(source)
    }

    /// Reaches `handler` instead of AWS. Nothing leaves the process, no ambient credential is read, and no database is reached.
    pub fn embedded(handler: Arc<dyn Handler>, region: &str) -> Self {
        let credentials = Credentials::new("embedded", "embedded", None, None, "embedded");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(InProcess(handler))
            .endpoint_url("http://127.0.0.1")
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self::from_config(&config, region)
    }

    fn from_config(config: &SdkConfig, region: &str) -> Self {
        // Path style: an endpoint override by host name would get `bucket.localhost` otherwise (handbook aws.md §2).
        let custom = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(custom).build();
        Self {
            ec2: aws_sdk_ec2::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            kafka: aws_sdk_kafka::Client::new(config),
            kafkaconnect: aws_sdk_kafkaconnect::Client::new(config),
            logs: aws_sdk_cloudwatchlogs::Client::new(config),
            rds: aws_sdk_rds::Client::new(config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            secretsmanager: aws_sdk_secretsmanager::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            source: Arc::new(Nowhere),
            region: region.to_owned(),
            credentials: config.credentials_provider(),
        }
    }

    /// The credentials of this moment, for what isn't asked through a client: MSK's listener for IAM.
    ///
    /// # Errors
    /// If there are none.
    pub async fn credentials(&self) -> Result<AwsCredentials, CallError> {
        const OP: &str = "credentials";
        let none = |why: String| CallError::new(Class::Denied, OP, why);
        let provider = self.credentials.as_ref().ok_or_else(|| none("there are none".into()))?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|e| none(DisplayErrorContext(e).to_string()))?;
        Ok(AwsCredentials {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: Secret::new(found.secret_access_key()),
            session_token: found.session_token().map(Secret::new),
        })
    }

    /// The same with other databases behind its clusters.
    #[must_use]
    pub fn with_source(self, source: Arc<dyn Catalogue>) -> Self {
        Self { source, ..self }
    }

    /// What is in the databases of the account.
    pub fn source(&self) -> &Arc<dyn Catalogue> {
        &self.source
    }

    /// The region that the clients reach.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Asks AWS whose account this is (STS `GetCallerIdentity`, which needs no permission): the first call of every run.
    pub async fn pin(&self) -> Result<Pin, CallError> {
        const OP: &str = "sts:GetCallerIdentity";
        let identity = self.sts.get_caller_identity().send().await.map_err(|e| classify(OP, e))?;
        let partition = identity.arn().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws");
        Ok(Pin {
            account: identity.account().unwrap_or_default().to_owned(),
            region: self.region.clone(),
            partition: partition.to_owned(),
        })
    }
}

struct InProcess(Arc<dyn Handler>);

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl Clone for InProcess {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let handler = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let uri = request.uri().to_owned();
            let rest = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest);
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let plain = PlainRequest {
                method: request.method().to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: request
                    .headers()
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                    .collect(),
                body: match request.body().bytes() {
                    Some(bytes) => bytes.to_vec(),
                    None => ByteStream::new(request.into_body())
                        .collect()
                        .await
                        .map_err(|error| ConnectorError::io(error.into()))?
                        .to_vec(),
                },
            };
            let Some(answer) = handler.handle(plain).await else {
                return Err(ConnectorError::io(
                    "the connection was closed before an answer came".into(),
                ));
            };
            let status = StatusCode::try_from(answer.status)
                .map_err(|error| ConnectorError::other(error.into(), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
            for (name, value) in answer.headers {
                response
                    .headers_mut()
                    .try_append(name, value)
                    .map_err(|error| ConnectorError::other(error.into(), None))?;
            }
            Ok(response)
        })
    }
}
