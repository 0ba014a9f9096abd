import io
import json
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from recommend import handler

RECOMMEND = ("GET", "/users/1/recommendations")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (429, "ModelNotReadyException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (530, "InternalDependencyException"),
    ],
)
def test_a_busy_endpoint_is_unavailable(api: Any, status: int, code: str) -> None:
    api.cloud.endpoint_fails(status, code, "secret detail")
    reply = api.call(*RECOMMEND)

    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert reply.body["error"]["code"] == "unavailable"
    assert "secret" not in reply.body["error"]["message"]


def test_a_missing_endpoint_is_unavailable(api: Any) -> None:
    api.cloud.endpoint_fails(
        400, "ValidationError", "Endpoint movie-recommender-dev of account 111111111111 not found."
    )

    error = api.error(503, *RECOMMEND)
    assert error["message"] == "The model endpoint is not available now. Try again later."


@pytest.mark.parametrize(
    "failure",
    [
        ConnectTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_unavailable(api: Any, failure: Exception) -> None:
    def hang(_: Any) -> Any:
        raise failure

    api.cloud.invoke = hang

    assert "did not answer in time" in api.error(503, *RECOMMEND)["message"]


def test_a_models_error_is_a_bad_gateway(api: Any) -> None:
    api.cloud.endpoint_fails(
        424,
        "ModelError",
        'Received client error (400) from primary with message "no". See https://console/111111111111',
        OriginalStatusCode=400,
        OriginalMessage="no",
        LogStreamArn="arn:aws:logs:us-east-1:111111111111:log-group:x",
    )
    error = api.error(502, *RECOMMEND)

    assert error["code"] == "model_error"
    assert error["message"] == "The model answered with an error (its status code: 400)."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"predictions": null}',
        b'{"predictions": []}',
        b'{"predictions": [{"score": 0.1}, {"score": 0.5}, {"score": 0.5}, {"score": 0.5}]}',
        *(
            b'{"predictions": [{"score": 0.1}, {"score": 0.5}, {"score": 0.5}, {"score": 0.5}, %s]}' % last
            for last in (b"{}", b'{"score": NaN}', b'{"score": 3.7}', b'{"score": "0.5"}', b"0.5")
        ),
    ],
)
def test_an_unusable_answer_is_a_bad_gateway(api: Any, body: bytes) -> None:
    api.cloud.model_answers(body)

    error = api.error(502, *RECOMMEND)
    assert error["message"] == "The model's answer is not one probability per movie."
    assert len(api.cloud.invocations) == 1


def test_a_refused_call_is_our_fault(api: Any) -> None:
    api.cloud.endpoint_fails(403, "AccessDeniedException", "User arn:aws:sts::111111111111:x may not")
    error = api.error(500, *RECOMMEND)

    assert error["code"] == "internal_error"
    assert "111111111111" not in error["message"]


def test_unreadable_model_data_are_unavailable_until_they_are_back(api: Any) -> None:
    api.cloud.registry_fails(400, "ThrottlingException")
    assert api.error(503, *RECOMMEND)["message"] == "The model's data cannot be read now. Try again later."

    api.cloud.describe = None
    assert api.call(*RECOMMEND).status == 200


@pytest.mark.parametrize("name", ["catalog.json", "histories.bin", "reference.json"])
def test_a_missing_object_is_unavailable(api: Any, name: str) -> None:
    del api.cloud.objects[f"models/models/job-1/{name}"]

    assert api.error(503, *RECOMMEND)["code"] == "unavailable"


@pytest.mark.parametrize("name", ["catalog.json", "reference.json"])
def test_spoilt_model_data_are_our_fault(api: Any, name: str) -> None:
    api.cloud.objects[f"models/models/job-1/{name}"] = b"{}"

    assert api.error(500, *RECOMMEND)["code"] == "internal_error"


def test_a_package_without_its_metadata_is_our_fault(api: Any) -> None:
    api.cloud.metadata = {}

    assert api.error(500, *RECOMMEND)["code"] == "internal_error"


def test_missing_settings_are_our_fault(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_PACKAGE_ARN")

    assert api.error(500, *RECOMMEND)["code"] == "internal_error"


def test_the_log_says_what_the_answer_does_not(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(handler.logger.handlers[0], "stream", log)
    monkeypatch.delenv("MODEL_PACKAGE_ARN")
    api.error(500, *RECOMMEND)

    [entry] = [json.loads(line) for line in log.getvalue().splitlines()]
    assert entry["level"] == "ERROR"
    assert "MODEL_PACKAGE_ARN" in entry["exception"]
    assert entry["correlation_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


@pytest.mark.parametrize(
    ("status", "code"), [(424, "ModelError"), (503, "ServiceUnavailable"), (400, "ThrottlingException")]
)
def test_ill_health_is_503(api: Any, status: int, code: str) -> None:
    api.cloud.endpoint_fails(status, code)

    assert api.error(503, "GET", "/health")["code"] == "unavailable"
