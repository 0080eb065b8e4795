"""Calls a few operations of each protocol through boto3 and prints what does not go as it should.

An operation that answers 501 NotImplemented counts as "not there yet" and is listed, not failed. Each check is a function of
a client of its service, and of more clients by the names of its parameters.
"""
import base64
import inspect
import subprocess
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHECKS = []


def check(service):
    def register(function):
        CHECKS.append((service, function))
        return function
    return register


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        if found == "NotImplemented":
            raise
        assert found == code, f"{found} instead of {code}: {error}"
        return error
    raise AssertionError(f"{call} was not refused with {code}")


@check("sts")
def caller(sts):
    answer = sts.get_caller_identity()
    assert answer["Account"] == "111111111111", answer
    assert answer["ResponseMetadata"]["RequestId"], answer


@check("ec2")
def groups(ec2):
    vpc = ec2.describe_vpcs(Filters=[{"Name": "state", "Values": ["available"]}])["Vpcs"][0]["VpcId"]
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "Team", "Value": "a & <b>"}]}]
    group = ec2.create_security_group(GroupName="boto", Description="d", VpcId=vpc, TagSpecifications=tags)["GroupId"]
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert found[0]["Tags"] == [{"Key": "Team", "Value": "a & <b>"}], found
    permission = {"IpProtocol": "tcp", "FromPort": 9098, "ToPort": 9098, "UserIdGroupPairs": [{"GroupId": group}]}
    rules = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"]
    assert rules[0]["FromPort"] == 9098, rules
    refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission])
    ec2.delete_security_group(GroupId=group)
    refused("InvalidGroup.NotFound", ec2.delete_security_group, GroupId=group)


@check("iam")
def roles(iam):
    trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"kafkaconnect.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    iam.create_role(RoleName="boto", AssumeRolePolicyDocument=trust, Tags=[{"Key": "a", "Value": "b"}])
    role = iam.get_role(RoleName="boto")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Effect"] == "Allow", role
    refused("EntityAlreadyExists", iam.create_role, RoleName="boto", AssumeRolePolicyDocument=trust)
    iam.delete_role(RoleName="boto")
    refused("NoSuchEntity", iam.get_role, RoleName="boto")


@check("logs")
def log_groups(logs):
    logs.create_log_group(logGroupName="/boto/g", tags={"a": "b"})
    logs.put_retention_policy(logGroupName="/boto/g", retentionInDays=14)
    group = logs.describe_log_groups(logGroupNamePrefix="/boto/g")["logGroups"][0]
    assert group["retentionInDays"] == 14, group
    refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName="/boto/g")
    logs.delete_log_group(logGroupName="/boto/g")


@check("secretsmanager")
def secrets(secretsmanager):
    secretsmanager.create_secret(Name="boto", SecretString='{"password":"p"}')
    assert secretsmanager.get_secret_value(SecretId="boto")["SecretString"] == '{"password":"p"}'
    secretsmanager.delete_secret(SecretId="boto", ForceDeleteWithoutRecovery=True)
    refused("ResourceNotFoundException", secretsmanager.get_secret_value, SecretId="boto-none")


@check("s3")
def objects(s3):
    s3.create_bucket(Bucket="boto-bucket")
    s3.put_bucket_versioning(Bucket="boto-bucket", VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket="boto-bucket")["Status"] == "Enabled"
    put = s3.put_object(Bucket="boto-bucket", Key="a b/ü+c", Body=b"hello", Metadata={"lineage": "l"})
    got = s3.get_object(Bucket="boto-bucket", Key="a b/ü+c", VersionId=put["VersionId"])
    assert (got["Body"].read(), got["Metadata"]) == (b"hello", {"lineage": "l"}), got
    refused("PreconditionFailed", s3.put_object, Bucket="boto-bucket", Key="a b/ü+c", Body=b"x", IfNoneMatch="*")
    refused("NoSuchKey", s3.get_object, Bucket="boto-bucket", Key="none")
    refused("404", s3.head_object, Bucket="boto-bucket", Key="none")
    listed = s3.list_objects_v2(Bucket="boto-bucket")["Contents"]
    assert [o["Key"] for o in listed] == ["a b/ü+c"], listed
    upload = s3.create_multipart_upload(Bucket="boto-bucket", Key="m")["UploadId"]
    part = s3.upload_part(Bucket="boto-bucket", Key="m", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket="boto-bucket", Key="m", UploadId=upload, MultipartUpload=parts)
    versions = s3.list_object_versions(Bucket="boto-bucket")["Versions"]
    gone = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions]
    assert len(s3.delete_objects(Bucket="boto-bucket", Delete={"Objects": gone})["Deleted"]) == 2
    s3.delete_bucket(Bucket="boto-bucket")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="boto-bucket")


