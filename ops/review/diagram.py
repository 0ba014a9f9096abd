"""The picture of one environment: what there is, how data flows, and what the change does to it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ops.review.model import EnvironmentReview, Grade, ResourceChange
from ops.review.presentation.flows import Box, Direction, Flow, Flows, flows_of, key
from ops.review.presentation.kinds import kind

MOST_NODES: Final = 48
"""A picture with more boxes than this is not read; the others are counted."""


class State(StrEnum):
    """What the change does to a box or an arrow."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    ADDED = "added"
    REPLACED = "replaced"
    REMOVED = "removed"
    DATA_LOSS = "data loss"


@dataclass(frozen=True)
class Node:
    """One box."""

    id: str
    """`n1`, `n2`, …: unique in the diagram and safe in any syntax."""
    group: str
    label: str
    """The construct's path within its stack."""
    kind: str
    state: State
    live: bool
    """Whether the change touches what serves traffic."""
    note: str
    """What else changes: parts such as its role or its log group."""


@dataclass(frozen=True)
class Edge:
    """One arrow."""

    source: str
    target: str
    label: str
    direction: Direction
    state: State


@dataclass(frozen=True)
class Group:
    """One stack."""

    id: str
    title: str
    note: str
    """What the stack has beside its boxes, in words; empty if nothing that changes."""


