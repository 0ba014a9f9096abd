"""One line per problem of a settings file: the key, the value, what is allowed, the nearest valid name."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema


@dataclass(frozen=True)
class Choices:
    """Annotates a field that accepts nothing but `values`; `description` names them together."""

    values: tuple[str, ...] | tuple[int, ...]
    description: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if value not in self.values:
            raise ValueError
        return value


def problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return what is wrong with the values that `model` refused, a line each, without the file's name."""
    details = error.errors(include_url=False)
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
    meant = {(*detail["loc"][:-1], name) for detail in unknown for name in _similar(detail, model)}
    return [
        _explained(detail, model)
        for detail in details
        if not (detail["type"] == "missing" and detail["loc"] in meant)
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` with what of `known` is most similar, or nothing if none is."""
    matches = difflib.get_close_matches(name, list(known), n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(map(_shown, matches))}?" if matches else ""


def _explained(detail: ErrorDetails, model: type[BaseModel]) -> str:
    key = ".".join(_key(str(part)) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        names = _names(detail, model)
        hint = nearest(str(detail["loc"][-1]), names) or f"; known keys: {', '.join(names)}"
        return f"{key} = {_shown(detail['input'])}: unknown key{hint}"
    if detail["type"] == "value_error" and str(detail["ctx"]["error"]):
        return f"{key}{'.' if key else ''}{detail['ctx']['error']}"
    description, choices = _rule(detail, model)
    if detail["type"] == "missing":
        return f"{key} is missing: must be {description}"
    return f"{key} = {_shown(detail['input'])}: must be {description}{_among(detail['input'], choices)}"


def _among(value: Any, choices: tuple[Any, ...]) -> str:
    if not choices:
        return ""
    hint = nearest(value, choices) if isinstance(value, str) and isinstance(choices[0], str) else ""
    if hint and len(choices) > 8:
        return hint
    return f", one of {', '.join(_shown(choice) for choice in choices)}{hint}"


def _similar(detail: ErrorDetails, model: type[BaseModel]) -> list[str]:
    return difflib.get_close_matches(str(detail["loc"][-1]), _names(detail, model), n=1, cutoff=0.7)


def _names(detail: ErrorDetails, model: type[BaseModel]) -> list[str]:
    """The keys of the table that the problem is in."""
    for part in detail["loc"][:-1]:
        model = unwrapped(model.model_fields[str(part)])[0]
    return sorted(name for name, field in model.model_fields.items() if not field.exclude)


def _rule(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, tuple[Any, ...]]:
    """What the field accepts: its description, and its choices where they can be listed."""
    for part in detail["loc"][:-1]:
        model = unwrapped(model.model_fields[str(part)])[0]
    annotation, metadata = unwrapped(model.model_fields[str(detail["loc"][-1])])
    description = next(entry.description for entry in metadata if getattr(entry, "description", None))
    if get_origin(annotation) is Literal:
        return description, get_args(annotation)
    return description, next((entry.values for entry in metadata if isinstance(entry, Choices)), ())


def unwrapped(field: FieldInfo) -> tuple[Any, list[Any]]:
    """Return a field's type without None and Annotated, and all that is annotated on it."""
    annotation: Any = field.annotation
    metadata: list[Any] = [field, *field.metadata]
    while get_origin(annotation) in (Annotated, Union, UnionType):
        if get_origin(annotation) is Annotated:
            annotation, *entries = get_args(annotation)
            metadata.extend(entries)
        else:
            annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation, metadata


def _key(name: str) -> str:
    """The key as TOML writes it."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _shown(name)


def _shown(value: Any) -> str:
    """The value as TOML writes it; a table or an array by its kind only."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return json.dumps(value, default=str, ensure_ascii=False)
