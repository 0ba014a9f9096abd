"""One file of ratings, read as blocks of checked rows."""

from collections.abc import Iterator

import numpy as np

from data_prep.arrays import Integers
from data_prep.errors import DataError
from data_prep.formats.csv_columns import BYTE_ORDER_MARK
from data_prep.formats.dialect import Dialect
from data_prep.formats.exact import Row, is_integer_id, parse_line
from data_prep.formats.records import Ids, RatingBlock
from data_prep.formats.tolerance import Tolerance
from data_prep.source import Source


class RatingsFile:
    """The ratings in one file; `path` is its name in messages."""

    def __init__(self, source: Source, file: str, dialect: Dialect, tolerance: Tolerance) -> None:
        self.path = source.path(file)
        self._source = source
        self._file = file
        self._dialect = dialect
        self._tolerance = tolerance

    def blocks(self) -> Iterator[RatingBlock]:
        """Read the file from its beginning, about 1 MiB of text a block; no block is empty.

        Raises DataError for the first line that breaks a rule, or the first past the bad rows that the input
        may have, and for a file that cannot be read, is cut short, or holds no ratings.
        """
        row = 0
        for number, text in texts(self._source, self._file, self._dialect):
            block = self._parse_exactly(number, text, row)
            if len(block):
                yield block
                row += len(block)
        if not row:
            raise DataError(self.path, "the file is empty: it holds no ratings", remedy=self._dialect.remedy)

    def has_integer_ids(self) -> bool:
        """Whether every id of an acceptable row is a whole number. Reads up to the first that is not."""
        for first, text in texts(self._source, self._file, self._dialect):
            for line in text[:-1].split(b"\n"):
                row = parse_line(line, self._dialect)
                if not isinstance(row, str) and not all(
                    is_integer_id(key) for key in row[:2] if isinstance(key, bytes)
                ):
                    return False
        return True

    def _parse_exactly(self, first: int, text: bytes, row: int) -> RatingBlock:
        rows: list[Row] = []
        lines: list[int] = []
        for number, line in enumerate(text[:-1].split(b"\n"), first):
            parsed = parse_line(line, self._dialect)
            if isinstance(parsed, str):
                self._tolerance.reject(self.path, number, line, parsed, remedy=self._dialect.remedy)
            else:
                rows.append(parsed)
                lines.append(number)
        users, movies, ratings, times = zip(*rows, strict=True) if rows else ((), (), (), ())
        return RatingBlock(
            users=self._ids(users),
            movies=self._ids(movies),
            ratings=np.array(ratings, dtype=np.float32),
            times=None if self._dialect.time is None else np.array(times, dtype=np.int64),
            first_row=row,
            lines=np.array(lines, dtype=np.int64),
        )

    def _ids(self, ids: tuple[int | bytes, ...]) -> Ids:
        if self._dialect.integer_ids:
            return np.array(ids, dtype=np.int64)
        return np.array(ids, dtype=np.bytes_)


def texts(source: Source, file: str, dialect: Dialect) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, whole lines), without the header. Raises DataError."""
    for first, text in source.blocks(file):
        if first > 1:
            yield first, text
        elif not dialect.header:
            yield first, text.removeprefix(BYTE_ORDER_MARK) if dialect.quoted else text
        elif rest := text[text.index(b"\n") + 1 :]:
            yield 2, rest
