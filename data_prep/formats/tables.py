"""Movies and users, as GroupLens publishes them.

Layouts (the archives' READMEs):

- 100K (https://files.grouplens.org/datasets/movielens/ml-100k-README.txt): `u.item` has 24 columns separated
  by `|`, in ISO-8859-1: movie, title, release date, video release date, IMDb URL, and for each genre 0 or 1.
  `u.user` has user, age, gender, occupation and zip code, separated by `|`.
- 1M (https://files.grouplens.org/datasets/movielens/ml-1m-README.txt): `movies.dat` has movie, title and
  genres, `users.dat` user, gender, age, occupation and zip code, separated by `::`, in ISO-8859-1. The age is
  the least of its bracket (1 for under 18), the occupation a number.
- 10M (https://files.grouplens.org/datasets/movielens/ml-10m-README.html): `movies.dat` likewise, in UTF-8.
- 20M and later (https://files.grouplens.org/datasets/movielens/ml-32m-README.html): `movies.csv` has movieId,
  title and genres under a line of these names, in UTF-8, with fields in double quotes where they hold commas.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from data_prep.errors import DataError
from data_prep.formats.exact import is_integer_id, split_quoted
from data_prep.formats.records import Movie, User
from data_prep.source import Source

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
MOVIES_CSV_HEADER = b"movieId,title,genres"
_NO_GENRES = "(no genres listed)"
Encoding = Literal["ASCII", "UTF-8", "ISO-8859-1"]
_LATIN_1: Encoding = "ISO-8859-1"
_UTF_8: Encoding = "UTF-8"
_OLDEST = 120
# By the number that MovieLens 1M gives them.
_OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
# "(1995)"; of series "(1975-1979)" or "(2006– )", the first year.
_YEAR = re.compile(r"\((\d{4})(?:[-–] ?(?:\d{4})?)?\)")

_QUOTE = b'"'

_Entry = TypeVar("_Entry", Movie, User)


class _FaultError(Exception):
    """The rule that a line breaks."""


@dataclass(frozen=True)
class _Table:
    """How a file of movies or users is written."""

    separator: str
    columns: int
    encoding: Encoding
    header: bytes | None = None


def read_items_100k(source: Source, file: str) -> tuple[Movie, ...]:
    """Read MovieLens 100K's u.item, ordered by id. DataError names the first line that breaks a rule."""

    def movie(key: int, fields: list[str]) -> Movie:
        flags = fields[5:]
        if not set(flags) <= {"0", "1"}:
            raise _FaultError(f"the last {len(GENRES)} columns say which genres the movie has, each 0 or 1")
        genres = tuple(genre for genre, flag in zip(GENRES, flags, strict=True) if flag == "1")
        return _movie(key, fields[1], genres)

    return tuple(_read(source, file, _Table("|", 5 + len(GENRES), _LATIN_1), movie))


def find_encoding(source: Source, file: str) -> Encoding:
    """ASCII or UTF-8 where the whole file is that, else ISO-8859-1. Raises DataError."""
    found: Encoding = "ASCII"
    for _, text in source.blocks(file):
        if not text.isascii():
            found = "UTF-8"
            try:
                text.decode()
            except UnicodeDecodeError:
                return "ISO-8859-1"
    return found


def read_movies_dat(source: Source, file: str) -> tuple[Movie, ...]:
    """Read movies.dat of MovieLens 10M or 1M, in the encoding it has, ordered by id. Raises DataError."""
    return tuple(_read(source, file, _Table("::", 3, find_encoding(source, file)), _titled))


def read_movies_csv(source: Source, file: str) -> tuple[Movie, ...]:
    """Read movies.csv of MovieLens 20M and later, ordered by id. Raises DataError."""
    return tuple(_read(source, file, _Table(",", 3, _UTF_8, MOVIES_CSV_HEADER), _titled))


def read_users_100k(source: Source, file: str) -> tuple[User, ...]:
    """Read MovieLens 100K's u.user, ordered by id. Raises DataError."""

    def user(key: int, fields: list[str]) -> User:
        return User(id=key, age=_age(fields[1]), gender=_gender(fields[2]), occupation=fields[3] or None)

    return tuple(_read(source, file, _Table("|", 5, _LATIN_1), user))


