"""What a report says in which order, in whatever format: groups, sorted by what deserves attention first."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from ops.review.cost import CostLine
from ops.review.exposure import Door
from ops.review.findings import Finding, Suppression
from ops.review.intrinsics import Readable, Reference
from ops.review.model import EnvironmentReview, Grade, PropertyChange, ResourceChange, Review
from ops.review.parity import ParityRow
from ops.review.permissions import StatementChange
from ops.review.presentation.wording import ABSENT, delta, money
from ops.review.protection import ProtectionRow


@dataclass(frozen=True)
class StackChanges:
    """The changes to one stack."""

    name: str
    changes: tuple[ResourceChange, ...]
    """Those with an effect, most severe first."""
    without_effect: tuple[ResourceChange, ...]

    @property
    def severity(self) -> int:
        """That of the most severe change."""
        return max((change.grade.severity for change in self.changes), default=0)


@dataclass(frozen=True)
class PrincipalChanges:
    """The changes to what one principal may do, or to who may act as it."""

    principal: str
    statements: tuple[StatementChange, ...]
    trusts: tuple[StatementChange, ...]

    @property
    def opens(self) -> bool:
        """Whether anything is allowed that was not."""
        return any(statement.widens for statement in (*self.statements, *self.trusts))


@dataclass(frozen=True)
class Glance:
    """One environment in numbers."""

    environment: str
    compared: bool
    grades: dict[Grade, int]
    widened: int
    opened: int
    weaker: int
    new_findings: int
    before: Decimal | None
    after: Decimal


def by_stack(environment: EnvironmentReview) -> tuple[StackChanges, ...]:
    """Return the changes of `environment` by stack: the stack with the most severe change first.

    What is added or removed has all its properties.
    """
    before = None if environment.before is None else Readable(environment.before)
    after = Readable(environment.after)
    grouped: dict[str, list[ResourceChange]] = {}
    for change in environment.changes:
        side = after if change.action == "add" else before if change.action == "remove" else None
        shown = change if side is None or change.properties else _defined(change, side)
        grouped.setdefault(change.stack, []).append(shown)
    stacks = (
        StackChanges(
            name=stack,
            changes=tuple(
                sorted(
                    (change for change in changes if change.grade is not Grade.NO_EFFECT),
                    key=lambda change: (-change.grade.severity, change.path, change.logical_id),
                )
            ),
            without_effect=tuple(change for change in changes if change.grade is Grade.NO_EFFECT),
        )
        for stack, changes in grouped.items()
    )
    return tuple(sorted(stacks, key=lambda stack: (-stack.severity, stack.name)))


def _defined(change: ResourceChange, side: Readable) -> ResourceChange:
    """Return the change with the properties that the resource begins or ends with."""
    resource = side.resource(Reference(change.stack, change.logical_id, change.path))
    values = {
        f"Properties.{name}": side.value(found, change.stack) for name, found in resource.properties.items()
    }
    if resource.deletion_policy is not None:
        values["DeletionPolicy"] = resource.deletion_policy
    added = change.action == "add"
    properties = (
        PropertyChange(path, None if added else found, found if added else None)
        for path, found in values.items()
    )
    return replace(change, properties=tuple(properties))


def telling(change: ResourceChange) -> tuple[PropertyChange, ...]:
    """The property changes that have an effect, those that replace first."""
    order = {"yes": 0, "conditionally": 1, "no": 2}
    return tuple(sorted((p for p in change.properties if not p.noise), key=lambda p: order[p.replaces]))


def noise(change: ResourceChange) -> tuple[PropertyChange, ...]:
    """The property changes without an effect."""
    return tuple(found for found in change.properties if found.noise)


def by_principal(environment: EnvironmentReview) -> tuple[PrincipalChanges, ...]:
    """Return the permission changes by principal: those that open something first."""
    permissions: dict[str, list[StatementChange]] = {}
    trusts: dict[str, list[StatementChange]] = {}
    for grouped, changes in (
        (permissions, environment.permissions.statements),
        (trusts, environment.permissions.trusts),
    ):
        for statement in changes:
            grouped.setdefault(statement.principal, []).append(statement)
    groups = (
        PrincipalChanges(
            principal,
            tuple(sorted(permissions.get(principal, ()), key=_statement_order)),
            tuple(sorted(trusts.get(principal, ()), key=_statement_order)),
        )
        for principal in {**permissions, **trusts}
    )
    return tuple(sorted(groups, key=lambda group: (not group.opens, group.principal)))


def _statement_order(statement: StatementChange) -> tuple[bool, bool, str]:
    return not statement.widens, not statement.alarms, statement.source


def doors(environment: EnvironmentReview) -> tuple[tuple[Door, ...], tuple[Door, ...]]:
    """Return the ways in that the change opens, and all others: open as before, or closed by it."""
    found = environment.permissions.doors
    return tuple(d for d in found if d.state == "opened"), tuple(d for d in found if d.state != "opened")


@dataclass(frozen=True)
class ProtectionGroups:
    """The rows of the protection table."""

    changed: tuple[ProtectionRow, ...]
    """What changes, what gets weaker first; without anything to compare with, what is not protected."""
    unprotected: tuple[ProtectionRow, ...]
    """What is not as it should be, and was not before."""
    fine: tuple[ProtectionRow, ...]


def protection_groups(environment: EnvironmentReview) -> ProtectionGroups:
    """Return the protection of `environment`, by what it asks of a reader."""
    rows = environment.protection.rows
    if environment.before is None:
        changed = [row for row in rows if not row.ok]
    else:
        changed = [row for row in rows if row.weaker or row.before != row.after]
    rest = [row for row in rows if row not in changed]
    return ProtectionGroups(
        changed=tuple(sorted(changed, key=lambda row: (not row.weaker, row.ok, row.subject, row.aspect))),
        unprotected=tuple(row for row in rest if not row.ok),
        fine=tuple(row for row in rest if row.ok),
    )


def cost_lines(environment: EnvironmentReview) -> tuple[tuple[CostLine, ...], tuple[CostLine, ...]]:
    """Return the lines that change, dearest first, and the others; all of them where nothing is compared."""
    lines = sorted(
        environment.cost.lines,
        key=lambda line: (-max(line.after or Decimal(0), line.before or Decimal(0)), line.subject),
    )
    if environment.cost.monthly_before is None:
        return tuple(lines), ()
    changed = tuple(line for line in lines if line.before != line.after)
    return changed, tuple(line for line in lines if line.before == line.after)


def new_first(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return the new findings, and those that were there before."""
    found = tuple(findings)
    return tuple(f for f in found if f.new), tuple(f for f in found if not f.new)


