"""Opens a data set, whatever its layout."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from data_prep.errors import BadRow, DataError
from data_prep.formats import csv_columns, first_rows, movielens, tables
from data_prep.formats.content import describe, describe_markup
from data_prep.formats.dialect import Dialect
from data_prep.formats.ratings_file import RatingsFile
from data_prep.formats.records import Movie, User
from data_prep.formats.tolerance import Tolerance
from data_prep.source import DEEPEST, Files, Source, open_files

Format = Literal["movielens-100k", "movielens-1m", "movielens-10m", "movielens-csv", "csv"]
RATINGS, TRAIN, TEST = "ratings", "train", "test"
GIVEN = "given"

_ACCEPTED = (
    "a folder, a zip archive or a file of MovieLens (100K, 1M, 10M, 20M, 25M, 32M, latest), "
    f"or of {csv_columns.ACCEPTED}"
)
_WHY_INTEGERS = ", as ids are at the beginning of the file (to have names for ids, begin each with a letter)"
MOST_FILES = 256
_SHOWN_FILES = 4
_TRAIN_NAME = re.compile(r"(?:^|[^a-z])(?:train|base)", re.IGNORECASE)
_TEST_NAME = re.compile(r"(?:^|[^a-z])test", re.IGNORECASE)


@dataclass(frozen=True)
class InputData:
    """An open data set.

    `id_type` says what ids are: int64 or UTF-8 text. `lowest` and `highest` are the ends of the scale of
    ratings, None where anything may stand. `files` has the ratings by role:
    "ratings" all of them, "train" and "test" a pair that divides them; one of the two or both. `pairs` has
    every such pair by the name of its split: "ua", "ub", "u1" to "u5" of MovieLens 100K (whose "train" and
    "test" are those of "ua"), "given" elsewhere. `movies_file` and `users_file` name the tables in messages,
    None where there are none.
    """

    name: str
    format: Format
    id_type: Literal["integer", "text"]
    lowest: float | None
    highest: float | None
    files: Mapping[str, RatingsFile]
    pairs: Mapping[str, tuple[RatingsFile, RatingsFile]]
    movies_file: str | None
    users_file: str | None
    _source: Source
    _tolerance: Tolerance
    _read_movies: Callable[[], tuple[Movie, ...]]
    _read_users: Callable[[], tuple[User, ...]]

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the archive's or the file's bytes, or over names and bytes of a folder's files."""
        return self._source.sha256()

    @property
    def rejected(self) -> list[BadRow]:
        """The bad rows that have been passed over so far, by file and line."""
        return self._tolerance.rows

    def movies(self) -> tuple[Movie, ...]:
        """All movies, ascending by id; none where the data set describes none. Raises DataError."""
        return self._read_movies()

    def users(self) -> tuple[User, ...]:
        """All users, ascending by id; none where the data set describes none. Raises DataError."""
        return self._read_users()


@contextmanager
def open_input(path: Path, *, max_bad_rows: int = 0) -> Iterator[InputData]:
    """Open the folder, zip archive or file at `path`, and find out its layout by its content.

    Everything is read in place, when it is asked for. Up to `max_bad_rows` rows of the ratings may break a
    rule: they are passed over and listed in `rejected`; of movies and users none may. Raises DataError where
    there is no data set, or where what was read of it breaks a rule.
    """
    with open_files(path) as files:
        yield _recognised(files, Tolerance(max_bad_rows))


@dataclass(frozen=True)
class _Folder:
    """The files of a folder, with what their beginnings show."""

    source: Source
    kinds: Mapping[str, str]
    dialects: Mapping[str, Dialect]
    refusals: Mapping[str, str]

    def has(self, *kinds: str) -> bool:
        return any(kind in kinds for kind in self.kinds.values())

    def find(self, kind: str) -> str | None:
        """The file of this kind; where several or none look like it, the one with GroupLens' name."""
        alike = [file for file, found in self.kinds.items() if found == kind]
        if len(alike) == 1:
            return alike[0]
        return kind if kind in self.source else None


def _recognised(files: Files, tolerance: Tolerance) -> InputData:
    sources = files.folders()
    if sum(len(source.openers) for source in sources) > MOST_FILES:
        reason = f"it holds more than {MOST_FILES} files"
        raise DataError(
            files.name, reason, remedy="Give a folder with a data set only, or its file of ratings"
        )
    folders = [_examined(source) for source in sources]
    found = [(folder, layout) for folder in folders for layout in _layouts(folder)]
    if not found:
        # Anyone's ratings count where no MovieLens is.
        found = [(folder, _any_ratings) for folder in folders if folder.dialects]
    if len(found) > 1:
        several = ", ".join(f"{folder.source.location}" for folder, _ in found)
        raise DataError(files.name, f"it holds several data sets: {several}", remedy="Give one of them")
    if not found:
        raise DataError(files.name, _why_nothing(folders), remedy=f"Give {_ACCEPTED}")
    folder, layout = found[0]
    return layout(folder, tolerance)


