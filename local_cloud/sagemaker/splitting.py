"""Cutting a transform job's input into requests, and putting its answers together.

SplitType, BatchStrategy and AssembleWith as in
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html; RecordIO framing as in dmlc-core's
``recordio.h``: a little-endian magic, a word with 3 bits of continuation flag and 29 bits of length, the
payload, padding to 4 bytes.
"""

import sys
from collections.abc import Iterable, Iterator

_MAGIC = 0xCED7230A
_LENGTH_MASK = (1 << 29) - 1
_WHOLE, _LAST = 0, 3


class SplitError(Exception):
    """The input cannot be cut: the message says where and why."""


def split(data: bytes, *, split_type: str, multi_record: bool, max_bytes: int) -> Iterator[memoryview]:
    """Yield the bodies of the requests for one input object.

    Args:
        data: the object's bytes.
        split_type: ``None``, ``Line`` or ``RecordIO``.
        multi_record: whether a request holds as many records as fit, or one.
        max_bytes: largest body.

    Raises:
        SplitError: the data are not of the split type, or one record exceeds `max_bytes`.
    """
    view = memoryview(data)
    if split_type == "None":
        if len(view) > max_bytes:
            raise SplitError(_too_big(0, len(view), max_bytes))
        yield view
        return
    ends = record_ends(data) if split_type == "RecordIO" else line_ends(data)
    start = fitting = 0
    for end in ends:
        if end - start > max_bytes and fitting > start:
            yield view[start:fitting]
            start = fitting
        if end - start > max_bytes:
            raise SplitError(_too_big(start, end - start, max_bytes))
        if multi_record:
            fitting = end
        else:
            yield view[start:end]
            start = fitting = end
    if fitting > start:
        yield view[start:fitting]


def _too_big(offset: int, size: int, max_bytes: int) -> str:
    return (
        f"Too much data for max payload size: the record at byte {offset} has {size} bytes, "
        f"MaxPayloadInMB allows {max_bytes}"
    )


def line_ends(data: bytes) -> Iterator[int]:
    """Yield the offset behind every line of `data`; the last line may lack its newline."""
    position = 0
    while position < len(data):
        newline = data.find(b"\n", position)
        position = len(data) if newline < 0 else newline + 1
        yield position


def record_ends(data: bytes) -> Iterator[int]:
    """Yield the offset behind every RecordIO record of `data`; a record in several parts counts once.

    Raises:
        SplitError: a record is cut short or does not start with the magic.
    """
    if len(data) % 4:
        raise SplitError(f"Not RecordIO: {len(data)} bytes are not a multiple of 4")
    words = memoryview(data).cast("I")
    if sys.byteorder == "big":
        raise SplitError("RecordIO can be read on little-endian machines only")
    position, size = 0, len(words)
    while position < size:
        if words[position] != _MAGIC:
            raise SplitError(f"Not RecordIO: no magic number at byte {position * 4}")
        header = words[position + 1] if position + 1 < size else 0
        end = position + 2 + (((header & _LENGTH_MASK) + 3) >> 2)
        if end > size:
            raise SplitError(f"RecordIO record at byte {position * 4} is cut short")
        position = end
        if header >> 29 in (_WHOLE, _LAST):
            yield position * 4


def assemble(answers: Iterable[bytes], *, by_line: bool) -> Iterator[bytes]:
    """Yield the pieces of an output object; with `by_line` every answer ends with a newline."""
    for answer in answers:
        yield answer
        if by_line and answer and not answer.endswith(b"\n"):
            yield b"\n"
