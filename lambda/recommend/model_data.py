"""Loads what a model package's training and evaluation left beside its artifact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from data_prep.catalog import Catalog
from data_prep.histories import HistoryIndex
from evaluation.reference import Reference
from recommend.errors import UnavailableError
from recommend.fingerprint import Fingerprint

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

logger = Logger(child=True)


@dataclass(frozen=True)
class ModelData:
    """A model's columns, titles, users, what each user has rated, and what tells the model from others."""

    catalog: Catalog
    histories: HistoryIndex
    fingerprint: Fingerprint


def load_model_data(*, sagemaker: "SageMakerClient", s3: "S3Client", model_package_arn: str) -> ModelData:
    """Read the histories on demand and the rest now, from where the package's metadata says they are.

    Raises:
        UnavailableError: AWS refused or did not answer.
        KeyError: the package has no such metadata.
        data_prep.errors.DataError: the catalog or the histories are not such.
        evaluation.errors.EvaluationError: the reference scores are not such.
    """
    with _as_unavailable():
        package = sagemaker.describe_model_package(ModelPackageName=model_package_arn)
        metadata = package["CustomerMetadataProperties"]
        catalog = _S3Object(s3, metadata["catalog_uri"]).read()
        reference = _S3Object(s3, metadata["reference_uri"]).read()
        return ModelData(
            catalog=Catalog.loads(catalog, name=metadata["catalog_uri"]),
            histories=HistoryIndex(_S3Object(s3, metadata["histories_uri"]).read_range),
            fingerprint=Fingerprint.of(Reference.loads(reference, name=metadata["reference_uri"])),
        )


class _S3Object:
    def __init__(self, s3: "S3Client", uri: str) -> None:
        parts = urlsplit(uri)
        self._s3 = s3
        self._bucket = parts.netloc
        self._key = parts.path.removeprefix("/")

    def read(self) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=self._key)["Body"].read()

    def read_range(self, offset: int, length: int) -> bytes:
        with _as_unavailable():
            return self._s3.get_object(
                Bucket=self._bucket, Key=self._key, Range=f"bytes={offset}-{offset + length - 1}"
            )["Body"].read()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        logger.exception("The model's data could not be read")
        raise UnavailableError("The model's data cannot be read now. Try again later.") from error
