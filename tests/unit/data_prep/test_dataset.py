import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from data_prep.dataset import Dataset, read_ua_split
from data_prep.errors import DataError
from data_prep.source import opened

Writer = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def read(write_folder: Writer) -> Callable[[Mapping[str, bytes]], Dataset]:
    def read(files: Mapping[str, bytes]) -> Dataset:
        with opened(write_folder(files), marker="u.item", layout="") as source:
            return read_ua_split(source)

    return read


Read = Callable[[Mapping[str, bytes]], Dataset]


def _pair(small: dict[str, bytes]) -> dict[str, bytes]:
    """The same data set with its split as files."""
    lines = small["u.data"].splitlines(keepends=True)
    test = [
        n
        for user in (b"1\t", b"2\t", b"3\t")
        for n in [i for i, x in enumerate(lines) if x.startswith(user)][:10]
    ]
    train = [n for n in range(len(lines)) if n not in test]

    def part(rows: list[int]) -> bytes:
        return b"".join(sorted((lines[n] for n in rows), key=lambda line: [int(x) for x in line.split()[:2]]))

    return small | {"ua.base": part(train), "ua.test": part(test)}


def _same(one: Dataset, other: Dataset) -> bool:
    return all(
        np.array_equal(getattr(getattr(one, part), column), getattr(getattr(other, part), column))
        for part in ("train", "test")
        for column in ("users", "movies", "stars")
    )


def test_ids_become_indexes_and_the_first_ten_ratings_test(small: dict[str, bytes], read: Read) -> None:
    dataset = read(small)
    assert dataset.users.tolist() == [1, 2, 3]
    assert [movie.id for movie in dataset.movies] == [*range(1, 13), 40]
    # User 1 rates movies 12 down to 1: the last two train. User 3 rates 3 to 12 and then 40.
    train = zip(dataset.train.users, dataset.train.movies, dataset.train.stars, strict=True)
    assert list(train) == [(0, 0, 2), (0, 1, 3), (2, 12, 5)]
    assert len(dataset.test) == 10 + 2 + 10


def test_the_given_split_is_taken_and_equals_the_rebuilt_one(small: dict[str, bytes], read: Read) -> None:
    rebuilt = read(small)
    pair = _pair(small)
    assert _same(read(pair), rebuilt)


def test_the_given_split_is_enough_by_itself(small: dict[str, bytes], read: Read) -> None:
    pair = _pair(small)
    only = {name: pair[name] for name in ("u.item", "ua.base", "ua.test")}
    dataset = read(only)
    assert dataset.users.tolist() == [1, 2, 3]
    assert len(dataset.train) == 3


def test_users_without_ratings_have_a_column_too(small: dict[str, bytes], read: Read) -> None:
    dataset = read(small | {"u.user": small["u.user"] + b"9|1|F|x|1\n"})
    assert dataset.users.tolist() == [1, 2, 3, 9]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"u.data": b"1\t1\t5\t1\n1\t99\t5\t1\n"},
            r"ml-small/u\.data, line 2: movie 99 is not in u\.item\. Correct the files",
        ),
        (
            {"u.data": b"1\t1\t5\t1\n7\t1\t5\t1\n"},
            r"ml-small/u\.data, line 2: user 7 is not in u\.user\. Correct",
        ),
        (
            {"u.data": b"1\t2\t5\t1\n2\t1\t5\t1\n1\t2\t4\t1\n2\t1\t1\t1\n"},
            r"u\.data, line 3: user 1 rates movie 2 as on line 1 already\. Keep one of the two lines",
        ),
        (
            {"u.data": b"1\t2\t5\t1\n2\t1\t5\t1\n"},
            r"u\.data: no user has more than the 10 ratings that are held out for testing\. Give a data",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    small: dict[str, bytes], read: Read, change: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(small | change)


def test_a_test_rating_that_trains_is_refused(small: dict[str, bytes], read: Read) -> None:
    pair = _pair(small)
    leaked = pair["ua.base"].splitlines(keepends=True)[1]
    with pytest.raises(
        DataError, match=r"ua\.test, line 23: user 1 with movie 2 is in ua\.base too, and what trains"
    ):
        read(pair | {"ua.test": pair["ua.test"] + leaked})


@pytest.mark.parametrize("file", ["u.data", "ua.base", "ua.test"])
def test_a_file_cut_between_two_lines_is_refused(small: dict[str, bytes], read: Read, file: str) -> None:
    pair = _pair(small)
    cut = b"".join(pair[file].splitlines(keepends=True)[:-1])
    with pytest.raises(
        DataError, match=r"u\.data: its \d+ ratings are not those of ua\.base .* together\. Download"
    ):
        read(pair | {file: cut})


@pytest.mark.parametrize("missing", ["ua.base", "ua.test"])
def test_half_a_split_without_all_ratings_is_refused(
    small: dict[str, bytes], read: Read, missing: str
) -> None:
    pair = _pair(small)
    del pair["u.data"], pair[missing]
    with pytest.raises(
        DataError, match=r"there is neither u\.data nor both ua\.base and ua\.test. Add the ratings"
    ):
        read(pair)


def test_movielens_rebuilt_split_is_the_published_one(movielens_zip: Path, tmp_path: Path) -> None:
    with opened(movielens_zip, marker="u.item", layout="") as source:
        published = read_ua_split(source)
    with zipfile.ZipFile(movielens_zip) as archive:
        for name, md5 in {
            "ua.base": "346eb46a756be3b382bdef4f7dcf3a01",
            "ua.test": "52e5d0355092dc1596899855b220508f",
        }.items():
            assert hashlib.md5(archive.read(f"ml-100k/{name}")).hexdigest() == md5
        for name in ("u.data", "u.item", "u.user"):
            (tmp_path / name).write_bytes(archive.read(f"ml-100k/{name}"))
    with opened(tmp_path, marker="u.item", layout="") as source:
        rebuilt = read_ua_split(source)
    assert (len(rebuilt.users), len(rebuilt.movies)) == (943, 1682)
    assert (len(rebuilt.train), len(rebuilt.test)) == (90_570, 9_430)
    assert _same(published, rebuilt)
