"""Values before and after, cut so that a reader sees what differs."""

import difflib
from dataclasses import dataclass
from typing import Any, Final, Literal

from ops.review.model import PropertyChange
from ops.review.presentation import wording

SHORT: Final = 160
"""Characters of a value that is shown without folding."""
_SHORT_LINES: Final = 5
_BEGINNING: Final = 60
_MOST_LINES: Final = 600
"""Comparing line by line takes quadratic time: longer values are shown whole, one after the other."""
_CONTEXT: Final = 2


@dataclass(frozen=True)
class Line:
    """One line of a comparison."""

    sign: Literal[" ", "+", "-", "…"]
    text: str


def is_long(text: str) -> bool:
    """Whether a value is better folded."""
    return len(text) > SHORT or text.count("\n") >= _SHORT_LINES


def first_words(text: str) -> str:
    """Return the beginning of a long value, in one line."""
    start = " ".join(text[:_BEGINNING].split())
    return f"{start}…" if len(text) > _BEGINNING else start


def difference_of(change: PropertyChange) -> wording.Difference:
    """Return the two values of a change as texts, cut where they begin and stop to differ."""
    before, after = wording.value(change.before), wording.value(change.after)
    if change.before is None or change.after is None:
        return wording.Difference("", before, after, "")
    return wording.difference(before, after)


def long_difference(change: PropertyChange) -> tuple[Line, ...]:
    """Return a line-by-line comparison if both values are there and one of them is long, else nothing."""
    before, after = _lines(change.before), _lines(change.after)
    lengths = len(before), len(after)
    if (
        change.before is None
        or change.after is None
        or not any(is_long(wording.value(value)) for value in (change.before, change.after))
    ):
        return ()
    if min(lengths) < 2 or max(lengths) > _MOST_LINES:
        return ()
    return tuple(_compared(before, after))


def _lines(value: Any) -> list[str]:
    return wording.value(value).splitlines()


def _compared(before: list[str], after: list[str]) -> list[Line]:
    lines: list[Line] = []
    shown = 0
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        if group[0][1] > shown:
            lines.append(Line("…", ""))
        for tag, start1, end1, start2, end2 in group:
            if tag == "equal":
                lines.extend(Line(" ", text) for text in before[start1:end1])
                continue
            lines.extend(Line("-", text) for text in before[start1:end1])
            lines.extend(Line("+", text) for text in after[start2:end2])
        shown = group[-1][2]
    if lines and shown < len(before):
        lines.append(Line("…", ""))
    return lines
