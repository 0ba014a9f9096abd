"""Writes sparse rows as records, many at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Bytes, Floats, Integers
from data_prep.recordio.layout import CHUNK_ROWS, windows
from data_prep.recordio.record import (
    dense_record,
    keys_place,
    payload_end,
    sparse_record,
    values_place,
)
from data_prep.recordio.uniform import encode_uniform, is_uniform

# A chunk of long rows stays small.
_CHUNK_ELEMENTS = 1 << 18
# A layout that fewer rows share than this is cheaper to write row by row.
_LEAST_GROUP = 8
# Up to here a pass over the rows for each layout is quicker than sorting them.
_FEW_LAYOUTS = 8


def encode_sparse(
    labels: Floats | None, indptr: Integers, keys: Integers, values: Floats, shape: int
) -> Iterator[memoryview]:
    """Encode the rows of a CSR matrix; yields the bytes of some thousand rows at a time.

    The arguments are as in SparseRecords; a row may have any number of elements. Without `labels` the
    records have none. Raises ValueError where the arrays do not make a matrix of `shape` columns.
    """
    rows, elements = len(indptr) - 1, len(keys)
    if labels is not None and len(labels) != rows:
        raise ValueError(f"there are {len(labels)} labels for {rows} rows")
    if not (indptr[0] == 0 and indptr[-1] == elements == len(values)):
        raise ValueError(f"indptr ends at {indptr[-1]}; there are {elements} keys and {len(values)} values")
    if elements and not 0 <= keys.min() <= keys.max() < shape:
        raise ValueError(f"keys run from {keys.min()} to {keys.max()}, columns from 0 to {shape - 1}")
    step = max(1, min(CHUNK_ROWS, _CHUNK_ELEMENTS * rows // max(1, elements)))
    for row in range(0, rows, step):
        bounds = indptr[row : row + step + 1].astype(np.int64)
        first, end = int(bounds[0]), int(bounds[-1])
        chunk_labels = None if labels is None else labels[row : row + step].astype("<f4", copy=False)
        chunk_keys = keys[first:end]
        chunk_values = np.ascontiguousarray(values[first:end], dtype="<f4")
        count = int(bounds[1]) - first
        if is_uniform(count, shape) and (np.diff(bounds) == count).all():
            encoded = encode_uniform(
                chunk_labels, chunk_keys.reshape(-1, count), chunk_values.reshape(-1, count), shape
            )
        else:
            encoded = _encode_chunk(chunk_labels, bounds - first, chunk_keys, chunk_values, shape)
        yield encoded.data


def encode_dense(labels: Floats | None, values: Floats) -> Iterator[memoryview]:
    """Encode the rows of a float32 matrix of any width; yields the bytes of some thousand rows at a time.

    `labels` is float32[n], or None for records without. Raises ValueError where the two do not fit.
    """
    rows, columns = values.shape
    if labels is not None and len(labels) != rows:
        raise ValueError(f"there are {len(labels)} labels for {rows} rows")
    pattern = dense_record(bytes(4 * columns), None if labels is None else bytes(4))
    unlabelled = dense_record(bytes(4 * columns), None)
    step = max(1, min(CHUNK_ROWS, _CHUNK_ELEMENTS // max(1, columns)))
    for row in range(0, rows, step):
        part = np.ascontiguousarray(values[row : row + step], dtype="<f4")
        encoded = np.frombuffer(bytearray(pattern * len(part)), dtype=np.uint8)
        if columns:
            # The values end a record without a label; with one, they are in the same place.
            place = payload_end(unlabelled) - 4 * columns
            fields = np.ndarray((len(part),), f"V{4 * columns}", encoded.data, place, (len(pattern),))
            fields[:] = part.view(f"V{4 * columns}").ravel()
        if labels is not None:
            place = payload_end(pattern) - 4
            np.ndarray((len(part),), "<f4", encoded.data, place, (len(pattern),))[:] = labels[
                row : row + step
            ]
        yield encoded.data


def _encode_chunk(
    labels: Floats | None, indptr: Integers, keys: Integers, values: Floats, shape: int
) -> Bytes:
    """Rows with as many elements and as many bytes of keys share a layout, filled for all of them at once."""
    key_bytes, key_offsets = _varints(keys)
    bounds = key_offsets[indptr]
    counts, widths = np.diff(indptr), np.diff(bounds)
    sizes = np.empty(len(counts), dtype=np.int64)
    blocks: list[tuple[Integers, NDArray[np.void]]] = []
    for rows in _same_layout(counts, widths):
        if len(rows) < _LEAST_GROUP:
            for row in rows:
                record = sparse_record(
                    values[indptr[row] : indptr[row + 1]].tobytes(),
                    key_bytes[bounds[row] : bounds[row + 1]].tobytes(),
                    shape,
                    None if labels is None else labels[row].tobytes(),
                )
                blocks.append((row[None], np.frombuffer(record, dtype=f"V{len(record)}")))
                sizes[row] = len(record)
        else:
            count, width = int(counts[rows[0]]), int(widths[rows[0]])
            template, parts = _template(count, width, shape, labelled=labels is not None)
            block = np.repeat(template, len(rows))
            fields = block.view(parts)
            if count:
                fields["values"] = windows(values, 4 * count, step=4)[indptr[rows]]
                fields["keys"] = windows(key_bytes, width, step=1)[bounds[rows]]
            if labels is not None:
                fields["label"] = labels[rows]
            blocks.append((rows, block))
            sizes[rows] = block.itemsize
    ends = np.cumsum(sizes)
    starts = ends - sizes
    encoded = np.empty(ends[-1], dtype=np.uint8)
    for rows, block in blocks:
        windows(encoded, block.itemsize, step=1)[starts[rows]] = block
    return encoded


def _varints(numbers: Integers) -> tuple[Bytes, Integers]:
    """All numbers as varints end to end, and where each begins: uint8[bytes], int64[n + 1]."""
    largest = int(numbers.max(initial=0))
    # Half the bytes to move, for all but the largest ids.
    dtype = np.uint32 if largest < 1 << 32 else np.uint64
    rest: NDArray[Any] = numbers.astype(dtype)
    widths = np.ones(len(rest), dtype=np.uint8)
    for bits in range(7, largest.bit_length(), 7):
        widths += rest >= 1 << bits
    offsets = np.zeros(len(rest) + 1, dtype=np.int64)
    np.cumsum(widths, out=offsets[1:])
    encoded = np.empty(offsets[-1], dtype=np.uint8)
    at = offsets[:-1]
    while len(rest):
        more = rest > 0x7F
        encoded[at] = rest | more.view(np.uint8) << 7
        longer = np.flatnonzero(more)
        at, rest = at[longer] + 1, rest[longer] >> 7
    return encoded, offsets


def _same_layout(counts: Integers, widths: Integers) -> list[Integers]:
    """The numbers of the rows, ascending, that share each (count, width)."""
    layouts: NDArray[Any] = counts * (int(widths.max()) + 1) + widths
    layouts -= layouts.min()
    if layouts.max() < 1 << 16:
        # numpy sorts numbers of 16 bits in linear time.
        layouts = layouts.astype(np.uint16)
        found = np.flatnonzero(np.bincount(layouts))
        if len(found) <= _FEW_LAYOUTS:
            return [np.flatnonzero(layouts == layout) for layout in found]
    order = np.argsort(layouts, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(layouts[order])) + 1)


def _template(
    count: int, width: int, shape: int, *, labelled: bool
) -> tuple[NDArray[np.void], np.dtype[Any]]:
    """One record of zeros, as raw bytes, and its parts that differ from row to row."""
    record = sparse_record(bytes(4 * count), bytes(width), shape, bytes(4) if labelled else None)
    parts = []
    if count:
        keys_at = keys_place(record, width, shape, labelled=labelled)
        parts.append(("values", f"V{4 * count}", values_place(keys_at, count, width)))
        parts.append(("keys", f"V{width}", keys_at))
    if labelled:
        parts.append(("label", "<f4", payload_end(record) - 4))
    layout = np.dtype(
        {
            "names": [name for name, _, _ in parts],
            "formats": [kind for _, kind, _ in parts],
            "offsets": [at for _, _, at in parts],
            "itemsize": len(record),
        }
    )
    return np.frombuffer(record, dtype=f"V{len(record)}"), layout
