"""`python -m data_prep prepare SOURCE --out DEST`."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from data_prep.errors import DataError
from data_prep.manifest import Manifest, PrepareSettings
from data_prep.prepare import prepare

_BAD_INPUT = 2
_DEFAULTS = PrepareSettings()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Turn MovieLens ratings into what SageMaker's Factorization Machines trains on."""


@app.command("prepare")
def prepare_command(
    *,
    source: Annotated[Path, typer.Argument(help="A folder or zip archive of MovieLens-100k.")],
    out: Annotated[Path, typer.Option(help="Where the data set goes, in a folder named by its digest.")],
    split: Annotated[str, typer.Option(help="The split into train and test ratings.")] = _DEFAULTS.split,
    seed: Annotated[
        int, typer.Option(help="Fixes the order of the train rows, and which users are ranked for.")
    ] = _DEFAULTS.seed,
    liked_threshold: Annotated[
        float, typer.Option(help="The stars from which on a movie counts as liked.")
    ] = _DEFAULTS.liked_threshold,
    ranking_users: Annotated[
        int, typer.Option(help="For how many users, at most, unseen movies are ranked.")
    ] = _DEFAULTS.ranking_users,
) -> None:
    """Write tensors, catalog, histories and manifest. A data set that is there already is kept."""
    try:
        settings = PrepareSettings.model_validate(
            {
                "split": split,
                "seed": seed,
                "liked_threshold": liked_threshold,
                "ranking_users": ranking_users,
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        _refuse(f"--{str(fault['loc'][0]).replace('_', '-')} {fault['input']}: {fault['msg']}")
    try:
        prepared = _prepare_visibly(source, out, settings)
    except DataError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}")
    typer.echo(
        f"{prepared.users:,} users and {prepared.movies:,} movies in {prepared.feature_dim:,} columns, "
        f"{prepared.sparsity:.2%} sparse"
    )
    for channel in (prepared.train, prepared.test, prepared.ranking):
        typer.echo(
            f"{channel.key}: {channel.rows:,} rows, {channel.positive_share:.4f} positive, "
            f"{channel.bytes:,} bytes"
        )
    typer.echo(str(out / prepared.digest))


def _prepare_visibly(source: Path, out: Path, settings: PrepareSettings) -> Manifest:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        return prepare(
            source,
            out,
            settings=settings,
            progress=lambda doing, share: bar.update(task, description=doing, completed=share),
        )


def _refuse(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(_BAD_INPUT)


if __name__ == "__main__":
    app(prog_name="python -m data_prep")
