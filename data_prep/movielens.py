"""The files of MovieLens-100k, as GroupLens publishes them.

Layout (the archive's README, https://files.grouplens.org/datasets/movielens/ml-100k-README.txt):

- `u.data`: user, movie, rating from 1 to 5 and Unix time, separated by tabs, in no order. `ua.base` and
  `ua.test` split the same lines.
- `u.item`: 24 columns separated by `|`, in ISO-8859-1: movie, title, release date, video release date, IMDb
  URL, and for each genre 0 or 1.
- `u.user`: user, age, gender, occupation and zip code, separated by `|`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from data_prep.errors import DataError
from data_prep.ratings import MOST_DIGITS
from data_prep.source import Source

RATINGS_FILE, ITEMS_FILE, USERS_FILE = "u.data", "u.item", "u.user"
TRAIN_FILE, TEST_FILE = "ua.base", "ua.test"

GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_ITEM_COLUMNS = 5 + len(GENRES)
_USER_COLUMNS = 5
_YEAR = re.compile(r"\((\d{4})\)")


@dataclass(frozen=True)
class Movie:
    """One line of u.item; `year` is None where the title has none."""

    id: int
    title: str
    year: int | None
    genres: tuple[str, ...]


def read_movies(source: Source) -> tuple[Movie, ...]:
    """Read u.item, ordered by id. DataError names the first line that breaks a rule."""
    movies = []
    for number, line, key, fields in _table(source, ITEMS_FILE, _ITEM_COLUMNS):
        title, flags = fields[1].strip(), fields[5:]
        if not title:
            raise _fault(source, ITEMS_FILE, number, line, "the movie has no title")
        if not set(flags) <= {"0", "1"}:
            reason = f"the last {len(GENRES)} columns say which genres the movie has, each 0 or 1"
            raise _fault(source, ITEMS_FILE, number, line, reason)
        years = _YEAR.findall(title)
        genres = tuple(genre for genre, flag in zip(GENRES, flags, strict=True) if flag == "1")
        movies.append(Movie(id=key, title=title, year=int(years[-1]) if years else None, genres=genres))
    return tuple(sorted(movies, key=lambda movie: movie.id))


def read_users(source: Source) -> tuple[int, ...]:
    """Read the ids in u.user, ascending. DataError names the first line that breaks a rule."""
    return tuple(sorted(key for _, _, key, _ in _table(source, USERS_FILE, _USER_COLUMNS)))


def _table(source: Source, file: str, columns: int) -> Iterator[tuple[int, bytes, int, list[str]]]:
    """Yield (line number, line, id in the first column, all columns)."""
    seen: dict[int, int] = {}
    for number, line in source.lines(file):
        if b"\0" in line:
            raise _fault(
                source, file, number, line, "the line holds NUL bytes, as an interrupted download leaves them"
            )
        fields = line.decode("latin-1").split("|")
        if len(fields) != columns:
            raise _fault(
                source, file, number, line, f"expected {columns} columns separated by '|', not {len(fields)}"
            )
        text = fields[0]
        key = int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0
        if key < 1:
            raise _fault(
                source, file, number, line, "the id in the first column is not a whole number from 1"
            )
        if key in seen:
            raise _fault(source, file, number, line, f"id {key} is on line {seen[key]} already")
        seen[key] = number
        yield number, line, key, fields
    if not seen:
        raise DataError(source.path(file), "the file is empty", remedy="Download the data set again")


def _fault(source: Source, file: str, number: int, line: bytes, reason: str) -> DataError:
    remedy = "Correct the line, or download the data set again"
    return DataError(source.path(file), reason, line=number, text=line, remedy=remedy)
