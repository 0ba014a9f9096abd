import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from data_prep.errors import DataError
from data_prep.recordio import decode_sparse
from prepare_data.handler import handler

CONTEXT: Any = SimpleNamespace(
    function_name="prepare-data",
    memory_limit_in_mb=3008,
    invoked_function_arn="arn:aws:lambda:us-east-1:111111111111:function:prepare-data",
    aws_request_id="request",
)
EXECUTION = "arn:aws:states:us-east-1:111111111111:execution:train:first"
ROOT = Path(__file__).parents[3]


def _event(key: str | None = "ratings/ml.zip", execution: str = EXECUTION) -> dict[str, Any]:
    ratings = {} if key is None else {"ratings": {"bucket": "raw", "key": key}}
    return {**ratings, "execution": execution}


def test_ratings_become_a_prepared_data_set(s3: Any, archive: Any) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    result = handler(_event(), CONTEXT)
    digest = result["digest"]
    assert result == {
        "digest": digest,
        "prefix": f"s3://prepared/{digest}",
        "bucket": "prepared",
        "train_uri": f"s3://prepared/{digest}/train/",
        "test_uri": f"s3://prepared/{digest}/test/",
        "ranking_uri": f"s3://prepared/{digest}/ranking/",
        "feature_dim": "13",
        "name": result["name"],
        "train_rows": 2,
        "test_rows": 10,
        "source_key": "ratings/ml.zip",
    }
    assert json.loads(json.dumps(result)) == result
    assert re.fullmatch(rf"movie-recommender-dev-{digest[:8]}-[0-9a-f]{{8}}", result["name"])
    assert len(result["name"]) <= 50
    stored = {key.removeprefix(f"{digest}/") for bucket, key in s3.objects if bucket == "prepared"}
    assert stored == {
        "train/train.protobuf",
        "test/test.protobuf",
        "ranking/ranking.protobuf",
        "catalog.json",
        "histories.bin",
        "manifest.json",
    }
    assert len(decode_sparse(s3.objects["prepared", f"{digest}/test/test.protobuf"])) == 10


def test_a_retry_has_the_same_name_and_another_execution_another(s3: Any, archive: Any) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    first, retry = handler(_event(), CONTEXT), handler(_event(), CONTEXT)
    other = handler(_event(execution=EXECUTION + "-2"), CONTEXT)
    assert first == retry
    assert other["digest"] == first["digest"]
    assert other["name"] != first["name"]


def test_finished_work_is_not_done_again(s3: Any, archive: Any) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    handler(_event(), CONTEXT)
    s3.put("raw", "ratings/again/ml.zip", archive())
    s3.requests.clear()
    assert handler(_event("ratings/again/ml.zip"), CONTEXT)["source_key"] == "ratings/again/ml.zip"
    assert "PUT" not in {method for method, _ in s3.requests}


def test_without_ratings_the_newest_are_taken(s3: Any, archive: Any) -> None:
    s3.put("raw", "ratings/b.zip", b"old")
    s3.put("raw", "ratings/a.zip", archive())
    assert handler(_event(None), CONTEXT)["source_key"] == "ratings/a.zip"


def test_what_else_the_state_machine_carries_is_passed_over(s3: Any, archive: Any) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    assert handler(_event() | {"comment": "by hand"}, CONTEXT)["train_rows"] == 2


def test_settings_come_from_the_environment(s3: Any, archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    before = handler(_event(), CONTEXT)["digest"]
    monkeypatch.setenv("SEED", "1")
    assert handler(_event(), CONTEXT)["digest"] != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "bad line",
            r"ml\.zip/ml-100k/u\.data, line 13: the rating '9' is not one of 1 to 5, found '1\\t2\\t9\\t88'",
        ),
        ("cut", r"ml\.zip: the zip archive is damaged or cut short"),
        (
            "other",
            r"ml\.zip: there are no ratings \(ml\.zip: the first line has 2 comma-separated columns",
        ),
        ("missing", r"s3://raw/ratings/ml\.zip: there is no such object"),
    ],
)
def test_bad_ratings_end_in_an_error_that_says_where(
    s3: Any, archive: Any, content: str, message: str
) -> None:
    if content != "missing":
        sound = archive("1\t2\t9\t88\n" if content == "bad line" else "")
        s3.put("raw", "ratings/ml.zip", {"cut": sound[:-200], "other": b"a,b\n"}.get(content, sound))
    with pytest.raises(DataError, match=f"^{message}"):
        handler(_event(), CONTEXT)
    assert not [key for bucket, key in s3.objects if bucket == "prepared"]


def test_no_ratings_at_all_is_an_error(s3: Any) -> None:
    with pytest.raises(DataError, match=r"^s3://raw/ratings/: there are no ratings"):
        handler(_event(None), CONTEXT)


@pytest.mark.parametrize(
    "variable", ["RAW_BUCKET", "PREPARED_BUCKET", "NAME_PREFIX", "SEED", "LIKED_THRESHOLD"]
)
def test_a_missing_variable_is_named(
    s3: Any, archive: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    monkeypatch.delenv(variable)
    with pytest.raises(ValidationError, match=rf"(?i){variable}"):
        handler(_event(), CONTEXT)


@pytest.mark.parametrize("event", [{}, {"execution": ""}, {"execution": "x", "ratings": {"bucket": "raw"}}])
def test_an_event_of_another_shape_is_refused(s3: Any, event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        handler(event, CONTEXT)


def test_the_function_needs_no_more_than_its_bundle() -> None:
    """Its own dependencies and boto3, which Lambda's runtime has: nothing of the rest of the project."""
    code = (
        "import sys, prepare_data.handler\n"
        "ours = {'infra', 'ops', 'local_cloud', 'evaluation', 'typer', 'rich', 'scipy', 'numba'}\n"
        "print(sorted(ours & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'lambda'}", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"
