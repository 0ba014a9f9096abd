import json
from typing import Any

import pytest


def test_health_asks_the_model(api: Any) -> None:
    reply = api.get("/health")

    assert reply.status == 200
    assert reply.body == {
        "status": "ok",
        "endpoint": "movie-recommender-dev",
        "model_package": "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev/1",
    }
    assert len(api.cloud.invocations) == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"count": "0"}, "query parameter count: input should be greater than or equal to 1"),
        ({"count": "101"}, "query parameter count: input should be less than or equal to 100"),
        ({"count": "ten"}, "query parameter count: input should be a valid integer"),
        ({"count": "1.5"}, "query parameter count: input should be a valid integer"),
        ({"count": ""}, "query parameter count: input should be a valid integer"),
        ({"threshold": "1.1"}, "query parameter threshold: input should be less than or equal to 1"),
        ({"threshold": "-1"}, "query parameter threshold: input should be greater than or equal to 0"),
        ({"threshold": "nan"}, "query parameter threshold: input should be"),
        ({"threshold": "high"}, "query parameter threshold: input should be a valid number"),
    ],
)
def test_a_wrong_query_parameter_is_explained(api: Any, query: dict[str, str], said: str) -> None:
    listed = {name: [value] for name, value in query.items()}
    error = api.error(400, "GET", "/users/1/recommendations", query=listed)

    assert error["code"] == "invalid_request"
    assert said in error["message"]


def test_all_wrong_parameters_are_explained_at_once(api: Any) -> None:
    error = api.error(400, "GET", "/users/1/recommendations", query={"count": ["0"], "threshold": ["2"]})

    assert "count" in error["message"]
    assert "; query parameter threshold" in error["message"]


def test_a_parameter_given_twice_is_refused(api: Any) -> None:
    error = api.error(400, "GET", "/users/1/recommendations", query={"count": ["1", "2"]})

    assert "query parameter count: input should be a valid integer" in error["message"]


@pytest.mark.parametrize(
    "path", ["/", "/users", "/users/1", "/users//recommendations", "/nothing", "/health/x"]
)
def test_an_unknown_route_is_not_found(api: Any, path: str) -> None:
    error = api.error(404, "GET", path)

    assert error["code"] == "not_found"
    assert path in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/users/1/recommendations", "GET"),
        ("DELETE", "/users/1/recommendations/", "GET"),
        ("GET", "/predictions", "POST"),
        ("PUT", "/predictions", "POST"),
        ("POST", "/health", "GET"),
        ("PATCH", "/openapi.json", "GET"),
    ],
)
def test_another_method_is_not_allowed(api: Any, method: str, path: str, allowed: str) -> None:
    reply = api.call(method, path)

    assert reply.status == 405
    assert reply.headers["Allow"] == allowed
    assert reply.body["error"]["code"] == "method_not_allowed"
    assert reply.body["error"]["message"] == f"{path} takes {allowed}, not {method}."


def test_every_described_route_knows_its_other_methods(api: Any) -> None:
    for path, operations in api.get("/openapi.json").body["paths"].items():
        assert len(operations) == 1
        assert api.call("TRACE", path.replace("{user}", "1")).status == 405


def test_the_description_is_served_with_the_stages_address(api: Any) -> None:
    reply = api.get("/openapi.json")

    assert reply.status == 200
    assert reply.body["openapi"] == "3.1.0"
    assert reply.body["servers"] == [{"url": "/dev"}]
    assert "/users/{user}/recommendations" in reply.body["paths"]
    assert "422" not in json.dumps(reply.body)
    assert api.cloud.reads == []
