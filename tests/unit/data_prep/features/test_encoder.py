import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.catalog import GROUP_NAMES, Catalog, GroupName
from data_prep.features import FeatureEncoder, describe, encoder
from data_prep.histories import HistoryIndex, MappedHistories, write_histories
from data_prep.recordio import SparseRecords
from recommend.endpoint import _instances

GENRES = ("Action", "Drama", "War")
FIRST, LAST = 1_000, 1_090
AGE_BANDS = [(0, 17), (18, 24), (25, 34), (35, 44), (45, 49), (50, 55), (56, 999)]


@dataclass(frozen=True)
class User:
    id: int
    age: int | None
    gender: str | None
    occupation: str | None


@dataclass(frozen=True)
class Movie:
    id: int
    title: str
    year: int | None
    genres: tuple[str, ...]


@dataclass(frozen=True)
class Data:
    """At least one user and one movie tell everything, so that every group has members."""

    users: list[User]
    movies: list[Movie]
    train: list[tuple[int, int]]
    test: list[tuple[int, int]]

    def catalog(self, groups: tuple[GroupName, ...]) -> Catalog:
        counts = np.bincount([m for _, m in self.train], minlength=len(self.movies))
        return describe(
            dataset="d",
            users=self.users,
            movies=self.movies,
            ratings=counts,
            likes=counts,
            times=(FIRST, LAST),
            groups=groups,
        )

    def write_histories(self, path: Path) -> MappedHistories:
        def blocks(pairs: list[tuple[int, int]]) -> Any:
            array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
            return [(array[:, 0], array[:, 1])]

        write_histories(
            path,
            train=blocks(self.train),
            test=blocks(self.test),
            n_users=len(self.users),
            n_movies=len(self.movies),
            raters=True,
        )
        return MappedHistories(path)


