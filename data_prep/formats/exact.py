"""One line at a time: what a line of ratings holds, or why it is none."""

import re
from typing import NamedTuple

from data_prep.errors import shortened
from data_prep.formats.dialect import (
    LATEST_TIME,
    LONGEST_ID_BYTES,
    MOST_DIGITS,
    MOST_RATING_DIGITS,
    Dialect,
    Stars,
)


class Row(NamedTuple):
    """One rating; `time` is Unix seconds."""

    user: int | bytes
    movie: int | bytes
    rating: float
    time: int | None


SEPARATOR_NAMES = {b"\t": "tab", b",": "comma", b"::": "'::'"}

_DECIMAL = re.compile(rb"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_STARS = re.compile(rb"[0-9](?:\.[0-9])?")
_NEGATIVE = re.compile(rb"-[0-9]+")
_CONTROL_CHARACTER = re.compile(rb"[\x00-\x1f\x7f]")


def parse_line(line: bytes, dialect: Dialect) -> Row | str:
    """The row that a line, given without its end, holds; or the rule that it breaks."""
    if b"\0" in line:
        return "the line holds NUL bytes, as a download that stopped half-way leaves them"
    fields = split_quoted(line, dialect.separator) if dialect.quoted else line.split(dialect.separator)
    if isinstance(fields, str):
        return fields
    if len(fields) != len(dialect.columns):
        return _wrong_count(line, len(fields), dialect)
    user, movie = fields[dialect.user], fields[dialect.movie]
    time = None if dialect.time is None else fields[dialect.time]
    fault = (
        _id_fault(dialect.columns[dialect.user], user, dialect)
        or _id_fault(dialect.columns[dialect.movie], movie, dialect)
        or _rating_fault(fields[dialect.rating], dialect.stars)
        or (None if time is None else _time_fault(time))
    )
    if fault:
        return fault
    rating, seconds = float(fields[dialect.rating]), None if time is None else int(time)
    if dialect.integer_ids:
        return Row(int(user), int(movie), rating, seconds)
    return Row(user, movie, rating, seconds)


def split_quoted(line: bytes, separator: bytes) -> list[bytes] | str:
    """The fields of a line, quotes removed as RFC 4180 has them; or the rule of quoting that it breaks."""
    if b'"' not in line:
        return line.split(separator)
    fields: list[bytes] = []
    at = 0
    while True:
        if line.startswith(b'"', at):
            end = line.find(b'"', at + 1)
            while end >= 0 and line.startswith(b'"', end + 1):
                end = line.find(b'"', end + 2)
            if end < 0:
                return "a quoted field does not end on its line"
            fields.append(line[at + 1 : end].replace(b'""', b'"'))
            at = end + 1
        else:
            end = line.find(separator, at)
            end = len(line) if end < 0 else end
            fields.append(line[at:end])
            if b'"' in fields[-1]:
                return "a field holds a quote but does not begin with one"
            at = end
        if at == len(line):
            return fields
        if not line.startswith(separator, at):
            return "a quoted field goes on after its closing quote"
        at += len(separator)


def is_integer_id(text: bytes) -> bool:
    """Whether an id is a whole number that reads back as it is written."""
    return text.isdigit() and len(text) <= MOST_DIGITS and (text == b"0" or not text.startswith(b"0"))


def _wrong_count(line: bytes, found: int, dialect: Dialect) -> str:
    names = ", ".join(dialect.columns)
    separated = f"{SEPARATOR_NAMES[dialect.separator]}-separated"
    reason = f"expected {len(dialect.columns)} {separated} columns ({names}), not {found}"
    for separator, name in SEPARATOR_NAMES.items():
        if separator != dialect.separator and line.count(separator) == len(dialect.columns) - 1:
            reason += f"; this line is {name}-separated"
    return reason


def _id_fault(name: str, text: bytes, dialect: Dialect) -> str | None:
    fault = _integer_fault(text, dialect) if dialect.integer_ids else _text_fault(text)
    return fault and f"the {name} {fault}"


def _integer_fault(text: bytes, dialect: Dialect) -> str | None:
    if _NEGATIVE.fullmatch(text):
        return f"{shortened(text)} is negative"
    if not text.isdigit() or len(text) > MOST_DIGITS:
        return (
            f"{shortened(text)} is not a whole number of at most {MOST_DIGITS} digits{dialect.why_integers}"
        )
    if int(text) < dialect.lowest_id:
        return f"is {int(text)}, where ids start at {dialect.lowest_id}"
    return None if is_integer_id(text) else f"{shortened(text)} begins with a zero{dialect.why_integers}"


def _text_fault(text: bytes) -> str | None:
    fault = None
    if not text:
        fault = "is missing"
    elif len(text) > LONGEST_ID_BYTES:
        fault = f"is {len(text)} bytes long, where {LONGEST_ID_BYTES} are the most"
    elif _CONTROL_CHARACTER.search(text):
        fault = f"{shortened(text)} holds a control character"
    elif text.startswith(b" ") or text.endswith(b" "):
        fault = f"{shortened(text)} has spaces around it"
    elif _NEGATIVE.fullmatch(text):
        fault = f"{shortened(text)} is negative"
    else:
        try:
            text.decode()
        except UnicodeDecodeError:
            fault = f"{shortened(text)} is not valid UTF-8"
    return fault


def _rating_fault(text: bytes, stars: Stars | None) -> str | None:
    if stars is None:
        number = _DECIMAL.fullmatch(text)
        if number is None:
            return f"the rating {shortened(text)} is not a decimal number such as 4 or 3.5"
        whole, fraction = number.groups(default=b"")
        if len(whole) + len(fraction.rstrip(b"0")) > MOST_RATING_DIGITS:
            most = f"{MOST_RATING_DIGITS} digits, which is what float32 holds"
            return f"the rating {shortened(text)} has more than {most}: round it"
        return None
    if _STARS.fullmatch(text) and (stars.halves or len(text) == 1):
        value = float(text)
        if stars.lowest <= value <= stars.highest and (2 * value).is_integer():
            return None
    return f"the rating {shortened(text)} is not one of {stars}"


def _time_fault(text: bytes) -> str | None:
    if not is_integer_id(text):
        return f"the time {shortened(text)} is not Unix time in whole seconds"
    if int(text) > LATEST_TIME:
        return f"the time {int(text)} is past the year 9999: Unix time in whole seconds is expected"
    return None
