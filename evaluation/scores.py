"""Reads what a batch transform job writes for a binary Factorization Machines model: JSON Lines of scores.

One line per input record, in the input's order, for example `{"score": 0.5895, "predicted_label": 1.0}`
(https://docs.aws.amazon.com/sagemaker/latest/dg/fm-in-formats.html).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationError

_BLOCK_BYTES = 1 << 18
_LONGEST_LINE_BYTES = 1 << 16


class ByteStream(Protocol):
    """What is read from: an open binary file, or the body of an S3 object."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, and none only at the end."""
        ...


def parse_scores(stream: ByteStream, *, source: str, rows: int) -> NDArray[np.float64]:
    """Return the scores of `rows` records, float64[rows], each a probability in [0, 1].

    Memory is bounded by the result and one block. `source` names the file in error messages.

    Raises:
        EvaluationError: a line is not a JSON object with a numeric score in [0, 1] (NaN is none), or the file
            has fewer or more lines than `rows`.
    """
    scores = np.empty(rows, dtype=np.float64)
    filled = 0
    for block in _whole_lines(stream, source):
        values = _parse_lines(block, source=source, first_line=filled + 1)
        if filled + len(values) > rows:
            raise EvaluationError(
                f"{source}, line {rows + 1}: more scores than the {rows} records that were to be scored"
            )
        scores[filled : filled + len(values)] = values
        filled += len(values)
    if filled < rows:
        raise EvaluationError(
            f"{source}, line {filled + 1}: the file ends, but {rows} records were to be scored"
        )
    return scores


def _whole_lines(stream: ByteStream, source: str) -> Iterator[bytes]:
    """Yield the stream in blocks that end between lines, without the newline there."""
    lines = 0
    rest = b""
    while chunk := stream.read(_BLOCK_BYTES):
        block, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            lines += block.count(b"\n") + 1
            yield block
        if len(rest) > _LONGEST_LINE_BYTES:
            raise EvaluationError(f"{source}, line {lines + 1}: longer than {_LONGEST_LINE_BYTES} bytes")
    if rest:
        yield rest


def _parse_lines(block: bytes, *, source: str, first_line: int) -> Sequence[float] | NDArray[np.float64]:
    values = _parse_uniform_lines(block)
    if values is not None:
        return values
    return [
        _parse_line(line, where=f"{source}, line {number}")
        for number, line in enumerate(block.split(b"\n"), start=first_line)
    ]


def _parse_uniform_lines(block: bytes) -> NDArray[np.float64] | None:
    """Return the scores of lines that are each one flat object; None leaves the verdict to `_parse_line`.

    Parsing the lines as one JSON array is three times as fast as line by line, and as strict: with one
    opening brace per line, at its start, and as many objects as lines, no object can span two lines.
    """
    lines = block.count(b"\n") + 1
    if block.count(b"{") != lines or not block.startswith(b"{") or block.count(b"\n{") != lines - 1:
        return None
    try:
        scores = [item["score"] for item in json.loads(b"[" + block.replace(b"\n", b",") + b"]")]
        if len(scores) != lines or not {type(score) for score in scores} <= {float, int}:
            return None
        values = np.array(scores, dtype=np.float64)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return values if bool(((values >= 0) & (values <= 1)).all()) else None


def _parse_line(line: bytes, *, where: str) -> float:
    shown = line[:80].decode("utf-8", errors="backslashreplace")
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        raise EvaluationError(f"{where}: not a JSON object: {shown!r}") from None
    if not isinstance(item, dict) or "score" not in item:
        raise EvaluationError(f'{where}: not a JSON object with a "score": {shown!r}')
    score = item["score"]
    if type(score) not in (int, float):
        raise EvaluationError(f"{where}: the score is not a number: {shown!r}")
    if not 0 <= score <= 1:
        raise EvaluationError(
            f"{where}: score {score} is not a probability in [0, 1], as a binary_classifier gives: {shown!r}"
        )
    return float(score)
