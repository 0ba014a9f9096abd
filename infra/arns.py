"""ARNs of what this app does not define as resources, or names before they exist."""

from aws_cdk import ArnFormat, Stack


def sagemaker_arn(stack: Stack, kind: str, name: str) -> str:
    """The ARN of the SageMaker resource `name`, such as kind "training-job", in the stack's account."""
    return stack.format_arn(service="sagemaker", resource=kind, resource_name=name)


def model_package_arns(stack: Stack, group: str) -> list[str]:
    """The ARNs of the model package group `group` and of every package in it."""
    return [
        sagemaker_arn(stack, "model-package-group", group),
        sagemaker_arn(stack, "model-package", f"{group}/*"),
    ]


def parameter_arn(stack: Stack, name: str) -> str:
    """The ARN of the SSM parameter `name`, which starts with "/"."""
    return stack.format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))


def alarm_arn(stack: Stack, name: str) -> str:
    """The ARN of the CloudWatch alarm `name`."""
    return stack.format_arn(
        service="cloudwatch",
        resource="alarm",
        resource_name=name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def stack_arns(stack: Stack, name: str) -> str:
    """The ARNs of the CloudFormation stacks called `name`, of which one is there at a time."""
    return stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")


def execution_arns(stack: Stack, state_machine_name: str) -> str:
    """The ARNs of all executions of a state machine."""
    return stack.format_arn(
        service="states",
        resource="execution",
        resource_name=f"{state_machine_name}:*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def log_group_arns(stack: Stack, prefix: str) -> str:
    """The ARNs of the log groups whose names start with `prefix`, and of their streams."""
    return stack.format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"{prefix}*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
