"""What tests of several packages share."""

import io
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from hypothesis import settings

from ops.datasets import fetch_movielens_100k

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[1]

# Numba's compiled code, for every process that a test starts: compiled once, not by each.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "build" / "numba"))


# How long a generated case takes says more of what else the machine does.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def movielens_zip() -> Path:
    """MovieLens 100k, fetched at first use. Workers that fetch at once each put a whole file in place."""
    return fetch_movielens_100k(ROOT / ".data" / "ml-100k.zip")


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


class MemoryS3:
    """S3 behind a real client: requests are answered from `objects`, which maps (bucket, key) to content."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.refuse = False
        self._written: dict[tuple[str, str], int] = {}
        self.client: S3Client = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1},
            ),
        )
        self.client.meta.events.register("before-send.s3", self._answer)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object; later ones are newer."""
        self.objects[bucket, key] = content
        self._written[bucket, key] = len(self._written)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        parts = urlsplit(request.url)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        self.requests.append((str(request.method), key))
        if self.refuse:
            return self._response(request, 403, b"<Error><Code>AccessDenied</Code></Error>")
        if request.method == "PUT":
            body = request.body
            self.put(bucket, key, body if isinstance(body, bytes) else body.read())
            return self._response(request, 200, b"")
        if request.method == "POST":
            # DeleteObjects. One that is not there is no error.
            for name in ET.fromstring(request.body or b"").iterfind(".//{*}Key"):
                self.objects.pop((bucket, name.text or ""), None)
            return self._response(request, 200, b"<DeleteResult/>")
        if not key:
            return self._response(request, 200, self._listing(bucket, parse_qs(parts.query)))
        content = self.objects.get((bucket, key))
        if content is None:
            return self._response(request, 404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self._response(request, 200, content)

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        """One object a page, so that whoever lists has to follow the pages."""
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = sorted(k for b, k in self.objects if b == bucket and k.startswith(prefix) and k > after)
        root = ET.Element("ListBucketResult")
        ET.SubElement(root, "IsTruncated").text = str(len(keys) > 1).lower()
        if len(keys) > 1:
            ET.SubElement(root, "NextContinuationToken").text = keys[0]
        for key in keys[:1]:
            entry = ET.SubElement(root, "Contents")
            ET.SubElement(entry, "Key").text = key
            ET.SubElement(entry, "Size").text = str(len(self.objects[bucket, key]))
            written = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=self._written[bucket, key])
            ET.SubElement(entry, "LastModified").text = written.isoformat()
        return ET.tostring(root)

    def _response(self, request: AWSPreparedRequest, status: int, body: bytes) -> AWSResponse:
        head = request.method == "HEAD"
        headers = {"Content-Length": str(len(body)), "ETag": '"x"'}
        return AWSResponse(request.url, status, headers, _Raw(b"" if head else body))


@pytest.fixture
def memory_s3() -> MemoryS3:
    return MemoryS3()
