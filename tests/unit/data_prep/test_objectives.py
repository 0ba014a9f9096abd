from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import objectives
from data_prep.histories import MappedHistories, write_histories
from data_prep.objectives import LabelledRows, Objective, RankingObjective, RatingObjective, TrainRatings
from data_prep.shuffle import shuffled

USERS, MOVIES = 6, 9


def _ratings(pairs: list[tuple[int, int]], stars: list[float]) -> TrainRatings:
    users, movies = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return TrainRatings(0, users, movies, np.array(stars, dtype=np.float32), 1_000 + np.arange(len(pairs)))


def _part(ratings: TrainRatings, first: int, end: int) -> TrainRatings:
    part = slice(first, end)
    assert ratings.times is not None
    return TrainRatings(
        first, ratings.users[part], ratings.movies[part], ratings.ratings[part], ratings.times[part]
    )


def _histories(folder: Path, ratings: TrainRatings, *, users: int, movies: int) -> MappedHistories:
    write_histories(
        folder / "histories.bin",
        train=[(ratings.users, ratings.movies)],
        test=[],
        n_users=users,
        n_movies=movies,
        raters=False,
    )
    return MappedHistories(folder / "histories.bin")


def _ranking(
    histories: MappedHistories,
    ratings: TrainRatings,
    *,
    movies: int = MOVIES,
    negatives: int = 3,
    alpha: float = 0.0,
    seed: int = 0,
) -> RankingObjective:
    return RankingObjective(
        threshold=4,
        seed=seed,
        negatives=negatives,
        histories=histories,
        popularity=np.bincount(ratings.movies, minlength=movies),
        alpha=alpha,
    )


def _columns(rows: LabelledRows) -> list[list[float]]:
    assert rows.times is not None
    columns = (rows.users, rows.movies, rows.times, rows.labels, rows.own, rows.keys)
    assert {len(column) for column in columns} == {len(rows)}
    return [column.tolist() for column in columns]


_stars = st.sampled_from([1.0, 3.5, 4.0, 5.0])


@st.composite
def _train(draw: st.DrawFn) -> TrainRatings:
    pair = st.tuples(st.integers(0, USERS - 1), st.integers(0, MOVIES - 1))
    rated = draw(st.lists(st.tuples(pair, _stars), unique_by=lambda rating: rating[0], max_size=40))
    return _ratings([pair for pair, _ in rated], [stars for _, stars in rated])


@pytest.mark.slow
@given(_train(), st.integers(0, 3), st.lists(st.integers(0, 40), max_size=3))
def test_no_row_depends_on_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, ratings: TrainRatings, seed: int, cuts: list[int]
) -> None:
    histories = _histories(tmp_path_factory.mktemp("ranking"), ratings, users=USERS, movies=MOVIES)
    bounds = sorted({0, len(ratings), *(min(cut, len(ratings)) for cut in cuts)})
    found: list[Objective] = [
        RatingObjective(threshold=4, seed=seed),
        _ranking(histories, ratings, seed=seed),
        _ranking(histories, ratings, seed=seed, alpha=0.75),
    ]
    for objective in found:
        whole = _columns(objective.rows(ratings))
        parts = [_columns(objective.rows(_part(ratings, first, end))) for first, end in pairwise(bounds)]
        assert [[value for part in parts for value in part[n]] for n in range(6)] == whole


@given(
    _train(), st.integers(0, 3), st.integers(0, 4), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(1, 9)
)
def test_liked_movies_are_followed_by_unseen_ones(
    tmp_path_factory: pytest.TempPathFactory,
    ratings: TrainRatings,
    seed: int,
    negatives: int,
    alpha: float,
    at_once: int,
) -> None:
    histories = _histories(tmp_path_factory.mktemp("ranking"), ratings, users=USERS, movies=MOVIES)
    objective = _ranking(histories, ratings, negatives=negatives, alpha=alpha, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objectives, "_SAMPLED_AT_ONCE", at_once)
        made = objective.rows(ratings)
    assert len(made) <= objective.rows_per_rating * len(ratings)
    rows = iter(zip(*_columns(made), strict=True))
    seen = set(zip(ratings.users.tolist(), ratings.movies.tolist(), strict=True))
    assert ratings.times is not None
    stars, times = ratings.ratings.tolist(), ratings.times.tolist()
    for number in np.flatnonzero(ratings.ratings >= 4):
        user, movie, time = int(ratings.users[number]), int(ratings.movies[number]), times[number]
        assert stars[number] >= 4
        assert next(rows)[:5] == (user, movie, time, 1.0, movie)
        has_seen_all = sum(u == user for u, _ in seen) == MOVIES
        for _ in range(0 if has_seen_all else negatives):
            sampled = next(rows)
            assert (sampled[0], *sampled[2:5]) == (user, time, 0.0, movie)
            assert (user, sampled[1]) not in seen
            assert 0 <= sampled[1] < MOVIES
    assert next(rows, None) is None


