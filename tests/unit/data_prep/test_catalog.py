import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_prep.catalog import Catalog
from data_prep.errors import DataError


@pytest.fixture
def content() -> dict[str, Any]:
    return {
        "format_version": 2,
        "dataset": "ml-100k",
        "feature_dim": 13,
        "groups": [
            {"name": "user", "offset": 0, "size": 3, "scale": 1.0},
            {"name": "movie", "offset": 3, "size": 2, "scale": 1.0},
            {"name": "genres", "offset": 5, "size": 2, "scale": 0.5},
            {"name": "year", "offset": 7, "size": 1, "scale": 0.5},
            {"name": "gender", "offset": 8, "size": 2, "scale": 0.5},
            {"name": "movie_history", "offset": 10, "size": 3, "scale": 2.0},
        ],
        "vocabularies": {
            "genres": ["Drama", "War"],
            "years": [1995],
            "ages": [0, 18],
            "genders": ["F", "M"],
            "occupations": [],
            "times": [],
        },
        "users": ["1", "2", "10"],
        "user_features": {"age": [1, 0, -1], "gender": [0, -1, 1], "occupation": []},
        "movies": [
            {"id": "7", "title": "A (1995)", "genres": ["Drama"], "year": 1995, "ratings": 4, "likes": 2},
            {"id": "9", "title": "Misérables, Les", "genres": [], "year": None, "ratings": 0, "likes": 0},
        ],
    }


def test_ids_have_indexes_and_groups_have_names(content: dict[str, Any]) -> None:
    catalog = Catalog.loads(json.dumps(content))
    assert [catalog.user_index(user) for user in ("1", "10", "3", "01")] == [0, 2, None, None]
    assert [catalog.movie_index(movie) for movie in ("7", "9", "1")] == [0, 1, None]
    assert catalog.group("genres") == catalog.groups[2]
    assert catalog.group("age") is None
    assert catalog.movies[0].genres == ("Drama",)


def test_what_is_written_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    catalog = Catalog.loads(json.dumps(content))
    path = tmp_path / "catalog.json"
    path.write_text(catalog.dumps(), encoding="utf-8")
    assert Catalog.load(path) == catalog
    assert json.loads(path.read_bytes()) == content


def test_version_1_had_two_groups_and_no_scales(content: dict[str, Any]) -> None:
    old = {key: content[key] for key in ("dataset", "users", "movies")} | {
        "format_version": 1,
        "feature_dim": 5,
        "groups": [{"name": "user", "offset": 0, "size": 3}, {"name": "movie", "offset": 3, "size": 2}],
    }
    catalog = Catalog.loads(json.dumps(old))
    assert catalog.feature_dim == 5
    assert [(group.name, group.scale) for group in catalog.groups] == [("user", 1), ("movie", 1)]
    assert catalog.movies[0].genres == ("Drama",)


def _vocabularies(content: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {"vocabularies": content["vocabularies"] | change}


def _groups(content: dict[str, Any], number: int, **change: Any) -> dict[str, Any]:
    groups = [*content["groups"]]
    groups[number] = groups[number] | change
    return {"groups": groups}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: {"format_version": 3}, "format_version: Input should be 2"),
        (lambda c: {"feature_dim": 14}, "the groups do not cover the columns: they are 13, not 14"),
        (lambda c: {"users": ["1"]}, "group user is 3 columns from 0, where it should be 1 from 0"),
        (lambda c: {"movies": [{"id": "7"}]}, r"movies\.0\.title: Field required"),
        (lambda c: {"groups": []}, r"groups: Tuple should have at least 1 item"),
        (lambda c: {"groups": c["groups"][::-1]}, "the groups are not some of user, movie, .* in this order"),
        (lambda c: {"groups": c["groups"][:1] * 2}, "the groups are not some of user, movie, .* each once"),
        (lambda c: _groups(c, 2, offset=6), "group genres is 2 columns from 6, where it should be 2 from 5"),
        (lambda c: _groups(c, 2, name="shoe"), r"groups\.2\.name: Input should be 'user', 'movie'"),
        (lambda c: _groups(c, 2, scale=0), r"groups\.2\.scale: Input should be greater than 0"),
        (lambda c: _vocabularies(c, genres=["War", "Western"]), "movie 7 has a genre that is not in the"),
        (lambda c: _vocabularies(c, years=[1996]), "movie 7 has a year that is not in the vocabulary"),
        (lambda c: _vocabularies(c, ages=[18, 0]), "the vocabulary of ages does not ascend"),
        (lambda c: _vocabularies(c, times=[5, 5]), "the vocabulary of times does not ascend"),
        (lambda c: {"user_features": {"gender": [0, 1]}}, "2 gender features for 3 users"),
        (lambda c: {"user_features": {}}, "0 gender features for 3 users"),
        (lambda c: {"user_features": {"gender": [0, 1, 2]}}, "gender features run from 0 to 2, of 2"),
        (lambda c: {"user_features": {"gender": [0, 1, -2]}}, "gender features run from -2 to 1, of 2"),
    ],
)
def test_other_content_is_refused(content: dict[str, Any], change: Any, reason: str) -> None:
    with pytest.raises(DataError, match=f"^catalog.json: .*{reason}.*Prepare the data set again"):
        Catalog.loads(json.dumps(content | change(content)))


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(DataError, match=r"c\.json: .*Invalid JSON"):
        Catalog.load(tmp_path / "c.json")


def test_reading_a_catalog_needs_no_numpy() -> None:
    code = "import sys, data_prep.catalog; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
