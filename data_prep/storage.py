"""Ratings and prepared data sets in S3: the only module of this package that knows AWS.

A prepared data set is stored under `<digest>/`, its manifest last: one that has a manifest is complete.
"""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from data_prep import manifest, stages
from data_prep.errors import DataError
from data_prep.formats.input_data import MOST_FILES
from data_prep.manifest import Manifest
from data_prep.source import Files

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

RATINGS_PREFIX = "ratings/"
_MISSING = {"404", "NoSuchKey"}
_BLOCK_BYTES = 1 << 20
# As many as one request deletes.
_DELETED_AT_ONCE = 1000


class Prefix:
    """The objects under a prefix as a data_prep.store.Store; large ones go in parts (multipart uploads)."""

    def __init__(self, s3: "S3Client", bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def sizes(self) -> dict[str, int]:
        """The sizes of all objects under the prefix."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        return {
            entry["Key"].removeprefix(self._prefix): entry["Size"]
            for page in pages
            for entry in page.get("Contents", [])
        }

    def read(self, name: str) -> bytes | None:
        """An object's content, None where there is none."""
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise
            return None

    def fetch(self, name: str, scratch: Path) -> Path:
        """Download the object, unless it is in `scratch` already. Raises DataError if there is none."""
        path = scratch / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            _download(self._s3, self._bucket, self._prefix + name, path)
        return path

    def put(self, path: Path, name: str) -> None:
        """Upload the file and delete it here."""
        self._s3.upload_file(str(path), self._bucket, self._prefix + name)
        path.unlink()

    def remove(self, names: Collection[str]) -> None:
        """Delete objects; those that are gone already do not matter."""
        keys: list[ObjectIdentifierTypeDef] = [{"Key": self._prefix + name} for name in names]
        for first in range(0, len(keys), _DELETED_AT_ONCE):
            some = keys[first : first + _DELETED_AT_ONCE]
            self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": some, "Quiet": True})


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
        remedy = "Upload a data set there"
        raise DataError(f"s3://{bucket}/{RATINGS_PREFIX}", "there are no ratings", remedy=remedy)
    return max(objects)[1]


def file_name(bucket: str, key: str) -> str:
    """The last part of an object's key. Raises DataError where no file can be called so."""
    name = Path(key).name
    if name in {"", ".."}:
        remedy = "Give the key of an uploaded data set"
        raise DataError(f"s3://{bucket}/{key}", "this is no name for a file", remedy=remedy)
    return name


def download(s3: "S3Client", bucket: str, key: str, folder: Path) -> Path:
    """Download an object into `folder` as `file_name` calls it. Raises DataError if there is none."""
    path = folder / file_name(bucket, key)
    _download(s3, bucket, key, path)
    return path


def download_data_set(s3: "S3Client", bucket: str, key: str, folder: Path) -> Path:
    """Download the object, or else all objects under `key` as a folder. Raises DataError if there is none."""
    prefix = f"{key.rstrip('/')}/" if key else ""
    names = [] if key and not key.endswith("/") else list(Prefix(s3, bucket, prefix).sizes())
    if not names:
        try:
            return download(s3, bucket, key, folder)
        except DataError:
            names = list(Prefix(s3, bucket, prefix).sizes())
            if not names:
                raise
    target = folder / (Path(prefix).name or bucket)
    for name in _files_of_data_set(names, f"s3://{bucket}/{prefix}", target):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(s3, bucket, prefix + name, path)
    return target


def _files_of_data_set(names: Collection[str], uri: str, target: Path) -> list[str]:
    """Those of the objects that would be looked at as files of the folder `target`.

    Raises DataError where there are too many, or where an object's name leads out of the folder.
    """
    files = [name for name in names if not name.endswith("/")]
    for name in files:
        if {"", ".", ".."} & set(name.split("/")):
            reason = "a part of the key is empty, . or .., which no file can be called"
            raise DataError(f"{uri}{name}", reason, remedy="Upload it under another key, or delete it")
    entries = {PurePosixPath(name): partial(FileIO, target / name) for name in files}
    sources = Files(target.name, entries, None, single=False).folders()
    looked_at = [
        source.path(file).removeprefix(f"{target.name}/") for source in sources for file in source.openers
    ]
    if len(looked_at) > MOST_FILES:
        reason = f"it holds more than {MOST_FILES} files"
        raise DataError(uri, reason, remedy="Give a prefix with a data set only, or its file of ratings")
    return looked_at


def find_prepared(s3: "S3Client", bucket: str, digest: str) -> Manifest | None:
    """The manifest of a prepared data set whose files are all there, or None."""
    return stages.read_manifest(Prefix(s3, bucket, digest))


def upload_prepared(store: Prefix, folder: Path, prepared: Manifest) -> None:
    """Move the prepared data set in `folder` to S3, its manifest after everything else."""
    for name in [*prepared.sizes(), manifest.FILE_NAME]:
        store.put(folder / name, name)


def size_of(s3: "S3Client", bucket: str, key: str) -> int:
    """The object's size in bytes. Raises DataError if there is none."""
    with _there_must_be(bucket, key):
        return s3.head_object(Bucket=bucket, Key=key)["ContentLength"]


def sha256_of(s3: "S3Client", bucket: str, key: str) -> str:
    """The hexadecimal SHA-256 of an object, read block by block. Raises DataError if there is none."""
    checksum = hashlib.sha256()
    with _there_must_be(bucket, key):
        for block in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_BLOCK_BYTES):
            checksum.update(block)
    return checksum.hexdigest()


def _download(s3: "S3Client", bucket: str, key: str, path: Path) -> None:
    with _there_must_be(bucket, key):
        s3.download_file(bucket, key, str(path))


@contextmanager
def _there_must_be(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        reason, remedy = "there is no such object", "Give the key of an uploaded data set"
        raise DataError(f"s3://{bucket}/{key}", reason, remedy=remedy) from error
