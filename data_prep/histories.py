"""`histories.bin`: what each user has rated, laid out so that one user's movies can be fetched alone.

    magic              8 bytes, "MRHIST02"
    n_users            uint64
    n_movies           uint64, 0 where the lists of users are left out
    n_rated, n_raters  uint64 each, the length of the last two parts
    user_boundaries    uint64[2 n_users + 1]
    movie_boundaries   uint64[n_movies + 1]
    rated              uint32[n_rated], movie indexes
    raters             uint32[n_raters], user indexes

All little-endian. User u has the movies of the train part in `rated` from user_boundaries[2u], those of the
test part from user_boundaries[2u + 1], up to user_boundaries[2u + 2]; movie m has the users of the train part
in `raters` from movie_boundaries[m] up to movie_boundaries[m + 1]. Each of these lists ascends.

Version 1, "MRHIST01", which is read too, has n_users, boundaries uint64[n_users + 1] and the movies of both
parts together.
"""

import mmap
import os
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Integers
from data_prep.errors import DataError
from data_prep.lists import Lists, boundaries_of
from data_prep.sorting import stable_order

FILE_NAME = "histories.bin"
MAGIC = b"MRHIST02"
_MAGIC_1 = b"MRHIST01"
_HEADER = struct.Struct("<8s4Q")
_HEADER_1 = struct.Struct("<8sQ")
_BOUNDARY, _MEMBER = np.dtype("<u8"), np.dtype("<u4")
_SORTED_AT_ONCE = 1 << 20
_ZEROS = bytes(1 << 20)
# Connections that boto3 keeps: https://docs.aws.amazon.com/boto3/latest/guide/configuration.html
_READS_AT_ONCE = 10

Pairs = tuple[Integers, Integers]


class TrainHistories(Protocol):
    """Who rated what in the train part. Indexes that are asked for may repeat; -1 has an empty list."""

    def movies_of(self, users: Integers) -> Lists:
        """The movies of each of `users`, int64[n]; each list ascends."""
        ...

    def users_of(self, movies: Integers) -> Lists:
        """The users of each of `movies`, int64[n]; each list ascends."""
        ...

    def count_movies_of(self, users: Integers) -> Integers:
        """The lengths of the lists that `movies_of` gives, int64[n]."""
        ...

    def count_users_of(self, movies: Integers) -> Integers:
        """The lengths of the lists that `users_of` gives, int64[n]."""
        ...


def write_histories(
    path: Path,
    *,
    train: Iterable[Pairs],
    test: Iterable[Pairs],
    n_users: int,
    n_movies: int,
    raters: bool,
) -> None:
    """Write the file from blocks of (user indexes, movie indexes), each int64[n], in any order.

    `train` and `test` are iterated twice; they have no pair twice. The lists of users are written where
    `raters`. Takes 8 bytes of memory for each list, and what a block takes: what is written lies in the
    file, mapped, and its pages are let go of after each block.
    """
    of_users = np.zeros(2 * n_users, dtype=np.int64)
    of_movies = np.zeros(n_movies if raters else 0, dtype=np.int64)
    for part, blocks in enumerate((train, test)):
        for users, movies in blocks:
            of_users[part::2] += np.bincount(users, minlength=n_users)
            if raters and blocks is train:
                of_movies += np.bincount(movies, minlength=n_movies)
    by_user, by_movie = boundaries_of(of_users), boundaries_of(of_movies)
    rated, rater = int(by_user[-1]), int(by_movie[-1])
    with path.open("w+b") as file:
        file.write(_HEADER.pack(MAGIC, n_users, len(of_movies), rated, rater))
        file.write(by_user.astype(_BOUNDARY).tobytes())
        file.write(by_movie.astype(_BOUNDARY).tobytes())
        members_at = file.tell()
        _reserve(file, _MEMBER.itemsize * (rated + rater))
        mapping = mmap.mmap(file.fileno(), 0)
    members = np.frombuffer(mapping, dtype=_MEMBER, offset=members_at)
    users_lists = _Filling(by_user, members[:rated], mapping)
    movies_lists = _Filling(by_movie, members[rated:], mapping)
    for part, blocks in enumerate((train, test)):
        for users, movies in blocks:
            users_lists.append(2 * users + part, movies)
            if raters and blocks is train:
                movies_lists.append(movies, users)
    users_lists.sort()
    movies_lists.sort()
    mapping.flush()


