"""Who may do what in training: the jobs, and the workflow that starts them."""

from collections.abc import Iterable
from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import images
from infra.arns import log_group_arns, model_package_arns, sagemaker_arn
from infra.environment import Environment
from infra.permission import allow
from infra.sagemaker_role import sagemaker_role
from infra.storage import MODELS_PREFIX, SCORES_PREFIX, StorageStack

_JOBS: Final = ("TrainingJobs", "TransformJobs")


def job_role(scope: Construct, construct_id: str, *, storage: StorageStack) -> iam.Role:
    """Define the role of training and transform jobs: prepared data in, scores and artifacts out."""
    role = sagemaker_role(
        scope,
        construct_id,
        description="What training and transform jobs may do",
        workloads=_JOBS,
        key=storage.key,
    )
    # SageMaker makes one log group for all jobs of the account; an endpoint's belongs to its stack.
    allow(
        role,
        "logs:CreateLogGroup",
        on=[log_group_arns(Stack.of(scope), f"/aws/sagemaker/{kind}") for kind in _JOBS],
        because="SageMaker names the log group of each kind of job",
    )
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputDataConfig.html
    allow(role, "kms:Encrypt", on=storage.key.key_arn)
    allow(role, "s3:ListBucket", on=storage.prepared.bucket_arn)
    allow(
        role,
        "s3:GetObject",
        on=storage.objects(storage.prepared, "*"),
        because="Prepared data lies under its digest, which each run decides",
    )
    allow(
        role,
        "s3:PutObject",
        on=storage.objects(storage.prepared, f"{SCORES_PREFIX}*"),
        because="Scores lie under the name of the run",
    )
    allow(
        role,
        *("s3:GetObject", "s3:PutObject"),
        on=storage.objects(storage.models, f"{MODELS_PREFIX}*"),
        because="An artifact lies under the name of its training job",
    )
    return role


def workflow_role(
    scope: Construct,
    construct_id: str,
    *,
    settings: Environment,
    storage: StorageStack,
    job_role: iam.IRole,
    functions: Iterable[lambda_.IFunction],
) -> iam.Role:
    """Define the role of the training workflow: this environment's jobs, models and packages only."""
    stack = Stack.of(scope)
    role = iam.Role(
        scope,
        construct_id,
        assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
        description="What the training workflow may do",
    )

    named_by_run = "Each run names its jobs and its model after the environment, the data and the execution"
    allow(role, "lambda:InvokeFunction", on=[function.function_arn for function in functions])
    # https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html
    for job, kind in (("TrainingJob", "training-job"), ("TransformJob", "transform-job")):
        allow(
            role,
            "sagemaker:AddTags",
            f"sagemaker:Create{job}",
            f"sagemaker:Describe{job}",
            "sagemaker:ListTags",
            f"sagemaker:Stop{job}",
            on=sagemaker_arn(stack, kind, f"{settings.prefix}-*"),
            because=named_by_run,
        )
        allow(
            role,
            *("events:DescribeRule", "events:PutRule", "events:PutTargets"),
            on=stack.format_arn(
                service="events",
                resource="rule",
                resource_name=f"StepFunctionsGetEventsForSageMaker{job}sRule",
            ),
        )
    allow(
        role,
        "sagemaker:CreateModel",
        "sagemaker:DeleteModel",
        on=sagemaker_arn(stack, "model", f"{settings.prefix}-*"),
        because=named_by_run,
    )
    allow(
        role,
        "iam:PassRole",
        on=job_role.role_arn,
        conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    )
    allow(
        role,
        "sagemaker:CreateModelPackage",
        on=model_package_arns(stack, settings.model_package_group),
        because="SageMaker numbers the packages of the registry",
    )
    # Registering looks at the artifact and the image with the caller's permissions:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/security-iam-awsmanpol-model-registry.html
    allow(
        role,
        "s3:GetObject",
        on=storage.objects(storage.models, f"{MODELS_PREFIX}*"),
        because="An artifact lies under the name of its training job",
    )
    allow(role, "kms:Decrypt", on=storage.key.key_arn)
    allow(role, "ecr:BatchGetImage", "ecr:DescribeImages", on=images.repository_arn(stack.region))
    return role
