import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.arrays import Bytes, Integers
from data_prep.errors import DataError
from data_prep.protobuf import message, varint
from data_prep.recordio import (
    MAGIC,
    SparseRecords,
    decode_sparse,
    decoder,
    encode_dense,
    encode_sparse,
    encoder,
)

# Written by Amazon's own tools: user column 0, movie column 948 of 2,625, label 5.0.
AMAZONS_RECORD = bytes.fromhex(
    "0a23d7ce 35000000"
    "0a1f 0a0676616c756573 1215 1213 0a080000803f0000803f 120300b407 1a02c114"
    "1212 0a0676616c756573 1208 1206 0a040000a040"
    "000000"
)


@dataclass(frozen=True)
class Row:
    label: float
    keys: list[int]
    values: list[float]


def _encode(rows: list[Row], shape: int, *, labelled: bool = True) -> bytes:
    chunks = encode_sparse(
        np.array([row.label for row in rows], dtype=np.float32) if labelled else None,
        np.cumsum([0, *(len(row.keys) for row in rows)]),
        np.array([key for row in rows for key in row.keys], dtype=np.int64),
        np.array([value for row in rows for value in row.values], dtype=np.float32),
        shape,
    )
    return b"".join(chunks)


def _frame(payload: bytes, flag: int = 0) -> bytes:
    header = struct.pack("<II", 0xCED7230A, flag << 29 | len(payload))
    return header + payload + bytes(-len(payload) % 4)


def _features(tensor: bytes) -> bytes:
    return message(1, message(1, b"values") + message(2, message(2, tensor)))


def _label(tensor: bytes) -> bytes:
    return message(2, message(1, b"values") + message(2, message(2, tensor)))


def _packed(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _reference(rows: list[Row], shape: int, *, labelled: bool = True) -> bytes:
    """Row by row, from the format's description."""
    out = b""
    for row in rows:
        tensor = b""
        if row.keys:
            tensor += message(1, _packed(row.values))
            tensor += message(2, b"".join(varint(key) for key in row.keys))
        payload = _features(tensor + message(3, varint(shape)))
        if labelled:
            payload += _label(message(1, _packed([row.label])))
        out += _frame(payload)
    return out


def _matrix(seed: int, shape: int, layouts: list[int], count: int) -> list[Row]:
    """Random rows of as many elements as one of `layouts`; keys of every length, any float but NaN."""
    chance = np.random.default_rng(seed)

    def floats(n: int) -> list[float]:
        drawn = chance.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32)
        special = np.array([0.0, -0.0, 1.0, np.inf, 1e-45], np.float32)
        return np.where(np.isnan(drawn) | (chance.random(n) < 0.3), chance.choice(special, n), drawn).tolist()

    def keys(n: int) -> list[int]:
        drawn = chance.integers(0, shape, n) >> chance.integers(0, shape.bit_length(), n)
        return np.where(chance.random(n) < 0.1, shape - 1, drawn).tolist()

    elements = chance.choice(layouts, count).tolist()
    return [Row(floats(1)[0], keys(n), floats(n)) for n in elements]


_shapes = st.sampled_from([1, 2, 127, 128, 129, 2625, 2**14, 2**21 + 5, 2**32, 2**40, 2**63 - 1])
_matrices = st.builds(
    lambda seed, shape, layouts, count: (_matrix(seed, shape, layouts, count), shape),
    seed=st.integers(0, 2**32),
    shape=_shapes,
    layouts=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    count=st.integers(0, 40),
)


def _check_decoded(records: SparseRecords, rows: list[Row], shape: int) -> None:
    assert records.labels.dtype == records.values.dtype == np.float32
    assert records.keys.dtype == records.indptr.dtype == np.int64
    assert records.labels.tobytes() == _packed([row.label for row in rows])
    assert records.values.tobytes() == _packed([value for row in rows for value in row.values])
    assert records.keys.tolist() == [key for row in rows for key in row.keys]
    assert np.diff(records.indptr).tolist() == [len(row.keys) for row in rows]
    assert len(records) == len(rows)
    assert records.shape == (shape if rows else 0)


