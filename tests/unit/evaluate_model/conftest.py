"""Objects in memory behind a real S3 client: botocore checks every call and answer."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from evaluate_model import handler
from evaluate_model.object_store import ObjectStore


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


@dataclass
class S3:
    objects: dict[str, bytes] = field(default_factory=dict)

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        parts = urlsplit(request.url)
        uri = f"s3://{parts.netloc.split('.')[0]}{unquote(parts.path)}"
        operation = event_name.split(".")[2]
        if operation == "GetObject":
            return self._answer(request, uri, lambda: self.objects[uri])
        if operation == "CopyObject":
            source = request.headers["x-amz-copy-source"]
            source_uri = f"s3://{unquote(source.decode() if isinstance(source, bytes) else source)}"
            return self._answer(
                request, source_uri, lambda: self._put(uri, self.objects[source_uri], copied=True)
            )
        assert operation == "PutObject"
        body = request.body
        assert body is not None
        content = body if isinstance(body, bytes) else body.read()  # type: ignore[union-attr]
        assert isinstance(content, bytes)
        return self._answer(request, uri, lambda: self._put(uri, content, copied=False))

    def _put(self, uri: str, content: bytes, *, copied: bool) -> bytes:
        self.objects[uri] = content
        return b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>" if copied else b""

    def _answer(self, request: AWSPreparedRequest, uri: str, act: Any) -> AWSResponse:
        try:
            status, body = 200, act()
        except KeyError:
            status, body = (
                404,
                b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>",
            )
        headers = HTTPHeaders.from_dict({"Content-Length": str(len(body))})
        return AWSResponse(request.url, status, headers, _Raw(body))


@pytest.fixture(scope="session")
def client() -> Any:
    # Checksums of what is sent come after it, in pieces with headers of their own: not for this store.
    config = Config(request_checksum_calculation="when_required")
    return boto3.Session("x", "x", region_name="us-east-1").client("s3", config=config)


@pytest.fixture
def s3(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    fake = S3()
    client.meta.events.register("before-send", fake.send, unique_id="fake")
    monkeypatch.setattr(handler, "_store", lambda: ObjectStore(client))
    yield fake
    client.meta.events.unregister("before-send", unique_id="fake")
