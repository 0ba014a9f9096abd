"""The rows by which a model's ranking is judged: users with all movies that they have not rated."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import Booleans, Floats, Integers
from data_prep.histories import TrainHistories
from data_prep.shuffle import shuffled
from data_prep.spool import Spool, take

_MOST_PAIRS = 2_000_000
# Movies times users whose unseen movies are found at once.
_BATCH_PAIRS = 1 << 18


@dataclass(frozen=True)
class LikedTest:
    """The liked test ratings of the users that are ranked for.

    `users` are those, ascending; `pairs` codes of a user's place among them and a movie, ascending.
    """

    users: Integers
    pairs: Integers
    movies: int


def find_liked(
    test: Spool, *, threshold: float, users: int, movies: int, at_most: int, seed: int
) -> LikedTest:
    """Users with a liked movie in the test part; where there are too many, a random sample.

    There are no more than `at_most`, nor more than keep the pairs of user and movie below two million.
    """
    liking = np.zeros(users, dtype=np.bool_)
    for rows in test.blocks():
        liking[rows["user"][rows["rating"] >= threshold]] = True
    candidates = np.flatnonzero(liking)
    limit = min(at_most, max(1, _MOST_PAIRS // movies))
    chosen = np.sort(candidates[shuffled(len(candidates), seed=seed)[:limit]])
    place = np.full(users, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    pairs = [np.empty(0, dtype=np.int64)]
    for rows in test.blocks():
        kept = take(rows, np.flatnonzero((rows["rating"] >= threshold) & (place[rows["user"]] >= 0)))
        pairs.append(place[kept["user"]] * movies + kept["movie"])
    return LikedTest(chosen, np.concatenate(pairs), movies)


def unseen_pairs(liked: LikedTest, histories: TrainHistories) -> Iterator[tuple[Integers, Integers, Floats]]:
    """Pair each user with every movie that the user has not rated in the train part.

    Yields (users, movies, labels) of some users at a time. Users ascend, and each one's movies; the label is
    1.0 where the pair is in the liked test ratings, else 0.0.
    """
    step = max(1, _BATCH_PAIRS // liked.movies)
    for first in range(0, len(liked.users), step):
        users = liked.users[first : first + step]
        unseen = np.ones((len(users), liked.movies), dtype=np.bool_)
        seen = histories.movies_of(users)
        unseen[np.repeat(np.arange(len(users)), seen.lengths), seen.members] = False
        row, movies = np.nonzero(unseen)
        labels = _is_in(liked.pairs, (first + row) * liked.movies + movies)
        yield users[row], movies, labels.astype(np.float32)


def _is_in(ascending: Integers, wanted: Integers) -> Booleans:
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found: Booleans = ascending[places] == wanted
    return found
