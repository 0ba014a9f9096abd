"""Many lines at a time, in the shapes that nearly all lines have; what does not fit is left to `exact`.

A run of lines is read only where `exact.parse_line` accepts each of them, and then to the same rows. None for
a run says nothing about whether its lines are right.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Bytes, Floats, Integers
from data_prep.formats.dialect import (
    LATEST_TIME,
    LONGEST_ID_BYTES,
    MOST_DIGITS,
    MOST_RATING_DIGITS,
    Dialect,
    Stars,
)
from data_prep.formats.records import Ids
from data_prep.recordio.layout import windows

# What is parsed must be followed by so many bytes: fields are moved in runs of a fixed width.
PADDING_BYTES = LONGEST_ID_BYTES

_Words = NDArray[np.uint64]
_WORD_DIGITS = 8
_ZERO, _NINE, _POINT, _QUOTE, _SPACE, _MINUS, _NEWLINE, _DELETE = b'09." -\n\x7f'
_ZEROS = np.uint64(int.from_bytes(b"0" * _WORD_DIGITS, "little"))
_POWERS = 10 ** np.arange(MOST_DIGITS + 1)


@dataclass(frozen=True)
class Columns:
    """The rows of a run of lines, as in RatingBlock."""

    users: Ids
    movies: Ids
    ratings: Floats
    times: Integers | None


@dataclass(frozen=True)
class _Fields:
    """One column: where each row's field begins in the buffer, and where it ends; int64[n]."""

    starts: Integers
    ends: Integers

    @property
    def widths(self) -> Integers:
        return self.ends - self.starts


class _UnfitError(Exception):
    """The lines have another shape, or break a rule."""


def parse_lines(buffer: Bytes, begin: int, end: int, dialect: Dialect) -> Columns | None:
    """Read the whole lines `buffer[begin:end]`; None where they must be read one by one."""
    try:
        if dialect.quoted and (buffer[begin:end] == _QUOTE).any():
            buffer = _unquoted(buffer[begin:end], dialect)
            begin, end = 0, len(buffer) - PADDING_BYTES
        used = 3 if dialect.time is None else 4
        if dialect.integer_ids and len(dialect.columns) == used:
            return _parse_numbers(buffer, begin, end, dialect)
        return _parse_texts(buffer, begin, end, dialect)
    except _UnfitError:
        return None


def _unquoted(text: Bytes, dialect: Dialect) -> Bytes:
    """The lines without the quotes around fields, where nothing in quotes needs them; padded."""
    (separator,) = dialect.separator
    is_end = (text == separator) | (text == _NEWLINE)
    is_quote = text == _QUOTE
    marks = np.flatnonzero(is_end | is_quote)
    quoted = is_quote[marks]
    places = np.flatnonzero(quoted)
    openings, closings = places[::2], places[1::2]
    _require(len(openings) == len(closings) and (closings - openings == 1).all())
    first, last = marks[openings], marks[closings]
    _require(is_end[first[first > 0] - 1].all() and is_end[last + 1].all())
    return np.concatenate([text[~is_quote], np.zeros(PADDING_BYTES, dtype=np.uint8)])


def _parse_numbers(buffer: Bytes, begin: int, end: int, dialect: Dialect) -> Columns:
    # One pass finds all that is no digit; in right lines that is separators and decimal points, in order.
    marks = np.flatnonzero(buffer[begin:end] - np.uint8(_ZERO) > _NINE - _ZERO)
    marks += begin
    found = buffer[marks]
    expected = dialect.separator * (len(dialect.columns) - 1) + b"\n"
    place = dialect.rating * len(dialect.separator)
    pointed = expected[:place] + b"." + expected[place:]
    points: Integers | None = None
    if _repeats(found, pointed):
        lines = _by_place(marks, len(pointed))
        points = lines[place]
        lines = [*lines[:place], *lines[place + 1 :]]
    else:
        is_point = found == _POINT
        # The separators before a point tell its line and its column.
        rows, column = np.divmod(np.flatnonzero(is_point) - np.arange(is_point.sum()), len(expected))
        _require((column == place).all() and (np.diff(rows) > 0).all())
        _require(_repeats(found[~is_point], expected))
        lines = _by_place(marks[~is_point], len(expected))
        if len(rows):
            points = lines[place].copy()
            points[rows] = marks[is_point]
    fields = _fields(lines, begin, len(dialect.separator))
    return Columns(
        users=_identifiers(buffer, fields[dialect.user], dialect.lowest_id),
        movies=_identifiers(buffer, fields[dialect.movie], dialect.lowest_id),
        ratings=_ratings(buffer, fields[dialect.rating], points, dialect.stars),
        times=None if dialect.time is None else _times(buffer, fields[dialect.time]),
    )


