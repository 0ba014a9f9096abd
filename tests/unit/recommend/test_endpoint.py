import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.recordio import SparseRecords
from evaluation.reference import Reference
from recommend.endpoint import Endpoint, _instances
from recommend.errors import ModelFailedError, OtherModelError
from recommend.fingerprint import Fingerprint

FEATURE_DIM = 205
KNOWN = [[0, 41], [0, 82], [0, 123]]
MODEL = Fingerprint.of(
    Reference.model_validate(
        {
            "feature_dim": FEATURE_DIM,
            "user": "1",
            "rows": [{"keys": keys, "values": [1, 1], "score": keys[-1] / FEATURE_DIM} for keys in KNOWN],
        }
    )
)


def records(rows: list[list[int]], values: list[list[float]] | None = None) -> SparseRecords:
    weights = [[1.0] * len(row) for row in rows] if values is None else values
    return SparseRecords(
        labels=np.full(len(rows), np.nan, dtype=np.float32),
        indptr=np.cumsum([0, *map(len, rows)]),
        keys=np.array([key for row in rows for key in row], dtype=np.int64),
        values=np.array([value for row in weights for value in row], dtype=np.float32),
        shape=FEATURE_DIM,
    )


@pytest.fixture
def endpoint(api: Any, clients: dict[str, Any]) -> Endpoint:
    api.cloud.model_gives([])
    answer = api.cloud.invoke(None)

    def last_column(request: Any) -> Any:
        instances = json.loads(request.body)["instances"]
        columns = [instance["data"]["features"]["keys"][-1] for instance in instances]
        scores = [{"score": column / FEATURE_DIM} for column in columns]
        return dataclasses.replace(answer, body=json.dumps({"predictions": scores}).encode())

    api.cloud.invoke = last_column
    return Endpoint(clients["sagemaker-runtime"], name="movie-recommender-dev")


def test_a_large_catalog_is_asked_about_in_parts_and_keeps_its_order(api: Any, endpoint: Endpoint) -> None:
    rows = [[*range(200), 200 + row % 5] for row in range(10_000)]
    scores = endpoint.scores([records(rows[:7_000]), records(rows[7_000:])], by=MODEL)

    assert scores == [row[-1] / FEATURE_DIM for row in rows]
    sizes = [len(request.body) for request in api.cloud.invocations]
    assert len(sizes) == 3
    assert max(sizes) <= 4_000_000
    assert min(sizes[:-1]) > 3_800_000


def test_nothing_to_score_asks_nothing(api: Any, endpoint: Endpoint) -> None:
    assert endpoint.scores([], by=MODEL) == []
    assert endpoint.scores([records([])], by=MODEL) == []
    assert api.cloud.invocations == []


def test_a_part_that_fails_fails_the_whole(api: Any, endpoint: Endpoint) -> None:
    api.cloud.model_gives([0.5])
    with pytest.raises(ModelFailedError):
        endpoint.scores([records([[0, 3], [0, 4]])], by=MODEL)


ROWS = records([[*range(200), 200 + row % 5] for row in range(10_000)])


def answers_in_turn(api: Any, *own: bool) -> None:
    """Let this model and another one answer: the other has as many columns, and scores differently."""
    this, turns = api.cloud.invoke, iter(own)

    def answer(request: Any) -> Any:
        answered = this(request)
        return (
            answered
            if next(turns)
            else dataclasses.replace(answered, body=answered.body.replace(b'"score": 0.', b'"score": 0.0'))
        )

    api.cloud.invoke = answer


def test_one_model_gives_all_scores_of_a_request_in_parts(api: Any, endpoint: Endpoint) -> None:
    answers_in_turn(api, True, False, False, True, True)

    assert endpoint.scores([ROWS], by=MODEL) == [(200 + row % 5) / FEATURE_DIM for row in range(10_000)]


def test_a_model_that_does_not_answer_the_first_part_is_not_waited_for(api: Any, endpoint: Endpoint) -> None:
    answers_in_turn(api, False)

    with pytest.raises(OtherModelError):
        endpoint.scores([ROWS], by=MODEL)


def test_a_model_that_answers_no_further_part_is_not_waited_for_without_end(
    api: Any, endpoint: Endpoint
) -> None:
    answers_in_turn(api, True, *[False] * 10)

    with pytest.raises(OtherModelError):
        endpoint.scores([ROWS], by=MODEL)
    assert len(api.cloud.invocations) == 11


@pytest.mark.parametrize(("away", "fits"), [(0, True), (1e-6, True), (1e-4, False)])
def test_a_fingerprint_allows_for_rounding(away: float, fits: bool) -> None:
    assert MODEL.fits([MODEL.scores[0] + away, *MODEL.scores[1:]]) is fits
    assert MODEL.fits([*MODEL.scores[:-1], MODEL.scores[-1] - away]) is fits


_values = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.dictionaries(st.integers(0, FEATURE_DIM - 1), _values, max_size=6), max_size=5))
def test_instances_are_compact_json_that_gives_the_same_float32(rows: list[dict[int, float]]) -> None:
    given = records([sorted(row) for row in rows], [[row[key] for key in sorted(row)] for row in rows])
    texts = list(_instances(given))
    assert len(texts) == len(rows)
    for text, row in zip(texts, rows, strict=True):
        features = json.loads(text)["data"]["features"]
        assert features == {"keys": sorted(row), "shape": [FEATURE_DIM], "values": features["values"]}
        assert np.array(features["values"], dtype=np.float32).tolist() == [row[key] for key in sorted(row)]
        assert " " not in text


def test_a_one_is_written_as_an_integer() -> None:
    [instance] = _instances(records([[2, 7]], [[1.0, 0.5]]))
    assert instance == '{"data":{"features":{"keys":[2,7],"shape":[205],"values":[1,0.5]}}}'
