"""What a SageMaker request and response may look like, taken from botocore's service model.

Types, required and unknown members are checked by botocore's own validator. Enumerations, patterns and upper
bounds, which SDKs leave to the service, are checked here with the wording that AWS's services use for them.
"""

import functools
import itertools
import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.utils import parse_timestamp
from botocore.validate import ParamValidator

from local_cloud.sagemaker.errors import SageMakerError, validation


@functools.cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def input_shape(operation: str) -> Any:
    """Return the request's shape.

    Raises:
        SageMakerError: SageMaker has no such operation.
    """
    return _operation(operation).input_shape


def _operation(operation: str) -> Any:
    if operation not in _model().operation_names:
        raise SageMakerError("UnknownOperationException", f"SageMaker has no operation {operation!r}")
    return _model().operation_model(operation)


def validate(operation: str, parameters: Mapping[str, Any]) -> None:
    """Check a request as SageMaker does before it looks at any resource.

    Raises:
        SageMakerError: ``ValidationException`` with every violation.
    """
    shape = input_shape(operation)
    report = ParamValidator().validate(dict(parameters), shape)
    if report.has_errors():
        raise validation(report.generate_report())
    violations = list(_violations(parameters, shape, ""))
    if violations:
        plural = "s" if len(violations) > 1 else ""
        raise validation(f"{len(violations)} validation error{plural} detected: {'; '.join(violations)}")


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in value.items():
            if member is not None:
                yield from _violations(member, shape.members[name], _join(path, _lower_first(name)))
    elif shape.type_name == "list":
        yield from _size_violations(len(value), shape, path, value, "length")
        for index, item in enumerate(value, start=1):
            yield from _violations(item, shape.member, _join(path, f"{index}.member"))
    elif shape.type_name == "map":
        yield from _size_violations(len(value), shape, path, value, "length")
        for key, item in value.items():
            yield from _violations(key, shape.key, _join(path, "key"))
            yield from _violations(item, shape.value, _join(path, f"{key}.value"))
    elif shape.type_name == "string":
        yield from _string_violations(value, shape, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _size_violations(value, shape, path, value, "value")


def _string_violations(value: str, shape: Any, path: str) -> Iterator[str]:
    yield from _size_violations(len(value), shape, path, value, "length")
    if shape.enum and value not in shape.enum:
        yield _violation(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield _violation(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _size_violations(size: float, shape: Any, path: str, value: Any, what: str) -> Iterator[str]:
    minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
    have = "have length" if what == "length" else "have value"
    if maximum is not None and size > maximum:
        yield _violation(value, path, f"Member must {have} less than or equal to {maximum}")
    if minimum is not None and size < minimum:
        yield _violation(value, path, f"Member must {have} greater than or equal to {minimum}")


def _violation(value: Any, path: str, constraint: str) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(_translated(pattern))
    except re.error:
        # Athena's names, which are restricted by ranges of surrogate pairs: Python's strings have none.
        return None


def _translated(pattern: str) -> str:
    """Return a pattern of Java's as one of Python's `re`, which has no `\\p{L}` and repeats no `$`."""
    without_repeated_end = re.sub(r"\$\{[\d,]+\}", "$", pattern)
    return re.sub(r"\\p\{(\w+)\}", lambda found: _character_class(found[1]), without_repeated_end)


def _character_class(name: str) -> str:
    """Return what `\\p{name}` stands for, as the inside of a `[…]`."""
    return "A-Za-z0-9" if name == "Alnum" else _category_ranges()[name]


@functools.cache
def _category_ranges() -> dict[str, str]:
    """Return the code points of each of Unicode's major categories ("L", "N", …), as ranges."""
    ranges: dict[str, list[str]] = {}
    majors = (unicodedata.category(chr(point))[0] for point in range(sys.maxunicode + 1))
    start = 0
    for major, run in itertools.groupby(majors):
        end = start + sum(1 for _ in run)
        ranges.setdefault(major, []).append(rf"\U{start:08x}-\U{end - 1:08x}")
        start = end
    return {major: "".join(found) for major, found in ranges.items()}


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _lower_first(name: str) -> str:
    return name[0].lower() + name[1:]


def response(operation: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `record` that `operation` answers with; unset (None) members are left out."""
    shape = _operation(operation).output_shape
    if shape is None:
        return {}
    return {name: record[name] for name in shape.members if record.get(name) is not None}


def encode(answer: Mapping[str, Any]) -> bytes:
    """Return an answer in the JSON protocol: timestamps are seconds since the epoch."""
    return json.dumps(answer, default=_seconds).encode()


def encode_milliseconds(answer: Mapping[str, Any]) -> str:
    """Return an answer as Step Functions and EventBridge carry it: timestamps in milliseconds."""
    return json.dumps(answer, default=lambda value: round(_seconds(value) * 1000))


def _seconds(value: object) -> float:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    raise TypeError(f"{type(value).__name__} is not part of the JSON protocol")


def with_times(operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with its timestamps, which the JSON protocol carries as numbers, as ``datetime``."""
    members = input_shape(operation).members
    return {
        name: parse_timestamp(value)  # type: ignore[arg-type]
        if name in members and members[name].type_name == "timestamp" and isinstance(value, (int, float, str))
        else value
        for name, value in parameters.items()
    }


def coerce(value: Any, shape: Any) -> Any:
    """Return `value` with the scalar types of `shape`.

    CloudFormation accepts ``"1"`` and ``"true"`` for 1 and true. What cannot be converted is returned as it
    is, for `validate` to report.
    """
    if isinstance(value, Mapping) and shape.type_name == "structure":
        return {key: coerce(item, shape.members[key]) if key in shape.members else item
                for key, item in value.items() if item is not None}  # fmt: skip
    if isinstance(value, Mapping) and shape.type_name == "map":
        return {key: coerce(item, shape.value) for key, item in value.items()}
    if isinstance(value, list) and shape.type_name == "list":
        return [coerce(item, shape.member) for item in value]
    return _coerce_scalar(value, shape.type_name)


def _coerce_scalar(value: Any, type_name: str) -> Any:
    if type_name == "boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if type_name == "string" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    convert = {"integer": int, "long": int, "float": float, "double": float}.get(type_name)
    if convert is not None and isinstance(value, str):
        try:
            return convert(value)
        except ValueError:
            return value
    return value


def now() -> datetime:
    """Return the time of an event, to the millisecond as SageMaker reports it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
