import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from data_prep.catalog import Catalog, CatalogMovie, Group
from data_prep.errors import DataError
from data_prep.manifest import ChannelFacts, FileFacts, Manifest, PrepareSettings, SourceFacts, TrainFacts
from data_prep.recordio import encode_sparse
from evaluate_model import handler
from evaluation.classification import classification_metrics
from evaluation.errors import EvaluationError
from evaluation.reference import Reference

DATA = "s3://prepared/0123abcd"
FOLDER = "s3://models/models/movie-recommender-dev-0123abcd-1"
ARTIFACT = f"{FOLDER}/output/model.tar.gz"
SCORES = "s3://prepared/scores/movie-recommender-dev-0123abcd-1"
TEST_SCORES = f"{SCORES}/test/test.protobuf.out"
RANKING_SCORES = f"{SCORES}/ranking/ranking.protobuf.out"
USERS, MOVIES = 3, 4
EVENT = {
    "prepared": {
        "digest": "0123abcd",
        "bucket": "prepared",
        "name": "movie-recommender-dev-0123abcd-1",
        "prefix": DATA,
        "feature_dim": "7",
        "train_rows": 9,
    },
    "model_artifact": ARTIFACT,
    "scores": {
        "test": TEST_SCORES,
        "ranking": RANKING_SCORES,
    },
}

# (user, movie, label, score) of each row.
TEST = [(0, 1, 1, 0.9), (0, 2, 0, 0.6), (1, 0, 1, 0.4), (1, 3, 0, 0.2), (2, 1, 1, 0.7)]
RANKING = [(0, 1, 1, 0.9), (0, 2, 0, 0.95), (0, 3, 0, 0.1), (1, 0, 1, 0.4), (1, 3, 0, 0.2)]

Row = tuple[int, int, int, float]


@dataclass
class Context:
    function_name: str = "evaluate-model"
    memory_limit_in_mb: int = 3008
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111111111111:function:evaluate-model"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"


def tensor(rows: list[Row], *, keys: list[int] | None = None) -> bytes:
    columns = keys or [column for user, movie, _, _ in rows for column in (user, USERS + movie)]
    encoded = encode_sparse(
        labels=np.array([label for _, _, label, _ in rows], dtype=np.float32),
        indptr=np.arange(0, len(columns) + 1, 2, dtype=np.int64),
        keys=np.array(columns, dtype=np.int64),
        values=np.ones(len(columns), dtype=np.float32),
        shape=USERS + MOVIES,
    )
    return b"".join(encoded)


def lines(rows: list[Row]) -> bytes:
    text = "".join(f'{{"predicted_label": {float(s >= 0.5)}, "score": {s}}}\n' for _, _, _, s in rows)
    return text.encode()


def catalog() -> bytes:
    counts = [10, 30, 20, 5]
    movies = tuple(
        CatalogMovie(id=str(index + 1), title="T", genres=(), year=None, ratings=count, likes=1)
        for index, count in enumerate(counts)
    )
    return (
        Catalog(
            dataset="ml-100k",
            feature_dim=USERS + MOVIES,
            groups=(Group(name="user", offset=0, size=USERS), Group(name="movie", offset=USERS, size=MOVIES)),
            users=("1", "2", "3"),
            movies=movies,
        )
        .dumps()
        .encode()
    )


def manifest(*, test_rows: int = len(TEST)) -> bytes:
    def channel(name: str, rows: int) -> ChannelFacts:
        return ChannelFacts(
            key=f"{name}/{name}.protobuf", rows=rows, positive_share=0.5, bytes=1, sha256="0" * 64
        )

    return (
        Manifest(
            digest="0123abcd",
            source=SourceFacts(
                name="ml.zip", sha256="0" * 64, format="movielens-100k", id_type="integer", split="ua"
            ),
            settings=PrepareSettings(),
            feature_dim=USERS + MOVIES,
            train=TrainFacts(rows=9, positive_share=0.5, bytes=1, shards=(channel("train", 9),)),
            test=channel("test", test_rows),
            ranking=channel("ranking", len(RANKING)),
            users=USERS,
            movies=MOVIES,
            sparsity=0.7,
            files={"catalog.json": FileFacts(bytes=1, sha256="0" * 64)},
        )
        .dumps()
        .encode()
    )


