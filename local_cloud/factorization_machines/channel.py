"""A job's channels: their rows, pass after pass, in parts that bound the memory needed.

File mode: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html.
A channel is a folder of files; its rows are decoded once and kept, beyond `KEPT_BYTES` in a file that has no
name. Pipe mode: every pass over a channel has a FIFO of its own, `<channel>_0`, `<channel>_1` and so on,
which is decoded while it is read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import records
from local_cloud.factorization_machines.dataset import Dataset, Place, Schema, decode, join
from local_cloud.factorization_machines.errors import ClientError
from local_cloud.factorization_machines.kernel import Rows
from local_cloud.factorization_machines.records import Bytes

Array = npt.NDArray[Any]

KEPT_BYTES: Final = 1 << 30
"""Decoded rows that are kept in memory; those of two features each take 28 bytes."""
PART_ROWS: Final = 1_000_000
"""Rows that are decoded, and trained on, at a time, but for at least one batch."""

_PART_BYTES = 1 << 28
_READ_BYTES = 1 << 23
PIPE_WAIT_SECONDS: Final = 60.0
"""How long a pass waits for its FIFO to be there."""
_POLL_SECONDS = 0.02


class Channel(Protocol):
    """The rows of a channel, as often as they are needed."""

    @property
    def path(self) -> Path:
        """The channel's folder, or what its FIFOs' names begin with."""

    @property
    def size(self) -> int:
        """How many bytes the latest complete pass read."""

    @property
    def batch_bytes(self) -> int:
        """How many bytes the first batch takes; known once a pass has begun."""

    def passes(self) -> Iterator[Dataset]:
        """Begin a pass: parts in order, all but the last made of whole batches. Raises ClientError."""


class FileChannel:
    """A channel in File or FastFile mode. Reads all files when it is made; raises ClientError."""

    def __init__(self, name: str, folder: Path, schema: Schema, batch_size: int, scratch: Path) -> None:
        self.path = folder
        files = channel_files(folder)
        if not files:
            raise ClientError(f"Channel {name!r} has no data: there is no file in {folder}, or all are empty")
        reader = _Reader(schema, batch_size)

        def sources() -> Iterator[tuple[str, BinaryIO]]:
            for file in files:
                with file.open("rb", buffering=0) as stream:
                    yield f"channel {name!r}, file {file.relative_to(folder)}", stream

        self._store = _Store(scratch)
        for part in reader.parts(sources()):
            self._store.add(part)
        self.size, self.batch_bytes = reader.size, reader.batch_bytes

    def passes(self) -> Iterator[Dataset]:
        """Begin a pass over the rows read before."""
        return iter(self._store)


class PipeChannel:
    """A channel in Pipe mode; each pass opens the next FIFO.

    SageMaker's own container reads one batch before it trains; that batch is the first pass's here, so that a
    job of n epochs opens n FIFOs.
    """

    def __init__(self, name: str, path: Path, schema: Schema, batch_size: int) -> None:
        self.path = path
        self.size = self.batch_bytes = 0
        self._name, self._schema, self._batch_size = name, schema, batch_size
        self._next = 0

    def passes(self) -> Iterator[Dataset]:
        """Begin a pass: wait for the next FIFO and read it to its end. Raises ClientError."""
        path = self.path.with_name(f"{self.path.name}_{self._next}")
        self._next += 1
        reader = _Reader(self._schema, self._batch_size)
        self._wait_for(path)
        with path.open("rb", buffering=0) as stream:
            for part in reader.parts(iter([(f"channel {self._name!r}, pipe {path.name}", stream)])):
                self.batch_bytes = reader.batch_bytes
                yield part
        if not reader.size:
            raise ClientError(f"Channel {self._name!r} has no data: nothing came out of the pipe {path}")
        self.size = reader.size

    def _wait_for(self, path: Path) -> None:
        end = time.monotonic() + PIPE_WAIT_SECONDS
        while not path.exists():
            if time.monotonic() > end:
                raise ClientError(
                    f"Channel {self._name!r} is in Pipe mode, but in {PIPE_WAIT_SECONDS:.0f} seconds no pipe "
                    f"{path} has appeared"
                )
            time.sleep(_POLL_SECONDS)


def channel_files(folder: Path) -> list[Path]:
    """List the files under a channel's folder in the order in which they are read, that of their paths.

    Empty files, which stand for folders in S3, are left out.
    """
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


class _Frames:
    """Hands out a stream's whole frames through a buffer of bounded size."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = np.empty(_READ_BYTES, np.uint8)
        self._begin = self._end = 0

    def take(self, most: int) -> tuple[Bytes, int]:
        """Take up to `most` frames: their bytes, valid until the next call, and how many there are.

        Bytes without a whole frame are what is broken, or cut off, at the end; no bytes are the end.
        """
        while True:
            waiting = self._buffer[self._begin : self._end]
            waiting.flags.writeable = False
            end, count, broken = records.frames(waiting, most)
            if count:
                self._begin += end
                return waiting[:end], count
            if broken or not self._read():
                self._begin = self._end
                return waiting, 0

    def _read(self) -> bool:
        waiting = self._buffer[self._begin : self._end]
        if waiting.size * 2 > self._buffer.size:
            self._buffer = np.empty(2 * self._buffer.size, np.uint8)
        self._buffer[: waiting.size] = waiting
        self._begin, self._end = 0, waiting.size
        count = self._stream.readinto(self._buffer[self._end :].data)  # type: ignore[attr-defined]
        self._end += count
        return bool(count)


