"""The stack that a request of CloudFormation is about."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


def is_rolling_back(cloudformation: "CloudFormationClient", stack_id: str) -> bool:
    """Return whether the stack is on its way back from an update that failed."""
    (stack,) = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    return stack["StackStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS"
