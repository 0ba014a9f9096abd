"""The protobuf messages of one SageMaker record, by the wire format alone.

Encoding: https://protobuf.dev/programming-guides/encoding/. Messages (package `aialgs.data`): Record has the
maps 1 features and 2 label from a name to Value; Value holds one of 2 Float32Tensor, 3 Float64Tensor, 7
Int32Tensor, 9 Bytes; a tensor has 1 values, 2 keys (uint64), 3 shape (uint64).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_FLOAT32_TENSOR = 2
_OTHER_TENSORS = {3: "Float64Tensor", 7: "Int32Tensor", 9: "Bytes"}
_MAP_KEY = b"values"
# The longest varint of 64 bits.
_VARINT_BYTES = 10


class WireError(Exception):
    """The bytes are not the message expected; the message says why."""


@dataclass
class Tensor:
    """One Float32Tensor."""

    values: list[float] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)


def varint(number: int) -> bytes:
    """Encode a number from 0: seven bits a byte, the lowest first, the top bit set on all but the last."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def parse_record(payload: bytes) -> tuple[Tensor, float | None]:
    """Read a Record in whatever order and packing its fields come: (features, label or None).

    Raises WireError.
    """
    features: Tensor | None = None
    label: Tensor | None = None
    for number, wire_type, content in _fields(payload):
        if number == 1:
            features = _map_entry(_nested(wire_type, content), "features are") or features
        elif number == 2:
            label = _map_entry(_nested(wire_type, content), "label is") or label
    if features is None:
        raise WireError('it has no features named "values"')
    if len(features.keys) != len(features.values):
        raise WireError(f"its features have {len(features.keys)} keys and {len(features.values)} values")
    if len(features.shape) != 1:
        raise WireError(f"its features have {len(features.shape)} shapes, where a sparse vector has one")
    if label is None:
        return features, None
    if len(label.values) != 1:
        raise WireError(f"its label has {len(label.values)} values, not one")
    return features, label.values[0]


def _map_entry(entry: bytes, what: str) -> Tensor | None:
    """The tensor of a map entry, or None where the entry has another name."""
    name, value = b"", b""
    for number, wire_type, content in _fields(entry):
        if number == 1:
            name = _nested(wire_type, content)
        elif number == 2:
            value = _nested(wire_type, content)
    if name != _MAP_KEY:
        return None
    tensor = Tensor()
    for number, wire_type, content in _fields(value):
        if number == _FLOAT32_TENSOR:
            _read_tensor(_nested(wire_type, content), tensor)
        elif number in _OTHER_TENSORS:
            raise WireError(f"its {what} of type {_OTHER_TENSORS[number]}, where Float32Tensor is needed")
    return tensor


def _read_tensor(content: bytes, tensor: Tensor) -> None:
    for number, wire_type, part in _fields(content):
        if number == 1:
            if wire_type not in {_LENGTH_DELIMITED, _FIXED32} or len(part) % 4:
                raise WireError("its values are not 32-bit floats")
            tensor.values.extend(value for (value,) in struct.iter_unpack("<f", part))
        elif number in {2, 3}:
            if wire_type not in {_LENGTH_DELIMITED, _VARINT}:
                raise WireError(f"its {'keys' if number == 2 else 'shape'} are not varints")
            numbers = tensor.keys if number == 2 else tensor.shape
            at = 0
            while at < len(part):
                decoded, at = _read_varint(part, at)
                numbers.append(decoded)


def _nested(wire_type: int, content: bytes) -> bytes:
    if wire_type != _LENGTH_DELIMITED:
        raise WireError("a nested message is not length-delimited")
    return content


def _fields(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (field number, wire type, the bytes of its value)."""
    at = 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, end = _read_varint(content, at)
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _read_varint(content, at)
            end = at + length
        elif wire_type in _FIXED_BYTES:
            end = at + _FIXED_BYTES[wire_type]
        else:
            raise WireError(f"field {number} has wire type {wire_type}, which is unknown")
        if end > len(content):
            raise WireError(f"field {number} is longer than the message around it")
        yield number, wire_type, content[at:end]
        at = end


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    """(the number, where it ends)."""
    number = 0
    for place in range(_VARINT_BYTES):
        if at + place >= len(content):
            raise WireError("it stops in the middle of a number")
        byte = content[at + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise WireError(f"a number is longer than {_VARINT_BYTES} bytes")
