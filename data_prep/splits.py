"""Which ratings train the model and which ones test it.

A split is a rule that holds some ratings out, named so that a setting can say it:

    all-but-first-K   of each user the first K ratings, in file order
    leave-last-K      of each user the K latest ratings; of ratings at one time, those later in the file
    random-P          each rating with probability P, whatever the block that it is read in
    given             none: the data come as a train and a test file
    ua, ub, u1 to u5  MovieLens 100k's, by the rules of the archive's own allbut.pl and mku.sh: `ua` holds out
                      the first ten ratings of each user, `ub` the next ten, u1 to u5 one fifth of the file
                      each. Where the data have such a pair of files, that is taken
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import Booleans, Integers
from data_prep.sorting import stable_order

UA_TEST_RATINGS = 10
ALLOWED = (
    "ua, ub, u1 to u5, given, all-but-first-K, leave-last-K or random-P "
    "(K from 1, 0 < P < 1, at most nine digits)"
)
PUBLISHED = ("ua", "ub", "u1", "u2", "u3", "u4", "u5")
GIVEN = "given"

_FIFTHS = 5
# Of the seed's streams, the shuffle's keys are the first, and sampled movies the second.
_SPLIT_STREAM = 2


class RowSplit(ABC):
    """Holds ratings out by their place in the file."""

    @abstractmethod
    def held_out(self, first: int, count: int, total: int) -> Booleans:
        """Which of `count` neighbouring ratings, from row `first` of `total`, test the model: bool[count]."""


class UserSplit(ABC):
    """Holds ratings out by what else their user has rated."""

    @abstractmethod
    def held_out(self, users: Integers, times: Integers | None) -> Booleans:
        """Which ratings test the model, bool[n]. They are all those of their users, in file order."""


@dataclass(frozen=True)
class FirstOfUser(UserSplit):
    """Of each user the ratings from number `first` to number `last`, from 1, in file order."""

    first: int
    last: int

    def held_out(self, users: Integers, times: Integers | None) -> Booleans:  # noqa: ARG002
        """Which ratings test the model, bool[n]."""
        position = _position(users) + 1
        return (position >= self.first) & (position <= self.last)


@dataclass(frozen=True)
class LastOfUser(UserSplit):
    """Of each user the `count` latest ratings."""

    count: int

    def held_out(self, users: Integers, times: Integers | None) -> Booleans:
        """Which ratings test the model, bool[n]. Raises ValueError where there are no times."""
        if times is None:
            raise ValueError("the latest ratings cannot be told: the data have no times")
        latest_first = np.lexsort((-np.arange(len(users)), -times))
        held_out = np.empty(len(users), dtype=np.bool_)
        held_out[latest_first] = _position(users[latest_first]) < self.count
        return held_out


@dataclass(frozen=True)
class RandomShare(RowSplit):
    """Each rating with probability `share`."""

    share: float
    seed: int

    def held_out(self, first: int, count: int, total: int) -> Booleans:  # noqa: ARG002
        """Which of `count` neighbouring ratings test the model, bool[count]."""
        stream = np.random.PCG64((self.seed, _SPLIT_STREAM))
        stream.advance(first)
        drawn: Booleans = stream.random_raw(count) >> np.uint64(11) < np.uint64(self.share * 2**53)
        return drawn


@dataclass(frozen=True)
class Fifth(RowSplit):
    """Fifth `number` of the file, from 1."""

    number: int

    def held_out(self, first: int, count: int, total: int) -> Booleans:
        """Which of `count` neighbouring ratings test the model, bool[count]."""
        begin, end = total * (self.number - 1) // _FIFTHS, total * self.number // _FIFTHS
        rows = np.arange(first, first + count)
        return (rows >= begin) & (rows < end)


def parse_split(name: str, *, seed: int = 0) -> RowSplit | UserSplit | None:
    """The rule with this name; None for `given`. Raises ValueError that says what is allowed."""
    if name == GIVEN:
        return None
    if name in {"ua", "ub"}:
        first = 1 if name == "ua" else 1 + UA_TEST_RATINGS
        return FirstOfUser(first, first + UA_TEST_RATINGS - 1)
    if name in PUBLISHED:
        return Fifth(int(name[1:]))
    if found := re.fullmatch(r"(all-but-first|leave-last)-([1-9]\d{0,8})", name):
        count = int(found[2])
        return FirstOfUser(1, count) if found[1] == "all-but-first" else LastOfUser(count)
    if (found := re.fullmatch(r"random-(0\.\d{1,9})", name)) and 0 < float(found[1]) < 1:
        return RandomShare(float(found[1]), seed)
    raise ValueError(f"must be {ALLOWED}")


def hold_out_first(users: Integers, movies: Integers, *, ratings: int) -> tuple[Integers, Integers]:
    """Hold out the first `ratings` rows of every user, in file order, for testing.

    `users` and `movies` are int64[n], ids or indexes, from 0. Returns row numbers (train, test), each sorted
    by (user, movie), as `ua.base` and `ua.test` are.
    """
    held_out = FirstOfUser(1, ratings).held_out(users, None)
    by_pair = np.lexsort((movies, users))
    return by_pair[~held_out[by_pair]], by_pair[held_out[by_pair]]


def _position(users: Integers) -> Integers:
    """How many ratings of the same user come before each, int64[n]."""
    if (users[1:] >= users[:-1]).all():
        return _position_in_run(users)
    order = stable_order(users)
    position = np.empty(len(users), dtype=np.int64)
    position[order] = _position_in_run(users[order])
    return position


def _position_in_run(users: Integers) -> Integers:
    """The same, where the ratings of each user are together."""
    first_of_user = np.flatnonzero(np.append(True, users[1:] != users[:-1])[: len(users)])
    ratings_of_user = np.diff(first_of_user, append=len(users))
    position: Integers = np.arange(len(users)) - np.repeat(first_of_user, ratings_of_user)
    return position
