"""Rows on disk, appended and read again block by block, so that no step holds them all in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Integers
from data_prep.sorting import stable_order

# What is worked out for so many rows stays in the processor's cache.
BLOCK_ROWS = 1 << 16

Rows = NDArray[np.void]


class Spool:
    """Rows of one structured type: written first, then read any number of times.

    A few are kept in memory until there are more. The file is open only while it is written or read, so any
    number of spools can be used together.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], *, held_bytes: int = 0) -> None:
        self.path = path
        self.dtype = dtype
        self._held_rows = held_bytes // dtype.itemsize
        self._held: list[Rows] = []
        self._written = False
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: Rows) -> None:
        """Write `rows`, of the spool's type, to the end; they must not change afterwards."""
        self._held.append(rows)
        self._rows += len(rows)
        if self._rows > self._held_rows:
            self._write()

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Rows]:
        """Read all rows, at most so many at a time."""
        if self._written:
            yield from read_rows(self.path, self.dtype, rows)
            return
        for held in self._held:
            for first in range(0, len(held), rows):
                yield held[first : first + rows]

    def rows(self) -> Rows:
        """All rows at once."""
        return np.concatenate([np.empty(0, dtype=self.dtype), *self.blocks(max(1, self._rows))])

    def file(self) -> Path:
        """The file with all rows."""
        self._write()
        return self.path

    def remove(self) -> None:
        """Delete the rows."""
        self._held.clear()
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        with self.path.open("ab" if self._written else "wb") as file:
            for rows in self._held:
                # Unlike tofile, this says why it fails.
                file.write(np.ascontiguousarray(rows).data)
        self._held.clear()
        self._held_rows = 0
        self._written = True


def read_rows(path: Path, dtype: np.dtype[Any], rows: int = -1) -> Iterator[Rows]:
    """Read a spool's file, so many rows at a time, or all at once."""
    with path.open("rb") as file:
        while len(block := np.fromfile(file, dtype=dtype, count=rows)):
            yield block


def take(rows: Rows, places: Integers) -> Rows:
    """The rows at these places: `rows[places]` is many times slower for structured types."""
    taken: Rows = np.take(rows, places)
    return taken


def scatter(rows: Rows, numbers: Integers, spools: Sequence[Spool]) -> None:
    """Append each row to the spool of its number, int64[n]; rows of one spool keep their order."""
    if len(spools) == 1:
        spools[0].append(rows)
        return
    grouped = take(rows, stable_order(numbers))
    ends = np.cumsum(np.bincount(numbers, minlength=len(spools)))
    for spool, start, end in zip(spools, np.append(0, ends), ends, strict=False):
        if start < end:
            spool.append(grouped[start:end])


def count_into(counts: Integers, indexes: NDArray[np.integer]) -> None:
    """Add to `counts` how often each index occurs."""
    if len(counts) <= len(indexes):
        counts += np.bincount(indexes, minlength=len(counts))
    else:
        np.add.at(counts, indexes, 1)
