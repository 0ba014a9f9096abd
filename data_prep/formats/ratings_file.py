"""One file of ratings, read as blocks of checked rows."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from data_prep.errors import DataError
from data_prep.formats.dialect import Dialect
from data_prep.formats.exact import Row, parse_line
from data_prep.formats.records import Ids, RatingBlock
from data_prep.formats.tolerance import Tolerance
from data_prep.formats.vectorized import PADDING_BYTES, Columns, parse_lines
from data_prep.source import Source

# Lines that are at fault, or have a rare shape, are read one by one with so much text around them.
_EXACT_BYTES = 1 << 13
_DIGIT = re.compile(rb"[0-9]")


class RatingsFile:
    """The ratings in one file; `path` is its name in messages."""

    def __init__(self, source: Source, file: str, dialect: Dialect, tolerance: Tolerance) -> None:
        self.path = source.path(file)
        self._source = source
        self._file = file
        self._dialect = dialect
        self._tolerance = tolerance

    def blocks(self) -> Iterator[RatingBlock]:
        """Read the file from its beginning, some thousand rows a block; no block is empty.

        Raises DataError for the first line that breaks a rule, or the first past the bad rows that the input
        may have, and for a file that cannot be read, is cut short, or holds no ratings.
        """
        row = 0
        for number, text in self._texts():
            parts = [part for part in self._parts(number, text) if len(part)]
            if parts:
                block = _joined(parts, row)
                yield block
                row += len(block)
        if not row:
            raise DataError(self.path, "the file is empty: it holds no ratings", remedy=self._dialect.remedy)

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number of the first line, whole lines), without the header."""
        for first, text in self._source.blocks(self._file, may_end=self._may_end):
            if first == 1 and self._dialect.header:
                yield from self._without_header(text)
            else:
                yield first, text

    def _may_end(self, last_line: bytes) -> bool:
        # GroupLens ends every line; others' programs often leave out the last end.
        return self._dialect.quoted and not isinstance(parse_line(last_line, self._dialect), str)

    def _without_header(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        header, _, rest = text.partition(b"\n")
        names = ",".join(self._dialect.columns)
        if not self._dialect.quoted and header != names.encode():
            reason = f"the first line is not {names}, as {self._dialect.name} has it"
            raise DataError(self.path, reason, line=1, text=header, remedy="Download the data set again")
        if rest:
            yield 2, rest

    def _parts(self, number: int, text: bytes) -> Iterator[RatingBlock]:
        for begin, end, columns in _runs(text, self._dialect):
            if columns is None:
                yield self._parse_exactly(number, text[begin : end - 1].split(b"\n"))
                number += text.count(b"\n", begin, end)
            else:
                lines = range(number, number + len(columns.ratings))
                yield RatingBlock(
                    columns.users, columns.movies, columns.ratings, columns.times, first_row=0, lines=lines
                )
                number = lines.stop

    def _parse_exactly(self, first: int, lines: list[bytes]) -> RatingBlock:
        rows: list[Row] = []
        numbers: list[int] = []
        for number, line in enumerate(lines, first):
            parsed = parse_line(line, self._dialect)
            if isinstance(parsed, str):
                reason = self._header_fault(line) if number == 1 else None
                self._tolerance.reject(self.path, number, line, reason or parsed, remedy=self._dialect.remedy)
            else:
                rows.append(parsed)
                numbers.append(number)
        users, movies, ratings, times = zip(*rows, strict=True) if rows else ((), (), (), ())
        return RatingBlock(
            users=self._ids(users),
            movies=self._ids(movies),
            ratings=np.array(ratings, dtype=np.float32),
            times=None if self._dialect.time is None else np.array(times, dtype=np.int64),
            first_row=0,
            lines=np.array(numbers, dtype=np.int64),
        )

    def _header_fault(self, first_line: bytes) -> str | None:
        separators = first_line.count(self._dialect.separator)
        if separators == len(self._dialect.columns) - 1 and not _DIGIT.search(first_line):
            return f"the line is a header, where {self._dialect.name} has none"
        return None

    def _ids(self, ids: tuple[int | bytes, ...]) -> Ids:
        if self._dialect.integer_ids:
            return np.array(ids, dtype=np.int64)
        return np.array(ids, dtype=np.bytes_)


def _runs(text: bytes, dialect: Dialect) -> Iterator[tuple[int, int, Columns | None]]:
    """Divide whole lines into runs that were read at once, and (with None) those to be read one by one."""
    buffer = np.frombuffer(text + bytes(PADDING_BYTES), dtype=np.uint8)
    waiting = [(0, len(text))]
    while waiting:
        begin, end = waiting.pop()
        columns = parse_lines(buffer, begin, end, dialect)
        middle = text.find(b"\n", (begin + end) // 2, end) + 1
        if columns is not None or end - begin <= _EXACT_BYTES or middle == end:
            yield begin, end, columns
        else:
            # What is at fault is in one half; the other may be read at once.
            waiting += [(middle, end), (begin, middle)]


def _joined(parts: list[RatingBlock], first_row: int) -> RatingBlock:
    if len(parts) == 1:
        return replace(parts[0], first_row=first_row)
    times = [part.times for part in parts if part.times is not None]
    return RatingBlock(
        users=np.concatenate([part.users for part in parts]),
        movies=np.concatenate([part.movies for part in parts]),
        ratings=np.concatenate([part.ratings for part in parts]),
        times=np.concatenate(times) if times else None,
        first_row=first_row,
        lines=np.concatenate([np.asarray(part.lines) for part in parts]),
    )
