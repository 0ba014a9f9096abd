import errno
import os
import struct
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import histories
from data_prep.errors import DataError
from data_prep.histories import HistoryIndex, MappedHistories, Pairs, write_histories
from data_prep.lists import Lists


class _File:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: list[tuple[int, int]] = []

    def read_range(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.content[offset : offset + length]


def _blocks(pairs: list[tuple[int, int]], size: int) -> list[Pairs]:
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return [(array[i : i + size, 0], array[i : i + size, 1]) for i in range(0, len(array), size)]


def _write(
    path: Path,
    train: list[tuple[int, int]],
    test: list[tuple[int, int]],
    *,
    users: int,
    movies: int,
    raters: bool = True,
    block: int = 3,
) -> bytes:
    write_histories(
        path,
        train=_blocks(train, block),
        test=_blocks(test, block),
        n_users=users,
        n_movies=movies,
        raters=raters,
    )
    return path.read_bytes()


def _version_1(rated: list[list[int]]) -> bytes:
    boundaries = [0, *accumulate(map(len, rated))]
    movies = [movie for movies in rated for movie in movies]
    return struct.pack(
        f"<8s{1 + len(boundaries)}Q{len(movies)}I", b"MRHIST01", len(rated), *boundaries, *movies
    )


def _lists(lists: Lists) -> list[list[int]]:
    return [
        lists.members[first:end].tolist()
        for first, end in zip(lists.boundaries[:-1], lists.boundaries[1:], strict=True)
    ]


def test_the_layout_is_as_documented(tmp_path: Path) -> None:
    # User 0 has movies 0 and 2 to train on and 1 to test with, user 1 only movie 2 to train on.
    written = _write(tmp_path / "h", [(1, 2), (0, 2), (0, 0)], [(0, 1)], users=2, movies=3)
    assert written == LAYOUT


LAYOUT = (
    b"MRHIST02"
    + struct.pack("<4Q", 2, 3, 4, 3)
    + struct.pack("<5Q", 0, 2, 3, 4, 4)
    + struct.pack("<4Q", 0, 1, 1, 3)
    + struct.pack("<4I", 0, 2, 1, 2)
    + struct.pack("<3I", 0, 0, 1)
)


def test_a_full_disk_is_an_error_before_anything_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _offset: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(histories, "mmap", None)
    with pytest.raises(OSError, match="No space left on device"):
        _write(tmp_path / "h", [(0, 0)], [], users=1, movies=1)


@pytest.mark.parametrize("offered", [True, False])
def test_the_whole_file_has_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: bool
) -> None:
    if not offered:
        monkeypatch.delattr(os, "posix_fallocate")
    with (tmp_path / "reserved").open("w+b") as file:
        file.write(b"header")
        histories._reserve(file, 3_000_000)
    facts = (tmp_path / "reserved").stat()
    assert facts.st_size == 3_000_006
    assert facts.st_blocks * 512 >= facts.st_size
    written = _write(tmp_path / "h", [(1, 2), (0, 2), (0, 0)], [(0, 1)], users=2, movies=3)
    assert written == LAYOUT


_pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), unique=True, max_size=42)


@given(_pairs, _pairs, st.integers(1, 7), st.booleans(), st.integers(1, 9))
def test_both_readers_find_every_list(
    tmp_path_factory: pytest.TempPathFactory,
    rated: list[tuple[int, int]],
    held_out: list[tuple[int, int]],
    block: int,
    raters: bool,
    sorted_at_once: int,
) -> None:
    train = [pair for pair in rated if pair not in held_out]
    path = tmp_path_factory.mktemp("histories") / "histories.bin"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories, "_SORTED_AT_ONCE", sorted_at_once)
        content = _write(path, train, held_out, users=6, movies=7, raters=raters, block=block)
    index = HistoryIndex(_File(content).read_range)
    for user in range(6):
        assert sorted(index.movies(user).tolist()) == sorted(m for u, m in train + held_out if u == user)
    asked_users, asked_movies = np.array([3, -1, 0, 3, 5]), np.array([6, 0, -1, 6, 2])
    movies_of = [sorted(m for u, m in train if u == user) for user in asked_users.tolist()]
    users_of = [sorted(u for u, m in train if m == movie) for movie in asked_movies.tolist()]
    for reader in (index, MappedHistories(path)):
        assert _lists(reader.movies_of(asked_users)) == movies_of
        assert reader.count_movies_of(asked_users).tolist() == [*map(len, movies_of)]
        if raters:
            assert _lists(reader.users_of(asked_movies)) == users_of
            assert reader.count_users_of(asked_movies).tolist() == [*map(len, users_of)]


