"""SageMaker's CloudFormation types, on top of its API.

Property names are the API's member names; types, create-only properties and return values as in
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SageMaker.html.
"""

import secrets
import string
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.scope import Scope, parse_arn
from local_cloud.sagemaker.service import SageMaker

Properties = Mapping[str, Any]
Resource = tuple[str, dict[str, Any]]
"""Physical id, which is what ``Ref`` gives, and the attributes for ``Fn::GetAtt``."""

_CREATE_TIMEOUT_SECONDS = 160 * 60
_UPDATE_TIMEOUT_SECONDS = 970 * 60
_DELETE_TIMEOUT_SECONDS = 10 * 60
_SUFFIX_ALPHABET = string.ascii_letters + string.digits
_MAX_NAME_LENGTH = 63


class HandlerError(Exception):
    """Why a resource could not be created, updated or deleted: the reason of the stack event."""


class ResourceType(ABC):
    """A type: how CloudFormation creates, updates and deletes its resources."""

    type_name: ClassVar[str]
    api_name: ClassVar[str]
    """As in the operations' names: ``Model`` of ``CreateModel``."""
    name_property: ClassVar[str | None]
    create_only: ClassVar[Sequence[str]]
    """Properties whose change replaces the resource."""
    attributes: ClassVar[Sequence[str]]
    """What ``Fn::GetAtt`` gives: members of the description."""

    def __init__(self, sagemaker: SageMaker) -> None:
        self._sagemaker = sagemaker

    def create(self, scope: Scope, logical_id: str, properties: Properties) -> Resource:
        """Create a resource and wait until it is usable.

        Raises:
            HandlerError: it could not be created; nothing is left of it.
        """
        parameters = dict(properties)
        if self.name_property is not None and not parameters.get(self.name_property):
            parameters[self.name_property] = generated_name(logical_id)
        answer = self._call(scope, f"Create{self.api_name}", parameters)
        return self._resource(
            scope, str(next(value for name, value in answer.items() if name.endswith("Arn")))
        )

    def update(self, scope: Scope, arn: str, old: Properties, new: Properties) -> Resource:
        """Change a resource in place.

        Raises:
            HandlerError: it could not be changed.
        """
        old_tags, new_tags = old.get("Tags") or [], new.get("Tags") or []
        gone = {tag["Key"] for tag in old_tags} - {tag["Key"] for tag in new_tags}
        if gone:
            self._call(scope, "DeleteTags", {"ResourceArn": arn, "TagKeys": sorted(gone)})
        if new_tags and new_tags != old_tags:
            self._call(scope, "AddTags", {"ResourceArn": arn, "Tags": new_tags})
        return self._resource(scope, arn)

    def delete(self, scope: Scope, arn: str) -> None:
        """Delete a resource; one that is gone already is fine.

        Raises:
            HandlerError: it could not be deleted.
        """
        try:
            self._sagemaker.call(f"Delete{self.api_name}", self._identity(arn), scope)
        except SageMakerError as error:
            if "not exist" in error.message or "Could not find" in error.message:
                return
            raise HandlerError(_handler_message(error.message)) from error

    @abstractmethod
    def _identity(self, arn: str) -> dict[str, str]:
        """Return the parameters that name the resource to Describe and Delete."""

    def _resource(self, scope: Scope, arn: str) -> Resource:
        description = self._call(scope, f"Describe{self.api_name}", self._identity(arn))
        known = {name: description[name] for name in self.attributes if name in description}
        return arn, {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in known.items()
        }

    def _call(self, scope: Scope, operation: str, parameters: Properties) -> dict[str, Any]:
        shape = service_model.input_shape(operation)
        try:
            return self._sagemaker.call(operation, service_model.coerce(parameters, shape), scope)
        except SageMakerError as error:
            raise HandlerError(_handler_message(error.message)) from error


class Model(ResourceType):
    """AWS::SageMaker::Model."""

    type_name = "AWS::SageMaker::Model"
    api_name = "Model"
    name_property = "ModelName"
    create_only = (
        "Containers",
        "EnableNetworkIsolation",
        "ExecutionRoleArn",
        "InferenceExecutionConfig",
        "ModelName",
        "PrimaryContainer",
        "VpcConfig",
    )
    attributes = ("ModelArn", "ModelName")

    def _identity(self, arn: str) -> dict[str, str]:
        return {"ModelName": _name(arn)}


class EndpointConfig(ResourceType):
    """AWS::SageMaker::EndpointConfig."""

    type_name = "AWS::SageMaker::EndpointConfig"
    api_name = "EndpointConfig"
    name_property = "EndpointConfigName"
    create_only = (
        "AsyncInferenceConfig",
        "DataCaptureConfig",
        "EnableNetworkIsolation",
        "EndpointConfigName",
        "ExecutionRoleArn",
        "ExplainerConfig",
        "KmsKeyId",
        "MetricsConfig",
        "ProductionVariants",
        "ShadowProductionVariants",
        "VpcConfig",
    )
    attributes = ("EndpointConfigArn", "EndpointConfigName")

    def _identity(self, arn: str) -> dict[str, str]:
        return {"EndpointConfigName": _name(arn)}


