"""From ratings to the rows of a sparse matrix: one-hot user and movie, and whether the movie was liked."""

from collections.abc import Iterator

import numpy as np

from data_prep.arrays import Booleans, Integers
from data_prep.dataset import Dataset, Interactions
from data_prep.recordio import SparseRecords

# Movies times users whose unseen movies are found at once.
_RANKING_BATCH_PAIRS = 1 << 18


def one_hot(users: Integers, movies: Integers, liked: Booleans, dataset: Dataset) -> SparseRecords:
    """Rows with a 1 in the user's column and a 1 in the movie's; the label is 1.0 where `liked`, else 0.0.

    `users` and `movies` are indexes, int64[n]; `liked` is bool[n]. Users have the first columns.
    """
    n_users, n_movies = len(dataset.users), len(dataset.movies)
    return SparseRecords(
        labels=liked.astype(np.float32),
        indptr=np.arange(0, 2 * len(users) + 1, 2),
        keys=np.stack([users, n_users + movies], axis=1).ravel(),
        values=np.ones(2 * len(users), dtype=np.float32),
        shape=n_users + n_movies,
    )


def shuffled(count: int, *, seed: int) -> Integers:
    """The numbers below `count` in a random order fixed by `seed`.

    SageMaker's Factorization Machines trains on a file's rows in the order they come, every epoch: a file
    sorted by user trains badly. The order comes from PCG64's raw output, which NumPy keeps the same in every
    version, where it does not promise so for `permutation` (NEP 19).
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def ranking_users(liked_test: Interactions, *, at_most: int, seed: int) -> Integers:
    """Users with a liked movie in the test part, ascending; where there are too many, a random sample."""
    candidates = np.unique(liked_test.users)
    return np.sort(candidates[shuffled(len(candidates), seed=seed)[:at_most]])


def ranking_rows(dataset: Dataset, users: Integers, liked_test: Interactions) -> Iterator[SparseRecords]:
    """Pair each of `users` with every movie that the user has not rated in the train part.

    Yields some users at a time. Users come as given, each one's movies ascending; the label is 1.0 where
    the pair is in `liked_test`, else 0.0.
    """
    n_movies = len(dataset.movies)
    step = max(1, _RANKING_BATCH_PAIRS // n_movies)
    for first in range(0, len(users), step):
        batch = users[first : first + step]
        unseen = ~_rated(dataset.train, batch, n_movies)
        row, movies = np.nonzero(unseen)
        liked = _rated(liked_test, batch, n_movies)[row, movies]
        yield one_hot(batch[row], movies, liked, dataset)


def _rated(interactions: Interactions, users: Integers, n_movies: int) -> Booleans:
    """bool[len(users), n_movies]: which movies each user has in `interactions`."""
    rated = np.zeros((len(users), n_movies), dtype=np.bool_)
    chosen = np.flatnonzero(np.isin(interactions.users, users))
    rated[np.searchsorted(users, interactions.users[chosen]), interactions.movies[chosen]] = True
    return rated
