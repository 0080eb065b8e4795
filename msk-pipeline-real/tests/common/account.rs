//! An account of the embedded AWS, asked over its wire protocols: everything that a CDC pipeline is made of.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use msk_pipeline_emulator::shell::{InProcess, Mapping, Shared, TimeSource as _, Timed};
use msk_pipeline_emulator::{Plane, Request, Settings, World};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// What a cluster is made with.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) family: &'static str,
    pub(crate) master: &'static str,
    /// What is set in its parameter group.
    pub(crate) parameter: (&'static str, &'static str),
}

pub(crate) const MYSQL: Engine = Engine {
    name: "aurora-mysql",
    version: "8.0.mysql_aurora.3.10.4",
    family: "aurora-mysql8.0",
    master: "admin",
    parameter: ("binlog_format", "ROW"),
};
pub(crate) const POSTGRESQL: Engine = Engine {
    name: "aurora-postgresql",
    version: "16.8",
    family: "aurora-postgresql16",
    master: "postgres",
    parameter: ("rds.logical_replication", "1"),
};

pub(crate) struct Account {
    pub(crate) world: Arc<Timed>,
}

pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What stands between the first `<tag>` and its end.
pub(crate) fn between<'a>(text: &'a str, tag: &str) -> &'a str {
    let found =
        text.split_once(&format!("<{tag}>")).and_then(|(_, r)| r.split_once(&format!("</{tag}>")));
    found.unwrap_or_else(|| panic!("no {tag} in {text}")).0
}

impl Account {
    /// A world behind which programs stand. What is simulated all the same, IAM's delays and the like, goes sixty times as fast.
    pub(crate) fn new() -> Self {
        let settings = Settings { plane: Plane::Real, ..Settings::default() };
        let wall =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
        let wall = u64::try_from(wall.as_millis()).expect("soon");
        let time = Mapping::new(settings.epoch, wall, 60.0);
        Self { world: Arc::new(Timed { world: InProcess::new(World::new(settings)), time }) }
    }

    pub(crate) fn shared(&self) -> Arc<dyn Shared> {
        self.world.clone()
    }

    pub(crate) fn now(&self) -> u64 {
        self.world.time.now()
    }

    fn send(
        &self,
        service: &str,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<String, String> {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=00"
        );
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let request = Request {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: [("authorization".to_owned(), scope)].into_iter().chain(headers).collect(),
            body: body.into(),
        };
        let response = self.world.world.call(self.now(), &request);
        let text = String::from_utf8_lossy(&response.body).into_owned();
        if response.status < 300 { Ok(text) } else { Err(format!("{} {text}", response.status)) }
    }

