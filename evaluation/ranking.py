"""How well scores rank the movies that a user has not rated: precision, recall, NDCG and coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationError


@dataclass(frozen=True)
class Candidates:
    """The pairs to rank: for each user, every movie that the model may recommend to that user.

    `users` and `movies` are integers [rows], ascending by user, then by movie, without repeats; `relevant` is
    bool [rows]: the user turned out to like the movie.
    """

    users: NDArray[np.integer]
    movies: NDArray[np.integer]
    relevant: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check the order.

        Raises:
            EvaluationError: lengths differ, rows are out of order or repeated, or there is no row.
        """
        rows = len(self.users)
        if not rows == len(self.movies) == len(self.relevant):
            raise EvaluationError(
                f"ranking: {rows} users, {len(self.movies)} movies and {len(self.relevant)} labels differ"
            )
        if not rows:
            raise EvaluationError("ranking: there are no rows")
        same_user = self.users[1:] == self.users[:-1]
        ascending = np.where(same_user, self.movies[1:] > self.movies[:-1], self.users[1:] > self.users[:-1])
        if not ascending.all():
            row = int((~ascending).argmax()) + 2
            raise EvaluationError(
                f"ranking: row {row} is not in ascending order of user and movie, or is repeated"
            )


@dataclass(frozen=True)
class RankingStandardErrors:
    """One standard error of each mean over users."""

    precision: float
    recall: float
    ndcg: float


@dataclass(frozen=True)
class RankingMetrics:
    """Means over the users who like at least one of their candidates.

    precision: share of the k recommended movies that are relevant (fewer than k candidates count as k).
    recall: share of the user's relevant movies that are among the k.
    ndcg: discounted cumulative gain, 1 / log2(1 + rank) per relevant movie, over the best possible one.
    coverage: share of the catalogue's movies that are recommended to at least one of these users.
    """

    users: int
    k: int
    precision: float
    recall: float
    ndcg: float
    coverage: float
    standard_errors: RankingStandardErrors


def ranking_metrics(
    candidates: Candidates, scores: NDArray[np.floating], *, catalogue_size: int, k: int = 10
) -> RankingMetrics:
    """Rank each user's candidates by score, the lower movie first among equals, and judge the first k.

    `scores`: finite [rows]; `catalogue_size`: movies that could be recommended to anyone.

    Raises:
        EvaluationError: lengths differ, a score is not finite, or fewer than two users like a candidate.
    """
    if len(scores) != len(candidates.users):
        raise EvaluationError(f"ranking: there are {len(candidates.users)} rows but {len(scores)} scores")
    if not np.isfinite(scores).all():
        row = int((~np.isfinite(scores)).argmax()) + 1
        raise EvaluationError(f"ranking: the score of row {row} is not finite")

    starts = np.flatnonzero(np.diff(candidates.users, prepend=candidates.users[0] - 1))
    relevant_of_user = np.add.reduceat(candidates.relevant, starts, dtype=np.int64)
    judged = relevant_of_user > 0
    users = int(judged.sum())
    if users < 2:
        raise EvaluationError(
            f"ranking: {users} of {len(starts)} users like a candidate: at least 2 are needed"
        )

    ends = np.append(starts[1:], len(scores))
    recommended = np.full((users, k), -1, dtype=np.int64)
    for row, (start, end) in enumerate(zip(starts[judged], ends[judged], strict=True)):
        best = np.argsort(-scores[start:end], kind="stable")[:k]
        recommended[row, : len(best)] = start + best

    filled = recommended >= 0
    hits = candidates.relevant[recommended] & filled
    gains = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(gains)[np.minimum(relevant_of_user[judged], k) - 1]
    precision = hits.sum(axis=1) / k
    recall = hits.sum(axis=1) / relevant_of_user[judged]
    ndcg = hits @ gains / ideal
    return RankingMetrics(
        users=users,
        k=k,
        precision=float(precision.mean()),
        recall=float(recall.mean()),
        ndcg=float(ndcg.mean()),
        coverage=len(np.unique(candidates.movies[recommended[filled]])) / catalogue_size,
        standard_errors=RankingStandardErrors(
            precision=_standard_error(precision),
            recall=_standard_error(recall),
            ndcg=_standard_error(ndcg),
        ),
    )


def popularity_scores(candidates: Candidates, ratings_of_movie: NDArray[np.integer]) -> NDArray[np.float64]:
    """Score each candidate by how many training ratings its movie has: the baseline that knows no user.

    `ratings_of_movie`: counts, indexed by movie.
    """
    return np.take(ratings_of_movie.astype(np.float64), candidates.movies)


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
