from typing import Any

PACKAGE = "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev/1"


def ranked(reply: Any) -> list[tuple[str, float]]:
    return [(item["movie"], round(item["score"], 6)) for item in reply.body["recommendations"]]


def test_a_known_user_gets_the_unrated_movies_best_first(api: Any) -> None:
    reply = api.get("/users/1/recommendations")

    assert reply.status == 200
    assert ranked(reply) == [("267", 0.9), ("5", 0.5), ("2", 0.3)]
    assert [item["rank"] for item in reply.body["recommendations"]] == [1, 2, 3]
    assert reply.body["recommendations"][1] == {
        "rank": 2,
        "movie": "5",
        "title": "Copycat (1995)",
        "year": 1995,
        "genres": ["Crime"],
        "score": 0.5,
    }
    assert (reply.body["user"], reply.body["known_user"], reply.body["note"]) == ("1", True, None)
    assert reply.body["model_package"] == PACKAGE


def test_another_user_gets_another_ranking(api: Any) -> None:
    assert ranked(api.get("/users/2/recommendations")) == [
        ("1", 0.9),
        ("2", 0.8),
        ("5", 0.7),
        ("50", 0.6),
        ("267", 0.5),
    ]


def test_an_unknown_user_gets_the_movies_own_ranking_and_is_told(api: Any) -> None:
    reply = api.get("/users/nobody/recommendations", count="2")

    assert reply.status == 200
    assert reply.body["known_user"] is False
    assert "no rating of this user" in reply.body["note"]
    assert ranked(reply) == [("267", 0.9), ("50", 0.7)]


def test_a_user_who_has_rated_everything_gets_nothing(api: Any) -> None:
    reply = api.get("/users/10/recommendations")

    assert (reply.status, reply.body["recommendations"]) == (200, [])
    assert api.cloud.invocations == []


def test_count_cuts_the_ranking(api: Any) -> None:
    assert ranked(api.get("/users/1/recommendations", count="1")) == [("267", 0.9)]


def test_threshold_leaves_out_what_scores_less(api: Any) -> None:
    assert ranked(api.get("/users/1/recommendations", threshold="0.5")) == [("267", 0.9), ("5", 0.5)]
    assert ranked(api.get("/users/1/recommendations", threshold="1")) == []


def test_equal_scores_keep_the_catalogs_order(api: Any) -> None:
    api.cloud.model_gives([0.5] * 5)

    assert [movie for movie, _ in ranked(api.get("/users/nobody/recommendations"))] == [
        "1",
        "2",
        "5",
        "50",
        "267",
    ]


def test_an_escaped_user_id_is_unescaped(api: Any) -> None:
    reply = api.get("/users/a%20b%2Fc/recommendations")

    assert (reply.status, reply.body["user"]) == (200, "a b/c")


def test_the_model_data_are_read_once_and_histories_in_ranges(api: Any) -> None:
    for _ in range(3):
        assert api.get("/users/1/recommendations").status == 200

    read_whole = [key for key, wanted in api.cloud.reads if wanted is None]
    assert read_whole == [f"models/models/job-1/{name}.json" for name in ("catalog", "reference")]
    ranges = [key for key, wanted in api.cloud.reads if wanted]
    assert set(ranges) == {"models/models/job-1/histories.bin"}
    # The header, the boundaries of all users, and one for each request.
    assert len(ranges) == 2 + 3


def test_requests_are_sparse_json_and_begin_with_rows_whose_scores_are_known(api: Any) -> None:
    api.get("/users/1/recommendations")

    [request] = api.cloud.invocations
    assert request.body == (
        b'{"instances":['
        b'{"data":{"features":{"keys":[0,3],"shape":[8],"values":[1,1]}}},'
        b'{"data":{"features":{"keys":[1,7],"shape":[8],"values":[1,1]}}},'
        b'{"data":{"features":{"keys":[0,4],"shape":[8],"values":[1,1]}}},'
        b'{"data":{"features":{"keys":[0,5],"shape":[8],"values":[1,1]}}},'
        b'{"data":{"features":{"keys":[0,7],"shape":[8],"values":[1,1]}}}]}'
    )
    assert request.headers["Content-Type"] == b"application/json"