def _reserve(file: IO[bytes], size: int) -> None:
    """Append `size` zero bytes to the file. Raises OSError where the disk has no room for them.

    A mapped file with a hole ends the process (SIGBUS) when there is no room for what is written to it.
    """
    file.flush()
    begin = file.tell()
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), begin, size)
        return
    # As on macOS.
    for first in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - first])
    file.flush()


class _Filling:
    """Lists whose lengths are known and whose members come in any order."""

    def __init__(self, boundaries: Integers, members: NDArray[np.uint32], mapping: mmap.mmap) -> None:
        self._boundaries = boundaries
        self._ends = boundaries[:-1].copy()
        self._members = members
        self._mapping = mapping

    def append(self, numbers: Integers, members: Integers) -> None:
        """Append members[i] to list numbers[i]."""
        order = stable_order(numbers)
        grouped = numbers[order]
        first = np.flatnonzero(np.diff(grouped, prepend=-1))
        lengths = np.diff(first, append=len(grouped))
        lists = grouped[first]
        places = np.repeat(self._ends[lists] - first, lengths) + np.arange(len(grouped))
        self._members[places] = members[order]
        self._ends[lists] += lengths
        _let_go(self._mapping)

    def sort(self) -> None:
        """Sort each list."""
        first = 0
        while first < len(self._ends):
            limit = self._boundaries[first] + _SORTED_AT_ONCE
            last = max(first + 1, int(np.searchsorted(self._boundaries, limit, side="right")) - 1)
            begin, end = self._boundaries[first], self._boundaries[last]
            lengths = np.diff(self._boundaries[first : last + 1])
            codes = np.repeat(np.arange(len(lengths)) << 32, lengths)
            codes |= self._members[begin:end]
            # Rows that come in order make lists in order, and most do.
            if (codes[1:] < codes[:-1]).any():
                codes.sort()
                self._members[begin:end] = codes & 0xFFFFFFFF
            _let_go(self._mapping)
            first = last


