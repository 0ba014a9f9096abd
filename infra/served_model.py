"""Permission to see which model package an endpoint serves."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from infra.arns import sagemaker_arn
from infra.environment import PROJECT, Environment
from infra.permission import allow


def allow_to_see_the_served_model(role: iam.Role, settings: Environment) -> None:
    """Let `role` follow the environment's endpoint to its configuration, model and package."""
    stack = Stack.of(role)
    allow(role, "sagemaker:DescribeEndpoint", on=sagemaker_arn(stack, "endpoint", settings.endpoint_name))
    # The stacks' tags are on every resource that they make.
    own = {"aws:ResourceTag/project": PROJECT, "aws:ResourceTag/environment": settings.name}
    for kind, action in (
        ("endpoint-config", "sagemaker:DescribeEndpointConfig"),
        ("model", "sagemaker:DescribeModel"),
    ):
        allow(
            role,
            action,
            on=sagemaker_arn(stack, kind, "*"),
            because="CloudFormation names it anew with each change; the tags say whose it is",
            conditions={"StringEquals": own},
        )
