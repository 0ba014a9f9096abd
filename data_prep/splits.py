"""Which ratings train the model and which ones test it."""

import numpy as np

from data_prep.arrays import Integers

UA_TEST_RATINGS = 10


def hold_out_first(users: Integers, movies: Integers, *, ratings: int) -> tuple[Integers, Integers]:
    """Hold out the first `ratings` rows of every user, in file order, for testing.

    With 10 it is MovieLens-100k's `ua` split, by the rule of the archive's own allbut.pl. `users` and
    `movies` are int64[n], ids or indexes, from 0. Returns row numbers (train, test), each sorted by (user,
    movie), as `ua.base` and `ua.test` are.
    """
    order = np.argsort(users, kind="stable")
    first_of_user = np.flatnonzero(np.diff(users[order], prepend=-1))
    ratings_of_user = np.diff(first_of_user, append=len(users))
    position = np.arange(len(users)) - np.repeat(first_of_user, ratings_of_user)
    held_out = np.empty(len(users), dtype=np.bool_)
    held_out[order] = position < ratings
    by_pair = np.lexsort((movies, users))
    return by_pair[~held_out[by_pair]], by_pair[held_out[by_pair]]
