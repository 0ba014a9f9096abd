import json
from collections.abc import Callable
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.recordio import decode_sparse
from local_cloud.factorization_machines import kernel, payloads
from local_cloud.factorization_machines.payloads import JSON, JSON_LINES, RECORDIO, RequestError

Encode = Callable[..., bytes]

SCORES = np.array([0.5895045, 0.5, 0.49629292], np.float32)


def instance(keys: Any = (0, 3), values: Any = (1, 2.5), shape: Any = (6,)) -> dict[str, Any]:
    return {"data": {"features": {"keys": list(keys), "shape": list(shape), "values": list(values)}}}


def rows(body: bytes, content_type: str | None = JSON) -> list[dict[int, float]]:
    decoded = payloads.decode(body, content_type, 6)
    assert [array.dtype.name for array in decoded] == ["int64", "int32", "float32"]
    bounds = decoded.indptr.tolist()
    return [
        dict(zip(decoded.keys[first:end].tolist(), decoded.values[first:end].tolist(), strict=True))
        for first, end in pairwise(bounds)
    ]


def refusal(body: bytes, content_type: str | None = JSON) -> RequestError:
    with pytest.raises(RequestError) as caught:
        payloads.decode(body, content_type, 6)
    return caught.value


# -- requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_instance", "expected"),
    [
        ({"features": [1.5, 0, 0, 16.0, 0, 0]}, {0: 1.5, 3: 16.0}),
        ({"data": {"features": {"values": [0, 0, 0, 0, 0, 2]}}}, {5: 2.0}),
        (instance(), {0: 1.0, 3: 2.5}),
        (instance([5, 1], [1, 1]), {5: 1.0, 1: 1.0}),
        (instance([], []), {}),
        ({**instance(), "configuration": {}}, {0: 1.0, 3: 2.5}),
    ],
)
def test_json_instances(given_instance: dict[str, Any], expected: dict[int, float]) -> None:
    assert rows(json.dumps({"instances": [given_instance, given_instance]}).encode()) == [expected, expected]
    lines = f"{json.dumps(given_instance)}\n{json.dumps(given_instance)}\n".encode()
    assert rows(lines, JSON_LINES) == [expected, expected]


def test_json_with_parameters_in_the_content_type() -> None:
    assert rows(b'{"instances": []}', "Application/JSON; charset=utf-8") == []


def test_recordio(encode: Encode) -> None:
    sparse = [{0: 1.0, 3: 0.5}, {}, {5: 1.0}]
    for labels in (None, [1, 0, 1]):
        assert rows(encode(sparse, labels), RECORDIO) == sparse


def test_dense_recordio() -> None:
    # features {"values": {float32_tensor {values: six numbers}}}, as the SDK's dense writer lays them out.
    tensor = bytes.fromhex("0a18") + np.array([1.5, 0, 0, 16, 0, 0], "<f4").tobytes()
    entry = bytes.fromhex("0a06") + b"values" + bytes.fromhex("121c 121a") + tensor
    payload = bytes([0x0A, len(entry)]) + entry
    frame = (
        bytes.fromhex("0a23d7ce") + len(payload).to_bytes(4, "little") + payload + bytes(-len(payload) % 4)
    )
    (row,) = rows(frame, RECORDIO)
    assert {key: value for key, value in row.items() if value} == {0: 1.5, 3: 16.0}
    assert refusal(frame[:-4], RECORDIO).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"instances": {}}',
        b'{"instances": [1]}',
        b'{"instances": [{}]}',
        b'{"instances": [{"data": 1}]}',
        b'{"instances": [{"data": {"features": []}}]}',
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b'{"instances": [{"features": [1, 2]}]}',
        b'{"instances": [{"features": 7}]}',
        b'{"instances": [{"features": [NaN, 0, 0, 0, 0, 0]}]}',
        b'{"instances": [{"features": [Infinity, 0, 0, 0, 0, 0]}]}',
        b'{"instances": [{"features": [1e39, 0, 0, 0, 0, 0]}]}',
        b'{"instances": [{"features": [1e400, 0, 0, 0, 0, 0]}]}',
        b'{"instances": [{"features": [1' + b"0" * 400 + b", 0, 0, 0, 0, 0]}]}",
        b'{"instances": [{"features": ["1", 0, 0, 0, 0, 0]}]}',
        b'{"instances": [{"features": [true, 0, 0, 0, 0, 0]}]}',
        b'{"instances": [{"features": [[1], 0, 0, 0, 0, 0]}]}',
    ],
)
def test_malformed_json(body: bytes) -> None:
    error = refusal(body)
    assert error.status == HTTPStatus.BAD_REQUEST
    assert str(error).startswith("unable to evaluate payload provided: ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (instance([0, 6]), "instance 1: key 6 is not from 0 to 5"),
        (instance([-1, 2]), "instance 1: key -1 is not from 0 to 5"),
        (instance([0, 10**30]), f"instance 1: key {10**30} is not from 0 to 5"),
        (instance(shape=[7]), r'instance 1: "shape" is [7], the model has 6 features'),
        (instance(shape=[]), 'instance 1: "shape" is []'),
        (instance([0, 1, 2]), "instance 1: it has 3 keys and 2 values"),
        (instance([0, 1.0]), 'instance 1: "keys" must be a list of integers'),
        (instance(values=[1, None]), 'instance 1: "values" must be a list of numbers'),
        (instance(values=[1, 1e300]), "instance 1: a value is out of float32's range"),
        ({"data": {"features": {"keys": [0], "values": [1]}}}, "instance 1: the key 'shape' is missing"),
        ({"data": {"features": {"keys": [0], "shape": [6]}}}, "instance 1: the key 'values' is missing"),
    ],
)
def test_wrong_instance_is_named(wrong: dict[str, Any], message: str) -> None:
    for error in (
        refusal(json.dumps({"instances": [instance(), wrong]}).encode()),
        refusal(f"{json.dumps(instance())}\n{json.dumps(wrong)}".encode(), JSON_LINES),
    ):
        assert error.status == HTTPStatus.BAD_REQUEST
        assert str(error).startswith(f"unable to evaluate payload provided: {message}")


