"""Files of a model in S3: read with their hash, and written where S3 itself checks the hash."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from ops.errors import OperationError
from ops.refusals import is_missing, refusals_told

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20
_MAX_BYTES = 5 * 10**9
"""S3 takes no more in one PUT, and gives a whole object's SHA-256 only for what came in one:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html"""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class S3Object:
    """Where an object is."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> "S3Object":
        """Return the place that `s3://bucket/key` names.

        Raises:
            OperationError: it is no such URI.
        """
        parts = urlsplit(uri)
        if parts.scheme != "s3" or not parts.netloc or not parts.path.removeprefix("/"):
            raise OperationError(f'"{uri}" is not the URI of an object in S3 (s3://bucket/key)')
        return cls(parts.netloc, parts.path.removeprefix("/"))

    @property
    def uri(self) -> str:
        """The place as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class FetchedFile:
    """An object's content on this machine.

    Attributes:
        source: where it came from.
        path: where its bytes are now.
        sha256: of these bytes, in lower-case hexadecimal.
        size: in bytes.
        content_type: as the object has it.
    """

    source: S3Object
    path: Path
    sha256: str
    size: int
    content_type: str


@dataclass(frozen=True)
class StoredObject:
    """What S3 knows of an object.

    Attributes:
        sha256: of its bytes, in lower-case hexadecimal, computed by S3 when it was written; None if whoever
            wrote it did not ask for that.
    """

    sha256: str | None


def fetch(s3: "S3Client", source: S3Object, path: Path, progress: Progress) -> FetchedFile:
    """Download `source` to `path`, in constant memory, and return it with its hash.

    Raises:
        OperationError: there is no such object, it is larger than 5 GB, or AWS refuses.
    """
    digest, size = hashlib.sha256(), 0
    with refusals_told(f"{source.uri} cannot be read"):
        answer = s3.get_object(Bucket=source.bucket, Key=source.key)
        total = answer["ContentLength"]
        if total > _MAX_BYTES:
            raise OperationError(f"{source.uri} has {total:,} bytes: more than the 5 GB that one PUT takes")
        with path.open("wb") as file:
            for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
                progress(f"{path.name}: {size:,} of {total:,} bytes")
    return FetchedFile(source, path, digest.hexdigest(), size, answer["ContentType"])


def find_object(s3: "S3Client", place: S3Object) -> StoredObject | None:
    """Return what S3 knows of the object, or None if there is none.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told(f"{place.uri} cannot be looked at"):
        try:
            answer = s3.head_object(Bucket=place.bucket, Key=place.key, ChecksumMode="ENABLED")
        except ClientError as error:
            if is_missing(error):
                return None
            raise
    checksum = answer.get("ChecksumSHA256", "")
    # `-2`: of a multipart upload, a hash of its two parts' hashes.
    return StoredObject(base64.b64decode(checksum).hex() if checksum and "-" not in checksum else None)


def computed_sha256(s3: "S3Client", place: S3Object) -> str:
    """Return the SHA-256 of the object's bytes, read once more, in lower-case hexadecimal.

    Raises:
        OperationError: there is no such object, or AWS refuses.
    """
    digest = hashlib.sha256()
    with refusals_told(f"{place.uri} cannot be read"):
        for chunk in s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def store(s3: "S3Client", file: FetchedFile, place: S3Object) -> None:
    """Write the file's bytes to `place`; S3 refuses bytes that do not have its hash.

    The bucket's own default decides how they are encrypted.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told(f"{place.uri} cannot be written"), file.path.open("rb") as content:
        s3.put_object(
            Bucket=place.bucket,
            Key=place.key,
            Body=content,
            ContentType=file.content_type,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(bytes.fromhex(file.sha256)).decode(),
        )
