"""The review as Markdown that fits a comment on a pull request.

What is long is folded. What does not fit is shown briefly or left out, and the report says what is missing.
"""

from collections import Counter
from itertools import accumulate
from typing import Final

from ops.review.model import Count, Review
from ops.review.presentation import sections, wording
from ops.review.presentation.budget import Fitted, fit
from ops.review.presentation.comment import SECTIONS, more, parts_of
from ops.review.presentation.github import code, prose

LIMIT: Final = 65_000
"""Characters; GitHub takes 65,536 in a comment."""

_RESERVE: Final = 2_000
"""Characters for what the end says about what is left out, and for the sections' titles."""
_MOST_NAMED: Final = 3
_MOST_ENVIRONMENTS: Final = 8

# Characters of what comes before the sections, so that they have room whatever the verdict says.
_SENTENCES_ROOM: Final = 10_000
_COUNTS_ROOM: Final = 12_000
_NOTES_ROOM: Final = 3_000


def to_markdown(review: Review) -> str:
    """Return `review` as GitHub's Markdown of at most `LIMIT` characters."""
    head = _head(review)
    fitted = fit(parts_of(review), LIMIT - len(head) - _RESERVE)
    blocks = [head]
    for section in SECTIONS:
        shown = [_shown(each) for each in fitted if each.part.section == section and each.texts]
        if shown:
            blocks += [f"### {section}", *shown]
    blocks.append(_foot(fitted))
    return "\n\n".join(blocks) + "\n"


def _head(review: Review) -> str:
    verdict = review.verdict
    blocks = [
        f"## Infrastructure review: {wording.LEVELS[verdict.level].lower()}",
        f"{code(review.base, longest=120)} → {code(review.head, longest=120)}",
    ]
    said = [(name, prose(text, longest=500)) for name, texts in sections.said(review) for text in texts]
    shown = _first([text for _, text in said], _SENTENCES_ROOM)
    for name in dict.fromkeys(name for name, _ in said[: len(shown)]):
        bold = [f"**{prose(name)}**"] if name and len(review.environments) > 1 else []
        blocks.append(" ".join([*bold, *(text for each, text in said[: len(shown)] if each == name)]))
    blocks += more(len(said) - len(shown), "more sentences in the HTML report")
    if verdict.counts:
        lines = [_count(row) for row in verdict.counts]
        shown = _first(lines, _COUNTS_ROOM)
        blocks.append("\n".join(["| What | How many | Which |", "| --- | --: | --- |", *shown]))
        blocks += more(len(lines) - len(shown), "more rows in the HTML report")
    blocks += [_environments(review)] if len(review.environments) > 1 else []
    notes = [f"- {prose(note, longest=300)}" for note in review.notes]
    shown = _first(notes, _NOTES_ROOM)
    blocks += ["\n".join(shown)] if shown else []
    blocks += more(len(notes) - len(shown), "more notes in the HTML report")
    return "\n\n".join(blocks)


def _first(texts: list[str], room: int) -> list[str]:
    """As many of `texts`, from the first, as have at most `room` characters together."""
    sizes = accumulate(len(text) + 2 for text in texts)
    return [text for text, size in zip(texts, sizes, strict=True) if size <= room]


def _count(row: Count) -> str:
    return f"| {prose(row.what, longest=80)} | {row.number:,} | {_named(row.subjects)} |"


def _named(subjects: tuple[str, ...]) -> str:
    named = [code(subject, longest=100) for subject in subjects[:_MOST_NAMED]]
    return "<br>".join([*named, *more(len(subjects) - _MOST_NAMED, "more")])


def _environments(review: Review) -> str:
    names = [code(environment.name, longest=60) for environment in review.environments[:_MOST_ENVIRONMENTS]]
    rows = [
        f"| {name} | {' | '.join(prose(cell) for cell in cells[:_MOST_ENVIRONMENTS])} |"
        for name, cells in sections.glance_rows(review)
    ]
    heads = [f"| | {' | '.join(names)} |", f"| --- |{' --: |' * len(names)}"]
    missing = more(len(review.environments) - len(names), "more environments in the HTML report")
    return "\n\n".join(["\n".join([*heads, *rows]), *missing])


def _shown(fitted: Fitted) -> str:
    part = fitted.part
    missing = (
        f"\n\n*Left out here: {_lacks(fitted.missing, fitted.shortened, part.unit)}.*"
        if not fitted.whole
        else ""
    )
    return f"{part.opening}{part.separator.join(fitted.texts)}{missing}{part.closing}"


def _foot(fitted: tuple[Fitted, ...]) -> str:
    missing: Counter[tuple[str, tuple[str, str]]] = Counter()
    shortened: Counter[tuple[str, tuple[str, str]]] = Counter()
    for each in fitted:
        name = each.part.section, each.part.unit
        missing[name] += each.missing
        shortened[name] += each.shortened
    lacking = [name for name in missing if missing[name] or shortened[name]]
    if not lacking:
        return "<sub>Made from synthesized templates alone.</sub>"
    parts = "; ".join(_lacks(missing[name], shortened[name], name[1]) for name in lacking)
    return (
        f"**Left out, to fit a comment:** {parts}. The HTML report has everything.\n\n"
        "<sub>Made from synthesized templates alone.</sub>"
    )


def _lacks(missing: int, shortened: int, unit: tuple[str, str]) -> str:
    said = [wording.count(missing, *unit)] if missing else []
    said += [f"the details of {wording.count(shortened, *unit)}"] if shortened else []
    return " and ".join(said)
