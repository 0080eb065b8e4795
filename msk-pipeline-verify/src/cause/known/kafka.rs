//! What keeps a worker, a connector or its extra clients from Kafka: the way there, authentication, rights, topics.

use super::{Known, Layer, Rank, sign, warning, within, without};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-KAFKA-HOST",
        title: "a broker's name has no address",
        layer: Layer::KafkaNetwork,
        signs: &[
            sign("No resolvable bootstrap urls given in bootstrap.servers"),
            sign("No resolvable bootstrap urls given in"),
            warning(
                "Couldn't resolve server {host} from bootstrap.servers as DNS resolution failed",
            ),
        ],
        heals: true,
        meaning: "The worker's resolver doesn't know the name: a cluster that was replaced, a typing error, or a VPC whose DHCP options name a resolver that can't be reached.",
        fix: &[
            "Compare the bootstrap servers (also `schema.history.internal.kafka.bootstrap.servers`) with GetBootstrapBrokers.",
            "The VPC needs enableDnsSupport, and the resolvers in its DHCP option set must answer in the connector's subnets.",
        ],
        source: "org.apache.kafka.clients.ClientUtils.parseAndValidateAddresses; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-UNREACHED",
        title: "no broker answers",
        layer: Layer::KafkaNetwork,
        signs: &[
            sign(
                "Failed to connect to and describe Kafka cluster. Check worker's broker connection and security properties",
            ),
            sign("Timed out waiting for a node assignment"),
            sign("Timeout expired while fetching topic metadata"),
            sign("Timed out waiting to send the call"),
            warning(
                "Connection to node {node} could not be established. Node may not be available",
            ),
            warning(
                "Connection to node {node} could not be established. Broker may not be available",
            ),
            warning(
                "terminated during authentication. This may happen due to any of the following reasons",
            ),
        ],
        rank: Rank::Symptom,
        heals: true,
        meaning: "Connections to the brokers don't come about. A security group, a wrong port, or a client without TLS at a port with TLS (and the other way round) all look like this: 9092 plain, 9094 TLS, 9096 SCRAM, 9098 IAM.",
        fix: &[
            "On the brokers' security group: inbound TCP on the listener's port (9098 for IAM) from the connector's security group.",
            "See that port and protocol belong together, for the worker and for `schema.history.internal.producer.*` and `.consumer.*`.",
        ],
        source: "org.apache.kafka.clients.NetworkClient.processDisconnection; ConnectUtils.lookupKafkaClusterId; handbook of ports: MSK guide, \"Port information\"; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-MECHANISM",
        title: "the broker's port does not take the client's SASL mechanism",
        layer: Layer::KafkaLogin,
        signs: &[
            sign(
                "Unexpected handshake request with client mechanism {mechanism}, enabled mechanisms are [{enabled}]",
            ),
            sign(
                "Client SASL mechanism '{mechanism}' not enabled in the server, enabled mechanisms are [{enabled}]",
            ),
        ],
        meaning: "The broker was reached at a port of another kind: the client wants {mechanism}, the port has [{enabled}].",
        fix: &[
            "MSK: 9098 for AWS_MSK_IAM, 9096 for SCRAM-SHA-512, 9094 for TLS and 9092 for plain clients without `sasl.mechanism`.",
            "For Debezium's own clients set `security.protocol` and `sasl.*` under `schema.history.internal.producer.` and `.consumer.` alike.",
        ],
        source: "SaslServerAuthenticator's answer as IllegalSaslStateException and UnsupportedSaslMechanismException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-LOGIN",
        title: "the broker refuses the client's credentials",
        layer: Layer::KafkaLogin,
        signs: &[
            sign("Authentication failed: Invalid username or password"),
            sign(
                "Authentication failed during authentication due to invalid credentials with SASL mechanism {mechanism}",
            ),
        ],
        meaning: "The broker was reached, TLS and mechanism fit, and the user or the password is wrong.",
        fix: &[
            "MSK: the secret `AmazonMSK_…` must be associated with the cluster (ListScramSecrets) and its password be the client's.",
        ],
        source: "PlainSaslServer, ScramSaslServer as SaslAuthenticationException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-IAM",
        title: "IAM does not let the connector's role into the cluster",
        layer: Layer::KafkaLogin,
        signs: &[within(
            "]: Access denied",
            &["SaslAuthenticationException", "failed authentication due to"],
        )],
        meaning: "The broker was reached and asked IAM, which refused: the service execution role has no `kafka-cluster:Connect` on this cluster, or a cluster policy denies it.",
        fix: &[
            "In the role's policy: Allow kafka-cluster:Connect, kafka-cluster:DescribeCluster on the cluster's ARN.",
            "If the role was made a moment ago: IAM takes up to some minutes; restart the connector.",
        ],
        source: "MSK's SaslAuthenticationException `[request id]: Access denied`; MSK guide, \"IAM access control\"; provectus/kafka-ui issue 1100",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-CREDENTIALS",
        title: "the client finds no AWS credentials for IAM authentication",
        layer: Layer::KafkaLogin,
        signs: &[
            sign("Failed to find AWS IAM Credentials"),
            sign("Unable to load AWS credentials from any provider in the chain"),
            sign("The security token included in the request is invalid"),
            sign("The security token included in the request is expired"),
        ],
        meaning: "aws-msk-iam-auth signs with the role of the worker, and found none, or one that is no longer valid.",
        fix: &[
            "See that the service execution role exists and trusts kafkaconnect.amazonaws.com; set no `awsProfileName` or keys in `sasl.jaas.config`.",
        ],
        source: "aws-msk-iam-auth, IAMClientCallbackHandler; AWS SDK for Java, DefaultCredentialsProvider",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-IAM-CONNECTIONS",
        title: "the broker takes no more IAM connections for the moment",
        layer: Layer::KafkaLogin,
        signs: &[sign("]: Too many connects")],
        heals: true,
        meaning: "MSK limits new IAM connections per broker and second (by size: few on small brokers). Clients that reconnect at once keep the limit reached; the metric IAMTooManyConnections counts.",
        fix: &[
            "Raise `reconnect.backoff.ms` to 1000 for clients with IAM (schema.history.internal.producer./consumer., consumers elsewhere).",
            "If it stays: larger brokers, or fewer connectors starting at once.",
        ],
        source: "MSK's SaslAuthenticationException `[request id]: Too many connects`; MSK guide, \"Limits\"; aws/aws-msk-iam-auth issues 28 and 45",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-TLS",
        title: "a client with TLS speaks to a port without it",
        layer: Layer::KafkaLogin,
        signs: &[
            within(
                "Unsupported or unrecognized SSL message",
                &["SslAuthenticationException", "org.apache.kafka", "SSL handshake failed"],
            ),
            within(
                "SSLException: Unrecognized SSL message, plaintext connection?",
                &["SslAuthenticationException", "org.apache.kafka"],
            ),
        ],
        meaning: "The broker was reached at its plain port.",
        fix: &[
            "Use the port that goes with TLS: 9094 (TLS), 9096 (SCRAM), 9098 (IAM); or `security.protocol` = `PLAINTEXT` at 9092.",
        ],
        source: "javax.net.ssl.SSLException under org.apache.kafka.common.errors.SslAuthenticationException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-PLAIN-TO-TLS",
        title: "a client without TLS speaks to a port with TLS",
        layer: Layer::KafkaLogin,
        signs: &[within(
            "org.apache.kafka.common.network.NetworkReceive.readFrom",
            &["java.lang.OutOfMemoryError"],
        )],
        fact: Some(super::config::plain_to_tls),
        explains: &["C-WORKER-MEMORY"],
        meaning: "It says out of memory, and is none: the client takes the first bytes of the broker's TLS answer for the length of a message, and asks for hundreds of megabytes.",
        fix: &[
            "Set `security.protocol` to `SSL` or `SASL_SSL` for this client (`schema.history.internal.producer.` and `.consumer.` alike), or use the plain port 9092.",
        ],
        source: "NetworkReceive.readFrom, which allocates what the first four bytes say; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-TRUST",
        title: "the broker's certificate is not trusted",
        layer: Layer::KafkaLogin,
        signs: &[
            within(
                "PKIX path building failed",
                &["SslAuthenticationException", "SSL handshake failed"],
            ),
            within(
                "PKIX path validation failed",
                &["SslAuthenticationException", "SSL handshake failed"],
            ),
            within(
                "No subject alternative",
                &["SslAuthenticationException", "SSL handshake failed"],
            ),
        ],
        meaning: "TLS began and ended at the certificate. MSK's own are signed by Amazon's public authority, which Java trusts: here a proxy, another name or another cluster answers.",
        fix: &[
            "Use the names of GetBootstrapBrokers as they stand, or give the client the authority (`ssl.truststore.location`).",
        ],
        source: "sun.security.validator.ValidatorException under SslAuthenticationException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-TOPIC-RIGHTS",
        title: "the connector may not use topic {topic}",
        layer: Layer::KafkaRights,
        signs: &[
            sign("Not authorized to access topics: [{topic}]"),
            sign("TopicAuthorizationException: Topic authorization failed"),
            sign("Not authorized to create topic(s) '{topic}'"),
            sign("Not authorized to describe topic(s) '{topic}'"),
        ],
        meaning: "Authentication worked; the role's policy (or the ACLs) has not the action on this topic.",
        fix: &[
            "In the role's policy: Allow kafka-cluster:DescribeTopic, kafka-cluster:WriteData, kafka-cluster:ReadData (and CreateTopic where the topic doesn't exist) on …:topic/<cluster>/<uuid>/{topic}.",
            "Debezium's topics: `{topic.prefix}`, `{topic.prefix}.*`, `__debezium-heartbeat.{topic.prefix}`, and the schema history.",
        ],
        source: "org.apache.kafka.common.errors.TopicAuthorizationException; TopicAdmin; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-CLUSTER-RIGHTS",
        title: "the connector may not use the cluster as it wants to",
        layer: Layer::KafkaRights,
        signs: &[
            sign("ClusterAuthorizationException: Cluster authorization failed"),
            sign("ClusterAuthorizationException: {what}"),
            sign("TransactionalIdAuthorizationException"),
        ],
        meaning: "Authentication worked; an action on the cluster itself is missing: an idempotent producer needs WriteDataIdempotently, creating topics CreateTopic.",
        fix: &[
            "In the role's policy: Allow kafka-cluster:WriteDataIdempotently, kafka-cluster:DescribeCluster on the cluster's ARN, or `producer.enable.idempotence` = `false` in the worker configuration.",
        ],
        source: "org.apache.kafka.common.errors.ClusterAuthorizationException; MSK guide, \"IAM access control\"",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-GROUP-RIGHTS",
        title: "the connector may not use group {group}",
        layer: Layer::KafkaRights,
        signs: &[
            sign("Not authorized to access group: {group}"),
            sign("GroupAuthorizationException"),
        ],
        meaning: "Authentication worked; the role's policy (or the ACLs) lacks the group. Debezium reads its schema history as group `{topic.prefix}-schemahistory`, and needs it only when it starts *again*.",
        fix: &[
            "In the role's policy: Allow kafka-cluster:AlterGroup, kafka-cluster:DescribeGroup on …:group/<cluster>/<uuid>/{group}.",
        ],
        source: "org.apache.kafka.common.errors.GroupAuthorizationException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-REPLICATION",
        title: "the topic's replication factor is larger than the number of brokers",
        layer: Layer::KafkaTopics,
        signs: &[
            sign(
                "The target replication factor of {wanted} cannot be reached because only {brokers} broker(s) are registered",
            ),
            sign("Replication factor: {wanted} larger than available brokers: {brokers}"),
            sign("InvalidReplicationFactorException"),
        ],
        meaning: "{wanted} copies of a topic were asked for, and the cluster has {brokers} brokers.",
        fix: &[
            "Set `topic.creation.default.replication.factor` (and the worker's `*.storage.replication.factor`) to {brokers} or less, or to -1 for the cluster's default.",
        ],
        source: "org.apache.kafka.common.errors.InvalidReplicationFactorException (ReplicationControlManager, AdminUtils); recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-NOT-CREATED",
        title: "the worker could not create its topics",
        layer: Layer::KafkaTopics,
        signs: &[sign("Timeout expired while trying to create topic(s)")],
        rank: Rank::Symptom,
        meaning: "Creating a topic was tried again until the time was over. The log doesn't say why (only at DEBUG): nearly always a replication factor larger than the number of brokers.",
        fix: &[
            "Set `config.storage.replication.factor`, `offset.storage.replication.factor` and `status.storage.replication.factor` to the number of brokers or less, or to -1.",
            "Otherwise create the topics by hand: the answer then says what is wrong.",
        ],
        source: "org.apache.kafka.connect.util.TopicAdmin.createOrFindTopics, createTopicsWithRetry; recorded",
        ..super::KNOWN
    },
    Known {
        // That metadata tells `UNKNOWN_TOPIC_OR_PARTITION` is no sign: so it does for a second after each topic was created.
        code: "C-KAFKA-NO-TOPIC",
        title: "topic {topic} does not exist, and nothing creates it",
        layer: Layer::KafkaTopics,
        signs: &[
            sign("Topic {topic} not present in metadata after"),
            // An admin client meets it in the second after a topic was created, and asks again.
            without(
                "UnknownTopicOrPartitionException: This server does not host this topic-partition",
                &["Received unknown topic error for topic"],
            ),
        ],
        heals: true,
        meaning: "The brokers answered and know no such topic. MSK has `auto.create.topics.enable` off by default, and Connect creates topics only with `topic.creation.default.replication.factor` and `.partitions` in the connector.",
        fix: &[
            "Create {topic}, or set `topic.creation.default.replication.factor` and `topic.creation.default.partitions` in the connector.",
        ],
        source: "KafkaProducer.waitOnMetadata, NetworkClient.handleCompletedMetadataResponse; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-TOO-LARGE",
        title: "a record is larger than what is allowed",
        layer: Layer::KafkaTopics,
        signs: &[
            sign(
                "The message is {size} bytes when serialized which is larger than {limit}, which is the value of the max.request.size",
            ),
            sign(
                "The request included a message larger than the max message size the server will accept",
            ),
            sign("RecordTooLargeException"),
        ],
        meaning: "A row with its before and after is one record. The producer's limit is `max.request.size` (1 MiB by default), the topic's `max.message.bytes`, the broker's `message.max.bytes`; all have to allow it. The task doesn't go past the row.",
        fix: &[
            "Connector: `producer.override.max.request.size` = 8388608 (and `producer.override.buffer.memory` not below it); topic: max.message.bytes = 8388608; consumers: `max.partition.fetch.bytes`.",
            "Or leave the column out: `column.exclude.list`.",
        ],
        source: "KafkaProducer.ensureValidRecordSize; org.apache.kafka.common.errors.RecordTooLargeException; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-KAFKA-COMPACT",
        title: "topic {topic} must be compacted",
        layer: Layer::KafkaTopics,
        signs: &[sign(
            "Topic '{topic}' supplied via the '{property}' property is required to have 'cleanup.policy=compact'",
        )],
        meaning: "Connect keeps offsets, configurations and states in topics whose old entries must not be deleted by age: they would be lost.",
        fix: &[
            "kafka-configs --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=compact, or name another topic in `{property}`.",
        ],
        source: "org.apache.kafka.connect.util.TopicAdmin.verifyTopicCleanupPolicyOnlyCompact; recorded",
        ..super::KNOWN
    },
];
