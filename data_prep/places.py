"""Where the command line reads and writes: folders of this machine, or `s3://` prefixes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data_prep import stages
from data_prep.errors import DataError
from data_prep.formats.input_data import open_input
from data_prep.manifest import Manifest, PrepareSettings
from data_prep.prepare import prepare, prepare_opened, working_folder
from data_prep.stages import Progress
from data_prep.store import Folder, Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from data_prep.storage import Prefix

_S3 = "s3://"


def is_in_s3(location: str) -> bool:
    """Whether it is an `s3://` URI rather than a path."""
    return location.startswith(_S3)


def aws_errors() -> tuple[type[Exception], ...]:
    """What boto3 raises where AWS refuses or cannot be reached."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - a folder is not to wait for it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    return Boto3Error, BotoCoreError, ClientError


@contextmanager
def local_data_set(location: str) -> Iterator[Path]:
    """The path of a data set, downloaded if it is in S3. Raises DataError where there is none."""
    if not is_in_s3(location):
        yield Path(location)
        return
    from data_prep.storage import download_data_set  # noqa: PLC0415 - a folder is not to wait for it

    bucket, key = _bucket_and_key(location)
    with tempfile.TemporaryDirectory() as folder:
        yield download_data_set(_client(), bucket, key, Path(folder))


def store_at(location: str) -> Store:
    """The store in a folder or under a prefix."""
    return _prefix(location) if is_in_s3(location) else Folder(Path(location))


@contextmanager
def scratch_for(location: str) -> Iterator[Path]:
    """A folder for temporary files of a store, on its file system if that is one."""
    if is_in_s3(location):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        place = Path(location)
        with working_folder(place.parent, f"{place.name}-scratch") as working:
            yield working


def prepare_at(source: Path, out: str, *, settings: PrepareSettings, progress: Progress) -> Manifest:
    """Prepare a local data set under a folder or a prefix, where finished work is found again."""
    if not is_in_s3(out):
        return prepare(source, Path(out), settings=settings, progress=progress)
    from data_prep.storage import upload_prepared  # noqa: PLC0415 - a folder is not to wait for it

    progress("Opening the data set", 0.0)
    with open_input(source, max_bad_rows=settings.max_bad_rows) as data:
        store = _prefix(f"{out.rstrip('/')}/{stages.digest_of(data, settings)}")
        if (finished := stages.read_manifest(store)) is not None:
            progress("Already prepared", 1.0)
            return finished
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare_opened(data, Path(folder), settings=settings, progress=progress)
            progress("Uploading", 1.0)
            upload_prepared(store, Path(folder) / prepared.digest, prepared)
    return prepared


def _prefix(location: str) -> "Prefix":
    from data_prep.storage import Prefix  # noqa: PLC0415 - a folder is not to wait for it

    return Prefix(_client(), *_bucket_and_key(location))


def _bucket_and_key(location: str) -> tuple[str, str]:
    parts = urlsplit(location)
    if not parts.netloc:
        raise DataError(location, "this names no bucket", remedy="Give s3://bucket/prefix")
    return parts.netloc, location.removeprefix(f"{_S3}{parts.netloc}").removeprefix("/")


def _client() -> "S3Client":
    import boto3  # noqa: PLC0415 - a folder is not to wait for it

    return boto3.client("s3")
