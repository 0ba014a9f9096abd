"""The review as Markdown that fits a comment on a pull request.

What is long is folded. What does not fit is shown briefly or left out, and the report says what is missing.
"""

from collections import Counter
from typing import Final

from ops.review.model import Review
from ops.review.presentation import sections, wording
from ops.review.presentation.budget import Fitted, fit
from ops.review.presentation.comment import SECTIONS, more, parts_of
from ops.review.presentation.github import code, prose, table

LIMIT: Final = 65_000
"""Characters; GitHub takes 65,536 in a comment."""

_RESERVE: Final = 2_000
"""Characters for what the end says about what is left out, and for the sections' titles."""
_MOST_SENTENCES: Final = 12
_MOST_COUNTS: Final = 24
_MOST_NAMED: Final = 3
_MOST_ENVIRONMENTS: Final = 8


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
    sentences = [prose(sentence, longest=500) for sentence in verdict.sentences[:_MOST_SENTENCES]]
    sentences += more(len(verdict.sentences) - _MOST_SENTENCES, "more in the full report")
    blocks.append(" ".join(sentences))
    if verdict.counts:
        rows = [
            [prose(row.what, longest=80), f"{row.number:,}", _named(row.subjects)]
            for row in verdict.counts[:_MOST_COUNTS]
        ]
        blocks.append(table(["What", "How many>", "Which"], rows))
    blocks += [_environments(review)] if len(review.environments) > 1 else []
    notes = [f"- {prose(note, longest=300)}" for note in review.notes[:_MOST_SENTENCES]]
    notes += [f"- {missing}" for missing in more(len(review.notes) - _MOST_SENTENCES, "more notes")]
    blocks += ["\n".join(notes)] if notes else []
    return "\n\n".join(blocks)


def _named(subjects: tuple[str, ...]) -> str:
    named = [code(subject, longest=100) for subject in subjects[:_MOST_NAMED]]
    return "<br>".join([*named, *more(len(subjects) - _MOST_NAMED, "more")])


def _environments(review: Review) -> str:
    names = [environment.name for environment in review.environments]
    shown = names[:_MOST_ENVIRONMENTS]
    rows = [
        [name, *(prose(cell) for cell in cells[:_MOST_ENVIRONMENTS])]
        for name, cells in sections.glance_rows(review)
    ]
    found = table(["", *(f"{code(name, longest=60)}>" for name in shown)], rows)
    missing = more(len(names) - len(shown), "more environments")
    return "\n\n".join([found, *missing])


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
