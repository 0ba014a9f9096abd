"""The `recommender` command."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infra.errors import ConfigurationError
from ops.errors import OperationError
from ops.paths import DATA, LOCAL_CLOUD
from ops.progress import step
from ops.review.command import review

app = typer.Typer(
    help="Movie ratings in, a deployed recommender out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

Port = Annotated[int, typer.Option(envvar="LOCAL_CLOUD_PORT", help="Port of the local cloud on 127.0.0.1.")]
Directory = Annotated[
    Path,
    typer.Option(envvar="LOCAL_CLOUD_DIRECTORY", help="Where the local cloud keeps everything of its own."),
]


@app.command()
def demo(port: Port = 4566, directory: Directory = LOCAL_CLOUD) -> None:
    """Deploy, train, serve and recommend on this machine, with the real `cdk deploy`."""
    from ops.demo import demo as run  # noqa: PLC0415 - the CDK is slow to import, and the other commands do without

    run(console, port=port, directory=directory.absolute())


@app.command()
def data() -> None:
    """Fetch MovieLens 100k, checked against its checksum."""
    from ops.datasets import fetch_movielens_100k  # noqa: PLC0415

    console.print(str(fetch_movielens_100k(DATA / "ml-100k.zip")))


@app.command()
def build() -> None:
    """Package the Lambda functions and the image of data preparation (`cdk synth` does it by itself)."""
    from ops.bundle import bundle_functions, lay_out_image  # noqa: PLC0415

    for folder in [*bundle_functions(), lay_out_image()]:
        console.print(str(folder))


@app.command()
def up(
    port: Port = 4566,
    directory: Directory = LOCAL_CLOUD,
    env: Annotated[str, typer.Option(help="The environment whose account the variables name.")] = "dev",
) -> None:
    """Start the local cloud unless it is up; print what points the CDK and AWS's tools at it."""
    from infra.environment import load_environment  # noqa: PLC0415
    from ops import local  # noqa: PLC0415

    environment = load_environment(env)
    cloud = local.running(directory=directory.absolute()) or local.start(
        account=environment.account, port=port, directory=directory.absolute()
    )
    variables = cloud.variables(account=environment.account, region=environment.region)
    for name in local.other_settings(variables):
        console.print(f"unset {name}", soft_wrap=True)
    for name, value in variables.items():
        console.print(f"export {name}={value}", soft_wrap=True)


@app.command()
def down(directory: Directory = LOCAL_CLOUD) -> None:
    """Stop the local cloud with everything that it started, and remove its state."""
    from ops import local  # noqa: PLC0415

    stopped = local.stop(directory=directory.absolute())
    console.print(f"Stopped the local cloud (port {stopped.port})" if stopped else "No local cloud was up")


@app.command()
def promote(
    source: Annotated[str, typer.Argument(help="The environment to promote from, such as dev.")],
    target: Annotated[str, typer.Argument(help="The environment to promote to, such as staging.")],
    *,
    package: Annotated[
        str | None,
        typer.Option(help="ARN of a package of the source's registry; by default the one that it serves."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")
    ] = False,
    source_profile: Annotated[str | None, typer.Option(help="AWS profile of the source's account.")] = None,
    target_profile: Annotated[str | None, typer.Option(help="AWS profile of the target's account.")] = None,
) -> None:
    """Copy the model that one environment serves into another, register it there and pin it in config/."""
    from ops.promotion.promote import promote as run  # noqa: PLC0415

    run(
        console,
        source,
        target,
        package=package,
        dry_run=dry_run,
        source_profile=source_profile,
        target_profile=target_profile,
    )


@app.command()
def rollback(
    environment: Annotated[str, typer.Argument(help="The environment to take back.")],
    package: Annotated[
        str | None,
        typer.Option(help="ARN of the package to go back to; by default that of the previous pin in git."),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile of the environment's account.")] = None,
) -> None:
    """Serve the previous model again, without a review, by a deployment with the environment's canary."""
    from ops.promotion.rollback import rollback as run  # noqa: PLC0415

    run(console, environment, package=package, profile=profile)


@app.command()
def status(
    environments: Annotated[
        list[str] | None, typer.Argument(metavar="[ENV]...", help="By default all of config/.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what every environment serves, and where settings, stack and endpoint do not agree."""
    from ops.promotion.status import read_statuses  # noqa: PLC0415
    from ops.promotion.status_report import show, to_json  # noqa: PLC0415

    if as_json:
        console.print(to_json(read_statuses(environments or ())), soft_wrap=True, markup=False)
        return
    with step(console, "Asking every environment"):
        statuses = read_statuses(environments or ())
    show(console, statuses)


app.command()(review)


def main() -> None:
    """Run the command; an error that the user can act on is one message and exit code 1."""
    try:
        app()
    except (OperationError, ConfigurationError) as error:
        Console(stderr=True, highlight=False).print(f"[red]Error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
