"""Grade what happens to a resource, and say why in sentences."""

from collections.abc import Iterator
from typing import Literal

from ops.review.live import is_live
from ops.review.model import Grade, PropertyChange, Resource, Stack
from ops.review.replacement import Draft, fixed_name
from ops.review.retention import STATEFUL_TYPES, keeps_data
from ops.review.schemas import schema_of

Judgement = Iterator[tuple[Grade | None, str]]
"""Grades, each with the sentence that explains it; either may be missing."""

Functions = frozenset[tuple[str, str]]
"""The Lambda functions behind an API, as stack and logical id."""


def grade(draft: Draft, stack: Stack, functions: Functions) -> tuple[tuple[Grade, ...], tuple[str, ...]]:
    """Return the grades of `draft` in `stack`, most severe first, and the sentences that explain them."""
    if draft.before is None:
        found = list(_added(draft.resource))
    elif draft.after is None:
        found = list(_removed(draft.before, functions))
    else:
        found = list(_changed(draft, draft.before, draft.after, functions))
    grades = sorted({entry for entry, _ in found if entry}, key=lambda entry: entry.severity, reverse=True)
    if schema_of(draft.resource.type, stack) is None:
        unknown = f"{draft.resource.type} is an unknown resource type: what happens to it cannot be predicted"
        found.append((None, unknown))
    return tuple(grades), tuple(dict.fromkeys(text for _, text in found if text))


def _added(resource: Resource) -> Judgement:
    yield Grade.ADDED, ""
    if resource.type == "Custom::S3AutoDeleteObjects":
        yield None, "from now on the bucket is emptied when it is removed"


def _removed(resource: Resource, functions: Functions) -> Judgement:
    yield Grade.REMOVED, ""
    if is_live(resource, functions):
        yield Grade.LIVE, "it serves traffic now"
    yield from _lost(resource, "removed", keeps_data(resource, "removed"))


def _changed(draft: Draft, before: Resource, after: Resource, functions: Functions) -> Judgement:
    effective = [change for change in draft.properties if not change.noise]
    if not effective and draft.replaced == "no":
        yield Grade.NO_EFFECT, ""
        return
    if draft.replaced == "no" and all(_is_code(after, change) for change in effective):
        yield Grade.CODE, "it answers the live API" if is_live(before, functions) else ""
        return
    if is_live(before, functions) or is_live(after, functions):
        yield Grade.LIVE, ""
    if draft.replaced == "no":
        yield Grade.IN_PLACE, ""
    else:
        yield from _replaced(draft, before, after)
    yield from _policies(before, after)


def _replaced(draft: Draft, before: Resource, after: Resource) -> Judgement:
    yield Grade.REPLACED, ""
    if draft.renamed:
        yield (
            None,
            (
                f"its logical id changes from {before.logical_id} to {after.logical_id}: "
                "CloudFormation creates it anew and deletes the old one"
            ),
        )
    for change in draft.properties:
        if change.replaces != "no" and not change.noise:
            verb = "is" if change.replaces == "yes" else "may be"
            yield (
                None,
                f"{verb} replaced because of {change.path.removeprefix('Properties.')}: {change.reason}",
            )
    kept = keeps_data(before, "removed" if draft.renamed else "replaced")
    yield from _lost(before, "replaced", kept and (draft.renamed or keeps_data(after, "replaced")))


def refusal(draft: Draft, stack: Stack) -> str:
    """Return why CloudFormation will refuse to update `draft` in `stack`, or nothing."""
    before, after = draft.before, draft.after
    if before is None or after is None or draft.replaced == "no":
        return ""
    if before.type != after.type:
        return f"its type changes from {before.type}, which is not possible under one logical id"
    token = any(change.path == "Properties.ServiceToken" for change in draft.properties)
    if token and not draft.renamed and _is_custom(after.type):
        return "the ServiceToken of a custom resource cannot change: give the resource another logical id"
    name = fixed_name(draft, schema_of(after.type, stack))
    if name is not None:
        return f"its name stays {name}: the new one cannot be created beside the old one"
    return ""


def _is_custom(resource_type: str) -> bool:
    """Tell whether a function of the app stands behind resources of this type."""
    return resource_type.startswith("Custom::") or resource_type == "AWS::CloudFormation::CustomResource"


def _lost(resource: Resource, when: Literal["removed", "replaced"], kept: bool) -> Judgement:
    held = STATEFUL_TYPES.get(resource.type)
    if held is not None and not kept:
        yield Grade.DATA_LOSS, f"it holds {held}, and nothing keeps them when it is {when}"
    elif held is not None and when == "replaced":
        yield None, f"the old one stays with {held}, and the new one starts empty"
    elif kept:
        yield None, "it stays in the account, but the stack no longer manages it"


def _policies(before: Resource, after: Resource) -> Judgement:
    held = STATEFUL_TYPES.get(after.type)
    moments: tuple[tuple[Literal["removed", "replaced"], str], ...] = (
        ("removed", "DeletionPolicy"),
        ("replaced", "UpdateReplacePolicy"),
    )
    for when, policy in moments:
        if held is not None and keeps_data(before, when) and not keeps_data(after, when):
            yield Grade.DATA_LOSS, f"its {policy} no longer keeps {held} when it is {when}"


def _is_code(resource: Resource, change: PropertyChange) -> bool:
    code = change.path == "Properties.Code" or change.path.startswith("Properties.Code.")
    return resource.type == "AWS::Lambda::Function" and code
