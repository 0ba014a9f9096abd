"""`recommender review`: what a change does to permissions, data, the live endpoint and cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ops.errors import OperationError
from ops.paths import ROOT
from ops.progress import step
from ops.review.assembly import read_assembly
from ops.review.checkout import checkout
from ops.review.composition import compose, review_environment
from ops.review.cost import Traffic, parse_traffic
from ops.review.fail_on import Condition, parse_fail_on
from ops.review.json_report import to_json
from ops.review.model import EnvironmentReview, Review
from ops.review.synthesis import synthesized
from ops.review.terminal import summarize

CONDITION_MET = 3
"""The exit code if a condition of --fail-on is met; 1 is for errors."""

DEFAULT_OUTPUT = ROOT / "build" / "review"


class Format(StrEnum):
    """How a report is written."""

    HTML = "html"
    MARKDOWN = "md"
    JSON = "json"


def _to_html(report: Review) -> str:
    from ops.review.html import to_html  # noqa: PLC0415 - templates are slow to load

    return to_html(report)


def _to_markdown(report: Review) -> str:
    from ops.review.markdown import to_markdown  # noqa: PLC0415

    return to_markdown(report)


_WRITERS: Mapping[Format, Callable[[Review], str]] = {
    Format.HTML: _to_html,
    Format.MARKDOWN: _to_markdown,
    Format.JSON: to_json,
}


@dataclass(frozen=True)
class _Subject:
    """What to compare."""

    base: str | None
    environments: Sequence[str]
    before: Path | None
    after: Path | None


def review(
    *,
    base: Annotated[
        str | None,
        typer.Option(
            help="The commit to compare with; by default the last one that the working tree differs from."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(help="An environment to review (repeatable); by default all of config/."),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(help="Instead of a commit: a synthesized directory (cdk.out) of any CDK app."),
    ] = None,
    after: Annotated[
        Path | None, typer.Option(help="The synthesized directory to compare with --before.")
    ] = None,
    report_format: Annotated[
        list[Format] | None, typer.Option("--format", help="Of the report (repeatable); by default html.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The report's file, or the directory of several; by default build/review/."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help="End with exit code 3 on any of: replacement, data-loss, iam-widening, public, "
            "cost-increase:20% (comma-separated)."
        ),
    ] = None,
    traffic: Annotated[
        list[str] | None,
        typer.Option(help="An assumption of the cost, such as requests_per_month=100000 (repeatable)."),
    ] = None,
) -> None:
    """Tell what a change of the infrastructure does to permissions, data, what is live, and cost."""
    console = Console(highlight=False)
    conditions = parse_fail_on(fail_on or [])
    assumed = parse_traffic(traffic or [])
    formats = list(dict.fromkeys(report_format or [Format.HTML]))
    files = report_files(output, formats)
    subject = _Subject(base, env or [], before, after)
    report = (
        _review_assemblies(subject, assumed)
        if before or after
        else _review_commits(subject, assumed, console)
    )
    for kind, file in files.items():
        _write(file, _WRITERS[kind](report))
    summarize(console, report, list(files.values()))
    _judge(console, report, conditions)


def report_files(output: Path | None, formats: Sequence[Format]) -> dict[Format, Path]:
    """Return where the report of each format goes.

    Raises:
        OperationError: `output` is a file and there are several formats.
    """
    if output is None:
        return {kind: DEFAULT_OUTPUT / f"review.{kind}" for kind in formats}
    is_file = output.suffix in {f".{kind}" for kind in Format} and not output.is_dir()
    if not is_file:
        return {kind: output / f"review.{kind}" for kind in formats}
    if len(formats) > 1:
        raise OperationError(f"--output {output}: several formats need a directory, not one file")
    return {formats[0]: output}


def _review_assemblies(subject: _Subject, traffic: Traffic) -> Review:
    if subject.before is None or subject.after is None:
        raise OperationError("--before and --after belong together: name both synthesized directories")
    if subject.base is not None or subject.environments:
        raise OperationError(
            "--before and --after name what is synthesized already: leave --base and --env out"
        )
    old, new = read_assembly(subject.before), read_assembly(subject.after)
    environment = review_environment("app", old, new, traffic=traffic)
    return compose(str(subject.before), str(subject.after), [environment])


def _review_commits(subject: _Subject, traffic: Traffic, console: Console) -> Review:
    trees = checkout(Path.cwd())
    with (
        step(console, "Reviewing the infrastructure") as progress,
        synthesized(
            trees, base=subject.base, environments=subject.environments, progress=progress
        ) as synthesis,
    ):
        environments: list[EnvironmentReview] = []
        for each in synthesis.environments:
            progress(f"reviewing {each.name}")
            environments.append(
                review_environment(each.name, each.before, each.after, traffic=traffic, notes=each.notes)
            )
        return compose(
            synthesis.base,
            synthesis.head,
            environments,
            config=trees.root / "config",
            notes=synthesis.notes,
        )


def _write(file: Path, content: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise OperationError(f"--output {file}: cannot be written: {error.strerror}") from error


def _judge(console: Console, report: Review, conditions: Sequence[Condition]) -> None:
    met = False
    for condition in conditions:
        for found in condition.met_by(report):
            met = True
            console.print(f"[red]--fail-on {condition.name}:[/] {escape(found)}", soft_wrap=True)
    if met:
        raise typer.Exit(CONDITION_MET)
