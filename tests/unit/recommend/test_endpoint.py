import json
from typing import Any

import pytest

from recommend.endpoint import Endpoint
from recommend.errors import ModelFailedError

FEATURE_DIM = 205


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
    return Endpoint(clients["sagemaker-runtime"], name="movie-recommender-dev", feature_dim=FEATURE_DIM)


def test_a_large_catalog_is_asked_about_in_parts_and_keeps_its_order(api: Any, endpoint: Endpoint) -> None:
    rows = [[*range(200), 200 + row % 5] for row in range(10_000)]
    scores = endpoint.scores(rows)

    assert scores == [row[-1] / FEATURE_DIM for row in rows]
    sizes = [len(request.body) for request in api.cloud.invocations]
    assert len(sizes) == 3
    assert max(sizes) <= 4_000_000
    assert min(sizes[:-1]) > 3_800_000


def test_nothing_to_score_asks_nothing(api: Any, endpoint: Endpoint) -> None:
    assert endpoint.scores([]) == []
    assert api.cloud.invocations == []


def test_a_part_that_fails_fails_the_whole(api: Any, endpoint: Endpoint) -> None:
    api.cloud.model_gives([0.5])
    with pytest.raises(ModelFailedError):
        endpoint.scores([[0, 3], [0, 4]])
