"""Tell differences that change nothing that runs from those that do."""

import re
from collections.abc import Callable

from ops.review.differences import WITHIN_TEXT, Difference
from ops.review.retention import snapshots_by_default
from ops.review.schemas import ResourceSchema

_ASSET_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_POLICIES = (("DeletionPolicy",), ("UpdateReplacePolicy",))
_PAYLOADS = {"Parameters", "Arguments", "Result", "ResultSelector", "ItemSelector", "Output", "Assign"}
"""Fields of an Amazon States Language state whose content is data: a `Comment` in it is no comment."""


def noise(difference: Difference, resource_type: str, schema: ResourceSchema | None) -> str:
    """Return why `difference` changes nothing that runs, or nothing if it does."""
    if resource_type == "AWS::CDK::Metadata":
        return "the CDK's own usage metadata"
    return next((reason for holds, reason in _REASONS if holds(difference, resource_type, schema)), "")


def asset_only(difference: Difference) -> bool:
    """Tell whether nothing but the hash of an asset differs."""
    before, after = difference.before, difference.after
    if not isinstance(before, str) or not isinstance(after, str) or before == after:
        return False
    return _ASSET_HASH.sub("", before) == _ASSET_HASH.sub("", after)


def _is_metadata(difference: Difference, _type: str, _schema: ResourceSchema | None) -> bool:
    return difference.keys[0] == "Metadata"


def _is_creation_order(difference: Difference, _type: str, _schema: ResourceSchema | None) -> bool:
    return difference.keys[0] == "DependsOn"


def _is_order(difference: Difference, _type: str, _schema: ResourceSchema | None) -> bool:
    return difference.order_only


def _is_description(difference: Difference, _type: str, schema: ResourceSchema | None) -> bool:
    keys = difference.keys
    if schema is None or keys[0] != "Properties" or not keys[-1].endswith("Description"):
        return False
    found = schema.property(keys[1:])
    is_text = found is not None and found.get("type") == "string"
    return is_text and schema.replaces(keys[1:], difference.before, difference.after) == "no"


def _is_workflow_comment(difference: Difference, resource_type: str, _schema: ResourceSchema | None) -> bool:
    keys = difference.keys
    within = WITHIN_TEXT in keys or "Definition" in keys[:2]
    return (
        resource_type == "AWS::StepFunctions::StateMachine"
        and within
        and keys[-1] == "Comment"
        and not _PAYLOADS.intersection(keys)
    )


def _is_nested_template(difference: Difference, resource_type: str, _schema: ResourceSchema | None) -> bool:
    return resource_type == "AWS::CloudFormation::Stack" and difference.keys == ("Properties", "TemplateURL")


def _is_default_policy(difference: Difference, resource_type: str, _schema: ResourceSchema | None) -> bool:
    policies = {difference.before, difference.after} if difference.keys in _POLICIES else set()
    return policies == {None, "Delete"} and not snapshots_by_default(resource_type)


_REASONS: tuple[tuple[Callable[[Difference, str, ResourceSchema | None], bool], str], ...] = (
    (_is_metadata, "metadata of the template"),
    (_is_creation_order, "only the order of creation"),
    (_is_order, "only the order differs"),
    (_is_description, "a description"),
    (_is_workflow_comment, "a comment"),
    (_is_nested_template, "the nested stack's own changes are listed with it"),
    (_is_default_policy, "the default"),
)