class _Reader:
    """Decodes streams, one behind the other, into parts of whole batches; counts the bytes."""

    def __init__(self, schema: Schema, batch_size: int) -> None:
        self._schema = schema
        self._batch_size = batch_size
        self._first_rows = batch_size
        self._part_rows = self._missing = 0
        self.size = self.batch_bytes = 0

    def parts(self, sources: Iterator[tuple[str, BinaryIO]]) -> Iterator[Dataset]:
        """Read all `sources`, names and streams. Raises ClientError."""
        waiting: list[Dataset] = []
        for source, stream in sources:
            for part in self._decoded(source, stream):
                waiting.append(part)
                if not self._missing:
                    yield join(waiting)
                    waiting = []
                    self._missing = self._part_rows
        if waiting:
            yield join(waiting)

    def _decoded(self, source: str, stream: BinaryIO) -> Iterator[Dataset]:
        """Decode a stream's rows, some at a time, never more than are missing from a part."""
        frames = _Frames(stream)
        rows = position = 0
        while True:
            # The first row alone tells how many make a part.
            data, count = frames.take(self._missing if self._part_rows else 1)
            if not data.size:
                return
            if not self._part_rows:
                most = min(PART_ROWS, _PART_BYTES // data.size)
                self._part_rows = max(1, most // self._batch_size) * self._batch_size
                self._missing = self._part_rows
            if self._first_rows:
                end, first_rows, _ = records.frames(data, self._first_rows)
                self._first_rows -= first_rows
                self.batch_bytes += end
            part = decode(data, count, self._schema, Place(source, rows, position))
            rows, position = rows + len(part), position + data.size
            self.size += data.size
            self._missing -= len(part)
            yield part


class _Store:
    """Keeps parts in memory and, beyond `KEPT_BYTES`, in a file without a name that goes with the process."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._kept: list[Dataset] = []
        self._free = KEPT_BYTES
        self._file: IO[bytes] | None = None
        self._shapes: list[tuple[int, int, bool]] = []

    def add(self, part: Dataset) -> None:
        """Keep one more part."""
        arrays = (*part.rows, part.labels)
        size = sum(array.nbytes for array in arrays)
        if self._file is None and size <= self._free:
            self._kept.append(part)
            self._free -= size
            return
        if self._file is None:
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - open as long as this is
        for array in arrays:
            self._file.write(array.data)
        self._shapes.append((len(part), len(part.rows.keys), part.dense))

    def __iter__(self) -> Iterator[Dataset]:
        yield from self._kept
        if self._file is None:
            return
        self._file.seek(0)
        for rows, entries, dense in self._shapes:
            indptr = _read_array(self._file, np.empty(rows + 1, np.int64))
            keys = _read_array(self._file, np.empty(entries, np.int32))
            values = _read_array(self._file, np.empty(entries, np.float32))
            labels = _read_array(self._file, np.empty(rows, np.float32))
            yield Dataset(Rows(indptr, keys, values), labels, dense)


def _read_array(stream: IO[bytes], array: Array) -> Array:
    """Fill `array` from a file that has enough bytes."""
    view = array.view(np.uint8).data
    at = 0
    while at < len(view):
        at += stream.readinto(view[at:])  # type: ignore[attr-defined]
    return array
