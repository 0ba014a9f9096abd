import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.recordio import SparseRecords
from recommend.endpoint import Endpoint, _instances
from recommend.errors import ModelFailedError

FEATURE_DIM = 205


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
    def last_column(request: Any) -> Any:
        instances = json.loads(request.body)["instances"]
        columns = [instance["data"]["features"]["keys"][-1] for instance in instances]
        api.cloud.model_gives([column / FEATURE_DIM for column in columns])
        answer = api.cloud.invoke(request)
        api.cloud.invoke = last_column
        return answer

    api.cloud.invoke = last_column
    return Endpoint(clients["sagemaker-runtime"], name="movie-recommender-dev")


def test_a_large_catalog_is_asked_about_in_parts_and_keeps_its_order(api: Any, endpoint: Endpoint) -> None:
    rows = [[*range(200), 200 + row % 5] for row in range(10_000)]
    scores = endpoint.scores([records(rows[:7_000]), records(rows[7_000:])])

    assert scores == [row[-1] / FEATURE_DIM for row in rows]
    sizes = [len(request.body) for request in api.cloud.invocations]
    assert len(sizes) == 3
    assert max(sizes) <= 4_000_000
    assert min(sizes[:-1]) > 3_800_000


def test_nothing_to_score_asks_nothing(api: Any, endpoint: Endpoint) -> None:
    assert endpoint.scores([]) == []
    assert endpoint.scores([records([])]) == []
    assert api.cloud.invocations == []


def test_a_part_that_fails_fails_the_whole(api: Any, endpoint: Endpoint) -> None:
    api.cloud.model_gives([0.5])
    with pytest.raises(ModelFailedError):
        endpoint.scores([records([[0, 3], [0, 4]])])


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
