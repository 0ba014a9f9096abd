"""Checks that what the local SageMaker sends is what AWS's service model says SageMaker sends.

botocore's own parser forgives: it drops members that it does not know and misses none. Here the bytes are
held against the model: unknown and missing members, nulls, types, enumerations, patterns, greatest lengths.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session

# Errors that AWS's services answer with although their models do not list them.
_COMMON_ERRORS = {
    "InternalFailure",
    "SerializationException",
    "UnknownOperationException",
    "ValidationError",
    "ValidationException",
}
# When members that the model calls required may be missing nevertheless: a version in a group has no name of
# its own (AWS's example in https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html), and
# a job without a model no artifact (https://github.com/aws/sagemaker-python-sdk/pull/6091 saw a real one).
_MAY_BE_MISSING: dict[tuple[str, str], Callable[[dict[str, Any]], bool]] = {
    ("DescribeModelPackageOutput", "ModelPackageName"): lambda package: "ModelPackageVersion" in package,
    ("DescribeTrainingJobResponse", "ModelArtifacts"): lambda job: job["TrainingJobStatus"] != "Completed",
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "boolean": (bool,),
}


class WrongResponseError(AssertionError):
    """A response that AWS's service model does not allow."""


@functools.cache
def model(service: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def violations(value: Any, shape: Any, path: str = "$") -> Iterator[str]:
    """Yield what is wrong with a decoded JSON value."""
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is not a structure"
            return
        for name in shape.required_members:
            excused = _MAY_BE_MISSING.get((shape.name, name))
            if name not in value and not (excused and excused(value)):
                yield f"{path}: {name} is missing"
        for name, item in value.items():
            if name not in shape.members:
                yield f"{path}: {name} is unknown"
            else:
                yield from violations(item, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for index, item in enumerate(value):
            yield from violations(item, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is not a map"
            return
        for key, item in value.items():
            yield from violations(key, shape.key, f"{path}.{key} (key)")
            yield from violations(item, shape.value, f"{path}.{key}")
    else:
        yield from _scalar_violations(value, shape, path)


def _scalar_violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    allowed = _PYTHON_TYPES[shape.type_name]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        yield f"{path}: {value!r} is not a {shape.type_name}"
        return
    if shape.type_name != "string":
        return
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"
    if len(value) > shape.metadata.get("max", len(value)):
        yield f"{path}: {value!r} is longer than {shape.metadata['max']}"
    pattern = shape.metadata.get("pattern", ".*")
    # Java's character classes are not those of `re`.
    if "\\p{" not in pattern and not re.fullmatch(pattern, value, re.DOTALL):
        yield f"{path}: {value!r} does not match {pattern}"


def check(operation: Any, status: int, body: bytes) -> None:
    """Check a response of the control plane or an error of the runtime.

    Args:
        operation: botocore's model of the operation.
        status: HTTP status.
        body: of the response.

    Raises:
        WrongResponseError: with everything that is wrong.
    """
    if status >= 400:
        found = list(_error_violations(operation, json.loads(body)))
    elif operation.name == "InvokeEndpoint":
        found = []  # the body is the model's
    elif operation.output_shape is None:
        found = [] if body in (b"", b"{}") else [f"$: {body!r} where nothing is due"]
    else:
        found = list(violations(json.loads(body), operation.output_shape))
    if found:
        raise WrongResponseError(f"{operation.name} answered {status}: {'; '.join(found)}")


def _error_violations(operation: Any, body: dict[str, Any]) -> Iterator[str]:
    code = body.pop("__type")
    shapes = {shape.name: shape for shape in operation.error_shapes}
    # The control plane writes "message", its model "Message"; clients take either.
    members = {name[0].upper() + name[1:]: value for name, value in body.items()}
    if not members.get("Message"):
        yield f"$: the error {code} has no message"
    if code in shapes:
        yield from violations(members, shapes[code], f"${code}")
    elif code not in _COMMON_ERRORS:
        yield f"$: the error {code} is none of {sorted(shapes)}"


def watch(events: Any, checked: list[str] | None = None) -> None:
    """Check every response to the SageMaker clients that share an event emitter.

    Args:
        events: of a boto3 session, before it makes clients, or ``client.meta.events``.
        checked: if given, gets the names of the operations whose responses were checked.
    """

    def received(event_name: str, response_dict: dict[str, Any] | None, **_: Any) -> None:
        if response_dict is None:
            return  # no response: the client raises by itself
        _, service, operation = event_name.split(".")
        body = response_dict["body"]
        # The body of an invocation is a stream that the caller reads.
        content = body if isinstance(body, bytes) else b""
        check(model(service).operation_model(operation), response_dict["status_code"], content)
        if checked is not None:
            checked.append(operation)

    for name in ("sagemaker", "sagemaker-runtime"):
        events.register(f"response-received.{name}", received)
