"""Ratings read as plainly as Python can: what the quick reader must agree with, to the row and the line."""

import csv
import re
import struct
from dataclasses import dataclass, replace

# User, movie, rating, time.
Row = tuple[int | bytes, int | bytes, float, int | None]

_INTEGER = re.compile(rb"0|[1-9][0-9]{0,17}")
_DECIMAL = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What a header may call the columns, in lower case without "_", "-" and spaces.
_HEADINGS = {
    "user": re.compile("(user|customer|reviewer)(id)?"),
    "item": re.compile("(item|movie|film|product|book)(id)?"),
    "rating": re.compile("rating|stars|score"),
    "time": re.compile("timestamp|time|unixtime"),
}


@dataclass(frozen=True)
class Layout:
    """`columns` has the names in file order, of which "user", "item", "rating" and "time" are read."""

    separator: str
    columns: tuple[str, ...] = ("user", "item", "rating", "time")
    header: bytes | None = None
    ratings: frozenset[bytes] | None = None
    movielens: bool = True
    whole_ids: bool = True


def _stars(*texts: str) -> frozenset[bytes]:
    return frozenset(text.encode() for text in texts)


_WHOLE = ("1", "2", "3", "4", "5")
_HALVES = (*_WHOLE, *(f"{n}.0" for n in _WHOLE), *(f"{n}.5" for n in range(5)))
ML_100K = Layout("\t", ratings=_stars(*_WHOLE))
ML_1M = Layout("::", ratings=_stars(*_WHOLE))
ML_10M = Layout("::", ratings=_stars(*_HALVES))
ML_CSV = Layout(",", header=b"userId,movieId,rating,timestamp", ratings=_stars(*_HALVES))


@dataclass(frozen=True)
class BadLine:
    """The first line, from 1, that breaks a rule."""

    number: int


def read(content: bytes, layout: Layout, *, proven: bool = False) -> list[Row] | BadLine:
    """The rows of a file, known to be whole where `proven`; without any, the line after the last."""
    lines = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    cut = lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    if cut and b"\r" not in cut.strip() and (proven or not (layout.movielens or _row(cut, layout) is None)):
        lines.append(cut)
        cut = b""
    while not cut and lines and not lines[-1]:
        lines.pop()
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if number == 1 and layout.header is not None:
            if line != layout.header:
                return BadLine(1)
            continue
        row = _row(line, layout)
        if row is None:
            return BadLine(number)
        rows.append(row)
    if cut or not rows:
        return BadLine(len(lines) + 1)
    return rows


def read_alone(content: bytes, layout: Layout) -> list[Row] | BadLine:
    """The rows of a short file of anyone's, which may be MovieLens' ratings and whose ids may be any."""
    start = 0 if layout.header is None else 1
    lines = [line.removesuffix(b"\r") for line in content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")[start:]]
    rows = {line: row for line in lines if (row := _row(line, layout)) is not None}
    if rows and layout.header == ML_CSV.header and all(_row(line, ML_CSV) for line in rows):
        return read(content, ML_CSV)
    rows_in_all = [rows[line] for line in lines if line in rows]
    names = [row for row in rows_in_all if not _are_whole(row[0], row[1])]
    mostly_whole = bool(rows_in_all) and 20 * len(names) <= len(rows_in_all)
    return read(content, replace(layout, whole_ids=mostly_whole))


def find_layout(content: bytes) -> Layout | None:
    """How anyone's ratings are written, by the first line; None where that tells nothing."""
    first = content.removeprefix(_BYTE_ORDER_MARK).split(b"\n")[0].removesuffix(b"\r")
    plain = Layout("\t" if b"\t" in first else ",", movielens=False, whole_ids=False)
    fields = _fields(first, plain)
    if fields is None:
        return None
    columns = []
    for field in fields:
        heading = re.sub("[-_ ]", "", field.decode("utf-8", "replace").strip().lower())
        roles = [role for role, pattern in _HEADINGS.items() if pattern.fullmatch(heading)]
        columns.append(roles[0] if roles else heading)
    if set(_HEADINGS) & set(columns):
        named = len(set(columns) & {"user", "item", "rating"}) == 3
        repeated = any(columns.count(role) > 1 for role in _HEADINGS)
        return replace(plain, columns=tuple(columns), header=first) if named and not repeated else None
    return replace(plain, columns=plain.columns[: len(fields)]) if len(fields) in {3, 4} else None


def _row(line: bytes, layout: Layout) -> Row | None:
    if b"\0" in line:
        return None
    fields = _fields(line, layout)
    if fields is None or len(fields) != len(layout.columns):
        return None
    values = dict(zip(layout.columns, fields, strict=True))
    user, item, rating, time = values["user"], values["item"], values["rating"], values.get("time")
    if time is not None and not (_INTEGER.fullmatch(time) and int(time) <= 253402300799):
        return None
    if layout.ratings is None:
        if not _DECIMAL.fullmatch(rating) or _digits(rating) > 7:
            return None
    elif rating not in layout.ratings:
        return None
    (stars,) = struct.unpack("<f", struct.pack("<f", float(rating)))
    seconds = None if time is None else int(time)
    if layout.movielens:
        if any(not _INTEGER.fullmatch(key) or key == b"0" for key in (user, item)):
            return None
        return int(user), int(item), stars, seconds
    if not (_is_name(user) and _is_name(item)):
        return None
    if layout.whole_ids:
        return (int(user), int(item), stars, seconds) if _are_whole(user, item) else None
    return user, item, stars, seconds


def _digits(number: bytes) -> int:
    whole, _, fraction = number.lstrip(b"-").partition(b".")
    return len(whole) + len(fraction.rstrip(b"0"))


def _are_whole(*keys: int | bytes) -> bool:
    return all(isinstance(key, bytes) and _INTEGER.fullmatch(key) for key in keys)


def _fields(line: bytes, layout: Layout) -> list[bytes] | None:
    if layout.movielens or b'"' not in line:
        return line.split(layout.separator.encode())
    # Python's csv module lets quotes stand within a field and text follow a closing quote.
    # It takes a carriage return for the end of a line; which control character a field holds does not matter.
    text, separator = line.decode("latin-1").replace("\r", "\x01"), re.escape(layout.separator)
    field = f'(?:"(?:[^"]|"")*+"|[^"{separator}]*+)'
    if not re.fullmatch(f"{field}(?:{separator}{field})*+", text):
        return None
    (fields,) = csv.reader([text], delimiter=layout.separator, strict=True)
    return [field.encode("latin-1") for field in fields]


def _is_name(text: bytes) -> bool:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return False
    return (
        0 < len(text) <= 255
        and decoded == decoded.strip(" ")
        and not any(ord(character) < 32 or ord(character) == 127 for character in decoded)
        and not re.fullmatch("-[0-9]+", decoded)
    )
