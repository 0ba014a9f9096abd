"""Turns an object with ratings into a prepared data set in S3, unless it is there already."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from data_prep import stages, storage
from data_prep.formats.input_data import open_input
from data_prep.manifest import Manifest, PrepareSettings
from data_prep.prepare import prepare_opened
from prepare_data.messages import PreparedData, PrepareRequest
from prepare_data.settings import Settings
from prepare_data.source_key import check_source_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SHORT_CHARACTERS = 8

logger = Logger(child=True)


def prepare_ratings(request: PrepareRequest, *, settings: Settings, s3: "S3Client") -> PreparedData:
    """Prepare the ratings of one execution.

    Raises:
        data_prep.errors.DataError: there are no ratings, or they or their key cannot be used.
    """
    bucket, key = requested_ratings(request, settings, s3)
    shards = request.ratings.shards if request.ratings else 1
    preparation = settings.preparation.model_copy(update={"shards": shards})
    logger.info("Preparing ratings", bucket=bucket, key=key)
    with tempfile.TemporaryDirectory() as folder:
        ratings = storage.download(s3, bucket, key, Path(folder))
        prepared = _prepared(ratings, Path(folder), preparation, s3, settings.prepared_bucket)
    prefix = f"s3://{settings.prepared_bucket}/{prepared.digest}"
    execution = hashlib.sha256(request.execution.encode()).hexdigest()
    return PreparedData(
        digest=prepared.digest,
        prefix=prefix,
        bucket=settings.prepared_bucket,
        train_uri=f"{prefix}/train/",
        test_uri=f"{prefix}/test/",
        ranking_uri=f"{prefix}/ranking/",
        feature_dim=str(prepared.feature_dim),
        name=f"{settings.name_prefix}-{prepared.digest[:_SHORT_CHARACTERS]}-{execution[:_SHORT_CHARACTERS]}",
        train_rows=prepared.train.rows,
        test_rows=prepared.test.rows,
        source_key=key,
    )


def requested_ratings(request: PrepareRequest, settings: Settings, s3: "S3Client") -> tuple[str, str]:
    """The bucket and key of the ratings that the event names, or else of the newest ones.

    Raises:
        data_prep.errors.DataError: there are none, or the key cannot be used.
    """
    if request.ratings is None:
        bucket, key = settings.raw_bucket, storage.newest_ratings(s3, settings.raw_bucket)
    else:
        bucket, key = request.ratings.bucket, request.ratings.key
    # Before hours of training end in a package that cannot be registered.
    check_source_key(bucket, key)
    return bucket, key


def _prepared(
    ratings: Path, scratch: Path, settings: PrepareSettings, s3: "S3Client", bucket: str
) -> Manifest:
    with open_input(ratings, max_bad_rows=settings.max_bad_rows) as data:
        stored = storage.find_prepared(s3, bucket, stages.digest_of(data, settings))
        if stored is not None:
            logger.info("Already prepared", digest=stored.digest)
            return stored
        prepared = prepare_opened(
            data,
            scratch / "prepared",
            settings=settings,
            progress=lambda doing, share: logger.info(doing, share=round(share, 2)),
        )
    store = storage.Prefix(s3, bucket, prepared.digest)
    storage.upload_prepared(store, scratch / "prepared" / prepared.digest, prepared)
    logger.info("Prepared", digest=prepared.digest, train_rows=prepared.train.rows)
    return prepared