def _parse_texts(buffer: Bytes, begin: int, end: int, dialect: Dialect) -> Columns:
    text = buffer[begin:end]
    (separator,) = dialect.separator
    ends = text == separator
    ends |= text == _NEWLINE
    marks = np.flatnonzero(ends)
    marks += begin
    expected = dialect.separator * (len(dialect.columns) - 1) + b"\n"
    _require(_repeats(buffer[marks], expected))
    # No control characters besides the separators.
    _require(np.count_nonzero(text < _SPACE) == np.count_nonzero(buffer[marks] < _SPACE))
    _require(not (text == _DELETE).any())
    if text.max() > _DELETE:
        try:
            text.tobytes().decode()
        except UnicodeDecodeError as error:
            raise _UnfitError from error
    fields = _fields(_by_place(marks, len(expected)), begin, 1)
    rating = fields[dialect.rating]
    times = None
    if dialect.time is not None:
        _require_digits(buffer, fields[dialect.time])
        times = _times(buffer, fields[dialect.time])
    return Columns(
        users=_ids(buffer, fields[dialect.user], dialect),
        movies=_ids(buffer, fields[dialect.movie], dialect),
        ratings=_ratings(buffer, rating, _points(buffer, rating), dialect.stars),
        times=times,
    )


def _require(condition: object) -> None:
    if not condition:
        raise _UnfitError


def _repeats(found: Bytes, expected: bytes) -> bool:
    """Whether every line has just these characters, in this order."""
    if len(found) % len(expected):
        return False
    pattern = np.frombuffer(expected, dtype=np.uint8)
    return bool((found.reshape(-1, len(expected)) == pattern).all())


def _by_place(marks: Integers, width: int) -> list[Integers]:
    """For each of the `width` characters that are marked in every line, where it is."""
    return list(np.ascontiguousarray(marks.reshape(-1, width).T))


def _fields(lines: list[Integers], begin: int, separator_width: int) -> list[_Fields]:
    starts = np.empty_like(lines[-1])
    starts[0] = begin
    starts[1:] = lines[-1][:-1] + 1
    fields = []
    for first in range(0, len(lines), separator_width):
        fields.append(_Fields(starts, lines[first]))
        for before, after in zip(lines[first:], lines[first + 1 : first + separator_width], strict=False):
            _require((after - before == 1).all())
        starts = lines[min(first + separator_width, len(lines)) - 1] + 1
    return fields


def _identifiers(buffer: Bytes, fields: _Fields, lowest: int) -> Integers:
    numbers, leading_zero = _numbers(buffer, fields.starts, fields.widths)
    _require(not (leading_zero.any() if lowest else (leading_zero & (fields.widths > 1)).any()))
    return numbers


def _times(buffer: Bytes, fields: _Fields) -> Integers:
    times = _identifiers(buffer, fields, 0)
    _require(times.max() <= LATEST_TIME)
    return times


def _ratings(buffer: Bytes, fields: _Fields, points: Integers | None, stars: Stars | None) -> Floats:
    """Decimal numbers; the point of each is at `points`, or there is none where that is the field's end."""
    if points is None:
        points = fields.ends
    whole_widths = points - fields.starts
    fraction_widths = np.maximum(fields.ends - points - 1, 0)
    # A point that ends its number is no decimal.
    _require(((points == fields.ends) | (fraction_widths > 0)).all())
    if stars is None:
        return _decimals(buffer, fields.starts, whole_widths, points + 1, fraction_widths)
    _require((whole_widths == 1).all() and fraction_widths.max() <= stars.halves)
    halves = 2 * (buffer[fields.starts] - np.uint8(_ZERO))
    if points is not fields.ends:
        digits = np.where(fraction_widths, buffer[points + 1], _ZERO)
        half = digits == ord("5")
        _require((half | (digits == _ZERO)).all())
        halves += half
    _require(2 * stars.lowest <= halves.min() and halves.max() <= 2 * stars.highest)
    ratings = halves.astype(np.float32)
    ratings /= 2
    return ratings


