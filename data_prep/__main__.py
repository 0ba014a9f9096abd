"""`python -m data_prep`: prepares data sets, whole or step by step."""

import errno
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress as ProgressBar

from data_prep import stages
from data_prep.errors import DataError
from data_prep.formats.input_data import open_input
from data_prep.manifest import Manifest, PrepareSettings
from data_prep.places import aws_errors, is_in_s3, local_data_set, prepare_at, scratch_for, store_at
from data_prep.splits import ALLOWED
from data_prep.stages import Progress

_BAD_INPUT = 1
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DEFAULTS = PrepareSettings()
_DEFAULT_FEATURES = ",".join(_DEFAULTS.features)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Source = Annotated[
    str, typer.Argument(help="A data set: a folder, zip archive or ratings file, here or s3://.")
]
Out = Annotated[str, typer.Option(help="A folder or s3:// prefix; the data set goes under its digest.")]
Place = Annotated[str, typer.Argument(help="What plan printed: the data set's own folder or prefix.")]
Split = Annotated[str, typer.Option(help=f"Which ratings test the model: {ALLOWED}.")]
Objective = Annotated[
    str, typer.Option(help="What a row is: every rating, or liked ones against unseen ones.")
]
Labels = Annotated[str, typer.Option(help="Of ratings: liked (1 or 0), or the stars, for a regressor.")]
Negatives = Annotated[int, typer.Option(help="With ranking: unseen movies sampled for each liked one.")]
Exponent = Annotated[
    float, typer.Option(help="With ranking: sample by popularity to this power; 0 is uniform.")
]
Features = Annotated[str, typer.Option(help="Groups of columns, with commas: user, movie, genres, year, …")]
Threshold = Annotated[float, typer.Option(help="The rating from which on a movie counts as liked.")]
Seed = Annotated[
    int, typer.Option(help="Fixes the shuffle, random splits and samples, and who is ranked for.")
]
Shuffle = Annotated[
    bool, typer.Option(help="Whether the train rows are in random order, or by user and movie.")
]
Shards = Annotated[int, typer.Option(help="Files of train rows: at least as many as training instances.")]
Duplicates = Annotated[
    str, typer.Option(help="A pair that is rated twice: error, or keep the first or last.")
]
UnknownTest = Annotated[str, typer.Option(help="Test ratings of unknown users or movies: drop, or error.")]
MaxBadRows = Annotated[int, typer.Option(help="How many bad lines are passed over; the manifest lists them.")]
RankingUsers = Annotated[int, typer.Option(help="For how many users, at most, unseen movies are ranked.")]


@app.callback()
def _commands() -> None:
    """Turn ratings into what SageMaker's Factorization Machines trains on."""


@app.command("prepare")
def prepare_command(
    *,
    source: Source,
    out: Out,
    split: Split = _DEFAULTS.split,
    objective: Objective = _DEFAULTS.objective,
    labels: Labels = _DEFAULTS.labels,
    negatives: Negatives = _DEFAULTS.negatives,
    popularity_exponent: Exponent = _DEFAULTS.popularity_exponent,
    features: Features = _DEFAULT_FEATURES,
    liked_threshold: Threshold = _DEFAULTS.liked_threshold,
    seed: Seed = _DEFAULTS.seed,
    shuffle: Shuffle = _DEFAULTS.shuffle,
    shards: Shards = _DEFAULTS.shards,
    duplicates: Duplicates = _DEFAULTS.duplicates,
    unknown_test: UnknownTest = _DEFAULTS.unknown_test,
    max_bad_rows: MaxBadRows = _DEFAULTS.max_bad_rows,
    ranking_users: RankingUsers = _DEFAULTS.ranking_users,
) -> None:
    """Write tensors, catalog, histories and manifest. A data set that is there already is kept."""
    settings = _settings(locals())
    with _refusing(out, source), _progress() as progress, local_data_set(source) as path:
        prepared = prepare_at(path, out, settings=settings, progress=progress)
    _describe(prepared)
    typer.echo(_under(out, prepared.digest))


@app.command("plan")
def plan_command(
    *,
    source: Source,
    out: Out,
    split: Split = _DEFAULTS.split,
    objective: Objective = _DEFAULTS.objective,
    labels: Labels = _DEFAULTS.labels,
    negatives: Negatives = _DEFAULTS.negatives,
    popularity_exponent: Exponent = _DEFAULTS.popularity_exponent,
    features: Features = _DEFAULT_FEATURES,
    liked_threshold: Threshold = _DEFAULTS.liked_threshold,
    seed: Seed = _DEFAULTS.seed,
    shuffle: Shuffle = _DEFAULTS.shuffle,
    shards: Shards = _DEFAULTS.shards,
    duplicates: Duplicates = _DEFAULTS.duplicates,
    unknown_test: UnknownTest = _DEFAULTS.unknown_test,
    max_bad_rows: MaxBadRows = _DEFAULTS.max_bad_rows,
    ranking_users: RankingUsers = _DEFAULTS.ranking_users,
) -> None:
    """Do the first step: all but the train tensors. Prints the place that the other steps take."""
    settings = _settings(locals())
    with (
        _refusing(out, source),
        _progress() as progress,
        local_data_set(source) as path,
        open_input(path, max_bad_rows=settings.max_bad_rows) as data,
    ):
        place = _under(out, stages.digest_of(data, settings))
        with scratch_for(place) as scratch:
            stages.plan(data, store_at(place), settings=settings, scratch=scratch, progress=progress)
    typer.echo(place)


