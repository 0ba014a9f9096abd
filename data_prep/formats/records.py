"""What is read from a data set: blocks of ratings, movies, users."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Floats, Integers

# Whole numbers, or names as UTF-8 in the fixed width that the longest of a block needs.
Ids = NDArray[np.int64] | NDArray[np.bytes_]


@dataclass(frozen=True)
class RatingBlock:
    """Consecutive ratings of one file, in file order.

    `users` and `movies` are the ids in the file, int64[n] or bytes[n] as `InputData.id_type` says; `ratings`
    is float32[n]; `times` is int64[n], Unix seconds, or None where the file has none. `first_row` counts the
    ratings that came before, so rows that were passed over do not count; `lines` are the line numbers from 1,
    for messages.
    """

    users: Ids
    movies: Ids
    ratings: Floats
    times: Integers | None
    first_row: int
    lines: Integers | range

    def __len__(self) -> int:
        return len(self.ratings)


# Of movies and users there are thousands: tuples are made several times as fast as frozen dataclasses.
class Movie(NamedTuple):
    """A movie as its data set describes it; `year` is None where the title has none."""

    id: int | str
    title: str
    year: int | None
    genres: tuple[str, ...]


class User(NamedTuple):
    """A user as the data set describes them.

    `age` is in years; MovieLens 1M gives the youngest age of a bracket (1 stands for under 18).
    """

    id: int | str
    age: int | None
    gender: str | None
    occupation: str | None
