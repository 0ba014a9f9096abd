"""Start and stop the local cloud, and say how a program reaches it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.errors import OperationError
from ops.paths import COMPILED, ROOT

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class LocalCloud:
    """A local cloud that is up."""

    pid: int
    port: int
    account: str
    """The account of requests that carry no signature: API Gateway's callers with an API key."""

    @property
    def endpoint(self) -> str:
        """Every AWS service answers here."""
        return f"http://localhost:{self.port}"

    def variables(self, *, account: str, region: str) -> dict[str, str]:
        """Return the environment variables that point AWS's own tools and SDKs at this cloud as `account`.

        The access key id is the account: that is how the local cloud tells accounts apart.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }


def point_this_process(variables: Mapping[str, str]) -> None:
    """Make `variables` the only AWS settings of this process: no profile and no token of the user's stays."""
    for name in other_settings(variables):
        del os.environ[name]
    os.environ.update(variables)


def other_settings(variables: Mapping[str, str]) -> list[str]:
    """Return the AWS_* variables of this process that are not in `variables` and could get in their way."""
    return sorted(name for name in os.environ if name.startswith("AWS_") and name not in variables)


def start(*, account: str, port: int, directory: Path) -> LocalCloud:
    """Start the local cloud on 127.0.0.1 and return once it answers.

    Raises:
        OperationError: one is already up, the port is taken, or it did not come up.
    """
    already = running(directory=directory)
    if already:
        raise OperationError(
            f"The local cloud is already up on port {already.port} (process {already.pid}): "
            "end it with `make down` first"
        )
    if _port_taken(port):
        raise OperationError(
            f"Port {port} is in use by another program: end that program, or choose another port: "
            f"LOCAL_CLOUD_PORT={port + 1} make demo"
        )
    if directory.is_dir() and any(directory.iterdir()) and not _record(directory).exists():
        # It is removed as a whole later on.
        raise OperationError(
            f"{directory} holds files of something else: name an empty folder for the local cloud"
        )
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "cloud.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_cloud"],
            cwd=ROOT,
            env=_server_environment(account=account, port=port, directory=directory),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    cloud = LocalCloud(pid=process.pid, port=port, account=account)
    _record(directory).write_text(json.dumps(asdict(cloud)))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _answers(cloud):
        if process.poll() is not None or time.monotonic() > deadline:
            _end(cloud.pid)
            raise OperationError(f"The local cloud did not start: {_last_line(log)} (all of it in {log})")
        time.sleep(0.1)
    return cloud


def running(*, directory: Path) -> LocalCloud | None:
    """Return the local cloud kept in `directory`, if it is up."""
    try:
        cloud = LocalCloud(**json.loads(_record(directory).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return cloud if _is_local_cloud(cloud.pid) else None


def stop(*, directory: Path) -> LocalCloud | None:
    """End the local cloud with everything that it started, remove what it kept, and return what was ended."""
    cloud = running(directory=directory)
    if cloud:
        _end(cloud.pid)
    if _record(directory).exists():
        shutil.rmtree(directory)
    return cloud


def _record(directory: Path) -> Path:
    return directory / "process.json"


def _server_environment(*, account: str, port: int, directory: Path) -> dict[str, str]:
    # AWS_* settings of the user's own shell (a profile, a session token) must not reach the Lambda functions
    # that run inside.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return inherited | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "LOCAL_CLOUD_STATE": str(directory / "state"),
        "MINISTACK_ACCOUNT_ID": account,
        # Compiled code outlives the local cloud: the next one need not compile it again.
        "NUMBA_CACHE_DIR": str(COMPILED),
    }


def _port_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(cloud: LocalCloud) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{cloud.port}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _is_local_cloud(pid: int) -> bool:
    """Tell our process from a stranger that got the same id after a restart of the machine."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        if sys.platform == "linux":
            return False
        listing = ["ps", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(listing, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return "local_cloud" in command.replace("\0", " ").split()


def _end(pid: int) -> None:
    """End the process and its children: the server ends its own jobs on SIGTERM, the group takes the rest."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
