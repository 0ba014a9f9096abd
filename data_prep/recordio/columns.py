"""Reads records of a few layouts, such as `encode_uniform` writes, all records of a layout at once.

Two records are laid out alike where each byte that is neither value nor label is the same, but for the lower
seven bits of a key's bytes. One record that is taken apart then tells where the columns of all of them are.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Booleans, Bytes, Floats, Integers
from data_prep.protobuf import WireError, parse_record, varint
from data_prep.recordio.frames import Frames
from data_prep.recordio.layout import HEADER_BYTES, windows
from data_prep.recordio.record import keys_place, sparse_record, values_place

# Rows of more layouts than this are read as quickly without any.
_MOST_LAYOUTS = 8
# Longer records are read as quickly without it, and rarely alike.
_LONGEST = 512
_WORD_BYTES = 8


@dataclass(frozen=True)
class Columns:
    """Rows with `count` keys each: labels float32[n], keys int64[n, count], values float32[n, count]."""

    labels: Floats
    keys: Integers
    values: Floats
    shape: int


def decode_columns(frames: Frames) -> Columns | None:
    """Read the records, of which there is one at least; None says nothing about whether they are right."""
    rows = np.arange(len(frames.starts))
    found: Columns | None = None
    for _ in range(_MOST_LAYOUTS):
        if frames.lengths[rows[0]] > _LONGEST:
            return None
        layout = _Layout.of(_payload(frames, rows[0]))
        if layout is None:
            return None
        if found is None:
            found = Columns(
                labels=np.full(len(rows), np.nan, dtype=np.float32),
                keys=np.empty((len(rows), layout.count), dtype=np.int64),
                values=np.empty((len(rows), layout.count), dtype=np.float32),
                shape=layout.shape,
            )
        if (layout.count, layout.shape) != (found.keys.shape[1], found.shape):
            return None
        same_length = frames.lengths[rows] == layout.length
        some = rows[same_length]
        payloads = _payloads(frames.buffer, frames.starts[some], layout.length)
        alike = layout.fits(payloads)
        if not alike.all():
            some, payloads = some[alike], payloads[alike]
        layout.read(payloads, some, found)
        left = ~same_length
        left[same_length] = ~alike
        rows = rows[left]
        if not len(rows):
            return found
    return None


@dataclass(frozen=True)
class _Layout:
    """Where the parts of a payload are; `widths` are of the keys' varints, `fixed` the bits that tell it."""

    payload: Bytes
    fixed: Bytes
    values_at: int
    keys_at: int
    widths: tuple[int, ...]
    labelled: bool
    shape: int

    @classmethod
    def of(cls, payload: bytes) -> Self | None:
        """The layout of a record, None where the encoder would write it in other bytes."""
        try:
            features, label = parse_record(payload)
        except WireError:
            return None
        shape, keys = features.shape[0], [varint(key) for key in features.keys]
        if max([shape, *features.keys]) > np.iinfo(np.int64).max:
            return None
        count, width, labelled = len(keys), sum(map(len, keys)), label is not None
        zeros = sparse_record(bytes(4 * count), bytes(width), shape, bytes(4) if labelled else None)
        keys_at = keys_place(zeros, width, shape, labelled=labelled)
        values_at = values_place(keys_at, count, width)
        keys_at, values_at = keys_at - HEADER_BYTES, values_at - HEADER_BYTES
        record = sparse_record(
            payload[values_at : values_at + 4 * count],
            b"".join(keys),
            shape,
            payload[-4:] if labelled else None,
        )
        if record[HEADER_BYTES : HEADER_BYTES + len(payload)] != payload:
            return None
        fixed = np.full(len(payload), 0xFF, dtype=np.uint8)
        fixed[values_at : values_at + 4 * count] = 0
        fixed[keys_at : keys_at + width] = 0x80
        if labelled:
            fixed[-4:] = 0
        return cls(
            payload=np.frombuffer(payload, dtype=np.uint8),
            fixed=fixed,
            values_at=values_at,
            keys_at=keys_at,
            widths=tuple(map(len, keys)),
            labelled=labelled,
            shape=shape,
        )

    @property
    def length(self) -> int:
        return len(self.payload)

    @property
    def count(self) -> int:
        return len(self.widths)

    def fits(self, payloads: Bytes) -> Booleans:
        """Which of the payloads, uint8[n, length], are laid out so: bool[n]."""
        alike = np.ones(len(payloads), dtype=np.bool_)
        # No record is shorter than a word; the last word may overlap the one before.
        for at in [*range(0, self.length - _WORD_BYTES, _WORD_BYTES), self.length - _WORD_BYTES]:
            (fixed,) = self.fixed[at : at + _WORD_BYTES].view("<u8")
            if fixed:
                (expected,) = self.payload[at : at + _WORD_BYTES].view("<u8") & fixed
                alike &= _column(payloads, at, "<u8") & fixed == expected
        return alike

    def read(self, payloads: Bytes, rows: Integers, columns: Columns) -> None:
        """Set these rows of `columns` to what the payloads hold, which are laid out so."""
        if self.labelled:
            columns.labels[rows] = _column(payloads, self.length - 4, "<f4")
        if not self.count:
            return
        values = f"V{4 * self.count}"
        columns.values.view(values)[rows, 0] = _column(payloads, self.values_at, values)
        at = self.keys_at
        for place, width in enumerate(self.widths):
            key = np.zeros(len(rows), dtype=np.int64)
            for byte in range(width):
                key |= (payloads[:, at + byte] & 0x7F).astype(np.int64) << 7 * byte
            columns.keys[rows, place] = key
            at += width


def _payload(frames: Frames, row: int) -> bytes:
    start = int(frames.starts[row])
    return frames.buffer[start : start + int(frames.lengths[row])].tobytes()


def _payloads(buffer: Bytes, starts: Integers, length: int) -> Bytes:
    """The payloads of one length, uint8[n, length]; those of one file are where they are, not copied."""
    apart = np.diff(starts)
    if len(apart) and (apart == apart[0]).all():
        return np.ndarray((len(starts), length), np.uint8, buffer.data, int(starts[0]), (int(apart[0]), 1))
    return windows(buffer, length, step=1)[starts].view(np.uint8).reshape(-1, length)


def _column(payloads: Bytes, at: int, kind: str) -> NDArray[Any]:
    """What is at byte `at` of each payload."""
    column: NDArray[Any] = payloads[:, at : at + np.dtype(kind).itemsize].view(kind)[:, 0]
    return column