@dataclass(frozen=True)
class Diagram:
    """Boxes in groups, and arrows between them."""

    title: str
    groups: tuple[Group, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    left_out: str
    """What is not drawn, in words; empty if everything that matters is."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every arrow in words."""
        labels = {node.id: node.label for node in self.nodes}
        return tuple(
            f"{labels[edge.source]} {edge.label} {labels[edge.target]}"
            f"{'' if edge.state is State.UNCHANGED else f' ({edge.state})'}"
            for edge in self.edges
        )

    @property
    def description(self) -> str:
        """The picture in one sentence, for those who do not see it."""
        states = Counter(node.state for node in self.nodes)
        changing = [state for state in State if states[state] and state is not State.UNCHANGED]
        changes = ", ".join(f"{states[state]} {state}" for state in changing)
        shown = f"{_count(len(self.nodes), 'resource')} in {_count(len(self.groups), 'stack')}"
        return f"{shown}, {_count(len(self.edges), 'flow')} between them; {changes or 'none changes'}."


def diagram_of(environment: EnvironmentReview) -> Diagram:
    """Return the picture of `environment`, with what is removed still in it."""
    after = flows_of(environment.after)
    before = flows_of(environment.before) if environment.before is not None else None
    return _Artist(environment, before, after).draw()


class _Artist:
    def __init__(self, environment: EnvironmentReview, before: Flows | None, after: Flows) -> None:
        self._environment = environment
        self._after = after
        self._before = before
        self._renamed = _renamed(before, after) if before else {}
        gone = {k: box for k, box in before.boxes.items() if k not in self._renamed} if before else {}
        self._boxes: dict[str, Box] = {**gone, **after.boxes}
        self._changes = {
            key(change.stack, change.logical_id): change
            for change in environment.changes
            if change.grade is not Grade.NO_EFFECT
        }
        self._parts, self._elsewhere = self._changed_parts()

    def draw(self) -> Diagram:
        flows = self._flows()
        shown = self._chosen(flows)
        ids = {box: f"n{number}" for number, box in enumerate(shown, start=1)}
        nodes = tuple(self._node(self._boxes[box], identity) for box, identity in ids.items())
        edges = tuple(
            Edge(ids[flow.source], ids[flow.target], flow.label, flow.direction, state)
            for flow, state in flows
            if flow.source in ids and flow.target in ids
        )
        return Diagram(
            title=f"{self._environment.name}: resources and data flow",
            groups=tuple(self._groups({self._boxes[box].stack for box in shown})),
            nodes=nodes,
            edges=edges,
            left_out=self._left_out(set(self._boxes) - set(shown)),
        )

    def _changed_parts(self) -> tuple[dict[str, list[ResourceChange]], dict[str, list[ResourceChange]]]:
        """Changes of what is no box: by the box that it is a part of, and by stack if there is none."""
        parts: dict[str, list[ResourceChange]] = {}
        elsewhere: dict[str, list[ResourceChange]] = {}
        for changed, change in self._changes.items():
            if changed in self._boxes:
                continue
            owners = self._after.owners.get(changed) or (
                self._before.owners.get(changed, ()) if self._before else ()
            )
            for owner in dict.fromkeys(self._now(owner) for owner in owners):
                parts.setdefault(owner, []).append(change)
            if not owners:
                elsewhere.setdefault(change.stack, []).append(change)
        return parts, elsewhere

    def _flows(self) -> list[tuple[Flow, State]]:
        """All flows, old and new. One that only turned round, or is called otherwise, is the same flow."""
        now = {_ends(flow): flow for flow in self._after.flows}
        then = {_ends(flow): flow for flow in map(self._as_now, self._before.flows)} if self._before else now
        flows = [(flow, State.UNCHANGED if ends in then else State.ADDED) for ends, flow in now.items()]
        flows += [(flow, State.REMOVED) for ends, flow in then.items() if ends not in now]
        return sorted(flows)

    def _as_now(self, flow: Flow) -> Flow:
        return replace(flow, source=self._now(flow.source), target=self._now(flow.target))

    def _now(self, box: str) -> str:
        return self._renamed.get(box, box)

    def _chosen(self, flows: list[tuple[Flow, State]]) -> list[str]:
        """The boxes to draw: all, or those that change and those that something flows through."""
        connected = {end for flow, _ in flows for end in (flow.source, flow.target)}
        by_worth = sorted(
            self._boxes,
            key=lambda box: (self._state(box) is State.UNCHANGED, box not in connected),
        )
        chosen = set(by_worth[:MOST_NODES])
        return [box for box in sorted(self._boxes, key=lambda box: self._boxes[box].stack) if box in chosen]

    def _state(self, box: str) -> State:
        change = self._changes.get(box)
        if change is None:
            return State.CHANGED if self._parts.get(box) else State.UNCHANGED
        for grade, state in _STATES.items():
            if grade in change.grades:
                return state
        return State.CHANGED

    def _node(self, box: Box, identity: str) -> Node:
        change = self._changes.get(box.key)
        parts = self._parts.get(box.key, [])
        grades = {grade for found in (change, *parts) if found is not None for grade in found.grades}
        return Node(
            id=identity,
            group=box.stack,
            label=box.path.removeprefix(f"{box.stack}/"),
            kind=box.kind,
            state=self._state(box.key),
            live=Grade.LIVE in grades,
            note=_parts_note(parts),
        )

    def _groups(self, drawn: set[str]) -> Iterator[Group]:
        stacks = {**(self._environment.before.stacks if self._environment.before else {})}
        stacks.update(self._environment.after.stacks)
        for stack in sorted({*drawn, *self._elsewhere}):
            changes = self._elsewhere.get(stack, [])
            note = f"and beside the boxes: {_parts_note(changes)}" if changes else ""
            yield Group(stack, stacks[stack].name if stack in stacks else stack, note)

    def _left_out(self, boxes: set[str]) -> str:
        if not boxes:
            return ""
        kinds = Counter(self._boxes[box].kind for box in boxes)
        changed = sum(self._state(box) is not State.UNCHANGED for box in boxes)
        named = ", ".join(f"{number} × {name}" for name, number in sorted(kinds.items())[:8])
        more = "" if len(kinds) <= 8 else f" and {_count(len(kinds) - 8, 'more kind')}"
        changes = f"; {_count(changed, 'of them changes', 'of them change')}" if changed else ""
        return f"Not drawn: {_count(len(boxes), 'resource')} ({named}{more}){changes}."


def _ends(flow: Flow) -> frozenset[str]:
    return frozenset((flow.source, flow.target))


def _renamed(before: Flows, after: Flows) -> dict[str, str]:
    """Boxes that have another logical id now, by the key that they had."""
    by_path = {(box.stack, box.path): box.key for box in after.boxes.values()}
    pairs = ((box.key, by_path.get((box.stack, box.path))) for box in before.boxes.values())
    return {old: new for old, new in pairs if new is not None and old not in after.boxes}


_STATES: Final = {
    Grade.DATA_LOSS: State.DATA_LOSS,
    Grade.REMOVED: State.REMOVED,
    Grade.REPLACED: State.REPLACED,
    Grade.ADDED: State.ADDED,
}


def _parts_note(parts: list[ResourceChange]) -> str:
    verbs = {_VERBS[part.action] for part in parts}
    return f"{_kinds(parts)} {verbs.pop() if len(verbs) == 1 else 'changed'}" if parts else ""


_VERBS: Final = {"add": "added", "change": "changed", "remove": "removed"}


def _kinds(changes: list[ResourceChange]) -> str:
    counts = Counter(kind(change.type) for change in changes)
    return ", ".join(name if number == 1 else f"{number} × {name}" for name, number in sorted(counts.items()))


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
