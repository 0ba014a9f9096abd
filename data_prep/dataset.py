"""Ratings by index, split into what trains a model and what tests it, in the order of users and movies.

Rows pass through files: once as they are read, once for each range of users, whose rows are sorted and split
in memory together. What stays in memory is the ids, some numbers for each user and each movie, and a range.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.ahead import ahead
from data_prep.arrays import Booleans, Integers
from data_prep.errors import DataError
from data_prep.formats.input_data import RATINGS, InputData
from data_prep.formats.ratings_file import RatingsFile
from data_prep.formats.records import Ids, Movie, RatingBlock, User
from data_prep.ids import Codes, IdTable
from data_prep.manifest import PrepareSettings
from data_prep.sorting import stable_order
from data_prep.splits import GIVEN, FirstOfUser, LastOfUser, UserSplit, parse_split
from data_prep.spool import Rows, Spool, count_into, scatter, take

ROW: Final = np.dtype(
    [("time", "<i8"), ("user", "<u4"), ("movie", "<u4"), ("rating", "<f4"), ("part", "<u4")]
)
"""A rating by index. `time` is 0 where the data have none."""

# What `part` says: trains, tests, or only proves that a pair of files is complete.
_TRAIN, _TEST, _WHOLE = range(3)

# Sorted and split in memory at once, unless one user has more.
_RANGE_ROWS = 1 << 20
# Of the rows that are read, and of each part, kept in memory before they go to a file.
_HELD_BYTES = 32 << 20


@dataclass(frozen=True)
class Dataset:
    """Users and movies ascending by id, which gives their indexes; ratings ascending by (user, movie).

    `train_ratings` and `train_likes` count for each movie, int64[movies]; `times` are the first and the last
    of the train part, None where the data have no times.
    """

    users: tuple[User, ...]
    movies: tuple[Movie, ...]
    train: Spool
    test: Spool
    train_ratings: Integers
    train_likes: Integers
    times: tuple[int, int] | None
    duplicates: int
    unknown_test: int


def read_dataset(
    data: InputData, *, settings: PrepareSettings, scratch: Path, report: Callable[[str, float], None]
) -> Dataset:
    """Read and split the ratings, with files in `scratch`.

    `report` gets (what is being done, share done from 0 to 1), which is 0 as long as the number of ratings is
    not known. Raises DataError for any line, and any disagreement between files, that breaks a rule.
    """
    return _Reader(data, settings, scratch).read(report)


class _Reader:
    def __init__(self, data: InputData, settings: PrepareSettings, scratch: Path) -> None:
        self._data = data
        self._settings = settings
        self._scratch = scratch
        self._split = parse_split(settings.split, seed=settings.seed)
        self._files = _parts(data, settings.split)
        self._given = len(self._files) > 1
        self._described_users, self._described_movies = data.users(), data.movies()
        self._users = _table(self._described_users)
        self._movies = _table(self._described_movies)
        self._read: Counter[int] = Counter()
        self._timed = True
        self._duplicates = 0
        self._first_duplicate: tuple[int, int, int] | None = None

    def read(self, report: Callable[[str, float], None]) -> Dataset:
        raw = self._read_files(report)
        self._user_ids, user_codes = self._users.sorted_ids()
        self._movie_ids, movie_codes = self._movies.sorted_ids()
        train, test = self._spool("train"), self._spool("test")
        user_ratings = np.zeros(len(self._users), dtype=np.int64)
        ratings, likes = (np.zeros(len(self._movies), dtype=np.int64) for _ in range(2))
        times: list[int] = []
        split, total = 0, len(raw)
        for rows in self._ranges(raw, _places(user_codes), _places(movie_codes)):
            split += len(rows)
            report("Splitting the ratings", 0.5 + 0.5 * split / total)
            training, testing = self._split_range(rows)
            chosen = take(rows, training)
            train.append(chosen)
            test.append(take(rows, testing))
            count_into(user_ratings, chosen["user"])
            count_into(ratings, chosen["movie"])
            count_into(likes, chosen["movie"][chosen["rating"] >= self._settings.liked_threshold])
            if len(chosen):
                times += [int(chosen["time"].min()), int(chosen["time"].max())]
        if self._first_duplicate and self._settings.duplicates == "error":
            raise self._duplicate_error(*self._first_duplicate)
        if not len(train):
            raise self._nothing_to_train()
        known_users = user_ratings > 0 if self._users.closed is False else None
        known_movies = ratings > 0 if self._movies.closed is False else None
        test, unknown = self._without_unknown(test, known_users, known_movies)
        if not len(test):
            raise self._nothing_to_test(unknown)
        return Dataset(
            users=self._described_users
            or tuple(User(key, None, None, None) for key in _all_plain(self._user_ids)),
            movies=self._described_movies
            or tuple(Movie(key, str(key), None, ()) for key in _all_plain(self._movie_ids)),
            train=train,
            test=test,
            train_ratings=ratings,
            train_likes=likes,
            times=(min(times), max(times)) if self._timed else None,
            duplicates=self._duplicates,
            unknown_test=unknown,
        )

    def _spool(self, name: str, *, share: int = 1) -> Spool:
        return Spool(self._scratch / f"{name}.rows", ROW, held_bytes=_HELD_BYTES // share)

    # -- reading ---------------------------------------------------------------------------------------------

    def _read_files(self, report: Callable[[str, float], None]) -> Spool:
        raw = self._spool("read")
        for part, file in self._files:
            for block in ahead(file.blocks()):
                rows = np.empty(len(block), dtype=ROW)
                rows["user"] = self._codes(self._users, block.users, block, file, "user")
                rows["movie"] = self._codes(self._movies, block.movies, block, file, "movie")
                rows["rating"] = block.ratings
                rows["time"] = 0 if block.times is None else block.times
                rows["part"] = part
                self._timed &= block.times is not None
                raw.append(rows)
                self._read[part] += len(rows)
                report(f"Reading the ratings ({len(raw):,})", 0.0)
        if isinstance(self._split, LastOfUser) and not self._timed:
            raise DataError(
                self._files[0][1].path,
                f"the split {self._settings.split} needs times, which the ratings do not have",
                remedy="Choose another split, such as random-0.1",
            )
        return raw

    def _codes(self, table: IdTable, ids: Ids, block: RatingBlock, file: RatingsFile, what: str) -> Codes:
        codes = table.codes(ids)
        if table.closed and codes.min(initial=0) < 0:
            row = int(np.argmax(codes < 0))
            described = self._data.users_file if table is self._users else self._data.movies_file
            raise DataError(
                file.path,
                f"{what} {_plain(ids[row])} is not in {_bare(str(described))}",
                line=int(block.lines[row]),
                remedy="Correct the files, or download the data set again",
            )
        return codes

    def _ranges(self, raw: Spool, user_place: Integers, movie_place: Integers) -> Iterator[Rows]:
        """The rows of some neighbouring users at a time, users and movies by index, in file order."""
        ratings = np.zeros(len(user_place), dtype=np.int64)
        for rows in raw.blocks():
            count_into(ratings, user_place[rows["user"]])
        number_of_user = (np.cumsum(ratings) - ratings) // _RANGE_ROWS
        ranges = int(number_of_user[-1]) + 1
        spools = [self._spool(f"range-{number:05}", share=ranges) for number in range(ranges)]
        first = 0
        for rows in raw.blocks():
            # The raw rows are not read again.
            rows["user"] = user_place[rows["user"]]
            rows["movie"] = movie_place[rows["movie"]]
            if not self._given and self._split is not None and not isinstance(self._split, UserSplit):
                rows["part"] = self._split.held_out(first, len(rows), len(raw))
            scatter(rows, number_of_user[rows["user"]], spools)
            first += len(rows)
        raw.remove()
        for spool in spools:
            rows = spool.rows()
            spool.remove()
            if len(rows):
                yield rows

    # -- splitting -------------------------------------------------------------------------------------------

    def _split_range(self, rows: Rows) -> tuple[Integers, Integers]:
        """The numbers of the rows that train and of those that test, each by user and movie."""
        users = rows["user"].astype(np.int64)
        pairs = users << 32 | rows["movie"]
        if (pairs[1:] > pairs[:-1]).all() and not self._given:
            # Many files are in this order: nothing is to be sorted, and no pair is there twice.
            held_out = self._held_out(rows, users, np.arange(len(rows)))
            return np.flatnonzero(~held_out), np.flatnonzero(held_out)
        order = stable_order(pairs)
        if self._given:
            order = self._check_pair_of_files(rows, pairs, order)
        order = self._without_duplicates(rows, pairs, order)
        held_out = self._held_out(rows, users, np.sort(order))[order]
        return order[~held_out], order[held_out]

    def _held_out(self, rows: Rows, users: Integers, kept: Integers) -> Booleans:
        """Which rows test the model, bool[len(rows)]; `kept` are those that count, in file order."""
        if self._given or not isinstance(self._split, UserSplit):
            tests: Booleans = rows["part"] == _TEST
            return tests
        times = rows["time"] if self._timed else None
        if len(kept) == len(rows):
            return self._split.held_out(users, times)
        held_out = np.zeros(len(rows), dtype=np.bool_)
        held_out[kept] = self._split.held_out(users[kept], None if times is None else times[kept])
        return held_out

    def _without_duplicates(self, rows: Rows, pairs: Integers, order: Integers) -> Integers:
        ordered = pairs[order]
        again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
        if not len(again):
            return order
        self._duplicates += len(again)
        pair = int(ordered[again[0]])
        if self._first_duplicate is None:
            part = int(rows["part"][order[again[0]]]) if self._given else _TRAIN
            self._first_duplicate = (part, pair >> 32, pair & 0xFFFFFFFF)
        left_out = again - 1 if self._settings.duplicates == "last" else again
        kept: Integers = np.delete(order, left_out)
        return kept

    def _check_pair_of_files(self, rows: Rows, pairs: Integers, order: Integers) -> Integers:
        """Refuse ratings that both train and test, and a pair of files that is not all of the ratings."""
        parts = rows["part"][order]
        split, whole = order[parts != _WHOLE], order[parts == _WHOLE]
        first, second = split[:-1], split[1:]
        both = np.flatnonzero((pairs[first] == pairs[second]) & (rows["part"][first] != rows["part"][second]))
        if len(both):
            raise self._overlap_error(int(pairs[first[both[0]]]))
        if any(part == _WHOLE for part, _ in self._files) and not np.array_equal(
            np.unique(pairs[split]), np.unique(pairs[whole])
        ):
            raise self._loss_error()
        kept: Integers = split
        return kept

    def _without_unknown(
        self, test: Spool, known_users: Booleans | None, known_movies: Booleans | None
    ) -> tuple[Spool, int]:
        """Leave out test ratings whose user or movie nothing is known of: (what is left, how many went)."""
        if known_users is None and known_movies is None:
            return test, 0
        left = self._spool("known")
        for rows in test.blocks():
            known = np.ones(len(rows), dtype=np.bool_)
            if known_users is not None:
                known &= known_users[rows["user"]]
            if known_movies is not None:
                known &= known_movies[rows["movie"]]
            if self._settings.unknown_test == "error" and not known.all():
                row = rows[int(np.argmin(known))]
                raise self._unknown_error(row, known_users)
            left.append(take(rows, np.flatnonzero(known)))
        unknown = len(test) - len(left)
        test.remove()
        return left, unknown

    # -- what is wrong ---------------------------------------------------------------------------------------

    def _lines(self, file: RatingsFile, user: int, movie: int) -> list[int]:
        """The lines of a file that rate this pair of indexes: it is read again, which only errors cost."""
        user_id, movie_id = self._user_ids[user], self._movie_ids[movie]
        return [
            int(block.lines[row])
            for block in file.blocks()
            for row in np.flatnonzero((block.users == user_id) & (block.movies == movie_id))
        ]

    def _named(self, user: int, movie: int) -> tuple[int | str, int | str]:
        return _plain(self._user_ids[user]), _plain(self._movie_ids[movie])

    def _duplicate_error(self, part: int, user: int, movie: int) -> DataError:
        file = dict(self._files)[part]
        first, again = self._lines(file, user, movie)[:2]
        user_id, movie_id = self._named(user, movie)
        reason = f"user {user_id} rates movie {movie_id} as on line {first} already"
        if self._duplicates > 1:
            reason += f"; of {self._duplicates:,} such lines it has the lowest ids"
        return DataError(
            file.path,
            reason,
            line=again,
            remedy="Keep one of the two lines, or choose first or last for duplicates",
        )

    def _overlap_error(self, code: int) -> DataError:
        (_, train), (_, test) = self._files[:2]
        user, movie = code >> 32, code & 0xFFFFFFFF
        user_id, movie_id = self._named(user, movie)
        pair = f"user {user_id} with movie {movie_id}"
        return DataError(
            test.path,
            f"{pair} is in {_bare(train.path)} too, and what trains a model cannot test it",
            line=self._lines(test, user, movie)[0],
            remedy="Remove the line from one of the two files",
        )

    def _loss_error(self) -> DataError:
        files = dict(self._files)
        train, test = (f"{_bare(files[part].path)} ({self._read[part]})" for part in (_TRAIN, _TEST))
        return DataError(
            files[_WHOLE].path,
            f"its {self._read[_WHOLE]} ratings are not those of {train} and {test} together",
            remedy="Download the data set again",
        )

    def _unknown_error(self, row: np.void, known_users: Booleans | None) -> DataError:
        user, movie = int(row["user"]), int(row["movie"])
        user_id, movie_id = self._named(user, movie)
        unknown_user = known_users is not None and not known_users[user]
        file = self._files[1][1] if self._given else self._files[0][1]
        return DataError(
            file.path,
            f"the rating tests the model, and {f'user {user_id}' if unknown_user else f'movie {movie_id}'} "
            "is in no rating that trains it",
            line=self._lines(file, user, movie)[0],
            remedy="Choose drop for unknown test ratings, or another split",
        )

    def _nothing_to_test(self, unknown: int) -> DataError:
        reason = "no ratings are left to test with"
        if unknown:
            reason += f": of all {unknown:,}, the user or the movie is in no rating that trains the model"
        return DataError(self._files[-1][1].path, reason, remedy="Choose another split")

    def _nothing_to_train(self) -> DataError:
        held_out = f"the split {self._settings.split} leaves no rating to train with"
        if isinstance(self._split, FirstOfUser) and self._split.first == 1:
            held_out = f"no user has more than the {self._split.last} ratings that are held out for testing"
        return DataError(
            self._files[0][1].path,
            held_out,
            remedy="Give a data set with more ratings, or choose another split",
        )


def _parts(data: InputData, split: str) -> list[tuple[int, RatingsFile]]:
    """The files to read, train ratings before test ratings before the whole that proves them complete."""
    ratings = data.files.get(RATINGS)
    if (pair := data.pairs.get(split)) is not None:
        whole = [] if ratings is None else [(_WHOLE, ratings)]
        return [(_TRAIN, pair[0]), (_TEST, pair[1]), *whole]
    pairs = ", ".join(data.pairs)
    remedy = f"Choose the split {pairs}" if pairs else "Choose another split"
    if split == GIVEN:
        raise DataError(
            data.name, "there is no file of train ratings beside one of test ratings", remedy=remedy
        )
    if ratings is None:
        reason = f"there is neither a file of all ratings nor a pair of files for the split {split}"
        raise DataError(data.name, reason, remedy=remedy)
    return [(_TRAIN, ratings)]


def _table(described: tuple[User, ...] | tuple[Movie, ...]) -> IdTable:
    return IdTable.of(entry.id for entry in described) if described else IdTable()


def _places(codes: Integers) -> Integers:
    """The index of each code."""
    places = np.empty(len(codes), dtype=np.int64)
    places[codes] = np.arange(len(codes))
    return places


def _plain(key: Any) -> int | str:
    """An id as Python's own number or text."""
    return key.decode() if isinstance(key, bytes) else int(key)


def _all_plain(ids: NDArray[Any]) -> list[int | str]:
    """All ids as Python's own numbers or texts."""
    return [key.decode() if isinstance(key, bytes) else key for key in ids.tolist()]


def _bare(path: str) -> str:
    return path.rsplit("/", 1)[-1]
