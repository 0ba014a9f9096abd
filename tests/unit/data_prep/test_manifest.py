import pytest
from pydantic import ValidationError

from data_prep.errors import DataError
from data_prep.manifest import Manifest, PrepareSettings, dataset_digest


def _digest(*, name: str = "ml.zip", sha256: str = "a" * 64, **chosen: object) -> str:
    return dataset_digest(name=name, sha256=sha256, settings=PrepareSettings.model_validate(chosen))


def test_the_digest_follows_input_and_settings_only() -> None:
    # Must not change by accident: it decides whether finished work is found again.
    assert _digest() == "f32dfb599feffad7248aec63eec7e177"
    assert _digest() == _digest(liked_threshold=4, seed=0)
    others = [
        _digest(name="u.data"),
        _digest(sha256="b" * 64),
        _digest(seed=1),
        _digest(liked_threshold=5),
        _digest(ranking_users=7),
        _digest(shards=2),
        _digest(shuffle=False),
    ]
    assert len({_digest(), *others}) == 8


@pytest.mark.parametrize(
    "setting",
    [
        {"split": "u6"},
        {"split": "all-but-first-0"},
        {"split": "random-1.5"},
        {"split": "random-0.0"},
        {"liked_threshold": float("nan")},
        {"seed": -1},
        {"shards": 0},
        {"features": "user,tags"},
        {"features": "user,user"},
        {"features": ()},
        {"objective": "ranking", "labels": "stars"},
        {"negatives": 0},
        {"duplicates": "drop"},
        {"unknown_test": "keep"},
        {"max_bad_rows": -1},
        {"ranking_users": 0},
        {"k": 1},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrepareSettings.model_validate(setting)


def test_features_come_in_the_order_of_their_columns() -> None:
    chosen = PrepareSettings.model_validate({"features": "year, movie,user"})
    assert chosen.features == ("user", "movie", "year")
    assert PrepareSettings.model_validate(chosen.model_dump()) == chosen


def test_other_content_is_refused() -> None:
    with pytest.raises(DataError, match=r"^m\.json: digest: Field required\. Prepare the data set again"):
        Manifest.loads("{}", name="m.json")