class MappedHistories:
    """The train part's lists in a local file, mapped: whatever its size, only the lists asked for are read.

    Raises DataError where the file is not of this format or is cut short.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        layout = _Layout(lambda offset, length: self._mapping[offset : offset + length], str(path))
        expected = layout.raters_at + _MEMBER.itemsize * layout.n_raters
        if layout.version == 1 or len(self._mapping) != expected:
            raise layout.fault(f"it is {len(self._mapping)} bytes long, where {expected} are expected")
        self._of_users = Lists(layout.user_boundaries(), self._members(layout.rated_at, layout.n_rated))
        self._of_movies = Lists(layout.movie_boundaries(), self._members(layout.raters_at, layout.n_raters))

    def movies_of(self, users: Integers) -> Lists:
        """The movies of each of `users` in the train part, int64[n]; each list ascends."""
        return self._take(self._of_users, 2 * users)

    def users_of(self, movies: Integers) -> Lists:
        """The users of each of `movies` in the train part, int64[n]; each list ascends."""
        return self._take(self._of_movies, movies)

    def count_movies_of(self, users: Integers) -> Integers:
        """The number of movies of each of `users` in the train part, int64[n]."""
        return self._of_users.lengths_of(2 * users)

    def count_users_of(self, movies: Integers) -> Integers:
        """The number of users of each of `movies` in the train part, int64[n]."""
        return self._of_movies.lengths_of(movies)

    def _members(self, offset: int, count: int) -> Integers:
        return np.frombuffer(self._mapping, dtype=_MEMBER, count=count, offset=offset)

    def _take(self, lists: Lists, numbers: Integers) -> Lists:
        taken = lists.take(numbers)
        _let_go(self._mapping)
        return taken


class HistoryIndex:
    """Reads what is asked for through `read_range(offset, length)`, which returns that part of the file and
    is safe to be called by several threads.

    Opening it reads the first 16 or 40 bytes; the first user costs a read of all boundaries, each user one
    more read, and the first question about a movie's users one read of all of them, which are kept. Raises
    DataError where the file is not of this format or is cut short.
    """

    def __init__(self, read_range: Callable[[int, int], bytes]) -> None:
        self._layout = _Layout(read_range, FILE_NAME)
        self.n_users = self._layout.n_users

    def movies(self, user: int) -> Integers:
        """The movies, int64[n], that the user with this index has rated in either part."""
        if not 0 <= user < self.n_users:
            raise IndexError(f"user index {user} is not one of 0 to {self.n_users - 1}")
        step = 2 if self._layout.version == 2 else 1
        return self._rated(int(self._boundaries[step * user]), int(self._boundaries[step * (user + 1)]))

    def movies_of(self, users: Integers) -> Lists:
        """The movies of each of `users` in the train part, int64[n]; each list ascends."""
        self._refuse_version_1()
        distinct, numbers = np.unique(users[users >= 0], return_inverse=True)
        first, end = self._boundaries[2 * distinct], self._boundaries[2 * distinct + 1]
        with ThreadPoolExecutor(max_workers=_READS_AT_ONCE) as pool:
            found = pool.map(self._rated, first.tolist(), end.tolist())
        lists = Lists.of_lengths(end - first, np.concatenate([np.empty(0, dtype=np.int64), *found]))
        places = np.full(len(users), -1)
        places[users >= 0] = numbers
        return lists.take(places)

    def users_of(self, movies: Integers) -> Lists:
        """The users of each of `movies` in the train part, int64[n]; each list ascends."""
        return self._raters.take(movies)

    def count_movies_of(self, users: Integers) -> Integers:
        """The number of movies of each of `users` in the train part, int64[n]."""
        self._refuse_version_1()
        return Lists(self._boundaries, np.empty(0, dtype=np.int64)).lengths_of(2 * users)

    def count_users_of(self, movies: Integers) -> Integers:
        """The number of users of each of `movies` in the train part, int64[n]."""
        return self._raters.lengths_of(movies)

    def _refuse_version_1(self) -> None:
        if self._layout.version == 1:
            raise self._layout.fault("it does not tell the train part from the test part")

    def _rated(self, first: int, end: int) -> Integers:
        return self._layout.members(self._layout.rated_at + _MEMBER.itemsize * first, end - first)

    @cached_property
    def _boundaries(self) -> Integers:
        return self._layout.user_boundaries()

    @cached_property
    def _raters(self) -> Lists:
        layout = self._layout
        if not layout.n_movies:
            raise layout.fault("it does not tell which users have rated a movie")
        return Lists(layout.movie_boundaries(), layout.members(layout.raters_at, layout.n_raters))


class _Layout:
    """Where a file's parts begin."""

    def __init__(self, read_range: Callable[[int, int], bytes], name: str) -> None:
        self._read_range = read_range
        self._name = name
        magic, self.n_users = _HEADER_1.unpack(self._read(0, _HEADER_1.size))
        self.n_movies = self.n_rated = self.n_raters = 0
        if magic == MAGIC:
            self.version = 2
            *_, self.n_movies, self.n_rated, self.n_raters = _HEADER.unpack(self._read(0, _HEADER.size))
            self._users_at = _HEADER.size
            self._user_lists = 2 * self.n_users
        elif magic == _MAGIC_1:
            self.version = 1
            self._users_at = _HEADER_1.size
            self._user_lists = self.n_users
        else:
            raise self.fault(f"it begins with {magic!r}, not with {MAGIC!r}")
        self._movies_at = self._users_at + _BOUNDARY.itemsize * (self._user_lists + 1)
        self.rated_at = self._movies_at
        if self.version == 2:
            self.rated_at += _BOUNDARY.itemsize * (self.n_movies + 1)
        self.raters_at = self.rated_at + _MEMBER.itemsize * self.n_rated

    def user_boundaries(self) -> Integers:
        return self._boundaries_at(self._users_at, self._user_lists)

    def movie_boundaries(self) -> Integers:
        return self._boundaries_at(self._movies_at, self.n_movies)

    def members(self, offset: int, count: int) -> Integers:
        if count == 0:
            return np.empty(0, dtype=np.int64)
        return np.frombuffer(self._read(offset, _MEMBER.itemsize * count), dtype=_MEMBER).astype(np.int64)

    def fault(self, reason: str) -> DataError:
        return DataError(self._name, reason, remedy="Prepare the data set again")

    def _boundaries_at(self, offset: int, lists: int) -> Integers:
        content = self._read(offset, _BOUNDARY.itemsize * (lists + 1))
        boundaries = np.frombuffer(content, dtype=_BOUNDARY).astype(np.int64)
        backwards = np.flatnonzero(np.diff(boundaries) < 0)
        if len(backwards):
            at = int(backwards[0])
            raise self.fault(
                f"the boundaries of list {at} run backwards, from {boundaries[at]} to {boundaries[at + 1]}"
            )
        return boundaries

    def _read(self, offset: int, length: int) -> bytes:
        content = self._read_range(offset, length)
        if len(content) != length:
            raise self.fault(f"it is cut short: {len(content)} of {length} bytes at {offset}")
        return content


def _let_go(mapping: mmap.mmap) -> None:
    """Take the mapping's pages out of this process's memory; what was written stays in the file's cache."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
