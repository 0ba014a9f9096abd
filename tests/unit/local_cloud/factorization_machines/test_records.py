"""The compiled reader against the one of `data_prep`, which reads every layout."""

import struct
from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.protobuf import message, varint
from data_prep.recordio import MAGIC, decode_sparse, encode_sparse
from local_cloud.factorization_machines import records
from local_cloud.factorization_machines.records import Block

Encode = Callable[..., bytes]

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def frame(payload: bytes) -> bytes:
    return struct.pack("<II", MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


def tensor(values: list[float], keys: list[int] | None = None, shape: int | None = None) -> bytes:
    content = message(1, np.array(values, "<f4").tobytes())
    content += b"" if keys is None else message(2, b"".join(map(varint, keys)))
    content += b"" if shape is None else message(3, varint(shape))
    return message(1, b"values") + message(2, message(2, content))


def record(
    values: list[float], keys: list[int] | None = None, shape: int | None = None, label: float = 1
) -> bytes:
    return frame(message(1, tensor(values, keys, shape)) + message(2, tensor([label])))


def decode(content: bytes, feature_dim: int) -> Block | None:
    data = np.frombuffer(content, np.uint8)
    end, count, _ = records.frames(data, len(content))
    assert end == len(content)
    return records.decode(data, count, feature_dim)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[int, float]], list[float] | None, int]:
    shape = draw(st.sampled_from([1, 5, 200, 100_000, 2**31 - 1]))
    rows = draw(
        st.lists(st.dictionaries(st.integers(0, shape - 1), NUMBERS, max_size=6), min_size=1, max_size=6)
    )
    labels = draw(st.none() | st.lists(NUMBERS, min_size=len(rows), max_size=len(rows)))
    return rows, labels, shape


@given(tables())
def test_reads_what_the_encoder_writes(table: tuple[list[dict[int, float]], list[float] | None, int]) -> None:
    rows, labels, shape = table
    content = b"".join(
        encode_sparse(
            None if labels is None else np.array(labels, np.float32),
            np.cumsum([0, *map(len, rows)]),
            np.array([key for row in rows for key in row], np.int64),
            np.array([value for row in rows for value in row.values()], np.float32),
            shape,
        )
    )
    block = decode(content, shape)
    assert block is not None
    expected = decode_sparse(content)
    for ours, theirs in zip(
        (*block.rows, block.labels),
        (expected.indptr, expected.keys, expected.values, expected.labels),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert not block.dense
    assert decode(content, shape + 1 if shape < 1000 else shape - 1) is None


@given(st.binary(max_size=60), st.integers(0, 64))
def test_broken_payloads_are_never_read_past(noise: bytes, cut: int) -> None:
    whole = record([1.0, 2.0], [0, 3], 6)
    for payload in (noise, whole[8 : 8 + cut], whole[8 : 8 + cut] + noise):
        block = decode(frame(payload), 6)
        if block is not None:
            expected = decode_sparse(frame(payload))
            np.testing.assert_array_equal(block.rows.keys, expected.keys)
            np.testing.assert_array_equal(block.rows.values, expected.values)


def test_dense_rows() -> None:
    for shape in (None, 3):
        block = decode(record([1.0, 0.0, 2.0], None, shape) * 2, 3)
        assert block is not None
        assert block.dense
        assert block.rows.keys.tolist() == [0, 1, 2] * 2
        assert block.rows.values.tolist() == [1.0, 0.0, 2.0] * 2
    assert decode(record([1.0, 0.0, 2.0]), 4) is None
    assert decode(record([1.0, 0.0, 2.0]) + record([1.0], [0], 3), 3) is None


def test_unfit_numbers_are_left_to_the_explaining_reader() -> None:
    for odd in (
        record([np.inf], [0], 3),
        record([1.0], [3], 3),
        record([1.0], [0, 1], 3),
        record([1.0, 1.0], [0], 3),
        record([1.0], [0]),
        record([1.0], [0], 3, label=np.nan),
        frame(message(2, tensor([1.0]))),
        frame(b""),
    ):
        assert decode(odd, 3) is None


def test_frames_stop_where_something_is_broken() -> None:
    one = record([1.0], [0], 3)
    data = np.frombuffer(one * 3, np.uint8)
    assert records.frames(data, 2) == (2 * len(one), 2, False)
    assert records.frames(data[:-1], 9) == (2 * len(one), 2, False)
    assert records.frames(data[: len(one) + 5], 9) == (len(one), 1, False)
    broken = np.frombuffer(one + b"\x00" * 8, np.uint8)
    assert records.frames(broken, 9) == (len(one), 1, True)
    split = bytearray(one)
    split[7] |= 0x20
    assert records.frames(np.frombuffer(bytes(split), np.uint8), 9) == (0, 0, True)
