import io

import pytest
from rich.console import Console

from ops import progress


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=60)


def output(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_step_says_that_it_began_and_how_long_it_took() -> None:
    console = plain_console()
    with progress.step(console, "Counting"):
        assert "… Counting" in output(console)
    assert "✓ Counting (" in output(console)


def test_without_a_terminal_messages_are_lines_but_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    console = plain_console()
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.step(console, "Counting") as show:
        show("at once")
        now[0] += progress._PLAIN_INTERVAL_SECONDS
        show("[bold] is text here")
        show("straight after")
    assert "at once" not in output(console)
    assert "[bold] is text here" in output(console)
    assert "straight after" not in output(console)


def test_a_failed_step_is_not_ticked_off() -> None:
    console = plain_console()
    with pytest.raises(ValueError, match="stop"), progress.step(console, "Counting"):
        raise ValueError("stop")
    assert "✓" not in output(console)
