"""What differs between two assemblies, resource by resource, with grades."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from ops.review.differences import Difference, Value, differences
from ops.review.grading import grade, refusal
from ops.review.intrinsics import Readable
from ops.review.live import live_functions
from ops.review.model import Action, Assembly, PropertyChange, Resource, ResourceChange, Stack
from ops.review.noise import asset_only, noise
from ops.review.replacement import Draft, follow_references, replacement
from ops.review.schemas import Keys, ResourceSchema, schema_of

_ATTRIBUTES = (
    "Condition",
    "DependsOn",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "UpdatePolicy",
    "CreationPolicy",
    "Metadata",
)
"""What a template says about a resource beside `Type` and `Properties`."""


def compare(before: Assembly, after: Assembly) -> tuple[ResourceChange, ...]:
    """Return the resources that differ, in the order of their stacks and paths."""
    return _Comparison(before, after).changes()


def matched_stacks(before: Assembly, after: Assembly) -> list[tuple[Stack | None, Stack | None]]:
    """Pair the stacks of both assemblies by id, then by name."""
    names = {stack.name: stack for stack in before.stacks.values() if stack.id not in after.stacks}
    pairs: list[tuple[Stack | None, Stack | None]] = []
    for stack in after.stacks.values():
        pairs.append((before.stacks.get(stack.id) or names.pop(stack.name, None), stack))
    matched = {old.id for old, _ in pairs if old is not None}
    pairs.extend((stack, None) for stack in before.stacks.values() if stack.id not in matched)
    return pairs


class _Side:
    """One of the two assemblies."""

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.shown = Readable(assembly)
        self._identities = Readable(assembly, identities=True)
        self.live_functions = live_functions(assembly, self.shown)

    def value(self, resource: Resource, attribute: str) -> Value:
        raw = resource.definition.get(attribute, {} if attribute == "Properties" else None)
        if attribute == "DependsOn":
            raw = sorted(resource.depends_on) or None
        return Value(
            self._identities.value(raw, resource.stack),
            self.shown.value(raw, resource.stack),
        )


class _Comparison:
    def __init__(self, before: Assembly, after: Assembly) -> None:
        self._before, self._after = _Side(before), _Side(after)
        self._functions = self._before.live_functions | self._after.live_functions

    def changes(self) -> tuple[ResourceChange, ...]:
        drafts = [
            draft
            for old, new in matched_stacks(self._before.assembly, self._after.assembly)
            for draft in self._drafts(old, new)
        ]
        kept = {
            (draft.after.stack, draft.after.logical_id): draft
            for draft in drafts
            if draft.before is not None and draft.after is not None
        }
        follow_references(kept, self._after.assembly, self._after.shown)
        found = [self._change(draft) for draft in drafts if _differs(draft)]
        return tuple(
            sorted(found, key=lambda change: (change.stack, change.path, change.logical_id, change.action))
        )

    def _drafts(self, old: Stack | None, new: Stack | None) -> Iterator[Draft]:
        for before, after, renamed in _matched_resources(old, new):
            draft = Draft(before, after, renamed=renamed)
            if before is not None and after is not None:
                draft.properties.extend(self._properties(before, after))
            yield draft

    def _properties(self, before: Resource, after: Resource) -> Iterator[PropertyChange]:
        schema = schema_of(after.type, self._after.assembly.stacks[after.stack])

        def unordered(keys: Keys) -> bool:
            return schema is not None and schema.unordered(keys[1:])

        for attribute in ("Properties", *_ATTRIBUTES):
            values = self._before.value(before, attribute), self._after.value(after, attribute)
            for difference in differences(*values, name=attribute, unordered=unordered):
                yield _property_change(difference, after.type, schema)

    def _change(self, draft: Draft) -> ResourceChange:
        resource = draft.resource
        side = self._before if draft.after is None else self._after
        stack = side.assembly.stacks[resource.stack]
        grades, because = grade(draft, stack, self._functions)
        action: Action = "add" if draft.before is None else "remove" if draft.after is None else "change"
        return ResourceChange(
            stack=resource.stack,
            logical_id=resource.logical_id,
            path=resource.path,
            type=resource.type,
            action=action,
            grades=grades,
            properties=tuple(sorted(draft.properties, key=lambda change: (change.noise, change.path))),
            because=because,
            fails=refusal(draft, stack),
        )


def _differs(draft: Draft) -> bool:
    return bool(draft.properties) or draft.replaced != "no" or draft.before is None or draft.after is None


def _property_change(
    difference: Difference, resource_type: str, schema: ResourceSchema | None
) -> PropertyChange:
    muted = noise(difference, resource_type, schema)
    replaces, reason = replacement(difference.keys, difference.before, difference.after, schema)
    if not reason and asset_only(difference):
        reason = "only the content of an asset"
    return PropertyChange(
        path=difference.path,
        before=difference.before,
        after=difference.after,
        replaces="no" if muted else replaces,
        noise=bool(muted),
        reason=muted or reason,
    )


def _matched_resources(
    old: Stack | None, new: Stack | None
) -> Iterator[tuple[Resource | None, Resource | None, bool]]:
    """Pair the resources of a stack: by logical id, then by construct path, then by equal properties."""
    before = dict(old.resources) if old is not None else {}
    after = dict(new.resources) if new is not None else {}
    for logical_id in [name for name in after if name in before]:
        yield before.pop(logical_id), after.pop(logical_id), False
    for key in (_by_path, _by_properties):
        for one, other in _renamed(before, after, key):
            yield before.pop(one), after.pop(other), True
    for resource in before.values():
        yield resource, None, False
    for resource in after.values():
        yield None, resource, False


def _renamed(
    before: Mapping[str, Resource], after: Mapping[str, Resource], key: Callable[[Resource], str]
) -> list[tuple[str, str]]:
    """Pair the logical ids of resources that `key` makes the same, where it leaves no choice."""
    keys = [{name: key(resource) for name, resource in side.items()} for side in (before, after)]
    counts = [Counter(side.values()) for side in keys]
    names = {value: name for name, value in keys[0].items() if counts[0][value] == 1}
    return [
        (names[value], name) for name, value in keys[1].items() if value in names and counts[1][value] == 1
    ]


def _by_path(resource: Resource) -> str:
    return f"{resource.type} {resource.path}"


def _by_properties(resource: Resource) -> str:
    properties = json.dumps(resource.properties, sort_keys=True, default=str)
    return f"{resource.type} {properties}"
