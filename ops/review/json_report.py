"""The review as JSON, in the versioned schema docs/review.schema.json."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from ops.review.model import Assembly, Review, Stack

SCHEMA_VERSION = "1.0"
"""The first number rises with changes that break readers, the second with additions."""


def to_json(review: Review) -> str:
    """Return `review` as JSON; the same review always gives the same text."""
    document = {"schema_version": SCHEMA_VERSION, **_plain(review)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Assembly):
        return {"stacks": [_stack(stack) for stack in value.stacks.values()]}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    # An amount of money stays exact.
    return str(value) if isinstance(value, Decimal | Path) else value


def _stack(stack: Stack) -> dict[str, Any]:
    """What identifies a stack; its template is where it was synthesized."""
    return {
        "id": stack.id,
        "name": stack.name,
        "account": stack.account,
        "region": stack.region,
        "nested_in": stack.nested_in,
        "resources": len(stack.resources),
    }
