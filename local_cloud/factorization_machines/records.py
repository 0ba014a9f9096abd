"""RecordIO-protobuf records as rows, compiled: the layouts that writers use, one record after the other.

Formats: https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html for the protobuf message,
https://github.com/dmlc/dmlc-core/blob/main/include/dmlc/recordio.h for the frames. What is laid out in
another way, or broken, is left to `data_prep.recordio`, which reads every layout and explains what is wrong.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data_prep.recordio import MAGIC
from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.kernel import Float32, Int32, Int64, Rows

Bytes = npt.NDArray[np.uint8]

HEADER_BYTES: Final = 8
_LENGTH_MASK = (1 << 29) - 1
# An entry is a float32 and, but for dense rows, a key.
_LEAST_ENTRY_BYTES = 4
# Protobuf's tags, field number << 3 | 2, for length-delimited fields 1 to 3.
_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A
_MAGIC = np.uint32(MAGIC)
_NAN = np.float32(np.nan)


class Block(NamedTuple):
    """Rows decoded together: CSR, their labels, float32[n], NaN where there is none, and whether dense.

    A dense row has an entry for every feature, zeros included.
    """

    rows: Rows
    labels: Float32
    dense: bool


def decode(data: Bytes, count: int, feature_dim: int) -> Block | None:
    """Decode the `count` whole frames in `data`, uint8[n]; values and labels that are there are finite.

    Returns None where a record is broken, does not have `feature_dim` features or is laid out in a way that
    is not known here, and where sparse and dense records are mixed.
    """
    labels = np.empty(count, np.float32)
    indptr = np.empty(count + 1, np.int64)
    most = data.size // _LEAST_ENTRY_BYTES
    # Memory is taken only as far as it is written.
    keys, values = np.empty(most, np.int32), np.empty(most, np.float32)
    dense_rows = decode_frames(data, feature_dim, labels, indptr, keys, values)
    if dense_rows not in {0, count}:
        return None
    entries = int(indptr[-1])
    # Copies give the rest of the memory back.
    rows = Rows(indptr, keys[:entries].copy(), values[:entries].copy())
    return Block(rows, labels, dense_rows > 0)


@kernel.jit
def _uint32(data: Bytes, at: int) -> np.uint32:
    return np.uint32(
        np.uint32(data[at])
        | np.uint32(data[at + 1]) << np.uint32(8)
        | np.uint32(data[at + 2]) << np.uint32(16)
        | np.uint32(data[at + 3]) << np.uint32(24)
    )


@kernel.jit
def frames(data: Bytes, most: int) -> tuple[int, int, bool]:
    """Follow at most `most` whole frames from the start of `data`.

    Returns where the last ends, how many there are, and whether the next is not a frame, or part of one.
    """
    at = 0
    count = 0
    while count < most and at + HEADER_BYTES <= data.shape[0]:
        length: Any = np.int64(_uint32(data, at + 4))
        if _uint32(data, at) != _MAGIC or length > _LENGTH_MASK:
            return at, count, True
        end = at + HEADER_BYTES + (length + 3) // 4 * 4
        if end > data.shape[0]:
            break
        at = end
        count += 1
    return at, count, False


@kernel.jit
def _varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Read a number below 2^56 and where it ends; -1 where there is none."""
    number: Any = np.int64(0)
    for place in range(8):
        if at + place >= end:
            break
        byte: Any = np.int64(data[at + place])
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    return -1, at