def test_the_bytes_are_amazons() -> None:
    assert _encode([Row(5.0, [0, 948], [1.0, 1.0])], 2625) == AMAZONS_RECORD
    _check_decoded(decode_sparse(AMAZONS_RECORD), [Row(5.0, [0, 948], [1.0, 1.0])], 2625)


@settings(max_examples=200, deadline=None)
@given(_matrices, st.sampled_from([1, 3, 16]))
def test_any_matrix_is_written_as_the_reference_writes_it_and_read_back(
    matrix: tuple[list[Row], int], chunk_rows: int
) -> None:
    rows, shape = matrix
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "CHUNK_ROWS", chunk_rows)
        patch.setattr(decoder, "CHUNK_ROWS", chunk_rows)
        encoded = _encode(rows, shape)
        assert encoded == _reference(rows, shape)
        _check_decoded(decode_sparse(encoded), rows, shape)


@settings(deadline=None)
@given(_matrices)
def test_records_without_labels_are_written_and_read(matrix: tuple[list[Row], int]) -> None:
    rows, shape = matrix
    encoded = _encode(rows, shape, labelled=False)
    assert encoded == _reference(rows, shape, labelled=False)
    decoded = decode_sparse(encoded)
    assert np.isnan(decoded.labels).all()
    assert len(decoded) == len(rows)
    assert decoded.keys.tolist() == [key for row in rows for key in row.keys]


@pytest.mark.parametrize("layouts", [[2], [1, 2, 3], list(range(40))])
def test_many_rows_of_few_and_of_many_layouts(layouts: list[int]) -> None:
    shape = 1 << 35
    rows = _matrix(0, shape, layouts, 2000)
    encoded = _encode(rows, shape)
    assert encoded == _reference(rows, shape)
    _check_decoded(decode_sparse(encoded), rows, shape)


@given(
    shape=_shapes,
    seed=st.integers(0, 2**32),
    elements=st.integers(0, 4),
    damage=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=3),
    labelled=st.booleans(),
)
def test_columns_are_read_as_rows_are(
    shape: int, seed: int, elements: int, damage: list[tuple[int, int]], labelled: bool
) -> None:
    content = bytearray(_encode(_matrix(seed, shape, [elements], 60), shape, labelled=labelled))
    for place, byte in damage:
        content[place % len(content)] = byte
    found = _outcome(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "decode_columns", lambda _frames: None)
        assert _outcome(content) == found


def test_records_of_few_layouts_are_read_as_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(1.0, keys, [1.0, 0.5]) for keys in ([5, 2000], [300, 2000], [5, 20_000])] * 50
    encoded = _encode(rows, 1 << 20)
    monkeypatch.delattr(decoder, "_decode_plain")
    _check_decoded(decode_sparse(encoded), rows, 1 << 20)


@pytest.mark.parametrize("label", [0.0, -0.0, float("nan"), float("inf"), 1e-45])
def test_every_label_is_written(label: float) -> None:
    rows = [Row(label, [0], [label])]
    assert _encode(rows, 2) == _reference(rows, 2)
    assert decode_sparse(_encode(rows, 2)).labels.tobytes() == _packed([label])


def test_long_rows_are_encoded_in_small_chunks() -> None:
    rows, elements = 12, 1 << 16
    chunks = list(
        encode_sparse(
            np.zeros(rows, np.float32),
            np.arange(rows + 1) * elements,
            np.tile(np.arange(elements), rows),
            np.ones(rows * elements, np.float32),
            elements,
        )
    )
    assert max(map(len, chunks)) < 4 << 20
    assert len(decode_sparse(b"".join(chunks)).keys) == rows * elements


def test_arrays_of_other_types_and_strides_are_encoded() -> None:
    chunks = encode_sparse(
        np.array([1, 0, 9, 9], np.float64)[:2],
        np.array([0, 1, 3], np.int32),
        np.array([7, 0, 200, 0, 3, 0], np.int32)[::2],
        np.array([2, 0, 3, 0, 4, 0], ">f4")[::2],
        300,
    )
    rows = [Row(1.0, [7], [2.0]), Row(0.0, [200, 3], [3.0, 4.0])]
    assert b"".join(chunks) == _reference(rows, 300)


