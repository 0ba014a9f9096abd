"""Model packages of an environment's registry, as promotion reads and writes them."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infra.environment import Environment
from ops.errors import OperationError
from ops.refusals import is_missing, refusals_told

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import (
        DescribeModelPackageOutputTypeDef,
        ModelPackageSummaryTypeDef,
    )

_REGISTRATION_SECONDS = 600.0
_POLL_SECONDS = 1.0
_UNUSABLE = ("Failed", "Deleting")
_IDENTITY = ("artifact_sha256", "source_package_arn")
"""The metadata that say whether two packages are the same promotion."""


@dataclass(frozen=True)
class ModelPackage:
    """One version of a model package group.

    Attributes:
        arn: of the package.
        status: of its registration: "Completed", or not (yet) to be used.
        approval: "Approved", "Rejected" or "PendingManualApproval".
        approval_description: why, or "".
        image: URI of the container image that serves it.
        artifact_uri, evaluation_uri: `s3://bucket/key`.
        content_types, response_types: what the image takes and answers.
        created: when it was registered.
        metadata: CustomerMetadataProperties.
    """

    arn: str
    status: str
    approval: str
    approval_description: str
    image: str
    artifact_uri: str
    evaluation_uri: str
    content_types: Sequence[str]
    response_types: Sequence[str]
    created: datetime
    metadata: Mapping[str, str]

    @property
    def name(self) -> str:
        """Group and version, as in `movie-recommender-dev/3`."""
        return package_name(self.arn)

    @property
    def artifact_sha256(self) -> str:
        """What the artifact's SHA-256 was when the package was registered, in lower-case hexadecimal."""
        return self.recorded("artifact_sha256")

    def recorded(self, key: str) -> str:
        """Return an entry of the metadata.

        Raises:
            OperationError: there is none.
        """
        if key not in self.metadata:
            raise OperationError(
                f"{self.name} does not record its {key} (CustomerMetadataProperties): it was registered by "
                "hand or by an older workflow; train again, or choose another package"
            )
        return self.metadata[key]

    def figure(self, key: str) -> float | None:
        """Return a metric of the metadata, or None if it is not there or no number."""
        try:
            return float(self.metadata[key])
        except (KeyError, ValueError):
            return None

    def require_usable(self) -> None:
        """Check that the package may be deployed.

        Raises:
            OperationError: its registration is not complete, or it is not approved.
        """
        if self.status != "Completed":
            raise OperationError(
                f"{self.name} cannot be used: the status of its registration is {self.status}, not Completed"
            )
        if self.approval != "Approved":
            why = f" ({self.approval_description})" if self.approval_description else ""
            raise OperationError(f"{self.name} cannot be used: it is {self.approval}{why}, not Approved")


@dataclass(frozen=True)
class Registration:
    """A package that is to be registered as Approved. See ModelPackage for the attributes."""

    group: str
    description: str
    image: str
    artifact_uri: str
    evaluation_uri: str
    content_types: Sequence[str]
    response_types: Sequence[str]
    metadata: Mapping[str, str]


def package_name(arn: str) -> str:
    """Return group and version of a model package's ARN."""
    return arn.partition(":model-package/")[2] or arn


def read_package(sagemaker: "SageMakerClient", arn: str) -> ModelPackage:
    """Return the package.

    Raises:
        OperationError: there is none, or AWS refuses.
    """
    package = find_package(sagemaker, arn)
    if package is None:
        raise OperationError(f"There is no model package {arn}")
    return package


