import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.verify_model.conftest import (
    ENDPOINT,
    FUNCTION,
    PACKAGE,
    REFERENCE,
    SCORES,
    USER,
    Cloud,
    Context,
    Reply,
    event,
    refusal,
    reply,
    scores_of,
)
from verify_model import handler
from verify_model.errors import VerificationError


def smoke_test(request_type: str = "Create") -> Any:
    sent = event(request_type, ModelPackageArn=PACKAGE, EndpointConfigName="c", RecommendCode="k")
    return handler.smoke_test(sent, Context())  # type: ignore[arg-type]


def said() -> str:
    with pytest.raises(VerificationError) as error:
        smoke_test()
    return str(error.value)


def test_endpoint_and_api_that_serve_the_package_pass(cloud: Cloud) -> None:
    assert smoke_test() == {}
    assert smoke_test("Update") == {}


def test_the_endpoint_is_asked_for_the_references_rows_in_sparse_json(cloud: Cloud) -> None:
    smoke_test()

    sent = next(content for operation, content in cloud.asked if operation == "InvokeEndpoint")
    assert sent["instances"] == [
        {"data": {"features": {"keys": [0, column], "shape": [4], "values": [1.0, 0.5]}}}
        for column in (1, 2, 3)
    ]


def test_the_api_is_asked_for_the_references_user(cloud: Cloud) -> None:
    smoke_test()

    sent = next(content for operation, content in cloud.asked if operation == "Invoke")
    assert sent["path"] == "/users/a%2Fb%20c/recommendations"
    assert sent["requestContext"]["requestId"] == Context.aws_request_id


@pytest.mark.parametrize(("instances", "questions"), [(1, 1), (2, 6), (5, 15), (100, 30)])
def test_the_endpoint_is_asked_until_each_instance_has_probably_answered(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, instances: int, questions: int
) -> None:
    monkeypatch.setenv("INSTANCE_COUNT", str(instances))
    smoke_test()

    assert cloud.operations().count("InvokeEndpoint") == questions


def test_one_instance_of_another_model(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANCE_COUNT", "2")
    cloud.other_instances = [cloud.invoke_endpoint, cloud.invoke_endpoint, scores_of(0.9, 0.9, 0.9)]

    assert "3 of 3 scores differ" in said()


@pytest.mark.parametrize("difference", [0.0, 1e-6, -1e-6])
def test_scores_may_differ_by_a_millionth(cloud: Cloud, difference: float) -> None:
    cloud.invoke_endpoint = scores_of(SCORES[0] + difference * 0.999, *SCORES[1:])

    assert smoke_test() == {}


def test_scores_of_another_model(cloud: Cloud) -> None:
    cloud.invoke_endpoint = scores_of(SCORES[0] + 1.1e-6, 0.25, SCORES[2])

    assert said() == (
        f"Endpoint {ENDPOINT} does not serve model package {PACKAGE}: 2 of 3 scores differ from those in "
        f"{REFERENCE} by more than 1e-06, most of all row 2, 0.25 instead of 0.5. "
        "Deploy a package whose reference scores are its artifact's own."
    )
    assert "Invoke" not in cloud.operations()


@pytest.mark.parametrize(
    "answer",
    [
        scores_of(*SCORES[:2]),
        scores_of(*SCORES, 0.5),
        scores_of(SCORES[0], None, SCORES[2]),
        reply({}),
        (200, {}, b"score: 1"),
        (200, {}, b'{"predictions": [{"score": NaN}, {"score": 0.5}, {"score": 1.0}]}'),
    ],
)
def test_an_answer_that_is_not_one_score_a_row(cloud: Cloud, answer: Reply) -> None:
    cloud.invoke_endpoint = answer

    assert f"Endpoint {ENDPOINT} " in said()


def test_a_model_that_fails(cloud: Cloud) -> None:
    cloud.invoke_endpoint = refusal("ModelError", "Received server error (500) from primary", status=424)

    message = said()
    assert message.startswith(f"Endpoint {ENDPOINT} does not score: ")
    assert "Received server error (500)" in message
    assert message.endswith(f"The log group /aws/sagemaker/Endpoints/{ENDPOINT} has more.")


def _body(**members: Any) -> Callable[[dict[str, Any]], Reply]:
    return lambda _: reply({"statusCode": 200, "body": json.dumps(members), "headers": {}})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            lambda _: reply(
                {"statusCode": 503, "body": '{"error": {"code": "unavailable", "message": "Try later."}}'}
            ),
            f"Function {FUNCTION}, which answers the API, answers user '{USER}' with status 503: "
            '{"error": {"code": "unavailable", "message": "Try later."}}',
        ),
        (
            lambda _: reply({"errorMessage": "No module named 'x'"}, {"X-Amz-Function-Error": "Unhandled"}),
            f'Function {FUNCTION}, which answers the API, fails: {{"errorMessage": "No module named \'x\'"}}',
        ),
        (
            lambda _: reply(None),
            f"Function {FUNCTION}, which answers the API, answers with no recommendations: null",
        ),
        (
            _body(model_package=PACKAGE),
            f"Function {FUNCTION}, which answers the API, answers with no recommendations: ",
        ),
        (
            _body(model_package=PACKAGE.replace("/3", "/2"), recommendations=[{}]),
            f"The API recommends with model package {PACKAGE.replace('/3', '/2')}, not with {PACKAGE}: "
            "its function has not been updated. Deploy again.",
        ),
        (
            _body(model_package=PACKAGE, recommendations=[]),
            f"The API has no recommendations for user '{USER}' of model package {PACKAGE}, who had some when "
            "the model was evaluated: its catalog.json and histories.bin are not the model's.",
        ),
        (
            lambda _: refusal("AccessDeniedException", "not authorized", status=403),
            f"Function {FUNCTION} cannot be invoked: ",
        ),
    ],
)
def test_an_api_that_does_not_serve_the_package(
    cloud: Cloud, answer: Callable[[dict[str, Any]], Reply], expected: str
) -> None:
    cloud.invoke_function = answer

    assert said().startswith(expected)


def test_a_package_that_was_registered_without_a_reference(cloud: Cloud) -> None:
    del cloud.package["CustomerMetadataProperties"]["reference_uri"]

    assert said().startswith(f"Model package {PACKAGE} records no reference_uri")


def test_a_spoilt_reference(cloud: Cloud) -> None:
    cloud.objects[REFERENCE] = b'{"format_version": 1}'

    assert f"are spoilt, {REFERENCE}: feature_dim: Field required: restore the version" in said()


def test_a_reference_that_is_gone(cloud: Cloud) -> None:
    del cloud.objects[REFERENCE]

    assert said().startswith(f"{REFERENCE} is not there or may not be read: ")


def test_deletion_and_rollback_are_never_stopped(cloud: Cloud) -> None:
    cloud.invoke_endpoint = scores_of(0.0, 0.0, 0.0)
    assert handler.smoke_test(event("Delete"), Context()) == {}  # type: ignore[arg-type]
    assert cloud.asked == []

    cloud.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert smoke_test("Update") == {}
    assert cloud.operations() == ["DescribeStacks"]

    cloud.stack_status = "UPDATE_IN_PROGRESS"
    with pytest.raises(VerificationError):
        smoke_test("Update")
