"""One framed record, built from its parts: what the encoders that fill many records take as their pattern."""

import struct

from data_prep.protobuf import message, varint
from data_prep.recordio.layout import HEADER_BYTES, LENGTH_BITS, MAGIC


def sparse_record(values: bytes, keys: bytes, shape: int, label: bytes | None) -> bytes:
    """A sparse row: float32 values and varint keys, packed, and the number of columns.

    Raises ValueError where the row is too long for one frame.
    """
    return _framed(_field(1, values) + _field(2, keys) + _shape_field(shape), label)


def dense_record(values: bytes, label: bytes | None) -> bytes:
    """A dense row: float32 values alone. Raises ValueError where the row is too long for one frame."""
    return _framed(_field(1, values), label)


def payload_end(record: bytes) -> int:
    """Where the payload ends and the padding begins; a label, where there is one, is the last four bytes."""
    (length,) = struct.unpack_from("<I", record, 4)
    return HEADER_BYTES + int(length)


def keys_place(record: bytes, width: int, shape: int, *, labelled: bool) -> int:
    """Where the `width` bytes of a sparse record's keys begin: before the shape and the label."""
    after = len(_shape_field(shape)) + len(_label_field(bytes(4) if labelled else None))
    return payload_end(record) - after - width


def values_place(keys_at: int, count: int, width: int) -> int:
    """Where the values of a sparse record begin, whose `width` bytes of keys are at `keys_at`."""
    return keys_at - (len(_field(2, bytes(width))) - width) - 4 * count


def _framed(tensor: bytes, label: bytes | None) -> bytes:
    payload = message(1, _map_entry(tensor)) + _label_field(label)
    if len(payload) >= 1 << LENGTH_BITS:
        raise ValueError(
            f"a row takes {len(payload)} bytes; RecordIO frames hold less than {1 << LENGTH_BITS}"
        )
    return struct.pack("<II", MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


def _field(number: int, packed: bytes) -> bytes:
    """A repeated field, which is left out when it is empty."""
    return message(number, packed) if packed else b""


def _shape_field(shape: int) -> bytes:
    return message(3, varint(shape))


def _label_field(label: bytes | None) -> bytes:
    return b"" if label is None else message(2, _map_entry(message(1, label)))


def _map_entry(tensor: bytes) -> bytes:
    return message(1, b"values") + message(2, message(2, tensor))