def _one_of_each(members: st.SearchStrategy[Any], first: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(members, max_size=5).map(lambda rest: [first, *rest])


@st.composite
def _data(draw: st.DrawFn) -> Data:
    users = draw(
        _one_of_each(
            st.builds(
                User,
                id=st.integers(2, 99),
                age=st.none() | st.integers(0, 99),
                gender=st.none() | st.sampled_from("FM"),
                occupation=st.none() | st.sampled_from(["artist", "writer"]),
            ),
            User(1, 30, "F", "lawyer"),
        )
    )
    movies = draw(
        _one_of_each(
            st.builds(
                Movie,
                id=st.integers(2, 99),
                title=st.just("A"),
                year=st.none() | st.integers(1990, 1993),
                genres=st.sets(st.sampled_from(GENRES)).map(tuple),
            ),
            Movie(1, "B", 1995, ("Drama", "Western")),
        )
    )
    pair = st.tuples(st.integers(0, len(users) - 1), st.integers(0, len(movies) - 1))
    rated = draw(st.lists(pair, unique=True, max_size=30))
    tests = draw(st.integers(0, len(rated)))
    return Data(users, movies, rated[tests:], rated[:tests])


@dataclass
class Reference:
    """Encodes one row at a time, from the data themselves."""

    data: Data
    catalog: Catalog
    row: dict[int, float] = field(default_factory=dict)

    def encode(self, user: int, movie: int, time: int | None, own: int | None) -> dict[int, float]:
        self.row = {}
        known_user = self.data.users[user] if user >= 0 else None
        known_movie = self.data.movies[movie] if movie >= 0 else None
        if known_user:
            self._add("user", [user], 1.0)
            bands = [n for n, (low, high) in enumerate(AGE_BANDS) if low <= (known_user.age or 0) <= high]
            self._add("age", bands if known_user.age is not None else [], 0.5)
            genders = sorted({user.gender for user in self.data.users if user.gender})
            self._add("gender", [genders.index(known_user.gender)] if known_user.gender else [], 0.5)
            jobs = sorted({user.occupation for user in self.data.users if user.occupation})
            self._add("occupation", [jobs.index(known_user.occupation)] if known_user.occupation else [], 0.5)
            movies = [m for u, m in self.data.train if u == user and m != own]
            self._add("user_history", movies, 2.0)
        if known_movie:
            self._add("movie", [movie], 1.0)
            genres = sorted({genre for movie in self.data.movies for genre in movie.genres})
            self._add("genres", [genres.index(genre) for genre in known_movie.genres], 0.5)
            years = sorted({movie.year for movie in self.data.movies if movie.year is not None})
            self._add("year", [years.index(known_movie.year)] if known_movie.year is not None else [], 0.5)
            users = [u for u, m in self.data.train if m == movie and (own is None or u != user)]
            self._add("movie_history", users, 2.0)
        # 91 seconds make 30 spans of 3 seconds and a third each.
        spans = [
            number for number in range(30) if FIRST + 91 * number // 30 <= (LAST if time is None else time)
        ]
        self._add("time", [max(spans, default=0)], 0.5)
        return self.row

    def _add(self, name: str, members: list[int], scale: float) -> None:
        group = self.catalog.group(name)
        if group:
            for member in members:
                assert 0 <= member < group.size
                self.row[group.offset + member] = float(np.float32(scale / math.sqrt(len(members))))


def _rows(records: SparseRecords) -> Iterator[dict[int, float]]:
    for first, end in pairwise(records.indptr.tolist()):
        keys = records.keys[first:end].tolist()
        assert keys == sorted(set(keys))
        yield dict(zip(keys, records.values[first:end].tolist(), strict=True))


_times = st.integers(FIRST - 10, LAST + 10)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data(), _data(), st.sets(st.sampled_from(GROUP_NAMES), min_size=1), st.integers(1, 40))
def test_rows_are_those_of_the_reference_for_any_groups(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject, data: Data, on: set[GroupName], most: int
) -> None:
    catalog = data.catalog(tuple(on))
    assert [group.name for group in catalog.groups] == [name for name in GROUP_NAMES if name in on]
    path = tmp_path_factory.mktemp("encoder") / "histories.bin"
    mapped = data.write_histories(path)
    content = path.read_bytes()
    index = HistoryIndex(lambda offset, length: content[offset : offset + length])
    rows = draw.draw(
        st.lists(
            st.tuples(st.integers(-1, len(data.users) - 1), st.integers(-1, len(data.movies) - 1), _times),
            max_size=8,
        )
    )
    timed, with_own = draw.draw(st.booleans()), draw.draw(st.booleans())
    # A sampled movie's own is another one: that of the rating that it was sampled for.
    owns = [draw.draw(st.sampled_from([row[1], 0])) for row in rows]
    expected = [
        Reference(data, catalog).encode(user, movie, time if timed else None, own if with_own else None)
        for (user, movie, time), own in zip(rows, owns, strict=True)
    ]
    users, movies, times = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    given_times = times if timed else None
    given_own = np.array(owns, dtype=np.int64) if with_own else None
    labels = np.arange(len(rows), dtype=np.float32)
    for histories in (mapped, index):
        encoded = FeatureEncoder(catalog, histories)
        records = encoded.encode(users, movies, given_times, own=given_own, labels=labels)
        assert list(_rows(records)) == expected
        assert (records.shape, len(records)) == (catalog.feature_dim, len(rows))
        assert (records.keys.dtype, records.values.dtype) == (np.int64, np.float32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder, "_BATCH_ELEMENTS", most)
            batches = list(encoded.batches(users, movies, given_times, own=given_own, labels=labels))
        assert [row for batch in batches for row in _rows(batch)] == expected
        assert [label for batch in batches for label in batch.labels] == labels.tolist()
        assert all(len(batch.keys) <= most or len(batch) == 1 for batch in batches)
    # A request says the same in JSON.
    for text, row in zip(_instances(records), expected, strict=True):
        features = json.loads(text)["data"]["features"]
        values = np.array(features["values"], dtype=np.float32).tolist()
        assert dict(zip(features["keys"], values, strict=True)) == row