@pytest.mark.parametrize("columns", [0, 1, 3, 200])
@pytest.mark.parametrize("labelled", [True, False])
def test_dense_rows_are_written_without_keys_and_shape(columns: int, labelled: bool) -> None:
    values = np.arange(5 * columns, dtype=np.float32).reshape(5, columns)
    labels = np.array([1, 0, 0.5, -1, 9], dtype=np.float32)
    expected = b"".join(
        _frame(
            _features(message(1, _packed(row.tolist())) if columns else b"")
            + (_label(message(1, _packed([label]))) if labelled else b"")
        )
        for row, label in zip(values, labels.tolist(), strict=True)
    )
    assert b"".join(encode_dense(labels if labelled else None, values)) == expected
    with pytest.raises(ValueError, match="there are 4 labels for 5 rows"):
        list(encode_dense(labels[:4], values))


def test_arrays_that_make_no_matrix_are_refused() -> None:
    one, keys, values = np.array([0, 1]), np.array([4]), np.ones(1, np.float32)
    labels = np.zeros(1, np.float32)
    for arguments, message_part in (
        ((labels, one, keys, values, 4), "keys run from 4 to 4, columns from 0 to 3"),
        ((labels, one, -keys, values, 4), "keys run from -4 to -4"),
        ((np.zeros(2, np.float32), one, keys, values, 5), "there are 2 labels for 1 rows"),
        ((labels, np.array([0, 2]), keys, values, 5), "indptr ends at 2; there are 1 keys and 1 values"),
        ((labels, one, keys, np.ones(2, np.float32), 5), "there are 1 keys and 2 values"),
    ):
        with pytest.raises(ValueError, match=message_part):
            list(encode_sparse(*arguments))


# -- what others may write ----------------------------------------------------------------------------------

_SHAPE = message(3, varint(300))
_PLAIN = _features(message(1, _packed([2.0, 3.0])) + message(2, varint(5) + varint(299)) + _SHAPE)
_PLAIN_LABEL = _label(message(1, _packed([1.0])))


def _unpacked() -> bytes:
    fields = b"".join(b"\x0d" + _packed([value]) for value in (2.0, 3.0))
    fields += b"".join(b"\x10" + varint(key) for key in (5, 299))
    return _features(fields + b"\x18" + varint(300))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(_PLAIN + _PLAIN_LABEL, id="as we write"),
        pytest.param(_PLAIN_LABEL + _PLAIN, id="label first"),
        pytest.param(_unpacked() + _PLAIN_LABEL, id="unpacked"),
        pytest.param(
            _features(_SHAPE + message(2, varint(5) + varint(299)) + message(1, _packed([2.0, 3.0])))
            + _PLAIN_LABEL,
            id="tensor's fields in another order",
        ),
        pytest.param(
            _features(
                message(1, _packed([2.0]))
                + message(1, _packed([3.0]))
                + message(2, varint(5) + b"\xab\x82\x00")
                + _SHAPE
            )
            + _PLAIN_LABEL,
            id="values in two parts and a key of more bytes than needed",
        ),
        pytest.param(
            message(1, message(1, b"other") + message(2, message(9, b"x"))) + _PLAIN + _PLAIN_LABEL,
            id="more features",
        ),
        pytest.param(
            _PLAIN + _PLAIN_LABEL + message(3, b"uid") + message(4, b"metadata"), id="uid and metadata"
        ),
        pytest.param(_PLAIN + _PLAIN_LABEL + b"\x78\x05\x81\x01" + bytes(8), id="unknown fields"),
    ],
)
def test_other_layouts_are_read(payload: bytes) -> None:
    plain = Row(0.5, [7], [1.5])
    content = _encode([plain], 300) + _frame(payload) + _encode([plain], 300)
    _check_decoded(decode_sparse(content), [plain, Row(1.0, [5, 299], [2.0, 3.0]), plain], 300)


def test_a_payload_may_hold_the_magic_number() -> None:
    magic = np.frombuffer(struct.pack("<I", MAGIC), "<f4")[0]
    rows = [Row(1.0, [1] * n, [float(magic)] * n) for n in (1, 2, 3, 4, 5, 6)]
    _check_decoded(decode_sparse(_encode(rows, 9)), rows, 9)


