import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import dataset as dataset_module
from data_prep.dataset import Dataset, read_dataset
from data_prep.errors import DataError
from data_prep.formats.input_data import open_input
from data_prep.manifest import PrepareSettings
from data_prep.spool import Spool

Writer = Callable[[Mapping[str, bytes]], Path]
Read = Callable[..., Dataset]


def _read(source: Path, scratch: Path, chosen: PrepareSettings) -> Dataset:
    scratch.mkdir(exist_ok=True)
    with open_input(source, max_bad_rows=chosen.max_bad_rows) as data:
        return read_dataset(data, settings=chosen, scratch=scratch, report=lambda *_: None)


@pytest.fixture
def read(write_folder: Writer, tmp_path: Path) -> Read:
    def read(files: Mapping[str, bytes], **chosen: object) -> Dataset:
        return _read(write_folder(files), tmp_path / "scratch", PrepareSettings.model_validate(chosen))

    return read


def _rows(spool: Spool) -> list[tuple[int, int, float]]:
    """Users, movies and ratings."""
    return [
        (int(row["user"]), int(row["movie"]), float(row["rating"]))
        for block in spool.blocks()
        for row in block
    ]


def _ids(dataset: Dataset) -> tuple[list[object], list[object]]:
    return [user.id for user in dataset.users], [movie.id for movie in dataset.movies]


def _pair(small: dict[str, bytes], split: str = "ua") -> dict[str, bytes]:
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

    return small | {f"{split}.base": part(train), f"{split}.test": part(test)}


def test_ids_become_indexes_and_the_first_ten_ratings_test(small: dict[str, bytes], read: Read) -> None:
    dataset = read(small)
    assert _ids(dataset) == ([1, 2, 3], [*range(1, 13), 40])
    # User 1 rates movies 12 down to 1: the last two train. User 3 rates 3 to 12 and then 40.
    assert _rows(dataset.train) == [(0, 0, 2), (0, 1, 3), (2, 12, 5)]
    assert len(dataset.test) == 10 + 2 + 10
    assert dataset.train_ratings.tolist() == [1, 1, *[0] * 10, 1]
    assert dataset.train_likes.tolist() == [*[0] * 12, 1]
    assert dataset.times == (880000010, 880000022)


def test_the_given_split_is_taken_and_equals_the_rebuilt_one(small: dict[str, bytes], read: Read) -> None:
    rebuilt, given = read(small), read(_pair(small))
    for part in ("train", "test"):
        assert _rows(getattr(given, part)) == _rows(getattr(rebuilt, part))


def test_the_given_split_is_enough_by_itself(small: dict[str, bytes], read: Read) -> None:
    pair = _pair(small)
    dataset = read({name: pair[name] for name in ("u.item", "ua.base", "ua.test")})
    assert [user.id for user in dataset.users] == [1, 2, 3]
    # User 2 trains nothing and no file describes users: there is nothing that the model could know.
    assert (len(dataset.train), len(dataset.test), dataset.unknown_test) == (3, 20, 2)


def test_users_without_ratings_have_a_column_too(small: dict[str, bytes], read: Read) -> None:
    dataset = read(small | {"u.user": small["u.user"] + b"9|1|F|x|1\n"})
    assert [user.id for user in dataset.users] == [1, 2, 3, 9]


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
            r"u\.data, line 3: user 1 rates movie 2 as on line 1 already; of 2 such lines it has the lowest "
            r"ids\. Keep one of the two lines, or choose first or last for duplicates",
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
        read(pair | {"ua.test": pair["ua.test"] + leaked}, duplicates="first")


@pytest.mark.parametrize("file", ["u.data", "ua.base", "ua.test"])
def test_a_file_cut_between_two_lines_is_refused(small: dict[str, bytes], read: Read, file: str) -> None:
    pair = _pair(small)
    cut = b"".join(pair[file].splitlines(keepends=True)[:-1])
    with pytest.raises(
        DataError, match=r"u\.data: its \d+ ratings are not those of ua\.base .* together\. Download"
    ):
        read(pair | {file: cut})


