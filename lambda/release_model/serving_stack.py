"""The CloudFormation stack that serves the model: what it serves, and its update to another package."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef, StackTypeDef

_PACKAGE_OUTPUT = "ModelPackageArn"

# A stack that is only reviewed, or whose creation was rolled back, has no resources: the next deployment
# creates it. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
_ABSENT = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")

_REMEDIES = {
    "UPDATE_ROLLBACK_FAILED": "run aws cloudformation continue-update-rollback --stack-name {}",
    "UPDATE_FAILED": "run aws cloudformation rollback-stack --stack-name {}",
}
_REMEDY = "run aws cloudformation delete-stack --stack-name {} and deploy the environment again"

# The whole message is: Stack:<ARN> is in UPDATE_IN_PROGRESS state and can not be updated.
_BUSY = re.compile(r"is in [A-Z_]+ state and can ?not be updated")
_UNCHANGED = "No updates are to be performed"

# CloudFormation stops what it was doing beside a resource that failed: no cause, but a consequence.
_CONSEQUENCE = re.compile(r"Resource (creation|update) cancelled")

# The stack's own events say why where no resource failed. When a person cancels an update, they have the
# token of the cancelling.
_ROLLING_BACK = ("UPDATE_FAILED", "UPDATE_ROLLBACK_IN_PROGRESS")


class Phase(Enum):
    """What can be done with the stack."""

    ABSENT = auto()
    BUSY = auto()
    READY = auto()
    BROKEN = auto()


class Answer(Enum):
    """CloudFormation's answer to the request for an update."""

    BEGUN = auto()
    BUSY = auto()
    UNCHANGED = auto()


@dataclass(frozen=True)
class Serving:
    """The stack at one moment.

    Attributes:
        name: of the stack.
        status: CloudFormation's, or "" where there is no stack.
        package: the ARN of the package that it serves, as its last complete operation left it.
        parameters: the keys of its template's parameters.
    """

    name: str
    status: str = ""
    package: str | None = None
    parameters: tuple[str, ...] = ()

    @property
    def phase(self) -> Phase:
        """What can be done with it."""
        if not self.status or self.status in _ABSENT:
            return Phase.ABSENT
        if self.status.endswith("_IN_PROGRESS"):
            return Phase.BUSY
        return Phase.READY if self.status.endswith("_COMPLETE") else Phase.BROKEN

    @property
    def remedy(self) -> str:
        """What a person does about a broken stack."""
        command = _REMEDIES.get(self.status, _REMEDY).format(self.name)
        return f"Stack {self.name} is {self.status}: {command}"


@dataclass(frozen=True)
class Ending:
    """How an update ended.

    Attributes:
        complete: it did what it was to do.
        cause: `<resource>: <reason>` of the failure that made it roll back; None if a person stopped it.
    """

    complete: bool
    cause: str | None


class ServingStack:
    """The environment's serving stack."""

    def __init__(self, cloudformation: "CloudFormationClient", name: str) -> None:
        self._cloudformation = cloudformation
        self._name = name

    def describe(self) -> Serving:
        """Return the stack as it is now."""
        try:
            stack: StackTypeDef = self._cloudformation.describe_stacks(StackName=self._name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in _message(error):
                raise
            return Serving(self._name)
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        return Serving(
            self._name,
            status=stack["StackStatus"],
            package=outputs.get(_PACKAGE_OUTPUT),
            parameters=tuple(parameter["ParameterKey"] for parameter in stack.get("Parameters", [])),
        )

    def update(self, serving: Serving, *, token: str) -> Answer:
        """Begin an update that changes nothing but what the SSM parameter says.

        CloudFormation keeps the template and the parameter's name, and reads its value anew:
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/systems-manager-parameter-types.html.
        It acts with the role of the stack's last deployment, the CDK's own, which the caller need not be
        allowed to pass: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html.
        """
        try:
            self._cloudformation.update_stack(
                StackName=self._name,
                UsePreviousTemplate=True,
                Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in serving.parameters],
                Capabilities=["CAPABILITY_NAMED_IAM"],
                ClientRequestToken=token,
            )
        except ClientError as error:
            if _UNCHANGED in _message(error):
                return Answer.UNCHANGED
            if _BUSY.search(_message(error)):
                return Answer.BUSY
            raise
        return Answer.BEGUN

    def ending(self, token: str) -> Ending:
        """Return how the update with `token` ended, from the stack's events."""
        complete, of_stack, of_resource = False, None, None
        for event in self._events(token):
            status, reason = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
            # CDK's framework for custom resources adds its stack trace below the message.
            message, *_ = reason.splitlines() or [""]
            told = f"{event.get('LogicalResourceId')}: {message}"
            # Newest first: what failed first stands last.
            if _is_of_stack(event):
                complete = complete or status == "UPDATE_COMPLETE"
                of_stack = told if status in _ROLLING_BACK and reason else of_stack
            elif status.endswith("_FAILED") and not _CONSEQUENCE.match(reason):
                of_resource = told
        return Ending(complete, of_resource or of_stack)

    def _events(self, token: str) -> "Iterator[StackEventTypeDef]":
        """Yield the events of the update with `token`, newest first."""
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._name)
        for event in (event for page in pages for event in page["StackEvents"]):
            if event.get("ClientRequestToken") != token:
                continue
            yield event
            if _is_of_stack(event) and event.get("ResourceStatus") == "UPDATE_IN_PROGRESS":
                return


def _is_of_stack(event: "StackEventTypeDef") -> bool:
    return event.get("PhysicalResourceId") == event["StackId"]


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message", ""))
