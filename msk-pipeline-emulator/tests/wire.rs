//! Every protocol's requests and answers against literal wire texts.

use bytes::Bytes;
use msk_pipeline_emulator::protocol;
use msk_pipeline_emulator::world::{AwsError, Reply, Request, Response, Settings, World};
use serde_json::{Value, json};

const NOW: u64 = 1_767_225_600_000;

fn signed(service: &str, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=00"
    );
    let mut all = vec![("authorization".to_owned(), authorization)];
    all.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: all,
        body: Bytes::from(body.to_owned()),
    }
}

fn form(service: &str, body: &str) -> Request {
    signed(service, "POST", "/", &[("content-type", "application/x-www-form-urlencoded")], body)
}

/// (operation, input, payload) of a request.
#[track_caller]
fn read(request: &Request) -> (String, Value, Bytes) {
    let target = protocol::target(request).unwrap_or_else(|e| panic!("{:?}", e.error));
    let input = protocol::input(&target, request).unwrap_or_else(|e| panic!("{e:?}"));
    (target.operation, input.value, input.body)
}

#[track_caller]
fn check(request: &Request, operation: &str, input: &Value) {
    let (read_operation, value, _) = read(request);
    assert_eq!(read_operation, operation);
    assert_eq!(&value, input);
}

fn answer(request: &Request, value: Value) -> Response {
    let target = protocol::target(request).unwrap_or_else(|e| panic!("{:?}", e.error));
    let foreign = protocol::output_problems(target.model, &target.operation, &value);
    assert!(foreign.is_empty(), "{foreign:?}");
    protocol::success(&target, &Reply { value, body: None }, "id")
}

fn refusal(request: &Request, error: &AwsError) -> Response {
    let target = protocol::target(request).unwrap_or_else(|e| panic!("{:?}", e.error));
    let protocol = target.model.metadata.protocol;
    protocol::error(
        protocol,
        Some(target.service),
        Some(target.model),
        error,
        "id",
        request.method == "HEAD",
    )
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).expect("text")
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

