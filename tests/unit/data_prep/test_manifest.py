import pytest
from pydantic import ValidationError

from data_prep.errors import DataError
from data_prep.manifest import Manifest, PrepareSettings, dataset_digest


def test_the_digest_follows_input_and_settings_only() -> None:
    settings = PrepareSettings()
    digest = dataset_digest("a" * 64, settings)
    # Must not change by accident: it decides whether finished work is found again.
    assert digest == "084444c77e771280f92508c26bff2092"
    assert digest == dataset_digest("a" * 64, PrepareSettings(liked_threshold=4, seed=0))
    others = [
        dataset_digest("b" * 64, settings),
        dataset_digest("a" * 64, PrepareSettings(seed=1)),
        dataset_digest("a" * 64, PrepareSettings(liked_threshold=5)),
        dataset_digest("a" * 64, PrepareSettings(ranking_users=7)),
        dataset_digest("a" * 64, PrepareSettings(shards=2)),
        dataset_digest("a" * 64, PrepareSettings(shuffle=False)),
    ]
    assert len({digest, *others}) == 7


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
