"""Registering a model in a registry that gives the same package for the same client token."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.client
import pytest

from ops.errors import OperationError
from ops.promotion.packages import Registration, completed, register

GROUP = "movie-recommender-staging"
ARN = f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{GROUP}"


class Registry:
    """Packages by their client tokens; `status` is what becomes of the next one."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.statuses: list[str] = []
        self.status = "Completed"

    def call(self, operation: str, parameters: dict[str, Any]) -> Any:
        return {
            "ListModelPackages": self._list,
            "CreateModelPackage": self._create,
            "DescribeModelPackage": self._describe,
        }[operation](parameters)

    def _list(self, _parameters: dict[str, Any]) -> Any:
        versions = range(len(self.statuses), 0, -1)
        return {"ModelPackageSummaryList": [self._of(version) for version in versions]}

    def _create(self, parameters: dict[str, Any]) -> Any:
        if parameters["ClientToken"] not in self.tokens:
            self.tokens.append(parameters["ClientToken"])
            self.statuses.append(self.status)
        return {"ModelPackageArn": f"{ARN}/{self.tokens.index(parameters['ClientToken']) + 1}"}

    def _describe(self, parameters: dict[str, Any]) -> Any:
        return self._of(int(parameters["ModelPackageName"].rpartition("/")[2]))

    def _of(self, version: int) -> dict[str, Any]:
        return {
            "ModelPackageArn": f"{ARN}/{version}",
            "ModelPackageStatus": self.statuses[version - 1],
            "ModelApprovalStatus": "Approved",
            "CreationTime": datetime.now(UTC),
        }


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", registry.call)
    return registry


@pytest.fixture
def attempt(registry: Registry) -> Callable[..., str]:
    sagemaker = boto3.Session("222222222222", "local", region_name="us-east-1").client("sagemaker")

    def run(source: str = "dev/1") -> str:
        metadata = {"artifact_sha256": "a" * 64, "source_package_arn": source}
        registration = Registration(GROUP, "", "", "s3://b/a", "s3://b/e", [], [], metadata)
        return completed(sagemaker, register(sagemaker, registration)).name

    return run


def test_the_same_model_is_registered_once_and_another_one_anew(attempt: Callable[..., str]) -> None:
    assert [attempt(), attempt(), attempt("dev/2"), attempt()] == [
        f"{GROUP}/1",
        f"{GROUP}/1",
        f"{GROUP}/2",
        f"{GROUP}/1",
    ]


def test_a_registration_that_failed_can_be_made_anew(registry: Registry, attempt: Callable[..., str]) -> None:
    registry.status = "Failed"
    for version in (1, 2):
        with pytest.raises(OperationError, match=f"registration of {GROUP}/{version} ended as Failed: run"):
            attempt()
    registry.status = "Completed"
    assert attempt() == f"{GROUP}/3"
