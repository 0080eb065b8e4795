//! What failures ask of the account beyond what a pipeline does.

use serde_json::{Value, json};

use crate::account::{Account, between, encoded};

impl Account {
    pub(crate) fn try_describe_connector(&self, arn: &str) -> Result<Value, String> {
        let uri = format!("/v1/connectors/{}", encoded(arn));
        self.try_rest("kafkaconnect", "GET", &uri, &Value::Null)
    }

    /// Deletes a topic of MSK's own API.
    pub(crate) fn delete_topic(&self, cluster: &str, name: &str) {
        let uri = format!("/v1/clusters/{}/topics/{name}", encoded(cluster));
        self.rest("kafka", "DELETE", &uri, &Value::Null);
    }

    /// Replaces the statements of a role's policy.
    pub(crate) fn set_policy(&self, role: &str, statements: &Value) {
        let document = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let pairs =
            [("RoleName", role), ("PolicyName", "all"), ("PolicyDocument", document.as_str())];
        self.form("iam", "2010-05-08", "PutRolePolicy", &pairs);
    }

    /// The password that RDS manages for the master of the cluster with this endpoint.
    pub(crate) fn master_password_of(&self, endpoint: &str) -> String {
        let name = endpoint.split('.').next().unwrap_or_default();
        let pairs = [("DBClusterIdentifier", name)];
        let shown = self.form("rds", "2014-10-31", "DescribeDBClusters", &pairs);
        let secret = between(&shown, "SecretArn");
        let body = json!({ "SecretId": secret });
        let value = self.target("secretsmanager", "secretsmanager.GetSecretValue", &body);
        let text = value["SecretString"].as_str().expect("text");
        let value: Value = serde_json::from_str(text).expect("JSON");
        value["password"].as_str().expect("a password").to_owned()
    }
}
