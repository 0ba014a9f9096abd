"""Show what a long command is doing: a spinner on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

_PLAIN_INTERVAL_SECONDS = 5.0
"""Where there is no terminal, at most one line in this time says how a step goes on."""


@contextmanager
def step(console: Console, title: str) -> Iterator[Callable[[str], None]]:
    """Show `title` while the block runs and its duration afterwards.

    The block calls the yielded function with what it is doing at the moment.
    """
    started = time.monotonic()
    if console.is_terminal:
        with console.status(f"[bold]{title}") as status:
            yield lambda message: status.update(
                f"[bold]{title}[/bold]  [dim]{escape(_short(console, title, message))}"
            )
    else:
        console.print(f"… {title}")
        shown = started

        def show(message: str) -> None:
            nonlocal shown
            if time.monotonic() - shown >= _PLAIN_INTERVAL_SECONDS:
                shown = time.monotonic()
                console.print(f"    {escape(_short(console, '', message))}", soft_wrap=True)

        yield show
    console.print(f"[green]✓[/green] {title} [dim]({time.monotonic() - started:.1f} s)")


def _short(console: Console, title: str, message: str) -> str:
    room = max(console.width - len(title) - 8, 20)
    line = " ".join(message.split())
    return line if len(line) <= room else f"{line[: room - 1]}…"
