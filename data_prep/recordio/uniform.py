"""Rows of equally many elements whose keys take at most eight bytes: the layout of one-hot user and movie.

The keys of a row then fit one 64-bit word, and so does a label at any of the four places that records of one
size leave for it. So a record is its size's pattern and three fields laid over it, whatever the keys' widths.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Bytes, Floats
from data_prep.recordio.layout import windows
from data_prep.recordio.record import keys_place, payload_end, sparse_record, values_place

_WORD_BYTES = 8
# A varint of so many bytes is spread within 32 bits.
_KEY_BITS = 28

Words = NDArray[np.uint64]


def is_uniform(count: int, shape: int) -> bool:
    """Whether rows of `count` elements in `shape` columns can be encoded here."""
    bits = max(1, (shape - 1).bit_length())
    return count > 0 and bits <= _KEY_BITS and count * -(-bits // 7) <= _WORD_BYTES


def encode_uniform(labels: Floats | None, keys: NDArray[np.integer], values: Floats, shape: int) -> Bytes:
    """Encode rows for which `is_uniform` holds.

    `keys` is integer[n, count], in any order, below `shape`; `values` is little-endian float32[n, count].
    """
    count = keys.shape[1]
    words, extra = _key_words(keys)
    patterns = {
        e: sparse_record(bytes(4 * count), bytes(count + e), shape, None if labels is None else bytes(4))
        for e in range(int(extra.min()), int(extra.max()) + 1)
    }
    sizes = {e: len(pattern) for e, pattern in patterns.items()}
    if len(set(sizes.values())) == 1:
        return _fill(labels, words, extra, values, shape=shape, patterns=patterns)
    size_of = np.zeros(max(sizes) + 1, dtype=np.int64)
    size_of[list(sizes)] = list(sizes.values())
    row_sizes = size_of[extra]
    ends = np.cumsum(row_sizes)
    encoded = np.empty(ends[-1], dtype=np.uint8)
    for size in sorted(set(sizes.values())):
        rows = np.flatnonzero(row_sizes == size)
        if len(rows):
            alike = {e: pattern for e, pattern in patterns.items() if len(pattern) == size}
            block = _fill(
                None if labels is None else labels[rows],
                words[rows],
                extra[rows],
                values[rows],
                shape=shape,
                patterns=alike,
            )
            windows(encoded, size, step=1)[ends[rows] - size] = block.view(f"V{size}")
    return encoded


def _key_words(keys: NDArray[np.integer]) -> tuple[Words, Bytes]:
    """Each row's varints end to end in one word, and by how many bytes they exceed one byte a key."""
    rows, count = keys.shape
    words, extra = np.zeros(rows, dtype=np.uint64), np.zeros(rows, dtype=np.uint8)
    for place in range(count):
        key = keys[:, place].astype(np.uint32)
        varint, wider = key & np.uint32(0x7F), np.zeros(rows, dtype=np.uint8)
        for byte in range(1, -(-int(key.max()).bit_length() // 7)):
            more = (key >= np.uint32(1 << 7 * byte)).view(np.uint8)
            varint |= (key & np.uint32(0x7F << 7 * byte)) << np.uint32(byte)
            varint |= more.astype(np.uint32) << np.uint32(8 * byte - 1)
            wider += more
        words |= varint.astype(np.uint64) << (extra.astype(np.uint64) + np.uint64(place)) * np.uint64(8)
        extra += wider
    return words, extra


def _fill(
    labels: Floats | None,
    words: Words,
    extra: Bytes,
    values: Floats,
    *,
    shape: int,
    patterns: dict[int, bytes],
) -> Bytes:
    """Records of one size. `patterns` has the record of zeros for each number of extra bytes."""
    rows, count = values.shape
    least = min(patterns)
    pattern = patterns[least]
    size = len(pattern)
    longer = extra - np.uint8(least)
    encoded = np.frombuffer(b"".join(patterns.values()), dtype=f"V{size}").take(longer).view(np.uint8)
    keys_at = keys_place(pattern, count + least, shape, labelled=labels is not None)
    values_at = values_place(keys_at, count, count + least)
    fields = np.ndarray((rows,), f"V{4 * count}", encoded.data, values_at, (size,))
    fields[:] = np.ascontiguousarray(values).view(f"V{4 * count}").ravel()
    _lay_over(encoded, keys_at, size, words)
    if labels is not None:
        bits = np.ascontiguousarray(labels).view(np.uint32).astype(np.uint64)
        _lay_over(encoded, payload_end(pattern) - 4, size, bits << np.uint64(8) * longer)
    return encoded


def _lay_over(encoded: Bytes, at: int, size: int, words: Words) -> None:
    """Set the bits of one word in each record from byte `at` on, where the bits are zero so far."""
    start = min(at, size - _WORD_BYTES)
    if start < at:
        words = words << np.uint64(8 * (at - start))
    target = np.ndarray((len(words),), "<u8", encoded.data, start, (size,))
    np.bitwise_or(target, words, out=target)
