//! `aws.rds.cluster-parameter-group`: the parameters that a whole Aurora cluster runs with, binary logging among them.
//!
//! What it does is in [`parameter_group`](super::parameter_group), which it shares with its sibling.

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::Parameter;
use msk_pipeline_core::kind::CallError;

use super::parameter_group::{ParameterGroup, Scope, incomplete};
use super::rds::to_rds;
use crate::error::{absent, classify};
use crate::tags::Tags;

/// The calls for groups of clusters.
pub struct Cluster;

/// The kind.
pub type DbClusterParameterGroup = ParameterGroup<Cluster>;

#[async_trait]
impl Scope for Cluster {
    const TYPE: &'static str = "aws.rds.cluster-parameter-group";
    const OPS: [&'static str; 4] = [
        "rds:CreateDBClusterParameterGroup",
        "rds:ModifyDBClusterParameterGroup",
        "rds:ResetDBClusterParameterGroup",
        "rds:DeleteDBClusterParameterGroup",
    ];

    async fn describe(rds: &Client, name: &str) -> Result<Option<(String, String)>, CallError> {
        const OP: &str = "rds:DescribeDBClusterParameterGroups";
        let answer = rds
            .describe_db_cluster_parameter_groups()
            .db_cluster_parameter_group_name(name)
            .send()
            .await
            .map_err(|e| classify(OP, e));
        let Some(answer) = absent(answer)? else { return Ok(None) };
        let Some(group) = answer.db_cluster_parameter_groups().first() else { return Ok(None) };
        let (arn, family) =
            (group.db_cluster_parameter_group_arn(), group.db_parameter_group_family());
        match arn.zip(family) {
            Some((arn, family)) => Ok(Some((arn.to_owned(), family.to_owned()))),
            None => Err(incomplete(OP)),
        }
    }

    async fn parameters(
        rds: &Client,
        name: &str,
        marker: Option<String>,
    ) -> Result<(Vec<Parameter>, Option<String>), CallError> {
        let answer = rds
            .describe_db_cluster_parameters()
            .db_cluster_parameter_group_name(name)
            .set_marker(marker)
            .send()
            .await
            .map_err(|e| classify("rds:DescribeDBClusterParameters", e))?;
        Ok((answer.parameters().to_vec(), answer.marker().map(str::to_owned)))
    }

    async fn create(
        rds: &Client,
        name: &str,
        family: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<(), CallError> {
        rds.create_db_cluster_parameter_group()
            .db_cluster_parameter_group_name(name)
            .db_parameter_group_family(family)
            .description(description)
            .set_tags(Some(to_rds(tags)))
            .send()
            .await
            .map_err(|e| classify(Self::OPS[0], e))
            .map(drop)
    }

    async fn modify(rds: &Client, name: &str, list: Vec<Parameter>) -> Result<(), CallError> {
        rds.modify_db_cluster_parameter_group()
            .db_cluster_parameter_group_name(name)
            .set_parameters(Some(list))
            .send()
            .await
            .map_err(|e| classify(Self::OPS[1], e))
            .map(drop)
    }

    async fn reset(rds: &Client, name: &str, list: Vec<Parameter>) -> Result<(), CallError> {
        rds.reset_db_cluster_parameter_group()
            .db_cluster_parameter_group_name(name)
            .reset_all_parameters(false)
            .set_parameters(Some(list))
            .send()
            .await
            .map_err(|e| classify(Self::OPS[2], e))
            .map(drop)
    }

    async fn delete(rds: &Client, name: &str) -> Result<(), CallError> {
        rds.delete_db_cluster_parameter_group()
            .db_cluster_parameter_group_name(name)
            .send()
            .await
            .map_err(|e| classify(Self::OPS[3], e))
            .map(drop)
    }
}
