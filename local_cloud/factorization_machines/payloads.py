"""Requests and responses of Factorization Machines' inference, in each of their formats.

Formats: https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html for requests,
https://docs.aws.amazon.com/sagemaker/latest/dg/fm-in-formats.html for responses.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data_prep.errors import DataError
from data_prep.protobuf import message
from data_prep.recordio import MAGIC, decode_sparse
from local_cloud.factorization_machines import decimals, records
from local_cloud.factorization_machines.kernel import Rows
from local_cloud.factorization_machines.metrics import THRESHOLD

Float32 = npt.NDArray[np.float32]

JSON: Final = "application/json"
JSON_LINES: Final = "application/jsonlines"
RECORDIO: Final = "application/x-recordio-protobuf"
CONTENT_TYPES: Final = (JSON, JSON_LINES, RECORDIO)

# The text that Amazon's algorithms give: https://github.com/aws/amazon-sagemaker-examples/issues/1881.
_MALFORMED = "unable to evaluate payload provided"


class RequestError(Exception):
    """A request that cannot be answered, with the HTTP status for it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        self.status = status
        super().__init__(text)


def decode(body: bytes, content_type: str | None, feature_dim: int) -> Rows:
    """Read the rows of a request for a model of `feature_dim` features.

    Raises RequestError: 415 for another content type than CONTENT_TYPES, 400 for a body that is empty,
    malformed, or of other features than the model's.
    """
    name = (content_type or "").partition(";")[0].strip().lower()
    if name not in CONTENT_TYPES:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-type {content_type or '(none)'} is not supported, but {', '.join(CONTENT_TYPES)}",
        )
    if not body.strip():
        raise _malformed("the body is empty")
    if name == RECORDIO:
        return _recordio_rows(body, feature_dim)
    return _instance_rows(_json_instances(body) if name == JSON else _json_lines_instances(body), feature_dim)


def negotiate(accept: str | None, default: str) -> str:
    """Choose the response's format: the first that the client accepts and that there is, else `default`."""
    for item in (accept or "").split(","):
        name = item.partition(";")[0].strip().lower()
        if name in CONTENT_TYPES:
            return name
    return default


def encode(scores: Float32, *, binary: bool, content_type: str) -> bytes:
    """Write float32[n] scores, with their labels for a binary classifier, as `content_type`."""
    if content_type == RECORDIO:
        return _recordio_predictions(scores, binary=binary)
    # A float32 that Python has widened to float64 has up to 17 digits; SageMaker prints them too.
    separator = b"\n" if content_type == JSON_LINES else b", "
    positive = (
        (scores >= np.float32(THRESHOLD)).astype(np.uint8) if binary else np.zeros(len(scores), np.uint8)
    )
    labels = (b', "predicted_label": 0.0', b', "predicted_label": 1.0') if binary else (b"",)
    text = decimals.join(scores, b'{"score": ', [label + b"}" + separator for label in labels], positive)
    return text if content_type == JSON_LINES else b'{"predictions": [' + text[: -len(separator)] + b"]}"


def _malformed(detail: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, f"{_MALFORMED}: {detail}")


def _recordio_rows(body: bytes, feature_dim: int) -> Rows:
    data = np.frombuffer(body, np.uint8)
    end, count, _ = records.frames(data, len(body))
    block = records.decode(data, count, feature_dim) if end == len(body) else None
    if block is not None:
        return block.rows
    try:
        sparse = decode_sparse(body)
    except DataError as error:
        raise _malformed(str(error)) from error
    if sparse.shape != feature_dim:
        raise _malformed(f"its records have {sparse.shape} features, the model has {feature_dim}")
    if not np.isfinite(sparse.values).all():
        raise _malformed("a value is not a finite number")
    return Rows(sparse.indptr, sparse.keys.astype(np.int32), sparse.values)


def _json_instances(body: bytes) -> list[Any]:
    content = _parse(body)
    instances = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(instances, list):
        raise _malformed('the body must be {"instances": [...]}')
    return instances