def _decimals(
    buffer: Bytes,
    starts: Integers,
    whole_widths: Integers,
    fraction_starts: Integers,
    fraction_widths: Integers,
) -> Floats:
    _require(whole_widths.max() <= MOST_RATING_DIGITS and fraction_widths.max() <= MOST_DIGITS)
    whole, leading_zero = _numbers(buffer, starts, whole_widths)
    _require(not (leading_zero & (whole_widths > 1)).any())
    if not fraction_widths.any():
        return whole.astype(np.float32)
    fraction = _numbers(buffer, fraction_starts, np.maximum(fraction_widths, 1))[0]
    fraction[fraction_widths == 0] = 0
    excess = np.maximum(whole_widths + fraction_widths - MOST_RATING_DIGITS, 0)
    if excess.any():
        fraction, cut = np.divmod(fraction, _POWERS[excess])
        # Zeros may end a rating.
        _require(not cut.any())
    # The digits of both parts make a whole number that float64 holds, so that one division rounds once.
    scale = _POWERS[fraction_widths - excess]
    digits = whole * scale
    digits += fraction
    decimals: Floats = (digits / scale).astype(np.float32)
    return decimals


def _numbers(buffer: Bytes, starts: Integers, widths: Integers) -> tuple[Integers, NDArray[np.bool_]]:
    """The numbers of `widths` digits that begin at `starts`, and whether each begins with a zero."""
    widest = int(widths.max())
    _require(widths.min() >= 1 and widest <= MOST_DIGITS)
    words = windows(buffer, _WORD_DIGITS, step=1)
    first = words[starts].view("<u8")
    first ^= _ZEROS
    leading_zero = first.astype(np.uint8) == 0
    if widest <= _WORD_DIGITS:
        return _joined_digits(first, widths), leading_zero
    # Eight digits after the other; the first of them are what is left.
    numbers = np.zeros_like(widths)
    for after in range((widest - 1) // _WORD_DIGITS * _WORD_DIGITS, -1, -_WORD_DIGITS):
        word = words[starts + np.maximum(widths - after - _WORD_DIGITS, 0)].view("<u8")
        word ^= _ZEROS
        numbers *= 10**_WORD_DIGITS
        numbers += _joined_digits(word, np.clip(widths - after, 0, _WORD_DIGITS))
    return numbers, leading_zero


def _joined_digits(words: _Words, widths: Integers) -> Integers:
    """The number that the first `widths` of each word's eight digits make: all its digits at once.

    Neighbours are joined to pairs, pairs to fours, fours to one number. See Daniel Lemire, "Quickly parsing
    eight digits", https://lemire.me/blog/2018/10/03/quickly-parsing-eight-digits/.
    """
    # What follows the number is pushed out; zeros come in before it.
    words <<= (64 - 8 * widths).view(np.uint64)
    # In a lane of two neighbours, the higher is to count once and the lower, which came first, `power` times.
    for lane, half, power in ((np.uint16, 8, 10), (np.uint32, 16, 100), (np.uint64, 32, 10_000)):
        lanes: NDArray[Any] = words.view(lane)
        lanes *= lane((power << half) + 1)
        lanes >>= lane(half)
    return words.view(np.int64)


def _points(buffer: Bytes, fields: _Fields) -> Integers:
    """Where each number has its decimal point, its end where it has none; all else in it are digits."""
    widest = int(fields.widths.max())
    _require(fields.widths.min() >= 1 and widest <= MOST_DIGITS)
    characters = _characters(buffer, fields.starts, widest)
    inside = np.arange(widest) < fields.widths[:, np.newaxis]
    is_point = (characters == _POINT) & inside
    is_digit = characters - np.uint8(_ZERO) <= _NINE - _ZERO
    _require((is_digit | is_point | ~inside).all() and (np.count_nonzero(is_point, axis=1) <= 1).all())
    return np.where(is_point.any(axis=1), fields.starts + is_point.argmax(axis=1), fields.ends)


def _require_digits(buffer: Bytes, fields: _Fields) -> None:
    _require((_points(buffer, fields) == fields.ends).all())


def _ids(buffer: Bytes, fields: _Fields, dialect: Dialect) -> Ids:
    if not dialect.integer_ids:
        return _names(buffer, fields)
    _require_digits(buffer, fields)
    return _identifiers(buffer, fields, dialect.lowest_id)


def _names(buffer: Bytes, fields: _Fields) -> NDArray[np.bytes_]:
    widest = int(fields.widths.max())
    _require(fields.widths.min() >= 1 and widest <= LONGEST_ID_BYTES)
    first, last = buffer[fields.starts], buffer[fields.ends - 1]
    _require(not ((first == _SPACE) | (first == _MINUS) | (last == _SPACE)).any())
    characters = _characters(buffer, fields.starts, widest)
    characters *= np.arange(widest) < fields.widths[:, np.newaxis]
    return characters.view(f"S{widest}").ravel()


def _characters(buffer: Bytes, starts: Integers, width: int) -> Bytes:
    """uint8[n, width]: so many characters from each place on."""
    return windows(buffer, width, step=1)[starts].view(np.uint8).reshape(-1, width)
