"""Which permissions a change gives and takes.

Statements are compared by what they permit, not by how they are written: each is a set of atoms (one action,
one resource, the conditions), and an atom is new only if nothing before covered it. Splitting, merging and
reordering statements is therefore no change, and `s3:GetObject` is no news to who had `s3:*`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ops.review.alarms import alarms_of, condition_alarms, trust_alarm
from ops.review.conditions import Condition, allows_all_of
from ops.review.exposure import Door, review_exposure
from ops.review.model import Assembly
from ops.review.policies import Statement, shown_reach, statements
from ops.review.wildcards import Reach

StatementChangeKind = Literal["added", "removed", "widened", "narrowed", "present"]


@dataclass(frozen=True)
class StatementChange:
    """A part of a statement that was not there before or is not there any more."""

    principal: str
    """Who is permitted: a role's path, `service lambda.amazonaws.com`, `account 111122223333`, `anyone`."""
    change: StatementChangeKind
    """`widened` and `narrowed` tell of access: a `Deny` that covers less is `widened`. `present` is said of
    everything when there is nothing to compare with."""
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: str
    source: str
    """The path of the policy."""
    alarms: tuple[str, ...] = ()

    @property
    def widens(self) -> bool:
        """Whether somebody may do what they might not before.

        A new role that a service may assume gives nothing by itself: what it may do is told of the role.
        """
        if self.effect == "Deny":
            return self.change in ("removed", "widened")
        new_role_of_service = self.principal.startswith("service ") and self.actions == ("sts:AssumeRole",)
        return self.change == "widened" or (self.change == "added" and not new_role_of_service)


@dataclass(frozen=True)
class PermissionsReview:
    """All changes of permissions, by principal; those that are as before are left out."""

    statements: tuple[StatementChange, ...] = ()
    trusts: tuple[StatementChange, ...] = ()
    """Who may assume a role: the principal is who is trusted, the resource is the role."""
    doors: tuple[Door, ...] = ()
    """What is open to the public or to other accounts, with what the change opens first."""
    compared: bool = True
    """False if there was nothing to compare with."""

    @property
    def widens(self) -> bool:
        """Whether anything is permitted that was not."""
        return any(change.widens for change in (*self.statements, *self.trusts))

    @property
    def opened(self) -> tuple[Door, ...]:
        """The doors that the change opens."""
        return tuple(door for door in self.doors if door.state == "opened")


def review_permissions(before: Assembly | None, after: Assembly) -> PermissionsReview:
    """Compare the permissions of two assemblies; without `before`, list those of `after`."""
    new = statements(after)
    changes = (
        [(_present(statement), statement.kind == "trust") for statement in new]
        if before is None
        else list(_changes(statements(before), new))
    )
    return PermissionsReview(
        statements=_ordered(change for change, trust in changes if not trust),
        trusts=_ordered(change for change, trust in changes if trust),
        doors=review_exposure(before, after),
        compared=before is not None,
    )


def _ordered(changes: Iterable[StatementChange]) -> tuple[StatementChange, ...]:
    return tuple(
        sorted(
            dict.fromkeys(changes),
            key=lambda change: (
                change.principal,
                not change.widens,
                change.source,
                change.effect,
                change.resources,
                change.actions,
                change.conditions,
                change.change,
            ),
        )
    )


@dataclass(frozen=True)
class _Atom:
    action: Reach
    resource: Reach
    conditions: frozenset[Condition]

    @property
    def order(self) -> tuple[Reach, Reach, list[Condition]]:
        return self.action, self.resource, sorted(self.conditions)

    def covers(self, other: "_Atom") -> bool:
        return self.covers_act(other) and allows_all_of(self.conditions, other.conditions)

    def covers_act(self, other: "_Atom") -> bool:
        return self.action.covers(other.action) and self.resource.covers(other.resource)

    def touches_act(self, other: "_Atom") -> bool:
        return self.action.touches(other.action) and self.resource.touches(other.resource)