@check("kafka")
def configurations(kafka):
    made = kafka.create_configuration(Name="boto", ServerProperties=b"min.insync.replicas=2\n")
    revision = kafka.describe_configuration_revision(Arn=made["Arn"], Revision=1)
    assert revision["ServerProperties"] == b"min.insync.replicas=2\n", revision
    assert made["CreationTime"].year >= 2026, made
    refused("ConflictException", kafka.create_configuration, Name="boto", ServerProperties=b"")
    refused("NotFoundException", kafka.describe_cluster_v2, ClusterArn=made["Arn"].replace("configuration/boto", "cluster/none"))


@check("kafka")
def clusters(kafka, ec2):
    subnets, zones = [], set()
    for subnet in ec2.describe_subnets()["Subnets"]:
        if len(zones) < 3 and subnet["AvailabilityZoneId"] not in zones and not subnet["MapPublicIpOnLaunch"]:
            zones.add(subnet["AvailabilityZoneId"])
            subnets.append(subnet)
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]}])["SecurityGroups"][0]
    nodes = {"InstanceType": "kafka.m7g.large", "ClientSubnets": [s["SubnetId"] for s in subnets],
             "SecurityGroups": [group["GroupId"]]}
    made = kafka.create_cluster_v2(ClusterName="boto", Tags={"a": "b"}, Provisioned={
        "KafkaVersion": "3.9.x.kraft", "NumberOfBrokerNodes": len(subnets), "BrokerNodeGroupInfo": nodes})
    found = kafka.describe_cluster_v2(ClusterArn=made["ClusterArn"])["ClusterInfo"]
    assert (found["State"], found["Tags"]) == ("CREATING", {"a": "b"}), found
    error = refused("BadRequestException", kafka.update_broker_count, ClusterArn=made["ClusterArn"],
                    CurrentVersion=found.get("CurrentVersion", "K1"), TargetNumberOfBrokerNodes=2 * len(subnets))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
    assert kafka.list_clusters_v2(ClusterNameFilter="bot")["ClusterInfoList"][0]["ClusterName"] == "boto"
    assert kafka.describe_cluster(ClusterArn=made["ClusterArn"])["ClusterInfo"]["ClusterName"] == "boto"


@check("kafkaconnect")
def worker_configurations(kafkaconnect):
    converter = "org.apache.kafka.connect.json.JsonConverter"
    properties = f"key.converter={converter}\nvalue.converter={converter}\n"
    content = base64.b64encode(properties.encode()).decode()
    made = kafkaconnect.create_worker_configuration(name="boto", propertiesFileContent=content)
    listed = kafkaconnect.list_worker_configurations()["workerConfigurations"]
    assert listed[0]["workerConfigurationArn"] == made["workerConfigurationArn"], listed
    kafkaconnect.delete_worker_configuration(workerConfigurationArn=made["workerConfigurationArn"])


@check("rds")
def parameter_groups(rds):
    group = {"DBClusterParameterGroupName": "boto"}
    rds.create_db_cluster_parameter_group(**group, DBParameterGroupFamily="aurora-mysql8.0", Description="d",
                                          Tags=[{"Key": "a", "Value": "b"}])
    values = [{"ParameterName": "binlog_format", "ParameterValue": "ROW", "ApplyMethod": "pending-reboot"}]
    rds.modify_db_cluster_parameter_group(**group, Parameters=values)
    found = rds.describe_db_cluster_parameters(**group, Source="user")["Parameters"]
    assert found[0]["ParameterValue"] == "ROW", found
    rds.delete_db_cluster_parameter_group(**group)
    refused("DBClusterNotFoundFault", rds.describe_db_clusters, DBClusterIdentifier="none")


def main():
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    failed = 0
    try:
        url = server.stdout.readline().strip()
        options = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "AKIDEXAMPLE",
                   "aws_secret_access_key": "secret", "config": Config(retries={"total_max_attempts": 1})}
        for service, function in CHECKS:
            name = f"{service}.{function.__name__}"
            try:
                more = list(inspect.signature(function).parameters)[1:]
                function(*(boto3.client(name, **options) for name in (service, *more)))
                print(f"ok       {name}")
            except Exception as error:  # a check may fail in any way
                if isinstance(error, ClientError) and error.response["Error"]["Code"] == "NotImplemented":
                    print(f"missing  {name}: {error.operation_name}")
                    continue
                failed += 1
                print(f"FAILED   {name}: {type(error).__name__}: {error}")
    finally:
        server.stdin.close()
        server.wait(timeout=10)
    sys.exit(1 if failed else 0)


main()
