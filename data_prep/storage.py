"""Ratings and prepared data sets in S3: the only module of this package that knows AWS.

A prepared data set is stored under `<digest>/`, its manifest last: one that has a manifest is complete.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from data_prep import manifest
from data_prep.errors import DataError
from data_prep.manifest import Manifest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RATINGS_PREFIX = "ratings/"


def newest_ratings(s3: "S3Client", bucket: str) -> str:
    """The key of the object under `ratings/` that was written last. Raises DataError where there is none."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=RATINGS_PREFIX)
    objects = [
        (entry["LastModified"], entry["Key"])
        for page in pages
        for entry in page.get("Contents", [])
        # An empty object whose key ends so stands for a folder.
        if not entry["Key"].endswith("/")
    ]
    if not objects:
        remedy = "Upload a MovieLens-100k archive there"
        raise DataError(f"s3://{bucket}/{RATINGS_PREFIX}", "there are no ratings", remedy=remedy)
    return max(objects)[1]


def download(s3: "S3Client", bucket: str, key: str, folder: Path) -> Path:
    """Download an object into `folder`, under the last part of its key. Raises DataError if there is none."""
    path = folder / Path(key).name
    try:
        s3.download_file(bucket, key, str(path))
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        reason = "there is no such object"
        raise DataError(
            f"s3://{bucket}/{key}", reason, remedy="Give the key of an uploaded archive"
        ) from error
    return path


def find_prepared(s3: "S3Client", bucket: str, digest: str) -> Manifest | None:
    """The manifest of a prepared data set whose files are all there, or None."""
    key = f"{digest}/{manifest.FILE_NAME}"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{digest}/")
    sizes = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
    if key not in sizes:
        return None
    try:
        found = Manifest.loads(
            s3.get_object(Bucket=bucket, Key=key)["Body"].read(), name=f"s3://{bucket}/{key}"
        )
    except DataError:
        return None
    complete = all(sizes.get(f"{digest}/{name}") == size for name, size in found.sizes().items())
    return found if complete else None


def upload_prepared(s3: "S3Client", bucket: str, folder: Path, prepared: Manifest) -> None:
    """Upload the prepared data set in `folder`, its manifest after everything else."""
    for name in [*prepared.sizes(), manifest.FILE_NAME]:
        s3.upload_file(str(folder / name), bucket, f"{prepared.digest}/{name}")