#[test]
fn every_answer_tells_the_time_of_the_world() {
    let mut world = World::new(Settings { region: "us-east-1".into(), ..Settings::default() });
    let requests = [
        signed("s3", "GET", "/", &[], ""),
        signed("s3", "GET", "/no-such-bucket/key", &[], ""),
        signed("nosuchservice", "GET", "/", &[], ""),
        form("sts", "Action=GetCallerIdentity&Version=2011-06-15"),
    ];
    for (n, request) in requests.iter().enumerate() {
        let response = world.handle(NOW + 61_999, request);
        assert_eq!(header(&response, "date"), Some("Thu, 01 Jan 2026 00:01:01 GMT"), "{n}");
    }
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

mod ec2 {
    use super::*;

    #[test]
    fn requests_flatten_every_list() {
        check(
            &form(
                "ec2",
                "Action=CreateSecurityGroup&Version=2016-11-15&GroupDescription=brokers%20of%20orders&GroupName=orders&VpcId=vpc-1\
                 &TagSpecification.1.ResourceType=security-group&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b",
            ),
            "CreateSecurityGroup",
            &json!({"Description": "brokers of orders", "GroupName": "orders", "VpcId": "vpc-1",
                "TagSpecifications": [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}]}),
        );
        check(
            &form(
                "ec2",
                "Action=AuthorizeSecurityGroupIngress&GroupId=sg-1&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=3306\
                 &IpPermissions.1.ToPort=3306&IpPermissions.1.Groups.1.GroupId=sg-2&IpPermissions.1.Groups.1.Description=connect\
                 &IpPermissions.2.IpProtocol=-1&IpPermissions.2.IpRanges.1.CidrIp=10.0.0.0%2F8\
                 &IpPermissions.2.Ipv6Ranges.1.CidrIpv6=%3A%3A%2F0&IpPermissions.2.PrefixListIds.1.PrefixListId=pl-1",
            ),
            "AuthorizeSecurityGroupIngress",
            &json!({"GroupId": "sg-1", "IpPermissions": [
                {"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306,
                 "UserIdGroupPairs": [{"GroupId": "sg-2", "Description": "connect"}]},
                {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
                 "Ipv6Ranges": [{"CidrIpv6": "::/0"}], "PrefixListIds": [{"PrefixListId": "pl-1"}]}]}),
        );
        check(
            &form(
                "ec2",
                "Action=DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc-2&SubnetId.1=subnet-1",
            ),
            "DescribeSubnets",
            &json!({"Filters": [{"Name": "vpc-id", "Values": ["vpc-1", "vpc-2"]}], "SubnetIds": ["subnet-1"]}),
        );
        check(
            &form(
                "ec2",
                "Action=CreateTags&ResourceId.1=sg-1&Tag.1.Key=k&Tag.1.Value=&Tag.10.Key=z&Tag.2.Key=y",
            ),
            "CreateTags",
            &json!({"Resources": ["sg-1"], "Tags": [{"Key": "k", "Value": ""}, {"Key": "y"}, {"Key": "z"}]}),
        );
        check(
            &form(
                "ec2",
                "Action=ModifySecurityGroupRules&GroupId=sg-1&SecurityGroupRule.1.SecurityGroupRuleId=sgr-1&SecurityGroupRule.1.SecurityGroupRule.CidrIpv4=0.0.0.0%2F0",
            ),
            "ModifySecurityGroupRules",
            &json!({"GroupId": "sg-1", "SecurityGroupRules": [
                {"SecurityGroupRuleId": "sgr-1", "SecurityGroupRule": {"CidrIpv4": "0.0.0.0/0"}}]}),
        );
    }

    #[test]
    fn answers_have_items_and_no_result_wrapper() {
        let response = answer(
            &form("ec2", "Action=DescribeVpcs"),
            json!({"Vpcs": [{"VpcId": "vpc-1", "IsDefault": true, "Tags": [{"Key": "a<b", "Value": "&"}]}]}),
        );
        assert_eq!(
            text(&response),
            format!(
                "{XML}<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>id</requestId>\
                 <vpcSet><item><isDefault>true</isDefault><tagSet><item><key>a&lt;b</key><value>&amp;</value></item></tagSet>\
                 <vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>"
            )
        );
        assert_eq!(header(&response, "x-amzn-requestid"), Some("id"));
    }

    #[test]
    fn errors() {
        let response = refusal(
            &form("ec2", "Action=DeleteSecurityGroup&GroupId=sg-1"),
            &AwsError::new("DependencyViolation", "resource sg-1 has a dependent object"),
        );
        assert_eq!(response.status, 400);
        assert_eq!(
            text(&response),
            format!(
                "{XML}<Response><Errors><Error><Code>DependencyViolation</Code><Message>resource sg-1 has a dependent object\
                 </Message></Error></Errors><RequestID>id</RequestID></Response>"
            )
        );
    }
}

mod query {
    use super::*;

