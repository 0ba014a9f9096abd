"""Predict which resources CloudFormation creates anew instead of updating them.

A change of a property that only the creation can set replaces the resource. Its `Ref` and attributes are then
others, so every property that refers to it changes too, which may replace that resource in turn, in this
stack and in those that import from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.review.differences import item_labels
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, PropertyChange, Replaces, Resource
from ops.review.schemas import Keys, ResourceSchema, schema_of

Identity = tuple[str, str]
"""Stack id and logical id."""


@dataclass
class Draft:
    """One resource's changes while they are collected."""

    before: Resource | None
    after: Resource | None
    properties: list[PropertyChange] = field(default_factory=list)
    because: list[str] = field(default_factory=list)
    renamed: bool = False
    """The same resource under another logical id: CloudFormation creates it anew and deletes the old one."""

    @property
    def resource(self) -> Resource:
        """The resource as it will be, or as it was."""
        resource = self.after or self.before
        if resource is None:
            raise ValueError("a draft without a resource")
        return resource

    @property
    def replaced(self) -> Replaces:
        """Whether the resource will be created anew."""
        if self.before is None or self.after is None:
            return "no"
        if self.renamed or self.before.type != self.after.type:
            return "yes"
        found = {change.replaces for change in self.properties if not change.noise}
        return "yes" if "yes" in found else "conditionally" if "conditionally" in found else "no"


def replacement(keys: Keys, before: Any, after: Any, schema: ResourceSchema | None) -> tuple[Replaces, str]:
    """Return whether changing the property at `keys` (`Properties` first) replaces the resource, and why."""
    if keys[0] != "Properties":
        return "no", ""
    if schema is None:
        return "no", "the resource type is unknown: whether this replaces it cannot be predicted"
    answer = schema.replaces(keys[1:], before, after)
    reasons = {
        "yes": "it can only be set when the resource is created",
        "conditionally": "in some cases it can only be set when the resource is created",
    }
    return answer, reasons.get(answer, "")


def follow_references(drafts: Mapping[Identity, Draft], after: Assembly, readable: Readable) -> None:
    """Add to `drafts` the changes that follow from replacements, until there are no more.

    Args:
        drafts: every resource that exists before and after, by its identity in `after`.
        after: the assembly.
        readable: of `after`.
    """
    users = _users(drafts, after, readable)
    waiting = [identity for identity, draft in drafts.items() if draft.replaced != "no"]
    followed: dict[Identity, Replaces] = {}
    while waiting:
        identity = waiting.pop(0)
        cause = drafts[identity].replaced
        if followed.get(identity) == cause:
            continue
        followed[identity] = cause
        for user, place in users.get(identity, ()):
            was = drafts[user].replaced
            if _add_consequence(drafts[user], place, drafts[identity], cause, after) and (
                drafts[user].replaced != was
            ):
                waiting.append(user)


@dataclass(frozen=True)
class _Use:
    """A property that refers to a resource."""

    keys: Keys
    path: str
    shown: str


def _users(
    drafts: Mapping[Identity, Draft], after: Assembly, readable: Readable
) -> Mapping[Identity, list[tuple[Identity, _Use]]]:
    found: dict[Identity, list[tuple[Identity, _Use]]] = {}
    for resource in after.resources():
        user = (resource.stack, resource.logical_id)
        if user not in drafts:
            continue
        for keys, path, value in _functions(dict(resource.properties), ("Properties",), "Properties"):
            use = _Use(keys, path, readable.text(value, resource.stack))
            for reference in readable.references(value, resource.stack):
                target = (reference.stack, reference.logical_id)
                if target != user:
                    found.setdefault(target, []).append((user, use))
    return found


def _functions(value: Any, keys: Keys, path: str) -> Iterator[tuple[Keys, str, Any]]:
    """Yield every intrinsic function within `value`, outermost only, with the way to it."""
    if isinstance(value, list):
        labels = item_labels(value) or [str(index) for index in range(len(value))]
        for label, item in zip(labels, value, strict=True):
            yield from _functions(item, (*keys, "*"), f"{path}[{label}]")
    elif isinstance(value, Mapping):
        if len(value) == 1 and all(key == "Ref" or key.startswith("Fn::") for key in value):
            yield keys, path, value
            return
        for key, item in value.items():
            yield from _functions(item, (*keys, key), f"{path}.{key}")


def _add_consequence(draft: Draft, use: _Use, cause: Draft, certainty: Replaces, after: Assembly) -> bool:
    resource = draft.resource
    schema = schema_of(resource.type, after.stacks[resource.stack])
    replaces, _ = replacement(use.keys, use.shown, use.shown, schema)
    if replaces == "yes" and certainty == "conditionally":
        replaces = "conditionally"
    verb = "is" if certainty == "yes" else "may be"
    change = PropertyChange(
        path=use.path,
        before=use.shown,
        after=f"{use.shown} (new)",
        replaces=replaces,
        reason=f"{cause.resource.path} {verb} replaced",
    )
    for position, known in enumerate(draft.properties):
        if known.path == use.path:
            if known.noise or (known.replaces == "conditionally" and replaces == "yes"):
                draft.properties[position] = change
                return True
            return False
    draft.properties.append(change)
    return True


def fixed_name(draft: Draft, schema: ResourceSchema | None) -> str | None:
    """Return the name that a replaced resource keeps, which makes its replacement fail, or None.

    CloudFormation creates the new resource before it deletes the old one, and two cannot have one name.
    """
    before, after = draft.before, draft.after
    if before is None or after is None or before.type != after.type or schema is None:
        return None
    for name in (f"{after.type.rsplit('::', 1)[-1]}Name", "Name"):
        value = after.properties.get(name)
        unique = (name,) in schema.create_only and len(schema.identifier) == 1
        if unique and isinstance(value, str) and value == before.properties.get(name):
            return value
    return None
