"""The model registry: package groups and the packages in them."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from local_cloud.sagemaker import images, s3_data
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.errors import conflict, validation
from local_cloud.sagemaker.scope import Scope, parse_arn
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Listing, Record, Table

_UPDATABLE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_MAX_METADATA_PROPERTIES = 50


class ModelPackageGroups:
    """The model package group operations."""

    _LISTING = Listing(
        "ModelPackageGroupSummaryList",
        "ModelPackageGroupName",
        (
            "ModelPackageGroupName",
            "ModelPackageGroupArn",
            "ModelPackageGroupDescription",
            "CreationTime",
            "ModelPackageGroupStatus",
        ),
        {},
    )

    def __init__(self) -> None:
        self._groups: Table[Record] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateModelPackageGroup."""
        name = parameters["ModelPackageGroupName"]
        arn = scope.arn("model-package-group", name)
        record = {
            **{key: value for key, value in parameters.items() if key != "Tags"},
            "ModelPackageGroupArn": arn,
            "ModelPackageGroupStatus": "Completed",
            "CreationTime": now(),
            "CreatedBy": {},
        }
        self._groups.add(scope, name, record, taken=validation(f"Model Package Group already exists: {arn}"))
        return {"ModelPackageGroupArn": arn}

    def get(self, scope: Scope, name_or_arn: str) -> Record:
        """Return a group by name or ARN.

        Raises:
            SageMakerError: there is none.
        """
        record = self._groups.get(*_resolve(scope, name_or_arn, "model-package-group"))
        if record is None:
            arn = name_or_arn if parse_arn(name_or_arn) else scope.arn("model-package-group", name_or_arn)
            raise validation(f"ModelPackageGroup {arn} does not exist.")
        return record

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeModelPackageGroup."""
        return self.get(scope, parameters["ModelPackageGroupName"])

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListModelPackageGroups."""
        return self._LISTING.page(self._groups.values(scope), parameters)

    def remove(self, scope: Scope, name: str) -> None:
        """Forget an empty group."""
        self._groups.remove(scope, name)


