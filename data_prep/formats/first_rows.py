"""What the first rows of a file, those in its first 64 KiB, tell about the others."""

from collections.abc import Iterator

from data_prep.formats.dialect import Dialect
from data_prep.formats.exact import Row, is_integer_id, parse_line

# Whole numbers with so few exceptions are no names: hardly any names are digits alone so often.
_ROWS_A_SLIP = 20


def have_integer_ids(head: bytes, dialect: Dialect) -> bool:
    """Whether ids are whole numbers in all acceptable rows but a few slips; False where no row is acceptable.

    `dialect` must take any text for ids.
    """
    rows = [row for _, row in _rows(head, dialect)]
    slips = sum(not (_is_integer(row.user) and _is_integer(row.movie)) for row in rows)
    return bool(rows) and slips <= len(rows) // _ROWS_A_SLIP


def fit(head: bytes, dialect: Dialect, strict: Dialect) -> bool:
    """Whether all rows that `dialect` accepts, of which there are some, are acceptable in `strict`, too."""
    fitting = [not isinstance(parse_line(line, strict), str) for line, _ in _rows(head, dialect)]
    return bool(fitting) and all(fitting)


def _rows(head: bytes, dialect: Dialect) -> Iterator[tuple[bytes, Row]]:
    for line in head.replace(b"\r\n", b"\n").split(b"\n")[1 if dialect.header else 0 :]:
        row = parse_line(line, dialect)
        if not isinstance(row, str):
            yield line, row


def _is_integer(key: int | bytes) -> bool:
    return isinstance(key, int) or is_integer_id(key)
