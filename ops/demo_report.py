"""What the demo prints at its end: the data, the model beside its peers, and recommendations."""

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ops.deployment import Deployment
from ops.recommendations import RecommendationApi

WALK_THROUGH = {"accuracy": 0.7159, "f1": 0.7456, "cross_entropy": 0.5811}
"""Test figures of AWS's 2018 walk-through on the same split, from the log of its training job
(github.com/juliensimon/dlnotebooks, 03-Factorization-Machines-Movielens.ipynb). It gave no AUC."""


def show(
    console: Console, deployment: Deployment, api: RecommendationApi, recommended: dict[str, Any]
) -> None:
    """Print the report of `deployment`, with `recommended` as the API's answer for one user."""
    sections = (
        ("Data: MovieLens 100k, split ua", _data(deployment.manifest)),
        ("Model, on the test ratings", _model(deployment.evaluation["test"])),
        ("Ranking of unseen movies", _ranking(deployment.evaluation["ranking"])),
        (f"Recommended to user {recommended['user']}", _recommendations(recommended)),
    )
    for title, lines in sections:
        console.print(f"\n[bold]{title}")
        for line in lines:
            console.print(Padding(line, (0, 0, 0, 2)))
    console.print("\n[bold]Ask for yourself[/bold], then for another user\n")
    # In one line and without markup, so that it can be copied whole.
    command = api.curl(recommended["user"], count=len(recommended["recommendations"]))
    console.print(command, soft_wrap=True, markup=False)


def _data(manifest: dict[str, Any]) -> Iterator[RenderableType]:
    table = _table("", "train", "test")
    train, test = manifest["train"], manifest["test"]
    table.add_row("rows", f"{train['rows']:,}", f"{test['rows']:,}")
    table.add_row(
        "positive (4 or 5 stars)", f"{train['positive_share']:.2f}", f"{test['positive_share']:.2f}"
    )
    table.add_row("train.protobuf, test.protobuf", f"{train['bytes']:,} bytes", f"{test['bytes']:,} bytes")
    yield table
    columns, users, movies = manifest["feature_dim"], manifest["users"], manifest["movies"]
    yield _remark(
        f"{columns:,} columns ({users:,} users + {movies:,} movies), {manifest['sparsity']:.2%} sparse"
    )


def _model(test: dict[str, Any]) -> Iterator[RenderableType]:
    table = _table("", "this model", "2018 walk-through", "everything positive")
    names = (("accuracy", "accuracy"), ("F1", "f1"), ("AUC", "auc"), ("cross-entropy", "cross_entropy"))
    for label, metric in names:
        peers = (WALK_THROUGH, test["everything_positive"])
        shown = [f"{peer[metric]:.4f}" if metric in peer else "–" for peer in peers]
        table.add_row(label, f"[bold]{test[metric]:.4f}", *shown)
    yield table
    error = test["standard_errors"]["accuracy"]
    yield _remark(
        f"Measured by the Evaluate step on {test['rows']:,} ratings; one standard error of accuracy is "
        f"{error:.4f}. Lower is better for cross-entropy, higher for the others."
    )


def _ranking(ranking: dict[str, Any]) -> Iterator[RenderableType]:
    k = ranking["k"]
    table = _table("", "this model", "popularity")
    model, popularity = ranking["model"], ranking["popularity"]
    names = (
        (f"NDCG@{k}", "ndcg"),
        (f"precision@{k}", "precision"),
        (f"recall@{k}", "recall"),
        ("catalogue coverage", "coverage"),
    )
    for label, metric in names:
        table.add_row(label, f"[bold]{model[metric]:.4f}", f"{popularity[metric]:.4f}")
    yield table
    remark = f"Top {k} of all movies that a user has not rated, for {ranking['users']:,} users."
    if model["ndcg"] < popularity["ndcg"]:
        remark += (
            " Like the walk-through's, this model learned to tell liked from disliked among rated movies; "
            "popularity is better at ranking unseen ones."
        )
    yield _remark(remark)


def _recommendations(recommended: dict[str, Any]) -> Iterator[RenderableType]:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("", justify="right")
    table.add_column("title")
    table.add_column("genres", style="dim")
    table.add_column("score", justify="right")
    for movie in recommended["recommendations"]:
        title, genres = Text(movie["title"]), Text(", ".join(movie["genres"]))
        table.add_row(str(movie["rank"]), title, genres, f"{movie['score']:.3f}")
    yield table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _remark(text: str) -> Text:
    return Text(text, style="dim")