class ModelPackages:
    """The model package operations, for versions in a group and for packages with a name of their own."""

    _LISTING = Listing(
        "ModelPackageSummaryList",
        "OwnOrGroupName",
        (
            "ModelPackageName",
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelPackageArn",
            "ModelPackageDescription",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        ),
        {"ModelApprovalStatus": "ModelApprovalStatus"},
    )

    def __init__(self, context: Context, groups: ModelPackageGroups) -> None:
        self._context = context
        self._groups = groups
        self._packages: Table[Record] = Table()
        self._lock = threading.Lock()
        self._last_version: dict[str, int] = {}
        self._done: dict[tuple[Scope, str], tuple[Mapping[str, Any], str]] = {}

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateModelPackage."""
        group_name, own_name = parameters.get("ModelPackageGroupName"), parameters.get("ModelPackageName")
        if (group_name is None) == (own_name is None):
            raise validation("Exactly one of ModelPackageGroupName and ModelPackageName must be provided")
        if "InferenceSpecification" in parameters:
            self._require_deployable(scope, parameters["InferenceSpecification"])
        group = None if group_name is None else self._groups.get(scope, group_name)
        with self._lock:
            arn = self._created_before(scope, parameters)
            if arn is not None:
                return {"ModelPackageArn": arn}
            record = self._add(scope, group, parameters)
            self._remember(scope, parameters, record["ModelPackageArn"])
        self._publish(scope, record)
        return {"ModelPackageArn": record["ModelPackageArn"]}

    def _add(self, scope: Scope, group: Record | None, parameters: Mapping[str, Any]) -> Record:
        record: Record = {
            **{key: value for key, value in parameters.items() if key not in ("Tags", "ClientToken")},
            "CreationTime": now(),
            "CreatedBy": {},
            "CertifyForMarketplace": parameters.get("CertifyForMarketplace", False),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }
        if group is None:
            name = str(parameters["ModelPackageName"])
            record["ModelPackageArn"] = scope.arn("model-package", name)
            # "Does not apply to unversioned models" (API reference).
            record.pop("ModelApprovalStatus", None)
        else:
            name = self._next_version(scope, group, record)
        taken = validation(f"Model Package already exists: {record['ModelPackageArn']}")
        self._packages.add(scope, name, record, taken=taken)
        return record

    def _created_before(self, scope: Scope, request: Mapping[str, Any]) -> str | None:
        """Return the ARN of what this request has created already, by its ``ClientToken``.

        Raises:
            SageMakerError: another request had the token.
        """
        token = request.get("ClientToken")
        if token is None or (scope, token) not in self._done:
            return None
        earlier, arn = self._done[scope, token]
        if self._packages.get(*_resolve(scope, arn, "model-package")) is None:
            return None
        if earlier != request:
            raise validation(f"ClientToken {token} was used for another request, which created {arn}")
        return arn

    def _remember(self, scope: Scope, request: Mapping[str, Any], arn: str) -> None:
        if "ClientToken" in request:
            self._done[scope, request["ClientToken"]] = request, arn

    def _publish(self, scope: Scope, record: Record, changed: Sequence[str] = ()) -> None:
        """Put the event of a new or changed package.

        Times are ISO 8601 here, unlike those of jobs and endpoints
        (https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html).
        """
        detail = {
            name: value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value
            for name, value in record.items()
        }
        if changed:
            detail["UpdatedModelPackageFields"] = list(changed)
        event = "SageMaker Model Package State Change"
        self._context.publish(scope, event, detail, [record["ModelPackageArn"]])

    def _next_version(self, scope: Scope, group: Record, record: Record) -> str:
        group_name = group["ModelPackageGroupName"]
        version = self._last_version.get(group["ModelPackageGroupArn"], 0) + 1
        self._last_version[group["ModelPackageGroupArn"]] = version
        name = f"{group_name}/{version}"
        record |= {
            "ModelPackageGroupName": group_name,
            "ModelPackageVersion": version,
            "ModelPackageArn": scope.arn("model-package", name),
            "ModelApprovalStatus": record.get("ModelApprovalStatus", "PendingManualApproval"),
        }
        return name

    def _require_deployable(self, scope: Scope, specification: Mapping[str, Any]) -> None:
        s3 = self._context.cloud.client("s3", scope)
        for container in specification["Containers"]:
            images.require_supported(container.get("Image"), scope.region)
            if "ModelDataUrl" in container:
                s3_data.require_object(s3, container["ModelDataUrl"])

    def get(self, scope: Scope, name_or_arn: str) -> Record:
        """Return a package by its own name or by ARN.

        Raises:
            SageMakerError: there is none.
        """
        record = self._packages.get(*_resolve(scope, name_or_arn, "model-package"))
        if record is None:
            arn = name_or_arn if parse_arn(name_or_arn) else scope.arn("model-package", name_or_arn)
            raise validation(f"ModelPackage {arn} does not exist.")
        return record

    def container(self, scope: Scope, name_or_arn: str) -> Mapping[str, Any]:
        """Return the container that serves a package's model.

        Raises:
            SageMakerError: there is no such package, or it cannot be deployed.
        """
        package = self.get(scope, name_or_arn)
        containers = package.get("InferenceSpecification", {}).get("Containers", [])
        if len(containers) != 1:
            raise validation(
                f"Model package {package['ModelPackageArn']} has {len(containers)} containers in its "
                "InferenceSpecification; the local cloud serves packages of one"
            )
        container: Mapping[str, Any] = containers[0]
        return container

    def require_approved(self, scope: Scope, name_or_arn: str) -> None:
        """Check that a package may be deployed: a version of a group must be Approved.

        Raises:
            SageMakerError: it may not, or there is no such package.
        """
        package = self.get(scope, name_or_arn)
        status = package.get("ModelApprovalStatus", "Approved")
        if status != "Approved":
            raise validation(
                f"Cannot create a model from model package {package['ModelPackageArn']}: its "
                f"ModelApprovalStatus is {status}, it must be Approved"
            )

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeModelPackage."""
        return self.get(scope, parameters["ModelPackageName"])

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListModelPackages: those of the group, or without one those that have a name of their own."""
        records = self._packages.values(scope)
        group_name = parameters.get("ModelPackageGroupName")
        kind = parameters.get("ModelPackageType", "Unversioned")
        if group_name is not None:
            group = self._groups.get(scope, group_name)["ModelPackageGroupName"]
            records = [record for record in records if record.get("ModelPackageGroupName") == group]
        elif kind != "Both":
            versioned = kind == "Versioned"
            records = [record for record in records if ("ModelPackageVersion" in record) == versioned]
        named = [
            {**record, "OwnOrGroupName": record.get("ModelPackageName", record.get("ModelPackageGroupName"))}
            for record in records
        ]
        return self._LISTING.page(named, parameters)

    def update(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """UpdateModelPackage."""
        arn = parameters["ModelPackageArn"]
        with self._lock:
            if self._created_before(scope, parameters) is not None:
                return {"ModelPackageArn": arn}
            record = self.get(scope, arn)
            if "ModelPackageVersion" not in record:
                raise validation(f"{arn} is not a version of a model package group and cannot be updated")
            record |= {**_changes(record, parameters), "LastModifiedTime": now(), "LastModifiedBy": {}}
            self._remember(scope, parameters, arn)
        self._publish(scope, record, [name for name in _UPDATABLE if name in parameters])
        return {"ModelPackageArn": arn}

    def delete(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteModelPackage."""
        record = self.get(scope, parameters["ModelPackageName"])
        self._packages.remove(*_resolve(scope, parameters["ModelPackageName"], "model-package"))
        return {"ModelPackageArn": record["ModelPackageArn"]}

    def delete_group(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteModelPackageGroup."""
        group = self._groups.get(scope, parameters["ModelPackageGroupName"])
        name = group["ModelPackageGroupName"]
        if any(record.get("ModelPackageGroupName") == name for record in self._packages.values(scope)):
            raise conflict("Model Package Group cannot be deleted as it contains Model Packages.")
        self._groups.remove(scope, name)
        return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}


def _changes(record: Record, parameters: Mapping[str, Any]) -> Record:
    changes = {name: parameters[name] for name in _UPDATABLE if name in parameters}
    properties = {
        **(record.get("CustomerMetadataProperties") or {}),
        **parameters.get("CustomerMetadataProperties", {}),
    }
    for key in parameters.get("CustomerMetadataPropertiesToRemove", []):
        properties.pop(key, None)
    if len(properties) > _MAX_METADATA_PROPERTIES:
        raise validation(
            f"A model package has at most {_MAX_METADATA_PROPERTIES} CustomerMetadataProperties, this one "
            f"would have {len(properties)}"
        )
    return {**changes, "CustomerMetadataProperties": properties or None}


def _resolve(scope: Scope, name_or_arn: str, kind: str) -> tuple[Scope, str]:
    parsed = parse_arn(name_or_arn)
    if parsed is None:
        return scope, name_or_arn
    owner, arn_kind, name = parsed
    return (owner, name) if owner == scope and arn_kind == kind else (scope, name_or_arn)
