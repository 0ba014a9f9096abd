"""Rows on disk, appended and read again block by block, so that no step holds them all in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Integers
from data_prep.sorting import stable_order

BLOCK_ROWS = 1 << 18

Rows = NDArray[np.void]


class Spool:
    """A file of rows of one structured type: written first, then read any number of times.

    It is open only while it is written or read, so any number of spools can be used together.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self.path = path
        self.dtype = dtype
        self._rows = 0
        path.write_bytes(b"")

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: Rows) -> None:
        """Write `rows`, of the spool's type, to the end."""
        with self.path.open("ab") as file:
            np.ascontiguousarray(rows).tofile(file)
        self._rows += len(rows)

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Rows]:
        """Read all rows, so many at a time."""
        return read_rows(self.path, self.dtype, rows)

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink()


def read_rows(path: Path, dtype: np.dtype[Any], rows: int = -1) -> Iterator[Rows]:
    """Read a spool's file, so many rows at a time, or all at once."""
    with path.open("rb") as file:
        while len(block := np.fromfile(file, dtype=dtype, count=rows)):
            yield block


def scatter(rows: Rows, numbers: Integers, spools: Sequence[Spool]) -> None:
    """Append each row to the spool of its number, int64[n]; rows of one spool keep their order."""
    if len(spools) == 1:
        spools[0].append(rows)
        return
    grouped = rows[stable_order(numbers)]
    ends = np.cumsum(np.bincount(numbers, minlength=len(spools)))
    for spool, start, end in zip(spools, np.append(0, ends), ends, strict=False):
        if start < end:
            spool.append(grouped[start:end])
