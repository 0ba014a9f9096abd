"""The verdict on a terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.review.model import Level, Review

_NAMED = 2
"""How many subjects a row of the table names."""
_HEADLINES: Mapping[Level, str] = {
    "nothing": "[bold green]Nothing changes[/]",
    "routine": "[bold green]Routine[/]",
    "attention": "[bold yellow]Needs attention[/]",
    "danger": "[bold red]Danger[/]",
}


def summarize(console: Console, report: Review, files: Sequence[Path]) -> None:
    """Print the verdict, the notes and where the reports are."""
    headline = _HEADLINES[report.verdict.level]
    console.print(f"{headline}: {escape(report.head)} compared with {escape(report.base)}", soft_wrap=True)
    for sentence in report.verdict.sentences:
        console.print(f"  {escape(sentence)}", soft_wrap=True)
    if report.verdict.counts:
        console.print(_table(report))
    notes = [note for environment in report.environments for note in environment.notes]
    for note in dict.fromkeys((*report.notes, *notes)):
        console.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
    for file in files:
        console.print(f"Report: {escape(str(file))}", soft_wrap=True)


def _table(report: Review) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for count in report.verdict.counts:
        rest = len(count.subjects) - _NAMED
        subjects = "\n".join((*count.subjects[:_NAMED], *([f"and {rest} more"] if rest > 0 else [])))
        table.add_row(count.what, str(count.number), escape(subjects))
    return table
