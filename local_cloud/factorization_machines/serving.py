"""The container's `serve`: a model behind HTTP, as SageMaker hosts it.

Interface: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html: GET /ping, POST /invocations,
GET /execution-parameters.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from local_cloud.factorization_machines import artifact, decimals, kernel, payloads, records
from local_cloud.factorization_machines.model import Model, Scorer
from local_cloud.factorization_machines.payloads import RequestError

MAX_BODY_BYTES: Final = 6_291_456
"""What InvokeEndpoint takes: https://docs.aws.amazon.com/general/latest/gr/sagemaker.html."""

_BYTES_PER_MB = 1024 * 1024
# A client that sends or reads nothing for so long is given up.
_SOCKET_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Limits:
    """What depends on whether the container serves an endpoint or a batch transform job."""

    max_body_bytes: int = MAX_BODY_BYTES
    default_accept: str = payloads.JSON

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """Read what SageMaker sets for a transform job; without an Accept, its output is JSON Lines."""
        if environment.get("SAGEMAKER_BATCH", "").lower() != "true":
            return cls()
        megabytes = environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "")
        body_bytes = int(megabytes) * _BYTES_PER_MB if megabytes.isdecimal() else MAX_BODY_BYTES
        return cls(body_bytes, payloads.JSON_LINES)


class ModelServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own; the kernels run in parallel."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], model: Model, limits: Limits) -> None:
        self.limits = limits
        self._model = model
        self._scorer = Scorer(model)
        super().__init__(address, _Handler)

    def predict(self, body: bytes, content_type: str | None, accept: str | None) -> tuple[str, bytes]:
        """Answer a request's body: the response's content type and body. Raises RequestError."""
        rows = payloads.decode(body, content_type, self._model.feature_dim)
        scores = self._scorer(rows)
        if not np.isfinite(scores).all():
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model's score is not a finite number")
        chosen = payloads.negotiate(accept, self.limits.default_accept)
        binary = self._model.predictor_type == "binary_classifier"
        return chosen, payloads.encode(scores, binary=binary, content_type=chosen)


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"
    timeout = _SOCKET_TIMEOUT_SECONDS
    disable_nagle_algorithm = True
    # Head and body leave in one piece.
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._answer(HTTPStatus.OK, "text/plain", b"")
        elif self.path == "/execution-parameters":
            parameters = {
                "MaxConcurrentTransforms": os.cpu_count() or 1,
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": self.server.limits.max_body_bytes // _BYTES_PER_MB,
            }
            self._answer(HTTPStatus.OK, payloads.JSON, json.dumps(parameters).encode())
        elif self.path == "/invocations":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "POST to /invocations")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not found")

    def do_POST(self) -> None:
        try:
            body = self._body()
            headers = self.headers
            content_type, answer = self.server.predict(
                body, headers.get("Content-Type"), headers.get("Accept")
            )
        except RequestError as error:
            self._refuse(error.status, str(error))
        except Exception as error:
            traceback.print_exc()
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")
        else:
            self._answer(HTTPStatus.OK, content_type, answer)

    def _body(self) -> bytes:
        """Read the request's body. Raises RequestError."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            # Where the body ends is not known, so the connection cannot be used again.
            self.close_connection = True
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "the request needs a Content-Length")
        limit = self.server.limits.max_body_bytes
        if int(length) > limit:
            self.close_connection = True
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"HTTP content length exceeded {limit} bytes"
            )
        body = self.rfile.read(int(length))
        if self.path != "/invocations":
            raise RequestError(HTTPStatus.NOT_FOUND, f"{self.path} is not found")
        if len(body) < int(length):
            self.close_connection = True
            raise RequestError(HTTPStatus.BAD_REQUEST, "the body is shorter than its Content-Length")
        return body

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", text.encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(root: Path, host: str, port: int, stream: TextIO) -> int:
    """Serve the model in `root`/model until SIGTERM; returns the exit code, 1 where it cannot be served.

    Port 0 takes a free one; the address is printed to `stream` once requests are accepted.
    """
    try:
        kernel.load(
            (*kernel.SCORING, *records.READING, *decimals.WRITING),
            lambda: print("Compiling the numeric kernels once", file=stream, flush=True),
        )
        model = artifact.read(artifact.find(root / "model"))
        server = ModelServer((host, port), model, Limits.from_environment(os.environ))
    except artifact.ArtifactError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot listen on {host}:{port}: {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _stop)
    with server:
        print(f"Listening on http://{host}:{server.server_port}", file=stream, flush=True)
        try:
            server.serve_forever(poll_interval=0.05)
        except (_Stopped, KeyboardInterrupt):
            return 0
    return 0


class _Stopped(BaseException):
    """SIGTERM came."""


def _stop(*_: object) -> None:
    raise _Stopped