@kernel.jit
def _field(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Read the head of a length-delimited field: its tag, or -1, and its content's bounds."""
    if at >= end:
        return -1, at, at
    length, begin = _varint(data, at + 1, end)
    if length < 0 or begin + length > end:
        return -1, at, at
    tag: Any = np.int64(data[at])
    return tag, begin, begin + length


@kernel.jit
def _tensor(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Find the Float32Tensor of a map entry named "values": its bounds, or -1."""
    tag, at, stop = _field(data, at, end)
    if tag != _FIRST or stop - at != 6:
        return -1, -1
    # "values"
    if data[at] != 118 or data[at + 1] != 97 or data[at + 2] != 108:
        return -1, -1
    if data[at + 3] != 117 or data[at + 4] != 101 or data[at + 5] != 115:
        return -1, -1
    tag, at, value_end = _field(data, stop, end)
    if tag != _SECOND or value_end != end:
        return -1, -1
    tag, at, stop = _field(data, at, end)
    if tag != _SECOND or stop != end:
        return -1, -1
    return at, stop


@kernel.jit
def _features(  # noqa: PLR0911, PLR0912, PLR0917 - a state machine, compiled
    data: Bytes, at: int, end: int, feature_dim: int, keys: Int32, values: Float32, entry: int
) -> tuple[int, bool]:
    """Write a row's entries from `entry` on: where they end, or -1, and whether the row is dense."""
    count = 0
    key_at = key_end = 0
    shape: Any = np.int64(-1)
    previous = 0
    while at < end:
        tag, begin, stop = _field(data, at, end)
        # Each field at most once, in the order of their numbers.
        if tag <= previous:
            return -1, False
        previous = tag
        if tag == _FIRST:
            if (stop - begin) % 4:
                return -1, False
            count = (stop - begin) // 4
            for index in range(count):
                values[entry + index] = np.uint32(_uint32(data, begin + 4 * index)).view(np.float32)
                if not np.isfinite(values[entry + index]):
                    return -1, False
        elif tag == _SECOND:
            key_at, key_end = begin, stop
        elif tag == _THIRD:
            shape, begin = _varint(data, begin, stop)
            if begin != stop:
                return -1, False
        else:
            return -1, False
        at = stop
    dense = key_at == key_end and count == feature_dim
    if shape != feature_dim and not (dense and shape == -1):
        return -1, False
    if dense:
        for index in range(count):
            keys[entry + index] = index
        return entry + count, True
    for index in range(count):
        key, key_at = _varint(data, key_at, key_end)
        if not 0 <= key < feature_dim:
            return -1, False
        keys[entry + index] = key
    return (entry + count if key_at == key_end else -1), False


@kernel.jit
def _label(data: Bytes, at: int, end: int) -> tuple[np.float32, bool]:
    """Read a label's one number, and whether that is what there is."""
    tag, begin, stop = _field(data, at, end)
    if tag != _FIRST or stop - begin != 4 or stop != end:
        return _NAN, False
    label = np.uint32(_uint32(data, begin)).view(np.float32)
    return label, np.isfinite(label)


@kernel.jit
def decode_frames(  # noqa: PLR0911, PLR0917 - a state machine, compiled
    data: Bytes, feature_dim: int, labels: Float32, indptr: Int64, keys: Int32, values: Float32
) -> int:
    """Decode as many frames as there are `labels`; returns how many are dense, or -1 at the first unknown."""
    at = 0
    entry = 0
    dense_rows = 0
    indptr[0] = 0
    for row in range(labels.shape[0]):
        length: Any = np.int64(_uint32(data, at + 4))
        at += HEADER_BYTES
        end = at + length
        labels[row] = _NAN
        tag, begin, stop = _field(data, at, end)
        if tag != _FIRST:
            return -1
        begin, tensor_end = _tensor(data, begin, stop)
        if begin < 0:
            return -1
        entry, dense = _features(data, begin, tensor_end, feature_dim, keys, values, entry)
        if entry < 0:
            return -1
        dense_rows += dense
        indptr[row + 1] = entry
        if stop < end:
            tag, begin, stop = _field(data, stop, end)
            if tag != _SECOND or stop != end:
                return -1
            begin, tensor_end = _tensor(data, begin, stop)
            if begin < 0:
                return -1
            labels[row], known = _label(data, begin, tensor_end)
            if not known:
                return -1
        at = end + -length % 4
    return dense_rows


_DATA = numba.types.Array(numba.uint8, 1, "C", readonly=True)
_COUNT, _FLOATS = numba.int64, numba.float32[::1]
kernel.declare(frames, (_DATA, _COUNT))
kernel.declare(decode_frames, (_DATA, _COUNT, _FLOATS, numba.int64[::1], numba.int32[::1], _FLOATS))
READING = (frames, decode_frames)