def _in_parts(payload: bytes) -> bytes:
    """As dmlc-core writes a record whose payload holds the magic number at multiples of four bytes."""
    magic = struct.pack("<I", MAGIC)
    parts, begin = [], 0
    for at in range(0, len(payload) // 4 * 4, 4):
        if payload[at : at + 4] == magic:
            parts.append(payload[begin:at])
            begin = at + 4
    parts.append(payload[begin:])
    if len(parts) == 1:
        return _frame(payload)
    flags = [1, *[2] * (len(parts) - 2), 3]
    return b"".join(_frame(part, flag) for part, flag in zip(parts, flags, strict=True))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.lists(st.sampled_from([0.5, float(np.frombuffer(struct.pack("<I", MAGIC), "<f4")[0])]), min_size=5),
    st.integers(0, 3),
)
def test_records_in_several_frames_are_read(lengths: list[int], values: list[float], shift: int) -> None:
    rows = [Row(1.0, [1] * n, values[:n]) for n in lengths]
    content = b""
    for row in rows:
        # An unknown field before the rest moves the values to where the magic number cuts.
        (framed,) = (_encode([row], 9),)
        (length,) = struct.unpack_from("<I", framed, 4)
        content += _in_parts(message(15, bytes(shift)) + framed[8 : 8 + length])
    _check_decoded(decode_sparse(content), rows, 9)


def test_nothing_decodes_to_no_records() -> None:
    _check_decoded(decode_sparse(b""), [], 0)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_buffer_is_read(kind: type) -> None:
    assert len(decode_sparse(kind(AMAZONS_RECORD * 3))) == 3


_GOOD = AMAZONS_RECORD


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (_GOOD[:-4], "record 1, byte 8", "it is 53 bytes long, of which 52 are there"),
        (_GOOD + _GOOD[:5], "record 2, byte 64", "the data ends within its frame's header"),
        (
            _GOOD + b"\n" + _GOOD,
            "record 2, byte 64",
            "its frame begins with d7230a0a, not with RecordIO's ced7230a",
        ),
        (b"1,2,3,4,5\n", "record 1, byte 0", "its frame begins with 2c322c31"),
        (_GOOD + _frame(_PLAIN, flag=1), "record 2, byte 1[0-9]+", "the data ends before its last part"),
        (
            _GOOD + _frame(_PLAIN, flag=2),
            "record 2, byte 64",
            "its frame is of kind 2, where one is needed that b",
        ),
        (
            _GOOD + _frame(_PLAIN, flag=1) + _GOOD,
            "record 2, byte 1[0-9]+",
            "its frame is of kind 0, where one is",
        ),
        (_GOOD + _frame(_PLAIN, flag=7), "record 2, byte 64", "its frame is of kind 7"),
        (_GOOD + _frame(b""), "record 2, byte 72", 'it has no features named "values"'),
        (_frame(_PLAIN_LABEL), "record 1, byte 8", 'it has no features named "values"'),
        (
            _frame(_features(message(1, _packed([1.0])) + message(2, b"\1"))),
            "record 1, byte 8",
            "its features have 0 sh",
        ),
        (
            _frame(_features(message(1, _packed([1.0])) + _SHAPE)),
            "record 1, byte 8",
            "its features have 0 keys and 1 val",
        ),
        (
            _frame(_features(message(1, _packed([1.0])) + message(2, b"\1\2") + _SHAPE)),
            "record 1, byte 8",
            "its features have 2 keys and 1 values",
        ),
        (
            _frame(_features(message(1, _packed([1.0])) + message(2, b"\x81") + _SHAPE)),
            "record 1, byte 8",
            "it stops in the middle of a number",
        ),
        (
            _frame(_features(message(1, _packed([1.0])) + message(2, b"\x80" * 10 + b"\1") + _SHAPE)),
            "record 1, byte 8",
            "a number is longer than 10 bytes",
        ),
        (
            _frame(_features(message(1, _packed([1.0])) + message(2, varint(2**63)) + _SHAPE)),
            "record 1, byte 8",
            r"a key or the shape is past 2\^63 - 1",
        ),
        (
            _frame(_features(message(1, b"\0" * 7) + _SHAPE)),
            "record 1, byte 8",
            "its values are not 32-bit floats",
        ),
        (
            _frame(message(1, message(1, b"values") + message(2, message(3, message(1, bytes(8)))))),
            "record 1, byte 8",
            "its features are of type Float64Tensor, where Float32Tensor is needed",
        ),
        (
            _frame(_PLAIN + message(2, message(1, b"values") + message(2, message(7, message(1, b"\1"))))),
            "record 1, byte 8",
            "its label is of type Int32Tensor, where",
        ),
        (
            _frame(_PLAIN + _label(message(1, _packed([1.0, 2.0])))),
            "record 1, byte 8",
            "its label has 2 values, not one",
        ),
        (_frame(_PLAIN + b"\x0b"), "record 1, byte 8", "field 1 has wire type 3, which is unknown"),
        (_frame(_PLAIN + b"\x1a\x05"), "record 1, byte 8", "field 3 is longer than the message around it"),
        (
            _GOOD + _encode([Row(1.0, [1], [1.0])], 9),
            "record 2, byte 72",
            "it has 9 columns, those before it 2625",
        ),
        (
            _GOOD
            + _frame(
                _features(message(1, _packed([1.0])) + message(2, varint(2625)) + message(3, varint(2625)))
            ),
            "record 2, byte 72",
            "it has key 2625; the columns are 0 to 2624",
        ),
    ],
)
def test_broken_records_are_named(content: bytes, place: str, reason: str) -> None:
    with pytest.raises(DataError, match=f"^RecordIO data, {place}: {reason}"):
        decode_sparse(content)