def _atoms(statement: Statement) -> tuple[_Atom, ...]:
    conditions = frozenset(statement.conditions)
    actions = Reach(
        tuple(action.lower() for action in statement.actions.patterns), statement.actions.inverted
    )
    return tuple(
        _Atom(action, resource, conditions)
        for action in _parts(actions)
        for resource in _parts(statement.resources)
    )


def _parts(reach: Reach) -> tuple[Reach, ...]:
    return (reach,) if reach.inverted else tuple(Reach((pattern,)) for pattern in reach.patterns)


class _Group:
    """The statements of one side that can stand for one another: of one kind, about one principal."""

    def __init__(self, members: Iterable[Statement]) -> None:
        self.members = tuple(members)
        found = {atom for member in self.members for atom in _atoms(member)}
        self.atoms = tuple(sorted(found, key=lambda atom: atom.order))
        self.exact = frozenset(found)
        self._spelling = _spelling(self.members)

    @cached_property
    def widest(self) -> tuple[_Atom, ...]:
        """The atoms that no other covers; they cover all others."""
        kept: list[_Atom] = []
        for atom in self.atoms:
            if not any(mine.covers(atom) for mine in kept):
                kept = [mine for mine in kept if not atom.covers(mine)] + [atom]
        return tuple(kept)

    def cover(self, atom: _Atom) -> bool:
        return atom in self.exact or any(mine.covers(atom) for mine in self.widest)

    def lacks(self, statement: Statement) -> tuple[_Atom, ...]:
        """The atoms of `statement` that no member covers."""
        return tuple(atom for atom in _atoms(statement) if not self.cover(atom))

    def spelled(self, action: Reach) -> str:
        """An action as the members spell it."""
        patterns = tuple(self._spelling.get(pattern, pattern) for pattern in action.patterns)
        return " ".join(shown_reach(Reach(patterns, action.inverted)))


def _spelling(members: Iterable[Statement]) -> dict[str, str]:
    patterns = sorted({pattern for member in members for pattern in member.actions.patterns})
    return {pattern.lower(): pattern for pattern in patterns}


_Key = tuple[str, str, str, str]


def _grouped(members: Iterable[Statement]) -> dict[_Key, _Group]:
    found: dict[_Key, list[Statement]] = defaultdict(list)
    for statement in members:
        owner = statement.owner if statement.kind in ("resource", "trust") else ""
        found[statement.kind, statement.principal.label, owner, statement.effect].append(statement)
    return {key: _Group(group) for key, group in found.items()}


def _changes(
    before: tuple[Statement, ...], after: tuple[Statement, ...]
) -> Iterator[tuple[StatementChange, bool]]:
    old_groups, new_groups = _grouped(before), _grouped(after)
    known_roles = {statement.owner for statement in before if statement.kind == "trust"}
    for key in dict.fromkeys((*old_groups, *new_groups)):
        kind, _, owner, effect = key
        old, new = old_groups.get(key, _Group(())), new_groups.get(key, _Group(()))
        trust = kind == "trust"
        for statement in new.members:
            gained = old.lacks(statement)
            if not gained:
                continue
            grows = _goes_back_to(statement, gained, old, new) or (trust and owner in known_roles)
            change: StatementChangeKind = "widened" if grows else "added"
            if effect == "Deny":
                change = "narrowed" if grows else "added"
            for part in _rectangles(gained):
                news = _news(statement, part, old) if effect == "Allow" and grows else ()
                yield _change(statement, change, part, news), trust
        for statement in old.members:
            lost = new.lacks(statement)
            if not lost:
                continue
            remains = _goes_back_to(statement, lost, new, old)
            change = "narrowed" if remains else "removed"
            if effect == "Deny":
                change = "widened" if remains else "removed"
            for part in _rectangles(lost):
                yield _change(statement, change, part, _denial_alarms(statement, part, remains)), trust


def _goes_back_to(statement: Statement, atoms: tuple[_Atom, ...], other: _Group, own: _Group) -> bool:
    """Return whether `statement` of the group `own` is another version of one in `other`."""
    mine = frozenset(_atoms(statement))
    return any(
        theirs in mine or (theirs not in own.exact and any(atom.touches_act(theirs) for atom in atoms))
        for theirs in other.atoms
    )


