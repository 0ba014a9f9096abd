"""The demo's report shows the facts of the manifest, the evaluation and the API's answer."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from ops import demo_report
from ops.recommendations import RecommendationApi

API = RecommendationApi(
    url="http://abc.execute-api.localhost:4566/v1", api_key="k3y", address="127.0.0.1:4566"
)
RECOMMENDED = {
    "user": "1",
    "recommendations": [
        {"rank": 1, "title": "[Brackets] (1995)", "genres": ["Drama", "War"], "score": 0.91234},
        {"rank": 2, "title": "Vertigo (1958)", "genres": [], "score": 0.5},
    ],
}


def deployment(ndcg: float) -> SimpleNamespace:
    sides = {"precision": 0.1, "recall": 0.2, "coverage": 0.3}
    return SimpleNamespace(
        manifest={
            "feature_dim": 2625,
            "users": 943,
            "movies": 1682,
            "sparsity": 1 - 2 / 2625,
            "train": {"rows": 90570, "positive_share": 0.551, "bytes": 5796480},
            "test": {"rows": 9430, "positive_share": 0.58, "bytes": 603520},
        },
        evaluation={
            "test": {
                "rows": 9430,
                "accuracy": 0.71342,
                "f1": 0.76,
                "auc": 0.77431,
                "cross_entropy": 0.5607,
                "standard_errors": {"accuracy": 0.0047},
                "everything_positive": {"accuracy": 0.58, "f1": 0.7341},
            },
            "ranking": {
                "k": 10,
                "users": 934,
                "model": sides | {"ndcg": ndcg},
                "popularity": sides | {"ndcg": 0.1333},
            },
        },
    )


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def shown(console: Console, ndcg: float = 0.07) -> str:
    demo_report.show(console, deployment(ndcg), API, RECOMMENDED)
    return console.file.getvalue()


def test_every_figure_is_there(console: Console) -> None:
    output = shown(console)
    data = ("90,570", "9,430", "0.55", "0.58", "5,796,480 bytes", "2,625 columns", "99.92% sparse")
    model = (
        "0.7134",
        "0.7600",
        "0.7743",
        "0.5607",
        "0.7159",
        "0.7456",
        "0.5811",
        "0.5800",
        "0.7341",
        "0.0047",
    )
    ranking = ("NDCG@10", "0.0700", "0.1333", "934 users")
    for figure in (*data, *model, *ranking, "[Brackets] (1995)", "Drama, War", "0.912"):
        assert figure in output, figure


def test_the_command_is_one_line(console: Console) -> None:
    command = (
        "curl -s -H 'x-api-key: k3y' "
        "'http://abc.execute-api.localhost:4566/v1/users/1/recommendations?count=2'"
    )
    assert command in shown(console).splitlines()


@pytest.mark.parametrize(("ndcg", "said"), [(0.07, True), (0.29, False)])
def test_a_ranking_worse_than_popularitys_is_owned_up_to(console: Console, ndcg: float, said: bool) -> None:
    assert ("popularity is better" in " ".join(shown(console, ndcg).split())) is said