    #[track_caller]
    pub(crate) fn form(
        &self,
        service: &str,
        version: &str,
        action: &str,
        pairs: &[(&str, &str)],
    ) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("Action", action).append_pair("Version", version).extend_pairs(pairs);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send(service, "POST", "/", &kind, body.finish().into_bytes())
            .unwrap_or_else(|e| panic!("{action}: {e}"))
    }

    #[track_caller]
    pub(crate) fn rest(&self, service: &str, method: &str, uri: &str, body: &Value) -> Value {
        self.try_rest(service, method, uri, body).unwrap_or_else(|e| panic!("{method} {uri}: {e}"))
    }

    pub(crate) fn try_rest(
        &self,
        service: &str,
        method: &str,
        uri: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let kind = [("content-type", "application/json")];
        let text = self.send(service, method, uri, &kind, body)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    #[track_caller]
    pub(crate) fn target(&self, service: &str, operation: &str, body: &Value) -> Value {
        let headers = [("x-amz-target", operation), ("content-type", "application/x-amz-json-1.1")];
        let text = self.send(service, "POST", "/", &headers, body.to_string().into_bytes());
        serde_json::from_str(&text.unwrap_or_else(|e| panic!("{operation}: {e}")))
            .unwrap_or(Value::Null)
    }

    /// Three private subnets that MSK takes, and the default group, which lets its own members in.
    pub(crate) fn network(&self) -> (Vec<String>, String) {
        let ec2 =
            |action: &str, pairs: &[(&str, &str)]| self.form("ec2", "2016-11-15", action, pairs);
        let filter = [("Filter.1.Name", "tag:Tier"), ("Filter.1.Value.1", "private")];
        let text = ec2("DescribeSubnets", &filter);
        let subnets = text.split("<item>").filter(|item| item.contains("<subnetId>"));
        let fit = subnets.filter(|item| between(item, "availabilityZoneId") != "use1-az3");
        let subnets = fit.map(|item| between(item, "subnetId").to_owned()).take(3).collect();
        let groups = ec2(
            "DescribeSecurityGroups",
            &[("Filter.1.Name", "group-name"), ("Filter.1.Value.1", "default")],
        );
        (subnets, between(&groups, "groupId").to_owned())
    }

    /// A role that MSK Connect may assume for any connector, with what `policy` allows.
    pub(crate) fn role(&self, name: &str, policy: &Value) -> String {
        let iam =
            |action: &str, pairs: &[(&str, &str)]| self.form("iam", "2010-05-08", action, pairs);
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": { "Service": "kafkaconnect.amazonaws.com" } }] });
        let made = iam(
            "CreateRole",
            &[("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())],
        );
        let document = json!({ "Version": "2012-10-17", "Statement": policy }).to_string();
        iam(
            "PutRolePolicy",
            &[("RoleName", name), ("PolicyName", "all"), ("PolicyDocument", &document)],
        );
        between(&made, "Arn").to_owned()
    }

    pub(crate) fn secret(&self, name: &str, value: &Value) {
        self.target("secretsmanager", "secretsmanager.CreateSecret", &json!({
            "Name": name, "SecretString": value.to_string(), "ClientRequestToken": "00000000-0000-4000-8000-000000000000" }));
    }

    pub(crate) fn log_group(&self, name: &str) {
        self.target("logs", "Logs_20140328.CreateLogGroup", &json!({ "logGroupName": name }));
    }

    /// Every line of a group that holds `needle`.
    pub(crate) fn log_lines(&self, group: &str, needle: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut request =
            json!({ "logGroupName": group, "filterPattern": format!("\"{needle}\"") });
        loop {
            let found = self.target("logs", "Logs_20140328.FilterLogEvents", &request);
            let events = found["events"].as_array().cloned().unwrap_or_default();
            out.extend(events.iter().filter_map(|e| e["message"].as_str()).map(str::to_owned));
            if found["nextToken"].is_null() {
                return out;
            }
            request["nextToken"] = found["nextToken"].clone();
        }
    }

    /// A cluster of three brokers with the IAM listener.
    pub(crate) fn cluster(&self, name: &str) -> String {
        let properties = STANDARD.encode("default.replication.factor=3\nmin.insync.replicas=2\n");
        let configuration = self.rest(
            "kafka",
            "POST",
            "/v1/configurations",
            &json!({
            "name": format!("{name}-configuration"), "serverProperties": properties }),
        );
        let (subnets, group) = self.network();
        let made = self.rest("kafka", "POST", "/v1/clusters", &json!({
            "clusterName": name, "kafkaVersion": "3.9.x.kraft", "numberOfBrokerNodes": 3,
            "brokerNodeGroupInfo": { "instanceType": "kafka.m7g.large", "clientSubnets": subnets, "securityGroups": [group] },
            "clientAuthentication": { "sasl": { "iam": { "enabled": true } } },
            "encryptionInfo": { "encryptionInTransit": { "clientBroker": "TLS", "inCluster": true } },
            "configurationInfo": { "arn": configuration["arn"], "revision": 1 } }));
        made["clusterArn"].as_str().expect("an ARN").to_owned()
    }

    pub(crate) fn cluster_state(&self, arn: &str) -> String {
        let shown =
            self.rest("kafka", "GET", &format!("/v1/clusters/{}", encoded(arn)), &Value::Null);
        shown["clusterInfo"]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Reboots a broker; the operation's ARN.
    pub(crate) fn reboot_broker(&self, arn: &str, broker: u32) -> String {
        let uri = format!("/v1/clusters/{}/reboot-broker", encoded(arn));
        let answer = self.rest("kafka", "PUT", &uri, &json!({ "brokerIds": [broker.to_string()] }));
        answer["clusterOperationArn"].as_str().expect("an ARN").to_owned()
    }

    pub(crate) fn cluster_operation_state(&self, arn: &str) -> String {
        let uri = format!("/v1/operations/{}", encoded(arn));
        let shown = self.rest("kafka", "GET", &uri, &Value::Null);
        shown["clusterOperationInfo"]["operationState"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn bootstrap(&self, arn: &str) -> String {
        let uri = format!("/v1/clusters/{}/bootstrap-brokers", encoded(arn));
        let shown = self.rest("kafka", "GET", &uri, &Value::Null);
        shown["bootstrapBrokerStringSaslIam"].as_str().expect("IAM").to_owned()
    }

    pub(crate) fn topic(&self, arn: &str, name: &str, configs: &Value) {
        let uri = format!("/v1/clusters/{}/topics", encoded(arn));
        self.rest(
            "kafka",
            "POST",
            &uri,
            &json!({
            "topicName": name, "partitionCount": 1, "replicationFactor": 3,
            "configs": STANDARD.encode(configs.to_string()) }),
        );
    }

    /// An Aurora cluster with one instance and the database `shop`, ready for change data capture; its endpoint.
    pub(crate) fn database(&self, name: &str, engine: &Engine) -> String {
        let (parameter, value) = engine.parameter;
        let rds =
            |action: &str, pairs: &[(&str, &str)]| self.form("rds", "2014-10-31", action, pairs);
        let (subnets, group) = self.network();
        let subnet_group = format!("{name}-subnets");
        let mut pairs =
            vec![("DBSubnetGroupName", subnet_group.as_str()), ("DBSubnetGroupDescription", "d")];
        let names = [
            "SubnetIds.SubnetIdentifier.1",
            "SubnetIds.SubnetIdentifier.2",
            "SubnetIds.SubnetIdentifier.3",
        ];
        pairs.extend(names.into_iter().zip(subnets.iter().map(String::as_str)));
        rds("CreateDBSubnetGroup", &pairs);
        let parameters = format!("{name}-parameters");
        rds(
            "CreateDBClusterParameterGroup",
            &[
                ("DBClusterParameterGroupName", &parameters),
                ("DBParameterGroupFamily", engine.family),
                ("Description", "d"),
            ],
        );
        rds(
            "ModifyDBClusterParameterGroup",
            &[
                ("DBClusterParameterGroupName", &parameters),
                ("Parameters.Parameter.1.ParameterName", parameter),
                ("Parameters.Parameter.1.ParameterValue", value),
                ("Parameters.Parameter.1.ApplyMethod", "pending-reboot"),
            ],
        );
        let made = rds(
            "CreateDBCluster",
            &[
                ("DBClusterIdentifier", name),
                ("Engine", engine.name),
                ("EngineVersion", engine.version),
                ("MasterUsername", engine.master),
                ("ManageMasterUserPassword", "true"),
                ("DBSubnetGroupName", &subnet_group),
                ("DBClusterParameterGroupName", &parameters),
                ("VpcSecurityGroupIds.VpcSecurityGroupId.1", &group),
                ("DatabaseName", "shop"),
            ],
        );
        let instance = format!("{name}-1");
        rds(
            "CreateDBInstance",
            &[
                ("DBInstanceIdentifier", &instance),
                ("DBClusterIdentifier", name),
                ("Engine", engine.name),
                ("DBInstanceClass", "db.r7g.large"),
            ],
        );
        between(&made, "Endpoint").to_owned()
    }

    pub(crate) fn instance_status(&self, name: &str) -> String {
        let text = self.form(
            "rds",
            "2014-10-31",
            "DescribeDBInstances",
            &[("DBInstanceIdentifier", name)],
        );
        between(&text, "DBInstanceStatus").to_owned()
    }

    /// Has RDS draw another password for a cluster's master.
    pub(crate) fn rotate_master_password(&self, cluster: &str) {
        let pairs = [
            ("DBClusterIdentifier", cluster),
            ("RotateMasterUserPassword", "true"),
            ("ApplyImmediately", "true"),
        ];
        self.form("rds", "2014-10-31", "ModifyDBCluster", &pairs);
    }

    pub(crate) fn reboot_instance(&self, name: &str) {
        let pairs = [("DBInstanceIdentifier", name)];
        self.form("rds", "2014-10-31", "RebootDBInstance", &pairs);
    }

    pub(crate) fn delete_instance(&self, name: &str) {
        self.form(
            "rds",
            "2014-10-31",
            "DeleteDBInstance",
            &[("DBInstanceIdentifier", name), ("SkipFinalSnapshot", "true")],
        );
    }

    pub(crate) fn delete_cluster(&self, arn: &str) {
        self.rest("kafka", "DELETE", &format!("/v1/clusters/{}", encoded(arn)), &Value::Null);
    }

    /// Uploads an archive and makes a plugin of it.
    pub(crate) fn plugin(&self, name: &str, archive: &[u8]) -> String {
        let kind = [("host", "s3.us-east-1.amazonaws.com")];
        self.send("s3", "PUT", "/plugins-of-the-test", &kind, Vec::new()).expect("a bucket");
        let key = format!("{name}.zip");
        self.send("s3", "PUT", &format!("/plugins-of-the-test/{key}"), &kind, archive.to_vec())
            .expect("an object");
        let made = self.rest("kafkaconnect", "POST", "/v1/custom-plugins", &json!({
            "name": name, "contentType": "ZIP",
            "location": { "s3Location": { "bucketArn": "arn:aws:s3:::plugins-of-the-test", "fileKey": key } } }));
        made["customPluginArn"].as_str().expect("an ARN").to_owned()
    }

    pub(crate) fn plugin_state(&self, arn: &str) -> String {
        let shown = self.rest(
            "kafkaconnect",
            "GET",
            &format!("/v1/custom-plugins/{}", encoded(arn)),
            &Value::Null,
        );
        shown["customPluginState"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn worker_configuration(&self, properties: &str) -> String {
        let made = self.rest(
            "kafkaconnect",
            "POST",
            "/v1/worker-configurations",
            &json!({
            "name": "json", "propertiesFileContent": STANDARD.encode(properties) }),
        );
        made["workerConfigurationArn"].as_str().expect("an ARN").to_owned()
    }

    pub(crate) fn connector(&self, name: &str, wanted: &Connector<'_>) -> String {
        let (private, group) = self.network();
        let subnets = wanted.subnets.unwrap_or(&private);
        let made = self.rest("kafkaconnect", "POST", "/v1/connectors", &json!({
            "connectorName": name,
            "kafkaConnectVersion": "3.7.x",
            "capacity": { "provisionedCapacity": { "mcuCount": 1, "workerCount": 1 } },
            "connectorConfiguration": wanted.configuration,
            "kafkaCluster": { "apacheKafkaCluster": {
                "bootstrapServers": wanted.bootstrap, "vpc": { "subnets": subnets, "securityGroups": [group] } } },
            "kafkaClusterClientAuthentication": { "authenticationType": "IAM" },
            "kafkaClusterEncryptionInTransit": { "encryptionType": "TLS" },
            "plugins": [{ "customPlugin": { "customPluginArn": wanted.plugin, "revision": 1 } }],
            "serviceExecutionRoleArn": wanted.role,
            "workerConfiguration": { "workerConfigurationArn": wanted.worker, "revision": 1 },
            "logDelivery": { "workerLogDelivery": { "cloudWatchLogs": { "enabled": true, "logGroup": wanted.log_group } } },
        }));
        made["connectorArn"].as_str().expect("an ARN").to_owned()
    }

    pub(crate) fn describe_connector(&self, arn: &str) -> Value {
        self.rest("kafkaconnect", "GET", &format!("/v1/connectors/{}", encoded(arn)), &Value::Null)
    }

    pub(crate) fn update_connector(&self, arn: &str, configuration: &Value) -> String {
        let version =
            self.describe_connector(arn)["currentVersion"].as_str().expect("a version").to_owned();
        let uri = format!("/v1/connectors/{}?currentVersion={version}", encoded(arn));
        let answer = self.rest(
            "kafkaconnect",
            "PUT",
            &uri,
            &json!({ "connectorConfiguration": configuration }),
        );
        answer["connectorOperationArn"].as_str().expect("an ARN").to_owned()
    }

    /// Lets it run another plugin; the operation's ARN.
    pub(crate) fn change_plugin(&self, arn: &str, plugin: &str) -> String {
        let shown = self.describe_connector(arn);
        let version = shown["currentVersion"].as_str().expect("a version");
        let uri = format!("/v1/connectors/{}?currentVersion={version}", encoded(arn));
        let plugins = json!([{ "customPlugin": { "customPluginArn": plugin, "revision": 1 } }]);
        let answer = self.rest("kafkaconnect", "PUT", &uri, &json!({ "plugins": plugins }));
        answer["connectorOperationArn"].as_str().expect("an ARN").to_owned()
    }

    /// Pauses, resumes or restarts it; the operation's ARN.
    pub(crate) fn switch_connector(&self, arn: &str, method: &str, what: &str) -> String {
        let uri = format!("/v1/connectors/{}/{what}", encoded(arn));
        let answer = self.rest("kafkaconnect", method, &uri, &json!({}));
        answer["connectorOperationArn"].as_str().expect("an ARN").to_owned()
    }

    pub(crate) fn operation_state(&self, arn: &str) -> String {
        let uri = format!("/v1/connectorOperations/{}", encoded(arn));
        let shown = self.rest("kafkaconnect", "GET", &uri, &Value::Null);
        shown["connectorOperationState"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn delete_connector(&self, arn: &str) {
        self.rest(
            "kafkaconnect",
            "DELETE",
            &format!("/v1/connectors/{}", encoded(arn)),
            &Value::Null,
        );
    }

    /// The password that RDS manages for a cluster's master.
    pub(crate) fn master_password(&self) -> String {
        let list = self.target("secretsmanager", "secretsmanager.ListSecrets", &json!({}));
        let all = list["SecretList"].as_array().expect("secrets").clone();
        let managed = all.iter().filter_map(|s| s["Name"].as_str()).find(|n| n.starts_with("rds!"));
        let value = self.target(
            "secretsmanager",
            "secretsmanager.GetSecretValue",
            &json!({ "SecretId": managed }),
        );
        let value: Value =
            serde_json::from_str(value["SecretString"].as_str().expect("text")).expect("JSON");
        value["password"].as_str().expect("a password").to_owned()
    }
}

/// What a connector is made with.
pub(crate) struct Connector<'a> {
    pub(crate) configuration: &'a Value,
    pub(crate) bootstrap: &'a str,
    pub(crate) plugin: &'a str,
    pub(crate) worker: &'a str,
    pub(crate) role: &'a str,
    pub(crate) log_group: &'a str,
    /// The private ones where it is `None`.
    pub(crate) subnets: Option<&'a [String]>,
}
