"""A promotion that has been checked, and what of it is still to be done."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import boto3

from infra.environment import Environment
from ops.errors import OperationError
from ops.promotion.destination import Provenance, place_of, registration_of
from ops.promotion.objects import FetchedFile, find_object
from ops.promotion.packages import ModelPackage, read_package, register, registered_copy
from ops.promotion.source import Model

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


@dataclass(frozen=True)
class Side:
    """An environment with a session in its account."""

    environment: Environment
    session: boto3.Session

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    @cached_property
    def s3(self) -> "S3Client":
        """Amazon S3."""
        return self.session.client("s3")

    @cached_property
    def sagemaker(self) -> "SageMakerClient":
        """Amazon SageMaker AI."""
        return self.session.client("sagemaker")


@dataclass(frozen=True)
class Promotion:
    """All that is known once everything has been checked and nothing has been changed."""

    source: Side
    target: Side
    model: Model
    bucket: str
    """The target's model bucket."""
    origin: Provenance

    @property
    def name(self) -> str:
        """What others are told of it."""
        return f"{self.source.name} → {self.target.name}"

    def missing_files(self) -> list[FetchedFile]:
        """Return the files that are not in the target's bucket with the right SHA-256."""
        return [file for file in self.model.files if not self._is_there(file)]

    def _is_there(self, file: FetchedFile) -> bool:
        found = find_object(self.target.s3, place_of(file, self.model, self.bucket))
        return found is not None and found.sha256 == file.sha256

    def registered(self) -> ModelPackage | None:
        """Return the package that an earlier run registered in the target, if it may be deployed.

        Raises:
            OperationError: it may not, because somebody rejected it there.
        """
        package = registered_copy(
            self.target.sagemaker,
            self.target.environment,
            artifact_sha256=self.model.package.artifact_sha256,
            source_package_arn=self.model.package.arn,
        )
        if package is not None and package.approval != "Approved":
            raise OperationError(
                f"{self.target.name} has this model already, as {package.name}, and there it is "
                f"{package.approval}: approve it there if it is to serve, or promote another package"
            )
        return package

    def register(self) -> str:
        """Register the model in the target and return the package's ARN.

        Raises:
            OperationError: the source's package may no longer be deployed, or AWS refuses.
        """
        read_package(self.source.sagemaker, self.model.package.arn).require_usable()
        return register(
            self.target.sagemaker,
            registration_of(self.model, self.target.environment, self.bucket, self.origin),
        )
