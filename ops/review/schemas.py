"""What CloudFormation's resource provider schemas say about a type; cfn-lint brings them along, by region."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ops.review.model import Replaces, Stack

DEFAULT_REGION = "us-east-1"
"""Where to look for the types of a stack that is not bound to a region."""

Keys = tuple[str, ...]
"""The way to a property: names, and `*` for any item of a list."""


@dataclass(frozen=True)
class ResourceSchema:
    """The schema of one resource type."""

    create_only: tuple[Keys, ...]
    """Properties whose change replaces the resource."""
    conditional_create_only: tuple[Keys, ...]
    """Properties whose change replaces the resource under conditions that the schema does not tell."""
    identifier: tuple[Keys, ...]
    """Properties that name the resource."""
    document: Mapping[str, Any]

    def property(self, keys: Keys) -> Mapping[str, Any] | None:
        """Return the schema of the property at `keys`, or None where the schema names no such property."""
        found: Mapping[str, Any] | None = self.document
        for key in keys:
            found = self._child(found, key)
            if found is None:
                return None
        return self._followed(found)

    def replaces(self, keys: Keys, before: Any, after: Any) -> Replaces:
        """Tell whether changing the property at `keys` from `before` to `after` replaces the resource."""
        steps = tuple(key for key in keys if key != "*")
        rules: tuple[tuple[Replaces, tuple[Keys, ...]], ...] = (
            ("yes", self.create_only),
            ("conditionally", self.conditional_create_only),
        )
        for answer, pointers in rules:
            for pointer in pointers:
                rest = pointer[len(steps) :]
                within = steps[: len(pointer)] == pointer
                above = bool(rest) and pointer[: len(steps)] == steps
                if within or (above and (_holds(before, rest) or _holds(after, rest))):
                    return answer
        return "no"

    def unordered(self, keys: Keys) -> bool:
        """Tell whether the order of the list at `keys` means nothing."""
        schema = self.property(keys)
        return schema is not None and schema.get("insertionOrder") is False

    def _child(self, schema: Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
        schema = self._followed(schema)
        if schema is None:
            return None
        found = schema.get("items") if key == "*" else schema.get("properties", {}).get(key)
        return found if isinstance(found, Mapping) else None

    def _followed(self, schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        for _ in range(10):
            target = None if schema is None else schema.get("$ref")
            if not isinstance(target, str):
                return schema
            schema = self.document.get("definitions", {}).get(target.rsplit("/", 1)[-1])
        return None


def schema_of(resource_type: str, stack: Stack) -> ResourceSchema | None:
    """Return the schema of `resource_type` where `stack` is, or None if CloudFormation has no such type."""
    return _schema(resource_type, DEFAULT_REGION if stack.region == "unknown-region" else stack.region)


@cache
def _schema(resource_type: str, region: str) -> ResourceSchema | None:
    from cfnlint.schema import (  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import
        PROVIDER_SCHEMA_MANAGER,
        ResourceNotFoundError,
    )

    for place in dict.fromkeys((region, DEFAULT_REGION)):
        try:
            document = PROVIDER_SCHEMA_MANAGER.get_resource_schema(place, resource_type).schema
        except (ResourceNotFoundError, KeyError):
            continue
        return ResourceSchema(
            create_only=_pointers(document, "createOnlyProperties"),
            conditional_create_only=_pointers(document, "conditionalCreateOnlyProperties"),
            identifier=_pointers(document, "primaryIdentifier"),
            document=document,
        )
    return None


def _pointers(document: Mapping[str, Any], name: str) -> tuple[Keys, ...]:
    """Read `/properties/A/*/B` as A, B: some schemas leave the list's `*` out."""
    pointers = (str(pointer).removeprefix("/properties/").split("/") for pointer in document.get(name) or ())
    return tuple(tuple(part for part in pointer if part != "*") for pointer in pointers)


def _holds(value: Any, keys: Keys) -> bool:
    """Tell whether `value` has a property at `keys`, in any item of the lists on the way."""
    if isinstance(value, list):
        return any(_holds(item, keys) for item in value)
    if not keys:
        return value is not None
    return isinstance(value, Mapping) and keys[0] in value and _holds(value[keys[0]], keys[1:])
