"""Finds the payloads of RecordIO data.

A record whose payload holds the magic number at a multiple of four bytes may be written in several frames,
cut there, so that whoever starts in the middle of a file can find a record's beginning. Three bits above the
length tell the first part (1), those in the middle (2) and the last (3); the magic numbers at the cuts are
left out (dmlc-core, src/recordio.cc: RecordIOWriter::WriteRecord, RecordIOReader::NextRecord).
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Bytes, Integers
from data_prep.errors import DataError
from data_prep.recordio.layout import HEADER_BYTES, LENGTH_BITS, MAGIC

_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_MAGIC_BYTES = struct.pack("<I", MAGIC)


@dataclass(frozen=True)
class Frames:
    """Payloads: record i has `lengths[i]` bytes from `starts[i]` of `buffer`, int64[n] each.

    `places` is where the payload is in the data, for messages: a record in parts is joined elsewhere.
    """

    buffer: Bytes
    starts: Integers
    lengths: Integers
    places: Integers

    def part(self, first: int, end: int) -> "Frames":
        """The records from `first` on, up to `end`."""
        rows = slice(first, end)
        return Frames(self.buffer, self.starts[rows], self.lengths[rows], self.places[rows])


def find_frames(buffer: Bytes) -> Frames:
    """Find all payloads. Raises DataError for the first frame that is broken."""
    words = buffer[: len(buffer) // 4 * 4].view("<u4")
    heads = _evenly(words)
    if heads is None:
        heads = np.flatnonzero(words == MAGIC)
    if len(heads) and heads[-1] + 1 < len(words):
        lengths = words[heads + 1].astype(np.int64)
        following = heads + 2 + (lengths + 3 >> 2)
        whole = lengths.max() < 1 << LENGTH_BITS and len(buffer) % 4 == 0
        if whole and heads[0] == 0 and following[-1] == len(words) and (following[:-1] == heads[1:]).all():
            starts = 4 * heads + HEADER_BYTES
            return Frames(buffer, starts, lengths, starts)
    # Something is broken, a payload happens to hold the magic number, or a record is in parts.
    return _follow(buffer)


def _evenly(words: NDArray[np.uint32]) -> Integers | None:
    """Where the frames begin, in words, if all are as long as the first one; None otherwise."""
    if len(words) < HEADER_BYTES // 4:
        return None
    size = HEADER_BYTES // 4 + (int(words[1]) + 3 >> 2)
    if len(words) % size or (words[::size] != MAGIC).any():
        return None
    return np.arange(0, len(words), size)


def _follow(buffer: Bytes) -> Frames:
    """Go from one frame to the next."""
    starts: list[int] = []
    lengths: list[int] = []
    places: list[int] = []
    joined = bytearray()
    at, in_parts = 0, False
    while at < len(buffer):
        record = len(places) - in_parts
        if at + HEADER_BYTES > len(buffer):
            raise broken(record, at, "the data ends within its frame's header")
        magic, word = struct.unpack_from("<II", buffer.data, at)
        if magic != MAGIC:
            raise broken(record, at, f"its frame begins with {magic:08x}, not with RecordIO's {MAGIC:08x}")
        kind, length = word >> LENGTH_BITS, word & (1 << LENGTH_BITS) - 1
        if kind not in ((_MIDDLE, _LAST) if in_parts else (_WHOLE, _FIRST)):
            expected = "goes on with its next part" if in_parts else "begins a record"
            raise broken(record, at, f"its frame is of kind {kind}, where one is needed that {expected}")
        at += HEADER_BYTES
        if at + length > len(buffer):
            raise broken(record, at, f"it is {length} bytes long, of which {len(buffer) - at} are there")
        if kind in {_WHOLE, _FIRST}:
            places.append(at)
            starts.append(at if kind == _WHOLE else len(buffer) + len(joined))
            lengths.append(length if kind == _WHOLE else 0)
        if kind != _WHOLE:
            if in_parts:
                joined += _MAGIC_BYTES
            joined += buffer[at : at + length].data
            lengths[-1] = len(buffer) + len(joined) - starts[-1]
        in_parts = kind in {_FIRST, _MIDDLE}
        at += length + -length % 4
    if in_parts:
        raise broken(len(places) - 1, len(buffer), "the data ends before its last part")
    if joined:
        buffer = np.concatenate([buffer, np.frombuffer(joined, dtype=np.uint8)])
    return Frames(
        buffer,
        np.array(starts, dtype=np.int64),
        np.array(lengths, dtype=np.int64),
        np.array(places, dtype=np.int64),
    )


def broken(row: int | np.integer[Any], place: int | np.integer[Any], reason: str) -> DataError:
    """The error about a record; `row` counts from 0."""
    return DataError(
        f"RecordIO data, record {row + 1}, byte {place}",
        reason,
        remedy="Write the file again, or download it again",
    )
