import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.errors import EvaluationError
from evaluation.ranking import Candidates, popularity_scores, ranking_metrics


def candidates(rows: list[tuple[int, int, bool]]) -> Candidates:
    users, movies, relevant = zip(*rows, strict=True) if rows else ((), (), ())
    return Candidates(
        users=np.array(users, dtype=np.int64),
        movies=np.array(movies, dtype=np.int64),
        relevant=np.array(relevant, dtype=bool),
    )


@st.composite
def ranking_problems(draw: st.DrawFn) -> tuple[list[tuple[int, int, bool]], list[float], int]:
    liking_users = draw(st.sets(st.integers(0, 20), min_size=2, max_size=6))
    rows = {(user, draw(st.integers(0, 15))): True for user in liking_users}
    others = draw(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 15), st.booleans()), max_size=80))
    for user, movie, relevant in others:
        rows.setdefault((user, movie), relevant)
    table = [(user, movie, rows[user, movie]) for user, movie in sorted(rows)]
    scores = draw(
        st.lists(
            st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-5, 5)),
            min_size=len(table),
            max_size=len(table),
        )
    )
    return table, scores, draw(st.integers(1, 12))


@given(ranking_problems())
def test_metrics_agree_with_ranking_each_user_by_hand(
    problem: tuple[list[tuple[int, int, bool]], list[float], int],
) -> None:
    table, scores, k = problem
    precisions, recalls, ndcgs = [], [], []
    recommended_to_someone = set()
    for user in sorted({user for user, _, _ in table}):
        own = [
            (-score, movie, liked)
            for (u, movie, liked), score in zip(table, scores, strict=True)
            if u == user
        ]
        liked_total = sum(liked for _, _, liked in own)
        if not liked_total:
            continue
        top = sorted(own)[:k]
        recommended_to_someone |= {movie for _, movie, _ in top}
        precisions.append(sum(liked for _, _, liked in top) / k)
        recalls.append(sum(liked for _, _, liked in top) / liked_total)
        gain = sum(liked / math.log2(rank + 1) for rank, (_, _, liked) in enumerate(top, start=1))
        ndcgs.append(gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, liked_total) + 1)))

    found = ranking_metrics(candidates(table), np.array(scores), catalogue_size=16, k=k)

    assert found.users == len(precisions)
    assert found.precision == pytest.approx(np.mean(precisions))
    assert found.recall == pytest.approx(np.mean(recalls))
    assert found.ndcg == pytest.approx(np.mean(ndcgs))
    assert found.coverage == pytest.approx(len(recommended_to_someone) / 16)
    assert found.standard_errors.ndcg == pytest.approx(
        np.std(ndcgs, ddof=1) / math.sqrt(len(ndcgs)), abs=1e-12
    )


def test_known_values() -> None:
    table = [(1, 0, True), (1, 1, False), (1, 2, True), (2, 0, False), (2, 2, True)]
    found = ranking_metrics(candidates(table), np.array([0.9, 0.8, 0.1, 0.9, 0.8]), catalogue_size=4, k=2)

    best_of_two = 1 + 1 / math.log2(3)
    assert found.precision == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert found.recall == pytest.approx((1 / 2 + 1) / 2)
    assert found.ndcg == pytest.approx((1 / best_of_two + 1 / math.log2(3)) / 2)
    assert found.coverage == 3 / 4


def test_equal_scores_rank_the_lower_movie_first() -> None:
    table = [(1, 3, True), (1, 7, False), (2, 3, False), (2, 7, True)]
    found = ranking_metrics(candidates(table), np.zeros(4), catalogue_size=10, k=1)

    assert found.precision == 0.5
    assert found.coverage == 0.1


def test_users_who_like_nothing_do_not_count() -> None:
    table = [(1, 0, True), (2, 0, False), (3, 0, True)]
    found = ranking_metrics(candidates(table), np.zeros(3), catalogue_size=1, k=1)

    assert (found.users, found.precision) == (2, 1)


def test_popularity_scores_every_user_alike() -> None:
    pairs = candidates([(1, 0, True), (1, 2, False), (2, 1, True), (2, 2, True)])

    assert popularity_scores(pairs, np.array([5, 0, 9])).tolist() == [5, 9, 0, 9]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "there are no rows"),
        ([(1, 1, True), (1, 1, True)], "row 2 is not in ascending order of user and movie, or is repeated"),
        ([(1, 1, True), (1, 2, True), (1, 0, True)], "row 3 is not in ascending order"),
        ([(2, 1, True), (1, 2, True)], "row 2 is not in ascending order"),
    ],
)
def test_rows_out_of_order_are_refused(rows: list[tuple[int, int, bool]], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        candidates(rows)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(EvaluationError, match="2 users, 1 movies and 2 labels differ"):
        Candidates(users=np.array([1, 2]), movies=np.array([1]), relevant=np.array([True, True]))


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.5], "there are 2 rows but 1 scores"),
        ([0.5, np.nan], "the score of row 2 is not finite"),
        ([np.inf, 0.5], "the score of row 1 is not finite"),
    ],
)
def test_unusable_scores_are_refused(scores: list[float], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        ranking_metrics(candidates([(1, 0, True), (2, 0, True)]), np.array(scores), catalogue_size=1)


def test_one_user_is_too_few() -> None:
    with pytest.raises(EvaluationError, match="1 of 2 users like a candidate"):
        ranking_metrics(candidates([(1, 0, True), (2, 0, False)]), np.zeros(2), catalogue_size=1)
