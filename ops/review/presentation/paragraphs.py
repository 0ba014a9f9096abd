"""Values before and after, cut so that a reader sees what differs."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ops.review.model import PropertyChange
from ops.review.presentation import wording

SHORT: Final = 160
"""Characters of a value that is shown without folding."""
_SHORT_LINES: Final = 5
_BEGINNING: Final = 60
_MOST_LINES: Final = 150
"""Comparing takes quadratic time: of more lines than this, all old ones come before all new ones."""
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
    if change.before is None or change.after is None:
        return ()
    values = wording.value(change.before), wording.value(change.after)
    before, after = (value.split("\n") for value in values)
    if not any(is_long(value) for value in values) or min(len(before), len(after)) < 2:
        return ()
    return tuple(_near_changes(list(_compared(before, after))))


def _compared(before: list[str], after: list[str]) -> Iterator[Line]:
    shortest = min(len(before), len(after))
    first = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    rest = shortest - first
    last = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    yield from (Line(" ", text) for text in before[:first])
    yield from _middle(before[first : len(before) - last], after[first : len(after) - last])
    yield from (Line(" ", text) for text in before[len(before) - last :])


def _middle(before: list[str], after: list[str]) -> Iterator[Line]:
    if max(len(before), len(after)) > _MOST_LINES:
        yield from (Line("-", text) for text in before)
        yield from (Line("+", text) for text in after)
        return
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, start1, end1, start2, end2 in matcher.get_opcodes():
        if kind == "equal":
            yield from (Line(" ", text) for text in before[start1:end1])
        else:
            yield from (Line("-", text) for text in before[start1:end1])
            yield from (Line("+", text) for text in after[start2:end2])


def _near_changes(lines: list[Line]) -> Iterator[Line]:
    """The lines that differ and a few around them; `…` stands for those between."""
    changed = [number for number, line in enumerate(lines) if line.sign != " "]
    near = {n for number in changed for n in range(number - _CONTEXT, number + _CONTEXT + 1)}
    skipping = False
    for number, line in enumerate(lines):
        if number in near:
            yield line
        elif not skipping:
            yield Line("…", "")
        skipping = number not in near
