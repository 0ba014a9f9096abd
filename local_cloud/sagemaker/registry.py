"""The model registry: package groups and the packages in them."""

import threading
from collections.abc import Mapping
from typing import Any

from local_cloud.sagemaker import images, s3_data
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.errors import conflict, validation
from local_cloud.sagemaker.scope import Scope, parse_arn
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Listing, Record, Table


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
    _EVENT = "SageMaker Model Package State Change"

    def __init__(self, context: Context, groups: ModelPackageGroups) -> None:
        self._context = context
        self._groups = groups
        self._packages: Table[Record] = Table()
        self._lock = threading.Lock()
        self._last_version: dict[str, int] = {}

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateModelPackage."""
        group_name, own_name = parameters.get("ModelPackageGroupName"), parameters.get("ModelPackageName")
        if (group_name is None) == (own_name is None):
            raise validation("Exactly one of ModelPackageGroupName and ModelPackageName must be provided")
        if "InferenceSpecification" in parameters:
            self._require_deployable(scope, parameters["InferenceSpecification"])
        record: Record = {
            **{key: value for key, value in parameters.items() if key not in ("Tags", "ClientToken")},
            "CreationTime": now(),
            "CreatedBy": {},
            "CertifyForMarketplace": parameters.get("CertifyForMarketplace", False),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }
        if group_name is None:
            name, arn = str(own_name), scope.arn("model-package", str(own_name))
            record |= {"ModelPackageName": name, "ModelPackageArn": arn}
        else:
            group = self._groups.get(scope, group_name)
            name = self._next_version(scope, group, record)
            arn = record["ModelPackageArn"]
        self._packages.add(scope, name, record, taken=validation(f"Model Package already exists: {arn}"))
        self._context.publish(scope, self._EVENT, record, [arn])
        return {"ModelPackageArn": arn}

    def _next_version(self, scope: Scope, group: Record, record: Record) -> str:
        group_name = group["ModelPackageGroupName"]
        with self._lock:
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
        record = self.get(scope, parameters["ModelPackageArn"])
        properties = {
            **(record.get("CustomerMetadataProperties") or {}),
            **parameters.get("CustomerMetadataProperties", {}),
        }
        for key in parameters.get("CustomerMetadataPropertiesToRemove", []):
            properties.pop(key, None)
        changes = {
            key: parameters[key]
            for key in ("ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri",
                        "ModelCard", "ModelLifeCycle")
            if key in parameters
        }  # fmt: skip
        record |= {
            **changes,
            "CustomerMetadataProperties": properties or None,
            "LastModifiedTime": now(),
            "LastModifiedBy": {},
        }
        self._context.publish(scope, self._EVENT, record, [record["ModelPackageArn"]])
        return {"ModelPackageArn": record["ModelPackageArn"]}

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


def _resolve(scope: Scope, name_or_arn: str, kind: str) -> tuple[Scope, str]:
    parsed = parse_arn(name_or_arn)
    if parsed is None:
        return scope, name_or_arn
    owner, arn_kind, name = parsed
    return (owner, name) if owner == scope and arn_kind == kind else (scope, name_or_arn)
