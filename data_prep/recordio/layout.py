"""What encoder and decoder share: the frame's constants, rows as arrays, bytes as windows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Floats, Integers

MAGIC = 0xCED7230A
HEADER_BYTES = 8
# The three bits above the length tell a whole record (0) from a part of one.
LENGTH_BITS = 29

# So many ordinary rows, and what is worked out for them, stay in the processor's cache.
CHUNK_ROWS = 1 << 14


@dataclass(frozen=True)
class SparseRecords:
    """Rows of a sparse matrix, in CSR form, with their labels.

    Row i has the columns `keys[indptr[i]:indptr[i + 1]]` and the values at the same places; `shape` is the
    number of columns. `labels` is float32[n], NaN where a record that was read has none; `indptr`
    int64[n + 1], `keys` int64[nnz], `values` float32[nnz].
    """

    labels: Floats
    indptr: Integers
    keys: Integers
    values: Floats
    shape: int

    def __len__(self) -> int:
        return len(self.indptr) - 1


def windows(array: NDArray[Any], size: int, *, step: int) -> NDArray[np.void]:
    """Every run of `size` bytes that begins at a multiple of `step`, not copied: one index moves a run."""
    return np.ndarray(
        ((array.nbytes - size) // step + 1,), dtype=f"V{size}", buffer=array.data, strides=(step,)
    )
