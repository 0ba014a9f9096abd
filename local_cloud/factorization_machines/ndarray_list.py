"""MXNet's file of named arrays, as `mx.nd.save` writes and `mx.nd.load` reads it.

Source: Apache MXNet 1.3.1, `src/ndarray/ndarray.cc` (NDArray::Save, NDArray::Load, LegacyLoad). Little-endian
uint64 0x112, uint64 0, uint64 count, the arrays, uint64 count, each name as uint64 length and bytes. An array
is a magic number, the storage type, for sparse storage the shape of what is stored, the shape, the context,
the type of the values, for each auxiliary array its type and shape, the values, the auxiliary arrays.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LIST_MAGIC: Final = 0x112
_V1_MAGIC: Final = 0xF993FAC8
_V2_MAGIC: Final = 0xF993FAC9
_DENSE, _ROW_SPARSE, _CSR = 0, 1, 2
_CPU = (1, 0)
_DTYPES: Final = ("<f4", "<f8", "<f2", "|u1", "<i4", "|i1", "<i8")
_FLOAT32, _INT64 = 0, 6
# More axes than any array here has: a larger number is a sign of another file format.
_MOST_AXES = 32


class FormatError(ValueError):
    """The bytes are not a list of arrays of a known version."""


@dataclass(frozen=True)
class NamedArray:
    """An array to be saved; `row_sparse` stores the rows with their numbers, all of them."""

    name: str
    values: npt.NDArray[np.float32]
    row_sparse: bool = False


def dumps(arrays: Sequence[NamedArray]) -> bytes:
    """Serialize float32 arrays in the current version (V2) of the format."""
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays))]
    for array in arrays:
        values = np.ascontiguousarray(array.values, "<f4")
        parts.append(struct.pack("<Ii", _V2_MAGIC, _ROW_SPARSE if array.row_sparse else _DENSE))
        if array.row_sparse:
            parts.append(_shape(values.shape))
        parts.extend([_shape(values.shape), struct.pack("<iii", *_CPU, _FLOAT32)])
        if array.row_sparse:
            parts.extend([struct.pack("<i", _INT64), _shape(values.shape[:1])])
        parts.append(values.tobytes())
        if array.row_sparse:
            parts.append(np.arange(values.shape[0], dtype="<i8").tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for array in arrays:
        name = array.name.encode()
        parts.append(struct.pack("<Q", len(name)) + name)
    return b"".join(parts)


def loads(content: bytes) -> dict[str, Array]:
    """Read the arrays of a file, sparse ones made dense, a row that is not stored being zero.

    Reads versions V2 (dense, row_sparse), V1 and the one before. Raises FormatError.
    """
    reader = _Reader(content)
    try:
        magic, _, count = reader.unpack("<QQQ")
        if magic != _LIST_MAGIC:
            raise FormatError(f"it begins with {magic:#x}, not {_LIST_MAGIC:#x}")
        arrays = [_load_array(reader) for _ in range(count)]
        (names,) = reader.unpack("<Q")
        if names != count:
            raise FormatError(f"it has {count} arrays and {names} names")
        return {reader.take(reader.unpack("<Q")[0]).decode(): array for array in arrays}
    except UnicodeDecodeError as error:
        raise FormatError("a name is not UTF-8") from error


class _Reader:
    """Takes bytes from the front."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._content):
            raise FormatError(f"it ends at byte {len(self._content)}, where {end} are needed")
        taken = self._content[self._position : end]
        self._position = end
        return taken

    def unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def shape(self, axis: str = "q", axes: int | None = None) -> tuple[int, ...]:
        count = self.unpack("<I")[0] if axes is None else axes
        if count > _MOST_AXES:
            raise FormatError(f"an array has {count} axes")
        shape = self.unpack(f"<{count}{axis}")
        if any(size < 0 for size in shape):
            raise FormatError(f"an array has the shape {shape}")
        return shape

    def array(self, dtype: int, shape: tuple[int, ...]) -> Array:
        if not 0 <= dtype < len(_DTYPES):
            raise FormatError(f"an array has the unknown type {dtype}")
        layout = np.dtype(_DTYPES[dtype])
        count = 1
        for size in shape:
            count *= size
        values: Array = np.frombuffer(self.take(count * layout.itemsize), layout)
        return values.reshape(shape)


def _load_array(reader: _Reader) -> Array:
    (magic,) = reader.unpack("<I")
    if magic == _V2_MAGIC:
        return _load_v2(reader)
    # Before V2 there was no sparse storage; before V1 the number of axes came first, and axes were uint32.
    shape = reader.shape() if magic == _V1_MAGIC else reader.shape("I", magic)
    _, _, dtype = reader.unpack("<iii")
    return reader.array(dtype, shape)


def _load_v2(reader: _Reader) -> Array:
    (storage,) = reader.unpack("<i")
    if storage not in {_DENSE, _ROW_SPARSE}:
        name = "csr" if storage == _CSR else str(storage)
        raise FormatError(f"an array is stored as {name}; dense and row_sparse are read")
    stored_shape = reader.shape() if storage == _ROW_SPARSE else None
    shape = reader.shape()
    _, _, dtype = reader.unpack("<iii")
    if stored_shape is None:
        return reader.array(dtype, shape)
    (index_dtype,) = reader.unpack("<i")
    index_shape = reader.shape()
    stored = reader.array(dtype, stored_shape)
    rows = reader.array(index_dtype, index_shape).astype(np.int64)
    if stored.shape[1:] != shape[1:] or rows.shape != stored.shape[:1]:
        raise FormatError(f"{rows.shape[:1]} rows of shape {stored.shape} do not fit an array of {shape}")
    if rows.size and (rows.min() < 0 or rows.max() >= shape[0]):
        raise FormatError(f"a row number is not below {shape[0]}")
    dense = np.zeros(shape, stored.dtype)
    dense[rows] = stored
    return dense


def _shape(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<I{len(shape)}q", len(shape), *shape)