@pytest.mark.slow
def test_every_combination_of_groups(tmp_path: Path) -> None:
    data = Data(
        [User(1, 30, "F", "lawyer"), User(2, None, None, None), User(3, 56, "M", "artist")],
        [Movie(1, "A", 1995, ("War", "Drama")), Movie(2, "B", None, ())],
        [(0, 0), (0, 1), (2, 1)],
        [(2, 0)],
    )
    histories = data.write_histories(tmp_path / "histories.bin")
    rows = [(0, 0, FIRST), (0, 1, LAST), (2, 1, LAST), (1, 0, FIRST), (-1, 1, FIRST)]
    users, movies, times = np.array(rows).T
    for on in range(1, 1 << len(GROUP_NAMES)):
        catalog = data.catalog(tuple(name for bit, name in enumerate(GROUP_NAMES) if on >> bit & 1))
        records = FeatureEncoder(catalog, histories).encode(users, movies, times, own=movies)
        reference = Reference(data, catalog)
        assert list(_rows(records)) == [reference.encode(u, m, t, m) for u, m, t in rows]


@pytest.mark.slow
@given(_data())
def test_no_row_sees_itself(tmp_path_factory: pytest.TempPathFactory, data: Data) -> None:
    """Nor does what a row holds depend on whether it is there to be predicted."""
    histories = data.write_histories(tmp_path_factory.mktemp("encoder") / "histories.bin")
    catalog = data.catalog(("user", "movie", "user_history", "movie_history"))
    of_users, of_movies = catalog.groups[2:]
    encode = FeatureEncoder(catalog, histories).encode
    for pairs, are_train in ((data.train, True), (data.test, False)):
        users, movies = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        rows = encode(users, movies, own=movies if are_train else None)
        for row, (user, movie) in zip(_rows(rows), pairs, strict=True):
            assert of_users.offset + movie not in row
            assert of_movies.offset + user not in row
    for number, (user, movie) in enumerate(data.train[:2]):
        rest = [pair for pair in data.train if pair != (user, movie)]
        without = Data(data.users, data.movies, rest, [])
        smaller = without.write_histories(tmp_path_factory.mktemp("encoder") / f"{number}.bin")
        pair = np.array([user]), np.array([movie])
        held_out = FeatureEncoder(catalog, smaller).encode(*pair)
        assert list(_rows(encode(*pair, own=pair[1]))) == list(_rows(held_out))


def _tiny() -> Data:
    return Data([User(1, None, None, None)], [Movie(1, "A", None, ())], [(0, 0)], [])


def test_ids_alone_are_a_one_for_the_user_and_a_one_for_the_movie() -> None:
    catalog = Data(_tiny().users * 3, _tiny().movies * 4, [], []).catalog(("user", "movie"))
    rows = FeatureEncoder(catalog).encode(np.array([0, 2]), np.array([3, 0]))
    assert rows.shape == 7
    assert rows.keys.tolist() == [0, 6, 2, 3]
    assert rows.indptr.tolist() == [0, 2, 4]
    assert rows.values.tolist() == [1, 1, 1, 1]
    assert np.isnan(rows.labels).all()


@pytest.mark.parametrize("name", ["user_history", "movie_history"])
def test_histories_are_needed_where_their_groups_are(name: GroupName) -> None:
    with pytest.raises(ValueError, match="the catalog's groups need histories"):
        FeatureEncoder(_tiny().catalog(("user", name)))


@pytest.mark.parametrize(
    ("users", "movies", "said"),
    [
        ([1], [0], "user indexes run from 1 to 1, of 1 users"),
        ([-2], [0], "user indexes run from -2 to -2, of 1 users"),
        ([0, 0], [0, 1], "movie indexes run from 0 to 1, of 1 movies"),
    ],
)
def test_indexes_of_nobody_are_refused(users: list[int], movies: list[int], said: str) -> None:
    encoded = FeatureEncoder(_tiny().catalog(("user", "movie")))
    with pytest.raises(ValueError, match=said):
        encoded.encode(np.array(users), np.array(movies))
