"""Pipe mode: a channel's objects streamed to the container through FIFOs, one for each pass over them.

The container opens `/opt/ml/input/data/<channel>_0`, reads it to its end, opens `<channel>_1`, and so on:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_POLL_SECONDS = 0.05


class Pipe:
    """Feeds one channel, from its start to its end as often as the container asks, until it is closed."""

    def __init__(self, path: Path, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Begin.

        Args:
            path: of the FIFOs, without `_0`, `_1` and so on.
            chunks: begins to read what the channel holds.
        """
        self._path = path
        self._chunks = chunks
        self._closed = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._feed, daemon=True, name=f"pipe-{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, once the container has ended.

        Raises:
            Exception: the channel could not be read.
        """
        self._closed.set()
        while self._thread.is_alive():
            # What waits for a reader gets one, what writes to none an error.
            for pipe in self._path.parent.glob(f"{self._path.name}_*"):
                with contextlib.suppress(OSError):
                    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
            self._thread.join(_POLL_SECONDS)
        if self._error is not None:
            raise self._error

    def _feed(self) -> None:
        number = 0
        while not self._closed.is_set():
            pipe = self._path.with_name(f"{self._path.name}_{number}")
            os.mkfifo(pipe)
            # Returns when the container opens the other end.
            with pipe.open("wb", buffering=0) as stream:
                try:
                    for chunk in () if self._closed.is_set() else self._chunks():
                        stream.write(chunk)
                except BrokenPipeError:
                    pass  # The container has read as much as it wants.
                except Exception as error:
                    self._error = error
                    return
            number += 1


@contextlib.contextmanager
def feeding(pipes: Sequence[tuple[Path, Callable[[], Iterator[bytes]]]]) -> Iterator[None]:
    """Feed several channels while the container runs; `pipes` are the arguments of each `Pipe`."""
    started = [Pipe(path, chunks) for path, chunks in pipes]
    try:
        yield
    finally:
        for pipe in started:
            pipe.close()
