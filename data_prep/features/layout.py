"""Decides which columns the model's input has, from what the data tell of users and movies."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

from pydantic import TypeAdapter

from data_prep.arrays import Integers
from data_prep.catalog import (
    DEFAULT_GROUPS,
    GROUP_NAMES,
    UNKNOWN,
    Catalog,
    CatalogMovie,
    Group,
    GroupName,
    UserFeatures,
    Vocabularies,
    group_sizes,
)
from data_prep.errors import DataError

# All at once takes half the time that one by one does.
_CATALOG_MOVIES = TypeAdapter(tuple[CatalogMovie, ...])
# MovieLens 1M's: https://files.grouplens.org/datasets/movielens/ml-1m-README.txt
_AGE_BANDS = (0, 18, 25, 35, 45, 50, 56)
# As many as in Koren, "Collaborative Filtering with Temporal Dynamics" (KDD 2009), section 4.1.
_TIME_SPANS = 30

# Of few members each trains on many rows: at 1 side features make a model too sure (cross-entropy 0.607
# against 0.594 at 0.5, on held-out train ratings of MovieLens 100k).
_SIDE_SCALE, _HISTORY_SCALE = 0.5, 2.0
_SCALES: dict[GroupName, float] = {
    "user": 1.0,
    "movie": 1.0,
    "genres": _SIDE_SCALE,
    "year": _SIDE_SCALE,
    "age": _SIDE_SCALE,
    "gender": _SIDE_SCALE,
    "occupation": _SIDE_SCALE,
    "time": _SIDE_SCALE,
    "user_history": _HISTORY_SCALE,
    "movie_history": _HISTORY_SCALE,
}


class UserData(Protocol):
    """What the data tell of a user."""

    @property
    def id(self) -> int | str:
        """The id in the data."""
        ...

    @property
    def age(self) -> int | None:
        """In years."""
        ...

    @property
    def gender(self) -> str | None:
        """As the data call it."""
        ...

    @property
    def occupation(self) -> str | None:
        """As the data call it."""
        ...


class MovieData(Protocol):
    """What the data tell of a movie."""

    @property
    def id(self) -> int | str:
        """The id in the data."""
        ...

    @property
    def title(self) -> str:
        """The title."""
        ...

    @property
    def year(self) -> int | None:
        """Of release."""
        ...

    @property
    def genres(self) -> tuple[str, ...]:
        """Their names."""
        ...


def describe(
    *,
    dataset: str,
    users: Sequence[UserData],
    movies: Sequence[MovieData],
    ratings: Integers,
    likes: Integers,
    times: tuple[int, int] | None = None,
    groups: Sequence[GroupName] = DEFAULT_GROUPS,
) -> Catalog:
    """Return the catalog of a data set whose users and movies are in the order of their indexes.

    `ratings` and `likes`, int64[movies], count in the train part; `times` are its first and its last, Unix
    seconds. Raises DataError where the data do not tell what one of `groups` is about.
    """
    vocabularies = Vocabularies(
        genres=_distinct(genre for movie in movies for genre in movie.genres),
        years=tuple(sorted({movie.year for movie in movies if movie.year is not None})),
        ages=_AGE_BANDS if any(user.age is not None for user in users) else (),
        genders=_distinct(user.gender for user in users),
        occupations=_distinct(user.occupation for user in users),
        times=() if times is None else _spans(*times),
    )
    sizes = group_sizes(len(users), len(movies), vocabularies)
    laid_out, end = [], 0
    for name in GROUP_NAMES:
        if name in groups:
            if not sizes[name]:
                reason = f"the data tell no {name} for the feature group {name}"
                raise DataError(dataset, reason, remedy=f"Leave {name} out of the features")
            laid_out.append(Group(name=name, offset=end, size=sizes[name], scale=_SCALES[name]))
            end += sizes[name]
    return Catalog(
        dataset=dataset,
        feature_dim=end,
        groups=tuple(laid_out),
        vocabularies=vocabularies,
        users=tuple(str(user.id) for user in users),
        user_features=UserFeatures(
            age=_age_bands([user.age for user in users]) if vocabularies.ages else (),
            gender=_indexes([user.gender for user in users], vocabularies.genders),
            occupation=_indexes([user.occupation for user in users], vocabularies.occupations),
        ),
        movies=_CATALOG_MOVIES.validate_python(
            [
                {
                    "id": str(movie.id),
                    "title": movie.title,
                    "genres": movie.genres,
                    "year": movie.year,
                    "ratings": rated,
                    "likes": liked,
                }
                for movie, rated, liked in zip(movies, ratings.tolist(), likes.tolist(), strict=True)
            ]
        ),
    )


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name is not None}))


def _spans(first: int, last: int) -> tuple[int, ...]:
    """Where equal spans of the time from `first` to `last` begin; fewer where it is shorter in seconds."""
    seconds = last - first + 1
    return tuple(sorted({first + seconds * number // _TIME_SPANS for number in range(_TIME_SPANS)}))


def _age_bands(ages: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(UNKNOWN if age is None else bisect_right(_AGE_BANDS, age) - 1 for age in ages)


def _indexes(names: Sequence[str | None], vocabulary: tuple[str, ...]) -> tuple[int, ...]:
    if not vocabulary:
        return ()
    places = {name: place for place, name in enumerate(vocabulary)}
    return tuple(UNKNOWN if name is None else places[name] for name in names)
