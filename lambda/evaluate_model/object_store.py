"""What this function does with S3. Objects are named by `s3://bucket/key`."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from evaluation.errors import EvaluationError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20


class ObjectStore:
    """Reads and writes objects. Every method raises EvaluationError where S3 refuses."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def open(self, uri: str) -> "StreamingBody":
        """Return the object's content as a stream."""
        bucket, key = _place(uri)
        with _refusals_named(f"{uri} cannot be read"):
            return self._client.get_object(Bucket=bucket, Key=key)["Body"]

    def read(self, uri: str) -> bytes:
        """Return the object's content."""
        return self.open(uri).read()

    def sha256(self, uri: str) -> str:
        """Return the hexadecimal SHA-256 of the object's content, without holding it in memory."""
        digest = hashlib.sha256()
        for chunk in self.open(uri).iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()

    def copy(self, source: str, target: str) -> None:
        """Copy an object of at most 5 GB within S3."""
        source_bucket, source_key = _place(source)
        bucket, key = _place(target)
        with _refusals_named(f"{source} cannot be copied to {target}"):
            self._client.copy_object(
                Bucket=bucket, Key=key, CopySource={"Bucket": source_bucket, "Key": source_key}
            )

    def write_json(self, uri: str, content: Mapping[str, Any]) -> None:
        """Write a JSON document. NaN and infinity raise ValueError: JSON has none."""
        bucket, key = _place(uri)
        body = json.dumps(content, indent=2, allow_nan=False).encode()
        with _refusals_named(f"{uri} cannot be written"):
            self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


@contextmanager
def _refusals_named(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise EvaluationError(f"{what}: {error}") from error


def _place(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.removeprefix("/")