@app.command("encode")
def encode_command(
    *,
    place: Place,
    shard: Annotated[
        int,
        typer.Option(
            min=0, envvar="AWS_BATCH_JOB_ARRAY_INDEX", help="Which shard, from 0: an array job's own index."
        ),
    ],
) -> None:
    """Do the second step for one shard of train tensors."""
    with _refusing(place), _progress() as progress, scratch_for(place) as scratch:
        stages.encode(store_at(place), shard, scratch=scratch, progress=progress)


@app.command("finish")
def finish_command(*, place: Place) -> None:
    """Do the last step, when all shards are encoded: the manifest, which makes the data set complete."""
    with _refusing(place), scratch_for(place) as scratch:
        prepared = stages.finish(store_at(place), scratch=scratch)
    _describe(prepared)
    typer.echo(place)


def _settings(arguments: dict[str, Any]) -> PrepareSettings:
    try:
        return PrepareSettings.model_validate(
            {name: value for name, value in arguments.items() if name in PrepareSettings.model_fields}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        option = "options"
        if fault["loc"]:
            name = str(fault["loc"][0])
            option = f"--{name.replace('_', '-')} {shlex.quote(str(arguments[name]))}"
        _refuse(f"{option}: {fault['msg'].removeprefix('Value error, ')}")


def _describe(prepared: Manifest) -> None:
    typer.echo(
        f"{prepared.source.format}, split {prepared.source.split}: {prepared.users:,} users and "
        f"{prepared.movies:,} movies in {prepared.feature_dim:,} columns, {prepared.sparsity:.2%} sparse"
    )
    left_out = prepared.left_out
    for count, what in (
        (left_out.bad_rows, "bad rows"),
        (left_out.duplicates, "duplicates"),
        (left_out.unknown_test, "test ratings of unknown users or movies"),
    ):
        if count:
            typer.echo(f"left out, {what}: {count:,}")
    for row in left_out.first_bad_rows:
        typer.echo(f"  {row.file}, line {row.line}: {row.reason}, found {row.text}")
    for channel in (*prepared.train.shards, prepared.test, prepared.ranking):
        typer.echo(
            f"{channel.key}: {channel.rows:,} rows, {channel.positive_share:.4f} positive, "
            f"{channel.bytes:,} bytes"
        )


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line of JSON for each thing that is begun."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Log()
        return
    with ProgressBar(console=console, transient=True) as bar:
        # It moves to and fro until a share is known.
        task = bar.add_task("", total=None)
        yield lambda doing, share: bar.update(
            task, description=doing, completed=share, total=1.0 if share else None
        )


class _Log:
    """Writes what is being done, and how far it is by then, but not each step of the way."""

    def __init__(self) -> None:
        self._doing = ""

    def __call__(self, doing: str, share: float) -> None:
        # A count in parentheses is of the same thing.
        begun = doing.partition(" (")[0]
        if begun != self._doing:
            self._doing = begun
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"level": "INFO", "message": begun, "share": round(share, 2), "timestamp": now}
            print(json.dumps(line), file=sys.stderr, flush=True)


@contextmanager
def _refusing(out: str, source: str = "") -> Iterator[None]:
    """End in one line for what may go wrong in reading the source and writing to `out`."""
    try:
        yield
    except DataError as error:
        _refuse(str(error))
    except OSError as error:
        # A write that fails does not say where. What goes to S3, or comes from it, is a temporary file first.
        written = [] if is_in_s3(out) else [out]
        if is_in_s3(out) or is_in_s3(source):
            written.append(tempfile.gettempdir())
        where = error.filename or " or ".join(written)
        remedy = "Make room there" if error.errno in _FULL else "Give a place that can be read and written"
        _refuse(f"{where}: {error.strerror or error}. {remedy}")
    except aws_errors() as error:
        places = " and ".join(place for place in (source, out) if is_in_s3(place))
        _refuse(f"{error}. Check the credentials, the network, and that {places} may be used")


def _refuse(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(_BAD_INPUT)


def _under(out: str, digest: str) -> str:
    return f"{out.rstrip('/')}/{digest}" if is_in_s3(out) else str(Path(out) / digest)


if __name__ == "__main__":
    app(prog_name="python -m data_prep")