@pytest.mark.parametrize("content_type", [JSON, JSON_LINES, RECORDIO])
@pytest.mark.parametrize("body", [b"", b"\n "])
def test_empty_body(body: bytes, content_type: str) -> None:
    assert "the body is empty" in str(refusal(body, content_type))


@pytest.mark.parametrize("content_type", [None, "", "text/csv", "application/octet-stream", "json"])
def test_unsupported_content_type(content_type: str | None) -> None:
    assert refusal(b"1,2", content_type).status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def test_malformed_recordio(encode: Encode) -> None:
    assert refusal(encode([{0: 1.0}], None, 7), RECORDIO).status == HTTPStatus.BAD_REQUEST
    assert refusal(encode([{0: 1.0}], None)[:-3], RECORDIO).status == HTTPStatus.BAD_REQUEST
    assert "finite" in str(refusal(encode([{0: float("inf")}], None), RECORDIO))


def read_or_refused(body: bytes, content_type: str) -> kernel.Rows:
    """Decode a body; where it is refused, as a bad request, there are no rows."""
    try:
        return payloads.decode(body, content_type, 6)
    except RequestError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        return kernel.Rows(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
FEATURES = st.fixed_dictionaries(
    {},
    optional={
        "keys": st.lists(st.integers(-1, 7), max_size=3) | JSON_VALUES,
        "values": st.lists(st.floats() | st.integers(), max_size=6) | JSON_VALUES,
        "shape": st.just([6]) | JSON_VALUES,
    },
)
INSTANCES = st.lists(
    st.fixed_dictionaries({"data": st.fixed_dictionaries({"features": FEATURES})})
    | st.fixed_dictionaries({"features": st.lists(st.floats(), min_size=6, max_size=6) | JSON_VALUES})
    | JSON_VALUES,
    max_size=3,
)


@given(st.one_of(JSON_VALUES, st.fixed_dictionaries({"instances": INSTANCES})))
def test_any_json_is_read_or_refused(content: Any) -> None:
    decoded = read_or_refused(json.dumps(content).encode(), JSON)
    assert np.isfinite(decoded.values).all()
    assert ((decoded.keys >= 0) & (decoded.keys < 6)).all()


@given(st.binary(max_size=100), st.sampled_from(payloads.CONTENT_TYPES))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    read_or_refused(body, content_type)


# -- responses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", JSON),
        ("application/jsonlines", JSON_LINES),
        ("application/x-recordio-protobuf", RECORDIO),
        ("text/csv, application/jsonlines;q=0.5", JSON_LINES),
        ("Application/JsonLines", JSON_LINES),
    ],
)
def test_accept(accept: str | None, chosen: str) -> None:
    assert payloads.negotiate(accept, JSON) == chosen
    if accept is None:
        assert payloads.negotiate(accept, JSON_LINES) == JSON_LINES


def test_json_response_has_float32_scores_widened_and_labels_that_are_floats() -> None:
    assert payloads.encode(SCORES, binary=True, content_type=JSON) == (
        b'{"predictions": [{"score": 0.5895044803619385, "predicted_label": 1.0}, '
        b'{"score": 0.5, "predicted_label": 1.0}, {"score": 0.49629291892051697, "predicted_label": 0.0}]}'
    )


def test_json_lines_response() -> None:
    body = payloads.encode(SCORES, binary=True, content_type=JSON_LINES)
    assert body.endswith(b"\n")
    assert [json.loads(line) for line in body.splitlines()] == [
        {"score": 0.5895044803619385, "predicted_label": 1.0},
        {"score": 0.5, "predicted_label": 1.0},
        {"score": 0.49629291892051697, "predicted_label": 0.0},
    ]


def test_regressors_response_has_no_label_and_is_not_clamped() -> None:
    scores = np.array([7.25, -1.5], np.float32)
    assert payloads.encode(scores, binary=False, content_type=JSON) == (
        b'{"predictions": [{"score": 7.25}, {"score": -1.5}]}'
    )


def test_recordio_response() -> None:
    body = payloads.encode(SCORES, binary=True, content_type=RECORDIO)
    frame = len(body) // 3
    assert len(body) == 3 * frame
    assert frame % 4 == 0
    record = body[:frame]
    assert record[:4] == bytes.fromhex("0a23d7ce")
    # field 2, {1: "score", 2: {2: {1: float}}}
    assert bytes.fromhex("1211 0a05") + b"score" + bytes.fromhex("1208 1206 0a04") in record
    assert SCORES[0].tobytes() in record
    assert b"predicted_label" in record
    assert np.float32(1).tobytes() in record
    assert b"predicted_label" not in payloads.encode(SCORES, binary=False, content_type=RECORDIO)


def test_no_rows() -> None:
    none = np.empty(0, np.float32)
    assert payloads.encode(none, binary=True, content_type=JSON) == b'{"predictions": []}'
    assert payloads.encode(none, binary=True, content_type=JSON_LINES) == b""
    assert payloads.encode(none, binary=True, content_type=RECORDIO) == b""


def test_request_codec_is_the_preparation_codec(encode: Encode) -> None:
    assert decode_sparse(encode([{2: 1.0}], None)).shape == 6
