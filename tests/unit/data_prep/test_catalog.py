import json
from pathlib import Path
from typing import Any

import pytest

from data_prep.catalog import Catalog
from data_prep.errors import DataError


@pytest.fixture
def content() -> dict[str, Any]:
    return {
        "format_version": 1,
        "dataset": "ml-100k",
        "feature_dim": 5,
        "groups": [{"name": "user", "offset": 0, "size": 3}, {"name": "movie", "offset": 3, "size": 2}],
        "users": ["1", "2", "10"],
        "movies": [
            {"id": "7", "title": "A (1995)", "genres": ["Drama"], "year": 1995, "ratings": 4, "likes": 2},
            {"id": "9", "title": "Misérables, Les", "genres": [], "year": None, "ratings": 0, "likes": 0},
        ],
    }


def test_ids_have_indexes_and_indexes_have_columns(content: dict[str, Any]) -> None:
    catalog = Catalog.loads(json.dumps(content))
    assert [catalog.user_index(user) for user in ("1", "10", "3", "01")] == [0, 2, None, None]
    assert [catalog.movie_index(movie) for movie in ("7", "9", "1")] == [0, 1, None]
    assert [catalog.user_column(0), catalog.user_column(2)] == [0, 2]
    assert [catalog.movie_column(0), catalog.movie_column(1)] == [3, 4]
    assert catalog.movies[0].genres == ("Drama",)


def test_what_is_written_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    catalog = Catalog.loads(json.dumps(content))
    path = tmp_path / "catalog.json"
    path.write_text(catalog.dumps(), encoding="utf-8")
    assert Catalog.load(path) == catalog
    assert json.loads(path.read_bytes()) == content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format_version": 2}, "format_version: Input should be 1"),
        ({"feature_dim": 6}, "the groups do not cover the columns"),
        ({"users": ["1"]}, "the groups do not cover the columns"),
        ({"movies": [{"id": "7"}]}, r"movies\.0\.title: Field required"),
        ({"groups": []}, r"groups\.0: Field required"),
    ],
)
def test_other_content_is_refused(content: dict[str, Any], change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=f"^catalog.json: .*{reason}.*Prepare the data set again"):
        Catalog.loads(json.dumps(content | change))


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(DataError, match=r"c\.json: .*Invalid JSON"):
        Catalog.load(tmp_path / "c.json")