def test_half_a_split_without_all_ratings_is_refused(small: dict[str, bytes], read: Read) -> None:
    pair = _pair(small, split="ub")
    del pair["u.data"]
    message = r"neither a file of all ratings nor a pair of files for the split ua\. Choose the split ub"
    with pytest.raises(DataError, match=message):
        read(pair)
    with pytest.raises(DataError, match=r"no file of train ratings beside one of test ratings"):
        read(small, split="given")


@pytest.mark.parametrize(("policy", "kept"), [("first", 5.0), ("last", 1.0)])
def test_of_duplicates_the_first_or_the_last_is_kept(
    small: dict[str, bytes], read: Read, policy: str, kept: float
) -> None:
    doubled = small["u.data"] + b"3\t40\t1\t7\n"
    dataset = read(small | {"u.data": doubled}, duplicates=policy)
    assert _rows(dataset.train)[-1] == (2, 12, kept)
    assert dataset.duplicates == 1
    # The one that is left out does not count as one of the first ten either.
    assert len(dataset.test) == 22


def test_movielens_rebuilt_splits_are_the_published_ones(movielens_zip: Path, tmp_path: Path) -> None:
    published = {
        ("ua", "train"): "346eb46a756be3b382bdef4f7dcf3a01",
        ("ua", "test"): "52e5d0355092dc1596899855b220508f",
        ("u1", "train"): "4325f44281c9f8c119a3694662d63fc2",
        ("u1", "test"): "62d5d837e7c8e36550cc956b09c2ecc8",
    }
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    with zipfile.ZipFile(movielens_zip) as archive:
        for name in ("u.data", "u.item", "u.user"):
            (folder / name).write_bytes(archive.read(f"ml-100k/{name}"))
    tests: Counter[tuple[int, int, float]] = Counter()
    for split in ("ua", "ub", "u1", "u2", "u3", "u4", "u5"):
        dataset = _read(folder, tmp_path / "scratch", PrepareSettings(split=split))
        for part, spool in (("train", dataset.train), ("test", dataset.test)):
            # All ids are there, so that an index is an id less 1.
            lines = "".join(
                f"{row['user'] + 1}\t{row['movie'] + 1}\t{row['rating']:.0f}\t{row['time']}\n"
                for row in np.concatenate(list(spool.blocks()))
            )
            if md5 := published.get((split, part)):
                assert hashlib.md5(lines.encode()).hexdigest() == md5
        if split not in {"ua", "ub"}:
            assert (len(dataset.train), len(dataset.test)) == (80_000, 20_000)
            tests.update(_rows(dataset.test))
        else:
            assert (len(dataset.train), len(dataset.test)) == (90_570, 9_430)
            assert set(Counter(user for user, _, _ in _rows(dataset.test)).values()) == {10}
    # The five test parts are disjoint and make up the whole.
    assert len(tests) == 100_000


# -- anyone's data, against plain Python ---------------------------------------------------------------------

