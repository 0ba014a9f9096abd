"""What is read from S3. Objects are named by `s3://bucket/key`."""

import hashlib
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from verify_model.errors import VerificationError

if TYPE_CHECKING:
    from io import BufferedIOBase

    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client


class ObjectStore:
    """Reads objects. Every method raises VerificationError where S3 refuses."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def read(self, uri: str) -> bytes:
        """Return the object's content."""
        return self._open(uri).read()

    def sha256(self, uri: str) -> str:
        """Return the hexadecimal SHA-256 of the object's content, without holding it in memory."""
        return hashlib.file_digest(cast("BufferedIOBase", self._open(uri)), "sha256").hexdigest()

    def _open(self, uri: str) -> "StreamingBody":
        parts = urlsplit(uri)
        try:
            return self._client.get_object(Bucket=parts.netloc, Key=parts.path.removeprefix("/"))["Body"]
        except ClientError as error:
            raise VerificationError(f"{uri} is not there or may not be read: {error}") from error
