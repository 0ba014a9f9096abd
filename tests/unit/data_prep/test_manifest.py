import pytest
from pydantic import ValidationError

from data_prep.errors import DataError
from data_prep.manifest import Manifest, PrepareSettings, dataset_digest


def test_the_digest_follows_input_and_settings_only() -> None:
    settings = PrepareSettings()
    digest = dataset_digest("a" * 64, settings)
    # Must not change by accident: it decides whether finished work is found again.
    assert digest == "05f73fef36e654a385d9b8cf822dac29"
    assert digest == dataset_digest("a" * 64, PrepareSettings(liked_threshold=4, seed=0))
    others = [
        dataset_digest("b" * 64, settings),
        dataset_digest("a" * 64, PrepareSettings(seed=1)),
        dataset_digest("a" * 64, PrepareSettings(liked_threshold=5)),
        dataset_digest("a" * 64, PrepareSettings(ranking_users=7)),
    ]
    assert len({digest, *others}) == 5


@pytest.mark.parametrize(
    "setting",
    [
        {"split": "u1"},
        {"liked_threshold": 0},
        {"liked_threshold": 6},
        {"seed": -1},
        {"ranking_users": 0},
        {"k": 1},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrepareSettings.model_validate(setting)


def test_other_content_is_refused() -> None:
    with pytest.raises(DataError, match=r"^m\.json: digest: Field required\. Prepare the data set again"):
        Manifest.loads("{}", name="m.json")
