"""The roles that SageMaker's containers run with."""

from collections.abc import Iterable

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra import images
from infra.arns import log_group_arns
from infra.permission import allow


def sagemaker_role(
    scope: Construct, construct_id: str, *, description: str, workloads: Iterable[str], key: kms.IKey
) -> iam.Role:
    """Define a role with which a container can be pulled, use `key`, write logs and metrics, and no more.

    The permissions are those of https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html,
    narrowed to the algorithm's repository and to the log groups and metric namespaces of `workloads`, which
    SageMaker names alike: "TrainingJobs", "TransformJobs", "Endpoints". Data is for the caller to grant,
    and so is making a log group that no stack owns.
    """
    stack = Stack.of(scope)
    role = iam.Role(
        scope,
        construct_id,
        description=description,
        # https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html
        assumed_by=iam.ServicePrincipal(
            "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": stack.account}}
        ),
    )
    names = [f"/aws/sagemaker/{workload}" for workload in workloads]
    without_resources = (
        "ecr:GetAuthorizationToken and cloudwatch:PutMetricData act on no resource that IAM can name"
    )
    allow(
        role,
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        on=images.repository_arn(stack.region),
    )
    allow(role, "ecr:GetAuthorizationToken", on="*", because=without_resources)
    allow(
        role,
        "cloudwatch:PutMetricData",
        on="*",
        because=without_resources,
        conditions={"StringLike": {"cloudwatch:namespace": [f"{name}*" for name in names]}},
    )
    allow(
        role,
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        on=[log_group_arns(stack, name) for name in names],
        because="SageMaker names a log stream for each job and instance in the log group of its kind",
    )
    allow(role, "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", on=key.key_arn)
    # SageMaker attaches the encrypted volumes of its instances through a grant:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html
    allow(role, "kms:CreateGrant", on=key.key_arn, conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}})
    return role
