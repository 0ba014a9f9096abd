"""What the demo prints at its end: the data, the model beside its peers, and recommendations."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ops.deployment import Deployment
from ops.recommendations import RecommendationApi

WALK_THROUGH = {"accuracy": 0.7159, "f1": 0.7456, "cross_entropy": 0.5811}
"""Test figures of AWS's 2018 walk-through on the same split, from the log of its training job
(github.com/juliensimon/dlnotebooks, 03-Factorization-Machines-Movielens.ipynb). It gave no AUC."""


def show(
    console: Console, deployment: Deployment, api: RecommendationApi, recommended: dict[str, Any]
) -> None:
    """Print the report of `deployment`, with `recommended` as the API's answer for one user."""
    for table in (
        _data(deployment.manifest),
        _model(deployment.evaluation["test"]),
        _ranking(deployment.evaluation["ranking"]),
        _recommendations(recommended),
    ):
        console.print()
        console.print(table)
    console.print("\n[bold]Ask for yourself[/bold] (then try another user):\n")
    # Unwrapped and without markup, so that it can be copied whole.
    console.print(
        api.curl(recommended["user"], count=len(recommended["recommendations"])),
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _data(manifest: dict[str, Any]) -> Table:
    table = _table("Data: MovieLens 100k, split ua", "", "train", "test")
    train, test = manifest["train"], manifest["test"]
    table.add_row("rows", f"{train['rows']:,}", f"{test['rows']:,}")
    table.add_row(
        "positive share (4 or 5 stars)", f"{train['positive_share']:.2f}", f"{test['positive_share']:.2f}"
    )
    for part in ("train", "test"):
        values = [
            f"{manifest[part]['bytes']:,} bytes" if column == part else "" for column in ("train", "test")
        ]
        table.add_row(f"{part}.protobuf", *values)
    columns, users, movies = manifest["feature_dim"], manifest["users"], manifest["movies"]
    table.caption = (
        f"{columns:,} columns ({users:,} users + {movies:,} movies), {manifest['sparsity']:.2%} sparse"
    )
    table.caption_justify = "left"
    return table


def _model(test: dict[str, Any]) -> Table:
    table = _table("Model on the test ratings", "", "this model", "2018 walk-through", "everything positive")
    positive = test["everything_positive"]
    for label, metric in (
        ("accuracy", "accuracy"),
        ("F1", "f1"),
        ("AUC", "auc"),
        ("cross-entropy (less is better)", "cross_entropy"),
    ):
        peers = [f"{peer[metric]:.4f}" if metric in peer else "–" for peer in (WALK_THROUGH, positive)]
        table.add_row(label, f"{test[metric]:.4f}", *peers)
    error = test["standard_errors"]["accuracy"]
    table.caption = (
        f"measured by the Evaluate step on {test['rows']:,} ratings; "
        f"one standard error of accuracy is {error:.4f}"
    )
    table.caption_justify = "left"
    return table


def _ranking(ranking: dict[str, Any]) -> Table:
    k = ranking["k"]
    table = _table(
        f"Ranking of unseen movies, top {k}, {ranking['users']:,} users", "", "this model", "popularity"
    )
    model, popularity = ranking["model"], ranking["popularity"]
    for label, metric in (
        (f"NDCG@{k}", "ndcg"),
        (f"precision@{k}", "precision"),
        (f"recall@{k}", "recall"),
        ("catalogue coverage", "coverage"),
    ):
        table.add_row(label, f"{model[metric]:.4f}", f"{popularity[metric]:.4f}")
    if model["ndcg"] < popularity["ndcg"]:
        table.caption = (
            "This model learned, as the walk-through's did, to tell liked from disliked among rated movies; "
            "popularity ranks unseen ones better."
        )
        table.caption_justify = "left"
    return table


def _recommendations(recommended: dict[str, Any]) -> Table:
    table = Table(
        title=f"Recommended to user {recommended['user']}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("", justify="right")
    table.add_column("title")
    table.add_column("genres", style="dim")
    table.add_column("score", justify="right")
    for movie in recommended["recommendations"]:
        table.add_row(str(movie["rank"]), movie["title"], ", ".join(movie["genres"]), f"{movie['score']:.3f}")
    return table
