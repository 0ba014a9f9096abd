"""Container processes: the algorithm as SageMaker runs it, without Docker.

One process, with its own process group, stands for one container; a folder stands for its ``/opt/ml``
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html).
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ALGORITHM = "local_cloud.factorization_machines"
"""The module that is the container's entry point: ``train`` or ``serve``."""

PYTHON_PATH = str(Path(__file__).resolve().parents[2])
"""Where the container finds that module."""

_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")


class Container:
    """A running container."""

    def __init__(self, process: "subprocess.Popen[bytes]", on_line: Callable[[str], None]) -> None:
        self._process = process
        self._on_line = on_line
        self._output = threading.Thread(target=self._pump, daemon=True, name=f"container-{process.pid}")
        self._output.start()

    def _pump(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            self._on_line(line.decode(errors="replace").rstrip("\r\n"))
        # Collect the exit code even when nobody asks for it: no zombie may stay.
        self._process.wait()

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the container's process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the container runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait at most `timeout` seconds; return the exit code, or None when it still runs.

        All of the container's output has been delivered when an exit code is returned.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._close()
        return code

    def stop(self, grace: float) -> int:
        """Ask the container to end (SIGTERM), kill it `grace` seconds later, and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
        code = self._process.wait()
        self._close()
        return code

    def kill(self) -> None:
        """End the container with everything that it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _close(self) -> None:
        # A grandchild that outlives the container would hold the output open.
        self.kill()
        self._output.join(timeout=10)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


class Containers:
    """Starts containers and ends all of them when the local cloud ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Container] = set()
        self._closed = False

    def start(
        self,
        arguments: Sequence[str],
        *,
        root: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> Container:
        """Start the algorithm with `arguments` (``["train"]``, ``["serve", "--port", "8080"]``).

        Args:
            arguments: what follows the image's entry point.
            root: stands for ``/opt/ml``; also the working directory.
            environment: the container's variables; of the server's own only a few harmless ones reach it.
            on_line: called with every line of its output, from another thread.
        """
        return self.run(
            [ALGORITHM, *arguments, "--root", str(root)],
            folder=root,
            environment=environment,
            on_line=on_line,
        )

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> Container:
        """Start a container of another image: the Python module `command[0]`, with the arguments after it.

        It is looked for in `folder`, the working directory, first. The rest is as for `start`.
        """
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with self._lock:
            if self._closed:
                raise RuntimeError("The local cloud is stopping")
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "local_cloud.sagemaker.sandbox", *command],
                cwd=folder,
                env={
                    **inherited,
                    "PYTHONPATH": os.pathsep.join([str(folder), PYTHON_PATH]),
                    "PYTHONUNBUFFERED": "1",
                    **environment,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            container = Container(process, on_line)
            self._running = {other for other in self._running if other.exit_code() is None} | {container}
        return container

    def stop_all(self) -> None:
        """End every container: SIGTERM, and SIGKILL two seconds later. None can be started afterwards."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for container in running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(container.pid, signal.SIGTERM)
        for container in running:
            container.stop(grace=2.0)
