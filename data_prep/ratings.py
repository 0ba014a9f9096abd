"""Ratings as MovieLens-100k writes them, parsed many lines at a time and checked to the last character."""

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import Bytes, Integers
from data_prep.errors import DataError, shortened
from data_prep.source import Source

COLUMNS = ("user", "movie", "rating", "time")
LOWEST_RATING, HIGHEST_RATING = 1, 5
# int64 holds every number of so many digits.
MOST_DIGITS = 18


@dataclass(frozen=True)
class Ratings:
    """One ratings file, in file order: row i is line i + 1.

    `users` and `movies` are the ids in the file, `stars` the ratings from 1 to 5; each int64[n].
    """

    path: str
    users: Integers
    movies: Integers
    stars: Integers

    def __len__(self) -> int:
        return len(self.stars)


def read_ratings(source: Source, file: str) -> Ratings:
    """Read a tab-separated ratings file. DataError names the first line that breaks a rule."""
    blocks = [_parse_block(source, file, first, block) for first, block in source.blocks(file)]
    if not blocks:
        raise DataError(source.path(file), "the file is empty", remedy="Download the data set again")
    users, movies, stars = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Ratings(source.path(file), users, movies, stars)


def _parse_block(source: Source, file: str, first: int, block: bytes) -> tuple[Integers, Integers, Integers]:
    """Users, movies and stars of whole lines, a column at a time.

    Where any line is at fault, the block is read again line by line to say which and why.
    """
    text = np.frombuffer(block, dtype=np.uint8)
    # Of the characters that are allowed, only tab and newline come before the digits.
    ends = np.flatnonzero(text < ord("0"))
    if len(ends) % len(COLUMNS) == 0 and text.max() <= ord("9"):
        widths = (np.diff(ends, prepend=-1) - 1).reshape(-1, len(COLUMNS))
        lines = ends.reshape(-1, len(COLUMNS))
        separated = (text[lines] == list(b"\t\t\t\n")).all()
        if separated and 1 <= widths.min() <= widths.max() <= MOST_DIGITS:
            users, movies, stars = (_integers(text, lines[:, i], widths[:, i]) for i in range(3))
            if (
                min(users.min(), movies.min()) >= 1
                and LOWEST_RATING <= stars.min() <= stars.max() <= HIGHEST_RATING
            ):
                return users, movies, stars
    for number, line in enumerate(block[:-1].split(b"\n"), first):
        if reason := _fault(line):
            raise DataError(
                source.path(file),
                reason,
                line=number,
                text=line,
                remedy="Correct the line, or download the data set again",
            )
    raise AssertionError("a block was refused of which every line is acceptable")


def _integers(text: Bytes, ends: Integers, widths: Integers) -> Integers:
    """The decimal numbers of `widths` digits that end just before `ends`."""
    numbers = np.zeros(len(ends), dtype=np.int64)
    for place in range(int(widths.max())):
        digits = text[ends - 1 - place].astype(np.int64) - ord("0")
        numbers += np.where(place < widths, digits * 10**place, 0)
    return numbers


def _fault(line: bytes) -> str | None:
    """Why a line is not a rating, or None."""
    if b"\0" in line:
        return "the line holds NUL bytes, as a download that stopped half-way leaves them"
    fields = line.split(b"\t")
    if len(fields) != len(COLUMNS):
        return f"expected {len(COLUMNS)} tab-separated columns ({', '.join(COLUMNS)}), not {len(fields)}"
    for name, field in zip(COLUMNS, fields, strict=True):
        if not field.isdigit() or len(field) > MOST_DIGITS:
            return f"the {name} {shortened(field)} is not a whole number of at most {MOST_DIGITS} digits"
    user, movie, rating, _ = map(int, fields)
    if min(user, movie) < 1:
        return f"the {'user' if user < 1 else 'movie'} is 0, where ids start at 1"
    if not LOWEST_RATING <= rating <= HIGHEST_RATING:
        return f"the rating {rating} is not one of {LOWEST_RATING} to {HIGHEST_RATING}"
    return None