def _json_lines_instances(body: bytes) -> list[Any]:
    return [_parse(line) for line in body.splitlines() if line.strip()]


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"it is not JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _instance_rows(instances: Sequence[Any], feature_dim: int) -> Rows:
    counts: list[int] = []
    all_keys: list[int] = []
    all_values: list[float] = []
    for number, instance in enumerate(instances):
        try:
            keys, values = _entries(instance, feature_dim)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
            raise _malformed(f"instance {number}: {reason}") from error
        counts.append(len(keys))
        all_keys += keys
        all_values += values
    with np.errstate(over="ignore"):
        values_array = np.array(all_values, np.float32)
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    finite = np.isfinite(values_array)
    if not finite.all():
        number = int(np.searchsorted(indptr, np.argmin(finite), side="right")) - 1
        raise _malformed(f"instance {number}: a value is out of float32's range")
    return Rows(indptr, np.array(all_keys, np.int32), values_array)


def _entries(instance: Any, feature_dim: int) -> tuple[list[int], list[float]]:
    """Read one instance, {"features": [...]} or {"data": {"features": {...}}}: its keys and values.

    Raises KeyError, TypeError or ValueError.
    """
    if not isinstance(instance, dict):
        raise TypeError("it must be a JSON object")
    if "features" in instance:
        return _dense(_numbers(instance["features"], "features"), feature_dim)
    data = instance["data"]
    features = data["features"] if isinstance(data, dict) else None
    if not isinstance(features, dict):
        raise TypeError('"data" must be {"features": {"values": [...], ...}}')
    values = _numbers(features["values"], "values")
    if "keys" not in features:
        return _dense(values, feature_dim)
    keys = features["keys"]
    if not isinstance(keys, list) or not set(map(type, keys)) <= {int}:
        raise TypeError('"keys" must be a list of integers')
    if features["shape"] != [feature_dim]:
        raise ValueError(f'"shape" is {features["shape"]}, the model has {feature_dim} features')
    if len(keys) != len(values):
        raise ValueError(f"it has {len(keys)} keys and {len(values)} values")
    if keys and not 0 <= min(keys) <= max(keys) < feature_dim:
        wrong = next(key for key in keys if not 0 <= key < feature_dim)
        raise ValueError(f"key {wrong} is not from 0 to {feature_dim - 1}")
    return keys, values


def _numbers(values: Any, name: str) -> list[float]:
    if not isinstance(values, list) or not set(map(type, values)) <= {int, float}:
        raise TypeError(f'"{name}" must be a list of numbers')
    try:
        return list(map(float, values))
    except OverflowError as error:
        raise ValueError(f'"{name}" has a number out of range') from error


def _dense(values: list[float], feature_dim: int) -> tuple[list[int], list[float]]:
    if len(values) != feature_dim:
        raise ValueError(f"it has {len(values)} features, the model has {feature_dim}")
    array = np.array(values)
    keys = np.flatnonzero(array)
    return keys.tolist(), array[keys].tolist()


def _recordio_predictions(scores: Float32, *, binary: bool) -> bytes:
    """One Record a row, with `score` and, for a binary classifier, `predicted_label` in its label."""
    columns = {b"score": scores}
    if binary:
        columns[b"predicted_label"] = (scores >= np.float32(THRESHOLD)).astype(np.float32)
    entries = [_label_entry(name) for name in columns]
    payload = b"".join(entries)
    padding = bytes(-len(payload) % 4)
    frame = np.frombuffer(struct.pack("<II", MAGIC, len(payload)) + payload + padding, np.uint8)
    frames = np.tile(frame, (len(scores), 1))
    end = 8
    for entry, values in zip(entries, columns.values(), strict=True):
        end += len(entry)
        # Each entry ends with the number.
        frames[:, end - 4 : end] = values.astype("<f4").view(np.uint8).reshape(-1, 4)
    return frames.tobytes()


def _label_entry(name: bytes) -> bytes:
    tensor = message(2, message(1, bytes(4)))
    return message(2, message(1, name) + message(2, tensor))
