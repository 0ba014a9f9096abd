"""Moving data between S3 and a container's folders, as SageMaker lays it out there."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.sagemaker.errors import validation

_CHUNK_BYTES = 1 << 20
_MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")


@dataclass(frozen=True)
class S3Object:
    """An object of an input, and its path relative to the input."""

    bucket: str
    key: str
    path: str

    @property
    def uri(self) -> str:
        """``s3://`` URI."""
        return f"s3://{self.bucket}/{self.key}"


def parse_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key (which may be empty) of an ``s3://`` URI.

    Raises:
        SageMakerError: it is not one.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise validation(f"{uri!r} is not an S3 URI: it must look like s3://bucket/prefix")
    return bucket, key


def objects(s3: Any, source: Mapping[str, Any], *, role: str | None, region: str) -> list[S3Object]:
    """Return the objects of an ``S3DataSource``, in key order.

    Args:
        s3: a boto3 S3 client.
        source: its ``S3DataType`` (``S3Prefix`` or ``ManifestFile``) and ``S3Uri``.
        role: named in the error, as AWS does.
        region: named in the error.

    Raises:
        SageMakerError: there is none, or the kind of source is not supported.
    """
    kind, uri = source["S3DataType"], source["S3Uri"]
    if kind == "S3Prefix":
        found = list(_under_prefix(s3, uri))
    elif kind == "ManifestFile":
        found = list(_of_manifest(s3, uri))
    else:
        raise validation(f"The local cloud reads S3Prefix and ManifestFile sources, not {kind}")
    if not found:
        bucket = parse_uri(uri)[0]
        raise validation(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
            f"bucket exists in the selected region ({region}), that objects exist under that S3 prefix, and "
            f'that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )
    return found


def _under_prefix(s3: Any, uri: str) -> Iterator[S3Object]:
    bucket, prefix = parse_uri(uri)
    folder = prefix[: prefix.rfind("/") + 1]
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    yield S3Object(bucket, entry["Key"], entry["Key"][len(folder) :])
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise


def _of_manifest(s3: Any, uri: str) -> Iterator[S3Object]:
    bucket, key = parse_uri(uri)
    try:
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        prefix = manifest[0]["prefix"]
        names = [str(name) for name in manifest[1:]]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return
    except (ValueError, LookupError, TypeError) as error:
        raise validation(
            f'{uri} is not a manifest: it must be a JSON array [{{"prefix": "s3://…/"}}, "key", …] ({error})'
        ) from error
    for name in names:
        data_bucket, data_key = parse_uri(prefix + name)
        yield S3Object(data_bucket, data_key, name)


def chunks(s3: Any, items: Sequence[S3Object]) -> Iterator[bytes]:
    """Read objects one behind the other, about 1 MiB at a time."""
    for item in items:
        yield from s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].iter_chunks(_CHUNK_BYTES)


def download(s3: Any, item: S3Object, target: Path) -> None:
    """Write an object to the file `target`, whose folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(s3.get_object(Bucket=item.bucket, Key=item.key)["Body"], file, _CHUNK_BYTES)


def upload(s3: Any, source: Path, uri: str, *, kms_key: str | None) -> None:
    """Put the file `source` at `uri`, encrypted with `kms_key` when given."""
    bucket, key = parse_uri(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    with source.open("rb") as body:
        s3.put_object(Bucket=bucket, Key=key, Body=body, **encryption)


def require_object(s3: Any, uri: str) -> None:
    """Check that model data exists.

    Raises:
        SageMakerError: it does not.
    """
    bucket, key = parse_uri(uri)
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        raise validation(f"Could not find model data at {uri}.") from error


def extract_model(s3: Any, uri: str, target: Path) -> None:
    """Unpack the model archive at `uri` into the folder `target`.

    Raises:
        tarfile.TarError: it is not a tar archive, or a member would land outside `target`.
    """
    bucket, key = parse_uri(uri)
    target.mkdir(parents=True, exist_ok=True)
    archive = io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    with tarfile.open(fileobj=archive, mode="r:gz") as tar:
        tar.extractall(target, filter="data")


def pack(folder: Path, archive: Path) -> None:
    """Write `folder` as a ``.tar.gz`` whose bytes depend on nothing but the files' names and contents."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                tar.add(file, arcname=str(file.relative_to(folder)), recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member
