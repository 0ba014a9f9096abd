from dataclasses import dataclass

import numpy as np
import pytest

from data_prep.catalog import GROUP_NAMES, GroupName, UserFeatures
from data_prep.errors import DataError
from data_prep.features import describe
from data_prep.formats import Movie


@dataclass(frozen=True)
class User:
    id: int | str
    age: int | None = None
    gender: str | None = None
    occupation: str | None = None


USERS = [User(1, 24, "M", "writer"), User(2), User(7, 0, "F", "artist"), User(9, 56)]
MOVIES = [
    Movie(1, "A (1995)", 1995, ("War", "Drama")),
    Movie(3, "B", None, ()),
    Movie(4, "C (1922)", 1922, ("Drama",)),
]
RATINGS, LIKES = np.array([3, 0, 1]), np.array([2, 0, 1])


def test_all_groups_lie_side_by_side() -> None:
    catalog = describe(
        dataset="d",
        users=USERS,
        movies=MOVIES,
        ratings=RATINGS,
        likes=LIKES,
        times=(100, 399),
        groups=GROUP_NAMES[::-1],
    )
    assert [(group.name, group.offset, group.size, group.scale) for group in catalog.groups] == [
        ("user", 0, 4, 1.0),
        ("movie", 4, 3, 1.0),
        ("genres", 7, 2, 0.5),
        ("year", 9, 2, 0.5),
        ("age", 11, 7, 0.5),
        ("gender", 18, 2, 0.5),
        ("occupation", 20, 2, 0.5),
        ("time", 22, 30, 0.5),
        ("user_history", 52, 3, 2.0),
        ("movie_history", 55, 4, 2.0),
    ]
    assert catalog.feature_dim == 59
    assert catalog.vocabularies.genres == ("Drama", "War")
    assert catalog.vocabularies.years == (1922, 1995)
    assert catalog.vocabularies.times == tuple(range(100, 400, 10))
    assert catalog.users == ("1", "2", "7", "9")
    assert catalog.user_features == UserFeatures(
        age=(1, -1, 0, 6), gender=(1, -1, 0, -1), occupation=(1, -1, 0, -1)
    )
    assert [(movie.id, movie.ratings, movie.likes) for movie in catalog.movies] == [
        ("1", 3, 2),
        ("3", 0, 0),
        ("4", 1, 1),
    ]


def test_users_and_movies_are_the_default() -> None:
    catalog = describe(dataset="d", users=USERS, movies=MOVIES, ratings=RATINGS, likes=LIKES)
    assert [group.name for group in catalog.groups] == ["user", "movie"]
    assert catalog.feature_dim == 7
    assert catalog.vocabularies.times == ()


def test_a_short_time_has_fewer_spans() -> None:
    catalog = describe(
        dataset="d", users=USERS, movies=MOVIES, ratings=RATINGS, likes=LIKES, times=(5, 7), groups=["time"]
    )
    assert catalog.vocabularies.times == (5, 6, 7)


@pytest.mark.parametrize("name", ["genres", "year", "age", "gender", "occupation", "time"])
def test_what_the_data_do_not_tell_cannot_be_a_feature(name: GroupName) -> None:
    with pytest.raises(DataError, match=f"^shop.csv: .*{name}.*Leave {name} out of the features"):
        describe(
            dataset="shop.csv",
            users=[User("a"), User("b")],
            movies=[Movie(1, "x", None, ())],
            ratings=np.array([1]),
            likes=np.array([0]),
            groups=["user", name],
        )
