"""What the model learns: from train ratings to labelled pairs of user and movie.

Both objectives give a row the same label, the same sampled movies and the same random key whatever the
block that it comes in: random numbers are found by the row's place in PCG64's stream, whose raw output NumPy
keeps the same in every version (NEP 19).
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Floats, Integers
from data_prep.histories import TrainHistories
from data_prep.lists import Lists, boundaries_of

Keys = NDArray[np.uint64]
Labels = Literal["liked", "stars"]

# Rounding to whole weights makes sums exact, and this many steps leave 2^53 out of reach.
_WEIGHT_STEPS = float(1 << 40)
# Of the seed's streams, the shuffle's keys are the first.
_SAMPLING_STREAM = 1
_SAMPLED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class TrainRatings:
    """Neighbouring ratings of the train part; `first` is the place of the first of them in the split's order.

    `users` and `movies` are indexes, int64[n]; `ratings` float32[n]; `times` Unix seconds, int64[n], or None.
    """

    first: int
    users: Integers
    movies: Integers
    ratings: Floats
    times: Integers | None

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class LabelledRows:
    """Rows to train on, in the split's order; each array has one element for each.

    `own` is the movie of the rating that the row comes from: the row's own, but of a sampled movie. `keys`,
    uint64[n], are random: rows sorted by them are shuffled.
    """

    users: Integers
    movies: Integers
    times: Integers | None
    labels: Floats
    own: Integers
    keys: Keys

    def __len__(self) -> int:
        return len(self.users)


class Objective(Protocol):
    """Decides which rows the model is trained on.

    A rating gives at most `rows_per_rating` of them: by that a block's size is to be chosen, since all its
    rows are in memory at once.
    """

    @property
    def rows_per_rating(self) -> int:
        """The most rows that one rating gives."""
        ...

    def labels(self, ratings: Floats) -> Floats:
        """The labels, float32[n], of rows that are ratings, such as those to test with."""
        ...

    def rows(self, block: TrainRatings) -> LabelledRows:
        """The rows that come from these ratings."""
        ...


class RatingObjective:
    """Every rating is a row.

    Its label is 1.0 where it reaches `threshold`, else 0.0; with labels "stars" it is the rating itself, for
    a regressor.
    """

    rows_per_rating = 1

    def __init__(self, *, threshold: float, seed: int, labels: Labels = "liked") -> None:
        self._threshold = threshold
        self._seed = seed
        self._labels = labels

    def labels(self, ratings: Floats) -> Floats:
        """The labels of ratings, float32[n]."""
        if self._labels == "stars":
            return ratings
        return (ratings >= self._threshold).astype(np.float32)

    def rows(self, block: TrainRatings) -> LabelledRows:
        """One row for each rating."""
        return LabelledRows(
            users=block.users,
            movies=block.movies,
            times=block.times,
            labels=self.labels(block.ratings),
            own=block.movies,
            keys=_random(self._seed, block.first, len(block)),
        )


class RankingObjective:
    """Every liked rating is a row of label 1.0, followed by `negatives` rows of label 0.0.

    Those have the same user and time, and movies drawn, with replacement, from those that the user has not
    rated in the train part: each as likely as any other or, with `alpha`, in proportion to
    (1 + its train ratings)^alpha. A user who has rated every movie has none of them.

    `popularity` counts the train ratings of each movie, int64[movies].
    """

    def __init__(
        self,
        *,
        threshold: float,
        seed: int,
        negatives: int,
        histories: TrainHistories,
        popularity: Integers,
        alpha: float = 0.0,
    ) -> None:
        self._threshold = threshold
        self._seed = seed
        self.rows_per_rating = 1 + negatives
        self._histories = histories
        share = (1.0 + popularity) ** alpha
        weights = np.maximum(1, np.rint(share / share.sum() * _WEIGHT_STEPS)).astype(np.int64)
        self._weight_before = boundaries_of(np.ones_like(weights) if alpha == 0 else weights)

    def labels(self, ratings: Floats) -> Floats:
        """The labels of ratings, float32[n]: 1.0 where they say liked, else 0.0."""
        return (ratings >= self._threshold).astype(np.float32)

    def rows(self, block: TrainRatings) -> LabelledRows:
        """The liked ratings, each followed by its sampled movies."""
        liked = np.flatnonzero(block.ratings >= self._threshold)
        group = self.rows_per_rating
        # A row's place, were every rating liked: that does not depend on what comes before the block.
        places = liked[:, None] * group + np.arange(group)
        users = np.repeat(block.users[liked], group).reshape(-1, group)
        movies = np.repeat(block.movies[liked], group).reshape(-1, group)
        draws = _random((self._seed, _SAMPLING_STREAM), block.first * group, len(block) * group)
        movies[:, 1:] = self._unseen(block.users[liked], draws[places[:, 1:]])
        keys = _random(self._seed, block.first * group, len(block) * group)[places]
        labels = np.zeros(movies.shape, dtype=np.float32)
        labels[:, 0] = 1
        kept = (movies >= 0).ravel()
        own = np.repeat(block.movies[liked], group)
        times = None if block.times is None else np.repeat(block.times[liked], group)[kept]
        return LabelledRows(
            users=users.ravel()[kept],
            movies=movies.ravel()[kept],
            times=times,
            labels=labels.ravel()[kept],
            own=own[kept],
            keys=keys.ravel()[kept],
        )

    def _unseen(self, users: Integers, draws: Keys) -> Integers:
        """For each of `users` as many movies that it has not rated as it has `draws`, uint64[n, negatives].

        int64[n, negatives], -1 where there is none.
        """
        distinct, numbers = np.unique(users, return_inverse=True)
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(self._histories.count_movies_of(distinct))
        movies = np.empty(draws.shape, dtype=np.int64)
        first = 0
        while first < len(distinct):
            limit = (ends[first - 1] if first else 0) + _SAMPLED_AT_ONCE
            end = max(first + 1, int(np.searchsorted(ends, limit, side="right")))
            rows = order[slice(*np.searchsorted(numbers[order], [first, end]))]
            seen = self._histories.movies_of(distinct[first:end])
            movies[rows] = self._draw(seen, numbers[rows] - first, draws[rows])
            first = end
        return movies

    def _draw(self, seen: Lists, lists: Integers, draws: Keys) -> Integers:
        """Find the movies by the weight of the unseen ones before them, which ascends along each list."""
        before, total = self._weight_before, int(self._weight_before[-1])
        seen_weight = boundaries_of(before[seen.members + 1] - before[seen.members])
        of_list = seen_weight[seen.boundaries]
        unseen_before = before[seen.members] - (seen_weight[:-1] - np.repeat(of_list[:-1], seen.lengths))
        unseen = total - np.diff(of_list)
        mass = unseen[lists][:, None]
        points = np.minimum((draws >> np.uint64(11)) * 2.0**-53 * mass, mass - 1).astype(np.int64)
        # One ascending array for all lists, so that one search serves all draws.
        codes = np.repeat(np.arange(len(seen)) * total, seen.lengths) + unseen_before
        passed = np.searchsorted(codes, lists[:, None] * total + points, side="right")
        weight = points + seen_weight[passed] - of_list[lists][:, None]
        movies = np.searchsorted(before, weight, side="right") - 1
        return np.where(mass > 0, movies, -1)


def _random(seed: int | tuple[int, int], first: int, count: int) -> Keys:
    """The numbers of these places in the stream of `seed`, uint64[count]."""
    stream = np.random.PCG64(seed)
    stream.advance(first)
    return stream.random_raw(count)
