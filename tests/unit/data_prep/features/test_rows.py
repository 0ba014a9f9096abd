import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.dataset import Dataset, Interactions
from data_prep.features import one_hot, ranking_rows, ranking_users, rows, shuffled
from data_prep.movielens import Movie

Pairs = set[tuple[int, int]]


def _interactions(pairs: list[tuple[int, int]]) -> Interactions:
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Interactions(array[:, 0], array[:, 1], np.full(len(array), 5))


def _dataset(train: Pairs, test: Pairs, users: int, movies: int) -> Dataset:
    return Dataset(
        np.arange(1, users + 1),
        tuple(Movie(n, f"Film {n}", None, ()) for n in range(1, movies + 1)),
        _interactions(sorted(train)),
        _interactions(sorted(test)),
    )


def test_a_row_has_the_users_and_the_movies_column() -> None:
    dataset = _dataset(set(), set(), users=3, movies=4)
    rows = one_hot(np.array([0, 2]), np.array([3, 0]), np.array([True, False]), dataset)
    assert rows.shape == 7
    assert rows.keys.tolist() == [0, 6, 2, 3]
    assert rows.indptr.tolist() == [0, 2, 4]
    assert rows.values.tolist() == [1, 1, 1, 1]
    assert rows.labels.tolist() == [1, 0]


def test_the_order_is_random_and_fixed_by_the_seed() -> None:
    # These numbers must never change: prepared data sets are named by their seed, not by their order.
    assert shuffled(10, seed=0).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]
    assert shuffled(10, seed=1).tolist() != shuffled(10, seed=0).tolist()
    order = shuffled(50_000, seed=2)
    assert np.array_equal(np.sort(order), np.arange(50_000))
    # Neighbours in the file are strangers: of the mean distance in a random order, n / 3.
    assert 0.32 < np.abs(np.diff(order)).mean() / 50_000 < 0.35


_pairs = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=40)


@given(_pairs, _pairs, st.integers(1, 8), st.integers(0, 3))
def test_ranking_pairs_each_user_with_every_movie_not_trained_on(
    rated: Pairs, liked: Pairs, at_most: int, seed: int
) -> None:
    train = rated - liked
    dataset = _dataset(train, liked, users=7, movies=9)
    users = ranking_users(dataset.test, at_most=at_most, seed=seed)
    candidates = {user for user, _ in liked}
    assert set(users.tolist()) <= candidates
    assert len(users) == min(at_most, len(candidates))
    assert users.tolist() == sorted(users.tolist())

    expected = [
        (user, movie, float((user, movie) in liked))
        for user in users.tolist()
        for movie in range(9)
        if (user, movie) not in train
    ]
    found = []
    for batch in ranking_rows(dataset, users, dataset.test):
        pairs = batch.keys.reshape(-1, 2)
        found += list(
            zip(pairs[:, 0].tolist(), (pairs[:, 1] - 7).tolist(), batch.labels.tolist(), strict=True)
        )
    assert found == expected


def test_ranking_takes_few_users_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = _dataset(set(), {(user, 0) for user in range(7)}, users=7, movies=9)
    (whole,) = ranking_rows(dataset, np.arange(7), dataset.test)
    monkeypatch.setattr(rows, "_RANKING_BATCH_PAIRS", 20)
    parts = list(ranking_rows(dataset, np.arange(7), dataset.test))
    assert [len(part) for part in parts] == [18, 18, 18, 9]
    assert np.concatenate([part.keys for part in parts]).tolist() == whole.keys.tolist()