def _rectangles(atoms: tuple[_Atom, ...]) -> list[tuple[_Atom, ...]]:
    """Split atoms into groups that are every one of some actions on every one of some resources."""
    resources: dict[Reach, set[Reach]] = defaultdict(set)
    for atom in atoms:
        resources[atom.action].add(atom.resource)
    groups: dict[frozenset[Reach], list[_Atom]] = defaultdict(list)
    for atom in atoms:
        groups[frozenset(resources[atom.action])].append(atom)
    return [tuple(group) for group in groups.values()]


def _change(
    statement: Statement, change: StatementChangeKind, atoms: tuple[_Atom, ...], news: tuple[str, ...]
) -> StatementChange:
    actions, resources = _written(statement, atoms)
    grants = statement.effect == "Allow" and change in ("added", "widened")
    return StatementChange(
        principal=statement.principal.label,
        change=change,
        effect=statement.effect,
        actions=tuple(sorted({text for action in actions for text in shown_reach(action)})),
        resources=tuple(sorted({text for resource in resources for text in shown_reach(resource)})),
        conditions="; ".join(str(condition) for condition in statement.conditions),
        source=statement.source,
        alarms=tuple(dict.fromkeys((*news, *(alarms_of(statement, actions, resources) if grants else ())))),
    )


def _written(statement: Statement, atoms: tuple[_Atom, ...]) -> tuple[tuple[Reach, ...], tuple[Reach, ...]]:
    """The actions (in the statement's own spelling) and the resources of `atoms`."""
    spelling = _spelling((statement,))
    actions = dict.fromkeys(
        Reach(tuple(spelling[pattern] for pattern in atom.action.patterns), atom.action.inverted)
        for atom in atoms
    )
    return tuple(actions), tuple(dict.fromkeys(atom.resource for atom in atoms))


def _present(statement: Statement) -> StatementChange:
    actions, resources = _parts(statement.actions), _parts(statement.resources)
    return StatementChange(
        principal=statement.principal.label,
        change="present",
        effect=statement.effect,
        actions=statement.shown_actions,
        resources=statement.shown_resources,
        conditions="; ".join(str(condition) for condition in statement.conditions),
        source=statement.source,
        alarms=alarms_of(statement, actions, resources) if statement.effect == "Allow" else (),
    )


def _news(statement: Statement, atoms: tuple[_Atom, ...], old: _Group) -> tuple[str, ...]:
    """What `atoms` permit beyond the statements in `old`, in words."""
    if statement.kind == "trust" and not old.atoms:
        return trust_alarm(statement)
    new = _Group((statement,))
    return tuple(dict.fromkeys(word for atom in atoms for word in _novelty(atom, old, new)))


def _novelty(atom: _Atom, old: _Group, new: _Group) -> tuple[str, ...]:
    action, resource = new.spelled(atom.action), " ".join(shown_reach(atom.resource))
    for mine in old.widest:
        if mine.covers_act(atom):
            return condition_alarms(mine.conditions, atom.conditions)
    for mine in old.widest:
        if mine.action.covers(atom.action) and atom.resource.covers(mine.resource):
            return (f"wider resource: {' '.join(shown_reach(mine.resource))} → {resource}",)
    for mine in old.widest:
        if atom.action.covers(mine.action) and atom.resource.touches(mine.resource):
            return (f"wider action: {old.spelled(mine.action)} → {action}",)
    if any(mine.action.covers(atom.action) for mine in old.widest):
        return (f"new resource: {resource}",)
    return (f"new action: {action}",)


def _denial_alarms(statement: Statement, atoms: tuple[_Atom, ...], remains: bool) -> tuple[str, ...]:
    if statement.effect != "Deny":
        return ()
    actions, _ = _written(statement, atoms)
    what = ", ".join(text for action in actions for text in shown_reach(action))
    return (f"Deny {'covers less' if remains else 'removed'}: {what}",)
