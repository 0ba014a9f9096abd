"""Writes records and whatever else a data set consists of, checksums included."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from data_prep.manifest import ChannelFacts, FileFacts
from data_prep.recordio import SparseRecords, encode_sparse

# Chunks of about a megabyte, each counted by the thread that checksums and by the one that writes.
_MOST_WAITING = 8


@dataclass(frozen=True)
class WrittenRecords:
    """A file of records, and how many elements its rows have together."""

    facts: ChannelFacts
    elements: int


def write_records(path: Path, key: str, batches: Iterable[SparseRecords]) -> WrittenRecords:
    """Encode the rows of all batches to one file, which a manifest will call `key`."""
    rows, elements, labels = 0, 0, 0.0

    def encoded() -> Iterator[memoryview]:
        nonlocal rows, elements, labels
        for batch in batches:
            yield from encode_sparse(batch.labels, batch.indptr, batch.keys, batch.values, batch.shape)
            rows += len(batch)
            elements += len(batch.keys)
            labels += float(batch.labels.sum(dtype=np.float64))

    facts = write_file(path, encoded())
    share = labels / rows if rows else 0.0
    return WrittenRecords(
        ChannelFacts(key=key, rows=rows, positive_share=share, bytes=facts.bytes, sha256=facts.sha256),
        elements,
    )


def write_file(path: Path, chunks: Iterable[bytes | memoryview]) -> FileFacts:
    """Write the chunks, which must not change afterwards, to a new file.

    One thread checksums and another writes what is ready while the next chunk is made: neither of them holds
    the interpreter's lock meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    checksum, size = hashlib.sha256(), 0
    waiting: deque[Future[None]] = deque()
    with (
        path.open("wb", buffering=0) as file,
        ThreadPoolExecutor(max_workers=1) as hashing,
        ThreadPoolExecutor(max_workers=1) as writing,
    ):
        for chunk in chunks:
            waiting.append(hashing.submit(checksum.update, chunk))
            waiting.append(writing.submit(_write, file, chunk))
            size += len(chunk)
            while len(waiting) > _MOST_WAITING:
                waiting.popleft().result()
        for done in waiting:
            done.result()
    return FileFacts(bytes=size, sha256=checksum.hexdigest())


def _write(file: FileIO, chunk: bytes | memoryview) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
