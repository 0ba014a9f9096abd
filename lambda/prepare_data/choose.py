"""Decides whether ratings are prepared by the function or in AWS Batch, and what the jobs there run."""

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from data_prep import storage
from data_prep.manifest import PrepareSettings, dataset_digest
from prepare_data.messages import Commands, PrepareRequest, RatingsChoice
from prepare_data.prepare import requested_ratings
from prepare_data.settings import BatchSettings, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIB = 1 << 20

logger = Logger(child=True)


def choose_preparation(
    request: PrepareRequest, *, settings: Settings, batch: BatchSettings, s3: "S3Client"
) -> RatingsChoice:
    """Choose AWS Batch for an object of more than `batch.above_mib` MiB.

    Raises:
        data_prep.errors.DataError: there are no ratings, or their key cannot be used.
    """
    bucket, key = requested_ratings(request, settings, s3)
    size = storage.size_of(s3, bucket, key)
    if size <= batch.above_mib * _MIB:
        logger.info("The function prepares these ratings", bucket=bucket, key=key, bytes=size)
        return RatingsChoice(bucket=bucket, key=key, home="lambda")
    preparation = settings.preparation.model_copy(update={"shards": batch.shards})
    # As the preparation names the data set that is this one file.
    digest = dataset_digest(
        name=storage.file_name(bucket, key),
        sha256=storage.sha256_of(s3, bucket, key),
        settings=preparation,
    )
    prepared = f"s3://{settings.prepared_bucket}"
    logger.info("AWS Batch prepares these ratings", bucket=bucket, key=key, bytes=size, digest=digest)
    return RatingsChoice(
        bucket=bucket,
        key=key,
        home="batch",
        shards=batch.shards,
        commands=Commands(
            plan=("plan", f"s3://{bucket}/{key}", "--out", prepared, *_options(preparation)),
            encode=("encode", f"{prepared}/{digest}"),
            finish=("finish", f"{prepared}/{digest}"),
        ),
    )


def _options(preparation: PrepareSettings) -> list[str]:
    """The settings as options of data_prep's command line."""
    options = []
    for name, value in preparation.model_dump().items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, (list, tuple)):
            options += [f"--{option}", ",".join(map(str, value))]
        else:
            options += [f"--{option}", str(value)]
    return options
