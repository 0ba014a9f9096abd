"""Where ratings are prepared, and that AWS Batch's jobs make what the function then looks for."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from data_prep.__main__ import _settings, app
from data_prep.catalog import GROUP_NAMES
from data_prep.errors import DataError
from data_prep.manifest import PrepareSettings
from prepare_data.choose import _options
from prepare_data.handler import choose, handler

CONTEXT: Any = SimpleNamespace(
    function_name="choose-preparation",
    memory_limit_in_mb=3008,
    invoked_function_arn="arn:aws:lambda:us-east-1:111111111111:function:choose-preparation",
    aws_request_id="request",
)
EVENT = {"ratings": {"bucket": "raw", "key": "ratings/ml.zip"}, "execution": "execution"}


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABOVE_MIB", "0")
    monkeypatch.setenv("SHARDS", "3")


def test_small_ratings_are_the_functions(s3: Any, archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABOVE_MIB", "1")
    s3.put("raw", "ratings/ml.zip", archive())
    chosen = choose(EVENT, CONTEXT)
    assert chosen == {
        "bucket": "raw",
        "key": "ratings/ml.zip",
        "shards": 1,
        "home": "lambda",
        "commands": None,
    }
    assert handler({**EVENT, "ratings": chosen}, CONTEXT)["digest"]


def test_the_newest_ratings_are_chosen_once_and_for_all(s3: Any, archive: Any) -> None:
    s3.put("raw", "ratings/ml.zip", archive())
    assert choose({"execution": "execution"}, CONTEXT)["key"] == "ratings/ml.zip"


# Eight users more, so that no shard is empty.
MANY = "".join(f"{user}\t{movie}\t5\t88\n" for user in range(2, 10) for movie in range(1, 13))


@pytest.mark.parametrize("threshold", ["4", "3.6666666666666665"])
def test_the_jobs_make_the_data_set_that_the_function_looks_for(
    s3: Any, archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: str
) -> None:
    monkeypatch.setenv("LIKED_THRESHOLD", threshold)
    s3.put("raw", "ratings/ml.zip", archive(MANY))
    chosen = choose(EVENT, CONTEXT)
    assert json.loads(json.dumps(chosen)) == chosen
    assert chosen["home"] == "batch"
    commands = chosen["commands"]
    assert commands["plan"][:4] == ["plan", "s3://raw/ratings/ml.zip", "--out", "s3://prepared"]

    source = tmp_path / "ml.zip"
    source.write_bytes(archive(MANY))
    runner = CliRunner()

    def run(command: list[str], shard: int | None = None) -> str:
        local = [
            word.replace("s3://raw/ratings", str(tmp_path)).replace("s3://prepared", str(tmp_path / "out"))
            for word in command
        ]
        variables = {} if shard is None else {"AWS_BATCH_JOB_ARRAY_INDEX": str(shard)}
        result = runner.invoke(app, local, env=variables)
        assert result.exit_code == 0, result.output
        return result.output

    run(commands["plan"])
    for shard in range(chosen["shards"]):
        run(commands["encode"], shard)
    run(commands["finish"])

    looked_for = handler({**EVENT, "ratings": chosen}, CONTEXT)
    (made,) = (tmp_path / "out").glob("[0-9a-f]*")
    assert made.name == looked_for["digest"]
    for file in made.rglob("*"):
        if file.is_file():
            name = f"{made.name}/{file.relative_to(made)}"
            assert s3.objects["prepared", name] == file.read_bytes(), name


def test_ratings_that_are_not_there(s3: Any) -> None:
    with pytest.raises(DataError, match=r"s3://raw/ratings/ml\.zip: there is no such object"):
        choose(EVENT, CONTEXT)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SETTINGS = st.builds(
    PrepareSettings,
    split=st.sampled_from(["ua", "u3", "given", "leave-last-2", "random-0.25"]),
    objective=st.sampled_from(["rating", "ranking"]),
    negatives=st.integers(1, 1000),
    popularity_exponent=st.floats(0, 4),
    features=st.lists(st.sampled_from(GROUP_NAMES), min_size=1, unique=True).map(tuple),
    liked_threshold=FLOATS,
    seed=st.integers(0),
    shuffle=st.booleans(),
    shards=st.integers(1, 10_000),
    duplicates=st.sampled_from(["error", "first", "last"]),
    unknown_test=st.sampled_from(["drop", "error"]),
    max_bad_rows=st.integers(0),
    ranking_users=st.integers(1),
) | st.builds(PrepareSettings, labels=st.just("stars"), liked_threshold=FLOATS)


@given(SETTINGS)
def test_the_options_of_the_jobs_are_the_settings(settings: PrepareSettings) -> None:
    plan = typer.main.get_group(app).commands["plan"]
    arguments = ["s3://raw/ml.zip", "--out", "s3://prepared", *_options(settings)]
    assert _settings(plan.make_context("plan", arguments).params) == settings