def _mutations(content: bytes, count: int) -> Iterator[bytes]:
    chance = np.random.default_rng(7)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(int(chance.integers(1, 4))):
            damaged[chance.integers(len(damaged))] = chance.choice(
                [0, 1, 0x0A, 0x12, 0x7F, 0x80, 0xFF, *range(8)]
            )
        yield bytes(damaged[: chance.integers(1, len(damaged) + 1)] if chance.random() < 0.2 else damaged)


@pytest.mark.parametrize(
    "rows",
    [
        [Row(1.0, [5, 299], [2.0, 3.0]), Row(0.0, [], []), Row(2.0, [200] * 5, [1.0] * 5)],
        [Row(1.0, [5, 299], [2.0, 3.0]), Row(0.0, [200, 5], [1.0, 1.0]), Row(2.0, [7, 8], [1.0, 0.5])] * 2,
    ],
)
def test_damaged_data_never_raises_anything_else_and_all_readers_agree(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fast readers may only accept what the field-by-field one accepts, and with the same result."""
    fast = {}
    mutants = set(_mutations(_encode(rows, 300), 3000))
    for mutant in mutants:
        fast[mutant] = _outcome(mutant)

    def nothing_is_plain(buffer: Bytes, starts: Integers, lengths: Integers) -> tuple[object, ...]:
        n, nothing = len(starts), np.empty(0, np.int64)
        return (
            np.zeros(n, bool),
            np.zeros(n, "f4"),
            np.zeros(n, int),
            nothing,
            nothing.astype("f4"),
            np.zeros(n, int),
        )

    monkeypatch.setattr(decoder, "decode_columns", lambda _frames: None)
    for mutant in mutants:
        assert fast[mutant] == _outcome(mutant)
    monkeypatch.setattr(decoder, "_decode_plain", nothing_is_plain)
    for mutant in mutants:
        assert fast[mutant] == _outcome(mutant)
    assert len({outcome for outcome in fast.values() if isinstance(outcome, str)}) > 20


def _outcome(content: bytes | bytearray) -> object:
    try:
        records = decode_sparse(content)
    except DataError as error:
        return str(error)
    # A NaN's payload may differ: the field-by-field reader takes it through a Python float.
    values = np.nan_to_num(records.values).tobytes(), np.nan_to_num(records.labels).tobytes()
    return records.shape, records.indptr.tolist(), records.keys.tolist(), values


@given(st.binary(max_size=120))
def test_any_bytes_give_records_or_a_data_error(content: bytes) -> None:
    for data in (content, _frame(content), _frame(_features(content))):
        with suppress(DataError):
            decode_sparse(data)