def _examined(source: Source) -> _Folder:
    kinds: dict[str, str] = {}
    dialects: dict[str, Dialect] = {}
    refusals: dict[str, str] = {}
    for file in source.openers:
        head = source.head(file)
        if unreadable := describe(head):
            refusals[file] = unreadable
            continue
        if kind := movielens.kind_of(head):
            kinds[file] = kind
        dialect = csv_columns.find_dialect(head)
        if isinstance(dialect, str):
            refusals[file] = describe_markup(head) or dialect
        else:
            dialects[file] = dialect
    return _Folder(source, kinds, dialects, refusals)


def _layouts(folder: _Folder) -> list[Callable[[_Folder, Tolerance], InputData]]:
    """The MovieLens layouts of which the folder has a file, by content."""
    layouts: list[Callable[[_Folder, Tolerance], InputData]] = []
    named = [
        movielens.U_DATA,
        *(name for split in movielens.SPLITS_100K for name in movielens.pair_names(split)),
    ]
    if folder.has(movielens.U_ITEM, movielens.U_USER) or any(
        folder.kinds.get(name) == movielens.U_DATA for name in named
    ):
        layouts.append(_movielens_100k)
    if folder.has(movielens.RATINGS_DAT, movielens.MOVIES_DAT, movielens.USERS_DAT):
        layouts.append(_movielens_dat)
    if folder.has(movielens.MOVIES_CSV) or _is_movielens_csv_alone(folder):
        layouts.append(_movielens_csv)
    return layouts


def _is_movielens_csv_alone(folder: _Folder) -> bool:
    """Whether one file has the header of MovieLens' ratings, as many others have, and ratings like them."""
    alike = [file for file, kind in folder.kinds.items() if kind == movielens.RATINGS_CSV]
    return len(alike) == 1 and first_rows.fit(
        folder.source.head(alike[0]), folder.dialects[alike[0]], movielens.ML_CSV
    )


def _movielens_100k(folder: _Folder, tolerance: Tolerance) -> InputData:
    source = folder.source
    ratings = partial(RatingsFile, source, dialect=movielens.ML_100K, tolerance=tolerance)
    pairs = {}
    for split in movielens.SPLITS_100K:
        train, test = movielens.pair_names(split)
        if train in source and test in source:
            pairs[split] = (ratings(train), ratings(test))
    files = {}
    whole = movielens.U_DATA if movielens.U_DATA in source else folder.find(movielens.U_DATA)
    if whole is not None and not any(whole in movielens.pair_names(split) for split in movielens.SPLITS_100K):
        files[RATINGS] = ratings(whole)
    if "ua" in pairs:
        files[TRAIN], files[TEST] = pairs["ua"]
    if not files and not pairs:
        reason = f"there is neither {movielens.U_DATA} nor a pair of files such as ua.base and ua.test"
        raise DataError(
            source.location or source.name, reason, remedy="Add the ratings, or download the data set again"
        )
    return _input_data(
        "movielens-100k",
        source,
        tolerance,
        movielens.ML_100K,
        files,
        pairs=pairs,
        movies=(folder.find(movielens.U_ITEM), tables.read_items_100k),
        users=(folder.find(movielens.U_USER), tables.read_users_100k),
    )


def _movielens_dat(folder: _Folder, tolerance: Tolerance) -> InputData:
    source = folder.source
    users = folder.find(movielens.USERS_DAT)
    movies = folder.find(movielens.MOVIES_DAT)
    # MovieLens 10M describes no users, and those of 1M may be missing.
    is_10m = users is None and _is_movielens_10m(folder, movies)
    dialect = movielens.ML_10M if is_10m else movielens.ML_1M
    return _input_data(
        "movielens-10m" if is_10m else "movielens-1m",
        source,
        tolerance,
        dialect,
        _whole(folder, movielens.RATINGS_DAT, dialect, tolerance),
        movies=(movies, tables.read_movies_dat),
        users=(users, tables.read_users_dat),
    )