def test_nobody_asked_about_has_no_lists(tmp_path: Path) -> None:
    content = _write(tmp_path / "h", [(0, 0)], [], users=1, movies=1)
    nobody = np.empty(0, dtype=np.int64)
    for reader in (HistoryIndex(_File(content).read_range), MappedHistories(tmp_path / "h")):
        assert len(reader.movies_of(nobody)) == len(reader.users_of(nobody)) == 0


def test_a_user_costs_one_short_read_after_the_first(tmp_path: Path) -> None:
    file = _File(
        _write(tmp_path / "h", [(0, 1), (0, 70_000), (2, 5)], [(2, 6)], users=3, movies=70_001, raters=False)
    )
    index = HistoryIndex(file.read_range)
    assert file.reads == [(0, 16), (0, 40)]
    file.reads.clear()
    assert index.movies(2).tolist() == [5, 6]
    assert file.reads == [(40, 7 * 8), (40 + 7 * 8 + 8 + 2 * 4, 8)]
    file.reads.clear()
    assert index.movies(0).tolist() == [1, 70_000]
    assert index.movies(1).tolist() == []
    assert file.reads == [(40 + 7 * 8 + 8, 8)]


def test_a_users_history_is_read_once_for_many_rows(tmp_path: Path) -> None:
    file = _File(_write(tmp_path / "h", [(0, 1), (1, 0)], [], users=2, movies=2, raters=True))
    index = HistoryIndex(file.read_range)
    index.movies_of(np.zeros(100, dtype=np.int64))
    file.reads.clear()
    assert _lists(index.movies_of(np.array([1, 0, 1]))) == [[0], [1], [0]]
    assert len(file.reads) == 2
    index.users_of(np.array([0]))
    file.reads.clear()
    index.users_of(np.array([1, 0]))
    assert file.reads == []


def test_files_of_version_1_tell_what_users_have_rated() -> None:
    rated = [[1, 70_000], [], [5]]
    content = _version_1(rated)
    assert content == (
        b"MRHIST01" + struct.pack("<Q", 3) + struct.pack("<4Q", 0, 2, 2, 3) + struct.pack("<3I", 1, 70_000, 5)
    )
    index = HistoryIndex(_File(content).read_range)
    assert index.n_users == 3
    assert [index.movies(user).tolist() for user in range(3)] == rated
    with pytest.raises(DataError, match=r"does not tell the train part from the test part. Prepare the data"):
        index.movies_of(np.array([0]))
    with pytest.raises(DataError, match=r"does not tell which users have rated a movie. Prepare the data"):
        index.users_of(np.array([0]))


@pytest.mark.parametrize("user", [-1, 2])
def test_users_that_are_not_there_are_refused(user: int) -> None:
    index = HistoryIndex(_File(_version_1([[1], [2]])).read_range)
    with pytest.raises(IndexError, match=f"user index {user} is not one of 0 to 1"):
        index.movies(user)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "h"
    content = _write(path, [(0, 1), (0, 2), (1, 3)], [], users=2, movies=4)

    def index(damaged: bytes) -> HistoryIndex:
        return HistoryIndex(_File(damaged).read_range)

    def mapped(damaged: bytes) -> MappedHistories:
        path.write_bytes(damaged)
        return MappedHistories(path)

    readers: list[Callable[[bytes], HistoryIndex | MappedHistories]] = [index, mapped]
    for reader in readers:
        with pytest.raises(DataError, match=r": it begins with b'MRHIST99', not with b'MRHIST02'"):
            reader(content.replace(b"02", b"99", 1))
        with pytest.raises(DataError, match=r"it is cut short: 10 of 16 bytes at 0"):
            reader(content[:10])
    with pytest.raises(DataError, match=r"histories\.bin: it is cut short: 1 of 4 bytes at 128"):
        index(content[:-15]).movies(1)
    with pytest.raises(DataError, match=r"h: it is 141 bytes long, where 144 are expected"):
        mapped(content[:-3])
    with pytest.raises(DataError, match=r"h: it is 32 bytes long"):
        mapped(_version_1([]) + bytes(8))
    backwards = bytearray(content)
    backwards[40:48] = struct.pack("<Q", 9)
    with pytest.raises(DataError, match="the boundaries of list 0 run backwards, from 9 to 2"):
        index(bytes(backwards)).movies(0)