@pytest.fixture
def objects(s3: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.setenv("MODEL_BUCKET", "models")
    monkeypatch.setenv("GATE_MIN_ACCURACY", "0.6")
    monkeypatch.setenv("GATE_MIN_AUC", "0.5")
    monkeypatch.setenv("GATE_MAX_CROSS_ENTROPY", "0.7")
    content: dict[str, bytes] = s3.objects
    content |= {
        f"{DATA}/manifest.json": manifest(),
        f"{DATA}/catalog.json": catalog(),
        f"{DATA}/histories.bin": b"MRHIST01 and more",
        f"{DATA}/test/test.protobuf": tensor(TEST),
        f"{DATA}/ranking/ranking.protobuf": tensor(RANKING),
        TEST_SCORES: lines(TEST),
        RANKING_SCORES: lines(RANKING),
        ARTIFACT: b"model" * 1_000_000,
    }
    return content


def run(event: dict[str, Any] = EVENT) -> Any:
    return handler.handler(event, Context())  # type: ignore[arg-type]


def test_a_model_is_measured_and_judged(objects: dict[str, bytes]) -> None:
    result = run()

    expected = classification_metrics(
        np.array([row[2] for row in TEST], dtype=float), np.array([row[3] for row in TEST])
    )
    assert result["metrics"]["accuracy"] == expected.accuracy == 0.6
    assert result["metrics"]["auc"] == expected.auc
    # The model ranks what user 0 likes second, what user 1 likes first; the crowd rates both first.
    assert result["metrics"]["ranking_ndcg"] == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert result["metrics"]["popularity_ndcg"] == 1
    assert result["gate"]["passed"] is True
    assert result["gate"]["reasons"] == []
    assert len(json.dumps(result)) < 256 * 1024


def test_what_serving_needs_is_kept_beside_the_artifact(objects: dict[str, bytes]) -> None:
    result = run()

    assert result["evaluation_uri"] == f"{FOLDER}/evaluation.json"
    assert result["catalog_uri"] == f"{FOLDER}/catalog.json"
    assert result["histories_uri"] == f"{FOLDER}/histories.bin"
    assert result["artifact_sha256"] == hashlib.sha256(objects[ARTIFACT]).hexdigest()
    assert objects[f"{FOLDER}/catalog.json"] == objects[f"{DATA}/catalog.json"]
    assert objects[f"{FOLDER}/histories.bin"] == objects[f"{DATA}/histories.bin"]
    document = json.loads(objects[f"{FOLDER}/evaluation.json"])
    assert document["model"] == {
        "name": "movie-recommender-dev-0123abcd-1",
        "artifact": ARTIFACT,
        "artifact_sha256": result["artifact_sha256"],
    }
    assert document["dataset"]["digest"] == "0123abcd"
    assert (document["dataset"]["test_rows"], document["dataset"]["ranking_rows"]) == (5, 5)
    assert document["test"]["rows"] == 5
    assert document["ranking"]["users"] == 2
    assert document["gate"]["passed"] is True


def test_a_deployment_can_ask_the_model_the_same_again(objects: dict[str, bytes]) -> None:
    result = run()

    uri = result["reference_uri"]
    assert uri == f"{FOLDER}/reference.json"
    reference = Reference.loads(objects[uri])
    assert reference.feature_dim == USERS + MOVIES
    assert [(*row.keys, *row.values, row.score) for row in reference.rows] == [
        (user, USERS + movie, 1.0, 1.0, score) for user, movie, _, score in TEST
    ]
    # The user of a candidate has movies left.
    assert reference.user == "1"


def test_the_rows_to_ask_again_are_32_from_all_over(objects: dict[str, bytes]) -> None:
    rows = [(0, 1, row % 2, row / 1000) for row in range(1000)]
    objects[f"{DATA}/test/test.protobuf"] = tensor(rows)
    objects[TEST_SCORES] = lines(rows)
    objects[f"{DATA}/manifest.json"] = manifest(test_rows=1000)

    scores = [row.score for row in Reference.loads(objects[run()["reference_uri"]]).rows]
    assert (len(scores), scores[0], scores[-1]) == (32, 0, 0.999)
    assert {round(after - before, 3) for before, after in pairwise(scores)} == {0.032, 0.033}


def test_doing_it_again_gives_the_same(objects: dict[str, bytes]) -> None:
    first, written = run(), dict(objects)

    assert run() == first
    assert objects == written


def test_a_weak_model_fails_the_gate_and_is_still_recorded(
    objects: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE_MIN_ACCURACY", "0.69")
    result = run()

    assert result["gate"]["passed"] is False
    assert result["gate"]["cause"] == "The model fails the gate: accuracy 0.6000 is below the floor 0.6900"
    assert json.loads(objects[f"{FOLDER}/evaluation.json"])["gate"]["passed"] is False


@pytest.mark.parametrize(
    ("uri", "content", "said"),
    [
        (
            TEST_SCORES,
            lines(TEST[:-1]),
            "test.protobuf.out, line 5: the file ends, but 5 records",
        ),
        (RANKING_SCORES, lines([*RANKING, RANKING[0]]), "line 6: more scores than the 5 records"),
        (TEST_SCORES, b'{"score": NaN}\n' * 5, "line 1: score nan is not a probability"),
        (f"{DATA}/test/test.protobuf", tensor(TEST)[:-4], f"{DATA}/test/test.protobuf: "),
        (f"{DATA}/test/test.protobuf", tensor(TEST[:-1]), "4 records, but the manifest counts 5"),
        (f"{DATA}/test/test.protobuf", tensor([(0, 0, 3, 0.5)] * 5), "row 1: label 3.0 is neither 0 nor 1"),
        (
            f"{DATA}/ranking/ranking.protobuf",
            tensor(RANKING[::-1]),
            "ranking.protobuf: ranking: row 2 is not in ascending order",
        ),
        (
            f"{DATA}/ranking/ranking.protobuf",
            tensor(RANKING, keys=[0, 3, 0, 1, 0, 5, 1, 3, 1, 4]),
            "ranking.protobuf: record 2 has 2 columns of group user, not one",
        ),
        (
            f"{DATA}/ranking/ranking.protobuf",
            tensor(RANKING, keys=[0, 3, 0, 4, 0, 5, 3, 4, 1, 4]),
            "ranking.protobuf: record 4 has 0 columns of group user, not one",
        ),
    ],
)
def test_files_that_do_not_fit_are_named(
    objects: dict[str, bytes], uri: str, content: bytes, said: str
) -> None:
    objects[uri] = content

    with pytest.raises(EvaluationError) as error:
        run()
    assert said in str(error.value)
    assert f"{FOLDER}/evaluation.json" not in objects


def test_rows_that_do_not_tell_the_movie_cannot_be_ranked(objects: dict[str, bytes]) -> None:
    content = json.loads(catalog())
    user = content["groups"][0]
    objects[f"{DATA}/catalog.json"] = json.dumps(
        content | {"groups": [user], "feature_dim": user["size"]}
    ).encode()

    with pytest.raises(
        EvaluationError, match="no columns of group movie: prepare with the feature movie"
    ) as error:
        run()
    assert f"{DATA}/ranking/ranking.protobuf: " in str(error.value)


@pytest.mark.parametrize("uri", [f"{DATA}/manifest.json", f"{DATA}/histories.bin", ARTIFACT])
def test_a_missing_file_is_named(objects: dict[str, bytes], uri: str) -> None:
    del objects[uri]

    with pytest.raises(EvaluationError, match="The key does not exist") as error:
        run()
    assert uri in str(error.value)


def test_a_spoilt_manifest_is_named(objects: dict[str, bytes]) -> None:
    objects[f"{DATA}/manifest.json"] = b"{}"

    with pytest.raises(DataError, match=f"{DATA}/manifest.json"):
        run()


def test_an_incomplete_event_is_refused(objects: dict[str, bytes]) -> None:
    with pytest.raises(ValidationError, match=r"scores\.ranking"):
        run({**EVENT, "scores": {"test": "s3://a/b"}})


def test_missing_settings_are_named(objects: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATE_MIN_AUC")
    monkeypatch.setenv("GATE_MIN_ACCURACY", "much")

    with pytest.raises(ValidationError) as error:
        run()
    assert "GATE_MIN_AUC" in str(error.value)
    assert "GATE_MIN_ACCURACY" in str(error.value)