def _is_movielens_10m(folder: _Folder, movies: str | None) -> bool:
    """Whether titles are in UTF-8, not ISO-8859-1; where all are ASCII, whether there are half stars."""
    encoding = "ASCII" if movies is None else tables.find_encoding(folder.source, movies)
    ratings = folder.find(movielens.RATINGS_DAT)
    if encoding == "ASCII" and ratings is not None:
        return movielens.has_half_stars(folder.source.head(ratings))
    return encoding == "UTF-8"


def _movielens_csv(folder: _Folder, tolerance: Tolerance) -> InputData:
    files = _whole(folder, movielens.RATINGS_CSV, movielens.ML_CSV, tolerance)
    movies = (folder.find(movielens.MOVIES_CSV), tables.read_movies_csv)
    return _input_data("movielens-csv", folder.source, tolerance, movielens.ML_CSV, files, movies=movies)


def _whole(folder: _Folder, kind: str, dialect: Dialect, tolerance: Tolerance) -> dict[str, RatingsFile]:
    source = folder.source
    file = folder.find(kind)
    if file is None:
        remedy = "Add the ratings, or download the data set again"
        raise DataError(source.location, f"this is {dialect.name}, but there is no {kind}", remedy=remedy)
    return {RATINGS: RatingsFile(source, file, dialect, tolerance)}


def _any_ratings(folder: _Folder, tolerance: Tolerance) -> InputData:
    source = folder.source
    roles: dict[str, str] = {}
    for file in folder.dialects:
        role = TEST if _TEST_NAME.search(file) else TRAIN if _TRAIN_NAME.search(file) else RATINGS
        if len(folder.dialects) == 1:
            role = RATINGS
        if role in roles:
            reason = f"both {roles[role]} and {file} hold ratings"
            remedy = "Give one of them, or a pair of which one has train in its name and the other test"
            raise DataError(source.location, reason, remedy=remedy)
        roles[role] = file
    if (TRAIN in roles) != (TEST in roles):
        alone, missing = (TRAIN, TEST) if TRAIN in roles else (TEST, TRAIN)
        reason = f"there is {roles[alone]} but no file with {missing} in its name"
        raise DataError(source.location, reason, remedy="Give both, or only the file of all ratings")
    plain = {role: folder.dialects[file] for role, file in roles.items()}
    if all(first_rows.have_integer_ids(source.head(roles[role]), plain[role]) for role in plain):
        plain = {
            role: replace(dialect, integer_ids=True, why_integers=_WHY_INTEGERS)
            for role, dialect in plain.items()
        }
    files = {role: RatingsFile(source, roles[role], dialect, tolerance) for role, dialect in plain.items()}
    pairs = {GIVEN: (files[TRAIN], files[TEST])} if TRAIN in files else {}
    return _input_data("csv", source, tolerance, next(iter(plain.values())), files, pairs=pairs)


def _input_data(
    layout: Format,
    source: Source,
    tolerance: Tolerance,
    dialect: Dialect,
    files: Mapping[str, RatingsFile],
    *,
    pairs: Mapping[str, tuple[RatingsFile, RatingsFile]] | None = None,
    movies: tuple[str | None, Callable[[Source, str], tuple[Movie, ...]]] = (None, lambda *_: ()),
    users: tuple[str | None, Callable[[Source, str], tuple[User, ...]]] = (None, lambda *_: ()),
) -> InputData:
    stars = dialect.stars
    movies_file, read_movies = movies
    users_file, read_users = users
    return InputData(
        name=source.name,
        format=layout,
        id_type="integer" if dialect.integer_ids else "text",
        lowest=None if stars is None else stars.lowest,
        highest=None if stars is None else stars.highest,
        files=files,
        pairs=pairs or {},
        movies_file=movies_file and source.path(movies_file),
        users_file=users_file and source.path(users_file),
        _source=source,
        _tolerance=tolerance,
        _read_movies=lambda: () if movies_file is None else read_movies(source, movies_file),
        _read_users=lambda: () if users_file is None else read_users(source, users_file),
    )


def _why_nothing(folders: list[_Folder]) -> str:
    refusals = [
        f"{folder.source.path(file)}: {reason}"
        for folder in folders
        for file, reason in folder.refusals.items()
    ]
    if not refusals:
        return f"it holds no files, nor does any folder in it, {DEEPEST - 1} deep"
    more = f"; and {len(refusals) - _SHOWN_FILES} files more" if len(refusals) > _SHOWN_FILES else ""
    return f"there are no ratings ({'; '.join(refusals[:_SHOWN_FILES])}{more})"
