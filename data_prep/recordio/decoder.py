"""Reads records as sparse rows, many at a time."""

import numpy as np

from data_prep.arrays import Booleans, Bytes, Floats, Integers
from data_prep.protobuf import WireError, parse_record
from data_prep.recordio.columns import decode_columns
from data_prep.recordio.frames import Frames, broken, find_frames
from data_prep.recordio.layout import CHUNK_ROWS, LENGTH_BITS, SparseRecords, windows

# A varint of so many bytes still fits int64.
_INT64_VARINT_BYTES = 9


def decode_sparse(data: bytes | bytearray | memoryview) -> SparseRecords:
    """Decode a whole RecordIO file or message of sparse float32 records.

    Fields may come in any order, packed or not; unknown ones are passed over. Records may be split into
    several frames. Raises DataError, which gives the number of the record (from 1) and its place, for a
    broken frame or message, tensors other than Float32Tensor, keys that do not fit values or shape, and
    records that differ in shape.
    """
    frames = find_frames(np.frombuffer(data, dtype=np.uint8))
    starts = frames.places
    chunks = [
        _decode_chunk(frames.part(row, row + CHUNK_ROWS), row) for row in range(0, len(starts), CHUNK_ROWS)
    ]
    if not chunks:
        nothing = np.empty(0, dtype=np.int64)
        return SparseRecords(nothing.astype("f4"), np.zeros(1, np.int64), nothing, nothing.astype("f4"), 0)
    labels, counts, keys, values, shapes = (np.concatenate(part) for part in zip(*chunks, strict=True))
    shape = int(shapes[0])
    if (shapes != shape).any():
        row = int(np.argmax(shapes != shape))
        raise broken(row, starts[row], f"it has {shapes[row]} columns, those before it {shape}")
    indptr = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=indptr[1:])
    if len(keys) and keys.max() >= shape:
        element = int(np.argmax(keys >= shape))
        row = int(np.searchsorted(indptr, element, side="right")) - 1
        raise broken(row, starts[row], f"it has key {keys[element]}; the columns are 0 to {shape - 1}")
    return SparseRecords(labels, indptr, keys, values, shape)


# Labels, counts, keys, values, shapes.
_Chunk = tuple[Floats, Integers, Integers, Floats, Integers]


def _decode_chunk(frames: Frames, first: int) -> _Chunk:
    """Read rows of few layouts as columns, others that writers make at once, and the rest row by row."""
    if (columns := decode_columns(frames)) is not None:
        rows, count = columns.keys.shape
        counts, shapes = np.broadcast_to(count, rows), np.broadcast_to(columns.shape, rows)
        return columns.labels, counts, columns.keys.ravel(), columns.values.ravel(), shapes
    buffer, starts, lengths = frames.buffer, frames.starts, frames.lengths
    plain, labels, counts, keys, values, shapes = _decode_plain(buffer, starts, lengths)
    others = np.flatnonzero(~plain)
    if not len(others):
        return labels, counts, keys, values, shapes
    counts[others] = 0
    row_keys, row_values = np.split(keys, np.cumsum(counts)[:-1]), np.split(values, np.cumsum(counts)[:-1])
    for row in others:
        payload = buffer[starts[row] : starts[row] + lengths[row]].tobytes()
        try:
            features, label = parse_record(payload)
        except WireError as error:
            raise broken(first + row, frames.places[row], str(error)) from error
        if max(features.shape + features.keys) > np.iinfo(np.int64).max:
            raise broken(first + row, frames.places[row], "a key or the shape is past 2^63 - 1")
        labels[row] = np.nan if label is None else label
        counts[row], shapes[row] = len(features.keys), features.shape[0]
        row_keys[row] = np.array(features.keys, dtype=np.int64)
        row_values[row] = np.array(features.values, dtype=np.float32)
    return labels, counts, np.concatenate(row_keys), np.concatenate(row_values), shapes