class Endpoint(ResourceType):
    """AWS::SageMaker::Endpoint."""

    type_name = "AWS::SageMaker::Endpoint"
    api_name = "Endpoint"
    name_property = "EndpointName"
    create_only = ("EndpointName",)
    attributes = ("EndpointArn", "EndpointName")

    _UPDATE_ONLY = (
        "RetainAllVariantProperties",
        "ExcludeRetainedVariantProperties",
        "RetainDeploymentConfig",
    )

    def create(self, scope: Scope, logical_id: str, properties: Properties) -> Resource:
        """Create an endpoint and wait until it is in service."""
        own = {key: value for key, value in properties.items() if key not in self._UPDATE_ONLY}
        arn, attributes = super().create(scope, logical_id, own)
        endpoint = self._sagemaker.endpoints.get(scope, _name(arn))
        status = endpoint.wait(_CREATE_TIMEOUT_SECONDS)
        if status != "InService":
            reason = endpoint.describe().get("FailureReason")
            # CloudFormation does not record a resource whose creation failed: nothing else would delete it.
            self.delete(scope, arn)
            raise HandlerError(_not_stabilised(arn, status, reason))
        return arn, attributes

    def update(self, scope: Scope, arn: str, old: Properties, new: Properties) -> Resource:
        """Change an endpoint's configuration or tags; wait until the new configuration serves."""
        if _without_tags(old) != _without_tags(new):
            self._deploy(scope, arn, new)
        return super().update(scope, arn, old, new)

    def _deploy(self, scope: Scope, arn: str, properties: Properties) -> None:
        endpoint = self._sagemaker.endpoints.get(scope, _name(arn))
        keys = ("EndpointConfigName", "DeploymentConfig", *self._UPDATE_ONLY)
        parameters = {key: properties[key] for key in keys if key in properties}
        self._call(scope, "UpdateEndpoint", {"EndpointName": endpoint.name, **parameters})
        status = endpoint.wait(_UPDATE_TIMEOUT_SECONDS)
        description = endpoint.describe()
        if status != "InService" or description["EndpointConfigName"] != properties["EndpointConfigName"]:
            raise HandlerError(_not_stabilised(arn, status, description.get("FailureReason")))

    def delete(self, scope: Scope, arn: str) -> None:
        """Delete an endpoint and wait until its containers have ended."""
        super().delete(scope, arn)
        deadline = time.monotonic() + _DELETE_TIMEOUT_SECONDS
        while self._sagemaker.endpoints.exists(scope, _name(arn)):
            if time.monotonic() > deadline:
                raise HandlerError(_not_stabilised(arn, "Deleting", None))
            time.sleep(0.1)

    def _identity(self, arn: str) -> dict[str, str]:
        return {"EndpointName": _name(arn)}


class ModelPackageGroup(ResourceType):
    """AWS::SageMaker::ModelPackageGroup."""

    type_name = "AWS::SageMaker::ModelPackageGroup"
    api_name = "ModelPackageGroup"
    name_property = "ModelPackageGroupName"
    create_only = ("ModelPackageGroupName", "ModelPackageGroupDescription")
    attributes = ("ModelPackageGroupArn", "ModelPackageGroupStatus", "CreationTime")

    def create(self, scope: Scope, logical_id: str, properties: Properties) -> Resource:
        """Create a group."""
        # A resource policy only matters to other accounts, and it is not part of the creation's request.
        own = {key: value for key, value in properties.items() if key != "ModelPackageGroupPolicy"}
        return super().create(scope, logical_id, own)

    def _identity(self, arn: str) -> dict[str, str]:
        return {"ModelPackageGroupName": _name(arn)}


class ModelPackage(ResourceType):
    """AWS::SageMaker::ModelPackage."""

    type_name = "AWS::SageMaker::ModelPackage"
    api_name = "ModelPackage"
    name_property = None
    create_only = (
        "ClientToken",
        "Domain",
        "DriftCheckBaselines",
        "InferenceSpecification",
        "MetadataProperties",
        "ModelMetrics",
        "ModelPackageDescription",
        "ModelPackageGroupName",
        "SamplePayloadUrl",
        "SecurityConfig",
        "SourceAlgorithmSpecification",
        "Task",
        "ValidationSpecification",
    )
    attributes = (
        "ModelPackageArn",
        "ModelPackageName",
        "ModelPackageStatus",
        "ModelPackageVersion",
        "CreationTime",
    )

    def update(self, scope: Scope, arn: str, old: Properties, new: Properties) -> Resource:
        """Change a package's approval, its metadata or its tags."""
        keys = ("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties", "SourceUri")
        changes = {key: new[key] for key in keys if key in new}
        self._call(scope, "UpdateModelPackage", {"ModelPackageArn": arn, **changes})
        return super().update(scope, arn, old, new)

    def _identity(self, arn: str) -> dict[str, str]:
        return {"ModelPackageName": arn}


TYPES: tuple[type[ResourceType], ...] = (Model, EndpointConfig, Endpoint, ModelPackageGroup, ModelPackage)


def generated_name(logical_id: str) -> str:
    """Return a name like those that CloudFormation makes: the logical id and 12 random characters."""
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(12))
    return f"{logical_id[: _MAX_NAME_LENGTH - len(suffix) - 1]}-{suffix}"


def _name(arn: str) -> str:
    parsed = parse_arn(arn)
    return arn if parsed is None else parsed[2]


def _without_tags(properties: Properties) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key != "Tags"}


def _handler_message(message: str) -> str:
    return f'Resource handler returned message: "{message} (Service: SageMaker)"'


def _not_stabilised(arn: str, status: str, reason: str | None) -> str:
    because = f": {reason}" if reason else ""
    return (
        "Resource handler returned message: \"Resource of type 'AWS::SageMaker::Endpoint' with identifier "
        f"'{arn}' did not stabilize (status {status}){because}\""
    )
