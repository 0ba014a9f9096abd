"""Read CloudFormation stacks."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ops.refusals import is_missing, refusals_told

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef


def find_stack(cloudformation: "CloudFormationClient", name: str) -> "StackTypeDef | None":
    """Return the stack called `name`, or None if there is none.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told(f"Stack {name} cannot be read"):
        try:
            return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if is_missing(error):
                return None
            raise


def output_of(stack: "StackTypeDef", key: str) -> str | None:
    """Return the value of the stack's output `key`, or None if it has none of that name."""
    values = (output["OutputValue"] for output in stack.get("Outputs", []) if output["OutputKey"] == key)
    return next(values, None)