_names = st.text(alphabet="ab1é", min_size=1, max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ratings=st.lists(
        st.tuples(_names, _names, st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=40
    ),
    split=st.sampled_from(
        ["all-but-first-1", "all-but-first-2", "leave-last-1", "leave-last-2", "random-0.5"]
    ),
    policy=st.sampled_from(["first", "last"]),
    range_rows=st.sampled_from([1, 3, 1000]),
)
def test_splits_are_those_of_plain_python(
    tmp_path: Path,
    ratings: list[tuple[str, str, int, int]],
    split: str,
    policy: str,
    range_rows: int,
) -> None:
    source = tmp_path / "anyone.csv"
    rows = [("x" + user, "y" + movie, rating, time) for user, movie, rating, time in ratings]
    lines = "".join(f"{user},{movie},{rating},{time}\n" for user, movie, rating, time in rows)
    source.write_text(f"user,item,rating,timestamp\n{lines}", encoding="utf-8")
    expected = _plain_split(rows, split, policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_module, "_RANGE_ROWS", range_rows)
        chosen = PrepareSettings(split=split, duplicates=policy)
        if expected is None:
            with pytest.raises(DataError):
                _read(source, tmp_path / "scratch", chosen)
            return
        dataset = _read(source, tmp_path / "scratch", chosen)
    users, movies = _ids(dataset)
    for part, wanted in zip((dataset.train, dataset.test), expected, strict=True):
        assert [(users[u], movies[m], r) for u, m, r in _rows(part)] == wanted
    assert users == sorted({row[0] for row in rows}, key=str.encode)
    assert dataset.duplicates == len(rows) - len({row[:2] for row in rows})


def _plain_split(
    rows: list[tuple[str, str, int, int]], split: str, policy: str
) -> tuple[list[tuple[str, str, int]], list[tuple[str, str, int]]] | None:
    """(train, test), None where one of them is empty."""
    numbers: dict[tuple[str, str], int] = {}
    for number, (user, movie, _, _) in enumerate(rows):
        if policy == "last" or (user, movie) not in numbers:
            numbers[user, movie] = number
    kept = sorted(numbers.values())
    if split.startswith("random"):
        drawn = np.random.PCG64((0, 2)).random_raw(len(rows)).tolist()
        test = {number for number in kept if drawn[number] < 1 << 63}
    else:
        count, test = int(split[-1]), set()
        for user in {row[0] for row in rows}:
            own = [number for number in kept if rows[number][0] == user]
            if split.startswith("leave-last"):
                own = sorted(own, key=lambda number: (rows[number][3], number))[::-1]
            test.update(own[:count])
    train = [number for number in kept if number not in test]
    users, movies = ({rows[number][place] for number in train} for place in (0, 1))
    known = [number for number in test if rows[number][0] in users and rows[number][1] in movies]
    if not train or not known:
        return None

    def sort(part: list[int]) -> list[tuple[str, str, int]]:
        return sorted(
            (rows[number][:3] for number in part), key=lambda row: (row[0].encode(), row[1].encode())
        )

    return sort(train), sort(known)


def test_unknown_test_ratings_are_an_error_where_they_are_to_be(tmp_path: Path) -> None:
    source = tmp_path / "anyone.csv"
    source.write_text("a,x,5,1\na,y,5,2\nb,x,5,3\nb,z,5,9\n")
    chosen = PrepareSettings(split="leave-last-1", unknown_test="error")
    message = (
        r"^anyone\.csv/?.*, line 2: the rating tests the model, and movie y is in no rating that trains it\. "
        r"Choose drop"
    )
    with pytest.raises(DataError, match=message):
        _read(source, tmp_path / "scratch", chosen)


def test_that_all_test_ratings_are_unknown_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("".join(f"{user},{user}-{n},5\n" for user in "abc" for n in range(3)))
    message = (
        r"mine\.csv: no ratings are left to test with: of all 3, the user or the movie is in no rating that"
    )
    with pytest.raises(DataError, match=message):
        _read(tmp_path / "mine.csv", tmp_path / "scratch", PrepareSettings(split="all-but-first-1"))


def test_the_latest_ratings_need_times(tmp_path: Path) -> None:
    source = tmp_path / "anyone.csv"
    source.write_text("a,x,5\na,y,5\n")
    with pytest.raises(DataError, match=r"the split leave-last-1 needs times, which the ratings do not have"):
        _read(source, tmp_path / "scratch", PrepareSettings(split="leave-last-1"))


def test_a_given_pair_of_anyones_data(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.csv").write_text("user,item,rating\n10,7,1\n9,7,5\n")
    (folder / "test.csv").write_text("user,item,rating\n9,8,5\n10,7000000000,5\n9,7,4\n")
    chosen = PrepareSettings(split="given")
    with pytest.raises(DataError, match=r"test\.csv, line 4: user 9 with movie 7 is in train\.csv too"):
        _read(folder, tmp_path / "scratch", chosen)
    (folder / "test.csv").write_text("user,item,rating\n9,8,5\n10,7000000000,5\n10,8,4\n")
    (folder / "train.csv").write_text("user,item,rating\n10,7,1\n9,7,5\n9,7000000000,3\n")
    dataset = _read(folder, tmp_path / "scratch", chosen)
    assert _ids(dataset) == ([9, 10], [7, 8, 7_000_000_000])
    assert _rows(dataset.train) == [(0, 0, 5), (0, 2, 3), (1, 0, 1)]
    assert _rows(dataset.test) == [(1, 2, 5)]
    assert dataset.unknown_test == 2
    assert dataset.times is None
