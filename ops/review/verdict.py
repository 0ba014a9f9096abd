"""The paragraph and the table that a busy reviewer reads first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from ops.review.model import Count, EnvironmentReview, Grade, Level, ResourceChange, Verdict
from ops.review.permissions import StatementChange

_NAMED = 3
"""How many resources a sentence names before it counts the rest."""


def judge(environments: Sequence[EnvironmentReview]) -> Verdict:
    """Return the verdict on `environments`."""
    counts = tuple(_counts(environments))
    compared = [environment for environment in environments if environment.before is not None]
    return Verdict(
        level=_level(environments, compared),
        sentences=tuple(_sentences(environments, compared)),
        counts=counts,
    )


def cost_increase(environment: EnvironmentReview) -> Decimal:
    """Return how much more `environment` costs in a month; zero if there is nothing to compare with."""
    before = environment.cost.monthly_before
    return Decimal(0) if before is None else environment.cost.monthly_after - before


def widened(environment: EnvironmentReview) -> list[StatementChange]:
    """Return the statements and trusts that permit what was not permitted before."""
    permissions = environment.permissions
    return [change for change in (*permissions.statements, *permissions.trusts) if change.widens]


def permission(change: StatementChange) -> str:
    """Return who may do what on what, in one line."""
    rest = len(change.resources) - 1
    where = "".join((*change.resources[:1], f" and {rest} more" if rest > 0 else ""))
    return f"{change.principal}: {', '.join(change.actions)} on {where or 'nothing named'}"


def effective(environment: EnvironmentReview) -> list[ResourceChange]:
    """Return the changes that have an effect."""
    return [change for change in environment.changes if change.grade is not Grade.NO_EFFECT]


def _level(environments: Sequence[EnvironmentReview], compared: Sequence[EnvironmentReview]) -> Level:
    if not environments or not compared:
        return "attention"
    return max((_environment_level(each) for each in compared), key=_LEVELS.index)


def _environment_level(environment: EnvironmentReview) -> Level:
    changes = effective(environment)
    grades = {grade for change in changes for grade in change.grades}
    opened = any(door.public for door in environment.permissions.opened)
    if Grade.DATA_LOSS in grades or opened or any(change.fails for change in changes) or environment.refusals:
        return "danger"
    if (
        grades & {Grade.LIVE, Grade.REPLACED, Grade.REMOVED}
        or environment.permissions.opened
        or environment.permissions.widens
        or environment.protection.weaker
        or environment.findings.new_findings
        or environment.findings.new_suppressions
        or cost_increase(environment) > 0
    ):
        return "attention"
    return "routine" if changes else "nothing"


_LEVELS: tuple[Level, ...] = ("nothing", "routine", "attention", "danger")


def _sentences(
    environments: Sequence[EnvironmentReview], compared: Sequence[EnvironmentReview]
) -> Iterator[str]:
    alone = [environment.name for environment in environments if environment.before is None]
    if alone:
        verb = "is" if len(alone) == 1 else "are"
        yield f"{_listed(alone)} {verb} reviewed alone: there is nothing to compare with."
    said: dict[str, list[str]] = {}
    for environment in compared:
        for sentence in _says(environment) or ["nothing that runs changes."]:
            said.setdefault(sentence, []).append(environment.name)
    yield from (f"{_listed(names)}: {sentence}" for sentence, names in said.items())


def _says(environment: EnvironmentReview) -> list[str]:
    return [sentence for topic in _TOPICS for sentence in topic(environment)]


def _refused(environment: EnvironmentReview) -> Iterator[str]:
    changes = [change for change in effective(environment) if change.fails]
    if changes:
        yield f"CloudFormation will refuse the update of {_paths(changes)}."
    yield from environment.refusals


def _lost(environment: EnvironmentReview) -> Iterator[str]:
    changes = _graded(environment, Grade.DATA_LOSS)
    if changes:
        yield f"data can be lost with {_paths(changes)}."


def _live(environment: EnvironmentReview) -> Iterator[str]:
    changes = _graded(environment, Grade.LIVE)
    if changes:
        yield f"the change touches what serves traffic: {_paths(changes)}."


def _resources(environment: EnvironmentReview) -> Iterator[str]:
    changes = effective(environment)
    parts = [
        _counted(len(found), "resource", verb)
        for verb, found in (
            ("added", [change for change in changes if change.action == "add"]),
            ("removed", [change for change in changes if change.action == "remove"]),
            ("replaced", [change for change in changes if Grade.REPLACED in change.grades]),
            ("changed in place", [change for change in changes if Grade.IN_PLACE in change.grades]),
            ("changed in code only", [change for change in changes if Grade.CODE in change.grades]),
        )
        if found
    ]
    if parts:
        yield f"{_listed(parts)}."


def _doors(environment: EnvironmentReview) -> Iterator[str]:
    opened = environment.permissions.opened
    if opened:
        doors = "; ".join(dict.fromkeys(f"{door.subject}: {door.what}" for door in opened[:_NAMED]))
        yield f"{_counted(len(opened), 'door', 'opened')} ({doors}{_rest(len(opened))})."
    who = list(dict.fromkeys(change.principal for change in widened(environment)))
    if who:
        yield f"more is permitted to {_listed(who[:_NAMED])}{_rest(len(who))}."


def _protection(environment: EnvironmentReview) -> Iterator[str]:
    weaker = environment.protection.weaker
    if weaker:
        rows = "; ".join(f"{row.aspect} of {row.subject}" for row in weaker[:_NAMED])
        yield f"protection gets weaker: {rows}{_rest(len(weaker))}."


def _findings(environment: EnvironmentReview) -> Iterator[str]:
    new = environment.findings.new_findings
    if new:
        yield f"{_counted(len(new), 'finding', 'new')}."
    accepted = environment.findings.new_suppressions
    if accepted:
        yield f"{_counted(len(accepted), 'finding', 'newly suppressed')}."


def _cost(environment: EnvironmentReview) -> Iterator[str]:
    increase = cost_increase(environment)
    if increase:
        yield f"it costs {_money(increase)} a month {'more' if increase > 0 else 'less'}."


_TOPICS: tuple[Callable[[EnvironmentReview], Iterable[str]], ...] = (
    _refused,
    _lost,
    _doors,
    _live,
    _protection,
    _resources,
    _findings,
    _cost,
)


def _counts(environments: Sequence[EnvironmentReview]) -> Iterator[Count]:
    for what, subjects_of in _ROWS:
        subjects = [
            f"{environment.name}: {subject}" if len(environments) > 1 else subject
            for environment in environments
            if environment.before is not None
            for subject in subjects_of(environment)
        ]
        if subjects:
            yield Count(what=what, number=len(subjects), subjects=tuple(subjects))


def _subjects_of_grade(grade: Grade) -> Callable[[EnvironmentReview], list[str]]:
    return lambda environment: [change.path for change in _graded(environment, grade)]


def _cost_subject(environment: EnvironmentReview) -> list[str]:
    increase = cost_increase(environment)
    return [f"{_money(increase)} a month"] if increase > 0 else []


_ROWS: tuple[tuple[str, Callable[[EnvironmentReview], list[str]]], ...] = (
    (
        "CloudFormation refuses",
        lambda environment: [
            *(change.path for change in effective(environment) if change.fails),
            *environment.refusals,
        ],
    ),
    ("Data loss", _subjects_of_grade(Grade.DATA_LOSS)),
    ("Live endpoint touched", _subjects_of_grade(Grade.LIVE)),
    ("Replaced", _subjects_of_grade(Grade.REPLACED)),
    ("Removed", _subjects_of_grade(Grade.REMOVED)),
    ("Added", _subjects_of_grade(Grade.ADDED)),
    ("Changed in place", _subjects_of_grade(Grade.IN_PLACE)),
    ("Code only", _subjects_of_grade(Grade.CODE)),
    ("Doors opened", lambda environment: [door.subject for door in environment.permissions.opened]),
    (
        "Permissions widened",
        lambda environment: [permission(change) for change in widened(environment)],
    ),
    (
        "Protection weaker",
        lambda environment: [f"{row.subject}: {row.aspect}" for row in environment.protection.weaker],
    ),
    (
        "New findings",
        lambda environment: [
            f"{finding.resource}: {finding.rule}" for finding in environment.findings.new_findings
        ],
    ),
    (
        "New suppressions",
        lambda environment: [
            f"{item.resource}: {item.rule}" for item in environment.findings.new_suppressions
        ],
    ),
    ("Costs more", _cost_subject),
)
"""The table's rows, and what each counts."""


def _graded(environment: EnvironmentReview, grade: Grade) -> list[ResourceChange]:
    return [change for change in environment.changes if grade in change.grades]


def _paths(changes: Sequence[ResourceChange]) -> str:
    return f"{', '.join(change.path for change in changes[:_NAMED])}{_rest(len(changes))}"


def _rest(number: int) -> str:
    return f" and {number - _NAMED} more" if number > _NAMED else ""


def _counted(number: int, noun: str, participle: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'} {participle}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _money(amount: Decimal) -> str:
    return f"USD {abs(amount):,.2f}"