    #[test]
    fn lists_have_their_models_names() {
        check(
            &form(
                "rds",
                "Action=CreateDBCluster&Version=2014-10-31&DBClusterIdentifier=orders&Engine=aurora-mysql\
                 &AvailabilityZones.AvailabilityZone.1=us-east-1a&VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-1\
                 &EnableCloudwatchLogsExports.member.1=audit&Tags.Tag.1.Key=k&Tags.Tag.1.Value=v\
                 &ServerlessV2ScalingConfiguration.MinCapacity=0.5&ServerlessV2ScalingConfiguration.MaxCapacity=2.0\
                 &TagSpecifications.item.1.Tags.Tag.1.Key=t&ManageMasterUserPassword=true&BackupRetentionPeriod=7",
            ),
            "CreateDBCluster",
            &json!({"DBClusterIdentifier": "orders", "Engine": "aurora-mysql", "AvailabilityZones": ["us-east-1a"],
                "VpcSecurityGroupIds": ["sg-1"], "EnableCloudwatchLogsExports": ["audit"],
                "Tags": [{"Key": "k", "Value": "v"}], "ManageMasterUserPassword": true, "BackupRetentionPeriod": 7,
                "TagSpecifications": [{"Tags": [{"Key": "t"}]}],
                "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 2.0}}),
        );
        check(
            &form("rds", "Action=ModifyDBCluster&DBClusterIdentifier=o&VpcSecurityGroupIds="),
            "ModifyDBCluster",
            &json!({"DBClusterIdentifier": "o", "VpcSecurityGroupIds": []}),
        );
        check(
            &form(
                "rds",
                "Action=DescribeDBInstances&Filters.Filter.1.Name=db-cluster-id&Filters.Filter.1.Values.Value.1=o",
            ),
            "DescribeDBInstances",
            &json!({"Filters": [{"Name": "db-cluster-id", "Values": ["o"]}]}),
        );
        check(
            &form("iam", "Action=TagRole&RoleName=r&Tags.member.1.Key=k&Tags.member.1.Value=v%20w"),
            "TagRole",
            &json!({"RoleName": "r", "Tags": [{"Key": "k", "Value": "v w"}]}),
        );
    }

    #[test]
    fn answers_are_double_wrapped() {
        let response = answer(
            &form("rds", "Action=CreateDBCluster&DBClusterIdentifier=o&Engine=aurora-mysql"),
            json!({"DBCluster": {"DBClusterIdentifier": "o", "ClusterCreateTime": NOW, "EnabledCloudwatchLogsExports": ["audit"],
                "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1", "Status": "active"}],
                "ServerlessV2ScalingConfiguration": {"MinCapacity": 2}, "TagList": []}}),
        );
        assert_eq!(
            text(&response),
            format!(
                "{XML}<CreateDBClusterResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><CreateDBClusterResult><DBCluster>\
                 <ClusterCreateTime>2026-01-01T00:00:00.000Z</ClusterCreateTime><DBClusterIdentifier>o</DBClusterIdentifier>\
                 <EnabledCloudwatchLogsExports><member>audit</member></EnabledCloudwatchLogsExports>\
                 <ServerlessV2ScalingConfiguration><MinCapacity>2.0</MinCapacity></ServerlessV2ScalingConfiguration><TagList/>\
                 <VpcSecurityGroups><VpcSecurityGroupMembership><Status>active</Status><VpcSecurityGroupId>sg-1</VpcSecurityGroupId>\
                 </VpcSecurityGroupMembership></VpcSecurityGroups></DBCluster></CreateDBClusterResult>\
                 <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></CreateDBClusterResponse>"
            )
        );
        let response = answer(&form("iam", "Action=DeleteRole&RoleName=r"), Value::Null);
        assert_eq!(
            text(&response),
            format!(
                "{XML}<DeleteRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>id\
                 </RequestId></ResponseMetadata></DeleteRoleResponse>"
            )
        );
    }

    #[test]
    fn errors_take_their_status_from_the_model() {
        let response = refusal(
            &form("rds", "Action=DescribeDBClusters"),
            &AwsError::new("DBClusterNotFoundFault", "DBCluster o not found."),
        );
        assert_eq!(response.status, 404);
        assert_eq!(
            text(&response),
            "<ErrorResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><Error><Type>Sender</Type>\
             <Code>DBClusterNotFoundFault</Code><Message>DBCluster o not found.</Message></Error><RequestId>id</RequestId></ErrorResponse>"
        );
    }
}

mod aws_json {
    use super::*;

    fn call(operation: &str, body: &str) -> Request {
        let service = if operation.starts_with("Logs") { "logs" } else { "secretsmanager" };
        signed(
            service,
            "POST",
            "/",
            &[("x-amz-target", operation), ("content-type", "application/x-amz-json-1.1")],
            body,
        )
    }

    #[test]
    fn the_target_names_the_operation() {
        check(
            &call(
                "Logs_20140328.CreateLogGroup",
                r#"{"logGroupName":"/msk/orders","tags":{"a":"b"},"kmsKeyId":null}"#,
            ),
            "CreateLogGroup",
            &json!({"logGroupName": "/msk/orders", "tags": {"a": "b"}}),
        );
    }

