from typing import Any

import pytest

PACKAGE = "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev/1"


def pairs(*given: tuple[str, str]) -> dict[str, Any]:
    return {"pairs": [{"user": user, "movie": movie} for user, movie in given]}


def test_each_pair_is_scored_in_order(api: Any) -> None:
    reply = api.call("POST", "/predictions", content=pairs(("1", "50"), ("nobody", "1"), ("2", "1")))

    assert reply.status == 200
    assert reply.body["model_package"] == PACKAGE
    found = reply.body["predictions"]
    assert found[0] == {
        "user": "1",
        "movie": "50",
        "title": "Star Wars (1977)",
        "known_user": True,
        "score": pytest.approx(0.7),
        "liked": True,
    }
    assert [(item["user"], item["known_user"], item["liked"]) for item in found] == [
        ("1", True, True),
        ("nobody", False, False),
        ("2", True, True),
    ]


def test_a_score_of_one_half_is_liked(api: Any) -> None:
    api.cloud.model_gives([0.5, 0.49999])
    reply = api.call("POST", "/predictions", content=pairs(("1", "50"), ("1", "1")))

    assert [item["liked"] for item in reply.body["predictions"]] == [True, False]


def test_unknown_movies_are_named(api: Any) -> None:
    error = api.error(404, "POST", "/predictions", content=pairs(("1", "50"), ("1", "999"), ("2", "x")))

    assert error["code"] == "unknown_movie"
    assert error["message"] == "Not in the catalog: pairs[1].movie '999', pairs[2].movie 'x'."
    assert api.cloud.invocations == []


def test_many_unknown_movies_are_counted(api: Any) -> None:
    error = api.error(404, "POST", "/predictions", content=pairs(*[("1", "999")] * 12))

    assert error["message"].endswith("pairs[9].movie '999' and 2 more.")


def test_a_hundred_pairs_go_in_one_request(api: Any) -> None:
    reply = api.call("POST", "/predictions", content=pairs(*[("1", "50")] * 100))

    assert (reply.status, len(reply.body["predictions"])) == (200, 100)
    assert len(api.cloud.invocations) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "pairs: field required"),
        ([], "body: input should be"),
        ("text", "body: input should be"),
        ({"pairs": []}, "pairs: list should have at least 1 item"),
        ({"pairs": [{"user": "1", "movie": "1"}] * 101}, "pairs: list should have at most 100 items"),
        ({"pairs": [{"user": "1"}]}, "pairs[0].movie: field required"),
        ({"pairs": [{"user": "1", "movie": 50}]}, "pairs[0].movie: input should be a valid string"),
        ({"pairs": [{"user": "1", "movie": ""}]}, "pairs[0].movie: string should have at least 1 character"),
        ({"pairs": [{"user": "u" * 129, "movie": "1"}]}, "pairs[0].user: string should have at most 128"),
        (
            {"pairs": [{"user": "1", "movie": "1", "when": 1}]},
            "pairs[0].when: extra inputs are not",
        ),
        ({"pairs": [{"user": "1", "movie": "1"}], "x": 1}, "x: extra inputs are not permitted"),
        ({"pairs": ["1"]}, "pairs[0]: input should be"),
        ({"pairs": [{}] * 20}, "; and 30 more"),
    ],
)
def test_a_wrong_body_is_explained(api: Any, content: Any, said: str) -> None:
    error = api.error(400, "POST", "/predictions", content=content)

    assert error["code"] == "invalid_request"
    assert said in error["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "body is not valid JSON: Expecting property name enclosed in double quotes at character 1"),
        ("", "body: field required"),
        (None, "body: field required"),
        ("null", "body: field required"),
        ("[" * 100_000, "body is not valid JSON"),
        ('{"pairs": ' + "9" * 5000 + "}", "body is not valid JSON"),
        ('{"pairs": NaN}', "pairs: input should be a valid list"),
        ('{"pairs": [{"user": "\\ud800", "movie": "1"}]}', "pairs[0].user: input should be a valid string"),
    ],
)
@pytest.mark.parametrize("headers", [None, {"content-type": "application/json; charset=utf-8"}])
def test_a_body_that_is_no_json_is_explained(
    api: Any, body: str | None, said: str, headers: dict[str, str] | None
) -> None:
    error = api.error(400, "POST", "/predictions", body=body, headers=headers)

    assert error["code"] == "invalid_request"
    assert said in error["message"]


@pytest.mark.filterwarnings("ignore:Received multipart/form-data")
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/jsonlines",
    ],
)
def test_another_media_type_is_refused(api: Any, content_type: str) -> None:
    error = api.error(415, "POST", "/predictions", body="pairs=1", headers={"Content-Type": content_type})

    assert error["code"] == "unsupported_media_type"
    assert error["message"] == f"The body must be application/json, not {content_type}."