def read_users_dat(source: Source, file: str) -> tuple[User, ...]:
    """Read MovieLens 1M's users.dat, ordered by id. Raises DataError."""

    def user(key: int, fields: list[str]) -> User:
        number = fields[3]
        if not is_integer_id(number.encode()) or int(number) >= len(_OCCUPATIONS):
            raise _FaultError(f"the occupation is not a number from 0 to {len(_OCCUPATIONS) - 1}")
        gender, occupation = _gender(fields[1]), _OCCUPATIONS[int(number)]
        return User(id=key, age=_age(fields[2]), gender=gender, occupation=occupation)

    return tuple(_read(source, file, _Table("::", 5, _LATIN_1), user))


def _titled(key: int, fields: list[str]) -> Movie:
    listed = fields[2]
    genres = () if listed == _NO_GENRES else tuple(listed.split("|"))
    if not all(genres):
        raise _FaultError(f"genres are separated by '|', and a movie without any has {_NO_GENRES}")
    return _movie(key, fields[1], genres)


def _movie(key: int, title: str, genres: tuple[str, ...]) -> Movie:
    title = title.strip()
    if not title:
        raise _FaultError("the movie has no title")
    years = _YEAR.findall(title)
    return Movie(id=key, title=title, year=int(years[-1]) if years else None, genres=genres)


def _age(text: str) -> int:
    if not is_integer_id(text.encode()) or not 1 <= int(text) <= _OLDEST:
        raise _FaultError(f"the age is not a whole number from 1 to {_OLDEST}")
    return int(text)


def _gender(text: str) -> str:
    if text not in {"F", "M"}:
        raise _FaultError("the gender is neither F nor M")
    return text


def _read(source: Source, file: str, table: _Table, make: Callable[[int, list[str]], _Entry]) -> list[_Entry]:
    """Read all lines, ordered by the id in the first column."""
    entries: dict[int, tuple[int, _Entry]] = {}
    lines = source.lines(file)
    if table.header is not None:
        number, line = next(lines, (1, b""))
        if line != table.header:
            raise _refusal(source, file, number, line, f"the first line is not {table.header.decode()}")
    for number, line in lines:
        try:
            fields = _fields(line, table)
            key = _key(fields[0], entries)
            entries[key] = number, make(key, fields)
        except _FaultError as error:
            raise _refusal(source, file, number, line, str(error)) from error
    if not entries:
        raise DataError(source.path(file), "the file is empty", remedy="Download the data set again")
    return [entries[key][1] for key in sorted(entries)]


def _key(text: str, entries: Mapping[int, tuple[int, object]]) -> int:
    key = int(text) if is_integer_id(text.encode()) else 0
    if key < 1:
        raise _FaultError("the id in the first column is not a whole number from 1")
    if key in entries:
        raise _FaultError(f"id {key} is on line {entries[key][0]} already")
    return key


def _fields(line: bytes, table: _Table) -> list[str]:
    if b"\0" in line:
        raise _FaultError("the line holds NUL bytes, as an interrupted download leaves them")
    separator = table.separator.encode()
    try:
        if table.header is not None and _QUOTE in line:
            quoted = split_quoted(line, separator)
            if isinstance(quoted, str):
                raise _FaultError(quoted)
            fields = [field.decode(table.encoding) for field in quoted]
        else:
            fields = line.decode(table.encoding).split(table.separator)
    except UnicodeDecodeError as error:
        raise _FaultError(f"the line is not valid {table.encoding}") from error
    if len(fields) != table.columns:
        raise _FaultError(
            f"expected {table.columns} columns separated by {table.separator!r}, not {len(fields)}"
        )
    return fields


def _refusal(source: Source, file: str, number: int, line: bytes, reason: str) -> DataError:
    remedy = "Correct the line, or download the data set again"
    return DataError(source.path(file), reason, line=number, text=line, remedy=remedy)
