"""How a report says things: money, values, paths, grades. The same words in every format."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ops.review.model import Grade, Level, PropertyChange, Replaces

ABSENT: Final = "—"
"""Stands for a value that is not there."""

GRADES: Final[Mapping[Grade, str]] = {
    Grade.NO_EFFECT: "no effect",
    Grade.IN_PLACE: "changed in place",
    Grade.CODE: "code changed",
    Grade.ADDED: "added",
    Grade.REMOVED: "removed",
    Grade.REPLACED: "replaced",
    Grade.LIVE: "live endpoint",
    Grade.DATA_LOSS: "data loss",
}

SIGNS: Final[Mapping[Grade, str]] = {
    Grade.NO_EFFECT: "=",
    Grade.IN_PLACE: "~",
    Grade.CODE: "~",
    Grade.ADDED: "+",
    Grade.REMOVED: "−",  # noqa: RUF001 - as wide as the plus
    Grade.REPLACED: "↻",
    Grade.LIVE: "●",
    Grade.DATA_LOSS: "!",
}
"""What tells the grades apart without colour, beside the words."""

LEVELS: Final[Mapping[Level, str]] = {
    "nothing": "Nothing changes",
    "routine": "Routine",
    "attention": "Needs attention",
    "danger": "Danger",
}

REPLACES: Final[Mapping[Replaces, str]] = {
    "no": "",
    "conditionally": "may replace the resource",
    "yes": "replaces the resource",
}

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control characters, halves of characters, and those that turn the direction of what follows."""
_CENT: Final = Decimal("0.01")
_TENFOLD: Final = 10


def money(amount: Decimal | None) -> str:
    """Return an amount of dollars a month; `—` if there is none."""
    if amount is None:
        return ABSENT
    if amount == 0:
        return "$0.00"
    sign = "-" if amount < 0 else ""
    if abs(amount) < _CENT:
        return f"{sign}<$0.01"
    return f"{sign}${abs(amount):,.2f}"


def delta(before: Decimal | None, after: Decimal | None) -> str:
    """Return the difference with its sign; empty if there is nothing to compare with."""
    difference = (after or Decimal(0)) - (before or Decimal(0))
    if before is None and after is None:
        return ""
    if difference == 0:
        return "no change"
    share = ""
    if before:
        ratio = difference / before
        share = f" ({ratio:+.0%})" if ratio < _TENFOLD else f" (×{(after or 0) / before:.0f})"
    sign = "+" if difference > 0 else ""
    return f"{sign}{money(difference)}{share}"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return `3 resources`, `1 resource`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def value(found: Any) -> str:
    """Return a property's value as text: what is structured as indented JSON."""
    if found is None:
        return ABSENT
    if isinstance(found, str):
        return found if found else '""'
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True, default=str)


def property_name(change: PropertyChange) -> str:
    """Return the path of a property without what all paths begin with."""
    return change.path.removeprefix("Properties.")


def printable(text: str) -> str:
    """Return `text` with a sign in place of each character that cannot be shown, or that hides others."""
    return _UNPRINTABLE.sub("\ufffd", text)


def within(path: str, stack: str) -> str:
    """Return a construct's path within its stack."""
    return path.removeprefix(f"{stack}/")


@dataclass(frozen=True)
class Difference:
    """Two texts, cut where they begin and stop to differ."""

    start: str
    before: str
    after: str
    end: str


def difference(before: str, after: str) -> Difference:
    """Return what differs between two texts, in whole words."""
    shortest = min(len(before), len(after))
    first = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    last = next((i for i in range(shortest - first) if before[-1 - i] != after[-1 - i]), shortest - first)
    while first and _in_word(before[first - 1]) and (_word_at(before, first) or _word_at(after, first)):
        first -= 1
    while (
        last
        and _in_word(before[len(before) - last])
        and (_word_at(before, len(before) - last - 1) or _word_at(after, len(after) - last - 1))
    ):
        last -= 1
    return Difference(
        before[:first],
        before[first : len(before) - last],
        after[first : len(after) - last],
        before[len(before) - last :],
    )


def _in_word(character: str) -> bool:
    return character.isalnum()


def _word_at(text: str, position: int) -> bool:
    return 0 <= position < len(text) and _in_word(text[position])