def find_package(sagemaker: "SageMakerClient", arn: str) -> ModelPackage | None:
    """Return the package, or None if there is none.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told(f"Model package {package_name(arn)} cannot be read"):
        try:
            return _package(sagemaker.describe_model_package(ModelPackageName=arn))
        except ClientError as error:
            if is_missing(error):
                return None
            raise


def require_member(environment: Environment, arn: str) -> None:
    """Check that `arn` names a package of the environment's own registry.

    Raises:
        OperationError: it does not.
    """
    version = arn.removeprefix(environment.model_package_arn_prefix)
    if version == arn or not version.isdecimal():
        raise OperationError(
            f"--package {arn}: is not a package of {environment.name}'s registry, "
            f"{environment.model_package_arn_prefix}<version>"
        )


def approved_packages(sagemaker: "SageMakerClient", environment: Environment) -> list[str]:
    """Return the ARNs of the environment's packages that may be deployed, the newest first.

    Raises:
        OperationError: there is no registry, or AWS refuses.
    """
    with _registry_read(environment):
        return [
            summary["ModelPackageArn"]
            for summary in _members(sagemaker, environment.model_package_group)
            if summary.get("ModelApprovalStatus") == "Approved"
            and summary["ModelPackageStatus"] == "Completed"
        ]


def registered_copy(
    sagemaker: "SageMakerClient", environment: Environment, *, artifact_sha256: str, source_package_arn: str
) -> ModelPackage | None:
    """Return the package that an earlier promotion made of the same source, or None.

    Raises:
        OperationError: there is no registry, or AWS refuses.
    """
    with _registry_read(environment):
        for summary in _members(sagemaker, environment.model_package_group):
            if summary["ModelPackageStatus"] in _UNUSABLE:
                continue
            package = find_package(sagemaker, summary["ModelPackageArn"])
            if (
                package is not None
                and package.metadata.get("artifact_sha256") == artifact_sha256
                and package.metadata.get("source_package_arn") == source_package_arn
            ):
                return package
    return None


def register(sagemaker: "SageMakerClient", registration: Registration) -> str:
    """Register a package as Approved and return its ARN; `completed` waits for it.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told(f"The model cannot be registered in {registration.group}"):
        unusable = [
            summary["ModelPackageArn"]
            for summary in _members(sagemaker, registration.group)
            if summary["ModelPackageStatus"] in _UNUSABLE
        ]
        answer = sagemaker.create_model_package(
            ModelPackageGroupName=registration.group,
            ModelPackageDescription=registration.description,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": registration.image, "ModelDataUrl": registration.artifact_uri}],
                "SupportedContentTypes": list(registration.content_types),
                "SupportedResponseMIMETypes": list(registration.response_types),
            },
            ModelMetrics={
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": registration.evaluation_uri,
                    }
                }
            },
            CustomerMetadataProperties=dict(registration.metadata),
            ClientToken=_client_token(registration, unusable),
        )
    return answer["ModelPackageArn"]


def completed(sagemaker: "SageMakerClient", arn: str) -> ModelPackage:
    """Wait until the package's registration is complete and return it.

    Raises:
        OperationError: it failed, or takes more than ten minutes.
    """
    deadline = time.monotonic() + _REGISTRATION_SECONDS
    while (package := read_package(sagemaker, arn)).status in ("Pending", "InProgress"):
        if time.monotonic() > deadline:
            raise OperationError(
                f"The registration of {package.name} is still {package.status}: look at it in SageMaker, "
                "then run this again"
            )
        time.sleep(_POLL_SECONDS)
    if package.status != "Completed":
        raise OperationError(
            f"The registration of {package.name} ended as {package.status}: run this again to register it "
            "anew"
        )
    return package


def _client_token(registration: Registration, unusable: Sequence[str]) -> str:
    """The same for every attempt to register the same model from the same source (36 characters at most).

    Another one once the registry has another package that failed: with the token of an attempt that failed,
    SageMaker would answer with that one's package for ever.
    """
    identity = [registration.group, *(registration.metadata[key] for key in _IDENTITY), *unusable]
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:36]


def _registry_read(environment: Environment) -> AbstractContextManager[None]:
    return refusals_told(
        f"The registry {environment.model_package_group} of {environment.name} cannot be read"
    )


def _members(sagemaker: "SageMakerClient", group: str) -> "Iterator[ModelPackageSummaryTypeDef]":
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    for page in pages:
        yield from page["ModelPackageSummaryList"]


def _package(description: "DescribeModelPackageOutputTypeDef") -> ModelPackage:
    specification = description.get("InferenceSpecification", {"Containers": []})
    containers = specification["Containers"]
    container = containers[0] if len(containers) == 1 else {}
    quality = description.get("ModelMetrics", {}).get("ModelQuality", {})
    return ModelPackage(
        arn=description["ModelPackageArn"],
        status=description["ModelPackageStatus"],
        approval=description.get("ModelApprovalStatus", "PendingManualApproval"),
        approval_description=description.get("ApprovalDescription", ""),
        image=container.get("Image", ""),
        artifact_uri=container.get("ModelDataUrl", ""),
        evaluation_uri=quality.get("Statistics", {}).get("S3Uri", ""),
        content_types=specification.get("SupportedContentTypes", []),
        response_types=specification.get("SupportedResponseMIMETypes", []),
        created=description["CreationTime"],
        metadata=description.get("CustomerMetadataProperties", {}),
    )
