"""The verdict on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ops.review.model import Count, Level, Review

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
    for count in report.verdict.counts:
        for line in _row(count):
            console.print(escape(line), soft_wrap=True)
    notes = [note for environment in report.environments for note in environment.notes]
    for note in dict.fromkeys((*report.notes, *notes)):
        console.print(f"[dim]{escape(note)}[/]", soft_wrap=True)
    for file in files:
        console.print(f"Report: {escape(str(file))}", soft_wrap=True)


def _row(count: Count) -> Iterator[str]:
    """A row of the table, a line for each subject: whole paths can be copied from any terminal."""
    label = f"  {count.what:<23}{count.number:>4}  "
    rest = len(count.subjects) - _NAMED
    for subject in (*count.subjects[:_NAMED], *([f"and {rest} more"] if rest > 0 else [])):
        yield f"{label}{subject}"
        label = " " * len(label)
