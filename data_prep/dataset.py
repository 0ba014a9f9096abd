"""A data set ready to be encoded: users, movies, and which ratings train and test."""

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import Integers
from data_prep.errors import DataError
from data_prep.movielens import (
    ITEMS_FILE,
    RATINGS_FILE,
    TEST_FILE,
    TRAIN_FILE,
    USERS_FILE,
    Movie,
    read_movies,
    read_users,
)
from data_prep.ratings import Ratings, read_ratings
from data_prep.source import Source
from data_prep.splits import UA_TEST_RATINGS, hold_out_first


@dataclass(frozen=True)
class Interactions:
    """Ratings by index: `users` and `movies` count from 0, `stars` are 1 to 5. Each is int64[n]."""

    users: Integers
    movies: Integers
    stars: Integers

    def __len__(self) -> int:
        return len(self.stars)

    def take(self, rows: Integers) -> "Interactions":
        """The given rows, in the given order."""
        return Interactions(self.users[rows], self.movies[rows], self.stars[rows])


@dataclass(frozen=True)
class Dataset:
    """Users' ids and movies, ascending by id, which gives their indexes; ratings in the split's order."""

    users: Integers
    movies: tuple[Movie, ...]
    train: Interactions
    test: Interactions


def read_ua_split(source: Source) -> Dataset:
    """Read MovieLens-100k with its `ua` split: the pair of files, or else u.data split by ua's definition.

    Raises DataError for any line, and any disagreement between files, that breaks a rule.
    """
    movies = read_movies(source)
    movie_ids = np.array([movie.id for movie in movies])
    if TRAIN_FILE in source and TEST_FILE in source:
        files = [TRAIN_FILE, TEST_FILE]
    elif RATINGS_FILE in source:
        files = [RATINGS_FILE]
    else:
        reason = f"beside {ITEMS_FILE} there is neither {RATINGS_FILE} nor both {TRAIN_FILE} and {TEST_FILE}"
        raise DataError(source.location, reason, remedy="Add the ratings, or download the data set again")
    parts = [read_ratings(source, file) for file in files]
    if USERS_FILE in source:
        user_ids = np.array(read_users(source))
    else:
        user_ids = np.unique(np.concatenate([part.users for part in parts]))
    indexed = [_indexed(part, user_ids, movie_ids) for part in parts]
    if files == [RATINGS_FILE]:
        train, test = _split(parts[0], indexed[0])
    else:
        train, test = indexed
        _refuse_overlap(parts[1], _pairs(train, movie_ids), _pairs(test, movie_ids))
        if RATINGS_FILE in source:
            whole = read_ratings(source, RATINGS_FILE)
            _refuse_loss(whole, _indexed(whole, user_ids, movie_ids), train, test, movie_ids)
    return Dataset(user_ids, movies, train, test)


def _indexed(ratings: Ratings, user_ids: Integers, movie_ids: Integers) -> Interactions:
    """Turn ids into indexes; refuse ids that are unknown, and a movie that a user rates twice."""
    indexed = Interactions(
        _places(user_ids, ratings.users, ratings.path, f"user {{}} is not in {USERS_FILE}"),
        _places(movie_ids, ratings.movies, ratings.path, f"movie {{}} is not in {ITEMS_FILE}"),
        ratings.stars,
    )
    pairs = _pairs(indexed, movie_ids)
    order = np.argsort(pairs, kind="stable")
    again = order[1:][np.diff(pairs[order]) == 0]
    if len(again):
        row = int(again.min())
        first = int(np.argmax(pairs == pairs[row]))
        reason = f"user {ratings.users[row]} rates movie {ratings.movies[row]} as on line {first + 1} already"
        raise DataError(ratings.path, reason, line=row + 1, remedy="Keep one of the two lines")
    return indexed


def _places(ids: Integers, wanted: Integers, path: str, unknown: str) -> Integers:
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    missing = ids[places] != wanted
    if missing.any():
        row = int(np.argmax(missing))
        remedy = "Correct the files, or download the data set again"
        raise DataError(path, unknown.format(wanted[row]), line=row + 1, remedy=remedy)
    return places


def _pairs(ratings: Interactions, movie_ids: Integers) -> Integers:
    """One number for each pair of user and movie."""
    return ratings.users * len(movie_ids) + ratings.movies


def _split(ratings: Ratings, indexed: Interactions) -> tuple[Interactions, Interactions]:
    train, test = hold_out_first(indexed.users, indexed.movies, ratings=UA_TEST_RATINGS)
    if not len(train):
        reason = f"no user has more than the {UA_TEST_RATINGS} ratings that are held out for testing"
        raise DataError(ratings.path, reason, remedy="Give a data set with more ratings")
    return indexed.take(train), indexed.take(test)


def _refuse_overlap(test: Ratings, train_pairs: Integers, test_pairs: Integers) -> None:
    both = np.isin(test_pairs, train_pairs)
    if both.any():
        row = int(np.argmax(both))
        pair = f"user {test.users[row]} with movie {test.movies[row]}"
        reason = f"{pair} is in {TRAIN_FILE} too, and what trains a model cannot test it"
        raise DataError(test.path, reason, line=row + 1, remedy="Remove the line from one of the two files")


def _refuse_loss(
    ratings: Ratings, whole: Interactions, train: Interactions, test: Interactions, movie_ids: Integers
) -> None:
    """Refuse a pair of files that is not all of u.data: one of the three was cut short between two lines."""
    split = np.concatenate([_pairs(train, movie_ids), _pairs(test, movie_ids)])
    if not np.array_equal(np.sort(split), np.sort(_pairs(whole, movie_ids))):
        reason = (
            f"its {len(whole)} ratings are not those of {TRAIN_FILE} ({len(train)}) "
            f"and {TEST_FILE} ({len(test)}) together"
        )
        raise DataError(ratings.path, reason, remedy="Download the data set again")
