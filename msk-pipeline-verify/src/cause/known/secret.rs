//! Config providers: the way to Secrets Manager, the right, the secret and its keys.

use super::{Known, Layer, sign, told, within};

/// Who complains: config providers, the SDK under them, and Connect's transformer above them.
const PROVIDERS: &[&str] = &["secretsmanager", "SecretsManager", "ConfigProvider"];

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-SECRET-ROUTE",
        title: "no way from the worker to Secrets Manager",
        layer: Layer::Secret,
        signs: &[
            sign(
                "Unable to execute HTTP request: Connect to secretsmanager.{endpoint} failed: connect timed out",
            ),
            sign(
                "Unable to execute HTTP request: Connect to secretsmanager.{endpoint} failed: Connect timed out",
            ),
            sign("Unable to execute HTTP request: secretsmanager.{endpoint}"),
            sign(
                "Unable to execute HTTP request: Connect to sts.{endpoint} failed: connect timed out",
            ),
            within("java.net.UnknownHostException: secretsmanager.{endpoint}", PROVIDERS),
            within("java.net.SocketTimeoutException: connect timed out", PROVIDERS),
            within("java.net.SocketTimeoutException: Connect timed out", PROVIDERS),
            within("Connection timed out", PROVIDERS),
        ],
        meaning: "A placeholder in the configuration is resolved by a call to Secrets Manager, and nothing answered. Workers have no public address: their subnets need a NAT, or an interface endpoint.",
        fix: &[
            "An interface endpoint for com.amazonaws.<region>.secretsmanager in the connector's subnets, with private DNS, whose security group takes TCP 443 from the connector's; or a route 0.0.0.0/0 to a NAT gateway.",
            "The same for `sts` where the provider asks it, and outbound TCP 443 on the connector's security group.",
        ],
        source: "AWS SDK for Java, SdkClientException; jcustenborder/kafka-config-provider-aws issues 13 and 17; Nordstrom/kafka-connect-sqs issues 30 and 31",
        ..super::KNOWN
    },
    Known {
        code: "C-SECRET-RIGHTS",
        title: "the connector's role may not read the secret",
        layer: Layer::Secret,
        signs: &[
            sign(
                "{role} is not authorized to perform: secretsmanager:GetSecretValue on resource: {secret}",
            ),
            sign("is not authorized to perform: secretsmanager:"),
            sign("Access to KMS is not allowed"),
            within("is not authorized to perform: kms:Decrypt", &[]),
        ],
        meaning: "Secrets Manager was reached and refused: the service execution role lacks the action on this secret, or `kms:Decrypt` on the key that encrypts it.",
        fix: &[
            "In the role's policy: Allow secretsmanager:GetSecretValue, secretsmanager:DescribeSecret on {secret} (end the name with -?????? where it is written by hand).",
            "If the secret has a customer managed key: Allow kms:Decrypt on that key, and see that its key policy lets IAM decide.",
        ],
        source: "Secrets Manager's AccessDeniedException; MSK Connect guide, Debezium source connector example",
        ..super::KNOWN
    },
    Known {
        code: "C-SECRET-MISSING",
        title: "the secret {secret} does not exist",
        layer: Layer::Secret,
        signs: &[
            sign("Secrets Manager can't find the specified secret"),
            told(
                "Secret id {secret} not found. Value will be handled according to a strategy defined by 'NotFoundStrategy'",
            ),
        ],
        explains: &["C-DB-NO-PASSWORD"],
        meaning: "Secrets Manager was reached, and has no secret of this name in this region.",
        fix: &[
            "Compare the name in `${provider:NAME:key}` with ListSecrets. It is the *name*, not the ARN, whose colons a placeholder can't hold.",
            "See that `config.providers.<name>.param.region` is the secret's region.",
        ],
        source: "Secrets Manager's ResourceNotFoundException; aws-samples/msk-config-providers SecretsManagerConfigProvider.get",
        ..super::KNOWN
    },
    Known {
        code: "C-SECRET-KEY",
        title: "secret {secret} has no key {key}",
        layer: Layer::Secret,
        signs: &[
            sign("Secret undefined "),
            told("Secret {secret} doesn't have a key {key}"),
            within("Unexpected value of a secret's structure", &[]),
        ],
        explains: &["C-DB-NO-PASSWORD"],
        meaning: "The secret was read, and is not a JSON object with that key. With `NotFoundStrategy` other than `fail` the value becomes empty, and the database is asked without a password.",
        fix: &[
            "Give the secret the keys that the placeholders name: {\"username\": …, \"password\": …}, texts and nothing nested.",
            "In the worker configuration: config.providers.<name>.param.NotFoundStrategy=fail",
        ],
        source: "aws-samples/msk-config-providers SecretsManagerConfigProvider.get, handleNotFoundByStrategy",
        ..super::KNOWN
    },
    Known {
        code: "C-SECRET-PLACEHOLDER",
        title: "a placeholder in the configuration is not resolved",
        layer: Layer::Secret,
        signs: &[
            sign("Access denied for user '${placeholder}'@'{from}'"),
            sign("FATAL: password authentication failed for user \"${placeholder}\""),
        ],
        explains: &["C-DB-AUTH", "C-DB-NO-PASSWORD"],
        meaning: "The database was asked with the placeholder's own text: no provider of that name is declared in the *worker's* configuration, so nothing replaces it.",
        fix: &[
            "In the worker configuration: config.providers=<name> and config.providers.<name>.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider, with its jars in the plugin.",
        ],
        source: "org.apache.kafka.common.config.ConfigTransformer, which leaves unknown providers' placeholders as they are; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-SECRET-ARN",
        title: "a placeholder names a secret by its ARN",
        layer: Layer::Secret,
        fact: Some(super::config::arn_placeholder),
        explains: &["C-DB-NO-PASSWORD", "C-SECRET-MISSING", "C-SECRET-KEY"],
        meaning: "A placeholder is `${provider:path:key}`, and its path ends at the first colon, so an ARN is cut: another secret is asked for, or none.",
        fix: &["Use the secret's name instead of its ARN in {key}."],
        source: "org.apache.kafka.common.config.ConfigTransformer, DEFAULT_PATTERN",
        ..super::KNOWN
    },
];