def _sampled(tmp_path: Path, alpha: float) -> tuple[Counter[int], TrainRatings]:
    # User 0 likes movies 0 and 3; the others only make movie 1 three times and movie 2 twice as popular.
    ratings = _ratings([(0, 0), (0, 3), (1, 1), (2, 1), (3, 1), (1, 2), (2, 2)], [5, 5, 1, 1, 1, 1, 1])
    histories = _histories(tmp_path, ratings, users=4, movies=5)
    rows = _ranking(histories, ratings, movies=5, negatives=30_000, alpha=alpha).rows(ratings)
    return Counter(rows.movies[rows.labels == 0].tolist()), ratings


def test_uniform_sampling_takes_unseen_movies_alike(tmp_path: Path) -> None:
    counts, _ = _sampled(tmp_path, 0.0)
    assert set(counts) == {1, 2, 4}
    # Five standard deviations of a binomial of 60,000 and a third.
    assert all(abs(count - 20_000) < 5 * 115.5 for count in counts.values())


def test_popular_movies_are_sampled_more_often(tmp_path: Path) -> None:
    counts, _ = _sampled(tmp_path, 0.5)
    assert set(counts) == {1, 2, 4}
    weights = {1: 4**0.5, 2: 3**0.5, 4: 1.0}
    for movie, weight in weights.items():
        assert counts[movie] / 60_000 == pytest.approx(weight / sum(weights.values()), abs=0.01)


def test_draws_of_neighbouring_rows_are_independent(tmp_path: Path) -> None:
    movies = 100
    ratings = _ratings([(user, 0) for user in range(500)], [5.0] * 500)
    histories = _histories(tmp_path, ratings, users=500, movies=movies)
    rows = _ranking(histories, ratings, movies=movies, negatives=20).rows(ratings)
    drawn = rows.movies.reshape(500, 21)[:, 1:]
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 0.05
    # A key says nothing about what was drawn.
    keys = rows.keys.reshape(500, 21)[:, 1:].astype(np.float64)
    assert abs(np.corrcoef(drawn.ravel(), keys.ravel())[0, 1]) < 0.05


def test_ratings_are_labelled_liked_or_with_their_stars() -> None:
    ratings = _ratings([(0, 0), (0, 1), (1, 0)], [3.5, 4.0, 5.0])
    assert RatingObjective(threshold=4, seed=0).rows(ratings).labels.tolist() == [0, 1, 1]
    stars = RatingObjective(threshold=4, seed=0, labels="stars")
    assert stars.rows(ratings).labels.tolist() == [3.5, 4, 5]
    assert stars.labels(ratings.ratings).dtype == np.float32


def test_the_keys_are_those_of_the_shuffle() -> None:
    pairs = [(user, movie) for user in range(20) for movie in range(20)]
    rows = RatingObjective(threshold=4, seed=3).rows(_ratings(pairs, [5.0] * 400))
    assert np.argsort(rows.keys, kind="stable").tolist() == shuffled(400, seed=3).tolist()


def test_the_draws_never_change(tmp_path: Path) -> None:
    # These numbers must stay: prepared data sets are named by their seed, not by what it draws.
    ratings = _ratings([(0, 0), (0, 1), (1, 2)], [5, 2, 4])
    histories = _histories(tmp_path, ratings, users=2, movies=MOVIES)
    rows = _ranking(histories, ratings, negatives=5).rows(ratings)
    assert rows.movies.tolist() == [0, 5, 7, 8, 2, 3, 2, 7, 8, 1, 5, 3]
    assert rows.keys[:2].tolist() == [11749869230777074271, 4976686463289251617]
