"""A model behind HTTP: a container's ``/ping`` and ``/invocations``.

As in https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html.
"""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_cloud.sagemaker.containers import Container, Containers

logger = logging.getLogger("sagemaker")

PING_TIMEOUT_SECONDS = 2.0
STOP_GRACE_SECONDS = 30.0
_POLL_SECONDS = 0.1


class NotHealthyError(Exception):
    """The container ended, or did not answer ``/ping`` in time."""


@dataclass(frozen=True)
class Answer:
    """What a container answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ModelServer:
    """A container that serves the model in its folder, on a port of the loopback interface."""

    def __init__(
        self,
        containers: Containers,
        *,
        root: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> None:
        self.port = _free_port()
        self._connections = threading.local()
        self._container: Container = containers.start(
            ["serve", "--port", str(self.port)], root=root, environment=environment, on_line=on_line
        )

    def wait_healthy(self, timeout: float, given_up: Callable[[], bool] = lambda: False) -> None:
        """Return once ``/ping`` answers 200.

        Raises:
            NotHealthyError: the container ended, `timeout` seconds passed, or `given_up` became true.
        """
        deadline = time.monotonic() + timeout
        while True:
            code = self._container.exit_code()
            if code is not None:
                raise NotHealthyError(f"the container ended with exit code {code}")
            if self._healthy():
                return
            if time.monotonic() > deadline or given_up():
                raise NotHealthyError(f"/ping did not answer within {timeout:.0f} seconds")
            time.sleep(_POLL_SECONDS)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PING_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def invoke(self, body: bytes | memoryview, headers: Mapping[str, str], timeout: float) -> Answer:
        """POST `body` to ``/invocations``.

        Raises:
            OSError: the container cannot be reached or does not answer within `timeout` seconds.
        """
        # One connection per calling thread is kept open: a handshake per request would dominate small
        # requests.
        connection = getattr(self._connections, "connection", None)
        fresh = connection is None
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            self._connections.connection = connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request("POST", "/invocations", body=body, headers=dict(headers))
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers.items()), response.read())
        except (http.client.HTTPException, ConnectionError) as error:
            self._forget(connection)
            if fresh:
                raise ConnectionError(f"the container closed the connection: {error!r}") from error
            # The container had closed the idle connection.
            return self.invoke(body, headers, timeout)
        except OSError:
            self._forget(connection)
            raise

    def _forget(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._connections.connection = None

    def alive(self) -> bool:
        """Return whether the container still runs."""
        return self._container.exit_code() is None

    def stop(self) -> None:
        """End the container."""
        self._container.stop(grace=STOP_GRACE_SECONDS)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