def _decode_plain(
    buffer: Bytes, starts: Integers, lengths: Integers
) -> tuple[Booleans, Floats, Integers, Integers, Floats, Integers]:
    """(which rows are plain, labels, counts, keys, values, shapes); rows that are not plain have count 0."""
    cursor = _Cursor(buffer, starts)
    ends = starts + lengths
    cursor.expect(b"\x0a")
    features_end = cursor.length() + cursor.at
    cursor.expect(b"\x0a\x06values")
    for _ in ("the Value", "its Float32Tensor"):
        cursor.expect(b"\x12")
        cursor.require(cursor.length() + cursor.at == features_end)
    value_bytes, value_at = cursor.optional_field(b"\x0a")
    key_bytes, key_at = cursor.optional_field(b"\x12")
    cursor.expect(b"\x1a")
    shape_end = cursor.length() + cursor.at
    shapes = cursor.varint()
    cursor.require((cursor.at == shape_end) & (shape_end == features_end) & (value_bytes % 4 == 0))

    unlabelled = cursor.plain & (features_end == ends)
    cursor.expect(b"\x12\x12\x0a\x06values\x12\x08\x12\x06\x0a\x04")
    labels = windows(buffer, 4, step=1)[np.minimum(cursor.at, len(buffer) - 4)].view("<f4")
    cursor.require(cursor.at + 4 == ends)
    labels[unlabelled] = np.nan
    plain = cursor.plain | unlabelled

    counts, widths = np.where(plain, value_bytes // 4, 0), np.where(plain, key_bytes, 0)
    encoded = buffer[_ragged(key_at, widths, step=1)]
    last = encoded < 0x80
    row_ends = np.cumsum(widths)
    keys_before = np.append(0, np.cumsum(last))
    fitting = keys_before[row_ends] - keys_before[row_ends - widths] == counts
    # No row may end within a number: it would take the rest from the row after it.
    fitting &= (widths == 0) | np.append(last, True)[row_ends - 1]
    if not fitting.all():
        encoded, last = encoded[np.repeat(fitting, widths)], last[np.repeat(fitting, widths)]
        plain, counts = plain & fitting, np.where(fitting, counts, 0)
    key_ends = np.flatnonzero(last) + 1
    key_widths = np.diff(key_ends, prepend=0)
    if key_widths.max(initial=0) > _INT64_VARINT_BYTES:
        # Too rare to tell the rows apart here: each is parsed by itself.
        nothing = np.empty(0, dtype=np.int64)
        return np.zeros_like(plain), labels, np.zeros_like(counts), nothing, nothing.astype("f4"), shapes
    keys = _unpack_varints(encoded, key_ends - key_widths, key_widths)
    values = windows(buffer, 4, step=1)[_ragged(value_at, counts, step=4)].view("<f4")
    return plain, labels, counts, keys, values, shapes


class _Cursor:
    """One position in each of many messages, moved together; `plain` marks those as expected so far."""

    def __init__(self, buffer: Bytes, at: Integers) -> None:
        self.at = at
        self.plain = np.ones(len(at), dtype=np.bool_)
        self._buffer = buffer
        self._words = windows(buffer, 8, step=1)

    def require(self, condition: Booleans) -> None:
        self.plain &= condition

    def expect(self, content: bytes) -> None:
        """Pass over `content`, of one byte or a multiple of 8."""
        if len(content) == 1:
            self.plain &= self._buffer.take(self.at, mode="clip") == content[0]
        for word in range(0, len(content) // 8):
            found = self._words[np.minimum(self.at + 8 * word, len(self._words) - 1)].view("<u8")
            self.plain &= found == int.from_bytes(content[8 * word : 8 * word + 8], "little")
        self.at = self.at + len(content)

    def varint(self) -> Integers:
        first = self._buffer.take(self.at, mode="clip")
        number, more = (first & 0x7F).astype(np.int64), first > 0x7F
        self.at = self.at + 1
        for place in range(1, _INT64_VARINT_BYTES):
            if not more.any():
                return number
            byte = self._buffer.take(self.at, mode="clip")
            number |= np.where(more, (byte & 0x7F).astype(np.int64) << 7 * place, 0)
            self.at = self.at + more
            more &= byte > 0x7F
        self.plain &= ~more
        return number

    def length(self) -> Integers:
        """A varint that is the length of what follows."""
        length = self.varint()
        # No message is longer than its frame; and no sum of positions may overflow.
        self.plain &= length < 1 << LENGTH_BITS
        return np.where(self.plain, length, 0)

    def optional_field(self, tag: bytes) -> tuple[Integers, Integers]:
        """Pass over a length-delimited field, if it is there: (its length or 0, where its content begins)."""
        before, plain = self.at, self.plain.copy()
        there = self._buffer.take(before, mode="clip") == tag[0]
        self.at = before + 1
        length = np.where(there, self.length(), 0)
        self.plain = np.where(there, self.plain, plain)
        begin = np.where(there, self.at, before)
        self.at = begin + length
        return length, begin


def _ragged(starts: Integers, counts: Integers, *, step: int) -> Integers:
    """For each row, `counts` positions from `starts` on, `step` apart; all rows end to end."""
    before = np.cumsum(counts) - counts
    positions: Integers = np.repeat(starts - step * before, counts) + step * np.arange(counts.sum())
    return positions


def _unpack_varints(encoded: Bytes, starts: Integers, widths: Integers) -> Integers:
    """The numbers of at most nine bytes at `starts`."""
    numbers = (encoded[starts] & 0x7F).astype(np.int64)
    longer = np.flatnonzero(widths > 1)
    place = 1
    while len(longer):
        numbers[longer] |= (encoded[starts[longer] + place] & 0x7F).astype(np.int64) << 7 * place
        place += 1
        longer = longer[widths[longer] > place]
    return numbers
