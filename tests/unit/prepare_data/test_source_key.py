from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import DataError
from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.service_model import validate
from prepare_data.handler import handler
from prepare_data.source_key import check_source_key


def _registry_takes(key: str) -> bool:
    """Whether CreateModelPackage takes the key, by botocore's model of SageMaker."""
    try:
        validate("CreateModelPackage", {"CustomerMetadataProperties": {"source_key": key}})
    except SageMakerError:
        return False
    return True


def _is_accepted(key: str) -> bool:
    try:
        check_source_key("raw", key)
    except DataError:
        return False
    return True


@settings(deadline=None)  # The first validation loads the service model.
@given(st.text(min_size=1, max_size=20))
def test_any_key_is_accepted_if_the_registry_takes_it(key: str) -> None:
    assert _is_accepted(key) == _registry_takes(key)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 1024])
def test_a_key_is_as_long_as_the_registry_takes(length: int) -> None:
    assert _is_accepted("k" * length) == _registry_takes("k" * length) == (length <= 256)


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("ratings/ml, new.zip", r"',' \(COMMA\)"),
        ("ratings/ml (1).zip", r"'\(' \(LEFT PARENTHESIS\)"),
        ("ratings/anna's.zip", r'"\'" \(APOSTROPHE\)'),
        ("ratings/a\tb.zip", r"'\\t'"),
    ],
)
def test_the_character_that_does_not_fit_is_named(key: str, named: str) -> None:
    with pytest.raises(DataError, match=f"cannot keep a key with {named} in it. Upload the ratings under"):
        check_source_key("raw", key)


@pytest.mark.parametrize("triggered", [True, False])
def test_nothing_is_downloaded_under_such_a_key(s3: Any, archive: Any, triggered: bool) -> None:
    key = "ratings/ml (1).zip"
    s3.put("raw", key, archive())
    context: Any = SimpleNamespace(
        function_name="prepare-data", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="r"
    )
    ratings = {"ratings": {"bucket": "raw", "key": key}} if triggered else {}

    with pytest.raises(DataError, match=r"^s3://raw/ratings/ml \(1\)\.zip: the model registry cannot keep"):
        handler({"execution": "arn:execution", **ratings}, context)
    assert not [path for method, path in s3.requests if method == "GET" and "ml" in path]
    assert not [key for bucket, key in s3.objects if bucket == "prepared"]
