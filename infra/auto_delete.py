"""CDK's function that empties a bucket before its deletion, made to leave nothing behind."""

from typing import Final

from aws_cdk import CfnResource, Stack
from aws_cdk import aws_logs as logs

from infra.log_group import log_group

_PROVIDER: Final = "Custom::S3AutoDeleteObjectsCustomResourceProvider"


def own_auto_delete_logs(stack: Stack, prefix: str, *, retention_days: int) -> None:
    """Give the function that CDK added to `stack` a log group of the stack's and leave to write only there.

    As CDK defines it, the function may create log groups, and its log group, which Lambda makes at the first
    call, stays in the account without a retention when the stack is gone. Call this after the buckets exist.
    """
    name = f"/aws/lambda/{prefix}-empty-buckets"
    group = log_group(stack, "EmptyBucketsLogs", name=name, retention_days=retention_days)
    provider = stack.node.find_child(_PROVIDER)
    role, handler = provider.node.find_child("Role"), provider.node.find_child("Handler")
    assert isinstance(role, CfnResource)  # noqa: S101
    assert isinstance(handler, CfnResource)  # noqa: S101
    role.add_property_override("ManagedPolicyArns", [])
    role.add_property_override("Policies", [_may_write_to(group)])
    handler.add_property_override("LoggingConfig", {"LogGroup": group.log_group_name})


def _may_write_to(group: logs.LogGroup) -> dict[str, object]:
    statement = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": group.log_group_arn,
    }
    return {"PolicyName": "Logs", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
