"""The cloud around SageMaker, in memory: S3, IAM, and nothing of CloudWatch."""
# ruff: noqa: N803 (the arguments are those of boto3)

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service import SageMaker
from tests.local_cloud import sagemaker_responses

SCOPE = Scope("111111111111", "us-east-1")
ROLE = "arn:aws:iam::111111111111:role/service"


class MissingError(ClientError):
    def __init__(self, operation: str, code: str) -> None:
        super().__init__({"Error": {"Code": code, "Message": "absent"}}, operation)


class FakeS3:
    """Objects by bucket and key."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise MissingError("GetObject", "NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def head_object(self, *, Bucket: str, Key: str) -> None:
        if (Bucket, Key) not in self.objects:
            raise MissingError("HeadObject", "404")

    def put_object(self, *, Bucket: str, Key: str, Body: Any, **encryption: str) -> None:
        buffer = io.BytesIO()
        shutil.copyfileobj(Body, buffer)
        self.objects[Bucket, Key] = buffer.getvalue()
        self.encryption = encryption

    def get_paginator(self, _operation: str) -> "FakeS3":
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        if not any(bucket == Bucket for bucket, _ in self.objects):
            raise MissingError("ListObjectsV2", "NoSuchBucket")
        keys = sorted(key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix))
        return [{"Contents": [{"Key": key} for key in keys]}] if keys else [{}]


class FakeIam:
    def get_role(self, *, RoleName: str) -> None:
        if RoleName != "service":
            raise MissingError("GetRole", "NoSuchEntity")


class FakeCloud:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.s3 = FakeS3()
        self.events: list[tuple[str, dict[str, Any], list[str]]] = []

    def client(self, service: str, scope: Scope) -> Any:
        return {"s3": self.s3, "iam": FakeIam()}[service]

    def publish(
        self, scope: Scope, *, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        self.events.append((detail_type, dict(detail), list(resources)))


@pytest.fixture
def cloud() -> FakeCloud:
    fake = FakeCloud()
    fake.s3.objects["bucket", "model.tar.gz"] = b""
    return fake


class CheckedSageMaker(SageMaker):
    """Holds every answer against AWS's service model."""

    def call(self, operation: str, parameters: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
        answer = super().call(operation, parameters, scope)
        model = sagemaker_responses.model("sagemaker").operation_model(operation)
        sagemaker_responses.check(model, 200, service_model.encode(answer))
        return answer


@pytest.fixture
def sagemaker(cloud: FakeCloud, tmp_path: Path) -> SageMaker:
    return CheckedSageMaker(cloud, tmp_path)
