"""Which resources hold data, and what keeps the data when the resource goes.

Policies: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
"""

from collections.abc import Mapping
from typing import Literal

from ops.review.model import Resource

STATEFUL_TYPES: Mapping[str, str] = {
    "AWS::Backup::BackupVault": "backups",
    "AWS::CloudTrail::EventDataStore": "audit events",
    "AWS::CodeCommit::Repository": "source code",
    "AWS::Cognito::UserPool": "users",
    "AWS::DocDB::DBCluster": "documents",
    "AWS::DocDB::DBInstance": "documents",
    "AWS::DynamoDB::GlobalTable": "items",
    "AWS::DynamoDB::Table": "items",
    "AWS::EC2::Volume": "blocks",
    "AWS::ECR::Repository": "images",
    "AWS::EFS::FileSystem": "files",
    "AWS::ElastiCache::CacheCluster": "cached data",
    "AWS::ElastiCache::ReplicationGroup": "cached data",
    "AWS::ElastiCache::ServerlessCache": "cached data",
    "AWS::FSx::FileSystem": "files",
    "AWS::Glue::Database": "table definitions",
    "AWS::Glue::Table": "a table definition",
    "AWS::KMS::Key": "the key that data is encrypted with",
    "AWS::KMS::ReplicaKey": "the key that data is encrypted with",
    "AWS::Kinesis::Stream": "records",
    "AWS::Logs::LogGroup": "logs",
    "AWS::MSK::Cluster": "records",
    "AWS::MemoryDB::Cluster": "data",
    "AWS::Neptune::DBCluster": "a graph",
    "AWS::OpenSearchService::Domain": "indexes",
    "AWS::RDS::DBCluster": "a database",
    "AWS::RDS::DBInstance": "a database",
    "AWS::RDS::GlobalCluster": "a database",
    "AWS::Redshift::Cluster": "a database",
    "AWS::RedshiftServerless::Namespace": "a database",
    "AWS::S3::Bucket": "objects",
    "AWS::S3Express::DirectoryBucket": "objects",
    "AWS::S3Tables::Table": "a table",
    "AWS::S3Tables::TableBucket": "tables",
    "AWS::S3Vectors::Index": "vectors",
    "AWS::S3Vectors::VectorBucket": "vectors",
    "AWS::SQS::Queue": "messages",
    "AWS::SageMaker::Domain": "home directories",
    "AWS::SageMaker::FeatureGroup": "features",
    "AWS::SageMaker::ModelPackage": "a registered model",
    "AWS::SageMaker::ModelPackageGroup": "registered models",
    "AWS::SageMaker::NotebookInstance": "notebooks",
    "AWS::SecretsManager::Secret": "a secret",
    "AWS::Timestream::Database": "a database",
    "AWS::Timestream::Table": "a table",
}
"""Resource type to what it holds."""

_KEEPING = ("Retain", "RetainExceptOnCreate", "Snapshot")
_SNAPSHOT_BY_DEFAULT = ("AWS::RDS::DBCluster", "AWS::RDS::DBInstance")


def snapshots_by_default(resource_type: str) -> bool:
    """Tell whether CloudFormation takes a snapshot where the template names no policy."""
    return resource_type in _SNAPSHOT_BY_DEFAULT


def keeps_data(resource: Resource, when: Literal["removed", "replaced"]) -> bool:
    """Tell whether the data of `resource` is still there after it was removed or replaced."""
    policy = resource.deletion_policy if when == "removed" else resource.update_replace_policy
    if policy is None:
        in_cluster = "DBClusterIdentifier" in resource.properties
        return snapshots_by_default(resource.type) and not in_cluster
    return policy in _KEEPING
