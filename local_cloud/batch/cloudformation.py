"""AWS Batch's CloudFormation types, on top of its API.

Create-only properties and return values as in
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Batch.html.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from local_cloud.batch.errors import BatchError
from local_cloud.batch.service import Batch, model
from local_cloud.batch.states import to_members
from local_cloud.sagemaker.cloudformation import HandlerError, Properties, Resource, generated_name
from local_cloud.sagemaker.scope import Scope

_OF_UPDATES = ("ReplaceComputeEnvironment", "ResourceRetentionPolicy", "UpdatePolicy")
"""Properties that only say how CloudFormation updates a resource."""


class ResourceType:
    """A type: how CloudFormation creates, updates and deletes its resources; `Ref` gives the ARN."""

    type_name: ClassVar[str]
    name: ClassVar[str]
    """As in the operations' parameters: ``jobQueue``."""
    operations: ClassVar[tuple[str, str | None, str]]
    """What creates, updates and deletes one; what cannot be updated is created again."""
    create_only: ClassVar[tuple[str, ...]] = ()

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._kept: set[str] = set()

    @property
    def name_property(self) -> str:
        """The property with the resource's name."""
        return f"{self.name[0].upper()}{self.name[1:]}Name"

    def create(self, scope: Scope, logical_id: str, properties: Properties) -> Resource:
        """Create a resource. Raises HandlerError."""
        named = {self.name_property: generated_name(logical_id), **_without_policies(properties)}
        return self._resource(self._call(scope, self.operations[0], named))

    def update(self, scope: Scope, arn: str, _old: Properties, new: Properties) -> Resource:
        """Change a resource in place. Raises HandlerError."""
        operation = self.operations[1]
        if operation is None:
            # A job definition is registered again: a new revision, with a new ARN.
            name = arn.rpartition("/")[2].partition(":")[0]
            created = self._call(
                scope, self.operations[0], {**_without_policies(new), self.name_property: name}
            )
            if _keeps_revisions(new):
                self._kept.add(arn)
            self.delete(scope, arn)
            return self._resource(created)
        known = model().operation_model(operation).input_shape.members
        given = {key: value for key, value in new.items() if key[0].lower() + key[1:] in known}
        return self._resource(self._call(scope, operation, {**given, self.name: arn}))

    def delete(self, scope: Scope, arn: str) -> None:
        """Delete a resource; one that is gone is fine. Raises HandlerError.

        A revision that an update has left active stays so.
        """
        if arn in self._kept:
            return
        with contextlib.suppress(_GoneError):
            _, update, delete = self.operations
            if update is not None:
                # Only what is disabled can be deleted.
                self._call(scope, update, {self.name: arn, "State": "DISABLED"})
            self._call(scope, delete, {self.name: arn})

    def _resource(self, answer: Mapping[str, Any]) -> Resource:
        arn = answer[f"{self.name}Arn"]
        return arn, {f"{self.name[0].upper()}{self.name[1:]}Arn": arn}

    def _call(self, scope: Scope, operation: str, properties: Properties) -> dict[str, Any]:
        shape = model().operation_model(operation).input_shape
        try:
            return self._batch.call(operation, to_members(_lowered(properties), shape), scope)
        except BatchError as error:
            kind = _GoneError if "does not exist" in str(error) else HandlerError
            raise kind(f"{error} (Service: Batch, Status Code: {error.status})") from error


class _GoneError(HandlerError):
    """The resource is not there."""


def _without_policies(properties: Properties) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key not in _OF_UPDATES}


def _keeps_revisions(properties: Properties) -> bool:
    policy = properties.get("ResourceRetentionPolicy") or {}
    # A template may spell a boolean as a string.
    return str(policy.get("SkipDeregisterOnUpdate", False)).lower() == "true"


def _lowered(properties: Properties) -> dict[str, Any]:
    """CloudFormation takes an environment's type in lower case as well."""
    kind = properties.get("Type")
    spelt = {"Type": kind.upper()} if kind in {"managed", "unmanaged"} else {}
    return {**properties, **spelt}


class ComputeEnvironment(ResourceType):
    """``AWS::Batch::ComputeEnvironment``."""

    type_name = "AWS::Batch::ComputeEnvironment"
    name = "computeEnvironment"
    operations = ("CreateComputeEnvironment", "UpdateComputeEnvironment", "DeleteComputeEnvironment")
    create_only = ("ComputeEnvironmentName", "Type")


class JobQueue(ResourceType):
    """``AWS::Batch::JobQueue``."""

    type_name = "AWS::Batch::JobQueue"
    name = "jobQueue"
    operations = ("CreateJobQueue", "UpdateJobQueue", "DeleteJobQueue")
    create_only = ("JobQueueName",)


class JobDefinition(ResourceType):
    """``AWS::Batch::JobDefinition``."""

    type_name = "AWS::Batch::JobDefinition"
    name = "jobDefinition"
    operations = ("RegisterJobDefinition", None, "DeregisterJobDefinition")
    create_only = ("JobDefinitionName",)


TYPES: tuple[Callable[[Batch], ResourceType], ...] = (ComputeEnvironment, JobQueue, JobDefinition)
