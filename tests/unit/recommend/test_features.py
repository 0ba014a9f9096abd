"""Requests of a model that is trained with all groups of features."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.catalog import GROUP_NAMES, Catalog
from data_prep.features import FeatureEncoder, describe
from data_prep.histories import MappedHistories, write_histories

TRAIN = np.array([(0, 0), (0, 3), (1, 0), (1, 2), (2, 3), (2, 4)])
TEST = np.array([(0, 1), (2, 0)])


@dataclass(frozen=True)
class User:
    id: str
    age: int | None
    gender: str | None
    occupation: str | None


@dataclass(frozen=True)
class Movie:
    id: str
    title: str
    year: int | None
    genres: tuple[str, ...]


USERS = [User("1", 24, "M", "writer"), User("2", 17, "F", "artist"), User("10", None, None, None)]
MOVIES = [
    Movie("1", "Toy Story (1995)", 1995, ("Animation", "Comedy")),
    Movie("2", "GoldenEye (1995)", 1995, ("Action",)),
    Movie("5", "Copycat (1995)", 1995, ("Crime",)),
    Movie("50", "Star Wars (1977)", 1977, ("Sci-Fi",)),
    Movie("267", "unknown", None, ()),
]


@pytest.fixture
def catalog() -> Catalog:
    counts = np.bincount(TRAIN[:, 1], minlength=len(MOVIES))
    return describe(
        dataset="d",
        users=USERS,
        movies=MOVIES,
        ratings=counts,
        likes=counts,
        times=(1_000, 2_000),
        groups=GROUP_NAMES,
    )


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    path = tmp_path / "histories.bin"
    write_histories(
        path,
        train=[(TRAIN[:, 0], TRAIN[:, 1])],
        test=[(TEST[:, 0], TEST[:, 1])],
        n_users=len(USERS),
        n_movies=len(MOVIES),
        raters=True,
    )
    return path


@pytest.fixture
def featured(api: Any, catalog: Catalog, histories: Path) -> Any:
    api.cloud.objects["models/models/job-1/catalog.json"] = catalog.dumps().encode()
    api.cloud.objects["models/models/job-1/histories.bin"] = histories.read_bytes()
    return api


def asked(api: Any) -> list[tuple[list[int], list[float]]]:
    """The columns and float32 values of every row that the model was asked about for an answer."""
    rows = []
    known = len(json.loads(api.cloud.objects["models/models/job-1/reference.json"])["rows"])
    for request in api.cloud.invocations:
        for instance in json.loads(request.body)["instances"][known:]:
            features = instance["data"]["features"]
            values = np.array(features["values"], dtype=np.float32).tolist()
            rows.append((features["keys"], values))
    return rows


def encoded(
    catalog: Catalog, histories: Path, pairs: list[tuple[int, int]]
) -> list[tuple[list[int], list[float]]]:
    """The same of rows as they are prepared to test with."""
    users, movies = np.array(pairs).T
    rows = FeatureEncoder(catalog, MappedHistories(histories)).encode(users, movies)
    bounds = rows.indptr[1:-1]
    keys, values = np.split(rows.keys, bounds), np.split(rows.values, bounds)
    return [(row.tolist(), value.tolist()) for row, value in zip(keys, values, strict=True)]


def test_a_recommendation_asks_with_the_features_of_a_prepared_row(
    featured: Any, catalog: Catalog, histories: Path
) -> None:
    featured.cloud.model_gives([0.5, 0.9])
    reply = featured.get("/users/1/recommendations")

    assert [item["movie"] for item in reply.body["recommendations"]] == ["267", "5"]
    # User 1 has movies 1 and 50 in the train part and movie 2 in the test part.
    assert asked(featured) == encoded(catalog, histories, [(0, 2), (0, 4)])


def test_predictions_ask_with_the_features_of_each_pair(
    featured: Any, catalog: Catalog, histories: Path
) -> None:
    featured.cloud.model_gives([0.5] * 4)
    pairs = [("2", "50"), ("nobody", "1"), ("10", "267"), ("2", "1")]
    content = {"pairs": [{"user": user, "movie": movie} for user, movie in pairs]}
    reply = featured.call("POST", "/predictions", content=content)

    assert [item["known_user"] for item in reply.body["predictions"]] == [True, False, True, True]
    assert asked(featured) == encoded(catalog, histories, [(1, 3), (-1, 0), (2, 4), (1, 0)])
    # The boundaries of the lists, each known user's once, and the users of all movies once.
    ranges = [wanted for _, wanted in featured.cloud.reads if wanted]
    assert len(ranges) == 2 + 1 + 2 + 2


def test_an_unknown_user_has_the_movies_features_alone(
    featured: Any, catalog: Catalog, histories: Path
) -> None:
    featured.cloud.model_gives([0.5] * len(MOVIES))
    featured.get("/users/nobody/recommendations")

    assert asked(featured) == encoded(catalog, histories, [(-1, movie) for movie in range(len(MOVIES))])


def test_histories_that_do_not_tell_the_train_part_are_our_fault(featured: Any) -> None:
    content = b"MRHIST01" + len(USERS).to_bytes(8, "little") + bytes(8 * (len(USERS) + 1))
    featured.cloud.objects["models/models/job-1/histories.bin"] = content

    assert featured.error(500, "GET", "/users/1/recommendations")["code"] == "internal_error"