def new_suppressions(
    suppressions: Iterable[Suppression],
) -> tuple[tuple[Suppression, ...], tuple[Suppression, ...]]:
    """Return the new suppressions, and those that were there before."""
    found = tuple(suppressions)
    return tuple(s for s in found if s.new), tuple(s for s in found if not s.new)


@dataclass(frozen=True)
class ParityGroups:
    """The rows of the parity table."""

    unexplained: tuple[ParityRow, ...]
    explained: tuple[ParityRow, ...]
    alike: tuple[ParityRow, ...]


def parity_groups(review: Review) -> ParityGroups:
    """Return what differs without a reason, what differs with one, and what is alike."""
    rows = review.parity.rows
    return ParityGroups(
        unexplained=tuple(row for row in rows if row.differs and not row.explained),
        explained=tuple(row for row in rows if row.differs and row.explained),
        alike=tuple(row for row in rows if not row.differs),
    )


def said(review: Review) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the verdict's sentences by environment; those on several environments under an empty name."""
    names = [environment.name for environment in review.environments]
    grouped: dict[str, list[str]] = {}
    for sentence in review.verdict.sentences:
        name = next((name for name in names if name and sentence.startswith(f"{name}: ")), "")
        text = sentence.removeprefix(f"{name}: ") if name else sentence
        grouped.setdefault(name, []).append(text[:1].upper() + text[1:])
    return tuple((name, tuple(sentences)) for name, sentences in grouped.items())


def glances(review: Review) -> tuple[Glance, ...]:
    """Return each environment in numbers, in the review's order."""
    return tuple(_glance(environment) for environment in review.environments)


def _glance(environment: EnvironmentReview) -> Glance:
    permissions = environment.permissions
    return Glance(
        environment=environment.name,
        compared=environment.before is not None,
        grades={grade: sum(grade in change.grades for change in environment.changes) for grade in Grade},
        widened=sum(change.widens for change in (*permissions.statements, *permissions.trusts)),
        opened=len(permissions.opened),
        weaker=sum(row.weaker for row in environment.protection.rows),
        new_findings=sum(finding.new for finding in environment.findings.findings),
        before=environment.cost.monthly_before,
        after=environment.cost.monthly_after,
    )


def glance_rows(review: Review) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each environment in numbers, as rows of a table: a name, and a cell for each environment.

    Rows without any number are left out.
    """
    found = glances(review)
    rows = [
        (name, tuple(_number(glance.grades[grade]) for glance in found))
        for grade, name in _GLANCE_GRADES.items()
    ]
    rows += [
        ("permissions given", tuple(_number(glance.widened) for glance in found)),
        ("ways in opened", tuple(_number(glance.opened) for glance in found)),
        ("weaker protection", tuple(_number(glance.weaker) for glance in found)),
        ("new findings", tuple(_number(glance.new_findings) for glance in found)),
        ("cost a month, after", tuple(money(glance.after) for glance in found)),
        (
            "difference",
            tuple(
                ABSENT if glance.before is None else delta(glance.before, glance.after) for glance in found
            ),
        ),
    ]
    return tuple((name, cells) for name, cells in rows if set(cells) != {ABSENT})


_GLANCE_GRADES = {
    Grade.DATA_LOSS: "lose data",
    Grade.LIVE: "touch the live endpoint",
    Grade.REPLACED: "replaced",
    Grade.REMOVED: "removed",
    Grade.ADDED: "added",
    Grade.IN_PLACE: "changed in place",
    Grade.CODE: "code changed",
}


def _number(number: int) -> str:
    """A dash is easier to pass over than a zero."""
    return f"{number:,}" if number else ABSENT