    #[test]
    fn answers_have_epoch_seconds_but_logs_have_millis() {
        let response = answer(
            &call("secretsmanager.DescribeSecret", r#"{"SecretId":"s"}"#),
            json!({"Name": "s", "CreatedDate": NOW + 500}),
        );
        assert_eq!(text(&response), r#"{"CreatedDate":1767225600.5,"Name":"s"}"#);
        let response = answer(
            &call("Logs_20140328.DescribeLogGroups", "{}"),
            json!({"logGroups": [{"logGroupName": "g", "creationTime": NOW}]}),
        );
        assert_eq!(
            text(&response),
            r#"{"logGroups":[{"creationTime":1767225600000,"logGroupName":"g"}]}"#
        );
        assert_eq!(header(&response, "content-type"), Some("application/x-amz-json-1.1"));
    }

    #[test]
    fn errors_are_in_header_and_body() {
        let response = refusal(
            &call("Logs_20140328.DeleteLogGroup", r#"{"logGroupName":"g"}"#),
            &AwsError::new("ResourceNotFoundException", "The specified log group does not exist."),
        );
        assert_eq!(response.status, 400);
        assert_eq!(header(&response, "x-amzn-errortype"), Some("ResourceNotFoundException"));
        assert_eq!(
            text(&response),
            r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#
        );
    }
}

mod rest_json {
    use super::*;

    const ARN: &str = "arn:aws:kafka:us-east-1:111111111111:cluster/orders/0f2b-1";
    const ENCODED: &str =
        "arn%3Aaws%3Akafka%3Aus-east-1%3A111111111111%3Acluster%2Forders%2F0f2b-1";

    #[test]
    fn labels_may_be_encoded_or_not() {
        for arn in [ARN, ENCODED] {
            check(
                &signed("kafka", "GET", &format!("/v1/clusters/{arn}"), &[], ""),
                "DescribeCluster",
                &json!({"ClusterArn": ARN}),
            );
            check(
                &signed(
                    "kafka",
                    "PUT",
                    &format!("/v1/clusters/{arn}/nodes/count"),
                    &[],
                    r#"{"currentVersion":"K1","targetNumberOfBrokerNodes":6}"#,
                ),
                "UpdateBrokerCount",
                &json!({"ClusterArn": ARN, "CurrentVersion": "K1", "TargetNumberOfBrokerNodes": 6}),
            );
            check(
                &signed(
                    "kafka",
                    "GET",
                    &format!("/v1/clusters/{arn}/topics/orders.shop/partitions?maxResults=5"),
                    &[],
                    "",
                ),
                "DescribeTopicPartitions",
                &json!({"ClusterArn": ARN, "TopicName": "orders.shop", "MaxResults": 5}),
            );
            check(
                &signed(
                    "kafka",
                    "DELETE",
                    &format!("/v1/tags/{arn}?tagKeys=a&tagKeys=b%20c"),
                    &[],
                    "",
                ),
                "UntagResource",
                &json!({"ResourceArn": ARN, "TagKeys": ["a", "b c"]}),
            );
        }
    }

    #[test]
    fn bodies_have_location_names() {
        let (operation, input, _) = read(&signed(
            "kafka",
            "POST",
            "/api/v2/clusters",
            &[],
            r#"{"clusterName":"orders","tags":{"Team":"data"},"provisioned":{"kafkaVersion":"3.9.x.kraft","numberOfBrokerNodes":3,
                "brokerNodeGroupInfo":{"instanceType":"kafka.m7g.large","clientSubnets":["subnet-1"]}}}"#,
        ));
        assert_eq!(operation, "CreateClusterV2");
        assert_eq!(
            input["Provisioned"]["BrokerNodeGroupInfo"]["ClientSubnets"],
            json!(["subnet-1"])
        );
        assert_eq!(input["Tags"], json!({"Team": "data"}));
        let (operation, input, _) = read(&signed(
            "kafkaconnect",
            "GET",
            "/v1/connectors?connectorNamePrefix=o&maxResults=2",
            &[],
            "",
        ));
        assert_eq!(operation, "ListConnectors");
        assert_eq!(input, json!({"connectorNamePrefix": "o", "maxResults": 2}));
    }

    #[test]
    fn answers_have_iso_times_and_double_broker_ids() {
        let response = answer(
            &signed("kafka", "GET", &format!("/v1/clusters/{ENCODED}/nodes"), &[], ""),
            json!({"NodeInfoList": [{"NodeType": "BROKER", "BrokerNodeInfo": {"BrokerId": 1}}]}),
        );
        assert_eq!(
            text(&response),
            r#"{"nodeInfoList":[{"brokerNodeInfo":{"brokerId":1.0},"nodeType":"BROKER"}]}"#
        );
        let response = answer(
            &signed("kafka", "GET", &format!("/v1/clusters/{ENCODED}"), &[], ""),
            json!({"ClusterInfo": {"CreationTime": NOW, "State": "CREATING"}}),
        );
        assert_eq!(
            text(&response),
            r#"{"clusterInfo":{"creationTime":"2026-01-01T00:00:00.000Z","state":"CREATING"}}"#
        );
        let tags = signed("kafka", "POST", &format!("/v1/tags/{ENCODED}"), &[], r#"{"tags":{}}"#);
        let response = answer(&tags, Value::Null);
        assert_eq!((response.status, response.body.len()), (204, 0));
        let tags = signed("kafkaconnect", "POST", "/v1/tags/arn%3Aaws", &[], r#"{"tags":{}}"#);
        let response = answer(&tags, Value::Null);
        assert_eq!((response.status, text(&response)), (200, "{}".to_owned()));
    }

    #[test]
    fn errors_of_kafka_name_the_parameter() {
        let response = refusal(
            &signed("kafka", "GET", &format!("/v1/clusters/{ENCODED}"), &[], ""),
            &AwsError::new("NotFoundException", "no such cluster")
                .with("invalidParameter", "clusterArn"),
        );
        assert_eq!(response.status, 404);
        assert_eq!(header(&response, "x-amzn-errortype"), Some("NotFoundException"));
        assert_eq!(
            text(&response),
            r#"{"invalidParameter":"clusterArn","message":"no such cluster"}"#
        );
    }
}

mod rest_xml {
    use super::*;

    #[test]
    fn sub_resources_select_the_operation() {
        let operation = |method: &str, uri: &str| {
            let request = signed("s3", method, uri, &[], "");
            protocol::target(&request)
                .unwrap_or_else(|e| panic!("{method} {uri} {:?}", e.error))
                .operation
        };
        for (method, uri, expected) in [
            ("GET", "/", "ListBuckets"),
            ("GET", "/?x-id=ListBuckets", "ListBuckets"),
            ("PUT", "/bkt", "CreateBucket"),
            ("PUT", "/bkt/", "CreateBucket"),
            ("HEAD", "/bkt/", "HeadBucket"),
            ("PUT", "/bkt/?versioning", "PutBucketVersioning"),
            ("GET", "/bkt/?versions&prefix=p", "ListObjectVersions"),
            ("GET", "/bkt/?list-type=2", "ListObjectsV2"),
            ("GET", "/bkt/?location", "GetBucketLocation"),
            ("POST", "/bkt/?delete", "DeleteObjects"),
            ("POST", "/bkt/k?uploads", "CreateMultipartUpload"),
            ("GET", "/bkt/?uploads", "ListMultipartUploads"),
            ("PUT", "/bkt/a/b?x-id=UploadPart&partNumber=1&uploadId=u", "UploadPart"),
            ("PUT", "/bkt/a/b?partNumber=1&uploadId=u", "UploadPart"),
            ("POST", "/bkt/k?uploadId=u", "CompleteMultipartUpload"),
            ("DELETE", "/bkt/k?uploadId=u", "AbortMultipartUpload"),
            ("DELETE", "/bkt/k?versionId=v&x-id=DeleteObject", "DeleteObject"),
            ("GET", "/bkt/k?uploadId=u", "ListParts"),
            ("PUT", "/bkt/k?x-id=PutObject", "PutObject"),
            ("GET", "/bkt/k?tagging", "GetObjectTagging"),
            ("GET", "/bkt/?tagging", "GetBucketTagging"),
            ("GET", "/bkt/?acl", "GetBucketAcl"),
            ("PUT", "/bkt/k?acl", "PutObjectAcl"),
        ] {
            assert_eq!(operation(method, uri), expected, "{method} {uri}");
        }
        let hosted = signed("s3", "GET", "/a/b", &[("host", "bkt.s3.us-east-1.amazonaws.com")], "");
        check(&hosted, "GetObject", &json!({"Bucket": "bkt", "Key": "a/b"}));
        let hosted = signed("s3", "GET", "/?list-type=2", &[("host", "bkt.localhost:4566")], "");
        check(&hosted, "ListObjectsV2", &json!({"Bucket": "bkt"}));
        let copy = signed("s3", "PUT", "/bkt/k", &[("x-amz-copy-source", "a/b")], "");
        assert_eq!(
            protocol::target(&copy).map(|t| t.operation).ok().as_deref(),
            Some("CopyObject")
        );
    }

    #[test]
    fn bodies_and_keys() {
        check(
            &signed(
                "s3",
                "PUT",
                "/bkt/",
                &[],
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>eu-west-1</LocationConstraint><Tags><Tag><Key>a&amp;b</Key><Value>&#65;</Value></Tag></Tags></CreateBucketConfiguration>",
            ),
            "CreateBucket",
            &json!({"Bucket": "bkt", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1", "Tags": [{"Key": "a&b", "Value": "A"}]}}),
        );
        check(
            &signed(
                "s3",
                "POST",
                "/bkt/?delete",
                &[],
                "<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object><Object><Key>b</Key></Object><Quiet>true</Quiet></Delete>",
            ),
            "DeleteObjects",
            &json!({"Bucket": "bkt", "Delete": {"Objects": [{"Key": "a", "VersionId": "null"}, {"Key": "b"}], "Quiet": true}}),
        );
        check(
            &signed(
                "s3",
                "GET",
                "/bkt/plugins/a%20b%2Bc%2F.zip?versionId=v1",
                &[("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")],
                "",
            ),
            "GetObject",
            &json!({"Bucket": "bkt", "Key": "plugins/a b+c/.zip", "VersionId": "v1", "IfModifiedSince": NOW}),
        );
        check(
            &signed("s3", "PUT", "/bkt/?policy", &[], "{\"Statement\":[]}"),
            "PutBucketPolicy",
            &json!({"Bucket": "bkt", "Policy": "{\"Statement\":[]}"}),
        );
    }

    #[test]
    fn chunked_uploads_are_decoded_and_their_trailer_checked() {
        let upload = |checksum: &str| {
            signed(
                "s3",
                "PUT",
                "/bkt/k?x-id=PutObject",
                &[
                    ("content-encoding", "aws-chunked"),
                    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
                    ("x-amz-decoded-content-length", "5"),
                    ("x-amz-meta-lineage", "l-1"),
                    ("if-none-match", "*"),
                ],
                &format!(
                    "5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:{checksum}\r\nx-amz-trailer-signature:ef\r\n\r\n"
                ),
            )
        };
        let (_, input, body) = read(&upload("NhCmhg=="));
        assert_eq!(&body[..], b"hello");
        assert_eq!(
            input,
            json!({"Bucket": "bkt", "Key": "k", "ChecksumCRC32": "NhCmhg==", "ContentLength": 5, "IfNoneMatch": "*", "Metadata": {"lineage": "l-1"}})
        );
        let wrong = upload("AAAAAA==");
        let target = protocol::target(&wrong).unwrap_or_else(|e| panic!("{:?}", e.error));
        assert_eq!(protocol::input(&target, &wrong).expect_err("refused").code, "BadDigest");
    }

    #[test]
    fn answers_have_the_roots_that_clients_ask_for() {
        let get = |uri: &str| signed("s3", "GET", uri, &[], "");
        let ns = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        let response = answer(&get("/bkt/?versioning"), json!({"Status": "Enabled"}));
        assert_eq!(
            text(&response),
            format!(
                "{XML}<VersioningConfiguration {ns}><Status>Enabled</Status></VersioningConfiguration>"
            )
        );
        let response = answer(&get("/bkt/?versioning"), json!({}));
        assert_eq!(text(&response), format!("{XML}<VersioningConfiguration {ns}/>"));
        let response = answer(&get("/bkt/?location"), json!({"LocationConstraint": "eu-west-1"}));
        assert_eq!(
            text(&response),
            format!("{XML}<LocationConstraint {ns}>eu-west-1</LocationConstraint>")
        );
        let response = answer(
            &get("/bkt/?list-type=2"),
            json!({"Name": "bkt", "Contents": [{"Key": "a", "Size": 1, "LastModified": NOW}, {"Key": "b"}], "IsTruncated": false}),
        );
        assert_eq!(
            text(&response),
            format!(
                "{XML}<ListBucketResult {ns}><Contents><Key>a</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents><Contents><Key>b</Key></Contents><IsTruncated>false</IsTruncated><Name>bkt</Name></ListBucketResult>"
            )
        );
        let response =
            answer(&get("/bkt/?tagging"), json!({"TagSet": [{"Key": "k", "Value": "v"}]}));
        assert_eq!(
            text(&response),
            format!(
                "{XML}<Tagging {ns}><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
            )
        );
        let response = answer(
            &get("/bkt/?publicAccessBlock"),
            json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true}}),
        );
        assert_eq!(
            text(&response),
            format!(
                "{XML}<PublicAccessBlockConfiguration {ns}><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
            )
        );
        let response = answer(&get("/bkt/?policy"), json!({"Policy": "{}"}));
        assert_eq!(text(&response), "{}");
    }

    #[test]
    fn objects_travel_in_body_and_headers() {
        let request = signed("s3", "HEAD", "/bkt/k", &[], "");
        let response = answer(
            &request,
            json!({"ETag": "\"e\"", "ContentLength": 5, "LastModified": NOW, "VersionId": "v", "Metadata": {"lineage": "l"}}),
        );
        assert_eq!(header(&response, "etag"), Some("\"e\""));
        assert_eq!(header(&response, "content-length"), Some("5"));
        assert_eq!(header(&response, "last-modified"), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
        assert_eq!(header(&response, "x-amz-version-id"), Some("v"));
        assert_eq!(header(&response, "x-amz-meta-lineage"), Some("l"));
        assert_eq!(header(&response, "x-amz-request-id"), Some("id"));
        assert!(response.body.is_empty());
    }

    #[test]
    fn the_length_of_a_returned_object_is_that_of_its_body() {
        let request = signed("s3", "GET", "/bkt/k", &[("range", "bytes=0-1")], "");
        let target = protocol::target(&request).unwrap_or_else(|e| panic!("{:?}", e.error));
        let reply =
            Reply { value: json!({"ContentLength": 5}), body: Some(Bytes::from_static(b"he")) };
        let response = protocol::success(&target, &reply, "id");
        assert_eq!(
            (header(&response, "content-length"), &response.body[..]),
            (Some("2"), &b"he"[..])
        );
    }

    #[test]
    fn errors_are_bare_and_silent_on_head() {
        let error =
            AwsError::new("NoSuchKey", "The specified key does not exist.").with("Key", "k");
        let response = refusal(&signed("s3", "GET", "/bkt/k", &[], ""), &error);
        assert_eq!(response.status, 404);
        assert_eq!(
            text(&response),
            format!(
                "{XML}<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k</Key><RequestId>id</RequestId><HostId>id</HostId></Error>"
            )
        );
        let response = refusal(&signed("s3", "HEAD", "/bkt/k", &[], ""), &error);
        assert_eq!((response.status, response.body.len()), (404, 0));
        let response = refusal(
            &signed("s3", "PUT", "/bkt/k", &[], ""),
            &AwsError::new("PreconditionFailed", ""),
        );
        assert_eq!(response.status, 412);
    }
}

mod validation {
    use super::*;

    #[track_caller]
    fn refused(request: &Request) -> AwsError {
        let target = protocol::target(request).unwrap_or_else(|e| panic!("{:?}", e.error));
        let input = protocol::input(&target, request).unwrap_or_else(|e| panic!("{e:?}"));
        let problems = protocol::problems(&target, &input);
        assert!(!problems.is_empty(), "{}", input.value);
        protocol::invalid(target.service, &problems)
    }

    #[test]
    fn each_service_has_its_own_code() {
        let error = refused(&signed("kafka", "POST", "/v1/configurations", &[], r#"{"name":"a"}"#));
        assert_eq!(error.code, "BadRequestException");
        assert_eq!(error.extra["invalidParameter"], "serverProperties");

        let error =
            refused(&signed("kafkaconnect", "GET", "/v1/connectors?maxResults=101", &[], ""));
        assert_eq!(error.code, "BadRequestException");

        let create = [("x-amz-target", "Logs_20140328.CreateLogGroup")];
        let error = refused(&signed("logs", "POST", "/", &create, r#"{"logGroupName":"a b"}"#));
        assert_eq!(error.code, "InvalidParameterException");
        assert_eq!(
            error.message,
            "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        );

        let error = refused(&form("ec2", "Action=CreateSecurityGroup&GroupName=a"));
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("MissingParameter", "The request must contain the parameter GroupDescription")
        );

        let error = refused(&form("iam", "Action=GetRole&RoleName=a%20b"));
        assert_eq!(error.code, "ValidationError");
        assert!(error.message.contains("Value 'a b' at 'roleName'"), "{}", error.message);

        let error = refused(&form("rds", "Action=CreateDBCluster&Engine=aurora-mysql"));
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("MissingParameter", "The request must contain the parameter DBClusterIdentifier")
        );

        let error = refused(&signed("s3", "PUT", "/bkt/?versioning", &[], ""));
        assert_eq!(error.code, "MalformedXML");
    }

    #[test]
    fn more_brokers_than_the_model_allows_are_fine() {
        let count = signed(
            "kafka",
            "PUT",
            "/v1/clusters/arn%3Aa/nodes/count",
            &[],
            r#"{"currentVersion":"K1","targetNumberOfBrokerNodes":30}"#,
        );
        let target = protocol::target(&count).unwrap_or_else(|e| panic!("{:?}", e.error));
        let input = protocol::input(&target, &count).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(protocol::problems(&target, &input), []);
    }

    #[test]
    fn what_can_not_be_read_is_malformed() {
        let malformed = |request: &Request| {
            let target = protocol::target(request).unwrap_or_else(|e| panic!("{:?}", e.error));
            protocol::input(&target, request).expect_err("refused").code
        };
        let create = [("x-amz-target", "Logs_20140328.PutRetentionPolicy")];
        assert_eq!(malformed(&signed("logs", "POST", "/", &create, "{")), "SerializationException");
        let body = r#"{"logGroupName":"g","retentionInDays":"many"}"#;
        assert_eq!(
            malformed(&signed("logs", "POST", "/", &create, body)),
            "SerializationException"
        );
        assert_eq!(
            malformed(&signed("kafka", "POST", "/v1/clusters", &[], "[]")),
            "BadRequestException"
        );
        assert_eq!(
            malformed(&form("rds", "Action=DescribeDBClusters&MaxRecords=x")),
            "InvalidParameterValue"
        );
        assert_eq!(
            malformed(&signed("s3", "PUT", "/bkt/?versioning", &[], "<Other/>")),
            "MalformedXML"
        );
        assert_eq!(
            malformed(&signed("s3", "PUT", "/bkt/?versioning", &[], "<a><b></a>")),
            "MalformedXML"
        );
    }
}

mod world {
    use super::*;

    #[test]
    fn the_caller_is_the_account() {
        let mut world = World::new(Settings::default());
        let response =
            world.handle(NOW, &form("sts", "Action=GetCallerIdentity&Version=2011-06-15"));
        assert_eq!((response.status, response.changed), (200, false));
        assert!(text(&response).contains("<GetCallerIdentityResult>"), "{}", text(&response));
        assert!(text(&response).contains("<Account>111111111111</Account>"));
        let again = world.handle(NOW, &form("sts", "Action=GetCallerIdentity&Version=2011-06-15"));
        assert_eq!(again.body, response.body);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let mut world = World::new(Settings::default());
        for (request, name) in [
            (form("ec2", "Action=RunInstances"), "RunInstances"),
            (
                signed("logs", "POST", "/", &[("x-amz-target", "Logs_20140328.StartQuery")], "{}"),
                "StartQuery",
            ),
            (signed("kafka", "GET", "/v1/vpc-connections", &[], ""), "ListVpcConnections"),
            (signed("s3", "GET", "/bkt/?acl", &[], ""), "GetBucketAcl"),
            (form("sts", "Action=AssumeRole"), "AssumeRole"),
        ] {
            let response = world.handle(NOW, &request);
            assert_eq!((response.status, response.changed), (501, false), "{name}");
            let code = header(&response, "x-amzn-errortype") == Some("NotImplemented");
            assert!(
                code || text(&response).contains("<Code>NotImplemented</Code>"),
                "{}",
                text(&response)
            );
            assert!(text(&response).contains(name), "{}", text(&response));
        }
    }

    #[test]
    fn no_credentials_no_answer() {
        let mut world = World::new(Settings::default());
        let mut request = form("sts", "Action=GetCallerIdentity");
        request.headers.retain(|(n, _)| n != "authorization");
        let response = world.handle(NOW, &request);
        assert_eq!(response.status, 403);
        assert!(text(&response).contains("<Code>MissingAuthenticationToken</Code>"));
        let mut presigned = signed(
            "s3",
            "GET",
            "/bkt/k?X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
            &[],
            "",
        );
        presigned.headers.clear();
        assert_eq!(
            protocol::target(&presigned).map(|t| t.operation).ok().as_deref(),
            Some("GetObject")
        );
    }

    #[test]
    fn another_region_is_refused() {
        let mut world = World::new(Settings { region: "eu-west-1".into(), ..Settings::default() });
        let response = world.handle(NOW, &form("rds", "Action=DescribeDBClusters"));
        assert_eq!(response.status, 403);
        assert!(text(&response).contains("<Code>SignatureDoesNotMatch</Code>"));
        assert_eq!(world.handle(NOW, &form("sts", "Action=GetCallerIdentity")).status, 200);
    }
}
